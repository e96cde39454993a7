"""Runs of one initial state each, by the compiled kernels, spread over the cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm
from retime.core.progress import progress
from retime.core.status import RegionStatus, TrajectoryStatus
from retime.models import PiecewiseAffineFlow
from retime.simulation import events
from retime.simulation.arrays import RegionTable, form_arrays
from retime.simulation.iterate import clock_steps, iterate
from retime.simulation.taylor import balancing_weights, flow_samples


@dataclass
class Run:
    """One initial state's result: states `(T, n)`, patterns bool `(T, q)`, switches and how it ended."""

    states: Array
    patterns: Array
    switch_times: Array
    switch_units: Array
    status: TrajectoryStatus = TrajectoryStatus.COMPLETED
    status_time: float = float("nan")
    message: str = ""
    sliding: Array = field(default_factory=lambda: np.zeros((0, 3)))


def _over_members(count: int, label: str, work: Callable[[int], Run]) -> list[Run]:
    """`work(member)` for every member, in threads (the kernels release the interpreter lock)."""
    with progress(label, count) as advance:

        def one(member: int) -> Run:
            run = work(member)
            advance(1)
            return run

        cores = min(count, os.cpu_count() or 1)
        if cores < 2:
            return [one(k) for k in range(count)]
        with ThreadPoolExecutor(cores) as pool:
            return list(pool.map(one, range(count)))


# --- maps ------------------------------------------------------------------------------------------------------------


def map_runs(form: PiecewiseAffineForm, z0: Array, dt: float, rows: Array) -> list[Run]:
    """Iterate a map from z0 `(b, n)` with inputs `(steps + 1, b, m)`, a sample every `dt`."""
    f = form_arrays(form)

    def work(member: int) -> Run:
        states, patterns = _empty(len(rows), z0[member], form.num_units)
        done = iterate(f, states, np.ascontiguousarray(rows[:, member]), patterns)
        return _sampled(states, patterns, dt * np.arange(len(rows)), done)

    return _over_members(len(z0), "iterating", work)


def _empty(length: int, z0: Array, num_units: int) -> tuple[Array, Array]:
    states = np.empty((length, len(z0)))
    states[0] = z0
    return states, np.zeros((length, num_units), dtype=np.uint8)


def _sampled(states: Array, patterns: Array, samples: Array, done: int) -> Run:
    """A run whose switches are seen at samples; rows after `done` are NaN."""
    patterns = patterns.view(bool)
    states[done + 1 :], patterns[done + 1 :] = np.nan, False
    at, unit = np.divmod(np.flatnonzero(patterns[1 : done + 1] != patterns[:done]), max(patterns.shape[1], 1))
    run = Run(states, patterns, samples[at + 1], unit)
    if done < len(states) - 1:
        _stop(run, TrajectoryStatus.DIVERGED, samples[done + 1], "a state exceeded 1e150")
    return run


def _stop(run: Run, status: TrajectoryStatus, time: float, message: str) -> None:
    run.status, run.status_time, run.message = status, float(time), message


# --- clock-held flows ------------------------------------------------------------------------------------------------


def clock_runs(flow: PiecewiseAffineFlow, z0: Array, start: float, phase: Array, rows: Array) -> list[Run]:
    """Regions held from sample to sample: `phase` `(T,)` in steps from `start`, inputs `(steps + 1, b, m)`."""
    f, steps = form_arrays(flow.canonical), int(np.ceil(phase[-1]))
    table = RegionTable(flow.num_units, lambda bits: (flow.region(bits).transition.T, 0))

    def work(member: int) -> Run:
        inputs = np.ascontiguousarray(rows[:, member])
        states, patterns = _empty(steps + 1, z0[member], flow.num_units)
        at = 0
        while at < steps or steps == 0:
            at = clock_steps(f, table.arrays, states, inputs, patterns, at)
            if at < 0 or at == steps:
                break
            table.add(patterns[at])
        done = -at - 2 if at < 0 else steps
        run = _sampled(states, patterns, start + flow.dt * np.arange(steps + 1), done)
        return _between(flow, run, phase, inputs, done)

    return _over_members(len(z0), "simulating", work)


