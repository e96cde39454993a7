"""`find_fixed_points`: all of a piecewise-affine system with a proof, those of a smooth one from many starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from retime.analysis.dust import tidy, without_dust
from retime.analysis.fixed_points.angles import checked_periods
from retime.analysis.fixed_points.boundary_stability import is_stable_around
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.leaves import TOLERANCE, Solution, Solutions, solve_region, solves
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.fixed_points.result import FixedPoints, FixedSet
from retime.analysis.fixed_points.search import GRACE, solve_all
from retime.analysis.view import AffineView, affine_view, constant_input
from retime.core.arguments import amount, seconds, seed_of, switching_of, system, whole
from retime.core.arrays import Array, real_array
from retime.core.clock import work_seconds
from retime.core.errors import ShapeError
from retime.core.method import method_of
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.searched import Searched
from retime.core.start import spread
from retime.core.states import many_states
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.core.time import CONTINUOUS, TimeBase
from retime.core.tolerances import SAME_SOLVED, same_point, size_of, sizes_of
from retime.core.trajectory import Trajectory
from retime.simulation.motion import motion_of

if TYPE_CHECKING:
    from retime.analysis.fixed_points.resting import RestingPoints

WALK = 30  # regions that one start leads through


def find_fixed_points(
    model: System,
    *,
    inputs: Any = None,
    complete: bool = True,
    time_limit: float | None = 60.0,
    node_limit: float = float("inf"),
    starts: Any = None,
    num_starts: int = 200,
    seed: int | None = 0,
    switching: str | None = None,
    period: Any = None,
    multistart: Multistart | None = None,
) -> FixedPoints:
    """Find the fixed points of a map, or the equilibria of a flow, under a constant input.

    z = F(z, s)   (maps and flows with a sample clock),    0 = F(z, s)   (continuous time)

    Piecewise-affine systems: all of them. Signs of ReLU units are fixed one at a time; a set of signs is cut off when its linear program
    (the equations without the complementarity of positive and negative parts) has no solution, shown by a row of multipliers that is
    recomputed and must exclude all solutions by a margin. What is left is solved directly. A converted flow has the same equilibria
    under both switching rules; under `switching="state"` it may also rest by sliding, where the fields on both sides of a boundary point
    against each other: those points are found by solving every piece of boundary between two regions, an eigenvalue problem each (`complete`
    then says that all were solved), or where there are too many for the time, those along which orbits slide. Points of rest on several
    boundaries at once are not searched. Smooth systems: damped Newton steps from many starts; no proof.

    Args:
        model: any retime model, or a conversion.
        inputs: `(m,)`, held for ever; None for zero.
        complete: False skips the proof and searches from starts only.
        time_limit: seconds of work for the search, None for no limit. node_limit: nodes of the search for the proof.
        starts: `(k, n)` states to start from, for searches without proof, a Trajectory (states of it), or points of results; None takes
            states that the system visits and noise around them.
        num_starts: number of starts when a search without proof begins. seed: of the random numbers, None for other ones in every call.
        switching: for converted flows, "clock" (default) or "state".
        period: smooth systems with angles: `(n,)`, the period of each state, None or inf for one that is no angle; or one number, for all
            states. States that differ by periods are one, listed with angles up to period / 2 in size; a map may send an angle once around.
        multistart: smooth systems: the thresholds of the search, `Multistart(tolerance=1e-12)` say; None for the defaults.

    Returns:
        FixedPoints: with `complete` False and a `status` when a budget ended first, Ctrl-C was pressed, or there is no proof to be had.

    Raises:
        TypeError: not a retime model. ShapeError: inputs or starts of the wrong size. ValueError: a budget that is none.

    Cost: exponential in the number of ReLU units at worst. 30 random units take some hundredths of a second, 50 about a second.
    Backend: NumPy float64 and Numba; JAX for smooth systems. Source: cottle2009, sussillo2013; docs/theory/analysis.md.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0])
        >>> points = rt.find_fixed_points(model)
        >>> len(points), int(points.stable.sum()), points.complete  # two memories, the saddle between them, and no other
        (3, 2, True)
    """
    model, seed, time_limit = system("find_fixed_points", model), seed_of(seed), seconds(time_limit)
    node_limit, num_starts = amount("node_limit", node_limit), whole("num_starts", num_starts, 1)
    switching = switching_of(model, switching)
    s, deadline = constant_input(model, inputs), work_seconds() + time_limit
    view, given = affine_view(model), real_starts(starts, model.num_states, num_starts)
    rule = method_of("multistart", multistart, Multistart)
    if view is not None:
        for name, value, what in (("period", period, " with angles"), ("multistart", multistart, "")):
            if value is not None:
                raise ValueError(
                    f"`{name}` is for smooth systems{what}; a piecewise-affine system has none. Leave it out."
                )
    with one_blas_thread():
        if view is None:
            angles = None if period is None else checked_periods(model, s, period)
            return _smooth(model, s, rule, given, (num_starts, seed, time_limit, angles))
        problem = Complementarity.of_points(view.form, s, view.form_time)
        found = Solutions([], [], SearchStatus.HEURISTIC, 0, float("nan"), 0)
        if complete:
            found = solve_all(problem, deadline=deadline, node_limit=node_limit)
        if (
            found.status in (SearchStatus.HEURISTIC, SearchStatus.TIME_LIMIT, SearchStatus.NODE_LIMIT)
            and not (found.status is SearchStatus.HEURISTIC and found.unclear)  # all but those regions are excluded
        ):
            late = max(deadline, work_seconds() + GRACE)
            extra, is_interrupted = _without_proof(view, problem, s, given, (num_starts, seed, late))
            status = SearchStatus.INTERRUPTED if is_interrupted else found.status
            found = replace(found, single=_merged(found.single, extra), status=status)
        points = _affine(model, view, problem, s, found)
        motion = motion_of(model)
        if not motion.has_choice:
            return points
        if switching != "state" or found.status is SearchStatus.INTERRUPTED:
            return replace(points, switching="clock")
        from retime.analysis.fixed_points.resting import find_resting_points

        return _with_resting(
            model, points, find_resting_points(motion.model, s, deadline if complete else 0.0, seed), s
        )


def real_starts(starts: Any, n: int, most: int) -> Array | None:
    """States to start from `(k, n)`, or None: of an array, a Trajectory (at most `most`, evenly spread over the states it visits), a
    result, or points of results.

    Raises:
        ShapeError: of another shape. ValueError: not finite.
    """
    if starts is None:
        return None
    z = real_array("starts", many_states(starts))
    if z.ndim != 2 or z.shape[1] != n or not len(z):
        raise ShapeError(f"`starts` has shape {z.shape}; it must be (k, {n}), one state per row.")
    return z[spread(z, most)] if isinstance(starts, Trajectory) and len(z) > most else z


# --- piecewise affine ----------------------------------------------------------------------------------------------------


def _without_proof(
    view: AffineView, problem: Complementarity, s: Array, starts: Array | None, options: tuple[int, int, float]
) -> tuple[list[Solution], bool]:
    """Fixed points by going from region to region until it is late: solve, read the region of the solution, solve again.

    Returns:
        what was found, and whether Ctrl-C ended it.
    """
    num_starts, seed, late = options
    rng, n = np.random.default_rng(seed), view.form.num_states
    if starts is None:
        scale = np.abs(rng.standard_cauchy((num_starts, 1))) * size_of(problem.h1)
        starts = rng.normal(size=(num_starts, n)) * scale
    found: list[Solution] = []
    patience = Patience(late)
    with patience:
        for z in starts:
            solution = _walked(view, problem, s, view.form.pattern(z, s), patience)
            if solution is not None and not solution.directions.shape[1]:
                found = _merged(found, [solution])
    return found, patience.ended is SearchStatus.INTERRUPTED


def _walked(view: AffineView, problem: Complementarity, s: Array, d: Array, patience: Patience) -> Solution | None:
    """The solution at which a walk from the region d ends; None when it ends nowhere."""
    for _ in range(WALK):
        patience.check()
        M, c = problem.region(d)
        solution = solve_region(problem, d)
        if solution is not None and solution.certain and solves(problem, solution):
            return solution
        d = view.form.pattern(np.linalg.lstsq(M, c, rcond=None)[0], s)
    return None


def _merged(found: list[Solution], extra: list[Solution]) -> list[Solution]:
    merged = list(found)
    for x in extra:
        if not any(same_point(x.z, y.z, SAME_SOLVED) for y in merged):
            merged.append(x)
    return merged


def _affine(model: System, view: AffineView, problem: Complementarity, s: Array, found: Solutions) -> FixedPoints:
    found = _verified(model, view, problem, s, found)
    form, n = view.form, view.form.num_states
    single = sorted(found.single, key=lambda x: (round(float(np.linalg.norm(x.z)), 9), *np.round(x.z, 9)))
    points = np.array([x.z for x in single]).reshape(len(single), n)
    patterns = np.array([x.bits for x in single], dtype=bool).reshape(len(single), form.num_units)
    w = np.array([_spectrum(view, d) for d in patterns], dtype=complex).reshape(len(single), n)
    stable = np.array([stable_around(view, x) for x in single], dtype=bool)
    continua = tuple(FixedSet(x.z, x.directions, x.bits, _spectrum(view, x.bits)) for x in found.continua)
    return FixedPoints(
        points, w, stable, patterns, found.status is SearchStatus.COMPLETE, np.array([x.near.any() for x in single], dtype=bool),
        _residuals(model, view, problem, points, s), Searched(model, s).outputs(points),
        continua, np.zeros((0, n)), np.zeros(0), found.status, _message(found, problem), found.nodes, found.remaining,
        view.dt, np.full(len(single), -1), reach=found.reach, searched=Searched(model, s),
    )  # fmt: skip


def _verified(model: System, view: AffineView, problem: Complementarity, s: Array, found: Solutions) -> Solutions:
    """What was found, without points that the model itself moves (a proof then has regions that are unclear), and without dust."""

    def rests(z: Array) -> Array:
        return _residuals(model, view, problem, z, s)

    z = without_dust(np.array([x.z for x in found.single]).reshape(-1, model.num_states), rests)
    fine = rests(z) <= TOLERANCE
    single = [replace(x, z=at) for x, at, keep in zip(found.single, z, fine, strict=True) if keep]
    is_proven = found.status is SearchStatus.COMPLETE
    status = SearchStatus.HEURISTIC if is_proven and not fine.all() else found.status
    unclear = found.unclear + int((~fine).sum()) if is_proven or found.unclear else 0
    return replace(found, single=single, status=status, unclear=unclear)


def _with_resting(model: System, points: FixedPoints, resting: RestingPoints, s: Array) -> FixedPoints:
    """The list with the points at which orbits rest by sliding."""
    rows, n = [r for r in resting.found if r.residual <= TOLERANCE], model.num_states
    unclear = len(resting.found) - len(rows)
    ends = [np.append(ordered(tidy(r.rates), CONTINUOUS), -np.inf if r.attracts else np.inf) for r in rows]
    w = np.array(ends, dtype=complex).reshape(-1, n)
    more = {
        "points": np.array([r.z for r in rows]).reshape(-1, n),
        "eigenvalues": w,
        "stable": np.array([r.attracts for r in rows], dtype=bool) & CONTINUOUS.is_stable(w),
        "patterns": np.array([r.bits for r in rows], dtype=bool).reshape(-1, points.patterns.shape[1]),
        "on_boundary": np.ones(len(rows), dtype=bool),
        "residuals": np.array([r.residual for r in rows]),
        "sliding_units": np.array([r.unit for r in rows], dtype=int),
    }
    every = np.concatenate([points.points, more["points"]])
    order = np.lexsort(np.round(np.column_stack([every, np.linalg.norm(every, axis=1)]), 9).T)
    joined: dict[str, Any] = {name: np.concatenate([getattr(points, name), x])[order] for name, x in more.items()}
    is_all = resting.solved == resting.total and not unclear
    text = f"{len(rows) or 'none'} of them by sliding (" + (
        f"all {resting.total} pieces of boundary solved)"
        if is_all
        else f"{unclear} more whose field double precision cannot tell from zero to 1e-8 (1 + |z|): no proof)"
        if unclear
        else f"{resting.solved} of {resting.total} pieces of boundary solved: no proof that there are no others)"
    )
    left = 0.0 if is_all else 1.0 - resting.solved / resting.total
    return replace(
        points,
        **joined,
        complete=points.complete and is_all,
        outputs=Searched(model, s).outputs(every[order]),
        status=points.status if is_all or not points.complete else SearchStatus.HEURISTIC,
        message=f"{points.message}; {text}",
        remaining=float(np.fmax(points.remaining, left)),
        switching="state",
    )


def _residuals(model: System, view: AffineView, problem: Complementarity, points: Array, s: Array) -> Array:
    """How far each point is from rest, relative to 1 + |z|: under the model's own step or field, of a converted flow under its map."""
    if not len(points):
        return np.zeros(0)
    own, time = view.at_rest(model)
    size = sizes_of(points) * time.scale(problem.rate)
    return np.abs(time.motion(own.apply(points, s), points)).max(axis=1, initial=0.0) / size


