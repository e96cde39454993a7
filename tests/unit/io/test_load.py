"""`load`: which family, what it says, what it refuses."""

import json

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized
from retime.models import FAMILIES

PLAIN = {"A": np.full(3, 0.5), "W": np.zeros((3, 3)), "h": np.ones(3)}
SHALLOW = {"A": np.full(3, 0.5), "W1": np.zeros((3, 4)), "W2": np.zeros((4, 3)), "h1": np.ones(3), "h2": np.ones(4)}


def written(tmp_path, **arrays):
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "family"),
    [
        (PLAIN, "plrnn"),
        (SHALLOW, "shallow_plrnn"),
        (PLAIN | {"slopes": np.ones(2), "thresholds": np.zeros((2, 3))}, "dendritic_plrnn"),
        (
            {
                "weight_hh_l0": np.eye(3),
                "weight_ih_l0": np.ones((3, 2)),
                "bias_hh_l0": np.ones(3),
                "bias_ih_l0": np.ones(3),
            },
            "tanh_rnn",
        ),
        ({"W_rec": np.eye(3), "W_in": np.ones((3, 2)), "b": np.ones(3)}, "relu_rnn"),
        ({"weight_hh_l0": np.ones((9, 3)), "weight_ih_l0": np.ones((9, 2))}, "gru"),
        ({"cell.weight_hh": np.ones((12, 3)), "cell.weight_ih": np.ones((12, 2))}, "lstm"),
        ({f"latent_model.{k}": v for k, v in PLAIN.items()}, "plrnn"),
    ],
)
def test_family_follows_from_the_names(arrays, family, tmp_path):
    model, recognition = load_recognized(written(tmp_path, **arrays), dt=0.1)
    assert model.family == recognition.family == family
    assert model.time == rt.Discrete(0.1)


def test_recognition_names_the_other_families_that_fit(tmp_path, caplog):
    rt.load(written(tmp_path, **PLAIN))
    message = caplog.messages[0]
    assert "read as plrnn (`A` 3, `W` 3x3, `h` 3)" in message
    assert 'family="alrnn" (needs num_relu=...)' in message


def test_given_family_is_taken_without_a_word(tmp_path, caplog):
    model = rt.load(written(tmp_path, **PLAIN), family="alrnn", num_relu=1)
    assert (model.family, model.num_relu) == ("alrnn", 1)
    assert caplog.messages == []


def test_step_comes_from_the_argument_then_the_file_then_one(tmp_path):
    path = written(tmp_path, **PLAIN, dt=0.02)
    assert rt.load(path, family="plrnn").dt == 0.02
    assert rt.load(path, family="plrnn", dt=0.5).dt == 0.5
    assert rt.load(written(tmp_path, **PLAIN), family="plrnn").dt == 1.0


def test_published_initial_states_are_read(data):
    z = rt.io.initial_states(data / "vanderpol_plrnn.mat")
    assert z.shape == (6, 10)
    assert rt.io.initial_states(data / "lorenz_plrnn.mat").shape[0] == 0


@pytest.mark.parametrize(
    ("arrays", "options", "match"),
    [
        ({"x": np.ones(3)}, {}, r"no family fits.*The file holds `x` 3.*family="),
        ({}, {}, "found one with 0 members"),
        ({"A": PLAIN["A"], "W": PLAIN["W"]}, {"family": "plrnn"}, r"family plrnn needs `h` \(also accepted: h0"),
        (PLAIN | {"W": np.zeros((3, 2))}, {}, r"`W` has shape \(3, 2\); it must be \(3, 3\)"),
        (PLAIN | {"h": np.array([1, np.nan, 0])}, {}, r"`h` holds nan at \(1,\)"),
        (SHALLOW | {"W1": SHALLOW["W2"], "W2": SHALLOW["W1"]}, {}, r"`W1` has shape \(4, 3\)"),
    ],
)
def test_file_that_fits_no_family_is_refused_with_its_name(arrays, options, match, tmp_path):
    with pytest.raises(rt.ModelFileError, match=match) as caught:
        rt.load(written(tmp_path, **arrays), **options)
    assert "weights.npz" in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(rt.ModelFileError, match=r"none\.mat"):
        rt.load(tmp_path / "none.mat")


def test_folder_is_not_a_file(tmp_path):
    with pytest.raises(rt.ModelFileError, match=r"folder|directory"):
        rt.load(tmp_path)


def test_unknown_suffix_lists_what_is_read(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"hello")
    with pytest.raises(rt.ModelFileError, match=r"a\.xyz.*\.mat.*\.npz"):
        rt.load(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"family": "gru4"}, ValueError, "`family` is 'gru4'; it must be one of .*plrnn"),
        ({"dt": 0.0}, ValueError, r"`dt` is 0\.0; it must be a positive"),
        ({"dt": -1}, ValueError, r"`dt` is -1\.0"),
        ({"dt": "x"}, ValueError, "`dt` is 'x'"),
        ({"family": "plrnn", "num_relu": 2}, TypeError, r"weights\.npz: family 'plrnn' with options .*num_relu"),
        ({"family": "alrnn"}, TypeError, "num_relu"),
        ({"family": "alrnn", "num_relu": 7}, rt.ModelFileError, "`num_relu` is 7"),
        ({"family": "continuous_plrnn", "dt": 0.1}, (ValueError, rt.ModelFileError), "continuous"),
    ],
)
def test_wrong_option_is_refused_with_a_reason(options, error, match, tmp_path):
    with pytest.raises(error, match=match):
        rt.load(written(tmp_path, **PLAIN), **options)


