"""From a weights file to named arrays: which reader it is for, by its content; and what is said of files that none is for.

`read_arrays` looks at the bytes, not at the suffix, and no reader executes anything that a file holds. A reader, `read_*`, takes the path of
an existing file and returns a `FileArrays` of its format (Keras with `layers` in network order and arrays named "layer.weight", ONNX with the
`graph`); what is wrong with the file is a `ModelFileError`.
"""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Callable
from pathlib import Path

from retime.core.errors import ModelFileError
from retime.io.arrays import SUPPORTED, FileArrays, reading, refusal


def read_arrays(path: str | Path) -> FileArrays:
    """Read the named arrays of a weights file of any supported format.

    Args:
        path: a MATLAB (v5, v7.3), PyTorch (zip), safetensors, NumPy `.npz`, Keras (HDF5, `.keras`), ONNX or JLD2 file; the
            content decides which.

    Returns:
        A `FileArrays`.

    Raises:
        ModelFileError: the file is absent, empty, damaged, of another kind, or holds what retime refuses to read
            (code, complex or sparse arrays, objects).
        MissingDependencyError: an ONNX file, and the `onnx` package is not installed.

    Cost: one pass over the file; the arrays are held in memory once.
    """
    path = _existing_file(Path(path))
    with reading(path, "readable weights file"):
        is_apart = _holds_hdf5(path, _head_of(path))
    if is_apart:
        from retime.io.reader_process import read_apart

        return read_apart(path) or read_here(path)
    return read_here(path)


def read_here(path: Path) -> FileArrays:
    """`read_arrays` of an existing file in this process, whatever library that asks."""
    with reading(path, "readable weights file"):
        head = _head_of(path)
    return _reader_of_content(path, head)(path)


def _holds_hdf5(path: Path, head: bytes) -> bool:
    """Whether the HDF5 library would be asked to read a part of the file."""
    if head.startswith(b"PK"):
        with reading(path, "zip archive (PyTorch, NumPy or Keras)"), zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    return head.startswith((b"MATLAB 7.3", b"HDF5-based", _HDF5[:4])) or head[512:520] == _HDF5


def _existing_file(path: Path) -> Path:
    """The path, if it is that of a file with content.

    Raises:
        ModelFileError: it is not.
    """
    expected = "a weights file"
    if path.is_dir():
        raise refusal(path, expected=expected, found="a directory", remedy="Name the file inside it.")
    if not path.exists():
        remedy = f"Check the path{_similar_name(path)}."
        raise refusal(path, expected=expected, found="no such file", remedy=remedy)
    if not path.is_file():
        raise refusal(path, expected=expected, found="a device or a pipe", remedy="Write it to a file first.")
    if path.stat().st_size == 0:
        raise refusal(path, expected=expected, found="an empty file (0 bytes)", remedy="Copy or save it again.")
    return path


def _similar_name(path: Path) -> str:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; the folder holds {close[0]}" if close else ""


def _head_of(path: Path) -> bytes:
    """The first bytes of a file, enough to tell what it is."""
    with path.open("rb") as file:
        return file.read(1024)


_HDF5 = b"\x89HDF\r\n\x1a\n"

_SAVE_TORCH = "Load it in a current PyTorch and run torch.save(model.state_dict(), path)."

_EXPECTED = f"one of the supported formats ({SUPPORTED})"

_REFUSED_STARTS = (
    (b"\x93NUMPY", "a NumPy .npy file, one array without a name", "Save named arrays with numpy.savez."),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Run git lfs pull."),
    (b"<", "a web page or XML", "Download the raw file."),
)