def _spectrum(view: AffineView, bits: Array) -> Array:
    """Eigenvalues of one region `(n,)`, slowest first."""
    return ordered(view.eigenvalues(bits[None])[0], view.time)


def ordered(w: Array, time: TimeBase) -> Array:
    """Eigenvalues with the slowest mode first; of a conjugate pair the one with positive imaginary part first."""
    return w[np.lexsort((-np.imag(w), -np.round(time.sizes(w), 12)))]


def stable_around(view: AffineView, x: Solution) -> bool:
    """Whether a point is stable: by the spectrum of its region, or on a boundary by orbits from all sides."""
    if not x.near.any():
        return bool(view.time.is_stable(view.eigenvalues(x.bits[None]))[0])
    return view.is_iterated_form and is_stable_around(view.form, view.form_time, x.bits, x.near)


def _message(found: Solutions, problem: Complementarity) -> str:
    q = len(problem.deciding)
    if found.status is SearchStatus.COMPLETE:
        text = f"complete: the other regions of 2^{q} are excluded ({found.nodes} nodes of a search tree){scope(found.reach)}"
    elif found.status is SearchStatus.HEURISTIC and found.unclear:
        one = found.unclear == 1
        text = f"not complete: {found.unclear} region{'' if one else 's'} unclear, whose solution{'' if one else 's'} double precision "
        text += f"cannot tell (|F(z) - z| > 1e-8 (1 + |z|), or nearly singular); all others are excluded{scope(found.reach)}"
    elif found.status is SearchStatus.HEURISTIC:
        return "found from starts, no proof that there are no others"
    else:
        end = {"time_limit": "time", "node_limit": "the budget of nodes", "interrupted": "patience (Ctrl-C)"}[
            found.status
        ]
        left = f"{found.remaining:.2g} of all patterns, {found.nodes} nodes"
        text = f"not complete: {end} ended with {found.num_open} branches of the search tree open ({left})"
    if found.continua:
        text += f"; fixed points fill a set of dimension {max(c.directions.shape[1] for c in found.continua)} in {len(found.continua)} regions"
    return text


