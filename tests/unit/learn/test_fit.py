"""Reconstruction: gradients of both ways agree, linear systems are found, gaps are masked, files are read, bad series are refused."""

import numpy as np
import pytest

import retime as rt
from retime.core.equation import double_precision
from retime.core.errors import ShapeError
from retime.learn import AdaptiveForcing, GeneralizedForcing, ManifoldAttractor, SparseForcing, Start, fit
from retime.learn.by_hand import AlmostLinear
from retime.learn.by_jax import Compiled
from retime.learn.descent import FromOptax, RAdam
from retime.learn.dynamics import Setting
from retime.learn.networks import network
from retime.learn.recordings import recording
from retime.learn.windows import Cutter

RECIPE = {"epochs": 30, "every": 30, "batches": 20, "sequence": 20, "noise": 0.0, "learning_rate": (1e-2, 1e-3)}
QUICK = {"epochs": 2, "batches": 3, "batch_size": 4, "sequence": 12, "every": 1}


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
    spiral[50:400:7, 1] = np.nan
    loss, found = gradient_of(AlmostLinear, spiral, forcing)
    with double_precision():
        again, automatic = gradient_of(Compiled, spiral, forcing)
    np.testing.assert_allclose(loss, again, rtol=1e-13)
    for name, value in found.items():
        np.testing.assert_allclose(value, automatic[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1, 12, 14])
def test_a_forcing_of_ones_own_that_is_not_of_the_windows_length_is_refused(spiral, size):
    class Own:
        def strength(self, steps, share):
            return np.ones(size, np.float32)

    with pytest.raises(ShapeError, match=rf"`strength` of the forcing has shape \({size},\); it must be \(13,\)"):
        fit(spiral, family="alrnn", num_states=3, num_relu=1, forcing=Own(), **QUICK)


def test_a_rotation_is_found_in_the_units_of_the_data(spiral):
    found = fit(spiral, family="alrnn", num_states=2, num_relu=0, seed=0, dt=0.5, **RECIPE)
    assert isinstance(found.model, rt.AlmostLinearRNN)
    assert found.model.dt == 0.5
    assert found.metrics["prediction_error"] < 0.1
    eigenvalues = np.linalg.eigvals(found.model.jacobian(np.zeros(2)))
    np.testing.assert_allclose(np.abs(np.angle(eigenvalues)), 0.3, rtol=0, atol=0.01)
    start = (spiral[0] - spiral.mean(axis=0)) / spiral.std(axis=0)
    np.testing.assert_allclose(found.model.outputs(start), spiral[0], rtol=0, atol=1e-12)
    assert {"state_space_divergence", "spectral_distance"} <= set(found.metrics)


@pytest.fixture
def driven(rng):
    """x' = 0.8 x + 0.005 s with inputs of a hundred."""
    inputs, x = 100.0 * rng.normal(size=(400, 1)), np.zeros((400, 1))
    for k in range(399):
        x[k + 1] = 0.8 * x[k] + 0.005 * inputs[k]
    return x, inputs


@pytest.mark.parametrize("observation", ["identity", "linear"])
def test_inputs_act_in_their_own_units(driven, observation):
    x, inputs = driven
    options = {"family": "alrnn", "num_states": 1, "num_relu": 0, "observation": observation, **RECIPE}
    options |= {"learning_rate": (3e-2, 1e-3), "epochs": 60, "every": 60}
    model = fit(x, inputs=inputs, **options).model
    B = model.readout.B[0, 0]
    assert abs(model.jacobian([0.0])[0, 0] - 0.8) < 2e-3
    assert abs(B * model.input_jacobian([0.0])[0, 0] - 0.005) < 5e-5


def test_two_states_are_read_through_a_learned_observation(spiral):
    found = fit(spiral, family="alrnn", num_states=2, num_relu=0, observation="linear", **RECIPE)
    B = found.model.readout.B
    assert np.abs(B).min() > 0.0
    assert found.metrics["prediction_error"] < 0.1
    eigenvalues = np.linalg.eigvals(found.model.jacobian(np.zeros(2)))
    np.testing.assert_allclose(np.abs(np.angle(eigenvalues)), 0.3, rtol=0, atol=0.01)
    assert found.metrics["epoch"] in {record["epoch"] for record in found.history}


@pytest.mark.parametrize(
    ("family", "options", "cls"),
    [
        ("gru", {}, rt.GRU),
        ("plrnn", {}, rt.PLRNN),
        ("shallow_plrnn", {"num_hidden": 6}, rt.ShallowPLRNN),
        ("dendritic_plrnn", {"num_bases": 2}, rt.DendriticPLRNN),
    ],
)
def test_families_are_ordinary_models_and_runs_repeat(spiral, family, options, cls):
    first, again = (fit(spiral, family=family, num_states=4, seed=3, **QUICK, **options).model for _ in range(2))
    assert isinstance(first, cls)
    assert first == again


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
    for given in (str(path), [path]):
        found = recording(given, missing=False, standardize=False)
        np.testing.assert_allclose(found.series[0], spiral, rtol=1e-15)


