"""Runs of one initial state each, by the compiled kernels, spread over the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.distinct import distinct_rows
from retime.core.progress import progress
from retime.core.status import TrajectoryStatus
from retime.core.threads import cores
from retime.models import PiecewiseAffineFlow
from retime.simulation import record
from retime.simulation.arrays import RegionTable, form_arrays
from retime.simulation.events import advance_members
from retime.simulation.horizon import Drive
from retime.simulation.iterate import clock_steps, iterate
from retime.simulation.taylor import flow_samples

PIECES = 2**22  # of an event-driven flow of one state, between two looks at the clock


@dataclass
class Runs:
    """Results of b initial states: states `(T, b, n)`, patterns bool `(T, b, q)`, switches, and how each one ended.

    `switches` is (times, units), each a list of b arrays, or a function that finds them when they are asked for.
    """

    states: Array
    patterns: Array
    switches: Any
    sliding: list[Array]
    statuses: list[TrajectoryStatus]
    status_times: Array
    messages: list[str]


def fresh_runs(states: Array, patterns: Array, switches: Any) -> Runs:
    """Runs that have all completed."""
    b = states.shape[1]
    completed = [TrajectoryStatus.COMPLETED] * b
    return Runs(states, patterns, switches, [np.zeros((0, 3))] * b, completed, np.full(b, np.nan), [""] * b)


def stop_member(runs: Runs, member: int, status: TrajectoryStatus, time: float, message: str) -> None:
    """Note that a member ended early, when and why."""
    runs.statuses[member], runs.status_times[member], runs.messages[member] = status, time, message


def over_blocks(count: int, label: str, work: Callable[[int, int], None], stop: Event | None = None) -> None:
    """`work(first, last)` on blocks of members, in threads: the kernels release the interpreter lock.

    `stop` is set when one of them fails, and by Ctrl-C: work that lasts looks at it.
    """
    threads = cores()
    blocks = min(count, 4 * threads) if threads > 1 and count > 1 else 1
    edges = np.linspace(0, count, blocks + 1).astype(int)
    with progress(label, count) as advance:

        def one(k: int) -> None:
            work(int(edges[k]), int(edges[k + 1]))
            advance(int(edges[k + 1] - edges[k]))

        if blocks == 1:
            one(0)
            return
        with ThreadPoolExecutor(min(threads, blocks)) as pool:
            try:
                list(pool.map(one, range(blocks)))
            except BaseException:
                if stop is not None:
                    stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


# --- maps ------------------------------------------------------------------------------------------------------------


def map_runs(form: PiecewiseAffineForm, z0: Array, dt: float, rows: Array) -> Runs:
    """Iterate a map from z0 `(b, n)` with inputs `(steps + 1, 1 or b, m)`, a sample every `dt`."""
    f = form_arrays(form)
    states, patterns, done = _empty(len(rows), z0, form.num_units)

    done[:] = len(rows) - 1

    def work(first: int, last: int) -> None:
        iterate(f, states, rows, patterns, first, last, done)

    over_blocks(len(z0), "iterating", work)
    return _sampled(states, patterns, dt * np.arange(len(rows)), done)


def _empty(length: int, z0: Array, num_units: int) -> tuple[Array, Array, Array]:
    """States with the first row set, patterns all off, and the last finite step of each member."""
    states = np.empty((length, *z0.shape))
    states[0] = z0
    return states, np.zeros((length, len(z0), num_units), dtype=np.uint8), np.zeros(len(z0), dtype=np.int64)


def _sampled(states: Array, patterns: Array, samples: Array, done: Array) -> Runs:
    """Runs whose switches are seen at samples; rows after `done` are NaN."""
    patterns = patterns.view(bool)
    runs = fresh_runs(states, patterns, partial(_switches_between, patterns, samples, done))
    for member in np.flatnonzero(done < len(states) - 1):
        k = done[member] + 1
        states[k:, member], patterns[k:, member] = np.nan, False
        stop_member(runs, int(member), TrajectoryStatus.DIVERGED, float(samples[k]), "a state exceeded 1e150")
    return runs


def _switches_between(patterns: Array, samples: Array, done: Array) -> tuple[list[Array], list[Array]]:
    """Times and units of the changes from sample to sample, per member."""
    times, units = [], []
    for member in range(patterns.shape[1]):
        p = patterns[: done[member] + 1, member]
        at, unit = np.divmod(np.flatnonzero(p[1:] != p[:-1]), max(p.shape[1], 1))
        times.append(samples[at + 1])
        units.append(unit)
    return times, units


# --- clock-held flows ------------------------------------------------------------------------------------------------


def clock_runs(flow: PiecewiseAffineFlow, z0: Array, start: float, phase: Array, rows: Array) -> Runs:
    """Regions held from sample to sample: `phase` `(T,)` in steps from `start`, inputs `(steps + 1, 1 or b, m)`."""
    steps = int(np.ceil(phase[-1]))
    rows = rows[: steps + 1]
    _convert_ahead(flow, z0, rows)
    table = kept_table(flow, "clock", lambda bits: (flow.region(bits).transition.T, 0))
    runs, done = table_runs(flow.canonical, table, z0, start + flow.dt * np.arange(steps + 1), rows)
    return runs if np.array_equal(phase, np.arange(steps + 1)) else _between(flow, runs, phase, rows, done)


def table_runs(
    form: PiecewiseAffineForm, table: RegionTable, z0: Array, samples: Array, rows: Array
) -> tuple[Runs, Array]:
    """Steps whose map is looked up by the pattern of `form`: samples `(steps + 1,)`, inputs `(steps + 1, 1 or b, m)`; rows of `table`:
    offset, columns of the state's and of the input's matrix. Also the last finite step of each member."""
    f = form_arrays(form)
    states, patterns, done = _empty(len(samples), z0, form.num_units)

    def work(first: int, last: int) -> None:
        at = np.array([0, first, first])
        while not clock_steps(f, table.arrays, states, rows, patterns, last, done, at):
            table.add(patterns[at[0], at[1]])

    over_blocks(len(z0), "simulating", work)
    return _sampled(states, patterns, samples, done), done


def kept_table(flow: PiecewiseAffineFlow, kind: str, provide: Callable[[Array], tuple[Array, int]]) -> RegionTable:
    """The flow's table for one kind of simulation, kept from one simulation to the next."""
    return flow._tables.setdefault(kind, RegionTable(flow.num_units, provide))


