"""Functions of any number of arguments are called with the state, and with the input where there is one."""

import functools

import numpy as np
import pytest

import retime as rt

A = np.array([[0.5, 0.2], [-0.3, 0.4]])


def counted(f):
    """A wrapper that passes everything on and does not say what it takes."""

    def wrapper(*args):
        wrapper.counts.add(len(args))
        return f(*args)

    wrapper.counts = set()
    return wrapper


def affine(z):
    return A @ z


def driven(z, s):
    return A @ z + s[0]


def test_a_wrapper_is_called_with_the_state_alone_where_there_is_no_input():
    f = counted(affine)
    model = rt.Map(f, 2)
    np.testing.assert_allclose(model.step([1.0, 2.0]), A @ [1.0, 2.0], rtol=0, atol=1e-15)
    assert f.counts == {1}
    assert rt.VectorField(counted(affine), 2).num_inputs == 0


def test_a_wrapper_is_called_with_state_and_input_where_there_is_one():
    f = counted(driven)
    model = rt.Map(f, 2, 1)
    np.testing.assert_allclose(model.step([1.0, 2.0], [0.5]), A @ [1.0, 2.0] + 0.5, rtol=0, atol=1e-15)
    assert f.counts == {2}


@pytest.mark.parametrize("first", [False, True])
def test_a_wrapper_with_named_arguments_first_is_no_different(first):
    f = (lambda z, *rest: affine(z, *rest)) if first else functools.partial(counted(affine))
    np.testing.assert_allclose(rt.Map(f, 2).step([1.0, 0.0]), A[:, 0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("own", [lambda *args: A * args[1][0], lambda z, s=None: A * s[0], lambda z, s: A * s[0]])
def test_a_jacobian_gets_the_input_that_its_map_gets(own):
    model = rt.Map(lambda z, s: s[0] * (A @ z), 2, 1, jacobian_of=own)
    np.testing.assert_array_equal(model.jacobian([1.0, 2.0], [3.0]), 3.0 * A)


@pytest.mark.parametrize("own", [lambda *args: A * len(args), lambda z: A, lambda z, scale=1.0: scale * A])
def test_a_jacobian_gets_no_input_where_there_is_none(own):
    np.testing.assert_array_equal(rt.Map(affine, 2, jacobian_of=own).jacobian([1.0, 2.0]), A)
