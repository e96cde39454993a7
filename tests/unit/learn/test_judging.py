"""The judge of reconstructions: what comes to rest, to a cycle from few starts, or away from the data in the end is not kept."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.learn import fit
from retime.learn.by_hand import AlmostLinear
from retime.learn.descent import Clipped, RAdam, shortened
from retime.learn.dynamics import Setting
from retime.learn.judging import LOST, STARTS, Judge
from retime.learn.networks import network
from retime.learn.recordings import recording


def rotation_judged(spiral, radius, **conventions):
    """The judge of a rotation that grows by `radius` at every step, and its parameters."""
    held_out = recording(spiral, missing=False, standardize=True).split(0.1)[1]
    dynamics = AlmostLinear(Setting(network("alrnn", 2, 0, 2, {"num_relu": 0}), "float64"))
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    p = {"A": np.zeros(2), "W": radius * turn, "h": np.zeros(2), "C": np.zeros((2, 0)), "lift": np.zeros((0, 2))}
    return Judge(dynamics, held_out, **conventions), p


@pytest.mark.parametrize(("radius", "is_kept"), [(1.0, True), (0.997, False)])
def test_what_comes_to_rest_in_the_end_is_not_kept(spiral, radius, is_kept):
    """A rotation that shrinks by a tenth in 100 steps rests after 6,000 from everywhere."""
    judge, p = rotation_judged(spiral, radius)
    assert (judge.check(p)["score"] < LOST) == is_kept


def test_what_is_kept_is_scored_by_the_end_of_long_runs(spiral):
    """A hidden unit, right from the first sample on, shifts the orbit back to where the data are; started at 0 it does not."""
    held_out = recording(spiral, missing=False, standardize=True).split(0.1)[1]
    dynamics = AlmostLinear(Setting(network("alrnn", 3, 0, 2, {"num_relu": 0}), "float64"))
    first = held_out.series[0][0]
    W = np.array([[np.cos(0.3), -np.sin(0.3), -2.0], [np.sin(0.3), np.cos(0.3), 0.0], [0.0, 0.0, 1.0]])
    p = {"A": np.zeros(3), "W": W, "h": [2.0, 0.0, 0.0], "C": np.zeros((3, 0)), "lift": [first / (first @ first)]}
    judge = Judge(dynamics, held_out)
    assert (
        judge.check(p)["score"] > 1.5 * judge.check(p, best=0.0)["score"]
    )  # no better than the best: not run for long


def test_the_convention_asked_for_judges(spiral):
    own, theirs = (rotation_judged(spiral, 1.0, **c) for c in ({}, {"conventions": ("alrnn", "alrnn")}))
    found, published = (judge.check(p, -math.inf) for judge, p in (own, theirs))
    judge, p = own
    x, model = spiral[-60:], judge.model(p)
    start = (x[0] - judge.held_out.mean) / judge.held_out.std
    run = rt.simulate(model, start, steps=5999).outputs[600:]
    spectra = [float(rt.spectral_distance(x, run[k : k + 60], convention="alrnn")) for k in range(5400 - 600, 5400, 60)]
    divergence = float(rt.state_space_divergence(x, run, convention="alrnn"))
    np.testing.assert_allclose(published["state_space_divergence"], divergence)
    np.testing.assert_allclose(published["spectral_distance"], np.mean(spectra))
    assert published["state_space_divergence"] != found["state_space_divergence"]
    assert published["prediction_error"] == found["prediction_error"]


def tent(beyond):
    """A chaotic tent map on [0, 1] with `beyond` the slope from 1 to 2, and from there on -1 where it rises: z -> 6 - z, cycles of two."""
    slopes = [1.9, -1.9, beyond, -1.0 if beyond else 0.0]
    return rt.ShallowPLRNN(slopes[:1], np.diff(slopes)[None], np.ones((3, 1)), [0.02], [-0.5, -1.0, -2.0])


@pytest.fixture
def disturbed():
    """A recording of it, with three samples of the held-out part that lie beyond: not where every 18th of the judge's starts is."""
    series = rt.simulate(tent(0.0), [0.3], steps=1250).states[1:].copy()
    starts = 1000 + np.linspace(0, 249, STARTS).astype(int)
    series[starts[[5, 40, 77]]] = [[2.7], [3.2], [3.3]]
    return series


@pytest.mark.parametrize(("beyond", "most"), [(0.0, 0.2), (3.98, np.inf)], ids=["chaos", "chaos and cycles"])
def test_runs_go_on_from_the_starts_that_lead_farthest_from_the_data(disturbed, beyond, most):
    """Three of 128 starts lead to cycles: of eight runs that are drawn or spread evenly, none would tell."""
    found = fit(disturbed, family=tent(beyond), held_out=0.2, epochs=1, batches=1, learning_rate=1e-12)
    assert found.history[0]["state_space_divergence"] < 0.2
    assert (found.history[0]["score"] < 0.2) == (most < 1.0)


def test_a_gradient_whose_square_is_no_number_ends_the_run(disturbed):
    """Along 200 steps it grows by 1.9 to the 200th; single precision ends at the square of 1e19."""
    found = fit(disturbed, family=tent(0.0), held_out=0.2, epochs=1, batches=2, learning_rate=1e-12)
    assert found.status == "diverged"
    np.testing.assert_allclose(found.model.step([0.3]), tent(0.0).step([0.3]), rtol=1e-6)


def test_a_gradient_whose_square_is_no_number_is_shortened_where_that_is_asked():
    """To its direction: 3e30 and 4e30 become 0.6 and 0.8 of the largest norm."""
    start = np.zeros(2, np.float32)
    rule = Clipped(RAdam(lambda _: 1.0), 0.5)
    for scale in (np.float32(1e30), np.float32(1)):
        end, _ = rule.apply(start, rule.init(start), scale * np.array([3, 4], np.float32), 0)
        np.testing.assert_allclose(end, [-0.3, -0.4], rtol=1e-6)


@pytest.mark.parametrize(("scale", "norm"), [(1e30, 0.5), (1.0, 0.5), (1e-3, 5e-3), (1e-30, 5e-30), (0.0, 0.0)])
def test_training_shortens_gradients_whose_square_is_no_number_as_well(scale, norm):
    gradient = {"a": scale * jnp.array([3.0]), "b": scale * jnp.array([[0.0, 4.0]])}
    rule = shortened(0.5)
    found, _ = rule.update(gradient, rule.init(gradient))
    np.testing.assert_allclose(found["a"], [0.6 * norm], rtol=1e-6)
    np.testing.assert_allclose(found["b"], [[0.0, 0.8 * norm]], rtol=1e-6)


def test_training_does_not_make_zeros_of_gradients_that_are_no_numbers():
    rule, gradient = shortened(0.5), jnp.array([np.inf, 1.0])
    assert not np.isfinite(rule.update(gradient, rule.init(gradient))[0]).all()
