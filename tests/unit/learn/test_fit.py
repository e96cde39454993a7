"""Reconstruction: gradients of both ways agree, linear systems are found, gaps are masked, files are read, bad series are refused."""

import numpy as np
import pytest

import retime as rt
from retime.learn import GeneralizedForcing, SparseForcing, fit
from retime.learn.by_hand import AlmostLinear
from retime.learn.by_jax import Compiled
from retime.learn.dynamics import Setting
from retime.learn.networks import network
from retime.learn.recordings import recording
from retime.learn.windows import Cutter

QUICK = {"epochs": 2, "batches": 3, "batch_size": 4, "sequence": 12, "every": 1}


@pytest.fixture
def spiral(rng):
    """600 samples of a noisy rotation."""
    turn = 0.3
    A, z = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), np.array([1.0, 0.0])
    rows = []
    for _ in range(600):
        z = A @ z
        rows.append(z + 0.01 * rng.normal(size=2))
    return 3.0 * np.array(rows) + [5.0, -2.0]


def gradient_of(kind, data, forcing, **sizes):
    """Loss and gradient of 5 windows of 10 steps, by one of the ways to get them."""
    found = recording(data, missing=True, standardize=True, **sizes)
    net = network("alrnn", 5, found.num_inputs, 2, {"num_relu": 2})
    dynamics = kind(Setting(net, "float64"))
    windows = Cutter(found, 10, 5, 0.1, 0, "float64").cut(3, forcing.strength(11, 0.3))
    return dynamics.gradient(dynamics.parameters(np.random.default_rng(0)), windows)


@pytest.mark.parametrize("forcing", [SparseForcing(4), GeneralizedForcing(0.3)], ids=repr)
def test_the_gradient_by_hand_is_that_of_the_compiled_loss(spiral, forcing):
    """With missing values and a batch that does not fill sixteen lanes."""
    from retime.core.equation import double_precision

    spiral[50:400:7, 1] = np.nan
    loss, found = gradient_of(AlmostLinear, spiral, forcing)
    with double_precision():
        again, automatic = gradient_of(Compiled, spiral, forcing)
    np.testing.assert_allclose(loss, again, rtol=1e-13)
    for name, value in found.items():
        np.testing.assert_allclose(value, automatic[name], rtol=1e-12, atol=1e-14)


def test_a_rotation_is_found_in_the_units_of_the_data(spiral):
    recipe = {"epochs": 30, "batches": 20, "sequence": 20, "noise": 0.0, "learning_rate": (1e-2, 1e-3)}
    found = fit(spiral, family="alrnn", num_states=2, num_relu=0, seed=0, dt=0.5, **recipe)
    assert isinstance(found.model, rt.AlmostLinearRNN)
    assert found.model.dt == 0.5
    assert found.metrics["prediction_error"] < 0.1
    eigenvalues = np.linalg.eigvals(found.model.jacobian(np.zeros(2)))
    np.testing.assert_allclose(np.abs(np.angle(eigenvalues)), 0.3, rtol=0, atol=0.01)
    start = (spiral[0] - spiral.mean(axis=0)) / spiral.std(axis=0)
    np.testing.assert_allclose(found.model.outputs(start), spiral[0], rtol=0, atol=1e-12)
    assert {"state_space_divergence", "spectral_distance"} <= set(found.metrics)


@pytest.mark.parametrize(
    ("family", "options", "cls"),
    [
        ("plrnn", {}, rt.PLRNN),
        ("shallow_plrnn", {"num_hidden": 6}, rt.ShallowPLRNN),
        ("dendritic_plrnn", {"num_bases": 2}, rt.DendriticPLRNN),
    ],
)
def test_families_are_ordinary_models_and_runs_repeat(spiral, family, options, cls):
    first, again = (fit(spiral, family=family, num_states=4, seed=3, **QUICK, **options).model for _ in range(2))
    assert isinstance(first, cls)
    assert first == again
    assert rt.to_continuous(first, throw=False).certificate is not None


def test_several_recordings_and_gaps(spiral):
    spiral[10:20] = np.nan
    parts = [spiral[:300], spiral[300:]]
    found = recording(parts, missing=True, standardize=True)
    assert [int((~k).sum()) for k in found.known] == [20, 0]
    np.testing.assert_allclose(found.mean, np.nanmean(spiral, axis=0), rtol=1e-14)
    result = fit(parts, family="alrnn", num_states=3, num_relu=1, missing=True, **QUICK)
    assert np.isfinite(result.history[-1]["loss"])


def test_a_resumed_fit_is_bit_for_bit_the_same(spiral, tmp_path):
    options = {"family": "alrnn", "num_states": 3, "num_relu": 1, **QUICK}
    whole = fit(spiral, **options)
    fit(spiral, **options, checkpoint=tmp_path / "c", time_limit=1e-9)
    assert fit(spiral, **options, checkpoint=tmp_path / "c", resume=True).model == whole.model


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".mat"])
def test_files_are_read(spiral, tmp_path, suffix):
    path = tmp_path / f"series{suffix}"
    if suffix == ".npy":
        np.save(path, spiral)
    elif suffix == ".csv":
        np.savetxt(path, spiral, delimiter=",", header="x,y", comments="")
    else:
        from scipy.io import savemat

        savemat(path, {"x": spiral})
    found = recording(str(path), missing=False, standardize=False)
    np.testing.assert_allclose(found.series[0], spiral, rtol=1e-15)


def test_a_frame_is_an_array_with_names(spiral):
    class Frame:
        values = spiral

    assert recording(Frame(), missing=False, standardize=True).num_channels == 2


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.full((50, 2), np.nan), "`series` has NaN in 50 of 50 rows; with missing=True"),
        (np.zeros((1, 2)), "has a part of 1 sample"),
        (np.zeros((50, 2)), "constant in channel 0"),
        (np.full((50, 2), np.inf), "holds infinite values"),
        (np.zeros((2, 2, 2)), r"has shape \(2, 2, 2\)"),
        ([np.ones((5, 2)), np.ones((5, 3))], r"parts with \[2, 3\] channels"),
        (np.array(["a"]), "must be real numbers"),
    ],
)
def test_bad_series_are_refused(series, message):
    with pytest.raises(ValueError, match=message):
        fit(series, family="alrnn", num_states=4, num_relu=1, epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "gpt"}, "`family` is 'gpt'; recordings are fitted by one of"),
        ({"num_states": 1}, "`num_states` is 1; it must be at least 2"),
        ({"held_out": 1.0}, "`held_out` is 1.0"),
        ({"epochs": 0}, "`epochs` is 0"),
    ],
)
def test_bad_arguments_are_refused(spiral, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(spiral, **({"family": "alrnn", "num_states": 4, "num_relu": 1} | arguments))


@pytest.mark.parametrize(
    "make", [lambda: SparseForcing(0), lambda: GeneralizedForcing(1.5), lambda: SparseForcing(True)]
)
def test_forcings_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="it must be"):
        make()


def test_forcing_is_sparse_constant_or_annealed():
    np.testing.assert_array_equal(SparseForcing(3).strength(7, 0.0), [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_allclose(GeneralizedForcing((0.9, 0.1)).strength(3, 0.5), [1, 0.5, 0.5])
