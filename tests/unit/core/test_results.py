"""Certificates, conversions, statuses and files written in place."""

import json

import numpy as np
import pytest

import retime as rt
from retime.core.certificate import Certificate, Condition
from retime.core.files import replace_atomically
from retime.core.rendering import html_table, plain, text_table
from retime.core.status import RegionStatus


def certificate(*holds):
    return Certificate("c", "s", tuple(Condition(f"n{k}", h, float(h), required=k == 0) for k, h in enumerate(holds)))


def test_certificate_holds_when_its_required_conditions_do():
    assert certificate(True, False).holds
    assert not certificate(False, True).holds


def test_certificate_prints_one_row_per_condition():
    lines = str(certificate(True, False)).splitlines()
    assert lines[0] == "c."  # in plain words
    assert [line for line in lines if line.startswith(("claim", "scope"))] == ["claim: c", "scope: s"]
    assert [line.split()[0] for line in lines[-2:]] == ["n0", "n1"]


def test_statuses_are_strings_in_order_of_severity():
    assert [s.severity for s in RegionStatus] == [0, 1, 2, 3, 4]
    assert RegionStatus.RAISED == "raised"


def test_plain_data_has_no_numpy_and_no_nan():
    got = plain({"a": np.arange(2), "b": (np.float64(1), np.nan), "c": [np.inf, np.bool_(True)], 3: None})
    assert got == {"a": [0, 1], "b": [1.0, None], "c": [None, True], "3": None}


def test_tables_align_and_escape():
    assert text_table(["a", "bb"], [["ccc", "d"]]).splitlines() == ["a    bb", "---  --", "ccc  d"]
    assert "&lt;x&gt;" in html_table(["<x>"], [["1"]])


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with replace_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_trajectories_and_comparisons_are_files(tmp_path):
    model = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.25])
    path = rt.simulate(model, [[0.3, 0.1], [1.0, 1.0]], steps=20)
    c = rt.compare(model, rt.to_continuous(model), [0.3, 0.1], steps=5, switching="state")
    with np.load(path.save(tmp_path / "path.npz")) as found:
        assert np.array_equal(found["states"], path.states)
        assert np.array_equal(found["switch_times.1"], path.switch_times[1])
        assert found["status"] == "completed"
    with np.load(c.save(tmp_path / "c.npz")) as found:
        assert np.array_equal(found["state_one_step_error"], c.one_step_error)
    table = np.genfromtxt(c.save(tmp_path / "c.csv"), delimiter=",", names=True)
    assert np.array_equal(table["state_orbit_error"], c.orbit_error)
    assert json.loads(c.save(tmp_path / "c.json").read_text()) == c.to_dict()
    with pytest.raises(ValueError, match=r"c\.txt.*is written as \.json, \.csv or \.npz"):
        c.save(tmp_path / "c.txt")
    assert len(list(tmp_path.iterdir())) == 4