def test_unknown_family_lists_every_family(tmp_path):
    with pytest.raises(ValueError, match="it must be one of") as caught:
        rt.load(written(tmp_path, **PLAIN), family="gru4")
    assert all(name in str(caught.value) for name in FAMILIES)


def test_retime_file_does_not_take_options(tmp_path):
    rt.save(rt.PLRNN(**PLAIN), tmp_path / "m.npz")
    with pytest.raises(ValueError, match="says itself that it is plrnn"):
        rt.load(tmp_path / "m.npz", family="alrnn", num_relu=1)


def test_retime_file_takes_another_step(tmp_path):
    rt.save(rt.PLRNN(**PLAIN), tmp_path / "m.npz")
    assert rt.load(tmp_path / "m.npz", dt=0.25).dt == 0.25


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 99}, r"later retime \(format 99, known 3\)"),
        ({"family": "unheard_of"}, "do not describe a model"),
        ({"time": {}}, "do not describe a model"),
        ({"options": {"num_relu": 2}}, "do not describe a model"),
        ({"options": None}, "do not describe a model"),
    ],
)
def test_damaged_header_is_refused(change, match, tmp_path):
    header = {"version": 1, "family": "plrnn", "time": {"dt": 0.1}, "options": {}} | change
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(tmp_path, retime=json.dumps(header), **PLAIN))


def test_header_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(rt.ModelFileError, match="do not describe a model"):
        rt.load(written(tmp_path, retime="{", **PLAIN))


@pytest.mark.parametrize("others", [("ema",), ("",), ("ema", "best.net")])
def test_networks_under_several_prefixes_are_refused(others, tmp_path):
    arrays = {f"net.{name}": value for name, value in PLAIN.items()}
    arrays |= {f"{prefix}.A".removeprefix("."): np.full(3, 0.1 * k) for k, prefix in enumerate(others)}
    np.savez(tmp_path / "net.npz", **arrays)
    match = (
        r"net\.npz: \d different arrays for `A` \(`net\.A`, .*\(prefixes 'net', '.*\)\. Choose one of them by `prefix=`"
    )
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(tmp_path / "net.npz")


@pytest.mark.parametrize(
    ("prefix", "value"), [("ema", 0.1), ("", 0.2), ("net", 0.5), ("deep.in.best", 0.3), ("best", 0.3)]
)
def test_a_prefix_chooses_one_of_several_networks(prefix, value, tmp_path, caplog):
    places = {"net.": 0.5, "ema.": 0.1, "": 0.2, "deep.in.best.": 0.3}
    arrays = {f"{place}{name}": x for place in places for name, x in PLAIN.items()}
    np.savez(tmp_path / "net.npz", **arrays | {f"{place}A": np.full(3, x) for place, x in places.items()})
    np.testing.assert_array_equal(rt.load(tmp_path / "net.npz", prefix=prefix).A, value * np.eye(3))
    assert "Not read" not in caplog.messages[0]
    with pytest.raises(rt.ModelFileError, match=r"no array is named 'emo' .* prefixes 'net', 'ema', 'deep.in.best'"):
        rt.load(tmp_path / "net.npz", prefix="emo")


def test_the_same_arrays_under_two_prefixes_are_one_network_under_its_full_names(tmp_path, caplog):
    arrays = {f"{prefix}.{name}": value for prefix in ("net", "copy") for name, value in PLAIN.items()}
    np.savez(tmp_path / "net.npz", **arrays)
    np.testing.assert_array_equal(rt.load(tmp_path / "net.npz").h, PLAIN["h"])
    assert "(`net.A` 3, `net.W` 3x3, `net.h` 3)" in caplog.messages[0]
    assert "Not read" not in caplog.messages[0]


@pytest.mark.parametrize(
    ("dt", "match"),
    [
        (0.0, r"net\.npz: `dt` is 0; the step must be one finite number > 0\. Pass the right one as dt="),
        (-1.0, "`dt` is -1; the step"),
        (np.nan, "`dt` is nan; the step"),
        (np.inf, "`dt` is inf; the step"),
        ([0.1, 0.2], r"`dt` has shape \(2,\); the step must be one"),
    ],
)
def test_step_in_the_file_that_is_none_is_refused_unless_another_is_given(dt, match, tmp_path):
    np.savez(tmp_path / "net.npz", **PLAIN, dt=dt)
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(tmp_path / "net.npz")
    assert rt.load(tmp_path / "net.npz", dt=0.1).dt == 0.1
