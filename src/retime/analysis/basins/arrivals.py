"""Orbits that arrive at a point or cycle: one that is known, or one that is solved for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from retime.analysis.basins.bounded_sets import REFERENCE
from retime.analysis.basins.dynamics import SAMPLES, Dynamics
from retime.analysis.basins.endings import REST, RETURN, Known, Size, is_settling, returns, solved
from retime.analysis.cycles.phase import least_period
from retime.core.arrays import Array

MATCH = 1e-6  # distance to an attractor, relative to the size of the box, that counts as arrived
CONTRACTING = 1e-4  # ... that does when it shrank over the last quarter of the horizon
ATTEMPTS = 16  # solutions for fixed points and cycles per quarter of the horizon


@dataclass
class Arrivals:
    """The attractors known so far, and which orbits have arrived at one; `deadline`: the time at which work ends."""

    dynamics: Dynamics
    size: Size
    deadline: Callable[[], float]
    known: list[Known] = field(default_factory=list)

    def settled(self, window: Array) -> Array:
        """Labels `(b,)` of those that diverged or arrived at a known or new fixed point or cycle; -1 for the others."""
        z = window[-1]
        labels = np.full(z.shape[0], -1)
        gone = ~(np.abs(z) < self.size.far).all(axis=1)
        if gone.any():
            labels[gone] = self.special("diverged")
        periods, moved = returns(window, self.dynamics.max_period)
        self._arrived(window, labels)
        candidates = is_settling(window, periods, moved, self.size.width)
        for _ in range(ATTEMPTS):
            near = np.min([np.full(len(z), np.inf), *[a.distance(z) for a in self.known]], axis=0)
            coming = (near <= 1e-2 * self.size.width) & (moved > REST * self.size.width)
            open_ = np.flatnonzero(candidates & (labels < 0) & ~coming)
            if len(open_) == 0:
                break
            k = open_[np.argmin(moved[open_])]
            candidates[k] = False
            if self._solve(z[k], int(periods[k])):
                self._arrived(window, labels)
        self._neutral(window, labels, periods, moved)
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
        for k, a in enumerate(self.known):
            open_ = np.flatnonzero(labels < 0)
            now = a.distance(window[-1, open_])
            if not np.isfinite(now).any():
                continue
            before = a.distance(window[max(-1 - SAMPLES // 2, -len(window)), open_])
            unit = self.size.width
            there = (now <= MATCH * unit + 1e-12 * np.abs(a.points).max()) | (
                (now <= CONTRACTING * unit) & (now < 0.9 * before)
            )
            labels[open_[there]] = k

    def _solve(self, z: Array, period: int) -> bool:
        """Solve for the fixed point or cycle near z; whether a new attracting one was found."""
        p = solved(self.dynamics, z, period)
        if (p is None or np.abs(p - z).max() > RETURN * self.size.width) and self._resting(z):
            return True
        if p is None:
            return False
        _, J, orbit = self.dynamics.around(p, period)
        largest = self.dynamics.largest(J)
        if not self.dynamics.excess(largest) < -1:
            return False
        period = least_period(orbit, MATCH * self.size.width)
        if period < len(orbit):
            largest = self.dynamics.largest(self.dynamics.around(p, period)[1])
        known = Known(
            "fixed_point" if period == 1 else "cycle", orbit[:period], period if self.dynamics.is_map else 0, largest
        )
        if min([a.distance(p[None])[0] for a in self.known], default=np.inf) <= 0.1 * MATCH * self.size.width:
            return False
        self.known.append(known)
        return True

    def _resting(self, z: Array) -> bool:
        """A state at rest without a vanishing field: Filippov's flow can rest on a boundary."""
        if not self.dynamics.motion.has_choice:
            return False
        window, _, _ = self.dynamics.advance(z[None], self.deadline())
        if not np.abs(window[:, 0] - window[-1, 0]).max() <= REST * self.size.width:
            return False
        self.known.append(Known("fixed_point", window[-1]))
        return True

    def _neutral(self, window: Array, labels: Array, periods: Array, moved: Array) -> None:
        """Label those that rest, or return, where nothing attracts and nothing repels."""
        for k in np.flatnonzero((labels < 0) & (moved <= REST * self.size.width)):
            excess = self.dynamics.excess(
                self.dynamics.largest(self.dynamics.around(window[-1, k], int(periods[k]))[1])
            )
            if -1 <= excess <= 1:
                labels[k] = self.special("neutral")
                a = self.known[labels[k]]
                if len(a.points) < REFERENCE:
                    a.points = np.concatenate([a.points, window[-1:, k]])
