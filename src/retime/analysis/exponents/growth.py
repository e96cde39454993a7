"""Growth of tangent vectors along an orbit, whatever the system: maps, flows with switches, smooth flows.

Every way returns a `Growth`: logarithms of growth per record, a record being a stretch of the orbit. Maps and clock-held flows
are products of step matrices (compiled); so are smooth maps, whose Jacobians JAX computes in bulk. Flows whose region is read
from the state are followed from switch to switch. Smooth flows are solved together with their vectors by Diffrax.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.equation import double_precision
from retime.core.function import UserFunction
from retime.core.progress import progress
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.core.system import PiecewiseAffineSystem, System
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation import events, products, saltation, smooth
from retime.simulation.arrays import form_arrays
from retime.simulation.boundaries import set_side
from retime.simulation.run import Runs, _flow_region, _own_region, clock_runs, map_runs, state_job
from retime.simulation.smooth import scan_runs
from retime.simulation.taylor import ROWS

RECORDS = 1024  # stretches of the orbit whose growth is kept
ENTRIES = 2**25  # of all step matrices of one chunk of an orbit
STEPS = 2**15  # of one chunk, at most: between chunks a bar advances and Ctrl-C is heard
SAME_STEP = 1e-9  # largest difference of a flow's step from its map's, relative, up to which they share an orbit
MANY = 64  # states, from which on few vectors are followed without matrices
TINY = 1e-300  # length of a vector that stands for 0
SHARPEST = 1e-2  # smooth flows: growth of the last vector over that of the first, per interval, at least


@dataclass
class Growth:
    """How tangent vectors grew.

    Attributes:
        durations: `(K,)`, model time of each record.
        logs: `(K, p)`, logarithm of the growth of each vector.
        volume: sum of log|det| of all steps that were measured, found without the vectors; NaN where it is not known.
        end: `(n,)`, the last state.
        status, status_time, message: how the orbit ended.
        ended: `interrupted` or `time_limit` where the work was cut short, else None.
        reached: model time of the orbit that was followed then, what was not measured included.
        noise: 1 / model time, what a solver's tolerance may add to every exponent.
    """

    durations: Array
    logs: Array
    volume: float
    end: Array
    status: TrajectoryStatus = TrajectoryStatus.COMPLETED
    status_time: float = float("nan")
    message: str = ""
    ended: SearchStatus | None = None
    reached: float = 0.0
    noise: float = 0.0


class _TimeIsUp(Exception):
    pass


class Patience:
    """Until when to work: `with patience:` ends quietly at Ctrl-C, or when `check` finds that time is up; `ended` says which."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline, self.ended = deadline, None

    def check(self) -> None:
        """To be called between parts of the work."""
        if work_seconds() >= self.deadline:
            raise _TimeIsUp

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *rest: Any) -> bool:
        if kind is _TimeIsUp:
            self.ended = SearchStatus.TIME_LIMIT
        elif kind is KeyboardInterrupt:
            self.ended = SearchStatus.INTERRUPTED
        return kind in (_TimeIsUp, KeyboardInterrupt)


def starting_vectors(num_states: int, num: int) -> Array:
    """Random orthonormal vectors `(n, p)`, the same in every call.

    Unit vectors would be wrong: where units do not act on each other they keep the order of the units until rounding turns them
    to that of the exponents.
    """
    return np.linalg.qr(np.random.default_rng(0).normal(size=(num_states, num)))[0]


def _sums(logs: Array, steps: int) -> Array:
    """Rows summed `steps` at a time."""
    return np.add.reduceat(logs, np.arange(0, len(logs), steps), axis=0) if len(logs) else logs


# --- maps: products of step matrices -----------------------------------------------------------------------------------


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

    model: System
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
            runs.status_times[0] = self.model.dt * length
            states, index = states[: length + 1], index[:length]
        volume = float("nan")
        if self.with_volume and length:
            with np.errstate(all="ignore"):
                volume = float(np.linalg.slogdet(matrices)[1][index].sum())
        self.z, self.at = states[-1], self.at + length
        runs.status_times[0] += self.model.dt * (self.at - length)
        return _Chunk(products.Steps(matrices, index, matrices[:1], index[:1]), volume, length, states, runs)

    def _run(self, rows: Array) -> tuple[Array, Runs, Array, Array]:
        """States while they are finite, the run, and the step matrices with the index of each step's.

        A clock-held flow equals its map at the samples: where its regions reproduce the map's to rounding, the map's orbit is its
        orbit (rounded otherwise), and exponents of both are those of one orbit.
        """
        model = self.model
        if isinstance(model, PiecewiseAffineFlow):
            runs = map_runs(model.canonical, self.z[None], model.dt, rows)
            states, length = _finite(runs)
            index, first = _numbered(runs.patterns[:length, 0].view(np.uint8))
            patterns = runs.patterns[first, 0]
            steps = np.array([r.transition for r in model.convert(patterns)])
            own = np.concatenate([x if x.ndim == 3 else x[..., None] for x in _maps(model, patterns)], axis=2)
            if length and np.abs(steps - own).max() <= SAME_STEP * max(1.0, np.abs(own).max()):
                return states, runs, np.ascontiguousarray(steps[:, :, 1 : 1 + len(self.z)]), index
        runs = _map_runs(model, self.z[None], rows)
        states, length = _finite(runs)
        return states, runs, *_step_matrices(model, states[:-1], runs.patterns[:length, 0], rows[:length, 0])


