"""Where the flow is to follow the map: states along the map's own orbits and around them, and one step of the map from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.start import distinct
from retime.core.system import System
from retime.core.tolerances import FAR, size_of
from retime.learn.autonomous.projection import Steps

ORBITS = 64  # followed side by side
SETTLING = 500  # steps left out of the orbits of states that nobody gave
STRIDE = (
    7  # steps from one state that is kept to the next: neighbors in a sample then come from many places within a step
)
ASTRAY = 20  # steps over which a state beside an orbit is followed, at most
LEAVING = 200  # steps over which a state beside a fixed point is followed, at most
NEAREST, NEAR = -2.0, -0.3  # powers of ten: how far beside a fixed point, in standard deviations of the orbits
FOLLOWED = 0.7  # share of them that is followed for more than the least number of steps
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


class Kind(IntEnum):
    """Where a state of a sample lies: on an orbit of the map, on its way back to one, or on its way from a fixed point."""

    OWN, BESIDE, RESTING = range(3)


SHARES = np.array([0.6, 0.25, 0.15])  # of a sample, by kind
WEIGHTS = np.array([1.0, 0.1, 0.3])
STILL = np.array([0.3, 0.01])  # square of a step beside orbits, and from fixed points, relative to the usual one, below
# which errors do not count by the step; on the orbits all count by the usual step, as the certificate counts them


@dataclass(frozen=True, eq=False)
class Sample:
    """States, the inputs held there, and where the map takes them.

    Attributes:
        z: `(b, n)`. s: `(b, m)`. ends: `(b, n)`. kinds: `(b,)`, of `Kind`.
    """

    z: Array
    s: Array
    ends: Array
    kinds: Array

    @property
    def own(self) -> Array:
        """Which are on orbits of the map `(b,)`."""
        return self.kinds == Kind.OWN

    @property
    def step(self) -> float:
        """Root of the mean square length of a step on the orbits."""
        moved = (self.ends - self.z)[self.own]
        return float(np.sqrt((moved**2).sum(axis=1).mean()))

    def steps(self, units: Units) -> Steps:
        """In units of the fit; beside the orbits squares of errors are weighted by the length of the step."""
        ends, x = units.states(self.ends), units.rows(self.z, self.s)
        moved = ((ends - x[:, : ends.shape[1]]) ** 2).sum(axis=1)
        usual = (self.step / units.scale) ** 2
        lengths = np.where(self.own, 1.0, moved / usual + np.array([0.0, *STILL])[self.kinds])
        weights = WEIGHTS[self.kinds] / lengths
        return Steps(x, ends, weights / weights.sum())


class Diverged(Exception):
    """Raised where orbits of the map leave for infinity."""


def own_orbits(
    model: System, y: Array, held: Array, s: Array, count: int, settling: int, rng: Any
) -> tuple[Array, Array]:
    """`count` states of the orbits from y `(b, n)`, some steps apart, after `settling` steps, and the inputs there: `held` `(b, m)`, then
    drawn from s `(k, m)`.

    Raises:
        Diverged: an orbit leaves.
    """
    lanes = len(y)
    far = FAR * size_of(y)
    kept: list[tuple[Array, Array]] = []
    for k in range(settling + STRIDE * -(-count // lanes)):
        if k % HELD == 0 and s.shape[1]:
            held = s[rng.integers(0, len(s), lanes)]
        if k >= settling and (k - settling) % STRIDE == 0:
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
    return _followed(model, z[chosen] + size * rng.normal(size=(count, z.shape[1])), s[chosen], 1, ASTRAY, rng)


def resting(model: System, points: Array, s: Array, spread: Array, count: int, rng: Any) -> tuple[Array, Array]:
    """`count` states on their way from fixed points `(k, n)` under one input `(m,)`: beside them, followed for up to 200 steps."""
    y = points[rng.integers(0, len(points), count)] if len(points) else np.zeros((0, len(spread)))
    size = 10 ** rng.uniform(NEAREST, NEAR, size=(len(y), 1)) * spread
    return _followed(model, y + size * rng.normal(size=y.shape), np.repeat(s[None], len(y), axis=0), 0, LEAVING, rng)


def _followed(model: System, y: Array, s: Array, least: int, most: int, rng: Any) -> tuple[Array, Array]:
    """States after some steps, another number for each; those that leave are left out."""
    left = np.where(rng.uniform(size=len(y)) < FOLLOWED, rng.integers(least, most, len(y)), least)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(most):
            y = np.where((left > k)[:, None], model.apply(y, s), y)
        kept = np.isfinite(y).all(axis=1)
    return y[kept], s[kept]


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of the map's orbits, in units of the fit.

    Attributes:
        x: `(K, b, k)`, states and held inputs at the steps. ends: `(b, n)`, after K steps.
    """

    x: Array
    ends: Array

    @classmethod
    def of(cls, model: System, units: Units, z: Array, s: Array, length: int) -> Windows:
        """Of the orbits from z `(b, n)`, inputs `(b, m)` held."""
        rows = []
        for _ in range(length):
            rows.append(units.rows(z, s))
            z = model.apply(z, s)
        return cls(np.array(rows), units.states(z))


def sampled(model: System, parts: Sequence[tuple[Array, Array]]) -> Sample:
    """The sample of states and inputs of each kind."""
    z, s = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Sample(z, s, model.apply(z, s), np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]))


def count_distinct(z: Array, most: int) -> int:
    """How many of at most `most` states, evenly taken, differ."""
    return len(distinct(z[np.linspace(0, len(z) - 1, min(most, len(z))).astype(int)]))
