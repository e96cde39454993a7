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
from retime.core.patience import Patience
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
        self,
        view: AffineView,
        s: Array,
        rng: Any,
        patience: Patience,
        limit: float,
        num_starts: int,
        given: Array | None,
    ) -> None:
        self.view, self.s, self.patience = view, s, patience
        self.first_deadline = work_seconds() + 0.5 * limit
        self.proof_seconds, self.proof_deadline = PROOF_SHARE * limit, float("inf")
        self.book = Book(view, s)
        self.search = VirtualSearch(self.book, rng, patience, num_starts, given)
        self.nodes = self.complete_up_to = self.order = 0
        self.reach = math.inf  # of the proofs
        self.degenerate: list[int] = []

    def run(self, largest: int, node_limit: float) -> Cycles:
        """All orders up to `largest`."""
        proving = True
        with progress("searching cycles", largest) as advance, self.patience:
            for k in range(1, largest + 1):
                self.patience.check()
                self.order = k
                proving = proving and self._prove(k, node_limit)
                if not proving:
                    self.search.run(k)
                    self.patience.check()
                advance(1)
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

    def _result(self, largest: int) -> Cycles:
        is_proven = self.complete_up_to == largest
        status = self.patience.ended or (SearchStatus.COMPLETE if is_proven else SearchStatus.HEURISTIC)
        reach = self.reach if self.complete_up_to else math.inf
        found, proven, none = self.book.cycles(), self.complete_up_to * self.view.unit, tuple(self.degenerate)
        return Cycles(
            found, proven, none, status, self._message(status, largest), self.search.starts, self.nodes, reach
        )

    def _message(self, status: SearchStatus, largest: int) -> str:
        steps = " steps" if isinstance(self.view.unit, float) else ""
        text = (
            f"complete up to period {self.complete_up_to}{steps}{scope(self.reach)}"
            if self.complete_up_to
            else "no period proven complete"
        )
        text += {
            SearchStatus.COMPLETE: "",
            SearchStatus.HEURISTIC: f", longer ones searched from {self.search.starts} starts",
            SearchStatus.TIME_LIMIT: f"; time ended at period {self.order} of {largest}",
            SearchStatus.INTERRUPTED: f"; interrupted at period {self.order} of {largest}",
        }[status]
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