def _convert_ahead(flow: PiecewiseAffineFlow, z0: Array, rows: Array) -> None:
    """Convert in bulk what the map visits: the clock flow visits the same regions, but for rounding."""
    if flow.num_units == 0 or len(rows) < 2:
        return
    patterns = map_runs(flow.canonical, z0, flow.dt, rows).patterns[:-1].reshape(-1, flow.num_units)
    flow.convert(patterns[distinct_rows(patterns).first])


def _between(flow: PiecewiseAffineFlow, runs: Runs, phase: Array, rows: Array, done: Array) -> Runs:
    """Samples of clock runs at any phases: the generator of the region held since the last sample."""
    index = np.floor(phase).astype(int)
    inner = phase != index
    held, z = runs.patterns, runs.states
    runs.states, runs.patterns = z[index], held[index]

    def work(first: int, last: int) -> None:
        for member in range(first, last):
            lost = inner & (index >= done[member])
            runs.states[lost, member], runs.patterns[lost, member] = np.nan, False
            for k in np.unique(index[inner & (index < done[member])]):
                where = np.flatnonzero(inner & (index == k))
                s = rows[k, member if rows.shape[1] > 1 else 0]
                theta = phase[where] - k
                runs.states[where, member] = held_flow(flow, held[k, member], z[k, member], s, theta)

    over_blocks(z.shape[1], "between samples", work)
    return runs


def held_flow(flow: PiecewiseAffineFlow, pattern: Array, z: Array, s: Array, theta: Array) -> Array:
    """States `(k, n)` at phases theta in [0, 1) of a step whose region and input are held."""
    r = flow.region(pattern)
    out = np.empty((len(theta), len(z)))
    start = np.concatenate([z, np.zeros(r.auxiliary)])
    flow_samples(np.array(r.W.T, order="C"), r.scaling, r.h + r.E @ s, start, flow.dt * theta, out)
    if r.ramp is not None:
        out += theta[:, None] * (r.ramp @ np.concatenate([[1.0], z, s]))
    return out


# --- event-driven flows ----------------------------------------------------------------------------------------------

_STATUS = {
    record.DIVERGED: (TrajectoryStatus.DIVERGED, "a state exceeded 1e150"),
    record.UNDEFINED: (
        TrajectoryStatus.SLIDING_UNDEFINED,
        "no continuation is consistent: several boundaries attract at once, or a raised region cannot be left or entered",
    ),
    record.NO_FLOW: (
        TrajectoryStatus.NO_FLOW,
        'a region without an autonomous field was entered (status "time_varying"); use switching="clock"',
    ),
    record.ACCUMULATE: (TrajectoryStatus.SWITCHES_ACCUMULATE, "switches accumulate within one instant"),
}


