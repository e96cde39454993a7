"""retime's own file: an `.npz` of arrays with a JSON header; written to a temporary name, then renamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.files import replace_atomically
from retime.core.system import Readout, System
from retime.core.time import Continuous, Discrete
from retime.io.arrays import FileArrays
from retime.models import FAMILIES, PiecewiseAffineFlow

VERSION = 1
HEADER = "retime"


def save(model: System, path: str | Path) -> Path:
    """Write a model to `path`, bit for bit.

    The file is a NumPy `.npz`: one float64 array per parameter, and `retime`, a JSON header with the format's version,
    family, time base and options. A converted flow is stored as its map plus the regions converted up to now
    (`regions.patterns`, `.W`, `.h`, `.E` padded with zeros to the largest number of auxiliary states, `.auxiliary`,
    `.status`, `.residual`), for use elsewhere; loading converts again, on demand.

    Args:
        model: any retime model or converted flow.
        path: where to; ".npz" is appended when it has no suffix.

    Returns:
        the path written.

    Raises:
        ValueError: another suffix. TypeError: not a model. OSError: the folder cannot be written; an existing file is
        left as it was.
    """
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".npz")
    if path.suffix != ".npz":
        raise ValueError(f"`path` is {str(path)!r}; retime writes .npz files. Use the suffix .npz, or none.")
    if isinstance(model, PiecewiseAffineFlow):
        header, arrays = _pack(model.map)
        header |= {"flow": type(model.method).__name__, "method": asdict(model.method), "throw": model.throw}
        arrays |= _regions(model)
    elif isinstance(model, System) and model.family in FAMILIES:
        header, arrays = _pack(model)
    else:
        raise TypeError(f"`model` is {type(model).__name__}; save writes retime models and converted flows.")
    text = np.array(json.dumps(header))
    with replace_atomically(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{HEADER: text}, **arrays)
    return path


def _pack(model: System) -> tuple[dict[str, Any], dict[str, Array]]:
    time = {"dt": model.time.dt} if isinstance(model.time, Discrete) else {"continuous": True}
    header: dict[str, Any] = {"version": VERSION, "family": model.family, "time": time, "options": {}}
    arrays: dict[str, Array] = {}
    for f in fields(model):
        value = getattr(model, f.name)
        if isinstance(value, np.ndarray):
            arrays[f.name] = value
        elif isinstance(value, Readout):
            arrays["readout_B"], arrays["readout_b"] = value
        elif f.name != "time" and value is not None:
            header["options"][f.name] = value
    return header, arrays


def _regions(flow: PiecewiseAffineFlow) -> dict[str, Array]:
    found = flow.converted
    if not found:
        return {}
    flows, n = list(found.values()), flow.num_states
    N = n + max(r.auxiliary for r in flows)
    W, h, E = np.zeros((len(flows), N, N)), np.zeros((len(flows), N)), np.zeros((len(flows), N, flow.num_inputs))
    for k, r in enumerate(flows):
        size = len(r.h)
        W[k, :size, :size], h[k, :size], E[k, :size] = r.W, r.h, r.E
    patterns = np.array([np.frombuffer(key, dtype=bool) for key in found]).reshape(len(flows), -1)
    return {
        "regions.patterns": patterns,
        "regions.W": W,
        "regions.h": h,
        "regions.E": E,
        "regions.auxiliary": np.array([r.auxiliary for r in flows]),
        "regions.status": np.array([str(r.status) for r in flows]),
        "regions.residual": np.array([r.residual for r in flows]),
    }


def unpack(file: FileArrays) -> tuple[System, dict[str, Any]]:
    """The model in a file that `save` wrote, and its header.

    Raises:
        ModelFileError: the header is not readable, from a later version, or does not fit the arrays.
    """
    try:
        header = json.loads(file.metadata[HEADER])
        if header["version"] > VERSION:
            raise ModelFileError(
                f"{file.path}: written by a later retime (format {header['version']}, known {VERSION}); upgrade retime."
            )
        cls, time = FAMILIES[header["family"]], header["time"]
        base = Continuous() if "continuous" in time else Discrete(time["dt"])
        return cls(**_parameters(cls, file.arrays), time=base, **header["options"]), header
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{file.path}: the retime header and the arrays do not describe a model ({error}). Save it again."
        ) from error


def _parameters(cls: Any, arrays: Mapping[str, Array]) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    parameters: dict[str, Any] = {k: v for k, v in arrays.items() if k in names}
    if "readout_B" in arrays:
        parameters["readout"] = (arrays["readout_B"], arrays["readout_b"])
    return parameters
