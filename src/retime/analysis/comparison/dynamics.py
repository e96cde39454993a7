"""`compare_dynamics`: the dynamics of a map and of the flow it was converted to, measured on both, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.analysis.basins.find import find_basins
from retime.analysis.basins.result import Basins
from retime.analysis.comparison.orbits import compare
from retime.analysis.cycles.find import find_cycles
from retime.analysis.cycles.result import Cycles
from retime.analysis.exponents.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from retime.analysis.fixed_points.find import FixedPoints, find_fixed_points
from retime.analysis.view import constant_input
from retime.core.arguments import box_of, one_start, seconds, seed_of, system, whole
from retime.core.arrays import Array
from retime.core.errors import CertificateError
from retime.core.result import Result
from retime.core.start import own_start
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.core.tolerances import size_of
from retime.models import PiecewiseAffineFlow
from retime.simulation import simulate
from retime.simulation.motion import motion_of

COMPARED = 1000  # steps of the orbit that are compared one by one
ROUNDING = 1e-8  # differences of exact quantities up to this, relative to 1 + the value, are rounding
EXACT = "identical: the clock flow is the map at the samples"
INSIDE = "identical where no boundary is crossed within a step; else an approximation"


@dataclass(frozen=True, repr=False)
class Agreement(Result):
    """One quantity of the map and of the flow under both switching rules; NaN where it could not be measured.

    Attributes:
        quantity: what was measured. map, clock, state: its values, in model time.
        clock_difference, state_difference: |flow - map|, of a list of values the largest.
        tolerance: up to which the clock flow counts as equal: rounding, or three standard errors of a measured average.
        clock_should, state_should: what theory says.
    """

    quantity: str
    map: float
    clock: float
    state: float
    clock_difference: float
    state_difference: float
    tolerance: float
    clock_should: str
    state_should: str

    @property
    def agrees(self) -> bool | None:
        """Whether the clock flow equals the map within the tolerance; None when there was nothing to measure."""
        return None if np.isnan(self.clock_difference) else bool(self.clock_difference <= self.tolerance)

    def _title(self) -> str:
        verdict = {True: "agrees", False: "DISAGREES", None: "not measured"}[self.agrees]
        return f"{self.quantity}: map {self.map:.6g}, clock {self.clock:.6g}, state {self.state:.6g}; {verdict}"

    def _data(self) -> dict[str, Any]:
        return super()._data() | {"agrees": self.agrees}


@dataclass(frozen=True, eq=False, repr=False)
class DynamicsComparison(Result):
    """A map and its flow side by side.

    Attributes:
        rows: one `Agreement` per quantity.
        fixed_points, exponents: of the map, the clock flow, the state flow (None where it has no exponents).
        cycles: of the map. basins: of the map, the clock flow and the state flow, empty when not asked for.
        holds: whether the clock flow agrees in everything that was measured, as it must.
        message: what could not be measured, and why.
    """

    _plot: ClassVar[str] = ""

    rows: tuple[Agreement, ...]
    fixed_points: tuple[FixedPoints, FixedPoints, FixedPoints]
    exponents: tuple[LyapunovSpectrum, LyapunovSpectrum, LyapunovSpectrum | None]
    cycles: Cycles
    basins: tuple[Basins, ...]
    message: str

    @property
    def holds(self) -> bool:
        """Whether the clock flow agrees in everything that was measured."""
        return all(row.agrees is not False for row in self.rows)

    def _title(self) -> str:
        text = "clock switching agrees with the map" if self.holds else "clock switching does NOT agree with the map"
        return f"{text}{'; ' + self.message if self.message else ''}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        header = ["quantity", "map", "clock flow", "state flow", "|clock - map|", "|state - map|", "clock should be"]
        rows = [
            [r.quantity, *(_number(x) for x in (r.map, r.clock, r.state, r.clock_difference, r.state_difference)),
             r.clock_should.split(":")[0] + {True: " (is)", False: " (IS NOT)", None: ""}[r.agrees]]
            for r in self.rows
        ]  # fmt: skip
        return header, rows

    def _data(self) -> dict[str, Any]:
        return {
            "rows": self.rows, "holds": self.holds, "message": self.message,
            "fixed_points": self.fixed_points[0], "cycles": self.cycles, "exponents": self.exponents, "basins": self.basins,
        }  # fmt: skip


def compare_dynamics(
    model: System,
    conversion: Any,
    z0: Any = None,
    *,
    steps: int = 10_000,
    num: int = 3,
    max_period: int = 4,
    inputs: Any = None,
    basins: int = 0,
    box: Any = None,
    seed: int | None = 0,
    time_limit: float | None = 60.0,
) -> DynamicsComparison:
    """Measure fixed points, exponents, cycles, return times and basins of a map and of its flow under both switching rules.

    With the clock everything must agree: fixed points are the same, lambda_flow = log(lambda_map) / dt, exponents per unit of time are the
    same, a k-cycle is a periodic orbit of period k dt, basins are the same sets. With state switching fixed points inside regions and their
    eigenvalues are the same; what depends on orbits that cross boundaries between samples need not be.

    Args:
        model: a piecewise-affine map. conversion: what `to_continuous(model)` returned, or its `.model`.
        z0: `(n,)`, start of the orbits for exponents and return times; None for zeros, or for a random state where zeros are at rest.
        steps: length of those orbits. num: how many exponents. max_period: cycles are searched up to this period.
        inputs: `(m,)`, constant; None for zero.
        basins: initial states for the fractions of a box that attractors take; 0: none. box: `(n, 2)`; None: twice the orbit's range.
        seed: of random numbers. time_limit: seconds of work, for each search; None for no limit.

    Returns:
        DynamicsComparison.

    Raises:
        TypeError: `model` is no piecewise-affine map, or `conversion` no converted flow of it. ShapeError: z0 of another size.

    Source: docs/theory/analysis.md.

    Examples:
        >>> import retime as rt; model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3])
        >>> rt.compare_dynamics(model, rt.to_continuous(model), [1.0, 0.5], steps=100, num=1, max_period=1).holds
        True
    """
    wanted, seed, time_limit = "a piecewise-affine map first", seed_of(seed), seconds(time_limit)
    model = system("compare_dynamics", model, wanted=wanted)
    if motion_of(model).clock.times or not hasattr(model, "canonical"):
        raise TypeError(f"`model` is {type(model).__name__}; compare_dynamics takes {wanted}.")
    wanted = "what to_continuous(model) returned"
    flow = system("compare_dynamics", conversion, "conversion", wanted)
    if getattr(flow, "map", None) != model:
        raise TypeError(f"`conversion` is {flow!r}, which is not a flow of this map; pass {wanted}.")
    basins, s = whole("basins", basins, 0), None if inputs is None else constant_input(model, inputs)
    z = one_start("compare_dynamics", own_start(model, s)[0] if z0 is None else z0, model.num_states)
    for name, value in {"steps": steps, "num": num, "max_period": max_period}.items():
        whole(name, value, 1)
    box = None if box is None else box_of(box, model.num_states, may_be_flat=True)
    side = _Side(model, flow, z, s, steps, min(num, model.num_states), time_limit)
    points = side.points()
    cycles = find_cycles(model, max_period, inputs=s, time_limit=time_limit, seed=seed)
    exponents = side.exponents()
    rows = [
        side.of_steps(),
        *side.of_points(*points),
        *side.of_exponents(exponents),
        *side.of_cycles(cycles),
        *side.of_returns(),
    ]
    found: tuple[Basins, ...] = ()
    if basins:
        found = side.basins(basins, box, seed)
        rows += side.of_basins(found)
    return DynamicsComparison(tuple(rows), points, exponents, cycles, found, "; ".join(side.notes))


class _Side:
    """One comparison: the three systems and how each quantity is measured."""

    def __init__(
        self, model: Any, flow: PiecewiseAffineFlow, z: Array, s: Array | None, steps: int, num: int, time_limit: float
    ) -> None:
        self.model, self.flow, self.z, self.s = model, flow, z, s
        self.steps, self.num, self.time_limit = steps, num, time_limit
        self.notes: list[str] = []

    def _rows(self, count: int) -> Array | None:
        return None if self.s is None else np.repeat(self.s[None], count, axis=0)

    def points(self) -> tuple[FixedPoints, FixedPoints, FixedPoints]:
        """Fixed points of the map, and of the flow under both switching rules."""
        options: dict[str, Any] = {"inputs": self.s, "time_limit": self.time_limit}
        first, clock = (find_fixed_points(m, **options) for m in (self.model, self.flow))
        return first, clock, find_fixed_points(self.flow, switching="state", **options)

    def _drift(self, points: Array, steps: int, switching: str) -> float:
        """Largest distance from points `(k, n)` after some steps of the flow; NaN where the flow ends early."""
        if not len(points):
            return float("nan")
        rows = self._rows(steps)
        with suppress(CertificateError):
            path = simulate(self.flow, points, steps=steps, inputs=rows, switching=switching)  # type: ignore[arg-type]
            if path.ending:
                self.notes.append(
                    f"no drift from {len(points)} points after {steps} steps of the {switching} flow: it {path.ending}"
                )
            return float(np.abs(path.states[-1] - points).max())
        return float("nan")

    def of_points(self, points: FixedPoints, flow_points: FixedPoints, state_points: FixedPoints) -> list[Agreement]:
        """Number, place and eigenvalues of fixed points."""
        size = size_of(points.points)
        clock, state = (self._drift(points.points, 1, rule) for rule in ("clock", "state"))
        counts = (len(points), len(flow_points), len(state_points))
        rows = [
            Agreement("fixed points", *counts, abs(counts[0] - counts[1]), abs(counts[0] - counts[2]), 0.0,
                      EXACT, "the same inside regions, and those at which it rests by sliding"),
            Agreement("largest drift from one in a step", 0.0, clock, state, clock, state, ROUNDING * size, EXACT,
                      "the same inside regions"),
        ]  # fmt: skip
        if len(points) and counts[0] == counts[1]:
            rates = self.model.time.growth_rates(points.eigenvalues[:, 0])
            order = [int(np.argmin(np.abs(flow_points.points - z).max(axis=1))) for z in points.points]
            own = np.real(flow_points.eigenvalues[order, 0])
            gap = float(np.abs(own - rates)[np.isfinite(rates)].max(initial=0.0))
            k = int(np.argmax(rates))
            rows.append(
                Agreement("largest rate at a fixed point, log|lambda| / dt", float(rates[k]), float(own[k]), float(own[k]), gap, gap,
                          ROUNDING * size_of(rates[np.isfinite(rates)]), EXACT, "the same inside regions")
            )  # fmt: skip
        return rows

    def exponents(self) -> tuple[LyapunovSpectrum, LyapunovSpectrum, LyapunovSpectrum | None]:
        """Exponents of the three orbits from the same state."""
        rows, times = self._rows(self.steps), self.model.dt * np.arange(self.steps + 1)
        options: dict[str, Any] = {"num": self.num, "inputs": rows}
        first, clock = (lyapunov_spectrum(m, self.z, steps=self.steps, **options) for m in (self.model, self.flow))
        try:
            state = lyapunov_spectrum(self.flow, self.z, times=times, switching="state", **options)
        except CertificateError as error:
            self.notes.append(f"no exponents under state switching: {error}")
            return first, clock, None
        for name, e in (("the map", first), ("the clock flow", clock), ("the state flow", state)):
            if e.status != "completed":
                self.notes.append(
                    f"exponents of {name} are those of {e.time:.6g} of model time ({e.status}): {e.message}"
                )
        return first, clock, state

    def of_exponents(
        self, found: tuple[LyapunovSpectrum, LyapunovSpectrum, LyapunovSpectrum | None]
    ) -> list[Agreement]:
        """One row per exponent."""
        a, b, c = found
        rows = []
        for k in range(self.num):
            x, y = a.exponents[k], b.exponents[k]
            w = float("nan") if c is None else c.exponents[k]
            error = 3 * float(np.hypot(a.standard_errors[k], b.standard_errors[k])) + ROUNDING
            should = EXACT + "; measured averages agree within their errors"
            if np.isneginf(x) and not np.isneginf(y):
                should, error = (
                    "finite: a regularized region shrinks, by 2^-53, what a singular step of the map takes to zero",
                    np.inf,
                )
            rows.append(Agreement(f"exponent {k + 1}", float(x), float(y), float(w), _gap(x, y), _gap(x, w), error, should, INSIDE))  # fmt: skip
        return rows

    def of_cycles(self, cycles: Cycles) -> list[Agreement]:
        """The number of cycles and how far the flow is from each after its period; unstable ones magnify rounding."""
        rows = []
        for k, c in enumerate([c for c in cycles if c.period > 1][:8]):
            period = int(c.period)
            clock, state = (self._drift(c.points[:1], period, rule) for rule in ("clock", "state"))
            growth = max(1.0, float(np.abs(c.multipliers).max()))
            size, name = size_of(c.points) * growth, f"{period}-cycle {k}: distance after {period} dt"
            rows.append(Agreement(name, c.residual, clock, state, clock, state, ROUNDING * size, EXACT, INSIDE))
        return rows

    def of_steps(self) -> Agreement:
        """The largest difference of one step, over the steps of the orbit, restarted on the map's orbit at each."""
        count, found = min(self.steps, COMPARED), [float("nan"), float("nan")]
        for k, rule in enumerate(("clock", "state")):
            with suppress(CertificateError):
                c = compare(self.model, self.flow, self.z, steps=count, inputs=self._rows(count), switching=rule)
                found[k] = c.summary()["max_one_step_error_relative"]
                if c.message:
                    self.notes.append(f"steps of the {rule} flow: {c.message}")
        clock, state = found
        name = f"largest error of one step, relative to 1 + |z|, {count} steps"
        return Agreement(name, 0.0, clock, state, clock, state, ROUNDING, EXACT, INSIDE)

    def of_returns(self) -> list[Agreement]:
        """Mean time between upward passages of the first state that moves through its mean: the period of a cycle, if there is one."""
        rows, count = self._rows(self.steps), self.steps
        paths = [simulate(self.model, self.z, steps=count, inputs=rows)]
        for rule in ("clock", "state"):
            with suppress(CertificateError):
                paths.append(simulate(self.flow, self.z, steps=count, inputs=rows, switching=rule))  # type: ignore[arg-type]
                if paths[-1].ending:
                    self.notes.append(f"returns of the {rule} flow are those before its orbit {paths[-1].ending}")
        if paths[0].status != "completed":
            self.notes.append(
                f"the map's orbit {paths[0].status} at t = {paths[0].status_time:.6g}: exponents and returns are those before"
            )
            return []
        first = paths[0].states[count // 2 :]
        unit = int(np.argmax(first.std(axis=0)))
        level = float(first[:, unit].mean())
        if first[:, unit].std() <= 1e-9 * (1.0 + abs(level)):
            return []
        found = [mean_return(p.times, p.states[:, unit], level) for p in paths] + [(float("nan"), 0.0)] * (
            3 - len(paths)
        )
        (x, e), (y, f), (w, _) = found
        if np.isnan(x):
            return []
        return [Agreement(f"mean time between upward passages of z_{unit + 1}", x, y, w, abs(x - y), abs(w - x),
                          3 * float(np.hypot(e, f)) + ROUNDING, EXACT, INSIDE)]  # fmt: skip

    def basins(self, num: int, box: Any, seed: int) -> tuple[Basins, ...]:
        """Basins of the map, the clock flow and, where it exists, the state flow."""
        if box is None:
            path = simulate(self.model, self.z, steps=self.steps, inputs=self._rows(self.steps))
            fine = path.states[np.isfinite(path.states).all(axis=1)]
            middle, half = (fine.max(axis=0) + fine.min(axis=0)) / 2, np.ptp(fine, axis=0) + 1e-3
            box = np.column_stack([middle - half, middle + half])
        options: dict[str, Any] = {"num": num, "inputs": self.s, "seed": seed, "time_limit": self.time_limit}
        found = [find_basins(m, box, **options) for m in (self.model, self.flow)]
        try:
            found.append(find_basins(self.flow, box, switching="state", **options))
        except CertificateError as error:
            self.notes.append(f"no basins under state switching: {error}")
        return tuple(found)

    def of_basins(self, found: tuple[Basins, ...]) -> list[Agreement]:
        """The share of initial states, decided in both, that end on the same attractor as those of the map."""
        for name, b in zip(("the map", "the clock flow", "the state flow"), found, strict=False):
            share = sum(a.fraction for a in b.attractors if a.kind == "undecided")
            if share:
                ends = {SearchStatus.TIME_LIMIT: "time ended", SearchStatus.INTERRUPTED: "interrupted"}
                why = ends.get(b.status, "not settled")
                self.notes.append(f"basins of {name}: {share:.3g} of the starts undecided ({why}) and left out")
        clock, state = (_same_share(found[0], found[k]) if k < len(found) else float("nan") for k in (1, 2))
        return [Agreement("share of starts on the same attractor", 1.0, clock, state, 1.0 - clock, 1.0 - state,
                          3 / len(found[0].starts), EXACT + ", but for rounding at basin boundaries", INSIDE)]  # fmt: skip


def _gap(x: float, y: float) -> float:
    """Their distance, 0 where both are the same infinity."""
    return 0.0 if x == y else float(abs(x - y))


def mean_return(times: Array, x: Array, level: float) -> tuple[float, float]:
    """Mean time between upward passages of `level` in the second half of a series, and its standard error."""
    fine = np.isfinite(x)
    times, x = times[fine], x[fine]
    half = len(x) // 2
    times, x = times[half:], x[half:] - level
    k = np.flatnonzero((x[:-1] <= 0) & (x[1:] > 0))
    if len(k) < 3:
        return float("nan"), 0.0
    at = times[k] - x[k] * (times[k + 1] - times[k]) / (x[k + 1] - x[k])
    gaps = np.diff(at)
    return float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))


def _same_share(a: Basins, b: Basins) -> float:
    """Share of equal starts, decided in both, whose attractors are the same: of the same kind, and closer than a hundredth of the box; NaN when
    none is decided."""
    size = 0.01 * float(np.ptp(a.box, axis=1).max())

    def same(i: int, j: int) -> bool:
        x, y = a.attractors[i], b.attractors[j]
        if not len(x.points) or not len(y.points):
            return x.kind == y.kind
        gap = np.abs(x.points[:, None] - y.points[None]).max(axis=2)
        return bool(gap.min() <= size) if x.kind == y.kind else bool(gap.min(axis=1).max() <= size)

    table = np.array([[same(i, j) for j in range(len(b.attractors))] for i in range(len(a.attractors))])
    decided = np.array([x.kind != "undecided" for x in a.attractors])[a.labels]
    decided &= np.array([x.kind != "undecided" for x in b.attractors])[b.labels]
    return float(table[a.labels, b.labels][decided].mean()) if decided.any() else float("nan")


def _number(x: float) -> str:
    return "-" if np.isnan(x) else f"{x:.6g}"
