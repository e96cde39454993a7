"""retime's own file: an `.npz` of arrays with a JSON header; written to a temporary name, then renamed.

The header is a tree: a model of models (a stack, a derived system, a converted flow) holds one entry for each, and the
arrays of an inner model have its place in front of their names (`layers.0.W_rec`, `map.A`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from retime.convert.ode_rnn import ODERNN
from retime.core.arrays import Array
from retime.core.conversion import Conversion
from retime.core.errors import ModelFileError
from retime.core.files import replace_atomically
from retime.core.low_rank import LowRank
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import Continuous, Discrete
from retime.io.arrays import FileArrays
from retime.models import FAMILIES, DerivedSystem, Map, PiecewiseAffineFlow, RegionwiseMap, StackedRNN, VectorField
from retime.models.regionwise import OwnRegions

VERSION = 3
HEADER = "retime"

_CLASSES: Mapping[str, Any] = FAMILIES | {
    c.family: c for c in (DerivedSystem, PiecewiseAffineFlow, RegionwiseMap, ODERNN)
}


@cache
def methods() -> dict[str, Any]:
    """The methods that a saved model may name, by class name; enter a class of your own to save what it made, and to load that."""
    from retime import convert as c
    from retime.convert.holds import Resampled
    from retime.convert.rescale import Stretch

    holds = (c.ZeroOrderHold, c.FirstOrderHold, c.ImpulseInvariant, c.MatchedPoles, Resampled)
    steps = (
        c.PartitionedEuler,
        c.Euler,
        c.GeneralizedBilinear,
        c.Tustin,
        c.RungeKutta,
        c.AdamsBashforth,
        c.ExponentialEuler,
    )
    return {x.__name__: x for x in (c.MatrixLog, c.EulerField, c.FormalLog, Stretch, OwnRegions, *holds, *steps)}


_TAKEN = {"flow": ("readout",), "regionwise": ("readout",)}  # these take it from the model inside
_DEPTH = 50  # models inside models; far above what operations make


def save(model: System, path: str | Path) -> Path:
    """Write a model to `path`, bit for bit.

    The file is a NumPy `.npz`: one float64 array per parameter, and `retime`, a JSON header with the format's version,
    family, time base and options. A model made of others (a stack, a system that a method derived, a converted flow) is
    stored with them and its method. With a converted flow go the regions converted up to now (`regions.patterns`, `.W`,
    `.h`, `.E` padded with zeros to the largest number of auxiliary states, `.auxiliary`, `.status`, `.residual`), for use
    elsewhere; loading converts again, on demand.

    Args:
        model: any retime model or converted flow, or a conversion, whose model is written without its certificate.
        path: where to; ".npz" is appended when it has no suffix.

    Returns:
        the path written.

    Raises:
        ValueError: another suffix. TypeError: not a model, or one that holds a Python function, which no file can store.
        OSError: the folder cannot be written; an existing file is left as it was.

    Examples:
        >>> import os, tempfile, retime as rt
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "tent.npz")
        ...     _ = rt.save(rt.PLRNN([1.9], [[-3.8]], [0.9]), path)
        ...     rt.load(path)
        PLRNN(1 states, 1 ReLU units, Discrete(dt=1.0))
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` is {path!r}; save takes the name of a file.")
    model, path = model.model if isinstance(model, Conversion) else model, Path(path)
    path = path if path.suffix else path.with_suffix(".npz")
    if path.suffix != ".npz":
        raise ValueError(f"`path` is {str(path)!r}; retime writes .npz files. Use the suffix .npz, or none.")
    arrays: dict[str, Array] = {}
    header = {"version": VERSION} | _pack(model, "", arrays)
    text = np.array(json.dumps(header))
    with replace_atomically(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{HEADER: text}, **arrays)
    return path


# Model -> header and arrays.


def _pack(model: Any, place: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The header's entry for a model whose arrays go under `place`; they are added to `arrays`."""
    _check_storable(model, place)
    time = {"dt": model.time.dt} if isinstance(model.time, Discrete) else {"continuous": True}
    entry: dict[str, Any] = {"family": model.family, "time": time, "options": {}, "models": {}}
    for f in fields(model):
        value = getattr(model, f.name)
        if not f.init or f.name in ("time", *_TAKEN.get(model.family, ())):
            continue
        if isinstance(value, np.ndarray):
            arrays[place + f.name] = value
        elif isinstance(value, Readout):
            entry["readout"] = _pack_readout(value, place, arrays)
        elif isinstance(value, LowRank):
            arrays[f"{place}{f.name}.left"], arrays[f"{place}{f.name}.right"] = value.left, value.right
        elif isinstance(value, System):
            entry["models"][f.name] = _pack(value, f"{place}{f.name}.", arrays)
        elif isinstance(value, tuple) and value and isinstance(value[0], System):
            inner = enumerate(value)
            entry["models"][f.name] = [_pack(x, f"{place}{f.name}.{k}.", arrays) for k, x in inner]
        else:
            entry["options"][f.name] = _pack_option(value, f"{type(model).__name__}.{f.name}")
    if isinstance(model, PiecewiseAffineFlow):
        arrays |= {f"{place}{name}": array for name, array in _regions(model).items()}
    return entry


def _pack_readout(readout: Readout, place: str, arrays: dict[str, Array]) -> dict[str, str]:
    """The readout's functions; its arrays are added to `arrays`."""
    arrays[f"{place}readout_B"], arrays[f"{place}readout_b"] = readout.B, readout.b
    if readout.threshold is not None:
        arrays[f"{place}readout_threshold"] = readout.threshold
    return {"activation": readout.activation, "rate": readout.rate}


def _check_storable(model: Any, place: str) -> None:
    if isinstance(model, (Map, VectorField)):
        raise TypeError(_function_message(f"{type(model).__name__}.f"))
    if not isinstance(model, System) or _CLASSES.get(getattr(model, "family", "")) is not type(model):
        name = "model" if not place else place.rstrip(".")
        raise TypeError(
            f"`{name}` is {type(model).__name__}; save writes retime models and converted flows. For another class, save its "
            "parameters with numpy.savez and build it again."
        )


def _function_message(where: str) -> str:
    return (
        f"`{where}` is a Python function, which a file cannot store (nothing in a file is executed). Save the parameters of the "
        "function with numpy.savez and build the model again after loading them."
    )


def _pack_option(value: Any, where: str) -> Any:
    """A plain value, a tuple of them, an array, or a method object as JSON.

    Raises:
        TypeError: it is a function, or an object that no name stands for.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "shape": list(value.shape)}
    if isinstance(value, (tuple, list)):
        return [_pack_option(x, where) for x in value]
    if is_dataclass(value) and methods().get(type(value).__name__) is type(value):
        return _pack_object(value, where)
    if callable(value):
        raise TypeError(_function_message(where))
    raise TypeError(
        f"`{where}` is {value!r}, an object that a file has no name for. Methods are stored when their class is entered in "
        "`retime.io.native.methods()`."
    )


def _pack_object(value: Any, where: str) -> dict[str, Any]:
    """A method, or a part of one whose class its annotations name (a tableau), with its fields."""
    parts, options = _parts(type(value)), {}
    for f in fields(value):
        if f.init:
            x, inside = getattr(value, f.name), f"{where}.{f.name}"
            options[f.name] = _pack_object(x, inside) if type(x) is parts.get(f.name) else _pack_option(x, inside)
    return {"type": type(value).__name__, "options": options}


def _parts(cls: Any) -> dict[str, Any]:
    """Fields of a dataclass that are annotated with a dataclass."""
    return {name: hint for name, hint in get_type_hints(cls).items() if isinstance(hint, type) and is_dataclass(hint)}


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


# Header and arrays -> model.


def unpack(file: FileArrays) -> System:
    """The model in a file that `save` wrote.

    Raises:
        ModelFileError: the header is not readable, from a later version, names a method that this version does not have,
            or does not fit the arrays.
    """
    try:
        header = json.loads(file.metadata[HEADER])
        if header["version"] > VERSION:
            raise ModelFileError(
                f"{file.path}: written by a later retime (format {header['version']}, known {VERSION}); upgrade retime."
            )
        model = _model(header, file.arrays, "", _DEPTH)
        return _flow_of_version_1(model, header) if "flow" in header else model
    except ModelFileError as error:
        raise error if str(error).startswith(str(file.path)) else ModelFileError(f"{file.path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelFileError(
            f"{file.path}: the retime header and the arrays do not describe a model ({error}). Save it again."
        ) from error


def _model(entry: Mapping[str, Any], arrays: Mapping[str, Array], place: str, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"more than {_DEPTH} models inside each other")
    cls, time = _CLASSES[entry["family"]], entry["time"]
    parameters: dict[str, Any] = {f.name: arrays[place + f.name] for f in fields(cls) if place + f.name in arrays}
    for name in (f.name for f in fields(cls) if f"{place}{f.name}.left" in arrays):
        parameters[name] = LowRank(arrays[f"{place}{name}.left"], arrays[f"{place}{name}.right"])
    if f"{place}readout_B" in arrays:
        B, b, threshold = (arrays.get(f"{place}readout_{x}") for x in ("B", "b", "threshold"))
        parameters["readout"] = Readout(B, b, threshold=threshold, **entry.get("readout", {}))
    for name, inner in entry.get("models", {}).items():
        places = f"{place}{name}."
        if isinstance(inner, list):
            parameters[name] = tuple(_model(x, arrays, f"{places}{k}.", depth - 1) for k, x in enumerate(inner))
        else:
            parameters[name] = _model(inner, arrays, places, depth - 1)
    options = {name: _option(value) for name, value in entry["options"].items()}
    base = Continuous() if "continuous" in time else Discrete(time["dt"])
    return cls(**parameters, time=base, **options)


def _option(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_option(x) for x in value)
    if isinstance(value, dict):
        if "array" in value:
            return np.array(value["array"], dtype=np.float64).reshape(value["shape"])
        return _method(value["type"], value["options"])
    return value


def _method(name: str, options: Mapping[str, Any]) -> Any:
    """A method by its name.

    Raises:
        ModelFileError: there is none of this name, or it takes other options.
    """
    try:
        cls = methods()[name]
    except (KeyError, TypeError):
        raise ModelFileError(
            f"the model was made by the method {name!r}, which this version does not have. Upgrade retime, or enter its class in "
            "`retime.io.native.methods()`."
        ) from None
    try:
        return cls(**_fields(cls, options))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"the method {name!r} in the header has options that it does not take, {dict(options)!r:.200} ({error}). Save the model "
            "again, with this version."
        ) from error


def _fields(cls: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a method's constructor, its parts made of theirs."""
    parts, found = _parts(cls), {}
    for name, value in options.items():
        is_part = name in parts and isinstance(value, dict)
        found[name] = parts[name](**_fields(parts[name], value["options"])) if is_part else _option(value)
    return found


def _flow_of_version_1(model: Any, header: Mapping[str, Any]) -> PiecewiseAffineFlow:
    """Version 1 stored a flow as its map, with the method beside it."""
    return PiecewiseAffineFlow(model, _method(header["flow"], header["method"]), bool(header["throw"]))


# The step.


def with_dt(model: Any, dt: float, path: Any) -> Any:
    """The model with another step.

    Raises:
        ModelFileError: it is in continuous time, or its step is part of how it was made.
    """
    if isinstance(model, PiecewiseAffineFlow):
        return replace(model, map=with_dt(model.map, dt, path))
    if not isinstance(model.time, Discrete):
        raise ModelFileError(f"{path}: the model is in continuous time; drop `dt`.")
    if isinstance(model, (DerivedSystem, RegionwiseMap)):
        raise ModelFileError(
            f"{path}: the model is a {type(model).__name__} of step {model.time.dt:g}, which is part of how it was made; drop `dt`. "
            "To change the step, discretize the original system again; to stretch time, use rescale_time."
        )
    if isinstance(model, StackedRNN):
        model = replace(model, layers=tuple(with_dt(x, dt, path) for x in model.layers))
    return replace(model, time=Discrete(dt))
