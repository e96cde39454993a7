"""`scan`: fixed points and cycles as a parameter moves, with their bifurcations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from retime.analysis.branches.assembly import branch, event, merged, without_twins
from retime.analysis.branches.by_arclength import SmoothFollower
from retime.analysis.branches.by_pattern import Follower
from retime.analysis.branches.method import Arclength
from retime.analysis.branches.parameter import Parameter, applied, parameter_of
from retime.analysis.branches.result import Scan
from retime.analysis.fixed_points.leaves import Solution
from retime.analysis.view import affine_view, constant_input
from retime.core.arguments import seconds, seed_of, system, whole
from retime.core.arrays import Array, increasing
from retime.core.clock import CLOCK
from retime.core.method import method_of
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.searched import Searched
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.simulation import simulate
from retime.simulation.motion import motion_of

PROOF_SHARE = 0.6  # of the time, for finding points; the rest is for following them
TRANSIENT = 1000  # steps before samples of an attractor are taken


def scan(
    model: System,
    parameter: Any,
    values: Any,
    *,
    max_period: int = 1,
    inputs: Any = None,
    attractor: int = 0,
    time_limit: float | None = 120.0,
    seed: int | None = 0,
    continuation: Arclength | None = None,
) -> Scan:
    """Follow fixed points and cycles while a parameter moves, and locate every bifurcation on the way.

    Piecewise-affine systems: at every value all fixed points, and cycles up to `max_period`, are found with a proof (`find_fixed_points`).
    Each is followed in both directions: inside a region it solves a linear system; where a unit reaches its boundary the branch goes
    on in the neighboring region, in the same direction (persistence) or back (fold); multipliers that cross the unit circle inside a
    region are located by bisection. Smooth systems: points are searched from many starts at the first value and from a few at every other,
    and followed by arclength, through folds; no proof.

    Args:
        model: a map or flow. For a converted flow the parameters are those of its map, converted anew at every value.
        parameter: "W[0, 1]", "h[2]", "A[0]" (on the diagonal), "inputs[0]": the value replaces the entry; "tau", "h", "inputs" (a number or
            vector without an index): it replaces all entries; a dictionary {"W": direction, ...}: field + value direction; or a function
            value -> model.
        values: increasing `(T,)`.
        max_period: longest cycle of a piecewise-affine map that is searched.
        inputs: `(m,)`, held for ever; None for zero.
        attractor: how many samples of an orbit to take at every value (after a transient of 1000 steps; for flows 200 times the time scale
            1 / |dF/dz|, then samples over as long a time); each value begins with the last state of the one before.
        time_limit: seconds of work, None: no limit. A smooth model made anew by a function of the parameter (`Map(lambda ...)`) is
            compiled at every value, seconds each, which count: give the parameter as an input ("inputs[0]") instead. seed: of starts of
            searches and of the orbit.
        continuation: smooth systems: its thresholds, `Arclength(shortest=1e-12)` say; None for the defaults.

    Returns:
        Scan.

    Raises:
        TypeError: not a model, or not a parameter. ValueError: values that do not increase, no such entry, or a period > 1 for a system that
        is no piecewise-affine map, or a parameter that fails at the first value (at a later one the branches end there, and `message` names it).
        ShapeError: a direction of another size.

    Valid when: branches that are born and end again between two neighboring values (and touch none of them) are not seen, nor are two
    changes of one unit or of one multiplier that undo each other within a quarter of that distance: take more values there. Smooth
    systems: only branches that some start leads to. Events exactly at the first or last value are told from what is inside the range (there
    within 1e-10 of the distance of values on a border, 1e-9 of the unit circle); a smooth fold whose branches are outside is not seen.
    Cost: per value one search with proof; per branch and value 4 linear systems of the size k n.
    Backend: NumPy float64 and Numba; JAX for smooth systems. Source: dibernardo2008; nusse1992; docs/theory/analysis.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> skew = rt.PLRNN([0.5], [[-2.0]], [0.0])
        >>> found = rt.scan(skew, "h[0]", np.linspace(-1.0, 1.0, 5), max_period=2)
        >>> [str(event.kind) for event in found.events]
        ['border flip']
    """
    model, seed, time_limit = system("scan", model), seed_of(seed), seconds(time_limit)
    if np.size(values) == 0:
        raise ValueError("`values` is empty; it must hold at least one value.")
    grid, s = increasing("values", values), constant_input(model, inputs)
    k, samples = whole("max_period", max_period, 1), whole("attractor", attractor, 0)
    what = parameter_of(model, parameter)
    view, rule = (
        affine_view(applied(what, model, s, float(grid[0]))[0]),
        method_of("continuation", continuation, Arclength),
    )
    if view is not None and continuation is not None:
        raise ValueError(
            f"`continuation` is {continuation!r}, for smooth systems; {type(model).__name__} is piecewise affine, and its branches are "
            "followed from border to border. Leave it out."
        )
    if k > 1 and (view is None or not view.is_map):
        raise ValueError(
            f"`max_period` is {k}; cycles are followed for piecewise-affine maps, and {type(model).__name__} is none. Leave it at 1, or scan a "
            "Map that takes several steps at once."
        )
    with np.errstate(all="ignore"), one_blas_thread(), CLOCK.counting_spans(callable(parameter)):
        job = _Job(model, s, what, grid, Patience.lasting(time_limit))
        with job.patience, suppress(_Failed):  # `failures` holds its words
            job.piecewise_affine(k) if view is not None else job.smooth(rule, seed)
            if samples:
                job.sample(samples, seed)
        job.status = job.patience.ended or job.status
        own = not callable(parameter) and getattr(model, "D", None) is None  # else outputs, too, may depend on it
        searched = Searched(model, s) if own else None
        return replace(job.result(), continuation=None if view is not None else rule, searched=searched)


class _Failed(Exception):
    """The parameter makes no model at a value."""


class _Job:
    """One scan on its way."""

    def __init__(self, model: System, s: Array, what: Parameter, values: Array, patience: Patience) -> None:
        self.model, self.s, self.what, self.values, self.patience = model, s, what, values, patience
        self.complete = np.zeros(len(values), dtype=bool)
        self.followers: list[Any] = []
        self.smooth_follower: SmoothFollower | None = None
        self.attractor: Array | None = None
        self.status, self.remarks = SearchStatus.COMPLETE, list[str]()
        self.failures = dict[float, str]()  # values at which the parameter made no model
        self.function: Any = None  # of the smooth system seen last
        self.compiles_anew = False

    def at(self, value: float) -> tuple[Any, Array]:
        """The model and the constant input at a value.

        Raises:
            TimeIsUp: it is. _Failed: the parameter makes no model there.
        """
        self.patience.check()
        try:
            model, s = applied(self.what, self.model, self.s, value)
        except (TypeError, ValueError) as error:
            self.failures.setdefault(value, str(error))
            raise _Failed from error
        if affine_view(model) is None:
            function = model.equation.function
            self.compiles_anew |= self.function is not None and function != self.function
            self.function = function
        return model, s

    # --- branches

    def piecewise_affine(self, max_period: int) -> None:
        """All periods at all values, coarse values first, so that a scan that is cut short has seen the whole range."""

        def family(value: float) -> Any:
            model, s = self.at(value)
            view = affine_view(model)
            if view is None:
                raise TypeError(
                    f"`parameter` returned a smooth {type(model).__name__} at {value}, a piecewise-affine one before."
                )
            return view, s

        proofs = self.patience.part(PROOF_SHARE)
        proven = np.zeros((max_period, len(self.values)), dtype=bool)
        continua = np.zeros(len(self.values), dtype=bool)
        with progress("scanning", max_period * len(self.values)) as advance:
            for k in range(1, max_period + 1):
                follower = Follower(family, self.values, k, self.patience)
                self.followers.append(follower)
                later: list[tuple[int, Solution]] = []
                for t in _coarse_first(len(self.values)):
                    if proofs.is_over():
                        self.status = SearchStatus.TIME_LIMIT
                        break
                    try:
                        found, status, fills = follower.enumerate(t, proofs)
                    except _Failed:
                        continue
                    if status is SearchStatus.INTERRUPTED:
                        raise KeyboardInterrupt
                    proven[k - 1, t], continua[t] = status is SearchStatus.COMPLETE, continua[t] or fills
                    later += [(t, x) for x in found if x.near.any()]
                    for x in found:
                        if not x.near.any():
                            with suppress(_Failed):
                                follower.grow(t, x)
                    self.complete = np.asarray(proven.all(axis=0))
                    advance(1)
                for t, x in later:
                    with suppress(_Failed):
                        follower.add_alone(t, x)
        if continua.any():
            self.remarks.append(
                f"at {int(continua.sum())} values fixed points or cycles fill lines or planes, which are not followed"
            )

    def smooth(self, method: Arclength, seed: int) -> None:
        """Points of many starts at the first value, of a few at every other, each followed along its branch."""
        from retime.analysis.fixed_points.method import Multistart
        from retime.analysis.fixed_points.multistart import search_smooth
        from retime.analysis.fixed_points.newton import CONVERGED, Problem, follow

        rng, last = np.random.default_rng(seed), len(self.values) - 1
        self.status = SearchStatus.HEURISTIC
        model, s = self.at(float(self.values[0]))
        with suppress(_Failed):
            self.at(float(self.values[-1]))  # whether it is another function there, before the time is spent
        found = search_smooth(model, s, seed=seed, time_limit=max(0.1, self.patience.left))
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        alone = np.array([not len(v) for v in found.null_directions], dtype=bool)
        if not alone.all():
            self.remarks.append(f"fixed points fill a line or more at {self.values[0]:.6g}, which is not followed")
        size = float(np.median(np.abs(found.points).max(axis=1))) if len(found.points) else 1.0
        self.smooth_follower = branches = SmoothFollower(self.at, self.values, size, method, self.patience)
        self.followers.append(branches)
        for x in found.points[alone]:
            with suppress(_Failed):
                branches.grow(0, x)
        order = _coarse_first(last + 1)[1:]
        with progress("scanning", last + 1) as advance:
            for t in order:
                try:
                    model, s = self.at(float(self.values[t]))
                except _Failed:
                    continue
                count = method.starts * (8 if t == last else 1)
                scale = (1.0 + size) * 3.0 ** rng.uniform(-2, 1, (count, 1))
                starts = scale * rng.normal(size=(count, model.num_states))
                z, ending = follow(Problem.of(model, s, rng), starts, Multistart(), self.patience.deadline)
                for x in z[(ending == CONVERGED) & (np.abs(z).max(axis=1) <= method.believed * (1.0 + size))]:
                    with suppress(_Failed):
                        branches.grow(t, x)
                advance(1)

    # --- orbit

    def sample(self, count: int, seed: int) -> None:
        """States of an orbit after a transient at every value."""
        n = self.model.num_states
        self.attractor = np.full((len(self.values), count, n), np.nan)
        fresh = np.random.default_rng(seed).normal(size=n)
        z, lost = fresh, 0
        with progress("sampling orbits", len(self.values)) as advance:
            for t, value in enumerate(self.values):
                try:
                    states = _orbit(*self.at(float(value)), z, count)
                    if not np.isfinite(states).all() and z is not fresh:
                        states = _orbit(*self.at(float(value)), fresh, count)
                except _Failed:
                    continue
                is_fine = bool(np.isfinite(states).all())
                lost += not is_fine
                z = states[-1] if is_fine else fresh
                self.attractor[t] = states if is_fine else np.nan
                advance(1)
        if lost:
            self.remarks.append(f"the orbit diverged at {lost} values")

    # --- result

    def result(self) -> Scan:
        """What was found, in order."""
        if self.smooth_follower is not None:
            self.smooth_follower.located.audit(self.smooth_follower.pieces)
        pieces = [(f, p) for f in self.followers for p in f.pieces if any(p.segments)]
        made = [(p, branch(p, self.model.time, self.what.text)) for _, p in pieces]
        made = [(p, b) for p, b in made if b is not None]
        span = float(self.values[-1] - self.values[0]) or 1.0
        made, twins = without_twins(made, span)
        made.sort(key=lambda x: (x[1].period, x[1].values[0], tuple(np.round(x[1].points[0, 0], 9))))
        index = {id(p): k for k, (p, _) in enumerate(made)}
        index |= {id(p): index[id(q)] for p, q in twins}
        events = merged([e for f in self.followers for e in f.events], span)
        found = tuple(event(e, index) for e in sorted(events, key=lambda e: (e.value, e.period)))
        if self.status is SearchStatus.COMPLETE and not self.complete.all():
            self.status = SearchStatus.HEURISTIC if self.failures else SearchStatus.TIME_LIMIT
        return Scan(
            self.values, tuple(b for _, b in made), found, self.what.text, self.complete, self.attractor, self.status, self._message()
        )  # fmt: skip

    def _message(self) -> str:
        proven = f"complete at {int(self.complete.sum())} of {len(self.values)} values"
        text = {
            SearchStatus.COMPLETE: "complete at every value",
            SearchStatus.HEURISTIC: proven
            if self.smooth_follower is None
            else "found from starts, no proof that there are no others",
            SearchStatus.TIME_LIMIT: f"time ended; {proven}",
            SearchStatus.INTERRUPTED: f"interrupted; {proven}",
        }[self.status]
        if self.failures:
            first = min(self.failures)
            more = f" (and at {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            text += f"; {self.failures[first]}{more}: branches end there"
        if self.status is SearchStatus.TIME_LIMIT and self.compiles_anew:
            text += '; a new function is compiled at every value: give the parameter as an input ("inputs[0]") instead'
        return "; ".join([text, *self.remarks])


def _coarse_first(count: int) -> list[int]:
    """0, count - 1, then the middles of what is left, the largest gaps first."""
    order, step = [0, count - 1], 1 << max(count - 1, 1).bit_length()
    while step > 1:
        step //= 2
        order += list(range(step, count, 2 * step))
    return list(dict.fromkeys(k for k in order if 0 <= k < count))


def _orbit(model: Any, s: Array, z: Array, count: int) -> Array:
    """States `(count, n)` after a transient from z."""
    model = motion_of(model).sampled
    motion = motion_of(model)
    horizon = motion.late(TRANSIENT, count, 200.0, lambda: float(np.linalg.norm(model.jacobian(z, s), 2)) or 1.0)
    steps = horizon.get("steps") or len(horizon["times"]) - 1
    rows = np.tile(s, (steps, 1)) if len(s) else None
    return simulate(model, z, inputs=rows, **horizon, **motion.accuracy(1e-8)).states[-count:]
