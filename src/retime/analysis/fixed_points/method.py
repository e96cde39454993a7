"""`Multistart`: how fixed points of smooth systems are searched."""

from __future__ import annotations

from dataclasses import dataclass

from retime.core.method import Method
from retime.core.tolerances import SAME_FOUND


@dataclass(frozen=True, repr=False)
class Multistart(Method):
    """Damped Newton steps from many starts: its thresholds, relative to 1 + max|z| where they are sizes of states.

    G(z) = F(z, s) - z of a map, F(z, s) of a flow. How many starts there are, and which, are arguments of `find_fixed_points`.

    Args:
        tolerance: largest entry of |G| at a fixed point (of a flow also relative to the size of dF/dz). Every point is iterated on until
            its residual no longer falls: this decides what counts, not how exact it is.
        same: two points this close are one, and those whose errors reach each other.
        apart: two points farther apart than this are never one, however large their errors.
        singular: singular values of dG/dz below this, relative to 1 (maps) or the size of dF/dz, count as zero: a continuum is looked for.
        gradient: gradient of |G|, relative to its terms, below which a search ends at a minimum of |G|: a slow point.
        slow: speed, relative to the median at random states, below which such a minimum is listed in `slow_points`.
        iterations: steps of one start before it counts as stalled.
        rounds: of new starts around what was found.
        members, transient: orbits, and steps of each, along which starts are collected.
        push: off a known point, from where orbits are followed to other ones.
        representatives: points that are kept of a continuum.

    Raises:
        ValueError: a threshold that is not positive, or a count that is not whole.

    Source: sussillo2013, golub2018; docs/theory/analysis.md, docs/theory/tolerances.md.
    """

    tolerance: float = 1e-10
    same: float = SAME_FOUND
    apart: float = 1e-3
    singular: float = 1e-7
    gradient: float = 1e-6
    slow: float = 0.05
    iterations: int = 80
    rounds: int = 4
    members: int = 32
    transient: int = 200
    push: float = 0.02
    representatives: int = 5
