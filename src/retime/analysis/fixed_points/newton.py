"""Fixed points of any system by Newton's method from many starts: no proof of completeness, every point verified."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.dust import without_dust
from retime.analysis.fixed_points.angles import turned
from retime.core.arrays import Array, real_array
from retime.core.clock import work_seconds
from retime.core.equation import evaluate
from retime.core.errors import ShapeError
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.reachability import Box
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.core.time import Discrete

MEMORY = 3e7  # bytes of Jacobians held at a time
MAX_ITERATIONS = 80
FAR = 1e9  # a start whose state grows beyond this, relative to where it began, has diverged
GRADIENT = 1e-6  # gradient of |G|, relative to the size of the Jacobian, below which |G| is at a local minimum
SLOW = 0.05  # a local minimum is slow when its speed is below this, relative to the median speed at random states
ROUNDING = 1e-17  # a residual below this, in the units of the tolerance, cannot be improved
NEAR = 1e-8  # solutions this close, relative to 1 + |z|, are the same
SINGULAR = 1e-7  # singular values of dG/dz below this, relative to 1 (maps) or the rate of the flow, count as zero
REPRESENTATIVES = 5  # of a continuum of fixed points
LARGEST_ERROR = 1e-3  # never merge solutions farther apart than this, relative to 1 + |z|
TRANSIENT, MEMBERS = 200, 32  # steps and initial states of the transients along which starts are collected
ROUNDS = 4  # of starts around what was found
PUSH = 0.02  # off a solution, relative to 1 + |z|, from where orbits are followed

CONVERGED, AT_MINIMUM, STALLED, DIVERGED, UNFINISHED = 1, 2, 3, 4, 0
_NAMES = {
    CONVERGED: "converged",
    AT_MINIMUM: "minimum",
    STALLED: "stalled",
    DIVERGED: "diverged",
    UNFINISHED: "unfinished",
}


class SmoothSearch(NamedTuple):
    """What a search from many starts found.

    Attributes:
        points: `(k, n)` fixed points, smallest norm first.
        residuals: `(k,)`, largest entry of |G| at each point, as evaluated.
        gaps: `(k,)`, smallest singular value of dG/dz at each point; a point is known to about residual / gap.
        null_directions: one orthonormal basis `(d, n)` per point of the directions in which fixed points continue; d = 0
            for an isolated point.
        continuum: whether any point is one of a continuum (a line attractor, say), of which a few representatives are kept.
        slow: `(j, n)` local minima of |G|, and states frozen by saturated gates, where the system is slow but does not rest;
            slowest first.
        speeds: `(j,)`, |G| there: change per step of a map, per unit of time of a flow.
        outside: how many slow points were found where no state can be (`System.reachable`); they are not listed.
        num_starts: how many starts were followed.
        endings: how many of them "converged", stopped at a "minimum" of |G| that is no solution, "stalled", "diverged" or were
            left "unfinished".
        status: `heuristic`, `time_limit` or `interrupted`.
    """

    points: Array
    residuals: Array
    gaps: Array
    null_directions: tuple[Array, ...]
    continuum: bool
    slow: Array
    speeds: Array
    outside: int
    num_starts: int
    endings: dict[str, int]
    status: SearchStatus


def search_smooth(
    model: System,
    s: Array,
    *,
    starts: Any = None,
    num_starts: int | None = None,
    tolerance: float = 1e-10,
    seed: int = 0,
    time_limit: float | None = None,
    period: Array | None = None,
) -> SmoothSearch:
    """Search the fixed points of any system with a right-hand side by damped Newton steps from many starts.

    G(z) = F(z, s) - z = 0 for a map, G(z) = F(z, s) = 0 for a flow. Where a Newton step does not lower |G|, a
    Levenberg-Marquardt step is taken. Every point is iterated until its residual no longer falls, and then verified.

    The starts, when none are given: states along transients from random initial states (a part of them with random
    pulses of input first), the same with noise, and random states. Half of the starts are kept for points between the
    fixed points that were found, where saddles lie, for their mirror images, and for where orbits go that leave them. All of
    them lie where the system's states can be in the long run (`System.reachable`), and only what is found there is listed.

    Args:
        model: a map or flow with `equation`.
        s: `(m,)`, the constant input.
        starts: `(k, n)` states of the user's; they are followed first, then copies with noise.
        num_starts: how many in total, 256 by default; at least the k given ones are followed.
        tolerance: largest entry of |G| relative to 1 + max|z| (for a flow also relative to its rate, the size of dF/dz).
        seed: of the random numbers.
        time_limit: seconds of work; None for no limit.
        period: `(n,)`, of the states that are angles, inf for the others: z and z + period are one state. None: no angles.

    Returns:
        SmoothSearch.

    Raises:
        ShapeError: starts of another size. ValueError: num_starts < 1, or starts that are not finite.

    Cost: per start and iteration a Jacobian and a solution of n linear equations; some 15 iterations per start.
    Backend: JAX in 64 bits for F and dF/dz, LAPACK. Source: sussillo2013; golub2018.
    """
    rng = np.random.default_rng(seed)
    count = 256 if num_starts is None else num_starts
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"`num_starts` is {num_starts!r}; it must be a whole number >= 1.")
    given = None if starts is None else _given(starts, model.num_states)
    deadline = math.inf if time_limit is None else work_seconds() + time_limit
    with np.errstate(all="ignore"), one_blas_thread():
        problem = Problem.of(model, np.asarray(s, dtype=np.float64), rng, period)
        none = np.zeros((0, model.num_states))
        search = _Search(problem, tolerance, rng, deadline, none, none)
        try:
            with progress("searching fixed points", int(count)) as advance:
                search.run(given, int(count), advance)
        except KeyboardInterrupt:
            search.status = SearchStatus.INTERRUPTED
        return search.result()


def _given(starts: Any, n: int) -> Array:
    z = np.atleast_2d(real_array("starts", starts))
    if z.ndim != 2 or z.shape[1] != n or len(z) == 0:
        raise ShapeError(f"`starts` has shape {np.shape(starts)}; it must be (k, {n}), one state per row.")
    return z


@dataclass
class _Search:
    """The rounds of one search, and what they have found so far."""

    problem: Problem
    tolerance: float
    rng: np.random.Generator
    deadline: float
    points: Array
    minima: Array
    usual_speed: float = math.nan
    extent: float = math.inf
    num_starts: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    status: SearchStatus = SearchStatus.HEURISTIC

    def run(self, given: Array | None, count: int, advance: Callable[[int], None]) -> None:
        """Follow `count` starts: the given or visited ones, then those around what was found."""
        pool, settled = visited_states(self.problem, self.rng) if given is None else (given, given)
        pool, settled = (np.clip(self.problem.turned(z), *self.problem.box) for z in (pool, settled))
        self.extent = 3.0 * (1.0 + float(np.median(np.abs(settled).max(axis=1, initial=0.0))))
        random = np.clip(_random_states(pool, 256, self.rng), *self.problem.box)
        if self.problem.period is not None:
            angles = np.isfinite(self.problem.period)
            random[:, angles] = self.problem.period[angles] * self.rng.uniform(-0.5, 0.5, (256, int(angles.sum())))
        speeds = np.linalg.norm(self.problem.residual(random[:64]), axis=1)
        fine = speeds[np.isfinite(speeds)]
        self.usual_speed = float(np.median(fine)) if len(fine) else 0.0
        if given is not None:
            self._follow(given, advance, is_given=True)
        self._follow(self._spread(pool, random, count)[: max(count // 2 - self.num_starts, 0)], advance)
        for k in range(ROUNDS):
            share = -(-(count - self.num_starts) // (ROUNDS - k))
            if share < 1 or self.status is not SearchStatus.HEURISTIC:
                return
            fresh = self._downhill() if k % 2 else pool[:0]
            around = np.concatenate([fresh, self._around(pool, random, share)])
            self._follow(around[:share], advance)

    def _spread(self, pool: Array, random: Array, count: int) -> Array:
        """States of the pool, the same with noise, and random states: a half, a quarter, a quarter."""
        rng = self.rng
        z = pool[np.resize(rng.permutation(len(pool)), count)]
        scale = max(pool.std(axis=0).mean(), 0.1 * (1.0 + np.abs(pool).mean()))
        noise = scale * 10.0 ** rng.uniform(-2, 0, (count, 1)) * rng.normal(size=z.shape)
        kind = np.arange(count)[:, None] % 4
        return np.where(kind == 3, random[rng.integers(len(random), size=count)], np.where(kind == 1, z + noise, z))

    def _around(self, pool: Array, random: Array, count: int) -> Array:
        """Mirror images that are solutions too (networks without bias are odd), then states between pairs of solutions."""
        known, rng = self.points, self.rng
        if len(known) < 2:
            return self._spread(pool, random, count)
        mirrored = distinct(-known, known)
        mirrored = mirrored[_is_small(self.problem, mirrored, self.problem.residual(mirrored), 1e-6)]
        i, j = rng.integers(len(known), size=(2, count))
        t = rng.uniform(0.1, 0.9, (count, 1))
        apart = np.linalg.norm(known[i] - known[j], axis=1)[:, None] / math.sqrt(known.shape[1])
        between = (1 - t) * known[i] + t * known[j] + 0.1 * apart * rng.normal(size=(count, known.shape[1]))
        return np.concatenate([mirrored, between])

    def _downhill(self) -> Array:
        """Where orbits are that left known solutions a while ago: from saddles they go to other solutions."""
        if len(self.points) == 0:
            return self.points
        known = self.points[self.rng.permutation(len(self.points))[:MEMBERS]]
        push = PUSH * (1.0 + np.abs(known).max(axis=1, keepdims=True, initial=0.0)) * self.rng.normal(size=known.shape)
        z = np.concatenate([known + push, known - push])
        s = np.broadcast_to(self.problem.s, (len(z), len(self.problem.s)))
        steps = TRANSIENT // 2 if self.problem.is_called_back else 4 * TRANSIENT
        for later in _orbit(self.problem, z, lambda k: s, steps):
            z = later
            if work_seconds() > self.deadline:
                break
        z = z[np.isfinite(self.problem.residual(z)).all(axis=1)]
        return distinct(z, self.points, 10 * PUSH)

    def _follow(self, starts: Array, advance: Callable[[int], None], *, is_given: bool = False) -> None:
        """Follow starts in groups, so that Ctrl-C and the time limit lose little; own ones from where states can be."""
        group = max(32, 2 * self.problem.block)
        starts = starts if is_given else np.clip(starts, *self.problem.box)
        for k in range(0, len(starts), group):
            rows = starts[k : k + group]
            z, ending = follow(self.problem, rows, self.tolerance, self.deadline)
            z = self.problem.turned(z)
            self.num_starts += len(rows)
            self.endings.update(_NAMES[int(e)] for e in ending)
            self.points = np.concatenate([self.points, distinct(z[ending == CONVERGED], self.points)])
            self.minima = np.concatenate([self.minima, z[ending == AT_MINIMUM]])
            advance(len(rows))
            if work_seconds() > self.deadline:
                self.status = SearchStatus.TIME_LIMIT
                return

    def result(self) -> SmoothSearch:
        """Duplicates merged, continua thinned out, everything in a fixed order."""
        inside = self.problem.box.contains(self.points)
        solved = _solutions(self.problem, self.points[inside])
        trusted = _is_trusted(self.problem, solved, self.extent)
        found = _merged(solved.take(trusted))
        isolated, null = _thinned(self.problem, found, self.rng)
        frozen = solved.z[~trusted & (np.abs(solved.z).max(axis=1, initial=0.0) <= self.extent)]
        beyond = self.points[~inside]
        slow, speeds = _slow(self.problem, np.concatenate([self.minima, frozen, beyond]), self.usual_speed)
        can_be = self.problem.box.contains(slow)
        z = without_dust(isolated.z, self._rests)
        order = _order(z)
        return SmoothSearch(
            z[order],
            self._rests(z)[order] * (1.0 + np.abs(z[order]).max(axis=1, initial=0.0)) * self.problem.rate,
            isolated.gaps[order],
            tuple(null[k] for k in order),
            any(len(v) > 0 for v in null),
            slow[can_be],
            speeds[can_be],
            int((~can_be).sum()),
            self.num_starts,
            {name: self.endings[name] for name in _NAMES.values()},
            self.status,
        )

    def _rests(self, z: Array) -> Array:
        """Largest entries `(k,)` of |G|, relative to the rate and to 1 + |z|, at states `(k, n)`."""
        size = (1.0 + np.abs(z).max(axis=1, initial=0.0)) * self.problem.rate
        return np.abs(self.problem.residual(z)).max(axis=1, initial=0.0) / size


# --- starts ----------------------------------------------------------------------------------------------------------


def visited_states(problem: Problem, rng: np.random.Generator) -> tuple[Array, Array]:
    """States `(k, n)` along transients from random initial states, for half of which the input is random at first, and the
    last ones."""
    n, m = problem.model.num_states, problem.model.num_inputs
    z = 10.0 ** rng.uniform(-1, 0.5, (MEMBERS, 1)) * rng.normal(size=(MEMBERS, n))
    s, kept = np.broadcast_to(problem.s, (MEMBERS, m)), [z]
    pulses = s + rng.normal(size=(TRANSIENT // 40, MEMBERS, m)) * (rng.random((TRANSIENT // 40, MEMBERS, m)) < 0.5)
    pulses[:, ::2] = s[::2]

    def drive(k: int) -> Array:
        return pulses[k // 20] if k // 20 < len(pulses) else s

    for k, later in enumerate(_orbit(problem, z, drive, TRANSIENT), start=1):
        z = later
        if k in (1, 2, 5, 10) or k % 20 == 0:
            kept.append(z)
    states = np.concatenate(kept)
    states = states[np.isfinite(problem.residual(states)).all(axis=1)]
    return (distinct(states, None, 1e-3) if len(states) else kept[0]), z


def _orbit(problem: Problem, z: Array, drive: Callable[[int], Array], steps: int) -> Iterator[Array]:
    """States `(b, n)` after 1, 2, ... steps: of a map, or of Heun's method with steps of half the field's shortest time."""
    first, h = z, np.zeros((len(z), 1))
    for k in range(steps):
        if not problem.is_map and k % 20 == 0:
            h = 0.5 / spectral_norms(problem.jacobian(z))[:, None]
        z = problem.right(z, drive(k)) if problem.is_map else _heun(problem, z, drive(k), h)
        z = np.where((np.abs(z) < 1e6).all(axis=1, keepdims=True), z, first)  # what escapes begins again
        yield z


def _heun(problem: Problem, z: Array, s: Array, h: Array) -> Array:
    f = problem.right(z, s)
    return z + h / 2 * (f + problem.right(z + h * f, s))


def spectral_norms(J: Array) -> Array:
    """Estimates from below, by a few power iterations, of the 2-norms `(b,)` of a stack `(b, n, n)`; at least 1e-300."""
    v = np.ones(J.shape[::2])
    for _ in range(6):
        v = np.einsum("bij,bi->bj", J, np.einsum("bij,bj->bi", J, v / np.linalg.norm(v, axis=1, keepdims=True)))
    size = np.sqrt(np.linalg.norm(v, axis=1))
    return np.where(np.isfinite(size), np.maximum(size, 1e-300), 1.0)


def _random_states(pool: Array, count: int, rng: np.random.Generator) -> Array:
    """States `(count, n)` spread like the pool, and up to three times as far."""
    spread = pool.std(axis=0)
    spread = np.where(spread > 0, spread, 0.1 * (1.0 + np.abs(pool).max(axis=0)))
    return pool.mean(axis=0) + spread * 3.0 ** rng.uniform(-1, 1, (count, 1)) * rng.normal(size=(count, pool.shape[1]))


# --- what was found --------------------------------------------------------------------------------------------------


class Solutions(NamedTuple):
    """Solutions z `(k, n)` with residuals `(k,)`, smallest `(k,)` and largest `(k,)` singular values of dG/dz."""

    z: Array
    residuals: Array
    gaps: Array
    sizes: Array

    def take(self, rows: Any) -> Solutions:
        """Some of them."""
        return Solutions(*[x[rows] for x in self])


def _solutions(problem: Problem, z: Array) -> Solutions:
    residuals = np.abs(problem.residual(z)).max(axis=1, initial=0.0)
    values = [_singular_values(problem.jacobian(z[k : k + 1])[0]) for k in range(len(z))]
    spectrum = np.array(values).reshape(z.shape)
    return Solutions(z, residuals, spectrum.min(axis=1, initial=np.inf), spectrum.max(axis=1, initial=0.0))


def _singular_values(J: Array) -> Array:
    return np.linalg.svd(J, compute_uv=False)


def _is_trusted(problem: Problem, found: Solutions, extent: float) -> Array:
    """Whether (bool) states are solutions, not states where |G| is small because it vanishes at infinity (saturated gates).

    There a Newton step would not be small. Where dG/dz is singular that says nothing: then the residual must be at
    rounding, and the state not far beyond those that the network settles in.
    """
    size = 1.0 + np.abs(found.z).max(axis=1, initial=0.0)
    unit = np.maximum(found.sizes, 1.0 if problem.is_map else problem.rate)
    is_singular = found.gaps <= SINGULAR * unit
    is_exact = (found.residuals <= 1e-13 * problem.rate * size) & (size <= extent)
    is_accurate = found.residuals <= LARGEST_ERROR * size * found.gaps
    return np.where(is_singular, is_exact, is_accurate)


def distinct(z: Array, known: Array | None = None, radius: float = NEAR) -> Array:
    """The rows of `z` `(b, n)` that are farther than radius (1 + max|z|) from those of `known` and from each other."""
    seen = np.empty((len(z) + (0 if known is None else len(known)), z.shape[1]))
    count = 0 if known is None else len(known)
    first = count
    if known is not None:
        seen[:count] = known
    for x in z:
        limit = radius * (1.0 + np.abs(x).max(initial=0.0))
        if not (np.abs(seen[:count] - x).max(axis=1, initial=0.0) <= limit).any():
            seen[count] = x
            count += 1
    return seen[first:count]


def _merged(found: Solutions) -> Solutions:
    """One of those that differ by no more than their errors, residual / gap; the most accurate one."""
    error = 8.0 * found.residuals / np.maximum(found.gaps, 1e-300)
    kept: list[int] = []
    for k in np.argsort(error, kind="stable"):
        size = 1.0 + np.abs(found.z[k]).max(initial=0.0)
        limit = np.minimum(error[k] + error[kept] + NEAR * size, LARGEST_ERROR * size)
        if not (np.abs(found.z[kept] - found.z[k]).max(axis=1, initial=0.0) <= limit).any():
            kept.append(int(k))
    return found.take(np.array(kept, dtype=np.int64))


def _order(z: Array) -> Array:
    """By norm, then entry by entry, rounded so that two searches agree."""
    scale = 1e-6 * (1.0 + np.abs(z).max(initial=0.0))
    keys = [np.round(x / scale) for x in (*z.T[::-1], np.linalg.norm(z, axis=1))]
    return np.lexsort(keys)


def _slow(problem: Problem, minima: Array, usual_speed: float) -> tuple[Array, Array]:
    """The distinct minima of |G| that are slow, and their speeds, slowest first."""
    speeds = np.linalg.norm(problem.residual(minima), axis=1)
    rows = np.flatnonzero(speeds <= SLOW * usual_speed)
    rows = rows[np.argsort(speeds[rows], kind="stable")]
    slow = distinct(minima[rows], None, 1e-3)
    return slow, np.linalg.norm(problem.residual(slow), axis=1)


# --- continua of fixed points ----------------------------------------------------------------------------------------


def _thinned(problem: Problem, found: Solutions, rng: np.random.Generator) -> tuple[Solutions, list[Array]]:
    """Isolated solutions and a few representatives of continua, with the directions in which each one continues."""
    n = found.z.shape[1]
    null: list[Array] = [np.zeros((0, n))] * len(found.z)
    unit = np.maximum(found.sizes, 1.0 if problem.is_map else problem.rate)
    singular = np.flatnonzero(found.gaps <= SINGULAR * unit)
    flat = [k for k in singular if _continues(problem, found.z[k], unit[k], rng, 1)[0]]
    chosen = _far_apart(found.z, flat)
    for k in chosen:
        null[k] = _directions(problem, found.z[k], unit[k], rng)
    dropped = set(flat) - set(chosen)
    kept = [k for k in range(len(null)) if k not in dropped]
    return found.take(np.array(kept, dtype=np.int64)), [null[k] for k in kept]


def _far_apart(z: Array, rows: list[Any]) -> list[int]:
    """At most REPRESENTATIVES of the rows: the one of least norm, then always the farthest from those chosen."""
    if not rows:
        return []
    left = [int(k) for k in rows]
    chosen = [min(left, key=lambda k: float(np.linalg.norm(z[k])))]
    while len(chosen) < min(REPRESENTATIVES, len(left)):
        chosen.append(max(left, key=lambda k: float(np.linalg.norm(z[chosen] - z[k], axis=1).min())))
    return chosen


def _null_space(problem: Problem, z: Array, unit: float) -> Array:
    _, values, V = np.linalg.svd(problem.jacobian(z[None])[0])
    return V[values <= SINGULAR * unit]


def _continues(problem: Problem, z: Array, unit: float, rng: np.random.Generator, num: int) -> tuple[bool, Array]:
    """Whether solutions lie beside z: shift it along random null directions and project back onto G = 0.

    Returns whether all `num` projections end on a solution that is shifted too, and the shifts that do `(j, n)`, relative to
    the length tried. At an isolated solution, singular or not, the projection returns to it or finds nothing.
    """
    V = _null_space(problem, z, unit)
    length = 0.01 * (1.0 + np.abs(z).max(initial=0.0))
    shifts = []
    for _ in range(num if len(V) else 0):
        c = rng.normal(size=len(V))
        x = z + length * (c @ V) / np.linalg.norm(c)
        for _ in range(12):
            G = problem.residual(x[None])
            if not np.isfinite(G).all() or _is_small(problem, x[None], G, 1e-13)[0]:
                break
            x = x - np.linalg.lstsq(problem.jacobian(x[None])[0], G[0], rcond=SINGULAR)[0]
        shift = (x - z) / length
        on_solution = _is_small(problem, x[None], problem.residual(x[None]), 1e-11)[0]
        if on_solution and 0.2 <= np.linalg.norm(shift) <= 5:
            shifts.append(shift)
    return bool(shifts) and len(shifts) == num, np.array(shifts).reshape(-1, len(z))


def _directions(problem: Problem, z: Array, unit: float, rng: np.random.Generator) -> Array:
    """An orthonormal basis `(d, n)` of the directions in which the solutions continue."""
    V = _null_space(problem, z, unit)
    everywhere, shifts = _continues(problem, z, unit, rng, min(len(V) + 1, 4))
    lengths = np.linalg.norm(shifts @ V.T, axis=1)
    if everywhere and (lengths > 0.9).all():
        return V
    _, values, basis = np.linalg.svd(shifts, full_matrices=False)
    return basis[values > 0.1 * values.max(initial=0.0)]


# --- the equation ----------------------------------------------------------------------------------------------------


@dataclass
class Problem:
    """G and its Jacobian on stacks of states, in blocks of one size so that each is compiled once."""

    model: System
    s: Array
    is_map: bool
    rate: float  # the size of dF/dz of a flow; 1 for a map
    wide: int  # rows of a block for F
    block: int  # ... and for its Jacobian
    is_called_back: bool  # whether F is Python code, some hundred times slower than compiled code
    box: Box  # where states can be in the long run
    period: Array | None = None  # of angles, inf for other states

    @classmethod
    def of(cls, model: System, s: Array, rng: np.random.Generator, period: Array | None = None) -> Problem:
        """The problem of a model with constant input; the rate of a flow is measured at random states."""
        n = model.num_states
        function = getattr(model, "_function", None)  # of a Map or VectorField
        called_back = not getattr(function, "is_traceable", True)
        most = 2 if called_back else 6  # a function in Python is called for every row of a block
        block = 1 << max(0, min(most, int(math.log2(max(1.0, MEMORY / (8 * n * n))))))
        wide = 1 << most
        is_map = isinstance(model.time, Discrete)
        problem = cls(model, s, is_map, 1.0, wide, block, called_back, model.reachable(Box.at(s)), period)
        if not is_map:
            sizes = np.linalg.norm(problem.jacobian(rng.normal(size=(8, n))), axis=(1, 2)) / math.sqrt(n)
            fine = sizes[np.isfinite(sizes) & (sizes > 0)]
            problem.rate = float(np.median(fine)) if len(fine) else 1.0
        return problem

    def right(self, z: Array, s: Array | None = None) -> Array:
        """F at states `(b, n)`; NaN where it is not defined."""
        s = self.s if s is None else s
        rows = np.broadcast_to(s, (len(z), s.shape[-1]))
        return self._in_blocks(lambda z, s: evaluate(self.model.equation, z, s), z, rows, self.wide)

    def residual(self, z: Array) -> Array:
        """G `(b, n)`: of a map F(z) - z, where angles may have gone around."""
        if not self.is_map:
            return self.right(z)
        G = self.right(z) - z
        return G if self.period is None else turned(G, self.period)

    def turned(self, z: Array) -> Array:
        """States `(b, n)` with their angles in one period around 0; those that have diverged as they are."""
        return z if self.period is None else turned(z, self.period)

    def jacobian(self, z: Array) -> Array:
        """dG/dz `(b, n, n)`."""
        rows = np.broadcast_to(self.s, (len(z), self.s.shape[-1]))
        J = np.array(self._in_blocks(self.model.jacobian, z, rows, self.block))
        if self.is_map:
            k = np.arange(z.shape[1])
            J[:, k, k] -= 1.0
        return J

    def _in_blocks(self, f: Callable[[Array, Array], Array], z: Array, s: Array, block: int) -> Array:
        parts = []
        for k in range(0, len(z), block):
            rows = np.minimum(np.arange(k, k + block), len(z) - 1)  # the last block repeats its last row
            parts.append(f(z[rows], s[rows])[: len(z) - k])
        return np.concatenate(parts) if parts else np.zeros((0, z.shape[1]))


# --- Newton's method on a stack of starts ----------------------------------------------------------------------------


@dataclass
class _Stack:
    """Starts on their way: states, residuals, damping, and how each one ended."""

    z: Array
    G: Array
    size: Array  # |G|, 2-norm
    bound: Array  # states larger than this have diverged
    damping: Array
    ending: Array


def follow(problem: Problem, starts: Array, tolerance: float, deadline: float = math.inf) -> tuple[Array, Array]:
    """Iterate from starts `(b, n)` until each ends: final states `(b, n)` and codes `(b,)`."""
    z = np.array(starts)
    G = problem.residual(z)
    b = len(z)
    bound = FAR * (1.0 + np.abs(z).max(axis=1, initial=0.0))
    stack = _Stack(z, G, np.linalg.norm(G, axis=1), bound, np.full(b, 1e-3), np.zeros(b, dtype=np.int64))
    stack.ending[~np.isfinite(G).all(axis=1)] = DIVERGED
    for _ in range(MAX_ITERATIONS):
        active = np.flatnonzero(stack.ending == UNFINISHED)
        if len(active) == 0 or work_seconds() > deadline:
            return stack.z, stack.ending
        for k in range(0, len(active), problem.block):
            _advance(problem, stack, active[k : k + problem.block], tolerance)
    stack.ending[stack.ending == UNFINISHED] = STALLED
    return stack.z, stack.ending


def _is_small(problem: Problem, z: Array, G: Array, tolerance: float) -> Array:
    limit = tolerance * problem.rate * (1.0 + np.abs(z).max(axis=1, initial=0.0))
    return np.abs(G).max(axis=1, initial=0.0) <= limit


def _advance(problem: Problem, stack: _Stack, rows: Array, tolerance: float) -> None:
    """One step of the starts `rows`."""
    J = problem.jacobian(stack.z[rows])
    fine = np.isfinite(J).all(axis=(1, 2))
    stack.ending[rows[~fine]] = DIVERGED
    rows, J = rows[fine], J[fine]
    small = _is_small(problem, stack.z[rows], stack.G[rows], tolerance)
    tiny = _is_small(problem, stack.z[rows], stack.G[rows], ROUNDING)
    before = stack.size[rows]
    todo = _newton(problem, stack, rows, J, small)
    exact = small & (todo | tiny | (stack.size[rows] > 0.5 * before))  # nothing more to gain
    stack.ending[rows[exact]] = CONVERGED
    todo &= ~small
    flat = todo & _at_minimum(J, stack.G[rows], problem.rate)
    stack.ending[rows[flat]] = AT_MINIMUM
    todo &= ~flat
    if todo.any():
        _marquardt(problem, stack, rows[todo], J[todo])
    stack.ending[rows[np.abs(stack.z[rows]).max(axis=1, initial=0.0) > stack.bound[rows]]] = DIVERGED


def _newton(problem: Problem, stack: _Stack, rows: Array, J: Array, small: Array) -> Array:
    """Newton steps of length 1, 1/2, 1/4, 1/8 until |G| falls enough; which rows (bool) found none."""
    step = -solve_stack(J, stack.G[rows])
    todo = np.asarray(np.isfinite(step).all(axis=1))
    failed = np.asarray(~todo)
    for t in (1.0, 0.5, 0.25, 0.125):
        at = np.flatnonzero(todo)
        if len(at) == 0:
            break
        better = _try(problem, stack, rows[at], step[at] * t, 1.0 - 0.2 * t)
        todo[at[better]] = False
        todo &= ~small  # near a solution only whole steps are of use
        failed[at[~better]] = True
        failed[at[better]] = False
    return failed


def _try(problem: Problem, stack: _Stack, rows: Array, step: Array, factor: float) -> Array:
    """Take the steps that lower |G| below `factor` times its value; which ones (bool)."""
    z = stack.z[rows] + step
    G = problem.residual(z)
    size = np.linalg.norm(G, axis=1)
    better = size < factor * stack.size[rows]
    taken = rows[better]
    stack.z[taken], stack.G[taken], stack.size[taken] = z[better], G[better], size[better]
    return better


def _at_minimum(J: Array, G: Array, rate: float) -> Array:
    """Whether |G| has a vanishing gradient J^T G / |G|, relative to the columns of J or to the usual size of J."""
    gradient = np.abs(np.einsum("bij,bi->bj", J, G))
    columns = np.linalg.norm(J, axis=1) * np.linalg.norm(G, axis=1)[:, None]
    usual = rate * np.linalg.norm(G, axis=1)[:, None]
    return (gradient <= GRADIENT * np.maximum(columns, usual)).all(axis=1)


def _marquardt(problem: Problem, stack: _Stack, rows: Array, J: Array) -> None:
    """A Levenberg-Marquardt step of each row; the damping follows its success."""
    JT = J.transpose(0, 2, 1)
    H, gradient = JT @ J, np.einsum("bij,bi->bj", J, stack.G[rows])
    n = H.shape[1]
    scale = np.trace(H, axis1=1, axis2=2) / n
    todo = np.arange(len(rows))
    for _ in range(4):
        A = H[todo]
        A[:, np.arange(n), np.arange(n)] += (stack.damping[rows[todo]] * scale[todo])[:, None]
        step = -solve_stack(A, gradient[todo])
        better = _try(problem, stack, rows[todo], step, 1.0)
        stack.damping[rows[todo[better]]] *= 0.2
        stack.damping[rows[todo[~better]]] *= 10.0
        todo = todo[~better]
        if len(todo) == 0:
            break
    lost = rows[todo][stack.damping[rows[todo]] > 1e8]
    stack.ending[lost] = STALLED


def solve_stack(A: Array, b: Array) -> Array:
    """x of A x = b for stacks `(k, n, n)` and `(k, n)`; NaN where A is exactly singular."""
    try:
        return np.linalg.solve(A, b[..., None])[..., 0]
    except np.linalg.LinAlgError:
        if len(A) == 1:
            return np.full_like(b, np.nan)
        half = len(A) // 2
        return np.concatenate([solve_stack(A[:half], b[:half]), solve_stack(A[half:], b[half:])])
