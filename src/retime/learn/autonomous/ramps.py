"""Ramps: pairs of units where an exact field would jump, at the boundaries that orbits cross and at their images.

If F is the flow of f over a step then f(F(z)) = F'(z) f(z): where the map bends, f jumps one step later, and again at every later image.
A jump cut short after N images leaves N bends of an N-th of the size, and an N-th of the squared error: docs/theory/autonomous.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retime.core.arrays import Array
from retime.core.system import PiecewiseAffineSystem, System
from retime.learn.autonomous.field import Field
from retime.learn.autonomous.planes import boundary_rows, carried, through
from retime.learn.autonomous.projection import Steps
from retime.learn.autonomous.samples import Units

WIDTH = 0.3  # of a ramp, in steps
IMAGES = (1, 0, 2, 3)  # where ramps are placed, one after the other: steps from the boundary
APART = 0.5  # sizes of the orbits: crossings of one boundary this far apart are two


@dataclass(eq=False)
class Crossings:
    """Places at which the map's own orbits cross its boundaries, and how many ramps each has already.

    Attributes:
        at: `(c, k)`, on the boundaries. normals: `(c, n + m)`. near: `(c', 2)`, which sampled step crosses at which place.
    """

    model: System
    units: Units
    at: Array
    normals: Array
    near: Array
    ramps: Array = field(init=False)
    errors: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.ramps = np.zeros(len(self.at), dtype=int)

    @classmethod
    def of(cls, model: System, units: Units, steps: Steps) -> Crossings:
        """Of the steps of the own orbits; none of a smooth map."""
        x, n = steps.x, steps.ends.shape[1]
        if not isinstance(model, PiecewiseAffineSystem) or not model.canonical.num_units:
            return cls(model, units, x[:0], x[:0, :-1], np.zeros((0, 2), dtype=int))
        rows = boundary_rows(model, units)
        g = x @ rows.T
        later = np.hstack([steps.ends, x[:, n:]]) @ rows.T
        step, unit = np.nonzero((g > 0.0) != (later > 0.0))
        share = (g[step, unit] / (g[step, unit] - later[step, unit]))[:, None]
        at = x[step].copy()
        at[:, :n] += share * (steps.ends[step] - x[step, :n])
        place, first = _places(at[:, :n], 2 * unit + (g[step, unit] > 0.0))
        return cls(model, units, at[first], rows[unit[first], :-1], np.stack([step, place], axis=1))

    def next_ramps(self, now: Field, steps: Steps, count: int) -> Array:
        """Planes `(<= count, k)` of ramps where they gain most: N ramps leave an N + 1-th of the squared error at a place."""
        if not len(self.at):
            return np.zeros((0, steps.x.shape[1]))
        if self.errors is None:
            off = steps.weights * ((now.after(steps.x) - steps.ends) ** 2).sum(axis=1)
            self.errors = np.bincount(self.near[:, 1], weights=off[self.near[:, 0]], minlength=len(self.at))
        planes: list[Array] = []
        for _ in range(count // 2):
            gains = np.where(self.ramps < len(IMAGES), self.errors / ((self.ramps + 1) * (self.ramps + 2)), 0.0)
            best = int(gains.argmax())
            if gains[best] <= 0.0:
                break
            planes += self._ramp(best, IMAGES[self.ramps[best]], steps)
            self.ramps[best] += 1
        return np.array(planes).reshape(-1, steps.x.shape[1])

    def _ramp(self, place: int, image: int, steps: Steps) -> list[Array]:
        """Two planes half a step apart at an image of a boundary, and together where the orbits come back through them.

        The difference of the two units is then a steep ramp here, and no second one there.
        """
        n = steps.ends.shape[1]
        at, normal = self.at[place : place + 1], self.normals[place : place + 1]
        for k in range(image):
            at, normal = carried(self.model, self.units, at, normal, k)
        z, s = self.units.center + self.units.scale * at[:, :n], self.units.middle + self.units.width * at[:, n:-1]
        moved = (self.units.states(self.model.apply(z, s)) - at[:, :n])[0]
        row = through(normal, at)[0]
        row /= np.linalg.norm(row[:n])
        speed = float(row[:n] @ moved)
        if not np.isfinite(speed) or speed == 0.0:
            return []
        g, later = steps.x @ row, np.hstack([steps.ends, steps.x[:, n:]]) @ row
        back = np.flatnonzero((g * speed > 0.0) & (later * speed <= 0.0))
        shift = np.zeros_like(row)
        shift[-1] = 1.0
        if len(back):
            from_here = at[0, :n] - steps.x[back, :n]
            apart = from_here[int((from_here**2).sum(axis=1).argmax())]
            shift[:n] = apart / (apart @ apart)
            shift[-1] -= shift[:n] @ at[0, :n]
        return [row + side * WIDTH / 2 * speed * shift for side in (1.0, -1.0)]


def _places(at: Array, kinds: Array) -> tuple[Array, Array]:
    """The place of each crossing, those of one kind that lie together, and the first crossing of every place."""
    place, first = np.full(len(at), -1), []
    for i in range(len(at)):
        if place[i] < 0:
            same = (place < 0) & (kinds == kinds[i]) & (np.linalg.norm(at - at[i], axis=1) <= APART)
            place[same] = len(first)
            first.append(i)
    return place, np.array(first, dtype=int)


def with_ramps(crossings: Crossings, now: Field, steps: Steps, count: int) -> Field:
    """The field with as many units as fit below `count`, in ramps."""
    planes = crossings.next_ramps(now, steps, count - now.sizes[2])
    return now.with_planes(planes / np.linalg.norm(planes[:, : steps.ends.shape[1]], axis=1, keepdims=True))
