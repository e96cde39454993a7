"""Functions of the user's: traced where JAX can, called back where not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.core.equation import double_precision
from retime.core.function import UserFunction, takes


def branches(x):
    return x**3 if x[0] > 0 else -x


@pytest.mark.parametrize(
    ("f", "is_traceable"),
    [
        (lambda x: jnp.sin(x), True),
        (lambda x: x * 2.0, True),
        (lambda x: [x[1], x[0]], True),
        (lambda x: np.ones(2), True),
        (lambda x: np.sin(np.asarray(x)), False),
        (branches, False),
        (lambda x: [float(x[0]), float(x[1])], False),
    ],
)
def test_function_is_traced_where_it_can_be(f, is_traceable):
    function = UserFunction(f, (2,), (2,))
    assert function.is_traceable == is_traceable
    x = np.array([0.3, -0.7])
    with double_precision():
        got, want = np.asarray(function(jnp.asarray(x))), np.asarray(f(x), dtype=float)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-15)
    assert got.dtype == np.float64


def test_function_called_back_has_derivatives_by_differences():
    function = UserFunction(lambda x: np.sin(np.asarray(x)) * x[0], (2,), (2,))
    assert not function.is_traceable
    x = np.array([0.3, -0.7])
    with double_precision():
        J = np.asarray(jax.jacfwd(function)(jnp.asarray(x)))
    want = np.diag(np.cos(x) * x[0])
    want[:, 0] += np.sin(x)
    np.testing.assert_allclose(J, want, rtol=0, atol=1e-10)  # five-point differences of order-one functions


def test_function_of_two_arguments_is_checked_against_both():
    UserFunction(lambda x, y: jnp.concatenate([x, y]), (2, 1), (3,))
    with pytest.raises(
        rt.ShapeError, match=r"`g` of arguments of shape \(2,\), \(1,\) has shape \(3,\); it must be \(2,\)"
    ):
        UserFunction(lambda x, y: jnp.concatenate([x, y]), (2, 1), (2,), "g")


def test_each_wrapping_is_its_own_because_what_a_function_reads_may_change():
    one, other = UserFunction(jnp.sin, (2,), (2,)), UserFunction(jnp.sin, (2,), (2,))
    assert one != other


@pytest.mark.parametrize(
    ("f", "counts"),
    [
        (lambda z: z, (1, 1)),
        (lambda z, s: z, (2, 2)),
        (lambda z, scale=2.0: z, (1, 2)),
        (lambda z, s, scale=2.0: z, (2, 2)),
        (lambda *a: a[0], (1, 2)),
        (lambda z, *, scale=1.0: z, (1, 1)),
        (np.sin, (1, 2)),
    ],
)
def test_arguments_of_a_function_are_counted(f, counts):
    assert (takes(f, "f", 1), takes(f, "f", 2)) == counts


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="`f` is int; it must be a function of the state, or of state and input"):
        takes(3, "f", 1)
