"""What `lyapunov_spectrum` says besides numbers: no dimension of an orbit that left, errors that are not settled."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.analysis.exponents import maps
from retime.analysis.exponents.lyapunov import lyapunov_spectrum
from retime.simulation.motion import motion_of

GROWING = rt.PLRNN([10.0], [[0.0]], [0.1])


def no_dimension(r):
    assert np.isnan(r.kaplan_yorke)
    assert not r.kaplan_yorke_is_bound
    assert "no Kaplan-Yorke dimension" in repr(r)
    assert json.loads(json.dumps(r.to_dict(), allow_nan=False))["kaplan_yorke"] is None


def test_diverged_orbit_has_no_kaplan_yorke_dimension():
    r = lyapunov_spectrum(GROWING, [1.0], steps=10_000)
    assert r.status == "diverged"
    no_dimension(r)


def test_diverged_orbit_has_no_dimension_even_where_its_exponents_were_measured():
    r = lyapunov_spectrum(GROWING, [1.0], steps=1000, transient=0)
    assert r.status == "diverged"
    assert np.isfinite(r.exponents).all()
    no_dimension(r)


def test_linear_orbit_that_leaves_has_exponents_and_no_dimension():
    model = rt.LinearSystem([[2.0]], [0.0], np.zeros((1, 0)))
    r = lyapunov_spectrum(model, [1.0], steps=2000)
    assert abs(r.exponents[0] - np.log(2)) <= 1e-12
    no_dimension(r)


def test_metastable_orbit_says_that_its_errors_are_not_settled():
    """Two tent maps of slopes 2 and 1.2 that an orbit leaves about once in 500 steps."""

    def step(z, s):
        slope = jnp.where(z[1] > 0, 1.9, 1.2)
        return jnp.stack([slope * jnp.minimum(z[0], 1 - z[0]), jnp.where(s[0] > 0, -z[1], z[1])])

    switches = np.random.default_rng(3).uniform(size=(2000, 1)) < 1 / 500
    r = lyapunov_spectrum(rt.Map(step, 2, num_inputs=1), [0.3, 1.0], steps=2000, inputs=switches * 1.0, num=1)
    assert not r.settled
    assert "Standard errors of exponent 1 are not settled" in repr(r)
    assert r.to_dict()["settled"] is False


def test_orbit_that_has_mixed_is_settled():
    r = lyapunov_spectrum(rt.zoo.load("henon"), [0.1, 0.1], steps=20_000)
    assert r.settled
    assert "settled" not in repr(r)


@pytest.mark.slow
def test_fixed_point_of_a_smooth_flow_is_as_exact_as_its_error_says():
    field = rt.VectorField(lambda z: jnp.stack([z[1], -jnp.sin(z[0]) - 0.5 * z[1]]), 2)
    r = lyapunov_spectrum(field, [0.0, 0.0], times=[0, 400.0], transient=100.0)
    assert (np.abs(r.exponents + 0.25) <= 4 * r.standard_errors).all()  # a complex pair turns the vectors
    assert (r.standard_errors < 1e-2).all()


def test_few_vectors_of_a_map_of_low_rank_find_its_zeros():
    """80 ReLU units of which three are active: other directions are taken to zero, not to rounding."""
    W = np.zeros((80, 80))
    W[:3, :3] = [[0.4, 0.3, 0.0], [-0.2, 0.5, 0.1], [0.1, 0.0, 0.3]]
    W[3:] = 0.01 * np.random.default_rng(0).normal(size=(77, 80))
    model = rt.ReluRNN(W, np.zeros((80, 0)), np.concatenate([np.full(3, 2.0), np.full(77, -5.0)]))
    assert maps.is_slim(motion_of(model), 5)
    r = lyapunov_spectrum(model, np.ones(80), steps=300, num=5)
    want = np.sort(np.log(np.abs(np.linalg.eigvals(W[:3, :3]))))[::-1]
    np.testing.assert_allclose(r.exponents[2], want[2], rtol=0, atol=2e-2)
    assert r.exponents[3:].tolist() == [-np.inf, -np.inf]


@pytest.mark.slow
def test_exponents_that_change_places_have_errors_that_hold_both(rng):
    """Two units of the network decay about equally fast; their vectors take each other's place for thousands of steps."""
    entry = rt.zoo.entry("lorenz")
    long = lyapunov_spectrum(entry.model, entry.z0, steps=1_000_000, num=5)
    starts = entry.z0 + 0.05 * rng.normal(size=(100, len(entry.z0)))
    runs = [lyapunov_spectrum(entry.model, z, steps=20_000, num=5) for z in starts]
    ratio = np.array([(r.exponents - long.exponents) / np.hypot(r.standard_errors, long.standard_errors) for r in runs])
    assert ((np.abs(ratio) <= 2).sum(axis=0) >= 88).all(), (np.abs(ratio) <= 2).sum(axis=0)
