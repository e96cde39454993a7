"""Attractors, their shares of a box with confidence intervals, and a plane of basins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from retime.analysis.basins.census import LAST
from retime.analysis.basins.settling import Settling
from retime.core.arrays import Array
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.status import SearchStatus


@dataclass(frozen=True, eq=False, repr=False)
class Attractor(Result):
    """What orbits end on, and how many.

    Attributes:
        kind: "fixed_point", "cycle" (of a map, or the limit cycle of a flow), "bounded" (torus, chaos, and cycles that were not
            solved for), "neutral" (at rest or periodic, but neither attracting nor repelling: line attractors, centers),
            "diverged" or "undecided". A cycle of a converted flow that is switched by its state is "bounded".
        period: of a cycle; for maps a whole number of steps, 1 for fixed points; for flows model time, solved for to a relative
            error near 1e-8; 0 otherwise.
        points: `(k, n)`: the point, the points of the cycle in their order (of a flow, at equal steps of time over one period),
            or samples of the set; `(0, n)` when there are none.
        count: how many initial states of the box end here.
        fraction: count / num.
        standard_error: sqrt(fraction (1 - fraction) / num), binomial; 0 at fractions 0 and 1, where `interval` tells more.
        interval: (low, high), Wilson's 95 % interval of the fraction.
        largest: modulus of the largest multiplier of a fixed point or cycle of a map, or of a limit cycle apart from the 1
            along it; largest real part of the eigenvalues (1 / model time) at an equilibrium of a flow; NaN otherwise.
    """

    _plot: ClassVar[str] = "attractor"

    kind: str
    period: float
    points: Array
    count: int
    fraction: float
    standard_error: float
    interval: tuple[float, float]
    largest: float

    def as_state(self) -> Array:
        """The point, the first point of a cycle, or a sample of the set.

        Raises:
            ValueError: there are no points: orbits diverged, or did not settle.
        """
        if not len(self.points):
            raise ValueError(f"A state is wanted, and the attractor {self.name!r} has no points.")
        return self.points[0]

    def as_states(self) -> Array:
        """The points `(k, n)`."""
        return self.points

    def _title(self) -> str:
        return f"{self.name}, {self.fraction:.4g} +- {self.standard_error:.2g}"

    @property
    def name(self) -> str:
        """The kind, of a cycle with its period."""
        if self.kind != "cycle":
            return self.kind
        return f"cycle of period {self.period:.6g}" if isinstance(self.period, float) else f"{self.period}-cycle"


@dataclass(frozen=True, eq=False, repr=False)
class Plane(Result):
    """The states base + x first + y second, for x in extent[0] and y in extent[1].

    Attributes:
        base: `(n,)`. first, second: `(n,)` directions.
        extent: `(2, 2)`, lowest and highest x, lowest and highest y.
        names: labels of the two axes.
    """

    base: Any
    first: Any
    second: Any
    extent: Any
    names: tuple[str, str] = ("first", "second")

    def _title(self) -> str:
        (x0, x1), (y0, y1) = self.extent
        return f"{self.names[0]} from {x0:.6g} to {x1:.6g}, {self.names[1]} from {y0:.6g} to {y1:.6g}"

    def states(self, resolution: tuple[int, int]) -> Array:
        """States `(rows * columns, n)` of an image of `resolution` (rows, columns), y along rows, at the middle of its pixels."""
        (x0, x1), (y0, y1) = self.extent
        y, x = [(np.arange(k) + 0.5) / k for k in resolution]
        Y, X = np.meshgrid(y0 + (y1 - y0) * y, x0 + (x1 - x0) * x, indexing="ij")
        return self.base + X.reshape(-1, 1) * self.first + Y.reshape(-1, 1) * self.second


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Result):
    """Attractors and the fractions of a box of initial states that they attract.

    Attributes:
        attractors: the largest first; "diverged" and "undecided" last, then those that only the image shows.
        starts: `(num, n)`, the initial states, uniform in the box.
        labels: `(num,)`, index into `attractors` of each.
        box: `(n, 2)`, lowest and highest value of each state.
        image: `(rows, columns)`, index into `attractors` for each pixel of the plane; None without a slice.
        plane: the `Plane` of the image, or None.
        horizon: the steps (maps) or model time (flows) each start was given at first; slow ones got up to 21 times as much.
        status: `heuristic`, `time_limit` or `interrupted` (what was not reached is undecided).
        message: remarks in words.
        settling: the thresholds by which orbits counted as settled.
        searched: the system, for pictures; not part of `to_dict`.
    """

    attractors: tuple[Attractor, ...]
    starts: Array
    labels: Array
    box: Array
    image: Array | None
    plane: Plane | None
    horizon: float
    status: SearchStatus
    message: str
    settling: Settling = field(default_factory=Settling)
    searched: Searched | None = field(default=None, compare=False)

    _plot: ClassVar[str] = "basins"

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per attractor: kind, period, fraction and its error, its first point z1, z2, ..."""
        return [
            {
                "index": k, "kind": a.kind, "period": a.period, "count": a.count, "fraction": a.fraction,
                "standard_error": a.standard_error, "low": a.interval[0], "high": a.interval[1], "largest": a.largest,
                **numbered("z", a.points[0] if len(a.points) else np.full(len(self.box), np.nan)),
            }
            for k, a in enumerate(self.attractors)
        ]  # fmt: skip

    def _title(self) -> str:
        kinds = sum(a.kind not in LAST for a in self.attractors)
        text = f"{kinds} attractor{'s' * (kinds != 1)} from {len(self.starts)} initial states, {self.status}"
        return f"{text}. {self.message}" if self.message else text

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        header = ["", "kind", "period", "fraction", "95 % interval", "largest"]
        return header, [_row(k, a) for k, a in enumerate(self.attractors)]


def _row(k: int, a: Attractor) -> list[str]:
    low, high = a.interval
    period = f"{a.period:.8g}" if a.period else ""
    largest = "" if math.isnan(a.largest) else f"{a.largest:.4g}"
    return [str(k), a.kind, period, f"{a.fraction:.4f} +- {a.standard_error:.4f}", f"{low:.4f} to {high:.4f}", largest]
