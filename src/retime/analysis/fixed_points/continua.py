"""Continua of fixed points of smooth systems: lines and surfaces, kept as points spread over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.fixed_points.newton import Problem, Solutions, is_small
from retime.core.arrays import Array
from retime.core.newton import Linearized, newton
from retime.core.tolerances import size_of


def thinned(problem: Problem, found: Solutions, rng: np.random.Generator) -> tuple[Solutions, list[Array]]:
    """Isolated solutions and a few representatives of continua, with the directions in which each one continues."""
    n = found.z.shape[1]
    null: list[Array] = [np.zeros((0, n))] * len(found.z)
    unit = np.maximum(found.sizes, problem.time.scale(problem.rate))
    singular = np.flatnonzero(found.gaps <= problem.method.singular * unit)
    flat = [k for k in singular if _continues(problem, found.z[k], unit[k], rng, 1)[0]]
    chosen = _far_apart(found.z, flat, problem.method.representatives)
    for k in chosen:
        null[k] = _directions(problem, found.z[k], unit[k], rng)
    dropped = set(flat) - set(chosen)
    kept = [k for k in range(len(null)) if k not in dropped]
    return found.take(np.array(kept, dtype=np.int64)), [null[k] for k in kept]


def _far_apart(z: Array, rows: list[Any], most: int) -> list[int]:
    """At most so many of the rows: the one of least norm, then always the farthest from those chosen."""
    if not rows:
        return []
    left = [int(k) for k in rows]
    chosen = [min(left, key=lambda k: float(np.linalg.norm(z[k])))]
    while len(chosen) < min(most, len(left)):
        chosen.append(max(left, key=lambda k: float(np.linalg.norm(z[chosen] - z[k], axis=1).min())))
    return chosen


def _null_space(problem: Problem, z: Array, unit: float) -> Array:
    _, values, V = np.linalg.svd(problem.jacobian(z[None])[0])
    return V[values <= problem.method.singular * unit]


def _continues(problem: Problem, z: Array, unit: float, rng: np.random.Generator, num: int) -> tuple[bool, Array]:
    """Whether solutions lie beside z: shift it along random null directions and project back onto G = 0.

    Returns whether all `num` projections end on a solution that is shifted too, and the shifts that do `(j, n)`, relative to
    the length tried. At an isolated solution, singular or not, the projection returns to it or finds nothing.
    """
    V = _null_space(problem, z, unit)
    length = 0.01 * size_of(z)
    shifts = []

    def equations(x: Array) -> Linearized:
        return Linearized(problem.residual(x[None])[0], problem.jacobian(x[None])[0])

    def is_on(x: Array, at: Linearized, tolerance: float) -> bool:
        return bool(is_small(problem, x[None], at.residual[None], tolerance)[0])

    for _ in range(num if len(V) else 0):
        c = rng.normal(size=len(V))
        x = z + length * (c @ V) / np.linalg.norm(c)
        root = newton(equations, x, lambda x, at, _: is_on(x, at, 1e-13), most=12, rcond=problem.method.singular)
        if root is None:
            continue
        shift = (root.x - z) / length
        if is_on(root.x, root.at, 1e-11) and 0.2 <= np.linalg.norm(shift) <= 5:
            shifts.append(shift)
    return bool(shifts) and len(shifts) == num, np.array(shifts).reshape(-1, len(z))


def _directions(problem: Problem, z: Array, unit: float, rng: np.random.Generator) -> Array:
    """An orthonormal basis `(d, n)` of the directions in which the solutions continue."""
    V = _null_space(problem, z, unit)
    everywhere, shifts = _continues(problem, z, unit, rng, min(len(V) + 1, 4))
    lengths = np.linalg.norm(shifts @ V.T, axis=1)
    if everywhere and (lengths > 0.9).all():
        return V
    _, values, basis = np.linalg.svd(shifts, full_matrices=False)
    return basis[values > 0.1 * values.max(initial=0.0)]
