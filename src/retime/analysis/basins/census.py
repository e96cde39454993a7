"""Initial states followed to their ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from retime.analysis.basins import dynamics as autonomous
from retime.analysis.basins.arrivals import Arrivals
from retime.analysis.basins.bounded_sets import BoundedSets, comes_back, drifts
from retime.analysis.basins.dynamics import QUARTERS, SAMPLES, Dynamics
from retime.analysis.basins.endings import Known, limit_cycle
from retime.core.arrays import Array
from retime.core.progress import progress

PROBES = (16, 4)  # orbits by which the default horizon of a flow is measured: at first, and after half of the doublings
LAST = ("diverged", "undecided")


@dataclass
class Census:
    """Starts followed to their ends, and the order in which the attractors are listed.

    Attributes:
        lost: simulations that stopped early. slow: starts that were followed to the end of their time and are undecided.
        tried: longest window in which trial orbits neither rest nor come back; 0 when they do.
    """

    dynamics: Dynamics
    lost: int = 0
    slow: int = 0
    tried: float = 0.0
    order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.arrivals = Arrivals(self.dynamics)
        self.patience, self.settling = self.dynamics.patience, self.dynamics.settling
        self.known = self.arrivals.known
        self.sets = BoundedSets(self.dynamics, self.known, self.arrivals.settled)

    def lengthen(self, quarter: float, z: Array) -> None:
        """Double the quarter of the horizon until most orbits from z `(b, n)` end within it: rest, diverge or come back."""
        flow, most, share = self.dynamics, self.settling.doublings, 1.0 / len(z)  # the share that one orbit stands for
        for k in range(most + 1):
            flow.quarter = self.tried = quarter * 2.0**k
            if self.patience.is_over():
                break
            window, stopped, late = flow.advance(z)
            if stopped.any() or late.any():
                break
            z = window[-1, flow.is_near(window[-1]) & ~self._is_at_an_end(window)]
            if len(z) * share <= 0.1:
                self.tried = 0.0
                return
            if k >= most // 2:
                z, share = z[: PROBES[1]], share * max(1.0, len(z) / PROBES[1])
        flow.quarter = quarter

    def _is_at_an_end(self, window: Array) -> Array:
        """Whether (bool) orbits settle at a point, or come back to where they were and neither shrink nor grow."""
        quarters, unit = np.array_split(window, 4), self.dynamics.width
        earlier, later = (np.ptp(x, axis=0).max(axis=1) for x in quarters[2:])
        ends = (later <= 1e-2 * unit) & ((later < 0.5 * earlier) | (later <= self.settling.rest * unit))
        for k in np.flatnonzero(~ends):
            ends[k] = comes_back(window[:, k], unit) and not drifts(window[:, k])
        return ends

    def label(self, starts: Array, what: str) -> Array:
        """Index into `known` of the attractor of each start."""
        labels = np.full(len(starts), -1)
        with self.patience:
            self._follow_all(starts, labels, what)
        self.slow += int((labels < 0).sum())
        labels[labels < 0] = self.arrivals.special("undecided")
        labels = self.patience.insist(lambda: self.sets.final(labels))
        with self.patience:
            self._close(labels)
        return self.patience.insist(lambda: self.sets.final(labels))

    def _follow_all(self, starts: Array, labels: Array, what: str) -> None:
        group = max(1, int(autonomous.MEMORY // (8 * starts.shape[1] * (SAMPLES + 1))))
        horizons = (1, *self.settling.extensions)
        with progress(what, len(starts)) as advance:
            for k in range(0, len(starts), group):
                z, left = starts[k : k + group], np.arange(k, min(k + group, len(starts)))
                for many in horizons:
                    z, left = self._follow(z, left, labels, many, advance)

    def _follow(
        self, z: Array, left: Array, labels: Array, horizons: int, advance: Callable[[int], None]
    ) -> tuple[Array, Array]:
        """Advance the starts `left`, now at z, by so many horizons; those that settle get their label. Whether the
        others come back is seen in the last fourth of that time."""
        window, recent, density = z[None], [], self.dynamics.motion.density
        thin = min(density, max(1, horizons // QUARTERS))
        most = min(horizons, QUARTERS * density)
        for _ in range(QUARTERS * horizons):
            if len(left) == 0:
                return z, left
            self.patience.check()
            window, stopped, late = self.dynamics.advance(z)
            self.lost += int(stopped.sum())
            found = np.full(len(z), -1)
            if not late.all():
                found[~late] = self.arrivals.settled(window[:, ~late])
            if (stopped | late).any():
                found[stopped | late] = self.arrivals.special("undecided")
            labels[left] = found
            advance(int((found >= 0).sum()))
            z, left, window = window[-1, found < 0], left[found < 0], window[:, found < 0]
            most = min(most, max(1, int(2 * autonomous.MEMORY // max(window.nbytes, 1))))
            recent = [*(x[:, found < 0] for x in recent), window[::-1][::thin][::-1]][-most:]
        found = self.sets.label(np.concatenate(recent), window)
        labels[left] = found
        advance(int((found >= 0).sum()))
        return z[found < 0], left[found < 0]

    def _close(self, labels: Array) -> None:
        """Note period and states of those bounded sets of a flow that are limit cycles."""
        flow = self.dynamics
        if flow.motion.has_choice or flow.model.num_states > self.settling.widest:
            return
        for k in np.unique(labels).tolist():
            a = self.known[k]
            if a.orbits is None:
                continue
            self._solve_cycle(a, a.orbits)
            a.orbits = None
            twins = [j for j, b in enumerate(self.known[:k]) if a.loop and b.loop and a.loop.is_same(b.loop)]
            if twins:
                self.sets.same[k] = twins[0]

    def _solve_cycle(self, a: Known, orbits: Array) -> None:
        """Note period and states of one bounded set, with `orbits` on it, if it is a limit cycle."""
        from scipy.spatial import KDTree

        found = limit_cycle(self.dynamics, orbits[-1, 0])
        if found is None:
            return
        apart = KDTree(found.fine).query(orbits.reshape(-1, found.fine.shape[1]))[0]
        if np.quantile(apart, 0.95) <= 0.02 * found.extent:  # jumps may be too quick for the samples of the loop
            a.period, a.largest, a.loop = found.period, float(np.abs(found.transverse).max(initial=0.0)), found

    def ranked(self, labels: Array) -> Array:
        """New index of each known attractor: by count, the diverged and undecided last; fixes the order."""
        counts = np.bincount(labels, minlength=len(self.known))
        self.order = sorted(
            np.flatnonzero(counts).tolist(),
            key=lambda k: (self.known[k].kind in LAST, self.known[k].kind == "undecided", -counts[k], k),
        )
        rank = np.full(len(self.known), -1)
        rank[self.order] = np.arange(len(self.order))
        return rank

    def append(self, labels: Array, rank: Array) -> Array:
        """Labels of an image in the order of `ranked`, attractors that are new there appended."""
        self.order = self.order[: int((rank >= 0).sum())]
        rank = np.concatenate([rank, np.full(len(self.known) - len(rank), -1)])
        for k in np.unique(labels):
            if rank[k] < 0:
                rank[k] = len(self.order)
                self.order.append(int(k))
        return rank[labels]

    def counted(self, labels: Array) -> list[tuple[Known, int]]:
        """The attractors that were reached, with how many of the labels in the order of `ranked` are theirs."""
        counts = np.bincount(labels, minlength=len(self.order)).tolist()
        return list(zip([self.known[k] for k in self.order], counts, strict=True))

    def message(self) -> str:
        """Remarks for the result."""
        wanders = self.sets.has_transients and "undecided" in [self.known[k].kind for k in self.order]
        most, slow = self.settling.most_sets, self.slow and self.patience.ended is None and not self.sets.has_left_out
        parts = {
            f"{self.lost} simulations stopped early (see `simulate`) and are undecided.": self.lost,
            f"More than {most} different bounded sets: orbits seem to fill a continuum.": self.sets.has_left_out,
            "Some of the undecided still wander on a set that others have left (a chaotic transient).": wanders,
            self._why_undecided(): slow,
        }
        return " ".join(text for text, is_said in parts.items() if is_said)

    def _why_undecided(self) -> str:
        flow = self.dynamics
        unit, name = {"steps": "steps", "duration": "units of time"}[flow.motion.horizon], flow.motion.horizon
        text = (
            f"Within {flow.horizon * (1 + sum(self.settling.extensions)):.4g} {unit}, {self.slow} undecided neither arrived at an attracting "
            "point or cycle nor came back to where they had been"
        )
        if self.tried:
            text += f"; nor did trial orbits in windows up to {self.tried:.4g}, so the default `duration` is a guess"
        return f"{text}. If they are slow, give a longer `{name}` than {flow.horizon:.4g}."
