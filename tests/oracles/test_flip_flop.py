"""The published 400-unit flip-flop network (Keras, tanh) in discrete and in continuous time."""

from itertools import product

import h5py
import numpy as np
import pytest

import retime as rt

TRIALS, STEPS = 1000, 340


def pulses(trials, rng):
    """Inputs `(STEPS, trials, 3)`: all three bits set at step 10, then random pulses of 20 steps every 60."""
    s = np.zeros((STEPS, trials, 3))
    s[10:30] = rng.choice([-1, 1], size=(trials, 3))
    for k in range(70, STEPS - 60, 60):
        s[k : k + 20] = rng.choice([-1, 1], size=(trials, 3)) * (rng.random((trials, 3)) < 0.5)
    return s


@pytest.fixture(scope="module")
def network(data):
    return rt.load(data / "flipflop_simplernn_n400.hdf5", dt=1.0, family="tanh_rnn")


def test_loading_keeps_every_weight(network, data):
    with h5py.File(data / "flipflop_simplernn_n400.hdf5") as f:
        group = f["model_weights/simple_rnn_10/simple_rnn_10"]
        assert np.array_equal(network.W_rec, group["recurrent_kernel:0"][()].T)
        assert np.array_equal(network.W_in, group["kernel:0"][()].T)
        dense = f["model_weights/dense_10/dense_10"]
        assert np.array_equal(network.readout.B, dense["kernel:0"][()].T)
        assert np.array_equal(network.readout.b, dense["bias:0"][()])


@pytest.mark.slow
def test_a_thousand_trials_end_at_the_corners_their_last_pulses_name(network, rng):
    s = pulses(TRIALS, rng)
    path = rt.simulate(network, np.zeros((TRIALS, 400)), steps=STEPS, inputs=s)
    assert path.status == "completed"
    wanted = np.zeros((TRIALS, 3))
    for row in s:
        wanted = np.where(row != 0, row, wanted)
    outputs = path.outputs[-1]
    # trained to a squared error, so neither every bit nor every level is right: 99 % of the bits, half of them within 0.05
    right = np.sign(outputs) == wanted
    assert right.mean() > 0.99
    assert np.median(np.abs(np.abs(outputs[right]) - 1)) < 0.05
    assert len(np.unique(np.sign(outputs), axis=0)) == 8


def test_linearization_at_zero_has_the_eigenvalues_of_the_recurrent_matrix(network):
    got = rt.linearize(network, np.zeros(400)).eigenvalues
    # sorted by modulus; the eigenvalues of one matrix computed twice by the same routine
    want = np.linalg.eigvals(network.W_rec)
    assert np.array_equal(np.sort_complex(got), np.sort_complex(want))


@pytest.fixture(scope="module")
def rate(network):
    parts = (network.W_rec, network.W_in, network.b)
    return rt.RateRNN(*parts, tau=1.0, form="rate", readout=network.readout)


def test_its_rate_form_discretized_by_euler_with_dt_equal_tau_gives_the_same_orbit(network, rate, rng):
    s, z0 = pulses(16, rng), np.zeros((16, 400))
    same = rt.to_discrete(rate, 1.0, method=rt.Euler()).model
    assert type(same) is rt.TanhRNN
    want = rt.simulate(network, z0, steps=STEPS, inputs=s).states
    assert np.abs(rt.simulate(same, z0, steps=STEPS, inputs=s).states - want).max() <= 1e-12


@pytest.mark.slow
def test_at_a_tenth_of_the_step_it_settles_in_the_same_eight_states(network, rate):
    corners = np.array(list(product([-1.0, 1.0], repeat=3)))
    s = np.zeros((40, 8, 3))
    s[10:30] = corners
    fine = rt.to_discrete(rate, 0.1, method=rt.Euler()).model
    a = rt.simulate(network, np.zeros((8, 400)), steps=40, inputs=s).states[-1]
    b = rt.simulate(fine, np.zeros((8, 400)), steps=400, inputs=np.repeat(s, 10, axis=0)).states[-1]
    for _ in range(3):  # the slowest mode loses a factor of 20 in 1,000 units of time
        a = rt.simulate(network, a, steps=1000).states[-1]
        b = rt.simulate(fine, b, steps=10_000).states[-1]
    assert np.abs(a - b).max() < 1e-5
    assert np.array_equal(np.sign(network.outputs(a)), corners)
    assert np.abs(network.outputs(b) - corners).max() < 0.06
