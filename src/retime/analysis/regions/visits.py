"""Which regions an orbit visits, for how long and in which order; and how far it stays from their boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from retime.analysis.regions.entropy import EntropyRate, entropy_rate_of
from retime.core.arrays import Array
from retime.core.distinct import distinct_rows
from retime.core.result import Result
from retime.core.trajectory import Trajectory

INSTANT = 1e-14  # visits shorter than this part of the time reached are rounding


@dataclass(frozen=True, eq=False, repr=False)
class VisitedRegions(Result):
    """The symbolic dynamics of an orbit: its regions, the one with most samples first.

    A *visit* is a stay in one region; the first and the last of each orbit are cut by the horizon.

    Attributes:
        patterns: bool `(r, q)`, which ReLU units are on.
        counts: `(r,)`, number of samples; 0 for a region that was only visited between samples.
        fractions: `(r,)`, of the time; they add up to 1.
        sequence: `(T,)`, or `(T, b)` for a batch: index of the region of each sample; -1 in rows lost after an early stop.
        transitions: sparse `(r, r)` (SciPy csr_array of counts): row i, column j, how often a sample in i is followed by one in j;
            on the diagonal those that stay. Never from one member of a batch to another.
        jumps: sparse `(r, r)`: how often a visit of i is followed by one of j.
        entropy_rate: of the sampled sequence, in bits per sample.
        jump_entropy_rate: of the sequence of visits, in bits per change of region.
        visits: `(r,)`, number of visits.
        dwell_times: r arrays, the length of every visit in model time, in order of time (members of a batch one after the other).
        mean_dwell_times: `(r,)`, their means.
        cut_visits: `(r,)`, how many of the visits are cut by the horizon.
        located: whether visits were found from located switches (else from samples).
        sliding_time: time spent sliding along boundaries, which belongs to no single region; it is booked on the one whose pattern
            the simulation carried.
        message: a doubt about the result in words; empty when there is none.
    """

    _plot: ClassVar[str] = "transition_graph"

    patterns: Array
    counts: Array
    fractions: Array
    sequence: Array
    transitions: Any
    jumps: Any
    entropy_rate: EntropyRate
    jump_entropy_rate: EntropyRate
    visits: Array
    dwell_times: tuple[Array, ...]
    mean_dwell_times: Array
    cut_visits: Array
    located: bool
    sliding_time: float
    message: str

    def __len__(self) -> int:
        return len(self.patterns)

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per region: its bits, samples, share of the time, visits and their mean length."""
        return [
            {
                "pattern": "".join("01"[int(x)] for x in self.patterns[k]), "samples": int(self.counts[k]),
                "share_of_time": float(self.fractions[k]), "visits": int(self.visits[k]), "mean_dwell_time": float(self.mean_dwell_times[k]),
            }
            for k in range(len(self))
        ]  # fmt: skip

    def _title(self) -> str:
        h = self.entropy_rate
        error = f" +- {h.standard_error:.2g}" if np.isfinite(h.standard_error) else ""
        text = f"{len(self)} regions, {self.jumps.sum()} changes, entropy rate {h.value:.4g}{error} bits per sample"
        return f"{text}; {self.message}" if self.message else text

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                "".join("01"[int(x)] for x in self.patterns[i]),
                str(self.counts[i]),
                f"{100 * self.fractions[i]:.3g} %",
                str(self.visits[i]),
                f"{self.mean_dwell_times[i]:.4g}",
            ]
            for i in range(min(len(self), 8))
        ]
        return ["pattern", "samples", "of the time", "visits", "mean dwell time"], rows + [["..."] + [""] * 4] * (
            len(self) > 8
        )

    def _data(self) -> dict[str, Any]:
        counts = {name: _triplets(getattr(self, name)) for name in ("transitions", "jumps")}
        return super()._data() | {"patterns": self.patterns.astype(int), **counts}


