"""Fixed points of smooth systems: Newton from many starts, until no start finds a new one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.dust import without_dust
from retime.analysis.fixed_points.continua import thinned
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.fixed_points.newton import (
    AT_MINIMUM,
    CONVERGED,
    NAMES,
    Problem,
    Solutions,
    distinct,
    follow,
    is_small,
    solutions,
)
from retime.core.arguments import whole
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.core.tolerances import size_of, sizes_of


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
    method: Multistart | None = None,
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
        method: the thresholds; None for the defaults.
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
    count = whole("num_starts", 256 if num_starts is None else num_starts, 1)
    given = None if starts is None else _given(starts, model.num_states)
    patience = Patience.lasting(math.inf if time_limit is None else time_limit)
    with np.errstate(all="ignore"), one_blas_thread():
        problem = Problem.of(model, np.asarray(s, dtype=np.float64), rng, period, method)
        none = np.zeros((0, model.num_states))
        search = _Search(problem, problem.method, rng, patience, none, none)
        with patience, progress("searching fixed points", count) as advance:
            search.run(given, count, advance)
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
    method: Multistart
    rng: np.random.Generator
    patience: Patience
    points: Array
    minima: Array
    usual_speed: float = math.nan
    extent: float = math.inf
    num_starts: int = 0
    endings: Counter[str] = field(default_factory=Counter)

    def run(self, given: Array | None, count: int, advance: Callable[[int], None]) -> None:
        """Follow `count` starts: the given or visited ones, then those around what was found."""
        pool, settled = self._visited() if given is None else (given, given)
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
        for k in range(self.method.rounds):
            share = -(-(count - self.num_starts) // (self.method.rounds - k))
            if share < 1:
                return
            fresh = self._downhill() if k % 2 else pool[:0]
            around = np.concatenate([fresh, self._around(pool, random, share)])
            self._follow(around[:share], advance)

    def _visited(self) -> tuple[Array, Array]:
        """States `(k, n)` along transients from random initial states, for half of which the input is random at first, and the last
        ones."""
        problem, rng, members, steps = self.problem, self.rng, self.method.members, self.method.transient
        n, m = problem.model.num_states, problem.model.num_inputs
        z = 10.0 ** rng.uniform(-1, 0.5, (members, 1)) * rng.normal(size=(members, n))
        s, kept = np.broadcast_to(problem.s, (members, m)), [z]
        pulses = s + rng.normal(size=(steps // 40, members, m)) * (rng.random((steps // 40, members, m)) < 0.5)
        pulses[:, ::2] = s[::2]

        def drive(k: int) -> Array:
            return pulses[k // 20] if k // 20 < len(pulses) else s

        for k, later in enumerate(_orbit(problem, z, drive, steps), start=1):
            z = later
            if k in (1, 2, 5, 10) or k % 20 == 0:
                kept.append(z)
        states = np.concatenate(kept)
        states = states[np.isfinite(problem.residual(states)).all(axis=1)]
        return (distinct(states, None, 1e-3) if len(states) else kept[0]), z

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
        mirrored = distinct(-known, known, self.method.same)
        mirrored = mirrored[is_small(self.problem, mirrored, self.problem.residual(mirrored), 1e-6)]
        i, j = rng.integers(len(known), size=(2, count))
        t = rng.uniform(0.1, 0.9, (count, 1))
        apart = np.linalg.norm(known[i] - known[j], axis=1)[:, None] / math.sqrt(known.shape[1])
        between = (1 - t) * known[i] + t * known[j] + 0.1 * apart * rng.normal(size=(count, known.shape[1]))
        return np.concatenate([mirrored, between])

    def _downhill(self) -> Array:
        """Where orbits are that left known solutions a while ago: from saddles they go to other solutions."""
        if len(self.points) == 0:
            return self.points
        known = self.points[self.rng.permutation(len(self.points))[: self.method.members]]
        push = self.method.push * sizes_of(known)[:, None] * self.rng.normal(size=known.shape)
        z = np.concatenate([known + push, known - push])
        s = np.broadcast_to(self.problem.s, (len(z), len(self.problem.s)))
        steps = self.method.transient // 2 if self.problem.is_called_back else 4 * self.method.transient
        for later in _orbit(self.problem, z, lambda k: s, steps):
            z = later
            if self.patience.is_over():
                break
        z = z[np.isfinite(self.problem.residual(z)).all(axis=1)]
        return distinct(z, self.points, 10 * self.method.push)

    def _follow(self, starts: Array, advance: Callable[[int], None], *, is_given: bool = False) -> None:
        """Follow starts in groups, so that Ctrl-C and the time limit lose little; own ones from where states can be."""
        group = max(32, 2 * self.problem.block)
        starts = starts if is_given else np.clip(starts, *self.problem.box)
        for k in range(0, len(starts), group):
            rows = starts[k : k + group]
            z, ending = follow(self.problem, rows, self.method, self.patience.deadline)
            z = self.problem.turned(z)
            self.num_starts += len(rows)
            self.endings.update(NAMES[int(e)] for e in ending)
            fresh = distinct(z[ending == CONVERGED], self.points, self.method.same)
            self.points = np.concatenate([self.points, fresh])
            self.minima = np.concatenate([self.minima, z[ending == AT_MINIMUM]])
            advance(len(rows))
            self.patience.check()

    def result(self) -> SmoothSearch:
        """Duplicates merged, continua thinned out, everything in a fixed order."""
        inside = self.problem.box.contains(self.points)
        solved = solutions(self.problem, self.points[inside])
        trusted = _is_trusted(self.problem, solved, self.extent)
        found = _merged(solved.take(trusted), self.method)
        isolated, null = thinned(self.problem, found, self.rng)
        frozen = solved.z[~trusted & (np.abs(solved.z).max(axis=1, initial=0.0) <= self.extent)]
        beyond = self.points[~inside]
        slow, speeds = _slow(
            self.problem, np.concatenate([self.minima, frozen, beyond]), self.method.slow * self.usual_speed
        )
        can_be = self.problem.box.contains(slow)
        z = without_dust(isolated.z, self._rests)
        order = _order(z)
        return SmoothSearch(
            z[order],
            self._rests(z)[order] * sizes_of(z[order]) * self.problem.rate,
            isolated.gaps[order],
            tuple(null[k] for k in order),
            any(len(v) > 0 for v in null),
            slow[can_be],
            speeds[can_be],
            int((~can_be).sum()),
            self.num_starts,
            {name: self.endings[name] for name in NAMES.values()},
            self.patience.ended or SearchStatus.HEURISTIC,
        )

    def _rests(self, z: Array) -> Array:
        """Largest entries `(k,)` of |G|, relative to the rate and to 1 + |z|, at states `(k, n)`."""
        size = sizes_of(z) * self.problem.rate
        return np.abs(self.problem.residual(z)).max(axis=1, initial=0.0) / size


def _orbit(problem: Problem, z: Array, drive: Callable[[int], Array], steps: int) -> Iterator[Array]:
    """States `(b, n)` after 1, 2, ... steps: of a map, or of Heun's method with steps of half the field's shortest time."""
    first, h = z, 1.0
    for k in range(steps):
        if k % 20 == 0:
            h = problem.time.scale(lambda z=z: 0.5 / spectral_norms(problem.jacobian(z))[:, None])
        s = drive(k)
        z = problem.time.advanced(lambda z, s=s: problem.right(z, s), z, h)
        z = np.where((np.abs(z) < 1e6).all(axis=1, keepdims=True), z, first)  # what escapes begins again
        yield z


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
    spread = np.where(spread > 0, spread, 0.1 * sizes_of(pool, 0))
    return pool.mean(axis=0) + spread * 3.0 ** rng.uniform(-1, 1, (count, 1)) * rng.normal(size=(count, pool.shape[1]))


def _is_trusted(problem: Problem, found: Solutions, extent: float) -> Array:
    """Whether (bool) states are solutions, not states where |G| is small because it vanishes at infinity (saturated gates).

    There a Newton step would not be small. Where dG/dz is singular that says nothing: then the residual must be at
    rounding, and the state not far beyond those that the network settles in.
    """
    size = sizes_of(found.z)
    unit = np.maximum(found.sizes, problem.time.scale(problem.rate))
    is_singular = found.gaps <= problem.method.singular * unit
    is_exact = (found.residuals <= 1e-13 * problem.rate * size) & (size <= extent)
    is_accurate = found.residuals <= problem.method.apart * size * found.gaps
    return np.where(is_singular, is_exact, is_accurate)


def _merged(found: Solutions, method: Multistart) -> Solutions:
    """One of those that differ by no more than their errors, residual / gap; the most accurate one."""
    error = 8.0 * found.residuals / np.maximum(found.gaps, 1e-300)
    kept: list[int] = []
    for k in np.argsort(error, kind="stable"):
        size = size_of(found.z[k])
        limit = np.minimum(error[k] + error[kept] + method.same * size, method.apart * size)
        if not (np.abs(found.z[kept] - found.z[k]).max(axis=1, initial=0.0) <= limit).any():
            kept.append(int(k))
    return found.take(np.array(kept, dtype=np.int64))


def _order(z: Array) -> Array:
    """By norm, then entry by entry, rounded so that two searches agree."""
    scale = 1e-6 * size_of(z)
    keys = [np.round(x / scale) for x in (*z.T[::-1], np.linalg.norm(z, axis=1))]
    return np.lexsort(keys)


def _slow(problem: Problem, minima: Array, limit: float) -> tuple[Array, Array]:
    """The distinct minima of |G| that are slow, and their speeds, slowest first."""
    speeds = np.linalg.norm(problem.residual(minima), axis=1)
    rows = np.flatnonzero(speeds <= limit)
    rows = rows[np.argsort(speeds[rows], kind="stable")]
    slow = distinct(minima[rows], None, 1e-3)
    return slow, np.linalg.norm(problem.residual(slow), axis=1)
