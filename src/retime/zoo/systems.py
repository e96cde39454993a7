"""Reference systems in closed form, written with jax.numpy; parameters as in MATH of the sources named."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.time import CONTINUOUS, Discrete
from retime.models import Map, PiecewiseAffineRNN, VectorField

CHUA = (15.6, 28.0, -1.142857, -0.71429)  # alpha, beta, inner and outer slope of the diode


def lorenz63(z: Any) -> Any:
    """dx/dt = 10 (y - x), dy/dt = x (28 - z) - y, dz/dt = x y - 8/3 z. Source: lorenz1963."""
    import jax.numpy as jnp

    x, y, w = z
    return jnp.array([10.0 * (y - x), x * (28.0 - w) - y, x * y - 8.0 / 3.0 * w])


def roessler(z: Any) -> Any:
    """dx/dt = -y - z, dy/dt = x + 0.2 y, dz/dt = 0.2 + z (x - 5.7). Source: roessler1976."""
    import jax.numpy as jnp

    x, y, w = z
    return jnp.array([-y - w, x + 0.2 * y, 0.2 + w * (x - 5.7)])


def chua(z: Any) -> Any:
    """dx/dt = alpha (y - x - f(x)), dy/dt = x - y + z, dz/dt = -beta y; f = m1 x + (m0 - m1)/2 (|x + 1| - |x - 1|). Source: chua1986."""
    import jax.numpy as jnp

    alpha, beta, inner, outer = CHUA
    x, y, w = z
    current = outer * x + 0.5 * (inner - outer) * (jnp.abs(x + 1.0) - jnp.abs(x - 1.0))
    return jnp.array([alpha * (y - x - current), x - y + w, -beta * y])


def henon(z: Any) -> Any:
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x. Source: henon1976."""
    import jax.numpy as jnp

    x, y = z
    return jnp.array([1.0 - 1.4 * x * x + y, 0.3 * x])


def lorenz63_system() -> tuple[VectorField, Array]:
    """The Lorenz system and a start near its attractor."""
    return VectorField(lorenz63, 3), np.array([1.0, 1.0, 25.0])


def roessler_system() -> tuple[VectorField, Array]:
    """The Roessler system and a start near its attractor."""
    return VectorField(roessler, 3), np.array([1.0, 1.0, 0.0])


def chua_system() -> tuple[VectorField, Array]:
    """Chua's circuit and a start near its double scroll."""
    return VectorField(chua, 3), np.array([0.7, 0.0, 0.0])


def chua_network() -> tuple[PiecewiseAffineRNN, Array]:
    """Chua's circuit as a piecewise-affine network of two ReLU units: its flow is followed exactly.

    |x + 1| - |x - 1| = -2 + 2 relu(x + 1) - 2 relu(x - 1).
    """
    alpha, beta, inner, outer = CHUA
    A = [[-alpha * (1 + outer), alpha, 0], [1, -1, 1], [0, -beta, 0]]
    k = alpha * (inner - outer)
    W1, W2 = [[-k, k], [0, 0], [0, 0]], [[1, 0, 0], [1, 0, 0]]
    return PiecewiseAffineRNN(A, W1, W2, [k, 0, 0], [1, -1], time=CONTINUOUS), np.array([0.7, 0.0, 0.0])


def henon_map() -> tuple[Map, Array]:
    """The Henon map and a start in its basin."""
    return Map(henon, 2, time=Discrete(1.0)), np.array([0.1, 0.1])
