"""Limit cycles of smooth flows: where orbits that were given time to settle nearly return, forwards and backwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.analysis.cycles.closed_orbits import AT_REST, CLOSED, RETURNED, Loop, Return, close, close_returns
from retime.analysis.cycles.result import Cycle, Cycles
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.reachability import Box
from retime.core.status import SearchStatus
from retime.core.time import Discrete
from retime.core.tolerances import RUNAWAY, size_of
from retime.simulation.variational import SAMPLES, SmoothFlow

STARTS, BACKWARDS = 12, 4  # orbits that are followed, forwards and backwards in time, where what repels attracts
SETTLE = 20.0  # longest periods that an orbit is given to settle
WINDOW = 3.0  # longest periods in which a return is looked for
SPACING = 0.05  # between samples there, in times in which the orbit crosses its own extent
PIECES = 64  # of SAMPLES samples there, at most
CANDIDATES = 12  # closest returns of one orbit that are tried
ORBIT = 1e-9  # error per step of orbits that are to settle
ARRIVED = 1e-3  # distance from a known cycle, relative to its extent, that counts as near
ALONG = 1e-6  # how far the multiplier along the orbit may be from 1, relative to the largest one


def find_limit_cycles_of_smooth_flow(
    model: Any, longest: float, s: Array, given: Array | None, *, deadline: float, seed: int
) -> Cycles:
    """Limit cycles on which orbits from several states end, forwards or backwards, or which they pass closely.

    Returns:
        Cycles with `complete_up_to` 0: there is no proof that there are no others.
    """
    rng, n, patience = np.random.default_rng(seed), model.num_states, Patience(deadline)
    own = rng.normal(size=(STARTS, n)) * np.geomspace(0.1, 5.0, STARTS)[:, None]
    own = np.clip(own, *model.reachable(Box.at(s)))
    tasks = [] if given is None else [(z, 1.0, True) for z in given]
    tasks += [(z, 1.0, False) for z in own] + [(z, -1.0, False) for z in own[:: STARTS // BACKWARDS]]
    search = _Search(SmoothFlow(model, s), longest, patience)
    with np.errstate(all="ignore"), progress("searching limit cycles", len(tasks)) as advance, patience:
        for z, sign, is_given in tasks:
            search.follow(z, sign, is_given)
            advance(1)
    return search.result(len(tasks))


class _Search:
    """The limit cycles found up to now, and how orbits ended that showed none."""

    def __init__(self, flow: SmoothFlow, longest: float, patience: Patience) -> None:
        self.flow, self.longest, self.patience = flow, longest, patience
        self.found: list[Loop] = []
        self.tried = self.lost = self.resting = self.open = 0
        self.pace = 0.0  # seconds per model time of an orbit, as last measured
        self.is_late = False

    def follow(self, z: Array, sign: float, is_given: bool) -> None:
        """Let one orbit settle, look for returns, and close them; from a given state, before it settles, too."""
        self.patience.check()
        self.tried += 1
        near = self._orbit(z, self.longest, sign) if is_given else None
        if near is not None:
            self._close_returns(z, near, sign)
        end = self._settled(z, sign)
        if end is None:
            self.lost += sign > 0
        elif _is_at_rest(end):
            self.resting += sign > 0
        elif not self._is_arriving(end, sign) and not self._close_returns(end[-1], end, sign):
            self.open += sign > 0

    def _orbit(self, z: Array, duration: float, sign: float) -> Array | None:
        """States of a piece of an orbit; None where it diverges or ends."""
        self.patience.check()
        began = work_seconds()
        states = self.flow.orbit(z, duration, sign=sign, tolerance=ORBIT)
        self.pace = (work_seconds() - began) / duration
        return states if np.abs(states).max() <= RUNAWAY * size_of(z) else None

    def _settled(self, z: Array, sign: float) -> Array | None:
        """The last piece, one longest period long, of an orbit that was given time to settle, in pieces that double; an earlier one
        where it comes to rest or arrives at a known cycle."""
        left, piece, states = SETTLE * self.longest, self.longest / 64.0, None
        while left > 0:
            states = self._orbit(z, piece, sign)
            if states is None or (piece == self.longest and (_is_at_rest(states) or self._is_arriving(states, sign))):
                return states
            z, left, piece = states[-1], left - piece, min(2.0 * piece, self.longest)
        return states

    def _is_arriving(self, states: Array, sign: float) -> bool:
        """Whether an orbit comes closer to a known cycle that attracts it, being near already."""
        for known in self.found:
            sizes = np.abs(known.transverse)
            if (sizes < 1.0 if sign > 0 else sizes > 1.0).all():
                now = known.distance(states[-1])
                if now <= ARRIVED * known.extent and now <= max(known.distance(states[0]), CLOSED * known.extent):
                    return True
        return False

    def _close_returns(self, z: Array, before: Array, sign: float) -> bool:
        """Whether one of the closest returns of the orbit from z closes to a cycle, known or new.

        `before`: states of one longest period of the same orbit, which say how fast it is.
        """
        extent = float(np.linalg.norm(np.ptp(before, axis=0)))
        length = float(np.linalg.norm(np.diff(before, axis=0), axis=1).sum())
        pieces = WINDOW * length / (extent * SPACING * SAMPLES)
        pieces = int(np.clip(math.ceil(pieces), 1, PIECES))
        parts = [z[None]]
        for _ in range(pieces):
            states = self._orbit(parts[-1][-1], WINDOW * self.longest / pieces, sign)
            if states is None:
                return False
            parts.append(states[1:])
        states = np.concatenate(parts)
        times = np.linspace(0.0, WINDOW * self.longest, len(states))
        extent, is_any = float(np.linalg.norm(np.ptp(states, axis=0))), False
        for back in _spread_out(close_returns(times, states, lambda z: sign * self.flow.rate(z), self.longest)):
            self.patience.check()
            if back.period * self.pace * (1 + len(z)) > self.patience.deadline - work_seconds():
                self.is_late = True
                return is_any
            is_any = self._close(back, extent) or is_any
            if is_any and back.gap <= RETURNED:
                break
        return is_any

    def _close(self, back: Return, extent: float) -> bool:
        loop = close(self.flow, back.z, back.period, extent)
        if loop is None or loop.period > self.longest * (1 + 1e-9):
            return False
        w = loop.multipliers
        if np.abs(w - 1.0).min() > ALONG * max(1.0, float(np.abs(w).max())):
            return False
        if not any(loop.is_same(known) for known in self.found):
            self.found.append(loop)
        return True

    def result(self, count: int) -> Cycles:
        """What was found, in the order of the periods."""
        status = self.patience.ended or (SearchStatus.TIME_LIMIT if self.is_late else SearchStatus.HEURISTIC)
        if status is SearchStatus.HEURISTIC and self.lost == count - BACKWARDS and not self.found:
            status = SearchStatus.DIVERGED
        cycles = sorted((_cycle(x) for x in self.found), key=lambda c: (c.period, *c.points[0]))
        return Cycles(tuple(cycles), 0, (), status, self._message(status, count), self.tried, 0)

    def _message(self, status: SearchStatus, count: int) -> str:
        parts = [
            f"from {self.tried} of {count} starts, {BACKWARDS} of them followed backwards, no proof that there are no others"
        ]
        reasons = {"rested": self.resting, "ended early or diverged": self.lost, "did not return": self.open}
        parts += [f"{n} {why}" for why, n in reasons.items() if n]
        end = {SearchStatus.TIME_LIMIT: "time ended", SearchStatus.INTERRUPTED: "interrupted"}.get(status)
        return "; ".join(([end] if end else []) + parts)


def _is_at_rest(states: Array) -> bool:
    """Whether a piece of an orbit stays at one state, and moves less and less."""
    first, last = (np.ptp(part, axis=0).max() for part in np.array_split(states, 2))
    return bool(max(first, last) <= AT_REST * size_of(states) and last <= first)


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