def _between(flow: PiecewiseAffineFlow, run: Run, phase: Array, inputs: Array, done: int) -> Run:
    """Samples of a clock run at any phases: the generator of the region held since the last sample."""
    index = np.floor(phase).astype(int)
    inner = phase != index
    states, patterns = run.states[index], run.patterns[index]
    states[inner & (index >= done)] = np.nan
    for k in np.unique(index[inner & (index < done)]):
        where = np.flatnonzero(inner & (index == k))
        theta = phase[where] - k
        states[where] = held_flow(flow, run.patterns[k], run.states[k], inputs[k], theta)
    run.states, run.patterns = states, patterns
    return run


def held_flow(flow: PiecewiseAffineFlow, pattern: Array, z: Array, s: Array, theta: Array) -> Array:
    """States `(k, n)` at phases theta in [0, 1) of a step whose region and input are held."""
    r = flow.region(pattern)
    out = np.empty((len(theta), len(z)))
    start = np.concatenate([z, np.zeros(r.auxiliary)])
    flow_samples(np.array(r.W.T, order="C"), balancing_weights(r.W), r.h + r.E @ s, start, flow.dt * theta, out)
    if r.ramp is not None:
        out += theta[:, None] * (r.ramp @ np.concatenate([[1.0], z, s]))
    return out


# --- event-driven flows ----------------------------------------------------------------------------------------------

_STATUS = {
    events.DIVERGED: (TrajectoryStatus.DIVERGED, "a state exceeded 1e150"),
    events.UNDEFINED: (
        TrajectoryStatus.SLIDING_UNDEFINED,
        "several boundaries attract at once; Filippov's solution is defined on one only",
    ),
    events.NO_FLOW: (
        TrajectoryStatus.NO_FLOW,
        'a region without an autonomous field was entered (status "time_varying"); use switching="clock"',
    ),
    events.ACCUMULATE: (TrajectoryStatus.SWITCHES_ACCUMULATE, "switches accumulate within one instant"),
}


def state_runs(model: Any, z0: Array, times: Array, drive: Callable[[int], tuple[Array, Array, Array]]) -> list[Run]:
    """The region is read from the state; `drive(member)` gives starts, values and slopes of the input's pieces."""
    form = model.canonical
    f = form_arrays(form)
    provide = _flow_region(model) if isinstance(model, PiecewiseAffineFlow) else _own_region(form)
    table = RegionTable(form.num_units, provide)
    times = np.array(times)

    def work(member: int) -> Run:
        starts, values, slopes = (np.array(x, order="C") for x in drive(member))
        pieces = events.Drive(starts, np.append(starts[1:], np.inf), values, slopes)
        return _event_driven(form, f, table, pieces, times, z0[member])

    return _over_members(len(z0), "simulating", work)


def _flow_region(flow: PiecewiseAffineFlow) -> Callable[[Array], tuple[Array, int]]:
    def provide(pattern: Array) -> tuple[Array, int]:
        r = flow.region(pattern)
        return _rows(r.W, r.h, r.E), -1 if r.status is RegionStatus.TIME_VARYING else r.auxiliary

    return provide


def _own_region(form: PiecewiseAffineForm) -> Callable[[Array], tuple[Array, int]]:
    def provide(pattern: Array) -> tuple[Array, int]:
        M, c, E = form.regions(pattern[None])
        return _rows(M[0], c[0], E[0]), 0

    return provide


def _rows(W: Array, h: Array, E: Array) -> Array:
    return np.vstack([W.T, h, E.T, balancing_weights(W)])


