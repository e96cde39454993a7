"""The gradient by hand against JAX's of a plain loop, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from retime.core.equation import double_precision
from retime.core.kernel import kernel
from retime.learn.adjoint import Adjoint, add_in_blocks, add_in_rows, sum_products
from retime.learn.windows import Windows


def loss_of(n, P, N, T):
    def loss(A, W, C, h, z0, forced, x, weight, f, s):
        z, total = z0, 0.0
        for t in range(T):
            y = z.at[:N].add(f[:, t] * (forced[:, t] - z[:N]))
            phi = jnp.concatenate([y[: n - P], jnp.maximum(y[n - P :], 0.0)])
            z = A[:, None] * y + W @ phi + C @ s[:, t] + h[:, None]
            total += (weight[:, t + 1] * (z[:N] - x[:, t + 1]) ** 2).sum()
        return total

    return loss


def drawn(rng, n, N, m, T):
    """Parameters and windows."""
    sizes = (n,), (n, n), (n, m), (n,), (n, 16)
    point = [rng.normal(size=s) / np.sqrt(n) for s in sizes]
    return point, [rng.uniform(size=(N, T + 1, 16)) for _ in range(4)] + [rng.normal(size=(m, T + 1, 16))]


@pytest.mark.parametrize(("n", "P", "N", "m"), [(7, 3, 2, 0), (5, 5, 5, 1), (4, 0, 1, 3)])
def test_gradient_is_that_of_automatic_differentiation(rng, n, P, N, m):
    T = 4
    point, data = drawn(rng, n, N, m, T)
    with double_precision():
        value, gradient = jax.value_and_grad(loss_of(n, P, N, T), argnums=(0, 1, 2, 3, 4))(
            *map(jnp.asarray, (*point, *data))
        )
    found, *own = Adjoint(n, P, N, m, T, np.float64).gradient(*point, Windows(*data, times=np.zeros((T + 1, 16))))
    assert abs(found / float(value) - 1) <= 1e-13
    for a, b in zip(own, gradient, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=0, atol=1e-12 * np.abs(np.asarray(b)).max(initial=0.0))


def test_single_precision_is_close(rng):
    n, P, N, m, T = 6, 3, 2, 1, 10
    point, data = drawn(rng, n, N, m, T)
    times = np.zeros((T + 1, 16))
    wide = Adjoint(n, P, N, m, T, np.float64).gradient(*point, Windows(*data, times=times))
    narrow = [a.astype(np.float32) for a in (*point, *data)]
    found = Adjoint(n, P, N, m, T, np.float32).gradient(*narrow[:5], Windows(*narrow[5:], times=times))
    for a, b in zip(wide[1:], found[1:], strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-4 * np.abs(a).max())


@kernel
def in_rows_and_blocks(G, F, rows, blocks):
    """The sums of products in both ways, whatever this processor's registers are."""
    add_in_rows(G, 0, F, 0, len(G), rows)
    add_in_blocks(G, 0, F, 0, len(G), blocks)


def test_sums_of_products_are_right_in_both_ways_and_over_many_times(rng):
    G, F = rng.normal(size=(60, 5, 16)), rng.normal(size=(60, 10, 16))
    rows, blocks, D, H = np.zeros((5, 10, 16)), np.zeros((5, 10, 16)), np.ones((5, 10, 16)), np.ones((5, 16))
    in_rows_and_blocks(G, F, rows, blocks)
    sum_products(G, F, D, H)
    exact = np.einsum("tib,tjb->ijb", G, F)
    for found in (rows, blocks, D):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13 * np.abs(exact).max())
    np.testing.assert_allclose(H, G.sum(axis=0), rtol=0, atol=1e-13)
