"""The search for limit cycles of any flow: orbits that are given time to settle, and what became of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from retime.analysis.cycles.result import Cycle, Cycles
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import SearchStatus

STARTS = 12  # orbits that are followed
SETTLE = 20.0  # longest periods that an orbit is given to settle
WINDOW = 3.0  # longest periods in which a return is looked for
ALONG = 1e-6  # how far the multiplier along the orbit may be from 1, relative to the largest one


class OrbitSearch(ABC):
    """The limit cycles of a flow found up to now, and how orbits ended that showed none.

    Args:
        flow: with its derivative (`simulation.passage.derived`). longest: period, model time. patience: until when to work.
    """

    backwards: ClassVar[int] = 0
    """Orbits that are followed backwards in time."""

    def __init__(self, flow: Any, longest: float, patience: Patience) -> None:
        self.flow, self.longest, self.patience = flow, longest, patience
        self.tried = self.lost = self.resting = self.open = 0
        self.pace = 0.0  # seconds per model time of an orbit, as last measured
        self.is_late = False

    @abstractmethod
    def starts(self, rng: Any) -> Array:
        """STARTS states `(k, n)` of the search's own."""

    @abstractmethod
    def follow(self, z: Array, sign: float, is_given: bool) -> None:
        """Let one orbit settle, backwards in time with sign -1, look for returns, and close them; from a given state, before it settles, too."""

    @abstractmethod
    def cycles(self) -> list[Cycle]:
        """Those found, in any order."""

    def run(self, given: Array | None, rng: Any) -> Cycles:
        """All orbits; `complete_up_to` is 0: there is no proof that there are no other cycles."""
        own = self.starts(rng)
        tasks = [(z, 1.0, True) for z in ([] if given is None else given)] + [(z, 1.0, False) for z in own]
        tasks += [(z, -1.0, False) for z in own[:: STARTS // self.backwards]] if self.backwards else []
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
        return Cycles(tuple(found), 0, (), status, self._message(status, len(tasks)), self.tried, 0)

    def _message(self, status: SearchStatus, count: int) -> str:
        """What became of the orbits."""
        back = f", {self.backwards} of them followed backwards" if self.backwards else ""
        parts = [f"from {self.tried} of {count} starts{back}, no proof that there are no others"]
        reasons = {"rested": self.resting, "ended early or diverged": self.lost, "did not return": self.open}
        parts += [f"{n} {why}" for why, n in reasons.items() if n]
        return "; ".join([*ENDED.get(status, []), *parts])


ENDED = {SearchStatus.TIME_LIMIT: ["time ended"], SearchStatus.INTERRUPTED: ["interrupted"]}


def is_limit_cycle(w: Array) -> bool:
    """Whether one of the multipliers `(n,)` is the 1 along an orbit, without which no orbit of a flow is closed."""
    return bool(np.abs(w - 1.0).min() <= ALONG * max(1.0, float(np.abs(w).max())))
