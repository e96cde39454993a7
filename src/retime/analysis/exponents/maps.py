"""Growth of tangent vectors along orbits of maps and clock-held flows: products of step matrices.

The matrices of switched systems are compiled; Jacobians of smooth maps are computed by JAX in bulk.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from retime.analysis.exponents.growth import RECORDS, Growth, starting_vectors, sums
from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.equation import double_precision
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import TrajectoryStatus
from retime.core.threads import cores
from retime.simulation import products, smooth
from retime.simulation.motion import Steps
from retime.simulation.run import Runs, map_runs

ENTRIES = 2**25  # of all step matrices of one chunk of an orbit
STEPS = 2**15  # of one chunk, at most: between chunks a bar advances and Ctrl-C is heard
SAME_STEP = 1e-9  # largest difference of a flow's step from its map's, relative, up to which they share an orbit
MANY = 64  # states, from which on few vectors are followed without matrices
TINY = 1e-300  # length of a vector that stands for 0


@dataclass
class _Chunk:
    """Some steps of an orbit."""

    steps: products.Steps
    volume: float
    length: int  # steps before the orbit ended
    states: Array  # (length + 1, n)
    runs: Runs


@dataclass
class _MapOrbit:
    """A map, or a flow sampled by its clock, run chunk by chunk."""

    motion: Steps
    dt: float
    z: Array
    rows: Array  # (steps + 1, 1, m)
    with_volume: bool
    at: int = 0

    def take(self, count: int) -> _Chunk:
        """The next steps and their matrices."""
        rows = self.rows[self.at : self.at + count + 1]
        states, runs, matrices, index = self._run(rows)
        length = len(index)
        fine = np.asarray(np.isfinite(matrices).all(axis=(1, 2)))[index]
        if not fine.all():
            length = int(np.argmin(fine))
            runs.statuses[0], runs.messages[0] = TrajectoryStatus.DIVERGED, "the derivative is not a number there"
            runs.status_times[0] = self.dt * length
            states, index = states[: length + 1], index[:length]
        volume = float("nan")
        if self.with_volume and length:
            with np.errstate(all="ignore"):
                volume = float(np.linalg.slogdet(matrices)[1][index].sum())
        self.z, self.at = states[-1], self.at + length
        runs.status_times[0] += self.dt * (self.at - length)
        return _Chunk(products.Steps(matrices, index, matrices[:1], index[:1]), volume, length, states, runs)

    def _run(self, rows: Array) -> tuple[Array, Runs, Array, Array]:
        """States while they are finite, the run, and the step matrices with the index of each step's.

        A clock-held flow equals its map at the samples: where its regions reproduce the map's to rounding, the map's orbit is its
        orbit (rounded otherwise), and exponents of both are those of one orbit.
        """
        motion, form = self.motion, self.motion.own_map
        if form is not None:
            runs = map_runs(form, self.z[None], self.dt, rows)
            states, length = _finite(runs)
            index, first = products.numbered(runs.patterns[:length, 0].view(np.uint8))
            patterns = runs.patterns[first, 0]
            steps = np.array([r.transition for r in motion.model.convert(patterns)])
            own = np.concatenate([x if x.ndim == 3 else x[..., None] for x in _maps(form, patterns)], axis=2)
            if length and np.abs(steps - own).max() <= SAME_STEP * max(1.0, np.abs(own).max()):
                return states, runs, np.ascontiguousarray(steps[:, :, 1 : 1 + len(self.z)]), index
        runs = motion.runs(self.z[None], rows)
        states, length = _finite(runs)
        return states, runs, *motion.step_matrices(states[:-1], runs.patterns[:length, 0], rows[:length, 0])


def _finite(runs: Runs) -> tuple[Array, int]:
    """The states before a run ended, and how many steps that are."""
    length = len(runs.states) - 1
    if runs.statuses[0] is not TrajectoryStatus.COMPLETED:
        length = max(int(np.isfinite(runs.states[:, 0]).all(axis=1).sum()) - 1, 0)
    return runs.states[: length + 1, 0], length


def _maps(form: PiecewiseAffineForm, patterns: Array) -> tuple[Array, Array, Array]:
    """c, M, E of the map's regions, in the order of `RegionFlow.transition`."""
    M, c, E = form.regions(patterns)
    return c, M, E


