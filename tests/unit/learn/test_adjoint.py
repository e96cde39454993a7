"""The gradient by hand against JAX's of a plain loop, and against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retime.core.equation import double_precision
from retime.learn.adjoint import Adjoint


def loss_of(n, P, N, T):
    def loss(A, W, h, z0, forced, x, f, weight):
        z, total = z0, 0.0
        for t in range(T):
            y = z.at[:N].add(f[:, t] * (forced[:, t] - z[:N]))
            phi = jnp.concatenate([y[: n - P], jnp.maximum(y[n - P :], 0.0)])
            z = A[:, None] * y + W @ phi + h[:, None]
            total += (weight[:, t + 1] * (z[:N] - x[:, t + 1]) ** 2).sum()
        return total

    return loss


@pytest.mark.parametrize(("n", "P", "N"), [(7, 3, 2), (5, 5, 5), (4, 0, 1)])
def test_gradient_is_that_of_automatic_differentiation(rng, n, P, N):
    T, shape = 4, (N, 5, 16)
    point = (
        rng.uniform(0.3, 0.9, n),
        rng.normal(size=(n, n)) / np.sqrt(n),
        rng.normal(size=n),
        rng.normal(size=(n, 16)),
    )
    data = [rng.normal(size=shape), rng.normal(size=shape), rng.uniform(size=shape), rng.uniform(size=shape)]
    with double_precision():
        value, gradient = jax.value_and_grad(loss_of(n, P, N, T), argnums=(0, 1, 2, 3))(
            *map(jnp.asarray, (*point, *data))
        )
    found, *own = Adjoint(n, P, N, T, np.float64).gradient(*point, *data)
    assert abs(found / float(value) - 1) <= 1e-13
    for a, b in zip(own, gradient, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=0, atol=1e-12 * np.abs(np.asarray(b)).max())


def test_single_precision_is_close(rng):
    n, P, N, T = 6, 3, 2, 10
    shape = (N, T + 1, 16)
    args = [rng.uniform(0.3, 0.9, n), rng.normal(size=(n, n)) / 4, rng.normal(size=n), rng.normal(size=(n, 16))]
    args += [rng.normal(size=shape), rng.normal(size=shape), rng.uniform(size=shape), np.ones(shape)]
    wide = Adjoint(n, P, N, T, np.float64).gradient(*args)
    narrow = Adjoint(n, P, N, T, np.float32).gradient(*(a.astype(np.float32) for a in args))
    for a, b in zip(wide[1:], narrow[1:], strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-4 * np.abs(a).max())
