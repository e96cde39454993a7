"""`analyze`: fixed points, cycles, exponents, regions and basins of one system in one call, within a budget of time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.analysis.basins.find import find_basins
from retime.analysis.basins.result import Basins
from retime.analysis.cycles.find import find_cycles
from retime.analysis.cycles.result import Cycles
from retime.analysis.exponents.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from retime.analysis.fixed_points.find import FixedPoints, find_fixed_points
from retime.analysis.regions.visits import VisitedRegions, visited_regions
from retime.analysis.view import affine_view, constant_input
from retime.core.arguments import amount, box_of, one_start, seconds, seed_of, switching_of, system, whole
from retime.core.arrays import Array, real_array
from retime.core.clock import work_seconds
from retime.core.errors import ShapeError
from retime.core.result import Result
from retime.core.start import own_start
from retime.core.states import box_around, one_state
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.core.system import System
from retime.core.tolerances import size_of
from retime.core.trajectory import Trajectory
from retime.simulation import simulate
from retime.simulation.motion import motion_of

FEW_STARTS = 128  # in a row that bring no new cycle of a smooth map, per period
MOST_EXPONENTS = 10
INTERVALS = 5000  # between the times of an orbit of a flow
PERIODS = 64  # of an orbit that repeats
SHARES = {"orbit": 1, "regions": 1, "fixed points": 3, "exponents": 4, "cycles": 3, "basins": 4}
"""How the time is shared, in the order of work: the cheap and certain parts first; what a part leaves goes to those after it."""
LEAST = 1e-9  # seconds of a part when the time is over: it does its first stretch
REPEATS = 1e-8  # relative distance up to which an orbit has come back


@dataclass(frozen=True, eq=False, repr=False)
class Analysis(Result):
    """What `analyze` found; a part is None where it does not apply or its time was spent (`notes` say which).

    Attributes:
        fixed_points, cycles, exponents, regions, basins: the results of the verbs of these names.
        orbit: the trajectory from z0 that exponents and regions were measured on.
        behavior: what that orbit does in the end: "fixed point", "cycle of k steps", "chaos", "quasi-periodic or slow", "diverged", "stopped".
        notes: what was left out, and why. seconds: time spent on each part.
    """

    _plot: ClassVar[str] = "analysis"

    fixed_points: FixedPoints
    cycles: Cycles | None
    orbit: Trajectory
    exponents: LyapunovSpectrum
    regions: VisitedRegions | None
    basins: Basins | None
    behavior: str
    notes: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def status(self) -> SearchStatus:
        """`interrupted` or `time_limit` when a part ended so; else whether the fixed points are proven to be all."""
        parts = [x.status for x in (self.fixed_points, self.cycles, self.exponents, self.basins) if x is not None]
        for status in (SearchStatus.INTERRUPTED, SearchStatus.TIME_LIMIT, SearchStatus.NODE_LIMIT):
            if status in parts:
                return status
        return self.fixed_points.status

    @property
    def words(self) -> str:
        """The findings as sentences."""
        text = [f"{_count(self.fixed_points)}: {self.fixed_points.message}."]
        if self.cycles is not None:
            longer = [c for c in self.cycles if len(c.points) > 1]
            text.append(
                f"{len(longer)} longer cycles, {sum(c.stable for c in longer)} of them stable: {self.cycles.message}."
            )
        if np.isfinite(self.exponents.exponents[0]):
            e = self.exponents
            known = "" if e.settled else " (not settled)"
            text.append(
                f"Largest exponent {e.exponents[0]:.5g} +- {e.standard_errors[0]:.1g}{known} per unit of time; {self.behavior}."
            )
        else:
            text.append(f"The orbit: {self.behavior}.")
        if self.regions is not None:
            text.append(
                f"It visits {len(self.regions.patterns)} regions{' until it ends' if self.orbit.ending else ''}."
            )
        if self.basins is not None:
            named = [f"{a.kind} {a.fraction:.3g} +- {a.standard_error:.1g}" for a in self.basins.attractors]
            text.append(f"Initial states end on: {', '.join(named)}.")
        return " ".join([*text, *self.notes])

    def _title(self) -> str:
        return self.words

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        names = ("fixed points", "cycles", "exponents", "regions", "basins")
        parts = {name: getattr(self, name.replace(" ", "_")) for name in names}
        rows = [[x, y._title(), f"{self.seconds.get(x, 0.0):.2g} s"] for x, y in parts.items() if y is not None]
        return ["part", "found", "time"], rows

    def _data(self) -> dict[str, Any]:
        orbit = {name: getattr(self.orbit, name) for name in ("status", "message", "status_time")}
        orbit["end"] = self.orbit.last_state
        return super()._data() | {"orbit": orbit, "status": self.status, "words": self.words}


def analyze(
    model: System,
    z0: Any = None,
    *,
    steps: int = 10_000,
    duration: float | None = None,
    inputs: Any = None,
    switching: str | None = None,
    max_period: float | None = None,
    basins: int = 0,
    box: Any = None,
    time_limit: float | None = 60.0,
    seed: int | None = 0,
) -> Analysis:
    """Analyze a system: all fixed points, cycles, the exponents and regions of one orbit, and, if asked for, basins.

    Args:
        model: any retime model, or a conversion.
        z0: `(n,)`, where the orbit starts, or a point of a result, or a Trajectory (where it ended); None for zeros, or a random state
            (`seed`) where zeros are at rest.
        steps: length of the orbit of a map or clock-held flow; for other flows `duration` says it.
        duration: model time of the orbit of a flow; None takes 1,000 steps of a converted flow, else 200.
        inputs: `(m,)`, constant; None for zero.
        switching: for converted flows.
        max_period: largest period of cycles; None for 4 steps, or a tenth of the duration. 0 leaves cycles out.
        basins: number of initial states; 0 leaves basins out. box: `(n, 2)` of them; None for twice the range of the orbit.
        time_limit: seconds of work (compilation is not counted), None: no limit; shared by the parts: first the orbit and its regions,
            then fixed points, exponents, cycles, basins. Of each at least a first stretch is done; an orbit that would take longer
            than its share is shortened (`notes` say so). seed: of random numbers.

    Returns:
        Analysis.

    Raises:
        TypeError: not a model. ShapeError: z0 or inputs of the wrong size.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5], [[-1.0]], [1.0])
        >>> rt.analyze(model, [0.3], steps=200).behavior
        'it came to rest at a fixed point'
    """
    model, seed, time_limit = system("analyze", model), seed_of(seed), seconds(time_limit)
    switching = switching_of(model, switching)
    _check(model, steps, duration, max_period, basins, box)
    s = constant_input(model, inputs)
    start, words = (
        own_start(model, s if len(s) else None, seed=seed) if z0 is None else (real_array("z0", one_state(z0)), "")
    )
    with suppress(ShapeError):  # reported below, with the shape that is wanted
        start = model.start(start)
    z = one_start("analyze", start, model.num_states)
    run = _Run(model, z, s, switching, seed, time_limit, (steps, duration), {"basins"} if not basins else set())
    if words.startswith("a random state"):
        run.notes.append(f"The orbit begins at {words}.")
    orbit = run.simulate()
    regions = run.timed("regions", lambda left: visited_regions(orbit)) if orbit.patterns.shape[-1] else None
    points = run.fixed_points()
    exponents = run.exponents()
    cycles = run.cycles(max_period)
    found = run.basins(basins, box, orbit) if basins else None
    behavior = _behavior(model, orbit, exponents)
    run.note_limits({"fixed points": points, "exponents": exponents, "cycles": cycles, "basins": found})
    return Analysis(points, cycles, orbit, exponents, regions, found, behavior, tuple(run.notes), run.seconds)


def _check(model: System, steps: Any, duration: Any, max_period: Any, basins: Any, box: Any) -> None:
    """Refuse what the parts would refuse only after others have taken their time."""
    whole("steps", steps, 1)
    whole("basins", basins, 0)
    if box is not None:
        box_of(box, model.num_states, may_be_flat=True)
    for name, value in (("duration", duration), ("max_period", max_period)):
        if value is not None:
            amount(name, value)
    if duration is not None and (duration == 0 or duration == float("inf")):
        raise ValueError(f"`duration` is {duration!r}; it must be a positive finite model time.")
    if duration is not None and not motion_of(model).clock.times:
        raise ValueError(f"`duration` was given, but {type(model).__name__} is a map: give `steps`.")


class _Run:
    """The parts of one analysis and the time they took."""

    def __init__(
        self, model: Any, z: Array, s: Array, switching: Any, seed: int, limit: float, horizon: Any, left_out: set[str]
    ) -> None:
        self.model, self.z, self.motion = model, z, motion_of(model, switching)
        self.limit, self.deadline = limit, work_seconds() + limit
        self.shares = {name: share for name, share in SHARES.items() if name not in left_out}
        self.given = s if len(s) else None
        self.rule: dict[str, Any] = {"switching": switching} if switching is not None else {}
        self.options: dict[str, Any] = {"inputs": self.given, "seed": seed, **self.rule}
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        steps, duration = horizon
        self.whole = self.motion.span(steps, duration or 1000 * self.motion.clock.dt or 200.0, INTERVALS)
        self._cut(self.whole.get("steps", INTERVALS))

    @property
    def rows(self) -> Array | None:
        """The input of every step or interval."""
        if self.given is None:
            return None
        count = self.intervals
        if self.motion.clock.dt and "times" in self.horizon:  # inputs are held from sample to sample
            count = int(np.ceil(self.length / self.model.dt - 1e-9))
        return np.repeat(self.given[None], count, axis=0)

    def share(self, name: str) -> float:
        """Seconds for a part: its share of those that are left, beside the parts that are still to come."""
        left = max(self.deadline - work_seconds(), LEAST)
        return left if left == float("inf") else left * self.shares[name] / sum(self.shares.values())

    def timed(self, name: str, part: Any) -> Any:
        """The result of a part, given its seconds."""
        began, seconds = work_seconds(), self.share(name)
        found = part(seconds)
        self.seconds[name] = work_seconds() - began
        self.shares.pop(name)
        return found

    def simulate(self) -> Trajectory:
        """The orbit from z0, over as much of the horizon as its share of the time allows."""
        return self.timed("orbit", self._simulated)

    def _simulated(self, seconds: float) -> Trajectory:
        whole, began = self.intervals, work_seconds()
        self._cut(max(whole // 20, 1))
        found = self._orbit()
        took = work_seconds() - began
        if took < seconds < 20 * took:  # a first call also loads compiled code, whatever its length
            began = work_seconds()
            found = self._orbit()
            took = min(took, work_seconds() - began)
        allowed = whole * min(1.0, seconds / max(20 * took, 1e-9))
        if self.intervals == whole:
            return found
        self._cut(whole if allowed >= whole else max(int(allowed), whole // 20, 1))
        if allowed < whole:
            self.notes.append(
                f"The orbit was followed for {self.length:.6g} of model time only: a longer one exceeds its time."
            )
        return self._orbit()

    def _orbit(self) -> Trajectory:
        return simulate(self.model, self.z, inputs=self.rows, **self.horizon, **self.rule)

    def _cut(self, intervals: int) -> None:
        """The horizon: the first so many of all steps, or intervals of time."""
        self.intervals = intervals
        if "steps" in self.whole:
            self.horizon, self.length = {"steps": intervals}, intervals * self.model.dt
        else:
            times = self.whole["times"][: intervals + 1]
            self.horizon, self.length = {"times": times}, float(times[-1])

    def fixed_points(self) -> FixedPoints:
        """All fixed points."""
        return self.timed("fixed points", lambda left: find_fixed_points(self.model, time_limit=left, **self.options))

    def exponents(self) -> LyapunovSpectrum:
        """The largest exponents of the orbit; one that takes too long in its transient is measured over what was reached of it."""
        num = min(MOST_EXPONENTS, self.model.num_states)
        options = {"inputs": self.rows, "num": num, **self.horizon, **self.rule}
        whole, reached = self.intervals, 0.0

        def part(left: float) -> LyapunovSpectrum:
            nonlocal reached
            found = lyapunov_spectrum(self.model, self.z, time_limit=left / 2, **options)
            reached = found.transient + found.time
            if found.status is not SearchStatus.TIME_LIMIT or found.time > 0:
                return found
            self._cut(max(int(min(reached / self.length, 1.0) * whole), 1))
            again = {**options, "inputs": self.rows, **self.horizon}
            return lyapunov_spectrum(self.model, self.z, transient=0, time_limit=left, **again)

        found = self.timed("exponents", part)
        if found.status is SearchStatus.TIME_LIMIT or self.intervals < whole:
            self.notes.append(
                f"Exponents are of the first {reached:.6g} of model time: a longer measurement exceeds its time."
            )
        return found

    def cycles(self, max_period: float | None) -> Cycles | None:
        """Cycles of maps, limit cycles of flows; of smooth maps from few starts."""
        if max_period == 0:
            self.shares.pop("cycles")
            return None
        longest = float(max_period or 0.1 * self.length)
        if max_period is None and "steps" in self.horizon:
            longest = 4.0 * self.model.dt if self.motion.clock.times else 4.0
        options: dict[str, Any] = self.options | ({"num_starts": FEW_STARTS} if affine_view(self.model) is None else {})
        return self.timed("cycles", lambda left: find_cycles(self.model, longest, time_limit=left, **options))

    def note_limits(self, parts: dict[str, Any]) -> None:
        """One sentence about the parts whose time ended first, and what to do."""
        ended = [name for name, part in parts.items() if part is not None and part.status is SearchStatus.TIME_LIMIT]
        if ended:
            names = " and ".join([", ".join(ended[:-1]), ended[-1]] if len(ended) > 1 else ended)
            self.notes.append(
                f"Time ended the search for {names} early: raise the time limit ({self.limit:.6g} s of work) for more."
            )

    def basins(self, num: int, box: Any, orbit: Trajectory) -> Basins | None:
        """Basins in a box around the orbit."""
        if work_seconds() >= self.deadline:
            self.notes.append(f"No time was left for basins: raise the time limit ({self.limit:.6g} s of work).")
            return None
        if box is None:
            box = box_around(orbit.as_states())
        return self.timed("basins", lambda left: find_basins(self.model, box, num=num, time_limit=left, **self.options))


def _count(points: FixedPoints) -> str:
    """ "4 fixed points, 1 stable"."""
    return f"{points.counted}, {int(points.stable.sum())} stable"


def _behavior(model: Any, orbit: Trajectory, exponents: LyapunovSpectrum) -> str:
    """What the orbit does in the end, as far as its last states and its exponents tell."""
    if orbit.status is TrajectoryStatus.DIVERGED:
        return f"it diverged at t = {orbit.status_time:.6g}"
    if orbit.status not in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE):
        return f"it {orbit.ending}"
    z = orbit.states
    size = REPEATS * size_of(z[-1])
    back = np.abs(z[-PERIODS - 1 : -1][::-1] - z[-1]).max(axis=1) <= size
    grows, at = _grows(z), "" if motion_of(model).clock.times else " at a fixed point"
    if len(back) and back.all() and not grows:
        rest = f"it came to rest{at}"
        is_left = exponents.exponents[0] > max(3 * exponents.standard_errors[0], 1e-12)
        return rest + (", which is unstable: neighbors leave it" if is_left else "")
    if at and back.any() and not grows:
        return f"it ends on a cycle of {int(np.argmax(back)) + 1} steps"
    if grows:
        return "its size still grows at the end: it may leave for infinity"
    if exponents.status is SearchStatus.INTERRUPTED:
        return "it stays bounded as far as it was followed"
    x, error = exponents.exponents[0], exponents.standard_errors[0]
    if not np.isfinite(error):
        return "it is too short to say more"
    if x > max(3 * error, 1e-12) and getattr(model, "num_units", 1):
        return "it is chaotic (the exponent exceeds three standard errors)"
    if abs(x) <= max(3 * error, 1e-12):
        return "it is periodic, quasi-periodic or only slowly settling (the exponent is 0 within three standard errors)"
    return "it is settling, or on a long cycle (the exponent is negative)"


def _grows(z: Array) -> bool:
    """Whether the largest state keeps growing by more than a tenth from quarter to quarter of the orbit."""
    if len(z) < 8:
        return False
    first, second, third, last = (float(np.abs(part).max()) for part in np.array_split(z, 4))
    return last > 1.1 * third and third > 1.1 * second and second > 1.1 * first
