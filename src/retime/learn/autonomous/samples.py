"""Where the flow is to follow the map: states along the map's own orbits and around them, and one step of the map from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.start import distinct
from retime.core.system import System
from retime.core.tolerances import FAR, size_of
from retime.learn.autonomous.projection import Steps

ORBITS = 64  # followed side by side
SETTLING = 500  # steps left out of the orbits of states that nobody gave
ASTRAY = 20  # steps over which a state beside an orbit is followed, at most
HELD = 10  # steps for which an input drawn from those given is held


class Units(NamedTuple):
    """z = center + scale z~, s = middle + width s~: units in which the orbits are of size 1."""

    center: Array
    scale: float
    middle: Array
    width: Array

    @classmethod
    def of(cls, z: Array, s: Array) -> Units:
        """Of states and inputs that are visited."""
        spread, width = float(np.sqrt(z.var(axis=0).mean())), s.std(axis=0)
        return cls(z.mean(axis=0), spread or 1.0, s.mean(axis=0), np.where(width > 0.0, width, 1.0))

    def rows(self, z: Array, s: Array) -> Array:
        """x = (z~, s~, 1) `(b, n + m + 1)`."""
        return np.hstack([self.states(z), (s - self.middle) / self.width, np.ones((len(z), 1))])

    def states(self, z: Array) -> Array:
        """z~."""
        return (z - self.center) / self.scale


@dataclass(frozen=True, eq=False)
class Sample:
    """States, the inputs held there, and where the map takes them.

    Attributes:
        z: `(b, n)`. s: `(b, m)`. ends: `(b, n)`. is_own: `(b,)`, on an orbit of the map, not beside one.
    """

    z: Array
    s: Array
    ends: Array
    is_own: Array

    @property
    def step(self) -> float:
        """Root of the mean square length of a step on the orbits."""
        moved = (self.ends - self.z)[self.is_own]
        return float(np.sqrt((moved**2).sum(axis=1).mean()))

    def steps(self, units: Units) -> Steps:
        """In units of the fit, steps beside the orbits with a third of the weight."""
        ends = units.states(self.ends)
        x = units.rows(self.z, self.s)
        moved = ((ends - x[:, : ends.shape[1]]) ** 2).sum(axis=1)
        usual = (self.step / units.scale) ** 2
        weights = np.where(self.is_own, 1.0, BESIDE) / (moved / usual + STILL)
        return Steps(x, ends, weights / weights.sum())


STILL = 0.3  # square of a step, relative to the usual one, below which errors no longer count by the step
BESIDE = 1.0 / 3.0


class Diverged(Exception):
    """Raised where orbits of the map leave for infinity."""


def own_orbits(model: System, z: Array, s: Array, count: int, settling: int, rng: Any) -> tuple[Array, Array]:
    """At least `count` states of the orbits from states drawn from z `(b, n)` under inputs drawn from s `(b, m)`, and the inputs there.

    Raises:
        Diverged: an orbit leaves.
    """
    lanes = min(ORBITS, count)
    chosen = rng.permutation(len(z))[np.arange(lanes) % len(z)]
    y, held = z[chosen], s[chosen]
    far = FAR * size_of(z)
    kept: list[tuple[Array, Array]] = []
    for k in range(settling + -(-count // lanes)):
        if k % HELD == 0 and s.shape[1]:
            held = s[rng.integers(0, len(s), lanes)]
        if k >= settling:
            kept.append((y, held))
        y = model.apply(y, held)
        if not (np.abs(y) < far).all():
            raise Diverged(f"after {k + 1} steps an orbit is {far:.1e} away")
    states, inputs = (np.concatenate(part)[:count] for part in zip(*kept, strict=True))
    return states, inputs


def beside(model: System, z: Array, s: Array, count: int, spread: float, rng: Any) -> tuple[Array, Array]:
    """`count` states on their way back: orbit states moved by up to `spread` standard deviations, and followed for 1 to 20 steps."""
    chosen = rng.integers(0, len(z), count)
    size = spread * z.std(axis=0) * rng.uniform(size=(count, 1))
    y, held = z[chosen] + size * rng.normal(size=(count, z.shape[1])), s[chosen]
    left = rng.integers(1, ASTRAY, count)
    for k in range(ASTRAY):
        y = np.where((left > k)[:, None], model.apply(y, held), y)
    kept = np.isfinite(y).all(axis=1)
    return y[kept], held[kept]


def sampled(model: System, own: tuple[Array, Array], around: tuple[Array, Array]) -> Sample:
    """The sample of states on and beside the orbits."""
    z, s = np.concatenate([own[0], around[0]]), np.concatenate([own[1], around[1]])
    return Sample(z, s, model.apply(z, s), np.arange(len(z)) < len(own[0]))


def count_distinct(z: Array, most: int) -> int:
    """How many of at most `most` states, evenly taken, differ."""
    return len(distinct(z[np.linspace(0, len(z) - 1, min(most, len(z))).astype(int)]))