def _reader_of_content(path: Path, head: bytes) -> Callable[[Path], FileArrays]:
    from retime.io import jld2, mat, onnx, safetensors, torch_legacy

    if torch_legacy.is_legacy(head):
        return torch_legacy.read_torch_legacy
    if torch_legacy.is_pickle(head, path.suffix):
        return torch_legacy.read_pickle
    if head.startswith(b"PK"):
        return _reader_of_zip(path)
    if head.startswith(b"MATLAB 7.3"):
        return mat.read_mat_v73
    if head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI"):
        return mat.read_mat_v5
    if head.startswith(b"HDF5-based"):
        return jld2.read_jld2
    if head.startswith(_HDF5[:4]) or head[512:520] == _HDF5:
        return _reader_of_hdf5(path)
    if path.suffix == ".pb":
        found, remedy = (
            "a TensorFlow graph (SavedModel), which is a program",
            "Load it in Keras and run model.save('model.keras').",
        )
        raise refusal(path, expected=_EXPECTED, found=found, remedy=remedy)
    if _is_onnx(path, head):
        return onnx.read_onnx
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return safetensors.read_safetensors
    raise _unsupported(path, head)


def _is_onnx(path: Path, head: bytes) -> bool:
    """ONNX has no signature: a file starts with its version (field 1, below 128), then another field of a model."""
    starts_so = len(head) > 2 and head[0] == 0x08 and head[1] < 0x80 and head[2] in _ONNX_FIELDS
    return starts_so and (path.suffix == ".onnx" or head[8:9] != b"{")


_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)


def _unsupported(path: Path, head: bytes) -> ModelFileError:
    for start, found, remedy in _REFUSED_STARTS:
        if head.startswith(start):
            return refusal(path, expected=_EXPECTED, found=found, remedy=remedy)
    if path.suffix == ".bson" or head[4:8] in (b"\x03mod", b"\x03_ba"):
        found, remedy = (
            "a BSON file (Julia's BSON.jl), which may hold code",
            "In Julia: using JLD2; jldsave(path; A=..., W=..., h=...).",
        )
        return refusal(path, expected=_EXPECTED, found=found, remedy=remedy)
    if head[257:262] == b"ustar":
        return refusal(path, expected=_EXPECTED, found="a tar archive (PyTorch before 0.1.10)", remedy=_SAVE_TORCH)
    found = f"unknown content that starts with {head[:8]!r}, under the suffix {path.suffix or '(none)'}"
    remedy = "If it is a MATLAB v4 or text file, save it with -v7; else export the weights to one of these."
    return refusal(path, expected=_EXPECTED, found=found, remedy=remedy)


def _reader_of_zip(path: Path) -> Callable[[Path], FileArrays]:
    from retime.io import archive, keras, torch

    with reading(path, "zip archive (PyTorch, NumPy or Keras)"), zipfile.ZipFile(path) as file:
        names = file.namelist()
    if any(name.rpartition("/")[2] in ("data.pkl", "constants.pkl") for name in names):
        return torch.read_torch
    if "config.json" in names:
        return keras.read_keras_v3
    if any(name.endswith(".npy") for name in names):
        return archive.read_npz
    raise refusal(
        path,
        expected="a zip archive written by PyTorch, NumPy or Keras",
        found=f"one with {len(names)} members, the first {names[:3]}",
        remedy="If it contains the weights file, unzip it and name that file.",
    )


def _reader_of_hdf5(path: Path) -> Callable[[Path], FileArrays]:
    from retime.io import jld2, keras, mat
    from retime.io.hdf5 import children, open_hdf5

    with reading(path, "HDF5 file"), open_hdf5(path) as file:
        if "model_config" in file.attrs or "layer_names" in file.attrs or "layers" in file:
            return keras.read_keras_h5
        if any("MATLAB_class" in child.attrs for _, child in children(file)):
            return mat.read_mat_v73
        names = list(file)
    if path.suffix == ".jld2":
        return jld2.read_jld2
    raise refusal(
        path,
        expected="an HDF5 file written by Keras, MATLAB or JLD2",
        found=f"a plain one with the members {names[:5]}, which does not say whether rows or columns come first",
        remedy="Save the arrays with numpy.savez.",
    )
