"""Gradient steps on one flat vector of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.kernel import kernel
from retime.learn.families import Parameters


@dataclass(frozen=True)
class Packing:
    """Parameters by name as one vector and back.

    Args:
        shapes: of each, by name, in the order of the vector. dtype: of the vector.
    """

    shapes: Mapping[str, tuple[int, ...]]
    dtype: str

    def pack(self, parameters: Parameters) -> Array:
        """One vector, a copy."""
        return np.concatenate([np.ravel(parameters[k]) for k in self.shapes]).astype(self.dtype, copy=False)

    def unpack(self, vector: Array) -> Parameters:
        """Views of the vector."""
        return {k: vector[part].reshape(self.shapes[k]) for k, part in self._parts.items()}

    @cached_property
    def _parts(self) -> dict[str, slice]:
        ends = np.cumsum([int(np.prod(s)) for s in self.shapes.values()]).tolist()
        return {k: slice(a, b) for k, a, b in zip(self.shapes, [0, *ends], ends, strict=False)}


@dataclass(frozen=True)
class RAdam:
    """Rectified Adam, as Optax has it, in NumPy: what compiling costs pays off nowhere for a few hundred numbers.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  p <- p - rate r m^ / (sqrt(v^) + eps), while the variance of v^ is known
    well enough (rho > 5), else p - rate m^.

    Args:
        rate: of update 0, 1, 2, ...

    Source: liu2020.
    """

    rate: Callable[[int], float]
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def init(self, vector: Array) -> Any:
        """m and v."""
        return np.zeros_like(vector), np.zeros_like(vector)

    def apply(self, vector: Array, state: Any, gradient: Array, number: int) -> tuple[Array, Any]:
        """The vector after update `number`, and the state."""
        b1, b2, t = self.b1, self.b2, number + 1
        moved, m, v = (np.array(a) for a in (vector, *state))
        last, known = 2.0 / (1.0 - b2) - 1.0, 1.0 - b2**t
        rho = last - 2.0 * t * b2**t / known
        rate, r = self.rate(number) / (1.0 - b1**t), 0.0
        if rho >= 5.0:
            r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho) * known)
        move(moved, m, v, np.asarray(gradient), b1, b2, float(rate), r, self.eps * math.sqrt(known))
        return moved, (m, v)


@kernel
def move(p: Array, m: Array, v: Array, g: Array, b1: float, b2: float, rate: float, r: float, eps: float) -> None:
    """One update of RAdam: m, v, and p -= rate r m / (sqrt(v) + eps), or rate m if r is 0; p is no number where v overflows."""
    finite = True
    for i in range(len(p)):
        m[i] = b1 * m[i] + (1.0 - b1) * g[i]
        v[i] = b2 * v[i] + (1.0 - b2) * g[i] * g[i]
        finite = finite and np.isfinite(v[i])
    for i in range(len(p)):
        if not finite:  # never to move again; the next loss is no number, which ends the run
            p[i] = np.nan
        elif r > 0.0:
            p[i] -= rate * r * m[i] / (np.sqrt(v[i]) + eps)
        else:
            p[i] -= rate * m[i]


@dataclass(frozen=True)
class FromOptax:
    """Any Optax transformation, on the flat vector."""

    rule: Any

    def init(self, vector: Array) -> Any:
        """The state of the transformation."""
        return self.rule.init(vector)

    def apply(self, vector: Array, state: Any, gradient: Array, number: int) -> tuple[Array, Any]:
        """The vector after an update, and the state."""
        changed, state = self._compiled(vector, state, gradient)
        return np.asarray(changed), state

    @cached_property
    def _compiled(self) -> Any:
        import jax
        import optax

        def apply(vector: Any, state: Any, gradient: Any) -> Any:
            change, state = self.rule.update(gradient, state, vector)
            return optax.apply_updates(vector, change), state

        return jax.jit(apply)


@dataclass(frozen=True)
class Clipped:
    """A rule whose gradient is shortened to a norm of at most `most`."""

    rule: Any
    most: float

    def init(self, vector: Array) -> Any:
        """The state of the rule."""
        return self.rule.init(vector)

    def apply(self, vector: Array, state: Any, gradient: Array, number: int) -> tuple[Array, Any]:
        """The vector after an update, and the state."""
        largest = np.abs(gradient).max(initial=0)
        if np.isfinite(largest) and largest > 0:  # its square may overflow
            unit = gradient / largest
            norm = float(np.linalg.norm(unit))
            if float(largest) * norm > self.most:
                gradient = unit * gradient.dtype.type(self.most / norm)
        return self.rule.apply(vector, state, gradient, number)


def shortened(most: float) -> Any:
    """As an Optax transformation of any tree: gradients of a norm above `most` get that norm.

    Optax's own makes zeros of one whose square overflows, 1e20 in single precision.
    """
    import jax
    import jax.numpy as jnp
    import optax

    def update(gradient: Any, _: Any = None) -> Any:
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(a), initial=0.0) for a in jax.tree.leaves(gradient)]))
        unit = jax.tree.map(lambda a: a / jnp.where(largest > 0, largest, 1), gradient)
        norm = jnp.sqrt(sum(jnp.sum(a * a) for a in jax.tree.leaves(unit)))
        is_longer = jnp.isfinite(largest) & (largest * norm > most)
        return jax.tree.map(lambda a, u: jnp.where(is_longer, u * (most / norm).astype(a.dtype), a), gradient, unit)

    return optax.stateless(update)
