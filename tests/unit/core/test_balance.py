"""Units of states: rows as large as columns, exactly so."""

import numpy as np
import pytest
from scipy.linalg import expm

from retime.core.balance import balancing
from retime.core.exponential import linear_step


@pytest.mark.parametrize("ratio", [2.0**8, 2.0**16, 2.0**40])
def test_weights_make_rows_as_large_as_columns(ratio, rng):
    M = np.diag([1.0, ratio, 1.0]) @ rng.uniform(1, 2, (3, 3)) @ np.diag([1.0, 1 / ratio, 1.0])
    w = balancing(M[None])[0]
    B = M * (w / w[:, None])
    assert np.array_equal(np.exp2(np.log2(w)), w)
    off = np.abs(B) - np.diag(np.abs(np.diag(B)))
    assert (np.abs(np.log2(off.max(axis=1) / off.max(axis=0))) <= 3).all()  # powers of two, and the diagonal counts too
    np.testing.assert_array_equal(B / (w / w[:, None]), M)


def test_units_that_differ_little_are_left_as_they_are(rng):
    assert (balancing(rng.uniform(1, 8, (4, 5, 5))) == 1).all()


def test_one_step_does_not_depend_on_the_units_of_states_and_inputs(rng):
    L, H = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    X = expm(np.block([[L, H], [np.zeros((2, 5))]]))[:3]
    w, v = 2.0 ** np.array([0, 30, -20]), 2.0 ** np.array([-40, 25])
    step, inputs = linear_step(L * (w[:, None] / w), H * (w[:, None] * v))
    np.testing.assert_allclose(step / (w[:, None] / w), X[:, :3], rtol=0, atol=1e-14)
    np.testing.assert_allclose(inputs / (w[:, None] * v), X[:, 3:], rtol=0, atol=1e-14)
