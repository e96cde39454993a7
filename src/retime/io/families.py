"""From named arrays to a model: which family fits, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.system import System
from retime.core.time import Continuous, Discrete, TimeBase
from retime.io.arrays import FileArrays
from retime.io.keras_layers import read_layers
from retime.io.named import Named, Recognition, held, own_readout, size
from retime.io.onnx_graph import read_graph
from retime.io.state_dict import RECURRENT_FAMILIES, has_recurrent_weights, read_state_dict
from retime.models import FAMILIES

_CONTINUOUS = ("continuous_plrnn", "rate_rnn", "hopfield")


def recognize(
    file: FileArrays, family: str | None, dt: float | None, options: dict[str, Any]
) -> tuple[System, Recognition]:
    """Build the model that the arrays describe.

    Raises:
        ModelFileError: no family fits, the given one lacks arrays, or the shapes disagree; the message says which.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(FAMILIES))}.")
    found = Named(file)
    time = _time(found, family, dt)
    try:
        return _read(found, family, time, options)
    except ValueError as error:
        raise ModelFileError(f"{file.path}: {error}") from error
    except (AttributeError, LookupError, OverflowError, TypeError) as error:
        if isinstance(error, TypeError) and (options or not (file.layers or file.graph)):
            chosen = "the family found" if family is None else f"family {family!r}"
            raise TypeError(f"{file.path}: {chosen} with options {options}: {error}") from error
        raise ModelFileError(
            f"{file.path}: the file does not describe a network ({type(error).__name__}: {error}). Save it again."
        ) from error


def _read(found: Named, family: str | None, time: TimeBase, options: dict[str, Any]) -> tuple[System, Recognition]:
    if found.file.graph is not None:
        return read_graph(found.file, found.file.graph, family, time, options)
    if found.file.layers:
        return read_layers(found.file, family, time, options)
    name = family or _fitting(found)
    if name in RECURRENT_FAMILIES:
        model, recognition = read_state_dict(found, family, time, options)
    else:
        parameters, recognition = _BUILDERS[name](found, family is not None)
        model = FAMILIES[name](**parameters, time=time, **options)
    unread = found.unread()
    return model, replace(recognition, unread=unread)


def _time(found: Named, family: str | None, dt: float | None) -> TimeBase:
    if family in _CONTINUOUS:
        if dt is not None:
            raise ValueError(f"`dt` was given, but a {family} is in continuous time; drop `dt`.")
        return Continuous()
    if dt is None and "dt" in found and found["dt"].size:
        dt = _stored_step(found)
    return Discrete(1.0 if dt is None else dt)


def _stored_step(found: Named) -> float:
    array, name = found["dt"], found.used["dt"]
    step = float(array.reshape(-1)[0])
    if array.size > 1 or not 0.0 < step < np.inf:
        what = f"has shape {array.shape}" if array.size > 1 else f"is {step:g}"
        raise ModelFileError(
            f"{found.file.path}: `{name}` {what}; the step must be one finite number > 0. Pass the right one as dt=."
        )
    return step


def _fitting(found: Named) -> str:
    """The family whose parameters the file holds; "stacked_rnn" stands for recurrent weights, whose shapes decide later."""
    for name, parameters in _SIGNATURES.items():
        if all(p in found for p in parameters):
            return name
    if has_recurrent_weights(found):
        return "stacked_rnn"
    raise ModelFileError(
        f"{found.file.path}: no family fits. Known are A, W, h (plrnn); A, W1, W2, h1, h2 (shallow_plrnn); A, W, h, slopes, "
        f"thresholds (dendritic_plrnn); weight_hh_l0, weight_ih_l0 (tanh_rnn, gru, lstm) or W_rec, W_in (relu_rnn). The file holds "
        f"{held(found.file)}. Rename the arrays, or pass `family=`."
    )


_SIGNATURES = {
    "shallow_plrnn": ("A", "W1", "W2", "h1", "h2"),
    "dendritic_plrnn": ("A", "W", "h", "slopes", "thresholds"),
    "plrnn": ("A", "W", "h"),
}


