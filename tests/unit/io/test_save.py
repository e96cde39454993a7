"""`save`: what is written, what is refused, nothing half written."""

import json

import numpy as np
import pytest

import retime as rt

MODEL = rt.PLRNN([0.5, -0.25], np.zeros((2, 2)), [1.0, 2.0], time=rt.Discrete(0.1))


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_suffix_is_appended_and_the_path_returned(tmp_path):
    assert rt.save(MODEL, tmp_path / "model") == tmp_path / "model.npz"
    assert names(tmp_path) == ["model.npz"]


def test_file_is_read_by_numpy_alone(tmp_path):
    with np.load(rt.save(MODEL, tmp_path / "m.npz"), allow_pickle=False) as d:
        header = json.loads(str(d["retime"]))
        np.testing.assert_array_equal(d["A"], MODEL.A)
    assert header["family"] == "plrnn"
    assert header["time"] == {"dt": 0.1}
    assert header["version"] == 3


def test_regions_of_a_flow_are_stored_for_use_elsewhere(tmp_path):
    flow = rt.to_continuous(rt.PLRNN(MODEL.A, 0.01 * np.eye(2), MODEL.h, time=MODEL.time)).model
    region = flow.region([False, True])
    with np.load(rt.save(flow, tmp_path / "f.npz")) as d:
        assert d["regions.patterns"].tolist() == [[False, True]]
        np.testing.assert_array_equal(d["regions.W"][0], region.W)
        assert d["regions.auxiliary"].tolist() == [region.auxiliary] == [1]
        assert d["regions.status"].tolist() == ["raised"]


def test_existing_file_is_replaced(tmp_path):
    rt.save(MODEL, tmp_path / "m.npz")
    other = rt.PLRNN([0.1, 0.2], np.zeros((2, 2)), [0.0, 0.0])
    rt.save(other, tmp_path / "m.npz")
    assert rt.load(tmp_path / "m.npz") == other
    assert names(tmp_path) == ["m.npz"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The folder .*nowhere does not exist; create it first"):
        rt.save(MODEL, tmp_path / "nowhere" / "m.npz")
    assert names(tmp_path) == []


def test_other_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"retime writes \.npz files"):
        rt.save(MODEL, tmp_path / "m.pt")
    assert names(tmp_path) == []


@pytest.mark.parametrize("thing", [np.eye(2), None])
def test_what_is_no_model_is_refused(thing, tmp_path):
    with pytest.raises(TypeError, match=f"`model` is {type(thing).__name__}; save writes retime models"):
        rt.save(thing, tmp_path / "m.npz")
    assert names(tmp_path) == []


def test_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = rt.save(MODEL, tmp_path / "m.npz")
    before = path.read_bytes()

    def fail(stream, **arrays):
        stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        rt.save(MODEL, path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["m.npz"]


def test_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "reference").write_text("")
    path = rt.save(MODEL, tmp_path / "m.npz")
    assert path.stat().st_mode == (tmp_path / "reference").stat().st_mode
