"""The search for cycles of piecewise-affine maps, period by period, from orbits and virtual cycles; and the proof that none is missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.analysis.cycles.book import Book, turn_key
from retime.analysis.cycles.phase import least_period
from retime.analysis.cycles.result import Cycles
from retime.analysis.cycles.virtual_search import VirtualSearch
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.find import scope
from retime.analysis.fixed_points.leaves import Solution
from retime.analysis.fixed_points.search import solve_all
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.progress import progress
from retime.core.status import SearchStatus
from retime.core.tolerances import SAME_FOLLOWED, size_of

PROOF_UNITS = 400  # signs (k q) up to which a proof is tried
PROOF_SHARE = 0.1  # of the time, for proofs
GIVEN = (
    64,
    6,
)  # states of a Trajectory that a search starts from: of a map; of a flow, each of which is followed for long


class Hunt:
    """The search for the cycles of one map, order by order."""

    def __init__(
        self, view: AffineView, s: Array, rng: Any, deadline: float, limit: float, num_starts: int, given: Array | None
    ) -> None:
        self.view, self.s, self.deadline = view, s, deadline
        self.first_deadline = work_seconds() + 0.5 * limit
        self.proof_seconds, self.proof_deadline = PROOF_SHARE * limit, float("inf")
        self.book = Book(view, s)
        self.search = VirtualSearch(self.book, rng, deadline, num_starts, given)
        self.nodes = self.complete_up_to = 0
        self.reach = math.inf  # of the proofs
        self.degenerate: list[int] = []
        self.status, self.order = SearchStatus.COMPLETE, 0

    def run(self, largest: int, node_limit: float) -> Cycles:
        """All orders up to `largest`."""
        proving = True
        try:
            with progress("searching cycles", largest) as advance:
                for k in range(1, largest + 1):
                    if work_seconds() >= self.deadline:
                        self.status = SearchStatus.TIME_LIMIT
                        break
                    self.order = k
                    proving = proving and self._prove(k, node_limit)
                    if not proving:
                        self._search(k)
                    advance(1)
        except KeyboardInterrupt:
            self.status = SearchStatus.INTERRUPTED
        return self._result(largest)

    def _prove(self, k: int, node_limit: float) -> bool:
        """All k-cycles by branch and bound; False when that was too much."""
        if k * self.view.form.num_units > PROOF_UNITS and k > 1:
            return False
        problem = Complementarity.of_cycles(self.view.form, self.s, k)
        deadline = self.proof_deadline if k > 1 else self.first_deadline
        shape = (k, self.view.form.num_units)
        found = solve_all(problem, deadline=deadline, node_limit=node_limit, key=lambda d: turn_key(d.reshape(shape)))
        self.nodes += found.nodes
        before = self.book.unclear
        self.book.unclear += found.unclear
        for x in found.single:
            self.book.add(k, x)
        if any(_repeats_after(k, _generic(c)) for c in found.continua):
            self.degenerate.append(k)
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        if k == 1:  # its time includes compiling, which is not to count for longer ones
            self.proof_deadline = work_seconds() + self.proof_seconds
        is_proven = found.status is SearchStatus.COMPLETE and self.book.unclear == before
        if is_proven:
            self.complete_up_to, self.reach = k, min(self.reach, found.reach)
        return is_proven

    def _search(self, k: int) -> None:
        """Virtual cycles of order k, as far as the time allows."""
        self.search.run(k)
        if work_seconds() >= self.deadline:
            self.status = SearchStatus.TIME_LIMIT
        elif self.status is SearchStatus.COMPLETE:
            self.status = SearchStatus.HEURISTIC

    def _result(self, largest: int) -> Cycles:
        if self.status is SearchStatus.COMPLETE and self.complete_up_to < largest:
            self.status = SearchStatus.HEURISTIC
        proven = self.complete_up_to if self.view.dt is not None else self.complete_up_to * float(self.view.step or 1.0)
        return Cycles(
            self.book.cycles(), proven, tuple(self.degenerate), self.status, self._message(largest), self.search.starts, self.nodes,
            self.reach if self.complete_up_to else math.inf,
        )  # fmt: skip

    def _message(self, largest: int) -> str:
        proven = (
            f"complete up to period {self.complete_up_to}{'' if self.view.dt is not None else ' steps'}{scope(self.reach)}"
            if self.complete_up_to
            else "no period proven complete"
        )
        text = {
            SearchStatus.COMPLETE: proven,
            SearchStatus.HEURISTIC: f"{proven}, longer ones searched from {self.search.starts} starts",
            SearchStatus.TIME_LIMIT: f"{proven}; time ended at period {self.order} of {largest}",
            SearchStatus.INTERRUPTED: f"{proven}; interrupted at period {self.order} of {largest}",
        }[self.status]
        if count := self.book.unclear:
            text += (
                f"; {count} sequence{'s' * (count != 1)} of regions unclear, whose cycles double precision cannot tell"
            )
        if self.degenerate:
            text += f"; continua of cycles of period {', '.join(map(str, self.degenerate))}"
        return text


def _repeats_after(k: int, z: Array) -> bool:
    """Whether k points z `(k n,)` come again after k steps, and not before."""
    return least_period(z.reshape(k, -1), SAME_FOLLOWED * size_of(z)) == k


def _generic(c: Solution) -> Array:
    """A point of a continuum that is no special one."""
    steps = np.cos(1.0 + np.arange(c.directions.shape[1]))
    return c.z + 1e-3 * size_of(c.z) * (c.directions @ steps)
