"""When an orbit counts as settled: the thresholds of `find_basins`, as one object."""

from __future__ import annotations

from dataclasses import dataclass, fields

from retime.core.arguments import amount, whole
from retime.core.result import Result


@dataclass(frozen=True, repr=False)
class Settling(Result):
    """When an orbit counts as settled in `find_basins`, and on what; distances are relative to the longest side of the box.

    Args:
        arrived: distance to a known point or cycle from which a start counts for it.
        approaching: the same where the distance has shrunk by a tenth over the last half of a quarter of the horizon.
        returned: displacement after k steps from which a point or k-cycle is solved for.
        rest: displacement that counts as none.
        neutral: distance of a multiplier from modulus 1, or of a real part from 0 relative to the rate of the flow, that counts as none.
        shared: part of an orbit among the states of a bounded set from which on it belongs to the set.
        gap: difference of the averages of cosines along orbits from which on bounded sets that share cells are two.
        chance: probability, for each average, of a difference that chance explains: below it they are two.
        orbits: those on every bounded set that are followed for four horizons more; of a flow a quarter as many.
        most_sets: more bounded sets than this are a continuum of orbits, and the others undecided.
        extensions: horizons more, one after the other, that starts which have not settled are given.
        doublings: of the default horizon of a flow, at most.
        widest: states of a flow, at most, for its limit cycles to be solved for.

    Raises:
        ValueError: a threshold that is no number >= 0, a count that is no whole number.

    Source: docs/theory/basins.md.
    """

    arrived: float = 1e-6
    approaching: float = 1e-4
    returned: float = 1e-3
    rest: float = 1e-10
    neutral: float = 1e-9
    shared: float = 0.9
    gap: float = 0.02
    chance: float = 1e-9
    orbits: int = 64
    most_sets: int = 64
    extensions: tuple[int, ...] = (4, 16)
    doublings: int = 10
    widest: int = 32

    def __post_init__(self) -> None:
        for name in ("arrived", "approaching", "returned", "rest", "neutral", "shared", "gap", "chance"):
            amount(name, getattr(self, name))
        if not 0 < self.chance < 1:
            raise ValueError(f"`chance` is {self.chance!r}; it must be a probability between 0 and 1, both excluded.")
        for name, least in (("orbits", 4), ("most_sets", 1), ("doublings", 0), ("widest", 0)):
            whole(name, getattr(self, name), least)
        object.__setattr__(self, "extensions", tuple(whole("extensions", k, 1) for k in self.extensions))

    def _title(self) -> str:
        return ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
