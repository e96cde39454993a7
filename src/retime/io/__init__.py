"""File <-> model: every supported weights file in, retime's own `.npz` out; PyTorch, Keras and python-control both ways."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.errors import ModelFileError
from retime.core.notice import notify
from retime.io.arrays import FileArrays
from retime.io.check import agrees, check_of, other_readings
from retime.io.export import KerasNetwork, KerasWeights, TorchWeights, to_keras, to_torch
from retime.io.families import recognize, start_of
from retime.io.formats import read_arrays
from retime.io.linear_forms import from_control, to_control
from retime.io.named import ALIASES, INITIAL_STATES, Recognition, leaf
from retime.io.native import HEADER, save, unpack, with_dt
from retime.io.objects import arrays_of
from retime.io.selection import renamed, under, without_rates


def load(
    path: Any,
    *,
    dt: float | None = None,
    family: str | None = None,
    prefix: str | None = None,
    names: Mapping[str, str] | None = None,
    check: tuple[Any, Any] | None = None,
    **options: Any,
) -> Any:
    """Read a network from a weights file, or from an object in memory.

    Files: MATLAB `.mat` (v5, v7.3), PyTorch `.pt`/`.pth` (state dicts, checkpoints, whole modules), `.safetensors`, `.npz`, pickles
    of NumPy arrays, Keras `.h5/.hdf5/.keras`, Julia JLD2, ONNX, and retime's own `.npz`. Nothing in a file is executed.
    "zoo:NAME" is a network that ships with retime, as on the command line.
    Objects: a PyTorch module or state dict, a Keras model or layer, a dictionary of arrays or tensors such as `{"W_rec": ...,
    "W_in": ..., "b": ...}`; they are recognized as files are, copied and not changed.

    The family follows from the layers that a Keras or ONNX file or a PyTorch module names, else from the names and shapes of the
    arrays; the choice is printed through the logger "retime" (one line per file and process, on stderr or in a notebook's output,
    unless logging is configured), together with the other families that would fit. Several recurrent layers become a `StackedRNN`.

    Args:
        path: the file, or the object.
        dt: time of one step (model time) > 0; None takes `dt` from the file, else 1.
        family: one of `retime.models.FAMILIES`; None decides from the arrays. Given, nothing is printed but the arrays that
            were not read. With several recurrent layers it is the family of each.
        prefix: of the names of the network's arrays, where a file holds several (`"ema"`, `"model.encoder"`).
        names: which array is which argument of the family's constructor, where the file calls them otherwise: `{"W_rec":
            "rnn.h2h.weight", "W_in": "drive.T", "b": "b1 + b2"}` (`@` multiplies); `B` and `readout_b` are the readout, `z0` an initial state.
        check: (inputs, outputs) of the network: inputs `(T, m)`, `(batch, T, m)` or None; outputs `(T, p)`, `(batch, T, p)`, or
            without the axis of steps for those after the last one. They are what the readout, the last layer or the state
            gives from zeros, or from the file's initial state. The model is run, and refused where it differs by more than 1e-4
            of the largest output; the error says what else agrees.
        options: the family's own, e.g. `num_relu=2` for an almost-linear network, `alpha=0.1` for a leaky one.

    Returns:
        A model; for a file that `save` wrote whatever was saved, e.g. a `PiecewiseAffineFlow`.

    Raises:
        ModelFileError: the file is absent, damaged, of an unsupported kind, does not hold what the family needs, or is not the
            network of `check`.
        ValueError: `dt` <= 0, an unknown family or zoo network, shapes of `check`. TypeError: an object of another kind, an option
            the family does not have, or one it needs is missing.
        MissingDependencyError: an ONNX file, and the `onnx` package is not installed.

    Examples:
        >>> import retime as rt
        >>> rt.load({"A": [0.9, 0.8], "W": [[0.0, -0.6], [0.7, 0.0]], "h": [0.5, -0.3]}, family="plrnn", dt=0.1)
        PLRNN(2 states, 2 ReLU units, Discrete(dt=0.1))
    """
    if isinstance(path, str) and path.startswith("zoo:"):
        return _shipped(path, {"dt": dt, "family": family, "prefix": prefix, "names": names, "check": check, **options})
    model, recognition = load_recognized(path, dt=dt, family=family, prefix=prefix, names=names, check=check, **options)
    if recognition is None:
        return model
    name = str(path) if isinstance(path, (str, os.PathLike)) else type(path).__name__
    said = recognition.sentence(name) if family is None else ""
    if family is not None and recognition.unread:
        said = f"{name}: read as {recognition.family}. Not read: {recognition.unread}."
    notify(" ".join(filter(None, (said or (f"{name}:" if recognition.doubt else ""), recognition.doubt))), path)
    return model


def load_recognized(
    path: Any,
    *,
    dt: float | None = None,
    family: str | None = None,
    prefix: str | None = None,
    names: Mapping[str, str] | None = None,
    check: tuple[Any, Any] | None = None,
    **options: Any,
) -> tuple[Any, Recognition | None]:
    """`load`, with the reason for the family (None for a file of retime's own) and without printing."""
    dt = None if dt is None else positive("dt", dt)
    file = _arrays(path)
    file = file if prefix is None else under(file, prefix)
    if HEADER in file.metadata:
        model = unpack(file)
        if family not in (None, model.family) or options or names is not None:
            raise ValueError(
                f"{path} is a retime file and says itself that it is {model.family}; drop `family`, `names` and options {options}."
            )
        model = model if dt is None else with_dt(model, dt, path)
        if check is not None:
            agrees(check_of(check, model, np.zeros((0, 0))), model, str(path), ())
        return model, None
    family = "alrnn" if family is None and "num_relu" in options else family  # only they have linear units
    if names is not None:
        file, rates = renamed(file, names, family)
        options = rates | options
    file = file if family is None else without_rates(file, options)
    with np.errstate(invalid="ignore"):  # in casts of NaN, which the model refuses with its place
        model, recognition = recognize(file, family, dt, options)
    recognition = replace(recognition, notes=(*recognition.notes, *file.remarks))
    return model, recognition if check is None else _checked(file, model, recognition, check, dt, options)


def _shipped(path: str, given: dict[str, Any]) -> Any:
    from retime import zoo

    if told := [k for k, v in given.items() if v is not None]:
        raise ValueError(f"A zoo network is what it is; drop {', '.join(f'`{k}`' for k in told)}.")
    return zoo.load(path.removeprefix("zoo:"))


def _arrays(source: Any) -> FileArrays:
    return read_arrays(Path(source)) if isinstance(source, (str, os.PathLike)) else arrays_of(source)


def _checked(
    file: FileArrays, model: Any, recognition: Recognition, check: Any, dt: float | None, options: dict[str, Any]
) -> Recognition:
    """The recognition, with what known outputs say about it."""
    others = []
    for words, family, own in other_readings(model):
        if own is None or (family, own) != (model.family, options):
            chosen = options if own is None else own
            others.append((words, lambda f=family, o=chosen: recognize(file, f, dt, dict(o))[0]))
    known = " ".join([*recognition.notes, *([f"Not read: {recognition.unread}."] if recognition.unread else [])])
    checks = check_of(check, model, initial_states_of(file, model.num_states), known)
    note, is_only = agrees(checks, model, str(file.path), others, known)
    if not is_only:
        return replace(recognition, notes=(*recognition.notes, note))
    notes = (x for x in recognition.notes if "does not name its nonlinearity" not in x)  # the check decided
    return replace(recognition, others=(), notes=(*notes, note))


def initial_states(path: Any, names: Mapping[str, str] | None = None) -> Array:
    """Initial states that a weights file, or an object in memory, carries `(k, n)` (`z0`, `mu0`, ..., cells of them included); k = 0 for none.

    `names` as for `load`. They are rows; a matrix whose columns, and not rows, are as long as the network's state (MATLAB's way) is turned.

    Raises:
        ModelFileError: as for `load`; or they are not as long as the state.
    """
    file = _arrays(path)
    return initial_states_of(file if names is None else renamed(file, names, None)[0])


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
            if leaf(key) == name:
                return np.array([np.asarray(c, dtype=np.float64).reshape(-1) for c in cells])
        for key, array in file.arrays.items():
            if leaf(key) == name and array.size:
                return _rows(file, key, np.asarray(array, dtype=np.float64), n)
    return np.zeros((0, 0))


def _length_of_state(file: FileArrays) -> int | None:
    """n by the arrays, before a model is made of them; None where they do not say."""
    sizes = [x.size for name, x in file.arrays.items() if leaf(name) in ("h", "h1") and x.size]
    square = [len(x) for name, x in file.arrays.items() if leaf(name) in ("A", "W_rec") and x.ndim == 2]
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
