"""Orbits that arrive at a point or cycle: one that is known, or one that is solved for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retime.analysis.basins.bounded_sets import REFERENCE
from retime.analysis.basins.dynamics import SAMPLES, Dynamics
from retime.analysis.basins.endings import Known, is_settling, returns, solved
from retime.analysis.cycles.phase import least_period
from retime.core.arrays import Array

ATTEMPTS = 16  # solutions for fixed points and cycles per quarter of the horizon
SHRUNK = 0.9  # share of its distance to an attractor that an orbit has left which approaches it


@dataclass
class Arrivals:
    """The attractors known so far, and which orbits have arrived at one."""

    dynamics: Dynamics
    known: list[Known] = field(default_factory=list)

    def settled(self, window: Array) -> Array:
        """Labels `(b,)` of those that diverged or arrived at a known or new fixed point or cycle; -1 for the others."""
        flow, z = self.dynamics, window[-1]
        labels = np.full(z.shape[0], -1)
        gone = ~flow.is_near(z)
        if gone.any():
            labels[gone] = self.special("diverged")
        periods, moved = returns(window, flow.max_period)
        rests = moved <= flow.settling.rest * flow.width
        self._arrived(window, labels)
        candidates = is_settling(flow, window, periods, moved)
        for _ in range(ATTEMPTS):
            near = np.min([np.full(len(z), np.inf), *[a.distance(z) for a in self.known]], axis=0)
            open_ = np.flatnonzero(candidates & (labels < 0) & (rests | ~(near <= 1e-2 * flow.width)))
            if len(open_) == 0:
                break
            k = open_[np.argmin(moved[open_])]
            candidates[k] = False
            if self._solve(z[k], int(periods[k])):
                self._arrived(window, labels)
        self._neutral(z, labels, periods, rests)
        return labels

    def special(self, kind: str) -> int:
        """Index into `known` of the end, as "undecided", that is no attractor."""
        for k, a in enumerate(self.known):
            if a.kind == kind:
                return k
        self.known.append(Known(kind, np.zeros((0, self.dynamics.model.num_states))))
        return len(self.known) - 1

    def _arrived(self, window: Array, labels: Array) -> None:
        """Label those that have come close to a known attractor, or closer than before when they are near."""
        unit, settling = self.dynamics.width, self.dynamics.settling
        for k, a in enumerate(self.known):
            open_ = np.flatnonzero(labels < 0)
            now = a.distance(window[-1, open_])
            if not np.isfinite(now).any():
                continue
            before = a.distance(window[max(-1 - SAMPLES // 2, -len(window)), open_])
            there = now <= settling.arrived * unit + 1e-12 * np.abs(a.points).max()
            labels[open_[there | ((now <= settling.approaching * unit) & (now < SHRUNK * before))]] = k

    def _solve(self, z: Array, period: int) -> bool:
        """Solve for the fixed point or cycle near z; whether a new attracting one was found."""
        flow = self.dynamics
        p, same = solved(flow, z, period), flow.settling.arrived * flow.width
        if (p is None or np.abs(p - z).max() > flow.settling.returned * flow.width) and self._resting(z):
            return True
        if p is None:
            return False
        largest = flow.largest(p, period)
        if not flow.excess(largest) < -1:
            return False
        orbit = flow.around(p, period)[2]
        period = least_period(orbit, same)
        if period < len(orbit):
            largest = flow.largest(p, period)
        if min([a.distance(p[None])[0] for a in self.known], default=np.inf) <= 0.1 * same:
            return False
        kind = "fixed_point" if period == 1 else "cycle"
        self.known.append(Known(kind, orbit[:period], period * flow.motion.rest_period, largest))
        return True

    def _resting(self, z: Array) -> bool:
        """A state at rest without a vanishing field: Filippov's flow can rest on a boundary."""
        flow = self.dynamics
        if not flow.motion.has_choice:
            return False
        window = flow.advance(z[None])[0]
        if not np.abs(window[:, 0] - window[-1, 0]).max() <= flow.settling.rest * flow.width:
            return False
        self.known.append(Known("fixed_point", window[-1]))
        return True

    def _neutral(self, z: Array, labels: Array, periods: Array, rests: Array) -> None:
        """Label those of the states `(b, n)` that rest, or return, where nothing attracts and nothing repels."""
        for k in np.flatnonzero((labels < 0) & rests):
            if -1 <= self.dynamics.excess(self.dynamics.largest(z[k], int(periods[k]))) <= 1:
                labels[k] = self.special("neutral")
                a = self.known[labels[k]]
                if len(a.points) < REFERENCE:
                    a.points = np.concatenate([a.points, z[k : k + 1]])
