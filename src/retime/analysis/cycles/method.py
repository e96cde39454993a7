"""`Shooting`: how limit cycles of flows are searched."""

from __future__ import annotations

from dataclasses import dataclass

from retime.core.method import Method


@dataclass(frozen=True, repr=False)
class Shooting(Method):
    """Orbits are given time to settle, and where one nearly returns, Newton steps on state and period close it: the thresholds of that search.

    Args:
        starts: orbits from states of the search's own; of a smooth flow every third of them is followed backwards in time as well.
        settle: longest periods that an orbit is given to settle.
        window: longest periods in which a return is looked for, once it has.
        orbit: error per step of these orbits.
        still: extent of an orbit, relative to 1 + |z|, that is none: it has come to rest.
        spacing: between the states of a smooth orbit that are looked at, in times in which it crosses its own extent.
        near: distance of a return that is tried, relative to the orbit's extent.
        returned: the same of a return that is taken for an exact one: of those the one after the shortest time is tried first.
        arrived: distance from a known cycle, relative to its extent, below which an orbit that comes closer is not followed any further.
        iterations: Newton steps, at most.
        closed: distance of a cycle's end from its start that a change of the start this large, relative to 1 + |z|, explains.
        along: how far the multiplier along a cycle may be from 1, relative to the largest one.

    Raises:
        ValueError: a threshold that is not positive, or a count that is not whole.

    Source: viswanath2003; docs/theory/analysis.md, docs/theory/tolerances.md.
    """

    starts: int = 12
    settle: float = 20.0
    window: float = 3.0
    orbit: float = 1e-9
    still: float = 1e-6
    spacing: float = 0.05
    near: float = 0.3
    returned: float = 1e-4
    arrived: float = 1e-3
    iterations: int = 25
    closed: float = 1e-10
    along: float = 1e-6
