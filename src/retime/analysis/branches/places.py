"""Many places of a stability map at once: their orbits, and how many fixed points each has."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import double_precision
from retime.core.time import TimeBase
from retime.core.tolerances import SAME_ORBIT, sizes_of

STARTS, ITERATIONS = 32, 60  # of Newton's method at every place of a smooth system
MEMORY = 2e8  # bytes of Jacobians held at a time
SOLVED = 1e-10  # residual of a solution, relative to 1 + |z|


def stacked(parameters: list[Any]) -> Any:
    """Parameters of many equations with a first axis for the place."""
    import jax

    return jax.tree.map(lambda *x: np.stack([np.asarray(y, dtype=np.float64) for y in x]), *parameters)


def last_states(function: Any, P: Any, Z: Array, S: Array, steps: int, length: int) -> Array:
    """The last `length` states `(g, length, n)` of orbits from Z `(g, n)`."""
    with double_precision():
        return np.moveaxis(np.asarray(_orbits()(function, steps, length, P, Z, S)), 0, 1)


def counted(function: Any, P: Any, S: Array, time: TimeBase, z0: Array, seed: int) -> tuple[Array, Array]:
    """Numbers `(g,)` of fixed points and of stable ones that Newton's method finds from random starts."""
    g, n = len(S), len(z0)
    rng = np.random.default_rng(seed)
    starts = 3.0 ** rng.uniform(-2, 1, (STARTS, 1)) * rng.normal(size=(STARTS, n))
    starts[0], starts[1] = z0, 0.0
    starts[2 : STARTS // 2] = -starts[STARTS // 2 : STARTS - 2]
    z, G, J = _solved(function, time, P, starts, S)
    total, stable = np.zeros(g, dtype=int), np.zeros(g, dtype=int)
    for k in range(g):
        size = sizes_of(z[k])
        slope = np.abs(time.motion_jacobian(J[k]))
        terms = 1.0 + np.einsum("bij,bj->bi", slope, np.abs(z[k]))  # not 1 + |z|: fields may fade towards infinity
        fine = (np.abs(G[k]) <= SOLVED * terms).all(axis=1)
        kept: list[int] = []
        for i in np.flatnonzero(fine):
            if all(np.abs(z[k, i] - z[k, j]).max() > SAME_ORBIT * size[i] for j in kept):
                kept.append(int(i))
        total[k] = len(kept)
        stable[k] = int(time.is_stable(np.linalg.eigvals(J[k, kept])).sum()) if kept else 0
    return total, stable


def _solved(function: Any, time: TimeBase, P: Any, starts: Array, S: Array) -> tuple[Array, Array, Array]:
    """Ends of Newton's method `(g, b, n)` from starts `(b, n)`, residuals and Jacobians there; in groups of one size, compiled once."""
    import jax

    g, (b, n) = len(S), starts.shape
    group = max(1, min(g, int(MEMORY / (8 * b * n * n))))
    parts = []
    with double_precision():
        for k in range(0, g, group):
            rows = np.minimum(np.arange(k, k + group), g - 1)  # the last group repeats its last row
            some = jax.tree.map(lambda x, rows=rows: x[rows], P)
            found = _newton()(function, time, some, np.tile(starts, (group, 1, 1)), S[rows])
            parts.append([np.asarray(x)[: g - k] for x in found])
    z, G, J = (np.concatenate(x) for x in zip(*parts, strict=True))
    return z, G, J


@cache
def _orbits() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, steps: int, length: int, P: Any, Z: Any, S: Any) -> Any:
        advance = jax.vmap(lambda p, z, s: function(jnp, p, z, s))
        Z = jax.lax.fori_loop(0, steps, lambda _, z: advance(P, z, S), Z)
        return jax.lax.scan(lambda z, _: (advance(P, z, S), z), Z, None, length=length)[1]

    return jax.jit(run, static_argnums=(0, 1, 2))


@cache
def _newton() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, time: TimeBase, P: Any, Z: Any, S: Any) -> Any:
        def G(p: Any, z: Any, s: Any) -> Any:
            return time.motion(function(jnp, p, z, s), z)

        def one(p: Any, z: Any, s: Any) -> Any:
            def step(_: Any, z: Any) -> Any:
                g = G(p, z, s)
                d = -jnp.linalg.solve(jax.jacfwd(G, argnums=1)(p, z, s), g)
                d = jnp.where(jnp.isfinite(d), d, 0.0)
                d = d * jnp.minimum(1.0, (1.0 + jnp.abs(z).max()) / (1e-300 + jnp.abs(d).max()))
                tries = jnp.array([1.0, 0.5, 0.25, 0.125, 0.03])
                sizes = jnp.stack([jnp.linalg.norm(G(p, z + t * d, s)) for t in tries])
                best = jnp.argmin(jnp.where(jnp.isfinite(sizes), sizes, jnp.inf))
                return jnp.where(sizes[best] < jnp.linalg.norm(g), z + tries[best] * d, z)

            z = jax.lax.fori_loop(0, ITERATIONS, step, z)
            return z, G(p, z, s), time.right_jacobian(jax.jacfwd(G, argnums=1)(p, z, s))

        over_starts = jax.vmap(one, in_axes=(None, 0, None))
        return jax.vmap(over_starts)(P, Z, S)

    return jax.jit(run, static_argnums=(0, 1))
