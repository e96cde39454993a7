"""The process that reads HDF5 is replaced when its own memory has grown, and by nothing else."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from retime.io import reader_process


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as stream:
        stream["A"] = np.ones((2, 2))
        stream["A"].attrs["MATLAB_class"] = np.bytes_("double")
    return tmp_path / "a.mat"


def test_a_process_that_has_grown_ends_after_its_answer(file):
    code = "from retime.io import formats, reader_process as r; r.SWOLLEN = 0; r.serve(formats.read_here)"
    questions = (json.dumps(str(file)) + "\n").encode() * 2
    done = subprocess.run([sys.executable, "-c", code], input=questions, capture_output=True)
    assert done.returncode == 0
    assert done.stdout.count(b'"mat-v7.3"') == 1


@pytest.mark.slow
def test_a_process_stays_however_large_its_parent_is(file, monkeypatch):
    monkeypatch.setitem(reader_process._state, "process", None)
    large = np.ones(2 * reader_process.SWOLLEN // 8)
    pids = []
    for _ in range(2):
        reader_process.read_apart(file)
        pids.append(reader_process._state["process"]._popen.pid)
    assert pids[0] == pids[1]
    assert large[-1] == 1.0