def _with_words(steps: products.Steps, longest: int) -> tuple[products.Steps, int]:
    """Products of 2, 4, 8, ... steps that come again and again, up to `longest` steps; and how long they are."""
    words, index, length = steps.matrices, steps.numbers, 1
    while 2 * length <= longest:
        pairs = index[: len(index) // 2 * 2].reshape(-1, 2)
        if len(pairs) == 0:
            break
        new, first = products.numbered(pairs)
        if 4 * len(first) > len(pairs):
            break
        words, index, length = words[pairs[first, 1]] @ words[pairs[first, 0]], new, 2 * length
    return steps._replace(words=np.ascontiguousarray(words), word_index=index), length


@dataclass
class _Vectors:
    """Tangent vectors on their way through chunks, on all cores."""

    Q: Array  # (n, B, 4)
    num: int
    pace: int = 0
    failures: int = 0  # parts whose guess did not serve; after three of them one core does the work

    def follow(self, chunk: _Chunk, record: int, pool: ThreadPoolExecutor) -> Array:
        """Logarithms of growth `(K, p)` per record of `record` steps."""
        edges = np.append(np.arange(0, chunk.length, record), chunk.length)
        if self.pace == 0:
            probe = self._work(chunk.steps, 1, np.array([0, min(chunk.length, 256)]), 0, 1)
            self.pace = probe.run(self.Q.copy(), 4)
        steps, word = _with_words(chunk.steps, max(self.pace // 3, 1))
        K = len(edges) - 1
        parts = min(cores(), K // 4) if self.failures < 3 and chunk.length >= 2000 else 1
        bounds = np.linspace(0, K, max(parts, 1) + 1).astype(int)
        works = [self._work(steps, word, edges, a, b) for a, b in pairwise(bounds)]
        guesses = [self.Q.copy() for _ in works]
        paces = list(pool.map(lambda w, Q: w.run(Q, self.pace), works, guesses))
        self.Q = guesses[0]
        for work, guess in zip(works[1:], guesses[1:], strict=True):
            self.Q, is_good = work.repair(self.Q, guess, self.pace)
            self.failures += not is_good
        self.pace = max(paces[-1], 1)
        return np.concatenate([w.growth[w.first : w.last] for w in works])

    def _work(self, steps: products.Steps, word: int, edges: Array, first: int, last: int) -> _Work:
        n, B, _ = self.Q.shape
        levels = max(int(last - first), 1).bit_length()
        checks, work = np.zeros((levels, n, B, 4)), np.zeros((2, n, B, 4))
        return _Work(steps, word, edges, first, last, np.zeros((len(edges) - 1, self.num)), checks, work)


@dataclass
class _Work:
    """One core's part of a chunk: records first..last - 1."""

    steps: products.Steps
    word: int
    edges: Array
    first: int
    last: int
    growth: Array
    checks: Array
    work: Array

    def _given(self, Q: Array) -> tuple[Any, ...]:
        return self.steps, self.word, self.edges, self.first, self.last, Q, self.growth, self.checks, self.work

    def run(self, Q: Array, pace: int) -> int:
        """Follow Q; returns the pace reached."""
        return products.follow_records(*self._given(Q), pace)

    def repair(self, Q: Array, guess: Array, pace: int) -> tuple[Array, bool]:
        """Follow the true vectors until they agree with the guessed ones: the vectors at the end, and whether they did.

        From the record on where they agree to 1e-9, the growth is as good as the same.
        """
        good = products.repair_records(*self._given(Q), pace)
        return (guess, True) if good < self.last else (Q, False)


def map_growth(motion: Steps, z0: Array, rows: Array, transient: int, num: int, patience: Patience) -> Growth:
    """Growth along the orbit of a map or of a clock-held flow with inputs `(steps + 1, 1, m)`; the first `transient` steps are
    not measured.

    The orbit of the next chunk is computed while the vectors of this one are followed. Each core takes a part of a chunk with
    guessed vectors; then the true ones are followed from its beginning until they agree with those.
    """
    n, steps, dt = len(z0), len(rows) - 1, motion.clock.dt
    size = int(np.clip(ENTRIES // (8 if motion.is_compiled else 1) // n**2, 1, STEPS))
    record = min(_whole_words(-(-(steps - transient) // RECORDS)), size)
    schedule = list(_schedule(transient, steps, size, record))
    orbit = _MapOrbit(motion, dt, z0, rows, num == n)
    vectors = _Vectors(products.blocked(starting_vectors(n, num)), num)
    found, runs, at = Growth.none(num, z0), None, 0
    with ThreadPoolExecutor(cores() + 1) as pool, progress("measuring", steps) as advance, patience:
        ahead: Future[_Chunk] = pool.submit(orbit.take, schedule[0][0])
        for k, (count, is_measured) in enumerate(schedule):
            chunk = ahead.result()
            runs = chunk.runs
            if chunk.length == count and k + 1 < len(schedule):
                ahead = pool.submit(orbit.take, schedule[k + 1][0])
            if chunk.length:
                new = vectors.follow(chunk, record, pool)
                if is_measured:
                    edges = np.append(np.arange(0, chunk.length, record), chunk.length)
                    found.add(new, dt * np.diff(edges), chunk.volume)
            found.end, at = chunk.states[-1], at + chunk.length
            advance(chunk.length)
            if chunk.length < count or k + 1 == len(schedule):
                break
            patience.check()
    return found.finished(patience, dt * at, runs)


def _whole_words(record: int) -> int:
    """A number of steps that words of 2, 4, 8 or 16 steps fill."""
    return record if record < 16 else -(-record // 16) * 16


def _schedule(transient: int, steps: int, size: int, record: int) -> Iterator[tuple[int, bool]]:
    """Lengths of chunks, and whether they are measured: whole records but for the last."""
    for at in range(0, transient, size):
        yield min(size, transient - at), False
    size = size // record * record
    for at in range(transient, steps, size):
        yield min(size, steps - at), True


def is_slim(motion: Steps, num: int) -> bool:
    """Whether to follow vectors by directional derivatives instead of matrices."""
    n = motion.model.num_states
    return n > MANY and 8 * num <= n and motion.has_equation


def slim_growth(model: Any, z0: Array, rows: Array, transient: int, num: int, patience: Patience) -> Growth | None:
    """Growth along the orbit of a map, orthonormalized after every step; one compiled loop.

    None where a step takes so much of a vector that rounding and zero are alike: `map_growth` tells them apart by the matrix.
    """
    n, steps = model.num_states, len(rows) - 1
    record = -(-(steps - transient) // RECORDS)
    e, z, Q = model.equation, z0, starting_vectors(n, num)
    parts, found, at = [np.zeros((0, num))], Growth.none(num, z0), 0
    with double_precision(), progress("measuring", steps) as advance, patience:
        while at < steps and found.status is TrajectoryStatus.COMPLETED:
            if at:
                patience.check()
            block = rows[at : min(at + smooth.CHUNK, steps), 0]
            z, Q, grown, fine, states = _tangent_scan()(e.function, e.parameters, z, Q, block)
            good = int(np.argmin(fine)) if not np.all(fine) else len(block)
            parts.append(np.asarray(grown)[:good])
            if _has_lost(parts[-1]):
                return None
            at += good
            found.end = np.asarray(states)[good - 1] if good else found.end
            if good < len(block):
                found.status, found.message = TrajectoryStatus.DIVERGED, "a state exceeded 1e150 or is not a number"
                found.status_time = model.dt * (at + 1)
            advance(good)
    logs = np.concatenate(parts)[transient:]
    found.add(sums(logs, record), model.dt * sums(np.ones(len(logs)), record), float("nan"))
    return found.finished(patience, model.dt * at)


def _has_lost(logs: Array) -> bool:
    """Whether a step takes one vector to rounding of another one, or all of them to nothing."""
    return bool(len(logs)) and bool((np.ptp(logs, axis=1) > -np.log(products.LOST)).any() or logs.min() <= np.log(TINY))


@cache
def _tangent_scan() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, Q: Any, rows: Any) -> Any:
        def step(carry: Any, s: Any) -> Any:
            z, Q = carry
            new, derivative = jax.linearize(lambda z: function(jnp, p, z, s), z)
            Q, R = jnp.linalg.qr(jax.vmap(derivative, in_axes=1, out_axes=1)(Q))
            fine = (jnp.abs(new).max() < smooth.LIMIT) & jnp.isfinite(R).all()
            lengths = jnp.maximum(jnp.abs(jnp.diagonal(R)), TINY)
            return (new, Q), (jnp.log(lengths), fine, new)

        (z, Q), (logs, fine, states) = jax.lax.scan(step, (z, Q), rows)
        return z, Q, logs, fine, states

    return jax.jit(run, static_argnums=0)
