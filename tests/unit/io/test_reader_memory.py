"""Reading takes the memory of the arrays and at most as much again; HDF5 is read apart, and its end is an error about the file."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import retime as rt
from retime.io import read_arrays, reader_process

SIZE = 2**20


@pytest.fixture
def array(rng):
    return rng.normal(size=(SIZE // 1024, 1024))


def npz(path, array):
    np.savez(path, A=array, B=array[:2])


def compressed_npz(path, array):
    np.savez_compressed(path, A=array, B=array[:2])


def column_major_npz(path, array):
    np.savez(path, A=np.asfortranarray(array), B=array[:2])


def mat(path, array):
    import scipy.io

    scipy.io.savemat(path, {"A": array, "B": array[:2]})


def compressed_mat(path, array):
    import scipy.io

    scipy.io.savemat(path, {"A": array, "B": array[:2]}, do_compression=True)


def torch(path, array):
    module = pytest.importorskip("torch")
    module.save({"A": module.tensor(array), "B": module.tensor(array[:2])}, path)


def legacy_torch(path, array):
    module = pytest.importorskip("torch")
    content = {"A": module.tensor(array), "B": module.tensor(array[:2])}
    module.save(content, path, _use_new_zipfile_serialization=False)


def pickled(path, array):
    path.write_bytes(pickle.dumps({"A": array, "B": array[:2]}, protocol=5))


def pickled_early(path, array):
    path.write_bytes(pickle.dumps({"A": array, "B": array[:2]}, protocol=2))


def safetensors(path, array):
    from safetensors.numpy import save_file

    save_file({"A": array, "B": array[:2].copy()}, path)


def onnx(path, array):
    module = pytest.importorskip("onnx")
    tensor = module.numpy_helper.from_array(array, "A")
    graph = module.helper.make_graph([], "g", [], [], [tensor, module.numpy_helper.from_array(array[:2], "B")])
    path.write_bytes(module.helper.make_model(graph).SerializeToString())


WRITERS = {
    "net.npz": npz, "small.npz": compressed_npz, "columns.npz": column_major_npz, "net.mat": mat, "small.mat": compressed_mat,
    "net.pt": torch, "legacy.pt": legacy_torch, "net.pkl": pickled, "early.pkl": pickled_early, "net.safetensors": safetensors, "net.onnx": onnx,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_reader_holds_at_most_two_copies(name, array, tmp_path):
    WRITERS[name](tmp_path / name, array)
    rt.io.read_arrays(tmp_path / name)  # imports
    tracemalloc.start()
    try:
        arrays = read_arrays(tmp_path / name).arrays
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(arrays["A"], array)
    held = sum(x.nbytes for x in arrays.values())
    if name == "early.pkl":  # its bytes are written as text, half as long again, which is decoded and encoded
        held *= 2.5
    # ONNX's own objects are outside of the count; the decoders' buffers are a few 100 kB
    assert peak <= 2.1 * held + 2**20


def hdf5(path, value=1.0):
    import h5py

    with h5py.File(path, "w") as file:
        file["W"] = np.full((3, 3), value)
        file["W"].attrs["MATLAB_class"] = np.bytes_("double")
    return path


def test_hdf5_is_read_in_another_process_that_stays(tmp_path):
    np.testing.assert_array_equal(read_arrays(hdf5(tmp_path / "a.mat")).arrays["W"], np.ones((3, 3)))
    first = reader_process._state["process"]._popen.pid
    assert first != os.getpid()
    read_arrays(tmp_path / "a.mat")
    assert reader_process._state["process"]._popen.pid == first


@pytest.mark.skipif(not hasattr(signal, "SIGSEGV"), reason="no signals")
def test_the_end_of_that_process_is_an_error_about_the_file(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "a.mat")
    read_arrays(path)
    process = reader_process._state["process"]
    process._popen.send_signal(signal.SIGSTOP)  # it cannot answer before it ends
    process._popen.send_signal(signal.SIGSEGV)
    process._popen.send_signal(signal.SIGCONT)
    monkeypatch.setattr(type(process), "is_running", True)  # it ends while it reads
    with pytest.raises(
        rt.ModelFileError, match=r"a\.mat: expected a complete HDF5 file; found a damaged one, on which the HDF5"
    ):
        read_arrays(path)
    monkeypatch.undo()
    assert read_arrays(path).format == "mat-v7.3"


def test_a_process_that_ended_idle_is_started_again(tmp_path):
    path = hdf5(tmp_path / "a.mat")
    read_arrays(path)
    process = reader_process._state["process"]
    process._to.close()
    process._popen.wait()
    assert read_arrays(path).format == "mat-v7.3"


def test_where_no_other_process_can_start_hdf5_is_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", None)
    monkeypatch.setitem(reader_process._state, "process", None)
    np.testing.assert_array_equal(read_arrays(hdf5(tmp_path / "a.mat", 2.0)).arrays["W"], np.full((3, 3), 2.0))
    assert reader_process._state["process"] is None


def test_the_other_process_ends_with_this_one(tmp_path):
    path = hdf5(tmp_path / "a.mat")
    code = (
        "import sys; from retime.io import read_arrays, reader_process; read_arrays(sys.argv[1]); "
        "print(reader_process._state['process']._popen.pid)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_links_to_other_files_are_not_followed(tmp_path):
    import h5py

    hdf5(tmp_path / "secret.mat", 1234.5)
    with h5py.File(hdf5(tmp_path / "a.mat"), "a") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "secret.mat"), "/W")
    assert set(read_arrays(tmp_path / "a.mat").arrays) == {"W"}
