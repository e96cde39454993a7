"""Where new units are placed: planes parallel to the map's own boundaries, now and one step later, and planes between states."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.system import PiecewiseAffineSystem, System
from retime.learn.autonomous.field import Field
from retime.learn.autonomous.projection import Steps, drawn
from retime.learn.autonomous.samples import Units

POOL = 2000  # planes to choose from
STATES = 4000  # on which they are judged
NEAR = 1.5  # steps from a boundary within which planes parallel to it are placed
IMAGES = 6  # steps by which boundaries are moved on along the orbits
SINGULAR = 1e-8  # share of a matrix' square that is added before it is inverted
SPENT = 1e-6  # share of a unit's square that is new; below it the unit is a combination of those there


def chosen_planes(model: System, units: Units, field: Field, steps: Steps, count: int, rng: Any) -> Array:
    """Planes `(count, k)` of units that explain most of what the field misses, one after the other (orthogonal matching pursuit)."""
    some = rng.permutation(len(steps.x))[:STATES]
    x, ends, weights = steps.x[some], steps.ends[some], np.sqrt(steps.weights[some])[:, None]
    pool = np.concatenate([_between(x, ends, POOL // 3, rng), _boundaries(model, units, x, ends, POOL, rng)])
    pool /= np.linalg.norm(pool[:, : ends.shape[1]], axis=1, keepdims=True)
    at, middles = field.linearized(x), field.path(x)
    columns = sum(np.maximum(y @ pool.T, 0.0) for y in middles) / len(middles) * weights
    missed = drawn(at.back, ends - at.end) * weights
    return pool[_pursued(at.outer * weights, columns, missed, count)]


def _pursued(known: Array, columns: Array, missed: Array, count: int) -> list[int]:
    """Indices of columns that lower the squares of what is missed most, given the known ones and those taken before."""
    basis, _ = np.linalg.qr(known)
    whole = (columns**2).sum(axis=0)
    columns, missed = columns - basis @ (basis.T @ columns), missed - basis @ (basis.T @ missed)
    taken: list[int] = []
    for _ in range(min(count, columns.shape[1])):
        new = (columns**2).sum(axis=0)
        gains = np.where(new > SPENT * whole, ((columns.T @ missed) ** 2).sum(axis=1) / np.maximum(new, 1e-300), -1.0)
        gains[taken] = -1.0
        best = int(gains.argmax())
        if gains[best] <= 0.0:
            break
        taken.append(best)
        u = columns[:, best] / np.sqrt(new[best])
        columns, missed = columns - np.outer(u, u @ columns), missed - np.outer(u, u @ missed)
    return taken


def _between(x: Array, ends: Array, count: int, rng: Any) -> Array:
    """Planes through states: across the motion there, across the line to another state, and at random."""
    n, b = ends.shape[1], len(x)
    spread = x[:, :n].std(axis=0) + 1e-6
    at, other = rng.integers(0, b, count), rng.integers(0, b, count)
    kinds = np.arange(count) % 3
    normals = rng.normal(size=(count, n)) / spread
    normals[kinds == 1] = ((x[at, :n] - x[other, :n]) / spread**2)[kinds == 1]
    normals[kinds == 2] = ((ends[at] - x[at, :n]) / spread**2)[kinds == 2]
    kept = np.linalg.norm(normals, axis=1) > 0.0
    return through(normals[kept], x[at[kept]])


def through(normals: Array, x: Array) -> Array:
    """Planes with normals `(b, n)`, or with input weights `(b, n + m)`, through x."""
    rows = np.zeros_like(x)
    rows[:, : normals.shape[1]] = normals
    rows[:, -1] = -(rows * x).sum(axis=1)
    return rows


@singledispatch
def _boundaries(model: Any, units: Units, x: Array, ends: Array, count: int, rng: Any) -> Array:
    """Planes by the map's boundaries: none of a smooth map, whose place others between states take."""
    return _between(x, ends, count, rng)


@_boundaries.register
def _(model: PiecewiseAffineSystem, units: Units, x: Array, ends: Array, count: int, rng: Any) -> Array:
    form, n = model.canonical, ends.shape[1]
    if form.num_units == 0:
        return np.zeros((0, x.shape[1]))
    rows = boundary_rows(model, units)
    g, later = x @ rows.T, np.hstack([ends, x[:, n:]]) @ rows.T
    rows = rows[:, :-1]
    near = np.abs(g) <= NEAR * np.abs(later - g).mean(axis=0)
    unit, state = np.nonzero(near.T)
    if len(unit) == 0:
        return _between(x, ends, count, rng)
    # every boundary that is crossed gets the same share, whatever the time spent near it
    share = 1.0 / np.bincount(unit, minlength=form.num_units)[unit]
    k = rng.choice(len(unit), size=count, p=share / share.sum())
    normals, at = rows[unit[k]].copy(), x[state[k]].copy()
    turns = rng.integers(-1, IMAGES + 1, count)
    for j in (-1, *range(IMAGES)):  # once back along the orbit, or on as many steps: where an exact field would jump
        moved = turns < 0 if j < 0 else turns > j
        at[moved], normals[moved] = carried(model, units, at[moved], normals[moved], j)
    kept = np.isfinite(normals).all(axis=1) & (np.linalg.norm(normals[:, :n], axis=1) > 0.0)
    return through(normals[kept], at[kept])


def boundary_rows(model: PiecewiseAffineSystem, units: Units) -> Array:
    """The map's boundaries as planes `(p, k)`."""
    form = model.canonical
    offset = (form.h2 + form.W2 @ units.center + form.C2 @ units.middle) / units.scale
    return np.hstack([form.W2, form.C2 * units.width / units.scale, offset[:, None]])


def carried(model: Any, units: Units, at: Array, normals: Array, ahead: int) -> tuple[Array, Array]:
    """Planes through states at, as they were a step before there (ahead = -1), or moved with the states by a step."""
    n = len(units.center)
    z, s = units.center + units.scale * at[:, :n], units.middle + units.width * at[:, n:-1]
    J, E = model.jacobian(z, s), model.input_jacobian(z, s) * units.width / units.scale
    normals = normals.copy()
    if ahead < 0:
        normals[:, n:] += np.einsum("bi,bij->bj", normals[:, :n], E)
        normals[:, :n] = np.einsum("bi,bij->bj", normals[:, :n], J)
        return at, normals
    at, turned = at.copy(), np.swapaxes(J, 1, 2)
    at[:, :n] = units.states(model.apply(z, s))
    gram = J @ turned + SINGULAR * np.trace(J @ turned, axis1=1, axis2=2)[:, None, None] * np.eye(n)
    normals[:, :n] = np.linalg.solve(gram, (J @ normals[:, :n, None]))[:, :, 0]
    normals[:, n:] -= np.einsum("bi,bij->bj", normals[:, :n], E)
    return at, normals
