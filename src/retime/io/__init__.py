"""File <-> model: every supported weights file in, retime's own `.npz` out; python-control both ways."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array, positive
from retime.core.errors import ModelFileError
from retime.core.system import System
from retime.core.time import Discrete
from retime.io.arrays import FileArrays, read_arrays
from retime.io.control import from_control, to_control
from retime.io.families import ALIASES, INITIAL_STATES, Recognition, recognize
from retime.io.native import HEADER, save, unpack

_log = logging.getLogger("retime")


def load(path: str | Path, *, dt: float | None = None, family: str | None = None, **options: Any) -> Any:
    """Read a network from a weights file.

    MATLAB `.mat` (v5, v7.3), PyTorch `.pt`/`.pth` state dicts, `.safetensors`, `.npz`, Keras `.h5/.hdf5/.keras`, Julia
    JLD2, and retime's own `.npz`. Nothing in a file is executed. The family follows from the names and shapes of the
    arrays; the choice is printed through the logger "retime" (to stderr unless logging is configured), together with the
    other families that would fit.

    Args:
        path: the file.
        dt: time of one step (model time) > 0; None takes `dt` from the file, else 1.
        family: one of `retime.models.FAMILIES`; None decides from the arrays. Printing is then omitted.
        options: the family's own, e.g. `num_relu=2` for an almost-linear network, `clipped=True`.

    Returns:
        A model; a `PiecewiseAffineFlow` for a converted flow that `save` wrote.

    Raises:
        ModelFileError: the file is absent, damaged, of an unsupported kind, or does not hold what the family needs.
        ValueError: `dt` <= 0, an unknown family. TypeError: an option the family does not have.
    """
    model, recognition = load_recognized(path, dt=dt, family=family, **options)
    if recognition is not None and family is None:
        _log.warning(recognition.sentence(str(path)))
    return model


def load_recognized(
    path: str | Path, *, dt: float | None = None, family: str | None = None, **options: Any
) -> tuple[Any, Recognition | None]:
    """`load`, with the reason for the family (None for a file of retime's own) and without printing."""
    dt = None if dt is None else positive("dt", dt)
    file = read_arrays(path)
    if HEADER not in file.metadata:
        return recognize(file, family, dt, options)
    model, header = unpack(file)
    if family not in (None, model.family) or options:
        raise ValueError(
            f"{path} is a retime file and says itself that it is {model.family}; drop `family` and options {options}."
        )
    if dt is not None:
        model = _with_dt(model, dt, path)
    return (_flow(model, header) if "flow" in header else model), None


def initial_states(path: str | Path) -> Array:
    """Initial states that a weights file carries `(k, n)` (`z0`, `mu0`, ..., cells of them included); k = 0 for none.

    Raises:
        ModelFileError: as for `load`.
    """
    return initial_states_of(read_arrays(path))


def initial_states_of(file: FileArrays) -> Array:
    """Initial states `(k, n)` among the arrays and cells of a file; k = 0 for none."""
    for name in INITIAL_STATES:
        if name in file.cells:
            return np.array([np.asarray(c, dtype=np.float64).reshape(-1) for c in file.cells[name]])
        if name in file.arrays and file.arrays[name].size:
            array = np.asarray(file.arrays[name], dtype=np.float64)
            return array.reshape(1, -1) if array.ndim < 2 or array.shape[1] == 1 else array
    return np.zeros((0, 0))


def _with_dt(model: System, dt: float, path: Any) -> System:
    from dataclasses import replace

    if not isinstance(model.time, Discrete):
        raise ModelFileError(f"{path}: the model is in continuous time; drop `dt`.")
    return replace(model, time=Discrete(dt))


def _flow(model: Any, header: dict[str, Any]) -> Any:
    from retime.models.flow import PiecewiseAffineFlow, method_named

    try:
        method = method_named(header["flow"], header["method"])
    except (KeyError, TypeError):
        raise ModelFileError(
            f"The flow was made by the method {header['flow']!r}, which this version does not have."
        ) from None
    return PiecewiseAffineFlow(model, method, bool(header["throw"]))


__all__ = [
    "ALIASES",
    "FileArrays",
    "Recognition",
    "from_control",
    "initial_states",
    "load",
    "read_arrays",
    "save",
    "to_control",
]