def _event_driven(
    form: PiecewiseAffineForm, f: Any, table: RegionTable, drive: events.Drive, times: Array, z0: Array
) -> Run:
    record = _record(form, drive, times, z0)
    states, patterns = np.full((len(times), len(z0)), np.nan), np.zeros((len(times), form.num_units), dtype=np.uint8)
    work = events.scratch(form.num_states, form.num_units, form.num_inputs)
    while True:
        code = events.advance(f, table.arrays, drive, times, states, patterns, record, work)
        if code in (events.DECIDE, events.SLIDE):
            code = _undecided(f, table, drive, times, states, patterns, record, work, code)
        if code == events.NEED_REGION:
            table.add(record.want)
        elif code == events.BUFFER_FULL:
            record = _longer(record)
        elif code != events.DECIDE:
            return _finished(record, states, patterns, code)


def _undecided(f: Any, table: RegionTable, drive: Any, times: Array, out: Array, patterns: Array, r: Any, w: Any, code: int) -> int:
    """The rare cases, compiled only when they arise; DECIDE when `advance` can go on."""
    from retime.simulation.sliding import decide, slide

    while code in (events.DECIDE, events.SLIDE):
        if code == events.SLIDE:
            code = slide(f, table.arrays, drive, times, out, patterns, r, w)
        else:
            code = decide(f, table.arrays, drive, out.shape[1], r, w)
            if code == events.DONE:
                return events.DECIDE
    return code


def _record(form: PiecewiseAffineForm, drive: events.Drive, times: Array, z0: Array) -> events.Record:
    n, q = form.num_states, form.num_units
    s = drive.values[0] + drive.slopes[0] * (times[0] - drive.starts[0])
    g = form.preactivation(z0, s)
    terms = np.abs(z0) @ np.abs(form.W2).T + np.abs(form.h2) + np.abs(s) @ np.abs(form.C2).T
    near = np.abs(g) <= 64 * np.finfo(float).eps * (terms if len(form.selection) == 0 or form.h2.any() else 0.0)
    integers = np.zeros(8, dtype=np.int64)
    integers[events.SLIDING] = -1
    integers[events.RESOLVE] = integers[events.INITIAL] = 1
    reals = np.array([times[0], np.nan, -np.inf, np.nan])
    y = np.concatenate([z0, np.zeros(n)])
    bits = (g > 0).astype(np.uint8)
    size = max(64, 4 * q)
    buffers = np.zeros(size), np.zeros(size, dtype=np.int64), np.zeros((64, 3))
    nobody = np.full(q, 2, dtype=np.uint8)
    return events.Record(y, bits, nobody, near.astype(np.uint8), np.zeros(q, np.uint8), integers, reals, *buffers)


def _longer(r: events.Record) -> events.Record:
    """The record with its buffers doubled."""
    doubled = [np.concatenate([a, np.zeros_like(a)]) for a in (r.switch_times, r.switch_units, r.slides)]
    return r._replace(switch_times=doubled[0], switch_units=doubled[1], slides=doubled[2])


def _finished(r: events.Record, states: Array, patterns: Array, code: int) -> Run:
    k, slides = r.integers[events.SWITCHES], r.integers[events.SLIDES]
    sliding = r.slides[:slides].copy()
    if r.integers[events.SLIDING] >= 0:
        last = [r.reals[events.SLIDE_START], r.reals[events.TIME], r.integers[events.SLIDING]]
        sliding = np.vstack([sliding, last])
    run = Run(states, patterns.astype(bool), r.switch_times[:k].copy(), r.switch_units[:k].copy(), sliding=sliding)
    time = r.reals[events.TIME]
    if code != events.DONE:
        written = r.integers[events.NEXT_TIME]
        run.states[written:] = np.nan
        _stop(run, *_explain(code, time))
    elif np.isfinite(r.reals[events.NONUNIQUE_TIME]):
        message = "both fields leave the boundary; the side that the map reads there was followed"
        _stop(run, TrajectoryStatus.NONUNIQUE, r.reals[events.NONUNIQUE_TIME], message)
    return run


def _explain(code: int, time: float) -> tuple[TrajectoryStatus, float, str]:
    status, message = _STATUS[code]
    return status, time, message
