"""Ranks of what inputs reach: by construction, in any basis and at any scale."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag

from retime.core.reachability import reachable_dimension


@settings(max_examples=40, deadline=None, derandomize=True)
@given(n=st.integers(1, 12), r=st.integers(0, 12), m=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_dimension_of_a_system_built_with_a_known_one(n, r, m, seed):
    r, rng = min(r, n), np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    A[r:, :r] = 0.0
    E = np.vstack([rng.normal(size=(r, m)), np.zeros((n - r, m))])
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    assert reachable_dimension(Q @ A @ Q.T, Q @ E, 1e-10) == r


def test_dimension_does_not_depend_on_the_units_of_input_and_time(rng):
    A, E = rng.normal(size=(6, 6)), rng.normal(size=(6, 1))
    A[4:, :4] = 0.0
    E[4:] = 0.0
    for scale in (1e-12, 1.0, 1e12):
        assert reachable_dimension(A, scale * E, 1e-10) == 4
        assert reachable_dimension(scale * A, E, 1e-10) == 4


def test_a_chain_is_reached_to_its_end():
    n = 30
    A = np.eye(n, k=-1)  # a shift
    assert reachable_dimension(A, np.eye(n)[:, :1], 1e-10) == n
    assert reachable_dimension(A, np.eye(n)[:, 10:11], 1e-10) == 20
    assert reachable_dimension(block_diag(A, A), np.eye(2 * n)[:, :1], 1e-10) == n


def test_equal_modes_need_as_many_inputs():
    assert reachable_dimension(np.eye(3), np.ones((3, 1)), 1e-10) == 1
    assert reachable_dimension(np.eye(3), np.eye(3)[:, :2], 1e-10) == 2


def test_nothing_is_reached_without_an_input_or_with_zero_weights():
    assert reachable_dimension(np.eye(3), np.zeros((3, 0)), 1e-10) == 0
    assert reachable_dimension(np.eye(3), np.zeros((3, 2)), 1e-10) == 0


def test_a_system_that_stands_still_is_reached_directly():
    assert reachable_dimension(np.zeros((3, 3)), np.eye(3)[:, :2], 1e-10) == 2


def test_a_direction_counts_from_the_tolerance_on():
    for size, dimension in ((1.5e-6, 2), (0.7e-6, 1)):
        assert reachable_dimension(np.zeros((2, 2)), np.diag([1.0, size]), 1e-6) == dimension
