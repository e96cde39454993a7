"""`names=`: any file, by the user's word for its arrays."""

import numpy as np
import pytest
from scipy.io import savemat

import retime as rt
from retime.io.selection import parsed

n, m, p = 4, 2, 3
OWN = {
    "W_rec": "net.rec",
    "W_in": "net.in.T",
    "b": "net.b1 + net.b2",
    "B": "head",
    "readout_b": "-shift",
    "z0": "start",
}


@pytest.fixture
def arrays(rng):
    return {
        "net.rec": rng.normal(size=(n, n)),
        "net.in": rng.normal(size=(m, n)),
        "net.b1": rng.normal(size=n),
        "net.b2": rng.normal(size=n),
        "head": rng.normal(size=(p, n)),
        "shift": rng.normal(size=p),
        "start": rng.normal(size=n),
        "W": np.eye(7),  # an array whose name means something else elsewhere
    }


@pytest.fixture
def path(arrays, tmp_path):
    np.savez(tmp_path / "net.npz", **arrays)
    return tmp_path / "net.npz"


def test_arrays_are_arguments_by_name(arrays, path, caplog):
    model = rt.load(path, family="tanh_rnn", names=OWN)
    b = arrays["net.b1"] + arrays["net.b2"]
    wanted = rt.TanhRNN(arrays["net.rec"], arrays["net.in"].T, b, readout=(arrays["head"], -arrays["shift"]))
    assert model == wanted
    assert "`W` (7x7, not among `names`)" in caplog.text
    np.testing.assert_array_equal(rt.io.initial_states(path, OWN), arrays["start"][None])


def test_a_leak_may_be_an_array(arrays, tmp_path):
    np.savez(tmp_path / "net.npz", **arrays, leak=np.full((1, n), 0.3))
    model = rt.load(tmp_path / "net.npz", family="leaky_rnn", form="current", names=OWN | {"alpha": "leak"})
    np.testing.assert_array_equal(model.alpha, np.full(n, 0.3))


def test_entries_of_cells_and_other_families(rng, tmp_path):
    A, W, h = rng.uniform(0.5, 0.9, 3), rng.normal(size=(3, 3)), rng.normal(size=3)
    cell = np.empty((1, 3), dtype=object)
    cell[0] = [W, h[:, None], A[None]]
    savemat(tmp_path / "net.mat", {"params": cell})
    names = {"A": "params{3}", "W": "params{1}", "h": "params{2}"}
    assert rt.load(tmp_path / "net.mat", family="plrnn", names=names) == rt.PLRNN(A, W, h)


def test_structs_inside_structs_and_cells(rng, tmp_path):
    A, W, h = rng.uniform(0.5, 0.9, 3), rng.normal(size=(3, 3)), rng.normal(size=3)
    cell = np.empty((1, 2), dtype=object)
    cell[0] = ["a note", {"net": {"A": A, "W": W, "h": h[:, None]}}]
    savemat(tmp_path / "net.mat", {"result": {"runs": cell}})
    assert rt.load(tmp_path / "net.mat") == rt.PLRNN(A, W, h)


def test_name_that_is_not_in_the_file_lists_what_is(path):
    with pytest.raises(
        rt.ModelFileError, match=r"`names` gives 'rec' for `W_rec`, which is not in the file; it holds `net.rec` 4x4"
    ):
        rt.load(path, family="tanh_rnn", names=OWN | {"W_rec": "rec"})


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        (
            {"W_res": "net.rec"},
            ValueError,
            "gives an array for `W_res`, which family 'tanh_rnn' does not have; known are B",
        ),
        ({"b": "net.b1 + head"}, rt.ModelFileError, r"adds arrays of different shapes for `b` \(4, 3x4\)"),
        ("W_rec=net.rec", TypeError, "it must map arguments to arrays"),
        ({"W_rec": "net.in"}, rt.ModelFileError, "`W_rec` is 2x4; it must be n x n"),
    ],
)
def test_wrong_names_are_refused(names, error, match, path):
    with pytest.raises(error, match=match):
        rt.load(path, family="tanh_rnn", names=names)


def test_names_of_the_command_line_are_pairs():
    assert parsed("W_rec=rnn.h2h.weight.T, b = b1 + b2") == {"W_rec": "rnn.h2h.weight.T", "b": "b1 + b2"}
    for text in ("W_rec", "=b", "W_rec=", ""):
        with pytest.raises(ValueError, match="it must be ARGUMENT=ARRAY"):
            parsed(text)