def test_a_frame_is_an_array_with_names(spiral):
    class Frame:
        values = spiral

    assert recording(Frame(), missing=False, standardize=True).num_channels == 2


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ("series.doc", "`series` is 'series.doc'; a file must be a .npy"),
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
        ({"num_relu": 5}, "`num_relu` is 5; it must be a whole number from 0 to 4, the number of units"),
        ({"observation": "log"}, "`observation` is 'log'"),
        ({"convention": "julia"}, "`convention` is 'julia'"),
        ({"inputs": np.ones((5, 1))}, r"`inputs` has \[5\] rows, `series` \[600\]"),
        ({"inputs": np.zeros((600, 1))}, "`inputs` is zero throughout in channel 0"),
        ({"inputs": np.full((600, 1), np.nan)}, "`inputs` has NaN or infinite values"),
        ({"times": np.arange(5.0)}, r"`times` has \[5\] entries, `series` \[600\] samples"),
        ({"times": np.zeros(600)}, "`times` must be strictly increasing"),
        ({"times": np.arange(600.0) ** 2}, "are not equally far apart; alrnn takes equal steps"),
        ({"times": np.arange(600.0), "dt": 1.0}, "`times` and `dt` were both given"),
        (
            {"family": "gru", "num_relu": None, "regularization": ManifoldAttractor(1.0)},
            "with A, W and h: gru has none",
        ),
        ({"epochs": 0}, "`epochs` is 0"),
    ],
)
def test_bad_arguments_are_refused(spiral, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(spiral, **({"family": "alrnn", "num_states": 4, "num_relu": 1} | arguments))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SparseForcing(0),
        lambda: GeneralizedForcing(1.5),
        lambda: SparseForcing(True),
        lambda: AdaptiveForcing(every=0),
        lambda: AdaptiveForcing(decay=2.0),
        lambda: ManifoldAttractor(-1.0),
        lambda: ManifoldAttractor(1.0, share=0.0),
    ],
)
def test_forcings_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="it must be"):
        make()


def test_forcing_is_sparse_constant_or_annealed():
    np.testing.assert_array_equal(SparseForcing(3).strength(7, 0.0), [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_allclose(GeneralizedForcing((0.9, 0.1)).strength(3, 0.5), [1, 0.5, 0.5])


def test_adaptive_forcing_follows_the_norm_of_the_jacobian(spiral):
    """Of a linear network the mean Jacobian is its matrix."""
    found = recording(spiral, missing=False, standardize=True)
    dynamics = AlmostLinear(Setting(network("alrnn", 3, 0, 2, {"num_relu": 0}), "float64"))
    p = dynamics.parameters(np.random.default_rng(0))
    sigma = dynamics.stretch(p, Cutter(found, 5, 4, 0.0, 0, "float64").cut(0, np.ones(6)))
    np.testing.assert_allclose(sigma, np.linalg.norm(np.diag(p["A"]) + p["W"], 2), rtol=1e-12)
    rule = AdaptiveForcing(decay=0.5)
    assert rule.next(0.2, 2.0) == 0.5  # a larger one at once
    assert rule.next(1.0, 2.0) == 0.75
    assert rule.next(0.5, 0.9) == 0.25
    result = fit(spiral, family="alrnn", num_states=3, num_relu=1, forcing=AdaptiveForcing(every=2), **QUICK)
    assert np.isfinite(result.history[-1]["loss"])


@pytest.mark.parametrize("family", ["alrnn", "shallow_plrnn"])
def test_the_penalty_of_a_manifold_attractor_is_differentiated(rng, family):
    p = network(family, 4, 0, 2, {"num_relu": 1} if family == "alrnn" else {}).initial(rng, Start("normal"))
    own, rule = {k: v for k, v in p.items() if k in ("A", "W", "W1", "h", "h1")}, ManifoldAttractor(0.7, share=0.5)
    loss, gradient = rule.gradient(own)
    for name, value in own.items():
        assert not gradient[name][:2].any()
        toward = rng.normal(size=value.shape)
        ahead, back = (rule.gradient({**own, name: value + e * toward})[0] for e in (1e-6, -1e-6))
        assert abs((ahead - back) / 2e-6 - (gradient[name] * toward).sum()) < 1e-8 * max(loss, 1.0)


def test_a_rotation_keeps_a_slow_state_when_asked(spiral):
    strong = ManifoldAttractor(100.0, share=0.25)
    model = fit(spiral, family="alrnn", num_states=4, num_relu=0, regularization=strong, **RECIPE).model
    np.testing.assert_allclose(model.jacobian(np.zeros(4))[3], [0, 0, 0, 1], rtol=0, atol=0.02)


def test_the_step_of_the_optimizer_is_that_of_optax(rng):
    import optax

    ours, theirs = RAdam(lambda k: 1e-2 * 0.9**k), FromOptax(optax.radam(optax.exponential_decay(1e-2, 1, 0.9)))
    start = rng.normal(size=7)
    ends = []
    with double_precision():
        for rule in (ours, theirs):
            vector, state = start, rule.init(start)
            for k in range(9):
                vector, state = rule.apply(vector, state, np.cos(vector + k), k)
            ends.append(vector)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-7)  # Optax computes rates in single precision


def test_tables_are_read_by_their_names(spiral):
    """A DataFrame with missing numbers of its own kind, a DataArray with time last, a Dataset of channels."""
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    frame = pandas.DataFrame(spiral).convert_dtypes()
    frame.iloc[3, 1] = pandas.NA
    tables = [
        frame,
        xarray.DataArray(spiral.T, dims=("unit", "time")),
        xarray.Dataset({"a": ("time", spiral[:, 0]), "b": ("time", spiral[:, 1])}),
    ]
    for table in tables:
        (x,), (known,) = (f := recording(table, missing=True, standardize=False)).series, f.known
        np.testing.assert_array_equal(x[known], spiral[known])
        assert (~known).sum() == (table is frame)
    with pytest.raises(ValueError, match="columns that are no numbers: name; leave them out"):
        recording(frame.assign(name="a"), missing=True, standardize=False)