def state_job(form: PiecewiseAffineForm, table: RegionTable, z0: Array, times: Array, drive: Drive) -> StateJob:
    """A simulation whose region is read from the state, not yet begun."""
    shape = (len(times), len(z0))
    starts, values, slopes = (np.array(x, order="C") for x in drive)
    job = StateJob(
        form_arrays(form),
        table,
        record.Drive(starts, np.append(starts[1:], np.inf), values, slopes),
        np.array(times),
        np.array(z0),
        fresh_runs(
            np.full((*shape, form.num_states), np.nan), np.zeros((*shape, form.num_units), dtype=np.uint8), None
        ),
        [np.zeros(0)] * len(z0),
        [np.zeros(0, dtype=np.int64)] * len(z0),
    )
    job.breath = max(PIECES // form.num_states**2, 1)
    return job


@dataclass
class StateJob:
    """One event-driven simulation, what its threads share, and what they have found."""

    f: Any
    table: RegionTable
    drive: record.Drive
    times: Array
    z0: Array
    runs: Runs
    switch_times: list[Array]
    switch_units: list[Array]
    stop: Event = field(default_factory=Event)
    breath: int = 1  # pieces from pause to pause

    def run(self) -> None:
        """Simulate all members; Ctrl-C is heard several times a second."""
        if len(self.z0) == 1:
            for _ in self.paused():
                pass
            return
        over_blocks(len(self.z0), "simulating", self._members, self.stop)
        self._finish()

    def paused(self, work: int = 0) -> Iterator[record.Record]:
        """Simulate the only member, pausing several times a second, with `work` times as much to do as the simulation has."""
        self.breath = max(self.breath // (1 + work), 1)
        seen = 0
        with progress("simulating", len(self.times)) as advance:
            for r in _event_driven(self, 0, 1):
                advance(int(r.at.next_time) - seen)
                seen = int(r.at.next_time)
                yield r
        self._finish()

    def _members(self, first: int, last: int) -> None:
        for _ in _event_driven(self, first, last):
            if self.stop.is_set():
                return

    def _finish(self) -> None:
        self.runs.patterns = self.runs.patterns.view(bool)
        self.runs.switches = (self.switch_times, self.switch_units)


def _event_driven(job: StateJob, first: int, last: int) -> Iterator[record.Record]:
    """Run members first..last - 1; the kernel comes back for regions, longer buffers, the rare decisions, and for a pause."""
    n, q, m = job.z0.shape[1], len(job.f.h2), job.drive.values.shape[2]
    r, w = _record(n, q, len(job.z0), first, last), record.scratch(n, q, m)
    r.at.breath = job.breath
    data = (job.times, job.runs.states, job.runs.patterns)
    began = (0, 0)
    while r.at.member < last:
        done = int(r.at.member)
        code = advance_members(job.f, job.table.arrays, job.drive, job.times, job.z0, *data[1:], r, w)
        if code in (record.DECIDE, record.SLIDE):
            code = _undecided(job, r, w, code)
        if code == record.NEED_REGION:
            job.table.add(r.want)
        elif code == record.BUFFER_FULL:
            r = _longer(r)
        elif code == record.PAUSED:
            r.at.breath = job.breath
            yield r
        elif code not in (record.DECIDE, record.DONE):
            _note_end(job.runs, r, code)
            record.finish_member(r)
        for member in range(done, int(r.at.member)):
            began = _collect(job, r, member, began)


def _undecided(job: StateJob, r: record.Record, w: record.Scratch, code: int) -> int:
    """The rare cases, compiled only when they arise; DECIDE when the kernel can go on."""
    from retime.simulation.sliding import decide, slide

    while code in (record.DECIDE, record.SLIDE):
        if code == record.SLIDE:
            code = slide(job.f, job.table.arrays, job.drive, job.times, job.runs.states, job.runs.patterns, r, w)
            if code == record.DONE:
                return record.DECIDE
        else:
            code = decide(job.f, job.table.arrays, job.drive, job.z0.shape[1], r, w)
            if code == record.DONE:
                _note_nonunique(job.runs, r)
                return record.DECIDE
    return code


def _record(n: int, q: int, members: int, first: int, last: int) -> record.Record:
    at = np.zeros(1, record.NOW).view(np.recarray)[0]
    at.member, at.last, at.fresh = first, last, 1
    size = max(256, 8 * q)
    bits, entered, on_boundary, want = (np.zeros(q, dtype=np.uint8) for _ in range(4))
    return record.Record(
        np.zeros(2 * n),
        np.zeros(2 * n),
        bits,
        entered,
        on_boundary,
        np.zeros(q, dtype=np.int64),
        want,
        at,
        np.zeros(size),
        np.zeros(size, dtype=np.int64),
        np.zeros((64, 3)),
        np.zeros((members, 2), dtype=np.int64),
    )


def _longer(r: record.Record) -> record.Record:
    """The record with its buffers doubled."""
    doubled = [np.concatenate([a, np.zeros_like(a)]) for a in (r.switch_times, r.switch_units, r.slides)]
    return r._replace(switch_times=doubled[0], switch_units=doubled[1], slides=doubled[2])


def _collect(job: StateJob, r: record.Record, member: int, began: tuple[int, int]) -> tuple[int, int]:
    """Take a finished member's switches and slides out of the buffers; returns where the next member's begin."""
    switches, slides = int(r.ends[member, 0]), int(r.ends[member, 1])
    job.switch_times[member] = r.switch_times[began[0] : switches].copy()
    job.switch_units[member] = r.switch_units[began[0] : switches].copy()
    job.runs.sliding[member] = r.slides[began[1] : slides].copy()
    return switches, slides


def _note_end(runs: Runs, r: record.Record, code: int) -> None:
    member, status = int(r.at.member), _STATUS[code]
    runs.states[r.at.next_time :, member] = np.nan
    stop_member(runs, member, status[0], r.at.time, status[1])


def _note_nonunique(runs: Runs, r: record.Record) -> None:
    time = r.at.nonunique_time
    if np.isfinite(time):
        message = "both fields leave the boundary; the side that the map reads there was followed"
        stop_member(runs, int(r.at.member), TrajectoryStatus.NONUNIQUE, time, message)
