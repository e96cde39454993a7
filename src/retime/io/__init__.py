"""File <-> model: every supported weights file in, retime's own `.npz` out; PyTorch, Keras and python-control both ways."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays, read_arrays
from retime.io.control import from_control, to_control
from retime.io.export import KerasNetwork, KerasWeights, TorchWeights, to_keras, to_torch
from retime.io.families import recognize, start_of
from retime.io.named import ALIASES, INITIAL_STATES, Recognition
from retime.io.native import HEADER, save, unpack, with_dt

_log = logging.getLogger("retime")


def load(path: str | Path, *, dt: float | None = None, family: str | None = None, **options: Any) -> Any:
    """Read a network from a weights file.

    MATLAB `.mat` (v5, v7.3), PyTorch `.pt`/`.pth` state dicts, `.safetensors`, `.npz`, Keras `.h5/.hdf5/.keras`, Julia
    JLD2, ONNX, and retime's own `.npz`. Nothing in a file is executed. The family follows from the layers that a Keras or
    ONNX file names, else from the names and shapes of the arrays; the choice is printed through the logger "retime" (to
    stderr unless logging is configured), together with the other families that would fit. Several recurrent layers become
    a `StackedRNN`.

    Args:
        path: the file.
        dt: time of one step (model time) > 0; None takes `dt` from the file, else 1.
        family: one of `retime.models.FAMILIES`; None decides from the arrays. Given, nothing is printed but the arrays that
            were not read. With several recurrent layers it is the family of each.
        options: the family's own, e.g. `num_relu=2` for an almost-linear network, `alpha=0.1` for a leaky one; and `names`, which
            array is which argument where the file calls them otherwise: `names={"W_rec": "rnn.h2h.weight", "b": "b1 + b2"}`
            (`"name.T"` is the transpose).

    Returns:
        A model; for a file that `save` wrote whatever was saved, e.g. a `PiecewiseAffineFlow`.

    Raises:
        ModelFileError: the file is absent, damaged, of an unsupported kind, or does not hold what the family needs.
        ValueError: `dt` <= 0, an unknown family. TypeError: an option the family does not have, or one it needs is missing.
        MissingDependencyError: an ONNX file, and the `onnx` package is not installed.
    """
    model, recognition = load_recognized(path, dt=dt, family=family, **options)
    if recognition is not None and family is None:
        _log.warning(recognition.sentence(str(path)))
    elif recognition is not None and recognition.unread:
        _log.warning(f"{path}: read as {recognition.family}. Not read: {recognition.unread}.")
    if recognition is not None and recognition.doubt:
        _log.warning(f"{path}: {recognition.doubt}")
    return model


def load_recognized(
    path: str | Path, *, dt: float | None = None, family: str | None = None, **options: Any
) -> tuple[Any, Recognition | None]:
    """`load`, with the reason for the family (None for a file of retime's own) and without printing."""
    dt = None if dt is None else positive("dt", dt)
    file = read_arrays(path)
    if HEADER not in file.metadata:
        family = "alrnn" if family is None and "num_relu" in options else family  # only they have linear units
        return recognize(file, family, dt, options)
    model = unpack(file)
    if family not in (None, model.family) or options:
        raise ValueError(
            f"{path} is a retime file and says itself that it is {model.family}; drop `family` and options {options}."
        )
    return (model if dt is None else with_dt(model, dt, path)), None


def initial_states(path: str | Path) -> Array:
    """Initial states that a weights file carries `(k, n)` (`z0`, `mu0`, ..., cells of them included); k = 0 for none.

    They are rows; a matrix whose columns, and not rows, are as long as the network's state (MATLAB's way) is turned.

    Raises:
        ModelFileError: as for `load`; or they are not as long as the state.
    """
    return initial_states_of(read_arrays(path))


def initial_states_of(file: FileArrays, num_states: int | None = None) -> Array:
    """Initial states `(k, n)` among the arrays and cells of a file; k = 0 for none. `num_states` is n where it is known.

    Raises:
        ModelFileError: they are not as long as the state.
    """
    n = _length_of_state(file) if num_states is None else num_states
    own = start_of(file)
    if own is not None:
        return own[None]
    for name in INITIAL_STATES:
        for key, cells in file.cells.items():
            if _leaf(key) == name:
                return np.array([np.asarray(c, dtype=np.float64).reshape(-1) for c in cells])
        for key, array in file.arrays.items():
            if _leaf(key) == name and array.size:
                return _rows(file, key, np.asarray(array, dtype=np.float64), n)
    return np.zeros((0, 0))


def _leaf(name: str) -> str:
    return name.replace("/", ".").rpartition(".")[2]


def _length_of_state(file: FileArrays) -> int | None:
    """n by the arrays, before a model is made of them; None where they do not say."""
    sizes = [x.size for name, x in file.arrays.items() if _leaf(name) in ("h", "h1") and x.size]
    square = [len(x) for name, x in file.arrays.items() if _leaf(name) in ("A", "W_rec") and x.ndim == 2]
    return next(iter([*sizes, *square]), None)


def _rows(file: FileArrays, name: str, array: Array, n: int | None) -> Array:
    if array.ndim < 2 or (array.shape[1] == 1 and n in (None, len(array))):
        array = array.reshape(1, -1)
    if array.ndim == 2 and n is not None and array.shape[1] != n == len(array):
        array = array.T.copy()
    if array.ndim != 2 or (n is not None and array.shape[1] != n):
        raise ModelFileError(
            f"{file.path}: `{name}` has shape {file.arrays[name].shape}; initial states must be rows (or columns) of {n or 'n'} numbers, one "
            "per state. Rename it if it is something else."
        )
    return array


__all__ = [
    "ALIASES",
    "FileArrays",
    "KerasNetwork",
    "KerasWeights",
    "Recognition",
    "TorchWeights",
    "from_control",
    "initial_states",
    "load",
    "read_arrays",
    "save",
    "to_control",
    "to_keras",
    "to_torch",
]