def _shared(found: Named) -> tuple[dict[str, Any], list[str]]:
    """Inputs and readout, which all PLRNN forms share."""
    notes: list[str] = []
    parameters: dict[str, Any] = {}
    if "C" in found and np.any(found["C"]):
        parameters["C"] = found["C"]
    elif "C" in found:
        notes.append("`C` is all zero: read as no inputs.")
    if "B" in found and found.peek("B").ndim == 2 and found.peek("B").shape[1] == len(found["A"]):
        b = found["readout_b"] if "readout_b" in found else _bias(found, len(found["B"]))
        parameters["readout"] = (found["B"], b)
        notes.append("`B` is the readout.")
    return parameters, notes


def _bias(found: Named, outputs: int) -> Array | None:
    return found["b"] if "b" in found and found.peek("b").size == outputs else None


def _plrnn(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("plrnn", "A", "W", "h")
    shared, notes = _shared(found)
    others = ('family="alrnn" (needs num_relu=...)', 'family="continuous_plrnn"')
    reason = found.names("A", "W", "h")
    return {k: found[k] for k in ("A", "W", "h")} | shared, _recognition(
        "plrnn", reason, () if given else others, notes
    )


def _recognition(family: str, reason: str, others: tuple[str, ...], notes: list[str]) -> Recognition:
    return Recognition(family, reason, others, tuple(notes))


def _alrnn(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("alrnn", "A", "W", "h")
    shared, notes = _shared(found)
    if "readout" in shared:
        p, n = found["B"].shape
        shared["readout"] = (np.eye(p, n), np.zeros(p))
        notes[-1] = f"Outputs are the first {p} states; `B` only sets initial states in such files (z_1 = x_1 B)."
    reason = found.names("A", "W", "h")
    return {k: found[k] for k in ("A", "W", "h")} | shared, _recognition("alrnn", reason, (), notes)


def _continuous(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    parameters, recognition = _plrnn(found, True)
    return parameters, _recognition("continuous_plrnn", recognition.reason, (), list(recognition.notes))


def _shallow(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    names = ("A", "W1", "W2", "h1", "h2")
    found.require("shallow_plrnn", *names)
    shared, notes = _shared(found)
    others = () if given else ("its clipped form (clipped=True)",)
    return {k: found[k] for k in names} | shared, _recognition("shallow_plrnn", found.names(*names), others, notes)


def _dendritic(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    names = ("A", "W", "h", "slopes", "thresholds")
    found.require("dendritic_plrnn", *names)
    shared, notes = _shared(found)
    return {k: found[k] for k in names} | shared, _recognition("dendritic_plrnn", found.names(*names), (), notes)


def _linear(found: Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("linear", "A", "b", "E")
    parameters: dict[str, Any] = {k: found[k] for k in ("A", "b", "E")}
    readout = own_readout(found)
    if readout is not None:
        parameters["readout"] = readout
    return parameters, _recognition("linear", found.names("A", "b", "E"), (), [])


def _by_field_names(found: Named, family: str) -> tuple[dict[str, Any], Recognition]:
    """Parameters under the names of the constructor."""
    own = [f for f in fields(FAMILIES[family]) if f.name not in ("time", "readout")]
    parameters = {f.name: array for f in own if (array := found.field(f.name)) is not None}
    missing = [f.name for f in own if f.default is MISSING and f.name not in parameters]
    if missing:
        wanted = ", ".join(f"`{name}`" for name in missing)
        raise ModelFileError(f"{found.file.path}: family {family} needs {wanted}; the file holds {held(found.file)}.")
    reason = ", ".join(f"`{name}` {size(array)}" for name, array in parameters.items())
    return parameters | {"readout": own_readout(found)}, _recognition(family, reason, (), [])


_BUILDERS: Mapping[str, Callable[[Named, bool], tuple[dict[str, Any], Recognition]]] = {
    "plrnn": _plrnn,
    "alrnn": _alrnn,
    "continuous_plrnn": _continuous,
    "shallow_plrnn": _shallow,
    "dendritic_plrnn": _dendritic,
    "linear": _linear,
    "piecewise_affine": lambda found, given: _by_field_names(found, "piecewise_affine"),
    "hopfield": lambda found, given: _by_field_names(found, "hopfield"),
}
