"""The search for limit cycles of any flow: orbits that are given time to settle, and what became of each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from retime.analysis.cycles.method import Shooting
from retime.analysis.cycles.result import Cycle, Cycles
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import SearchStatus
from retime.core.tolerances import RUNAWAY, size_of


class OrbitSearch(ABC):
    """The limit cycles of a flow found up to now, and how orbits ended that showed none.

    Args:
        flow: with its derivative (`simulation.passage.derived`). longest: period, model time. patience: until when.
        rule: its thresholds.
    """

    is_reversible: ClassVar[bool] = False
    """Whether every third orbit is followed backwards in time as well."""

    def __init__(self, flow: Any, longest: float, patience: Patience, rule: Shooting) -> None:
        self.flow, self.longest, self.patience, self.rule = flow, longest, patience, rule
        self.backwards = -(-rule.starts // 3) if self.is_reversible else 0
        self.tried = self.lost = self.resting = self.open = 0
        self.found: list[Any] = []
        self.short = math.inf  # the first piece of an orbit, at most
        self.pace = 0.0  # seconds per model time of an orbit, as last measured
        self.is_late = False

    @abstractmethod
    def starts(self, rng: Any) -> Array:
        """`rule.starts` states `(k, n)` of the search's own."""

    @abstractmethod
    def close_returns(self, z: Array, before: Array | None, sign: float) -> bool | None:
        """Whether one of the closest returns of the orbit from z `(n,)`, backwards in time with sign -1, closes to a cycle, known or new;
        None where the orbit ends early.

        `before`: states of one longest period of the same orbit, which say how fast it is; None: to be found.
        """

    def cycles(self) -> list[Cycle]:
        """Those found, in any order."""
        return self.found

    def is_arriving(self, states: Array, sign: float) -> bool:
        """Whether an orbit comes closer to a known cycle that attracts it, being near already."""
        return False

    def follow(self, z: Array, sign: float, is_given: bool) -> None:
        """Let one orbit settle, look for returns, and close them; from a given state, before it settles, too."""
        if is_given:
            self.close_returns(z, None, sign)
        end = self._settled(z, sign)
        if end is None:
            self.lost += sign > 0
        elif self._is_at_rest(end):
            self.resting += sign > 0
        elif not self.is_arriving(end, sign):
            is_closed = self.close_returns(end[-1], end, sign)
            self.lost += sign > 0 and is_closed is None
            self.open += sign > 0 and is_closed is False

    def orbit(self, z: Array, duration: float, sign: float) -> Array | None:
        """States of a piece of an orbit; None where it diverges or ends."""
        self.patience.check(self.pace * duration)
        began = work_seconds()
        states = self.flow.orbit(z, duration, sign=sign, tolerance=self.rule.orbit)
        self.pace = (work_seconds() - began) / duration
        return states if np.abs(states).max() <= RUNAWAY * size_of(z) else None

    def _settled(self, z: Array, sign: float) -> Array | None:
        """The last piece, one longest period long, of an orbit that was given time to settle, in pieces that double; an earlier one
        where it comes to rest or arrives at a known cycle."""
        left, piece, states = self.rule.settle * self.longest, min(self.longest / 64.0, self.short), None
        while left > 0:
            states = self.orbit(z, piece, sign)
            if states is None or (
                piece == self.longest and (self._is_at_rest(states) or self.is_arriving(states, sign))
            ):
                return states
            z, left, piece = states[-1], left - piece, min(2.0 * piece, self.longest)
        return states

    def run(self, given: Array | None, rng: Any) -> Cycles:
        """All orbits; `complete_up_to` is 0: there is no proof that there are no other cycles."""
        own = self.starts(rng)
        tasks = [(z, 1.0, True) for z in ([] if given is None else given)] + [(z, 1.0, False) for z in own]
        tasks += [(z, -1.0, False) for z in own[::3]] if self.backwards else []
        with np.errstate(all="ignore"), progress("searching limit cycles", len(tasks)) as advance, self.patience:
            for task in tasks:
                self.patience.check()
                self.tried += 1
                self.follow(*task)
                advance(1)
        found = sorted(self.cycles(), key=lambda c: (c.period, *c.points[0]))
        status = self.patience.ended or (SearchStatus.TIME_LIMIT if self.is_late else SearchStatus.HEURISTIC)
        if status is SearchStatus.HEURISTIC and self.lost == len(tasks) - self.backwards and not found:
            status = SearchStatus.DIVERGED
        return Cycles(tuple(found), 0, (), status, self._message(status, len(tasks)), self.tried, 0, shooting=self.rule)

    def _message(self, status: SearchStatus, count: int) -> str:
        """What became of the orbits."""
        back = f", {self.backwards} of them followed backwards" if self.backwards else ""
        parts = [f"from {self.tried} of {count} starts{back}, no proof that there are no others"]
        reasons = {"rested": self.resting, "ended early or diverged": self.lost, "did not return": self.open}
        parts += [f"{n} {why}" for why, n in reasons.items() if n]
        return "; ".join([*ENDED.get(status, []), *parts])

    def _is_at_rest(self, states: Array) -> bool:
        """Whether a piece of an orbit stays at one state, and moves less and less."""
        first, last = (np.ptp(part, axis=0).max() for part in np.array_split(states, 2))
        return bool(max(first, last) <= self.rule.still * size_of(states) and last <= first)

    def is_limit_cycle(self, w: Array) -> bool:
        """Whether one of the multipliers `(n,)` is the 1 along an orbit, without which no orbit of a flow is closed."""
        return bool(np.abs(w - 1.0).min() <= self.rule.along * max(1.0, float(np.abs(w).max())))


ENDED = {SearchStatus.TIME_LIMIT: ["time ended"], SearchStatus.INTERRUPTED: ["interrupted"]}
