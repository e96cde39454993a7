"""The process that reads HDF5: it is replaced when its memory has grown."""

import h5py
import numpy as np
import pytest

from retime.io import reader_process


@pytest.mark.slow
def test_a_process_that_has_grown_is_replaced(tmp_path):
    small, large = np.zeros((2, 2)), np.zeros((2000, 40_000))  # 640 MB, twice while it is sent
    for name, array in (("small", small), ("large", large)):
        with h5py.File(tmp_path / f"{name}.mat", "w") as file:
            file["A"] = array
            file["A"].attrs["MATLAB_class"] = np.bytes_("double")
    pids = []
    for name in ("small", "large", "small", "small"):
        found = reader_process.read_apart(tmp_path / f"{name}.mat")
        assert found.arrays["A"].size in (small.size, large.size)
        pids.append(reader_process._state["process"]._popen.pid)
    assert pids[0] == pids[1]
    assert pids[1] != pids[2] == pids[3]
