"""Growth of tangent vectors along flows whose region is read from the state: from switch to switch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.analysis.exponents.growth import RECORDS, Growth, starting_vectors
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.simulation import record, saltation
from retime.simulation.arrays import form_arrays
from retime.simulation.boundaries import set_side
from retime.simulation.horizon import Drive
from retime.simulation.motion import SwitchedFlow
from retime.simulation.passage import turns
from retime.simulation.products import numbered
from retime.simulation.run import Runs
from retime.simulation.taylor import ROWS


def switched_growth(
    motion: SwitchedFlow,
    z0: Array,
    span: tuple[float, float],
    drive: Drive,
    transient: float,
    num: int,
    patience: Patience,
) -> Growth:
    """Growth along an orbit whose region is read from the state; `drive` as of its motion.

    The orbit is simulated event by event; then state and vectors are taken from event to event, across each switch by its
    saltation matrix, and the state is set anew at samples. Simulation and vectors take turns, several times a second.
    """
    n = len(z0)
    times, marks = _anchors(motion, z0, span, transient, drive)
    job = motion.job(z0[None], times, drive)
    vectors = _SwitchedVectors(motion, times, marks, drive, z0, num)
    with patience:
        for r in job.paused(num):
            vectors.follow(job.runs, _Seen.of_record(r), False)
            patience.check()
        vectors.follow(job.runs, _Seen.of_runs(job.runs), True)
    found = Growth(*vectors.measured(span[0] + transient))
    if vectors.has_auxiliary or num < n:
        found.volume = float("nan")
    return found.finished(patience, vectors.time - span[0], job.runs)


class _Seen(NamedTuple):
    """What a simulation has found: how many samples and up to which time they are final, switches, slides `(k, 3)`."""

    samples: int
    time: float
    at: Array
    unit: Array
    slides: Array

    @classmethod
    def of_record(cls, r: record.Record) -> _Seen:
        """While it goes on: sliding that has not ended yet has end inf."""
        switches, slides, now = r.at.switches, r.slides[: r.at.slides], r.at.time
        if r.at.sliding >= 0:
            slides = np.vstack([slides, [r.at.slide_start, np.inf, r.at.sliding]])
        return cls(int(r.at.next_time), float(now), r.switch_times[:switches], r.switch_units[:switches], slides)

    @classmethod
    def of_runs(cls, runs: Runs) -> _Seen:
        good = int(np.isfinite(runs.states[:, 0]).all(axis=1).sum())
        return cls(good, np.inf, np.asarray(runs.switches[0][0]), np.asarray(runs.switches[1][0]), runs.sliding[0])


class _SwitchedVectors:
    """Tangent vectors on their way along an orbit that is being simulated, part by part.

    A part goes from behind one anchor up to and including another; what happens at the instant of the last belongs to the next.
    """

    def __init__(self, motion: SwitchedFlow, times: Array, marks: Array, drive: Drive, z0: Array, num: int) -> None:
        self.motion, self.times, self.marks, self.drive = motion, times, marks, drive
        K = max(int(marks.max()) + 1, 0)
        self.growth, self.volumes, self.records = np.zeros((K, num)), np.zeros(K), 0
        self.flight = _flight(len(z0), num, drive.values.shape[2], z0)
        self.anchors, self.switches, self.time, self.piece = 0, 0, float(times[0]), 0
        self.pattern, self.slider = np.zeros(motion.model.num_units, dtype=np.uint8), -1
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
        e, codes, has_auxiliary = _fields(self.motion, when, codes, patterns, self.drive)
        part = saltation.Events(at, codes[1:])
        samples = np.ascontiguousarray(runs.states[:count, 0])
        self.piece = saltation.follow_events(
            e, part, samples, codes[0].copy(), self.flight, self.growth, self.volumes, self.time, self.piece
        )
        self.records = max(int(self.marks[:count].max(initial=-1)) + 1, 0)
        self.anchors, self.time = count, float(self.times[count - 1])
        self.pattern, self.has_auxiliary = patterns[-1], self.has_auxiliary or has_auxiliary

    def measured(self, begin: float) -> tuple[Array, Array, Array, float]:
        """Logarithms `(K, p)`, durations `(K,)` and volume of the records, the one that was not finished included, and the last state."""
        K = self.records
        ends = np.append(begin, self.times[np.flatnonzero(self.marks >= 0)[:K]])
        logs, volume = self.growth[:K], float(self.volumes[:K].sum())
        if self.time > ends[-1]:
            w = self.flight
            saltation.orthonormalize_rows(w, len(w.y), 0.0)
            ends, logs, volume = np.append(ends, self.time), np.vstack([logs, w.logs]), volume + float(w.reals[0])
        return logs, np.diff(ends), self.flight.y[: self.motion.model.num_states].copy(), volume

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
        starts, slides = self.drive.starts[1:], seen.slides
        rows += [(float(t), 1, (saltation.INPUT, 0, 0, -1, -1)) for t in starts[inside(starts)]]
        first = (saltation.SWITCH, 0, 0, self.slider, -1)
        begins = {float(s[0]): int(s[2]) for s in slides[inside(slides[:, 0])]}
        ends = {float(t) for t in slides[inside(slides[:, 1]), 1]}
        found, self.slider = turns(self.motion.model.canonical, at, unit, begins, ends, self.jumps, self.slider)
        for t, code in found:
            if self.anchors == 0 and t == begin and code[3] >= 0:
                first = code
            else:
                rows.append((t, 2, code))
        rows.sort(key=lambda row: row[:2])
        self.switches = last
        return np.array([r[0] for r in rows]), np.array([first, *[r[2] for r in rows]], dtype=np.int64), patterns


def _anchors(
    motion: SwitchedFlow, z0: Array, span: tuple[float, float], transient: float, drive: Drive
) -> tuple[Array, Array]:
    """Sample times, and for each the record that ends there (-1: none, -2: measuring begins)."""
    starts, values, slopes = drive
    s = values[0, 0] + slopes[0, 0] * (span[0] - starts[0])
    data, extra = motion.provide(motion.model.canonical.pattern(z0, s))
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


def _fields(
    motion: SwitchedFlow, times: Array, codes: Array, patterns: Array, drive: Drive
) -> tuple[saltation.Field, Array, bool]:
    """The regions met, the codes `(k, 5)`, those of `times` `(k,)`, with their numbers, and whether one has auxiliary states."""
    form, codes = motion.model.canonical, codes.copy()
    turning = codes[:, saltation.KIND] == saltation.SWITCH
    sides = np.repeat(patterns[codes[turning, 1]][:, None], 2, axis=1)
    slider = codes[turning, 3]
    sliding = np.flatnonzero(slider >= 0)
    f = form_arrays(form)
    for k in sliding:
        piece = max(int(np.searchsorted(drive.starts, times[turning][k], side="right")) - 1, 0)
        slope = drive.slopes[piece, 0]
        s = np.array([drive.values[piece, 0] + slope * (times[turning][k] - drive.starts[piece]), slope])
        for side in (0, 1):
            set_side(f, s, sides[k, side : side + 1], int(slider[k]), on=bool(side))
    flat = sides.reshape(-1, form.num_units)
    index, first = numbered(flat)
    codes[turning, 1:3] = index.reshape(-1, 2)
    motion.prepare(flat[first])
    found = [motion.provide(flat[i].astype(bool)) for i in first]
    rows, width = max(len(d) for d, _ in found), max(d.shape[1] for d, _ in found)
    data = np.zeros((len(found), rows, width))
    for k, (d, _) in enumerate(found):
        data[k, : len(d), : d.shape[1]] = d
    extra = np.array([x for _, x in found])
    W2, C2T, starts, values, slopes = (
        np.array(x, order="C") for x in (form.W2, form.C2.T, drive.starts, drive.values[:, 0], drive.slopes[:, 0])
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
