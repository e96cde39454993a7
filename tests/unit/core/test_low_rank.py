"""Recurrent weights kept as factors do what the whole matrix does."""

import copy

import numpy as np
import pytest

import retime as rt

n, r = 7, 2


@pytest.fixture
def W(rng):
    return rt.LowRank(rng.normal(size=(n, r)), rng.normal(size=(n, r)))


def test_it_stands_for_the_product(W, rng):
    x = rng.normal(size=n)
    dense = W.left @ W.right.T
    np.testing.assert_array_equal(np.asarray(W), dense)
    np.testing.assert_allclose(W @ x, dense @ x, rtol=0, atol=1e-14)
    assert (W.shape, W.rank, len(W), repr(W)) == ((n, n), r, n, "LowRank(7 units, rank 2)")
    assert copy.deepcopy(W) == W


@pytest.mark.parametrize("form", ["current", "rate"])
def test_networks_keep_the_factors_and_do_the_same(form, W, rng, tmp_path):
    rest = {"W_in": rng.normal(size=(n, 1)), "b": rng.normal(size=n), "alpha": 0.2, "form": form}
    low, dense = (rt.LeakyRNN(w, **rest) for w in (W, np.asarray(W)))
    z, s = rng.normal(size=(3, n)), rng.normal(size=(3, 1))
    assert low.W_rec is W
    np.testing.assert_allclose(low.step(z, s), dense.step(z, s), rtol=0, atol=1e-14)
    np.testing.assert_allclose(low.jacobian(z, s), dense.jacobian(z, s), rtol=0, atol=1e-14)
    assert rt.load(rt.save(low, tmp_path / "low.npz")) == low
    flow = rt.to_continuous(low, method=rt.EulerField()).model
    assert flow.W_rec is W


def test_piecewise_affine_form_has_the_whole_matrix(W, rng):
    network = rt.RateRNN(W, None, np.zeros(n), tau=2.0, activation="relu")
    z = rng.normal(size=n)
    np.testing.assert_allclose(network.piecewise_affine().field(z), network.field(z), rtol=0, atol=1e-14)
    assert isinstance(rt.ReluRNN(W, np.zeros((n, 0)), np.zeros(n)).W_rec, np.ndarray)


def test_factors_that_cost_more_are_multiplied_out(rng):
    W = rt.LowRank(*rng.normal(size=(2, 4, 2)))
    assert isinstance(rt.TanhRNN(W, None, np.zeros(4)).W_rec, np.ndarray)


def test_factors_of_different_shapes_are_refused():
    with pytest.raises(rt.ShapeError, match=r"`left` has shape \(3, 1\) and `right` \(4, 1\); both must be"):
        rt.LowRank(np.ones((3, 1)), np.ones((4, 1)))
