"""What a scan along a parameter found: branches, events, the attractor at every value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from retime.analysis.branches.method import Arclength
from retime.core.arrays import Array
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.status import SearchStatus

SHOWN = 30


@dataclass(frozen=True, eq=False, repr=False)
class Branch(Result):
    """Fixed points or cycles that belong together, along which the parameter is monotone.

    Attributes:
        period: k; 1 for fixed points.
        values: increasing `(b,)`: those of the scan, and in between those of border events and folds. At a border event the multipliers
            are those of the side of smaller values. In smooth systems a point at which branches cross or turn is listed on each of them,
            with the multiplier 1 (rate 0), so not as stable.
        points: `(b, k, n)`, the points of a cycle in their order. multipliers: `(b, n)`, complex, of the whole cycle; of a flow its rates,
            1 / model time. stable: bool `(b,)`. patterns: bool `(b, k, q)`, q = 0 for smooth systems.
        parameter: the name of the parameter.
    """

    _plot: ClassVar[str] = "branch"

    period: int
    values: Array
    points: Array
    multipliers: Array
    stable: Array
    patterns: Array
    parameter: str = "parameter"

    def _data(self) -> dict[str, Any]:
        return super()._data() | {"patterns": self.patterns.astype(int)}

    def _title(self) -> str:
        name = "fixed points" if self.period == 1 else f"{self.period}-cycles"
        return f"{name}, {len(self.values)} values from {self.values[0]:.6g} to {self.values[-1]:.6g}"


@dataclass(frozen=True, eq=False, repr=False)
class Event(Result):
    """A bifurcation.

    Attributes:
        kind: "border persistence" (a unit switches, the branch goes on), "border fold" (two branches meet on a boundary and end), "border
            flip" (it goes on and a cycle of twice the period is born), "saddle-node", "flip", "Neimark-Sacker", "Hopf", "transcritical or
            pitchfork", "degenerate".
        border: whether the point is on a boundary.
        value: of the parameter. error: how far it may be off: the last bracket of the root finding, and rounding of the multiplier over its
            slope. In smooth systems the equation is singular where branches cross: the value is interpolated from points of the branch on
            both sides, and the error is the difference to interpolations of lower order; half the distance of two points if that fails.
        point: `(k, n)`. unit: the ReLU unit that switches, None away from boundaries.
        multiplier: the one (of a conjugate pair the upper one) on the unit circle, or the rate on the imaginary axis; None on a border.
        branches: indices of the branches that take part. period: of the point.
        message: the same in words, with what was measured and what the criterion says.
        predicted: for borders, the kind by Feigin's criterion (parities of the numbers of real multipliers beyond 1 and -1 on both
            sides), "" elsewhere. `kind` is measured.
    """

    kind: str
    border: bool
    value: float
    error: float
    point: Array
    unit: int | None
    multiplier: complex | None
    branches: tuple[int, ...]
    period: int
    message: str
    predicted: str = ""

    def _title(self) -> str:
        return f"{self.kind} at {self.value:.10g} +- {self.error:.1g}, period {self.period}"


@dataclass(frozen=True, eq=False, repr=False)
class Scan(Result):
    """Branches of fixed points and cycles over a parameter, and their bifurcations.

    Attributes:
        values: `(T,)`. branches: tuple of `Branch`. events: tuple of `Event`, in order of their values.
        parameter: its name.
        complete: bool `(T,)`: whether it is proven that no fixed point, and no cycle up to the largest period, is missing at the value.
        attractor: `(T, samples, n)`, states of an orbit after a transient, NaN where it diverged; None when not asked for.
        status: how the scan ended. message: the same in words.
        continuation: its thresholds; None where branches are followed by pattern.
        searched: the system, where the parameter is one of its own, for pictures; not part of `to_dict`.
    """

    _plot: ClassVar[str] = "bifurcation_diagram"

    values: Array
    branches: tuple[Branch, ...]
    events: tuple[Event, ...]
    parameter: str
    complete: Array
    attractor: Array | None
    status: SearchStatus
    message: str
    continuation: Arclength | None = None
    searched: Searched | None = field(default=None, compare=False)

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per point of a branch: branch, parameter, period, stability, place in its cycle, states z1, z2, ..."""
        return [
            {
                "branch": k,
                self.parameter: float(v),
                "period": b.period,
                "stable": bool(s),
                "index": j,
                **numbered("z", z),
            }
            for k, b in enumerate(self.branches)
            for v, s, cycle in zip(b.values, b.stable, b.points, strict=True)
            for j, z in enumerate(cycle)
        ]

    def _title(self) -> str:
        b, e = len(self.branches), len(self.events)
        return f"{b} branch{'es' * (b != 1)} over {self.parameter}, {e} event{'s' * (e != 1)}; {self.message}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        rows = [
            [f"{e.value:.10g}", f"{e.error:.0e}", e.kind, str(e.period), ", ".join(map(str, e.branches)), e.message]
            for e in self.events[:SHOWN]
        ]
        rows += [["...", f"{len(self.events) - SHOWN} more", "", "", "", ""]] if len(self.events) > SHOWN else []
        return [self.parameter, "error", "event", "period", "branches", ""], rows
