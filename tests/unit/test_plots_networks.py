"""Pictures of trained networks: what is drawn is what the network has and does."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

import retime as rt
from retime.learn import AddingProblem, FlipFlop

matplotlib.use("Agg")


@pytest.fixture
def model(rng):
    return rt.TanhRNN(rng.normal(size=(6, 6)), rng.normal(size=(6, 2)), np.zeros(6), readout=rng.normal(size=(2, 6)))


def test_connectivity_is_the_matrix_with_zero_in_the_middle_of_the_colors(model):
    image = rt.plots.connectivity(model).images[0]
    np.testing.assert_array_equal(image.get_array(), model.W_rec)
    assert image.get_clim() == (-np.abs(model.W_rec).max(), np.abs(model.W_rec).max())
    assert rt.plots.connectivity(rt.zoo.load("lorenz")).images[0].get_array().shape == (24, 24)


def test_weights_are_a_density_before_and_after(model):
    ax = rt.plots.weights(model, before=0.1 * model.W_rec)
    labels = ax.get_legend_handles_labels()[1]
    assert labels[0].startswith("before: mean")
    assert f"s.d. {model.W_rec.std():.2g}" in labels[1]


def test_eigenvalues_are_counted_beyond_the_unit_circle(model):
    ax = rt.plots.weight_spectrum(model, before=np.zeros((6, 6)))
    w = np.linalg.eigvals(model.W_rec)
    shown = ax.lines[1].get_xydata()
    assert {complex(*z) for z in shown} == set(w)
    assert ax.get_legend_handles_labels()[1] == [
        "before: 0 of 6 beyond the circle",
        f"after: {np.sum(np.abs(w) > 1)} of 6 beyond the circle",
    ]


def test_a_trial_shows_what_the_network_answers(model):
    task = FlipFlop(num_bits=2, steps=60)
    lines = {line.get_label(): line.get_ydata() for line in rt.plots.trial(model, task, seed=4).lines}
    batch = task.batch(1, 4)
    orbit = rt.simulate(model, np.zeros(6), steps=60, inputs=batch.inputs[0])
    np.testing.assert_allclose(lines["output"], orbit.outputs[1:, 0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.isfinite(lines["target"]), batch.mask[0, :, 0] > 0)
    with pytest.raises(rt.ShapeError, match="`model` has 2 inputs and 2 outputs; the task 3 and 3"):
        rt.plots.trial(model, FlipFlop(num_bits=3))
    with pytest.raises(rt.ShapeError, match="the task 2 and 1"):
        rt.plots.trial(model, AddingProblem())


def test_a_population_has_a_row_per_unit_in_the_order_asked_for(model):
    orbit = rt.simulate(model, np.ones(6) / 2, steps=20)
    order = [3, 1, 0, 2, 5, 4]
    image = rt.plots.population(orbit, order=order).images[0]
    np.testing.assert_array_equal(image.get_array(), orbit.states.T[order])
    with pytest.raises(rt.ShapeError, match="draw one orbit at a time"):
        rt.plots.population(rt.simulate(model, np.ones((2, 6)), steps=5))


def test_what_has_no_square_matrix_of_weights_is_refused():
    gru = rt.GRU(np.zeros((6, 2)), np.zeros((6, 1)), np.zeros(6), np.zeros(6))
    with pytest.raises(rt.ShapeError, match=r"have shape \(6, 2\); eigenvalues need a square matrix"):
        rt.plots.weight_spectrum(gru)
    with pytest.raises(TypeError, match="VectorField has no matrix of recurrent weights"):
        rt.plots.connectivity(rt.zoo.load("lorenz63"))


def test_training_draws_the_loss_and_what_was_measured_and_no_counters():
    fit = SimpleNamespace(history=[{"step": k, "epoch": k, "loss": 1.0 / (k + 1), "score": 1.0} for k in range(3)])
    ax = rt.plots.training(fit)
    assert [line.get_label() for line in ax.lines] == ["loss"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, 1 / 2, 1 / 3])