def visited_regions(trajectory: Trajectory, *, located: bool | None = None) -> VisitedRegions:
    """The regions that an orbit visits: how often, for how long, in which order, and how unpredictable the order is.

    Maps and clock-held flows: a sample stands for the time up to the next one (the last for as long as the one before it), and a visit
    is a run of samples. Flows whose switches were located: the sequence of patterns is rebuilt by flipping units at the
    switch times, so that visits between two samples count, and dwell times are exact to the accuracy of the switch times; visits
    shorter than 1e-14 of the time reached (several units that switch at once) are left out.

    Args:
        trajectory: from `simulate`, single or a batch, of a piecewise-affine system.
        located: whether `trajectory.switch_times` were located; None: yes, unless they are sample times and say the same as the samples.

    Returns:
        VisitedRegions.

    Raises:
        TypeError: not a Trajectory. ValueError: a system without ReLU units, which has no regions.

    Cost: O(T q). Backend: NumPy float64. Source: miller1955 for the correction of entropies.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0])
        >>> len(rt.visited_regions(rt.simulate(model, [1.0, 1.1], steps=20)))
        2
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"`trajectory` is {type(trajectory).__name__}; visited_regions takes what `simulate` returns, a Trajectory."
        )
    if trajectory.patterns.shape[-1] == 0:
        raise ValueError(
            "The trajectory has no patterns: its system has no ReLU units (it is smooth or linear), so its states are not "
            "divided into regions. Use a piecewise-affine network, or bin the states (state_space_divergence does)."
        )
    members = [_Member.of(trajectory, k) for k in range(trajectory.states.shape[1] if trajectory.is_batch else 1)]
    if located is None:
        located = not all(m.is_sampled() for m in members)
    stays = [m.located() if located else m.sampled() for m in members]
    patterns, index = _numbered([m.patterns for m in members] + [s.patterns for s in stays])
    sequences, visits = index[: len(members)], index[len(members) :]
    return _result(trajectory, members, stays, patterns, sequences, visits, located)


class _Stays(NamedTuple):
    """Visits of one orbit: patterns `(v, q)`, lengths `(v,)` in time, and how many samples contradict them."""

    patterns: Array
    lengths: Array
    contradictions: int


class _Member(NamedTuple):
    """One orbit: times and patterns of its finite rows, its switches, its sliding intervals, and when it ended."""

    times: Array
    patterns: Array
    switch_times: Array
    switch_units: Array
    sliding: Array
    end: float

    @classmethod
    def of(cls, path: Trajectory, k: int) -> _Member:
        """Member k of a trajectory."""
        one = (lambda x: x[k]) if path.is_batch else (lambda x: x)
        states = path.states[:, k] if path.is_batch else path.states
        patterns = path.patterns[:, k] if path.is_batch else path.patterns
        lost = np.asarray(np.isnan(states).any(axis=1))
        T = int(np.argmax(lost)) if lost.any() else len(lost)
        at, units = np.asarray(one(path.switch_times)), np.asarray(one(path.switch_units))
        sliding = np.asarray(one(path.sliding)).reshape(-1, 3)
        end = float(path.times[T - 1])
        if len(lost) > T and len(at):  # stopped early: the last switch may come after the last sample
            end = max(end, float(at[-1]))
        return cls(path.times[:T], np.asarray(patterns[:T], dtype=bool), at, units, sliding, end)

    def is_sampled(self) -> bool:
        """Whether the switches are exactly the changes from sample to sample."""
        k, units = np.nonzero(self.patterns[1:] != self.patterns[:-1])
        at = self.times[k + 1]
        return np.array_equal(at, self.switch_times) and np.array_equal(units, self.switch_units)

    def sampled(self) -> _Stays:
        """Runs of samples."""
        T = len(self.times)
        changed = (self.patterns[1:] != self.patterns[:-1]).any(axis=1)
        first = np.concatenate([[0], np.flatnonzero(changed) + 1])
        last = self.times[-1] + (self.times[-1] - self.times[-2] if T > 1 else 1.0)
        return _Stays(self.patterns[first], np.diff(np.append(self.times[first], last)), 0)

    def located(self) -> _Stays:
        """Pieces between switch times; the patterns are those of the first sample with units flipped one after the other."""
        flips = np.zeros((len(self.switch_times) + 1, self.patterns.shape[1]), dtype=bool)
        flips[0] = self.patterns[0]
        flips[np.arange(1, len(flips)), self.switch_units] = True
        patterns = np.logical_xor.accumulate(flips, axis=0)
        edges = np.concatenate([[self.times[0]], self.switch_times, [self.end]])
        wrong = self._contradictions(patterns)
        keep = np.diff(edges) > INSTANT * np.maximum(np.abs(edges[1:]), np.abs(edges[:-1]))
        if not keep.any():
            keep[-1] = True
        patterns, lengths = patterns[keep], np.diff(edges)[keep]
        first = np.concatenate([[True], (patterns[1:] != patterns[:-1]).any(axis=1)])  # off and on again at once
        return _Stays(patterns[first], np.add.reduceat(lengths, np.flatnonzero(first)), wrong)

    def _contradictions(self, patterns: Array) -> int:
        """Samples whose pattern is none of those that the switches give just before, at and just after them."""
        near = INSTANT * np.abs(self.times)
        low = np.searchsorted(self.switch_times, self.times - near, side="left")
        high = np.searchsorted(self.switch_times, self.times + near, side="right")
        agree = np.zeros(len(self.times), dtype=bool)
        for shift in range(int((high - low).max(initial=0)) + 1):
            agree |= (patterns[np.minimum(low + shift, high)] == self.patterns).all(axis=1)
        return int((~agree).sum())


def _numbered(stacks: list[Array]) -> tuple[Array, list[Array]]:
    """The different rows of bool stacks `(., q)`, and for each stack the number of every row."""
    rows = np.concatenate(stacks)
    kinds = distinct_rows(rows)
    return rows[kinds.first], np.split(kinds.number, np.cumsum([len(s) for s in stacks])[:-1])


def _result(
    path: Trajectory,
    members: list[_Member],
    stays: list[_Stays],
    patterns: Array,
    sequences: list[Array],
    visits: list[Array],
    located: bool,
) -> VisitedRegions:
    """Put the regions in order and count."""
    r = len(patterns)
    lengths, region = np.concatenate([s.lengths for s in stays]), np.concatenate(visits)
    counts = np.bincount(np.concatenate(sequences), minlength=r)
    time = np.bincount(region, weights=lengths, minlength=r)
    order = np.lexsort((-time, -counts))
    rank = np.empty(r, dtype=np.int64)
    rank[order] = np.arange(r)
    sequences, visits, region = [rank[x] for x in sequences], [rank[x] for x in visits], rank[region]
    sequence = np.full((len(path.times), len(members)), -1)
    for k, x in enumerate(sequences):
        sequence[: len(x), k] = x
    by_region = np.split(lengths[np.argsort(region, kind="stable")], np.cumsum(np.bincount(region, minlength=r))[:-1])
    ends = np.concatenate([x[[0, -1]] if len(x) > 1 else x[:1] for x in visits])
    steps, jumps = _pairs(sequences), _pairs(visits)
    total = time.sum()
    return VisitedRegions(
        patterns[order],
        counts[order],
        time[order] / total if total > 0 else counts[order] / counts.sum(),
        sequence if path.is_batch else sequence[:, 0],
        _matrix(steps, r),
        _matrix(jumps, r),
        entropy_rate_of(steps, r),
        entropy_rate_of(jumps, r),
        np.bincount(region, minlength=r),
        tuple(by_region),
        np.array([x.mean() if len(x) else np.nan for x in by_region]),
        np.bincount(ends, minlength=r),
        located,
        float(sum((m.sliding[:, 1] - m.sliding[:, 0]).sum() for m in members)),
        _doubt(sum(s.contradictions for s in stays), sum(len(m.times) for m in members)),
    )


def _doubt(contradictions: int, samples: int) -> str:
    if not contradictions:
        return ""
    return f"{contradictions} of {samples} samples are in another region than the switch times say; compare with located=False"


def _pairs(sequences: list[Array]) -> Array:
    """Consecutive pairs `(k, 2)`, those of one orbit after those of the other."""
    return np.concatenate([np.stack([x[:-1], x[1:]], axis=1) for x in sequences])


def _matrix(pairs: Array, r: int) -> Any:
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(pairs), dtype=np.int64), (pairs[:, 0], pairs[:, 1])), shape=(r, r)).tocsr()


def _triplets(matrix: Any) -> dict[str, Array]:
    entries = matrix.tocoo()
    return {"from": entries.coords[0], "to": entries.coords[1], "count": entries.data}