def _finite(runs: Runs) -> tuple[Array, int]:
    """The states before a run ended, and how many steps that are."""
    length = len(runs.states) - 1
    if runs.statuses[0] is not TrajectoryStatus.COMPLETED:
        length = max(int(np.isfinite(runs.states[:, 0]).all(axis=1).sum()) - 1, 0)
    return runs.states[: length + 1, 0], length


def _maps(flow: PiecewiseAffineFlow, patterns: Array) -> tuple[Array, Array, Array]:
    """c, M, E of the map's regions, in the order of `RegionFlow.transition`."""
    M, c, E = flow.canonical.regions(patterns)
    return c, M, E


def _map_runs(model: Any, z: Array, rows: Array) -> Runs:
    if isinstance(model, (PiecewiseAffineFlow, RegionwiseMap)):
        flow = model.flow if isinstance(model, RegionwiseMap) else model
        return clock_runs(flow, z, 0.0, np.arange(len(rows)), rows)
    if isinstance(model, PiecewiseAffineSystem):
        return map_runs(model.canonical, z, model.dt, rows)
    return scan_runs(model, z, rows)


def _step_matrices(model: Any, states: Array, patterns: Array, inputs: Array) -> tuple[Array, Array]:
    """Matrices `(r, n, n)` and for every step which one: one per region for piecewise-affine systems, else one per step."""
    if len(states) == 0:
        return np.zeros((0, model.num_states, model.num_states)), np.zeros(0, dtype=np.int64)
    if not isinstance(model, (PiecewiseAffineFlow, RegionwiseMap, PiecewiseAffineSystem)):
        return state_jacobians(model, states, inputs), np.arange(len(states))
    index, first = _numbered(patterns.view(np.uint8))
    if isinstance(model, PiecewiseAffineSystem):
        return model.canonical.regions(patterns[first]).M, index
    flow, n = (model.flow if isinstance(model, RegionwiseMap) else model), model.num_states
    regions = flow.convert(patterns[first])
    return np.array([r.transition[:, 1 : 1 + n] for r in regions]), index


def _numbered(rows: Array) -> tuple[Array, Array]:
    """The number of each row `(T,)` and where each number is seen first."""
    T = len(rows)
    rows = np.ascontiguousarray(rows).view(np.uint8).reshape(T, -1)  # bytes, of patterns and of pairs of numbers
    index, first = np.empty(T, dtype=np.int64), np.empty(T, dtype=np.int64)
    slots = np.full(1 << (2 * T).bit_length(), -1)
    count = products.number_rows(rows, index, first, slots)
    return index, first[:count]