def scope(reach: float) -> str:
    """The size of preactivations up to which a proof holds, as a clause; nothing where it holds for all."""
    return f", for preactivations up to {reach:.2g}" if reach < np.inf else ""


# --- smooth --------------------------------------------------------------------------------------------------------------


def _smooth(
    model: System, s: Array, method: Multistart, starts: Array | None, options: tuple[int, int, float, Array | None]
) -> FixedPoints:
    from retime.analysis.fixed_points.multistart import search_smooth

    num, seed, limit, angles = options
    found = search_smooth(
        model, s, starts=starts, num_starts=num, method=method, seed=seed, time_limit=limit, period=angles
    )
    n = model.num_states
    alone = np.array([not len(v) for v in found.null_directions], dtype=bool).reshape(-1)
    J = model.jacobian(found.points, s) if len(found.points) else np.zeros((0, n, n))
    w = [ordered(tidy(np.linalg.eigvals(M)), model.time) for M in J]
    none = np.zeros(0, dtype=bool)
    continua = tuple(FixedSet(found.points[k], found.null_directions[k].T, none, w[k]) for k in np.flatnonzero(~alone))
    points = found.points[alone]
    eigenvalues = np.array([x for x, keep in zip(w, alone, strict=True) if keep], dtype=complex).reshape(-1, n)
    size = sizes_of(points)
    return FixedPoints(
        points, eigenvalues, model.time.is_stable(eigenvalues), np.zeros((len(points), 0), dtype=bool), False,
        np.zeros(len(points), dtype=bool), found.residuals[alone] / size,
        Searched(model, s).outputs(points),
        continua, found.slow, found.speeds, found.status, _smooth_message(found), found.num_starts, float("nan"), model.time.step,
        np.full(len(points), -1), outside=found.outside, multistart=method, searched=Searched(model, s),
    )  # fmt: skip


_ENDINGS = {
    "converged": "reached a fixed point",
    "minimum": "ended where the motion is slowest nearby, no fixed point",
    "stalled": "came no nearer to one",
    "diverged": "left for infinity",
    "unfinished": "were not followed to the end",
}
"""What the searches from single starts came to, in words."""


def _smooth_message(found: Any) -> str:
    endings = "; ".join(f"{count} {_ENDINGS[name]}" for name, count in found.endings.items() if count)
    text = f"from {found.num_starts} starts ({endings}), no proof that there are no others"
    if len(found.slow):
        text += f"; {len(found.slow)} slow point{'s' * (len(found.slow) != 1)}"
    if found.outside:
        text += (
            f"; {found.outside} slow point{'s' * (found.outside != 1)} left out, where no state can be in the long run"
        )
    if found.continuum:
        text += "; some fixed points are not isolated: a few of each continuum are kept"
    end = {"time_limit": "time ended", "interrupted": "interrupted"}.get(found.status)
    return f"{end}; {text}" if end else text
