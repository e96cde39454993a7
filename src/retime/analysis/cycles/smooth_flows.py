"""Limit cycles of smooth flows: where orbits that were given time to settle nearly return, forwards and backwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.analysis.cycles.closed_orbits import Loop, Return, close, close_returns
from retime.analysis.cycles.orbit_search import OrbitSearch
from retime.analysis.cycles.result import Cycle
from retime.core.arrays import Array
from retime.core.reachability import Box
from retime.core.time import Discrete
from retime.simulation.variational import SAMPLES

PIECES = 64  # of SAMPLES samples in which a return is looked for, at most
CANDIDATES = 12  # closest returns of one orbit that are tried


class SmoothSearch(OrbitSearch):
    """Limit cycles on which orbits from several states end, forwards or backwards, or which they pass closely; `found` holds `Loop`s."""

    is_reversible = True  # in time, where what repels attracts

    def starts(self, rng: Any) -> Array:
        """Random states within the bounds of the family."""
        count = self.rule.starts
        own = rng.normal(size=(count, self.flow.model.num_states)) * np.geomspace(0.1, 5.0, count)[:, None]
        return np.clip(own, *self.flow.model.reachable(Box.at(self.flow.s)))

    def cycles(self) -> list[Cycle]:
        """Those found."""
        return [_cycle(x) for x in self.found]

    def is_arriving(self, states: Array, sign: float) -> bool:
        """Whether an orbit comes closer to a known cycle that attracts it, being near already."""
        for known in self.found:
            sizes = np.abs(known.transverse)
            if (sizes < 1.0 if sign > 0 else sizes > 1.0).all():
                now = known.distance(states[-1])
                if now <= self.rule.arrived * known.extent and now <= max(
                    known.distance(states[0]), self.rule.closed * known.extent
                ):
                    return True
        return False

    def close_returns(self, z: Array, before: Array | None, sign: float) -> bool:
        """Whether one of the closest returns of the orbit from z closes to a cycle, known or new.

        `before`: states of one longest period of the same orbit, which say how fast it is.
        """
        before = self.orbit(z, self.longest, sign) if before is None else before
        if before is None:
            return False
        extent = float(np.linalg.norm(np.ptp(before, axis=0)))
        length = float(np.linalg.norm(np.diff(before, axis=0), axis=1).sum())
        pieces = self.rule.window * length / (extent * self.rule.spacing * SAMPLES)
        pieces = int(np.clip(math.ceil(pieces), 1, PIECES))
        parts = [z[None]]
        for _ in range(pieces):
            states = self.orbit(parts[-1][-1], self.rule.window * self.longest / pieces, sign)
            if states is None:
                return False
            parts.append(states[1:])
        states = np.concatenate(parts)
        times = np.linspace(0.0, self.rule.window * self.longest, len(states))
        extent, is_any = float(np.linalg.norm(np.ptp(states, axis=0))), False
        for back in _spread_out(
            close_returns(times, states, lambda z: sign * self.flow.rate(z), self.longest, self.rule)
        ):
            self.patience.check()
            if back.period * self.pace * (1 + len(z)) > self.patience.left:
                self.is_late = True
                return is_any
            is_any = self._close(back, extent) or is_any
            if is_any and back.gap <= self.rule.returned:
                break
        return is_any

    def _close(self, back: Return, extent: float) -> bool:
        loop = close(self.flow, back.z, back.period, extent, self.rule)
        if loop is None or loop.period > self.longest * (1 + 1e-9):
            return False
        if not self.is_limit_cycle(loop.multipliers):
            return False
        if not any(loop.is_same(known) for known in self.found):
            self.found.append(loop)
        return True


def _spread_out(returns: list[Return]) -> list[Return]:
    """The first ones, at most three of nearly the same period."""
    kept: list[Return] = []
    for r in returns:
        if sum(abs(r.period - k.period) <= 0.02 * k.period for k in kept) < 3:
            kept.append(r)
    return kept[:CANDIDATES]


def _cycle(loop: Loop) -> Cycle:
    points, T = loop.states[:-1], loop.period
    return Cycle(
        T, points, loop.multipliers, bool(Discrete().is_stable(loop.transverse)), np.zeros((len(points), 0), dtype=bool), loop.residual,
        False, T, sample_times=T * np.arange(len(points)) / len(points),
    )  # fmt: skip