def _with_words(steps: products.Steps, longest: int) -> tuple[products.Steps, int]:
    """Products of 2, 4, 8, ... steps that come again and again, up to `longest` steps; and how long they are."""
    words, index, length = steps.matrices, steps.numbers, 1
    while 2 * length <= longest:
        pairs = index[: len(index) // 2 * 2].reshape(-1, 2)
        if len(pairs) == 0:
            break
        new, first = _numbered(pairs)
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
        cores = os.cpu_count() or 1
        parts = min(cores, K // 4) if self.failures < 3 and chunk.length >= 2000 else 1
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

    def run(self, Q: Array, pace: int) -> int:
        """Follow Q; returns the pace reached."""
        return products.follow_records(
            self.steps, self.word, self.edges, self.first, self.last, Q, self.growth, self.checks, self.work, pace
        )

    def repair(self, Q: Array, guess: Array, pace: int) -> tuple[Array, bool]:
        """Follow the true vectors until they agree with the guessed ones: the vectors at the end, and whether they did.

        From the record on where they agree to 1e-9, the growth is as good as the same.
        """
        good = products.repair_records(
            self.steps, self.word, self.edges, self.first, self.last, Q, self.growth, self.checks, self.work, pace
        )
        return (guess, True) if good < self.last else (Q, False)


def map_growth(model: Any, z0: Array, rows: Array, transient: int, num: int, patience: Patience) -> Growth:
    """Growth along the orbit of a map or of a clock-held flow with inputs `(steps + 1, 1, m)`; the first `transient` steps are
    not measured.

    The orbit of the next chunk is computed while the vectors of this one are followed. Each core takes a part of a chunk with
    guessed vectors; then the true ones are followed from its beginning until they agree with those.
    """
    n, steps = model.num_states, len(rows) - 1
    smooth_map = not isinstance(model, (PiecewiseAffineFlow, RegionwiseMap, PiecewiseAffineSystem))
    size = int(np.clip(ENTRIES // (8 if smooth_map else 1) // n**2, 1, STEPS))
    record = min(_whole_words(-(-(steps - transient) // RECORDS)), size)
    schedule = list(_schedule(transient, steps, size, record))
    orbit, vectors = _MapOrbit(model, z0, rows, num == n), _Vectors(products.blocked(starting_vectors(n, num)), num)
    logs, durations, volume, end = [np.zeros((0, num))], [np.zeros(0)], 0.0, z0
    runs, at = None, 0
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool, progress("measuring", steps) as advance, patience:
        ahead: Future[_Chunk] = pool.submit(orbit.take, schedule[0][0])
        for k, (count, is_measured) in enumerate(schedule):
            chunk = ahead.result()
            runs = chunk.runs
            if chunk.length == count and k + 1 < len(schedule):
                ahead = pool.submit(orbit.take, schedule[k + 1][0])
            if chunk.length:
                new = vectors.follow(chunk, record, pool)
                if is_measured:
                    logs.append(new)
                    durations.append(model.dt * np.diff(np.append(np.arange(0, chunk.length, record), chunk.length)))
                    volume += chunk.volume
            end, at = chunk.states[-1], at + chunk.length
            advance(chunk.length)
            if chunk.length < count or k + 1 == len(schedule):
                break
            patience.check()
    return _growth(runs, durations, logs, volume, end, patience, model.dt * at)


def _whole_words(record: int) -> int:
    """A number of steps that words of 2, 4, 8 or 16 steps fill."""
    return record if record < 16 else -(-record // 16) * 16


def _growth(
    runs: Any, durations: list[Array], logs: list[Array], volume: float, end: Array, patience: Patience, reached: float
) -> Growth:
    found = Growth(np.concatenate(durations), np.concatenate(logs), volume, end, ended=patience.ended, reached=reached)
    if runs is not None:
        found.status, found.status_time, found.message = runs.statuses[0], float(runs.status_times[0]), runs.messages[0]
    return found


def _schedule(transient: int, steps: int, size: int, record: int) -> Iterator[tuple[int, bool]]:
    """Lengths of chunks, and whether they are measured: whole records but for the last."""
    for at in range(0, transient, size):
        yield min(size, transient - at), False
    size = size // record * record
    for at in range(transient, steps, size):
        yield min(size, steps - at), True


def state_jacobians(model: System, states: Array, inputs: Array) -> Array:
    """dF/dz `(T, n, n)` at states `(T, n)` and inputs `(T, m)`."""
    e = model.equation
    padded = 1 << (len(states) - 1).bit_length()  # few sizes are compiled
    rows = [np.concatenate([x, np.repeat(x[-1:], padded - len(x), axis=0)]) for x in (states, inputs)]
    with double_precision():
        return np.asarray(_differentiator()(e.function, e.parameters, *rows))[: len(states)]


@cache
def _differentiator() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any) -> Any:
        return jax.vmap(jax.jacfwd(lambda z, s: function(jnp, p, z, s)))(z, s)

    return jax.jit(run, static_argnums=0)


# --- maps of many states and few vectors: derivatives along the vectors -------------------------------------------------


def is_slim(model: System, num: int) -> bool:
    """Whether to follow vectors by directional derivatives instead of matrices."""
    return (
        model.num_states > MANY
        and 8 * num <= model.num_states
        and not isinstance(model, (PiecewiseAffineFlow, RegionwiseMap))
    )


def slim_growth(model: Any, z0: Array, rows: Array, transient: int, num: int, patience: Patience) -> Growth | None:
    """Growth along the orbit of a map, orthonormalized after every step; one compiled loop.

    None where a step takes so much of a vector that rounding and zero are alike: `map_growth` tells them apart by the matrix.
    """
    n, steps = model.num_states, len(rows) - 1
    record = -(-(steps - transient) // RECORDS)
    e, z, Q = model.equation, z0, starting_vectors(n, num)
    parts, end, at = [np.zeros((0, num))], z0, 0
    runs = Growth(np.zeros(0), np.zeros((0, num)), float("nan"), z0)
    with double_precision(), progress("measuring", steps) as advance, patience:
        while at < steps and runs.status is TrajectoryStatus.COMPLETED:
            if at:
                patience.check()
            block = rows[at : min(at + smooth.CHUNK, steps), 0]
            z, Q, found, fine, states = _tangent_scan()(e.function, e.parameters, z, Q, block)
            good = int(np.argmin(fine)) if not np.all(fine) else len(block)
            parts.append(np.asarray(found)[:good])
            if _has_lost(parts[-1]):
                return None
            at += good
            end = np.asarray(states)[good - 1] if good else end
            if good < len(block):
                runs.status, runs.message = TrajectoryStatus.DIVERGED, "a state exceeded 1e150 or is not a number"
                runs.status_time = model.dt * (at + 1)
            advance(good)
    logs = np.concatenate(parts)[transient:]
    counts = _sums(np.ones(len(logs)), record)
    return Growth(
        model.dt * counts,
        _sums(logs, record),
        float("nan"),
        end,
        runs.status,
        runs.status_time,
        runs.message,
        patience.ended,
        model.dt * at,
    )


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


# --- flows whose region is read from the state --------------------------------------------------------------------------


def switched_growth(
    model: Any, z0: Array, span: tuple[float, float], drive: Any, transient: float, num: int, patience: Patience
) -> Growth:
    """Growth along an orbit whose region is read from the state; `drive` as for `state_runs`.

    The orbit is simulated event by event; then state and vectors are taken from event to event, across each switch by its
    saltation matrix, and the state is set anew at samples. Simulation and vectors take turns, several times a second.
    """
    n = model.num_states
    provide = _flow_region(model) if isinstance(model, PiecewiseAffineFlow) else _own_region(model.canonical)
    times, marks = _anchors(model, z0, span, transient, drive, provide)
    job = state_job(model, z0[None], times, drive)
    vectors = _SwitchedVectors(model, provide, times, marks, drive, z0, num)
    with patience:
        for r in job.paused(num):
            vectors.follow(job.runs, _Seen.of_record(r), False)
            patience.check()
        vectors.follow(job.runs, _Seen.of_runs(job.runs), True)
    durations, logs, volume = vectors.measured(span[0] + transient)
    if vectors.has_auxiliary or num < n:
        volume = float("nan")
    end, reached = vectors.flight.y[:n].copy(), vectors.time - span[0]
    return _growth(job.runs, [durations], [logs], volume, end, patience, reached)


class _Seen(NamedTuple):
    """What a simulation has found: how many samples and up to which time they are final, switches, slides `(k, 3)`."""

    samples: int
    time: float
    at: Array
    unit: Array
    slides: Array

    @classmethod
    def of_record(cls, r: events.Record) -> _Seen:
        """While it goes on: sliding that has not ended yet has end inf."""
        switches, slides, now = r.integers[events.SWITCHES], r.slides[: r.integers[events.SLIDES]], r.reals[events.TIME]
        if r.integers[events.SLIDING] >= 0:
            slides = np.vstack([slides, [r.reals[events.SLIDE_START], np.inf, r.integers[events.SLIDING]]])
        return cls(
            int(r.integers[events.NEXT_TIME]), float(now), r.switch_times[:switches], r.switch_units[:switches], slides
        )

    @classmethod
    def of_runs(cls, runs: Runs) -> _Seen:
        good = int(np.isfinite(runs.states[:, 0]).all(axis=1).sum())
        return cls(good, np.inf, np.asarray(runs.switches[0][0]), np.asarray(runs.switches[1][0]), runs.sliding[0])


class _SwitchedVectors:
    """Tangent vectors on their way along an orbit that is being simulated, part by part.

    A part goes from behind one anchor up to and including another; what happens at the instant of the last belongs to the next.
    """

    def __init__(self, model: Any, provide: Any, times: Array, marks: Array, drive: Any, z0: Array, num: int) -> None:
        self.model, self.provide, self.times, self.marks, self.drive = model, provide, times, marks, drive
        K = max(int(marks.max()) + 1, 0)
        self.growth, self.volumes, self.records = np.zeros((K, num)), np.zeros(K), 0
        self.flight = _flight(len(z0), num, drive[1].shape[2], z0)
        self.anchors, self.switches, self.time, self.piece = 0, 0, float(times[0]), 0
        self.pattern, self.slider = np.zeros(model.num_units, dtype=np.uint8), -1
        self.jumps, self.has_auxiliary = _jumps(drive), False

    def follow(self, runs: Runs, seen: _Seen, is_last: bool) -> None:
        """Take the vectors to the last anchor whose past is final."""
        count = int(np.searchsorted(self.times[: seen.samples], seen.time))
        if count <= self.anchors:
            return
        if self.anchors == 0:
            self.pattern = np.asarray(runs.patterns[0, 0], dtype=np.uint8)
        at, codes, patterns = self._events(seen, count, is_last)
        when = np.append(self.time, at)
        e, codes, has_auxiliary = _fields(self.model, self.provide, when, codes, patterns, self.drive)
        part = saltation.Events(at, codes[1:])
        samples = np.ascontiguousarray(runs.states[:count, 0])
        self.piece = saltation.follow_events(
            e, part, samples, codes[0].copy(), self.flight, self.growth, self.volumes, self.time, self.piece
        )
        self.records = max(int(self.marks[:count].max(initial=-1)) + 1, 0)
        self.anchors, self.time = count, float(self.times[count - 1])
        self.pattern, self.has_auxiliary = patterns[-1], self.has_auxiliary or has_auxiliary

    def measured(self, begin: float) -> tuple[Array, Array, float]:
        """Durations `(K,)`, logarithms `(K, p)` and volume of the records, the one that was not finished included."""
        K = self.records
        ends = np.append(begin, self.times[np.flatnonzero(self.marks >= 0)[:K]])
        logs, volume = self.growth[:K], float(self.volumes[:K].sum())
        if self.time > ends[-1]:
            w = self.flight
            saltation.orthonormalize_rows(w, len(w.y), 0.0)
            ends, logs, volume = np.append(ends, self.time), np.vstack([logs, w.logs]), volume + float(w.reals[0])
        return np.diff(ends), logs, volume

    def _events(self, seen: _Seen, count: int, is_last: bool) -> tuple[Array, Array, Array]:
        """Event times `(E,)` of the part, codes `(1 + E, 5)` with indices of patterns in place of regions, the first that of
        the beginning, and the patterns `(k, q)`."""
        begin, end = self.time, float(self.times[count - 1])

        def inside(t: Array) -> Array:
            return (t >= begin) & ((t <= end) if is_last else (t < end))

        last = int(np.searchsorted(seen.at, end, side="right" if is_last else "left"))
        at, unit = seen.at[self.switches : last], seen.unit[self.switches : last]
        flips = np.zeros((len(at) + 1, len(self.pattern)), dtype=np.uint8)
        flips[0] = self.pattern
        flips[np.arange(1, len(at) + 1), unit] = 1
        patterns = np.bitwise_xor.accumulate(flips, axis=0)
        anchors = range(self.anchors, count)
        rows = [(float(self.times[k]), 0, (saltation.ANCHOR, k, int(self.marks[k]), -1, -1)) for k in anchors]
        starts, slides = self.drive[0][1:], seen.slides
        rows += [(float(t), 1, (saltation.INPUT, 0, 0, -1, -1)) for t in starts[inside(starts)]]
        first = (saltation.SWITCH, 0, 0, self.slider, -1)
        begins = {float(s[0]): int(s[2]) for s in slides[inside(slides[:, 0])]}
        ends = {float(t) for t in slides[inside(slides[:, 1]), 1]}
        found, self.slider = turns(self.model.canonical, at, unit, begins, ends, self.jumps, self.slider)
        for t, code in found:
            if self.anchors == 0 and t == begin and code[3] >= 0:
                first = code
            else:
                rows.append((t, 2, code))
        rows.sort(key=lambda row: row[:2])
        self.switches = last
        return np.array([r[0] for r in rows]), np.array([first, *[r[2] for r in rows]], dtype=np.int64), patterns


def _anchors(
    model: Any, z0: Array, span: tuple[float, float], transient: float, drive: Any, provide: Any
) -> tuple[Array, Array]:
    """Sample times, and for each the record that ends there (-1: none, -2: measuring begins)."""
    starts, values, slopes = drive
    s = values[0, 0] + slopes[0, 0] * (span[0] - starts[0])
    data, extra = provide(model.canonical.pattern(z0, s))
    alpha = float(data[-1, 0])
    length = span[1] - span[0]
    spacing = length / 64 if extra < 0 or alpha == 0 else max(min(4 / alpha, length / 64), length / 2**20)
    before, after = max(round(transient / spacing), int(transient > 0)), max(round((length - transient) / spacing), 1)
    begin = span[0] + transient
    times = np.concatenate([np.linspace(span[0], begin, before + 1)[:-1], np.linspace(begin, span[1], after + 1)])
    marks, per = np.full(len(times), -1), -(-after // RECORDS)
    last = np.append(np.arange(before + per, before + after, per), before + after)
    marks[last], marks[before] = np.arange(len(last)), -2
    return times, marks


def _jumps(drive: Any) -> set[float]:
    """Times at which the input jumps."""
    starts, values, slopes = drive
    before = values[:-1, 0] + slopes[:-1, 0] * np.diff(starts)[:, None]
    return set(starts[1:][(before != values[1:, 0]).any(axis=1)].tolist())


def turns(
    form: Any, at: Array, unit: Array, begins: dict[float, int], ends: set[float], jumps: set[float], slider: int
) -> tuple[list[tuple[float, tuple[int, int, int, int, int]]], int]:
    """What happens at each instant at which units switch or sliding begins or ends: (time, code); and the unit that slides then.

    Units that switch at one instant with parallel boundaries are one switch; others follow one another. What shares the boundary along
    which the orbit slides goes with it. Units across whose boundary the map does not change make no switch.
    """
    instants = sorted({*map(float, at), *begins, *ends})
    found, k, idle = [], 0, form.idle[0]
    for t in instants:
        group, index = [], []
        while k < len(at) and at[k] == t:
            if not idle[unit[k]]:
                group.append(int(unit[k]))
                index.append(k + 1)
            k += 1
        if not group and t not in begins and t not in ends:
            continue
        was, slider = slider, begins.get(t, -1 if t in ends else slider)
        others = [i for i in group if was < 0 or not _parallel(form.W2[[i, was]])]
        normals = [slider] if slider >= 0 and slider != was else others[:1]
        separate = slider < 0 and was < 0 and len(group) > 1 and not _parallel(form.W2[group])
        if t in jumps:
            normals, separate = [], False
        if separate:
            last = [j + 1 == len(group) or not _parallel(form.W2[group[j : j + 2]]) for j in range(len(group))]
            found += [(t, (saltation.SWITCH, index[j], 0, -1, group[j])) for j in np.flatnonzero(last).tolist()]
        else:
            found.append((t, (saltation.SWITCH, k, 0, slider, normals[0] if normals else -1)))
    return found, slider


def _parallel(rows: Array) -> bool:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return bool((np.abs(np.abs(unit @ unit[0]) - 1) < 1e-12).all())


def _fields(
    model: Any, provide: Any, times: Array, codes: Array, patterns: Array, drive: Any
) -> tuple[saltation.Field, Array, bool]:
    """The regions met, the codes `(k, 5)`, those of `times` `(k,)`, with their numbers, and whether one has auxiliary states."""
    form, codes = model.canonical, codes.copy()
    turning = codes[:, saltation.KIND] == saltation.SWITCH
    sides = np.repeat(patterns[codes[turning, 1]][:, None], 2, axis=1)
    slider = codes[turning, 3]
    sliding = np.flatnonzero(slider >= 0)
    f = form_arrays(form)
    for k in sliding:
        piece = max(int(np.searchsorted(drive[0], times[turning][k], side="right")) - 1, 0)
        slope = drive[2][piece, 0]
        s = np.array([drive[1][piece, 0] + slope * (times[turning][k] - drive[0][piece]), slope])
        for side in (0, 1):
            set_side(f, s, sides[k, side : side + 1], int(slider[k]), on=bool(side))
    flat = sides.reshape(-1, form.num_units)
    index, first = _numbered(flat)
    codes[turning, 1:3] = index.reshape(-1, 2)
    if isinstance(model, PiecewiseAffineFlow):
        model.convert(flat[first])
    found = [provide(flat[i].astype(bool)) for i in first]
    rows, width = max(len(d) for d, _ in found), max(d.shape[1] for d, _ in found)
    data = np.zeros((len(found), rows, width))
    for k, (d, _) in enumerate(found):
        data[k, : len(d), : d.shape[1]] = d
    extra = np.array([x for _, x in found])
    W2, C2T, starts, values, slopes = (
        np.array(x, order="C") for x in (form.W2, form.C2.T, drive[0], drive[1][:, 0], drive[2][:, 0])
    )
    return saltation.Field(data, extra, W2, C2T, starts, values, slopes), codes, bool((extra > 0).any())


def _flight(n: int, num: int, m: int, z: Array) -> saltation.Flight:
    V = np.zeros((num, 2 * n))
    V[:, :n] = starting_vectors(n, num).T
    y = np.zeros(2 * n)
    y[:n] = z
    f, g, h, zero = np.zeros((4, 2 * n))
    Y = np.zeros((2 * n, (num + 3) // 4, 4))
    c, s = np.zeros((ROWS, 2 * n)), np.zeros((2, m))
    r, again, dead, logs = np.zeros((4, num))
    return saltation.Flight(y, V, f, g, h, zero, c, s, Y, r, again, dead, logs, np.zeros(2))


# --- smooth flows -------------------------------------------------------------------------------------------------------

INTERVALS = 256  # per compiled call
LARGEST_INTERVAL = 1.0
FEWEST_INTERVALS = 128  # of an orbit: windows of 1/64 of it hold two


def smooth_growth(
    model: Any,
    z0: Array,
    span: tuple[float, float],
    drive: Any,
    transient: float,
    num: int,
    solver: Any,
    tolerance: float,
    patience: Patience,
) -> Growth:
    """Growth along the orbit of a smooth flow: state and vectors solved together, orthonormalized after intervals that are
    shortened until the vectors' lengths differ by at most a factor of 100, so that the solver's error stays small in each.

    With all n vectors the integral of the divergence is solved as well. `drive`: pieces of the input, a function, or None.
    """
    solve = _SmoothRun(model, drive, solver, tolerance, num)
    z, Q = z0, starting_vectors(model.num_states, num)
    t, begin = span[0], span[0] + transient
    step = min(LARGEST_INTERVAL, (span[1] - span[0]) / FEWEST_INTERVALS)
    durations, logs, volume, end, taken = [], [np.zeros((0, num))], 0.0, z0, 0.0
    found = Growth(np.zeros(0), logs[0], float("nan"), z0)
    with double_precision(), progress("measuring", 1000) as advance, patience:
        while t < span[1]:
            if t > span[0]:
                patience.check()
            stop = begin if t < begin else span[1]
            grid = solve.grid(t, min(stop, t + step * INTERVALS), step)
            new, ratio, reason = solve(z, Q, grid)
            if ratio < SHARPEST and step > 1e-6 * (span[1] - span[0]) and reason is None and len(new.logs):
                step *= max(0.2, 0.8 * np.log(SHARPEST) / np.log(max(ratio, 1e-300)))
                continue
            z, Q = new.z, new.Q
            if t >= begin:
                durations.append(np.diff(grid)[: len(new.logs)])
                logs.append(new.logs)
                volume, taken = volume + new.volume, taken + new.steps
            end, t = z, float(grid[len(new.logs)])
            advance(int(1000 * (grid[len(new.logs)] - grid[0]) / (span[1] - span[0])))
            if reason is not None:
                found.status, found.message = reason
                found.status_time = t
                break
            longest = min(LARGEST_INTERVAL, (span[1] - span[0]) / FEWEST_INTERVALS)
            step = min(step * (1.5 if ratio > 5 * SHARPEST else 1.0), longest)
    found.durations, found.logs = _thinned(
        np.concatenate(durations) if durations else np.zeros(0), np.concatenate(logs)
    )
    found.volume, found.end = volume if num == len(z0) else float("nan"), end
    found.ended, found.reached = patience.ended, t - span[0]
    found.noise = tolerance * taken / found.durations.sum() if taken else 0.0
    return found


def _thinned(durations: Array, logs: Array) -> tuple[Array, Array]:
    per = max(-(-len(logs) // RECORDS), 1)
    return _sums(durations, per), _sums(logs, per)


@dataclass
class _Solved:
    z: Array
    Q: Array
    logs: Array
    volume: float
    steps: float  # of the solver


@dataclass
class _SmoothRun:
    """A smooth flow's compiled run over intervals."""

    model: Any
    drive: Any
    solver: Any
    tolerance: float
    num: int

    def grid(self, start: float, stop: float, step: float) -> Array:
        """Ends of at most `INTERVALS` intervals of about `step`, broken where the input's formula changes."""
        count = max(int(np.ceil((stop - start) / step - 1e-9)), 1)
        grid = np.linspace(start, stop, count + 1)
        if isinstance(self.drive, smooth.Drive):
            breaks = self.drive.starts[(self.drive.starts > start) & (self.drive.starts < stop)]
            grid = np.union1d(grid, breaks)
        return grid[: INTERVALS + 1]

    def __call__(self, z: Array, Q: Array, grid: Array) -> tuple[_Solved, float, Any]:
        """The run, the smallest ratio of growths of an interval, and (status, message) where it ended early."""
        k, m = len(grid) - 1, self.model.num_inputs
        padded = np.append(grid, np.full(INTERVALS - k, grid[-1]))
        starts = padded[:-1]
        s, slope = np.zeros((INTERVALS, m)), np.zeros((INTERVALS, m))
        if isinstance(self.drive, smooth.Drive):
            i = np.maximum(np.searchsorted(self.drive.starts, starts, side="right") - 1, 0)
            slope = self.drive.slopes[i, 0]
            s = self.drive.values[i, 0] + slope * (starts - self.drive.starts[i])[:, None]
        function = self.drive if isinstance(self.drive, UserFunction) else None
        e = self.model.equation
        xs = (starts, padded[1:], s, slope)
        states, vectors, logs, volumes, codes, taken = (
            np.asarray(x)
            for x in _intervals()(e.function, e.parameters, function, self.solver, z, Q, xs, np.array(self.tolerance))
        )
        bad = (
            (codes[:k] != smooth._DONE)
            | ~(np.abs(states[:k]) < smooth.LIMIT).all(axis=1)
            | ~np.isfinite(logs[:k]).all(axis=1)
        )
        good = int(np.argmax(bad)) if bad.any() else k
        reason = smooth._REASONS[int(codes[good])] if good < k else None
        spread = logs[:good].max(axis=1) - logs[:good].min(axis=1) if good else np.zeros(1)
        solved = _Solved(
            states[good - 1] if good else z,
            vectors[good - 1] if good else Q,
            logs[:good],
            float(volumes[:good].sum()),
            float(taken[:good].sum()),
        )
        return solved, float(np.exp(-spread.max())), reason


@cache
def _intervals() -> Any:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    @eqx.filter_jit
    def run(function: Any, p: Any, drive: Any, solver: Any, z: Any, Q: Any, xs: Any, tolerance: Any) -> Any:
        solve = _augmented(function, p, drive, solver, Q.shape, tolerance)

        def interval(carry: Any, x: Any) -> Any:
            z, Q, first = carry
            start, stop, s, slope = x

            def work() -> Any:
                return solve(z, Q, start, stop, s, slope, first)

            def rest() -> Any:
                return z, Q, jnp.zeros(Q.shape[1]), 0.0, smooth._DONE, first

            z, Q, logs, volume, code, first = jax.lax.cond(stop > start, work, rest)
            return (z, Q, first), (z, Q, logs, volume, code, (stop - start) / first)

        _, found = jax.lax.scan(interval, (z, Q, xs[1][0] - xs[0][0]), xs)
        return found

    return run


def _augmented(function: Any, p: Any, drive: Any, solver: Any, shape: tuple[int, int], tolerance: Any) -> Any:
    """The solver of one interval: new state, vectors, logarithms of growth, integral of the divergence, code, first step."""
    import diffrax
    import jax
    import jax.numpy as jnp

    from retime.simulation.steps import step_control

    n, num = shape

    def rates(t: Any, y: Any, x: Any) -> Any:
        start, s, slope = x
        held = s + slope * (t - start) if drive is None else drive(t[None])
        f = lambda z: function(jnp, p, z, held)  # noqa: E731
        z, Q = y[:n], y[n : n + n * num].reshape(n, num)
        if num == n:
            J = jax.jacfwd(f)(z)
            return jnp.concatenate([f(z), (J @ Q).reshape(-1), jnp.trace(J)[None]])
        rate, derivative = jax.linearize(f, z)
        return jnp.concatenate([rate, jax.vmap(derivative, in_axes=1, out_axes=1)(Q).reshape(-1), jnp.zeros(1)])

    def solve(z: Any, Q: Any, start: Any, stop: Any, s: Any, slope: Any, first: Any) -> Any:
        control = step_control(tolerance, start, stop)
        y = jnp.concatenate([z, Q.reshape(-1), jnp.zeros(1)])
        solution: Any = diffrax.diffeqsolve(
            diffrax.ODETerm(rates), solver, start, stop, jnp.minimum(first, stop - start), y, args=(start, s, slope),
            stepsize_controller=control, max_steps=smooth.MAX_STEPS, throw=False, adjoint=diffrax.ForwardMode(),
        )  # fmt: skip
        code = jnp.where(solution.result == diffrax.RESULTS.max_steps_reached, smooth._MANY, smooth._DONE)
        code = jnp.where(solution.result == diffrax.RESULTS.dt_min_reached, smooth._SMALL, code)
        y, used = solution.ys[-1], (stop - start) / jnp.maximum(solution.stats["num_accepted_steps"], 1)
        Q, R = jnp.linalg.qr(y[n : n + n * num].reshape(n, num))
        return y[:n], Q, jnp.log(jnp.abs(jnp.diagonal(R))), y[-1], code, used

    return solve
