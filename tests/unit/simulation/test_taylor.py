"""Taylor series of affine flows against matrix exponentials in 50 digits."""

import math

import mpmath
import numpy as np
import pytest
from scipy.linalg import matrix_balance

import retime as rt
from retime.core.kernel import kernel
from retime.core.region import scaling_rows
from retime.simulation import taylor
from retime.simulation.roots import DEGREE
from retime.simulation.taylor import REACH, ROWS

affine_series, evaluate = kernel(taylor.affine_series.py_func), kernel(taylor.evaluate.py_func)


def one_step(W, f0, f1, y, tau):
    N = len(y)
    c = np.zeros((ROWS, N))
    taken, degree = affine_series(np.ascontiguousarray(W.T), N, scaling_rows(W), f0, f1, y, tau, c)
    out = np.zeros(N)
    evaluate(c, degree, N, 1.0, out)
    return taken, out, np.abs(c[: DEGREE + 1]).max()


def exact(W, f0, f1, y, tau):
    N = len(y)
    K = np.zeros((N + 2, N + 2))
    K[:N, :N], K[:N, N], K[:N, N + 1], K[N + 1, N] = W, f0, f1, 1
    with mpmath.workdps(50):
        X = mpmath.expm(mpmath.mpf(tau) * mpmath.matrix(K.tolist())) * mpmath.matrix([*y, 1, 0])
        return np.array([float(X[i]) for i in range(N)])


MATRICES = {
    "random": lambda rng: rng.normal(size=(4, 4)),
    "stiff": lambda rng: np.diag([-1.0, -30.0, -1000.0, 0.0]),
    "nilpotent": lambda rng: np.diag(np.ones(3), 1),
    "zero": lambda rng: np.zeros((4, 4)),
    "fast rotation": lambda rng: 50 * np.kron(np.eye(2), [[0, -1], [1, 0]]),
    "one large gain": lambda rng: np.array([[0, -1, 0, 0], [1, 0, 0, 0], [1e9, 0, 0, 0], [0, 0, 0, -1.0]]),
}


@pytest.mark.parametrize("tau", [1e-6, 0.1, 10.0])
@pytest.mark.parametrize("name", MATRICES)
def test_step_is_exact_to_rounding(name, tau, rng):
    W, f0, f1, y = MATRICES[name](rng), rng.normal(size=4), rng.normal(size=4), rng.normal(size=4)
    taken, got, size = one_step(W, f0, f1, y, tau)
    # the largest coefficient exceeds the state by at most exp(REACH); 25 terms of rounding
    assert np.abs(got - exact(W, f0, f1, y, taken)).max() <= 25 * 2.0**-52 * size


@pytest.mark.parametrize("name", MATRICES)
def test_step_is_not_longer_than_asked_and_within_reach(name, rng):
    W = MATRICES[name](rng)
    taken, _, _ = one_step(W, np.zeros(4), np.zeros(4), np.ones(4), 10.0)
    assert 0 < taken <= 10.0
    assert scaling_rows(W)[2, 0] * taken <= REACH * (1 + 1e-12)


@pytest.mark.parametrize("name", MATRICES)
def test_powers_stay_within_their_bounds(name, rng):
    W = MATRICES[name](rng)
    rho, norm, alpha = scaling_rows(W)
    V, _ = matrix_balance(W, permute=False, separate=True)
    assert np.abs(np.linalg.eigvals(np.abs(W))).max() <= rho[0] + 1e-12 * np.abs(W).max()
    power = np.eye(len(W))
    for j in range(1, 12):
        power = power @ V
        bound = norm[0] if j == 1 else alpha[0] ** j
        assert np.abs(power).sum(axis=1).max() <= bound * (1 + 1e-12)


def test_flow_without_dynamics_takes_any_step_at_once():
    taken, got, _ = one_step(np.zeros((4, 4)), np.ones(4), np.zeros(4), np.zeros(4), 1e6)
    assert taken == 1e6
    np.testing.assert_array_equal(got, 1e6 * np.ones(4))


def test_step_of_length_zero_stays():
    taken, got, _ = one_step(np.eye(4), np.ones(4), np.ones(4), np.arange(4.0), 0.0)
    assert taken == 0.0
    np.testing.assert_array_equal(got, np.arange(4.0))


def test_state_that_has_decayed_to_nothing_goes_on():
    # exp(-800) is below the smallest number: no step may shrink to nothing on the way
    path = rt.simulate(rt.ContinuousPLRNN([-1.0], [[0.5]], [0.0]), [-1.0], times=[0, 300, 700, 800, 5000])
    assert path.status == "completed"
    assert abs(path.states[1, 0] + np.exp(-300.0)) <= 1e-12 * np.exp(-300.0)
    assert np.abs(path.states[3:]).max() <= 1e-300


@pytest.mark.parametrize(("x", "degree"), [(1.0, 4), (8.0, 10), (8.0, 20), (15.0, 18)])
def test_bound_of_the_remainder_holds_what_the_exponential_series_leaves_out(x, degree):
    c = np.ones((ROWS, 1))
    c[: degree + 1, 0] = [x**k / math.factorial(k) for k in range(degree + 1)]
    left = sum(x**k / math.factorial(k) for k in range(degree + 1, 120))
    bound = taylor._remainder.py_func(c, 1, degree, x)
    assert left <= bound <= 4 * left
