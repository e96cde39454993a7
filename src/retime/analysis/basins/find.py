"""`find_basins`: which fraction of a box of initial states ends on which attractor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from retime.analysis.basins.census import LAST, PROBES, Census
from retime.analysis.basins.dynamics import dynamics_of, whole
from retime.analysis.basins.endings import Known, Size
from retime.analysis.view import constant_input
from retime.core.arrays import Array, real_array, vector
from retime.core.clock import work_seconds
from retime.core.errors import ShapeError
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.states import box_around, many_states, one_state
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.models import PiecewiseAffineFlow


@dataclass(frozen=True, eq=False, repr=False)
class Attractor:
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

    kind: str
    period: float
    points: Array
    count: int
    fraction: float
    standard_error: float
    interval: tuple[float, float]
    largest: float

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return dict(vars(self))

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

    def __repr__(self) -> str:
        return f"Attractor({self.name}, {self.fraction:.4g} +- {self.standard_error:.2g})"

    @property
    def name(self) -> str:
        """The kind, of a cycle with its period."""
        if self.kind != "cycle":
            return self.kind
        return f"cycle of period {self.period:.6g}" if isinstance(self.period, float) else f"{self.period}-cycle"


class Plane(NamedTuple):
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

    def _data(self) -> dict[str, Any]:
        return {
            "attractors": [a.to_dict() for a in self.attractors],
            "starts": self.starts,
            "labels": self.labels,
            "box": self.box,
            "image": self.image,
            "plane": None if self.plane is None else self.plane._asdict(),
            "horizon": self.horizon,
            "status": str(self.status),
            "message": self.message,
        }


def _row(k: int, a: Attractor) -> list[str]:
    low, high = a.interval
    period = f"{a.period:.8g}" if a.period else ""
    largest = "" if math.isnan(a.largest) else f"{a.largest:.4g}"
    return [str(k), a.kind, period, f"{a.fraction:.4f} +- {a.standard_error:.4f}", f"{low:.4f} to {high:.4f}", largest]


def find_basins(
    model: System,
    box: Any,
    *,
    num: int = 2000,
    steps: int | None = None,
    duration: float | None = None,
    inputs: Any = None,
    max_period: int = 32,
    slice: Any = None,
    resolution: int | tuple[int, int] = 200,
    switching: Literal["clock", "state"] | None = None,
    seed: int = 0,
    time_limit: float | None = None,
) -> Basins:
    """Measure which fraction of a box of initial states ends on which attractor.

    Initial states drawn uniformly are simulated together. A fixed point or k-cycle counts as an attractor when it was solved
    for (Newton; exact where the system is affine), its multipliers are inside the unit circle (its eigenvalues have
    negative real parts), and a start counts for it when its orbit arrived there: so a slow passage is no attractor.
    Orbits that stay bounded and come back to where they were are gathered by the states they visit; some of every gathering are
    followed for four horizons more, and told apart by averages along them, so that sets which share cells are sets of their own. Where one
    of them leaves a set, the set is a transient and its orbits go on. A limit cycle of a flow is solved for by shooting (Newton), and
    counts as one when its multipliers are inside the unit circle. Starts that have not settled get four, then sixteen times the horizon
    more, and are then "undecided".

    Args:
        model: a map or a flow. A converted flow that holds its regions for a step is followed from sample to sample.
        box: `(n, 2)`, lowest and highest value of each state, or two numbers (low, high) for all of them; a Trajectory, or points of
            results: around their states, twice as wide as they spread.
        num: initial states >= 1; the standard error of a fraction p is sqrt(p (1 - p) / num).
        steps: for maps, the steps each start is given, 1000 by default.
        duration: for flows, the model time each start is given; by default 1,000 steps of a converted flow, else 200 over the
            size of the Jacobian in the box, doubled until most of 16 orbits rest or come back to where they were within
            a quarter of it (at most 1,024 times as long).
        inputs: `(m,)`, a constant input; None for zero.
        max_period: longest cycle of a map that is recognized as one; longer ones are "bounded".
        slice: two indices (i, j) for the plane of states i and j through the middle of the box, or a `Plane`; adds `image`.
        resolution: of the image, one number or (rows, columns).
        switching: for converted flows, as in `simulate`.
        seed: of the initial states.
        time_limit: seconds of work; None for no limit.

    Returns:
        Basins.

    Raises:
        ShapeError: a box, input or plane of another size. ValueError: an empty box, num < 1, a missing or superfluous horizon.
        TypeError: not a model.

    Valid when: the input is constant. Fractions have a sampling error (given); that a start went to an attractor is decided
    by simulation in float64, which near a basin's boundary may differ from the exact orbit.
    Cost: num + pixels simulations; 100,000 starts of a 10-unit PLRNN that settles within 100 steps take 1.6 s on two cores.
    Backend: that of `simulate`. Source: datseris2022 (attractors that were found serve the starts that follow); das2017, rahimi2007
    (averages that tell sets apart); wilson1927; docs/theory/analysis.md.
    """
    if not isinstance(model, System):
        raise TypeError(f"`model` is {type(model).__name__}; find_basins takes a retime model or a converted flow.")
    bounds = _box(box, model.num_states)
    count = whole("num", num, 1)
    plane, shape = _plane(slice, bounds), _resolution(resolution)
    with np.errstate(all="ignore"):
        limit = math.inf if time_limit is None else work_seconds() + time_limit
        dynamics = dynamics_of(model, bounds, steps, duration, inputs, switching, whole("max_period", max_period, 1))
        size = Size.of(bounds)
        dynamics.far = size.far
        census = Census(dynamics, size, limit)
        if not dynamics.is_map and duration is None and not isinstance(dynamics.model, PiecewiseAffineFlow):
            quarter = dynamics.quarter
            census.anyway(lambda: census.lengthen(quarter, _drawn(bounds, PROBES[0], 0)))
        starts = census.anyway(lambda: _drawn(bounds, count, seed))
        found = census.label(starts, "following initial states")
        rank = census.anyway(lambda: census.ranked(found))
        labels = rank[found]
        image = None if plane is None else _image(census, plane, shape, rank)
        attractors = census.anyway(lambda: _attractors(census, labels))
    about, end = Searched(model, constant_input(model, inputs)), (census.status, census.message())
    return Basins(attractors, starts, labels, bounds, image, plane, dynamics.horizon, *end, about)


def _drawn(box: Array, count: int, seed: int) -> Array:
    return box[:, 0] + (box[:, 1] - box[:, 0]) * np.random.default_rng(seed).random((count, len(box)))


# --- arguments -------------------------------------------------------------------------------------------------------


def _box(value: Any, n: int) -> Array:
    given = many_states(value)
    box = real_array("box", value if given is value else box_around(given))
    if box.shape == (2,):
        box = np.tile(box, (n, 1))
    if box.shape != (n, 2):
        raise ShapeError(
            f"`box` has shape {box.shape}; it must be ({n}, 2), lowest and highest value of each state, or two numbers (low, high)."
        )
    if (box[:, 0] > box[:, 1]).any():
        k = int(np.argmax(box[:, 0] > box[:, 1]))
        raise ValueError(f"`box` is empty: state {k} goes from {box[k, 0]} down to {box[k, 1]}. Give (low, high).")
    return box


def _resolution(value: Any) -> tuple[int, int]:
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"`resolution` is {value!r}; it must be one number or (rows, columns).")
    return whole("resolution", pair[0], 1), whole("resolution", pair[1], 1)


def _plane(value: Any, box: Array) -> Plane | None:
    n = len(box)
    if value is None or isinstance(value, Plane):
        if value is None:
            return None
        parts = [vector(f"slice {k}", one_state(getattr(value, k)), n) for k in ("base", "first", "second")]
        extent = _box(value.extent, 2)
        return Plane(parts[0], parts[1], parts[2], extent, value.names)
    try:
        i, j = (int(k) for k in value)
    except (TypeError, ValueError):
        raise ValueError(f"`slice` is {value!r}; it must be two indices (i, j) of states, or a Plane.") from None
    if i == j or not (0 <= i < n and 0 <= j < n):
        raise ValueError(f"`slice` is {value!r}; it must be two different indices of states, from 0 to {n - 1}.")
    base = box.mean(axis=1)
    base[[i, j]] = 0.0
    axes = np.eye(n)
    return Plane(base, axes[i], axes[j], box[[i, j]], (f"z{i}", f"z{j}"))


def _image(census: Census, plane: Plane, shape: tuple[int, int], rank: Array) -> Array:
    labels = census.label(census.anyway(lambda: plane.states(shape)), "drawing the slice")
    return census.anyway(lambda: census.append(labels, rank)).reshape(shape)


def _attractors(census: Census, labels: Array) -> tuple[Attractor, ...]:
    number = int if census.dynamics.is_map else float
    return tuple(_attractor(known, count, len(labels), number) for known, count in census.counted(labels))


def _attractor(known: Known, count: int, num: int, number: Callable[[float], float]) -> Attractor:
    p = count / num
    error = math.sqrt(p * (1 - p) / num)
    kind, points = (known.kind, known.points) if known.loop is None else ("cycle", known.loop)
    return Attractor(kind, number(known.period), points, count, p, error, wilson(count, num), known.largest)


def wilson(count: int, num: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval (low, high) of a fraction of which `count` of `num` were seen; z standard deviations wide.

    Source: wilson1927.
    """
    p = count / num
    middle = (p + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(p * (1 - p) / num + z * z / (4 * num * num))
    return max(0.0, middle - half), min(1.0, middle + half)
