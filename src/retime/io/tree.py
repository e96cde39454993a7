"""What a pickle or a live object holds, as named arrays: dictionaries in dictionaries, lists, objects, whole PyTorch modules."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from retime.io.arrays import ArrayCollector
from retime.io.named import is_parameter, is_rate
from retime.io.pickle_machine import Opaque, PendingArray, Unread

_TRAINING = ("torch.optim", "numpy.random", "random.", "torch.utils.data")
"""Objects whose arrays belong to training."""

_SCRIPTED = "__torch__."
"""How TorchScript writes the class of a module; its parameters and modules are its attributes."""

_MODULE = ("_parameters", "_buffers", "_modules")


def collect(collector: ArrayCollector, value: Any) -> None:
    """Put everything below a value into the collector, with names joined by "."."""
    _collect(collector, "", value, set())


def join(name: str, key: object) -> str:
    """The name of an entry of what has a name."""
    text = ".".join(map(str, key)) if isinstance(key, tuple) else str(key)
    return f"{name}.{text}" if name else text


def describe(collector: ArrayCollector, name: str, kind: str, attributes: Mapping[str, Any]) -> None:
    """Keep what a module says of itself beside its arrays: its class and the public attributes that are numbers, strings or
    enumerations. A rate of a class of one's own (a leak, a time constant) counts as an array, since it belongs to the dynamics."""
    named = {
        k: x.name if isinstance(x, Enum) else x for k, x in attributes.items() if isinstance(k, str) and k[:1] != "_"
    }
    plain = {k: x for k, x in named.items() if isinstance(x, (str, int, float, bool))}
    collector.modules[name] = {"class": kind} | plain
    for key, x in plain.items():
        if is_rate(key) and isinstance(x, (int, float)) and not kind.startswith("torch."):
            collector.add_array(join(name, key), float(x))


def _collect(collector: ArrayCollector, name: str, value: Any, inside: set[int]) -> None:
    if not isinstance(value, (np.ndarray, dict, list, tuple, Opaque, Unread, PendingArray)):
        return _collect_plain(collector, name, value)
    collector.visit(name)
    if id(value) in inside:
        return collector.leave_out(name, "a reference in a circle")
    if isinstance(value, PendingArray):
        value = value.resolved()
    if isinstance(value, Unread):
        return collector.leave_out(name, value.found)
    if isinstance(value, np.ndarray):
        with collector.optional(name):
            collector.add_array(name, value)
        return None
    inside.add(id(value))
    if isinstance(value, Opaque):
        _collect_object(collector, name, value, inside)
    else:
        _collect_items(collector, name, value, inside)
    return inside.discard(id(value))


def _collect_plain(collector: ArrayCollector, name: str, value: Any) -> None:
    """A number is an array where models look for it at the top (a step, a leak), else a note."""
    if not name or value is None:
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool) and "." not in name and is_parameter(name):
        collector.add_array(name, float(value))
    elif isinstance(value, (str, int, float)):
        collector.add_text(name, value)


def _collect_items(collector: ArrayCollector, name: str, value: Any, inside: set[int]) -> None:
    if isinstance(value, dict):
        for key, child in value.items():
            _collect(collector, join(name, key), child, inside)
        return
    shape = _shape(value) if is_parameter(name.rpartition(".")[2]) else ()
    if shape:
        collector.reserve(name, 8 * math.prod(shape))
        collector.add_array(name, np.array(value, dtype=np.float64))
        return
    for i, child in enumerate(value):
        if not isinstance(child, (str, int, float)):
            _collect(collector, join(name, i), child, inside)


def _shape(value: Any) -> tuple[int, ...]:
    """Of a list of numbers, or of lists of them; () for anything else."""
    if value and all(isinstance(x, (int, float)) for x in value):
        return (len(value),)
    inner = {
        _shape(x) if isinstance(x, (list, tuple)) and x and not isinstance(x[0], (list, tuple)) else () for x in value
    }
    (only,) = inner if len(inner) == 1 else ((),)
    return (len(value), *only) if only else ()


def _collect_object(collector: ArrayCollector, name: str, value: Opaque, inside: set[int]) -> None:
    """The contents of an object that is passed by: a module's parameters, else its attributes and items."""
    if value.name.startswith(_TRAINING):
        return collector.leave_out(name, value.found)
    state = value.state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # (attributes, those in slots)
        state = (state[0] if isinstance(state[0], dict) else {}) | state[1]
    state = state if isinstance(state, dict) else {}
    if all(isinstance(state.get(key), dict) for key in _MODULE):
        return _collect_module(collector, name, value.name, state, inside)
    if value.name.startswith(_SCRIPTED):
        kind = re.sub(r"___torch_mangle_\d+\.", "", value.name.removeprefix(_SCRIPTED))
        describe(collector, name, kind, state)
        parts = {k: x for k, x in state.items() if k[:1] != "_" and not isinstance(x, (str, int, float))}
        return _collect_items(collector, name, parts, inside)
    if not value.items and not state:
        return collector.leave_out(name, value.found)
    for part in (value.items, state):
        _collect_items(collector, name, part, inside)
    return None


def _collect_module(
    collector: ArrayCollector, name: str, kind: str, state: Mapping[str, Any], inside: set[int]
) -> None:
    """A pickled `torch.nn.Module`: what its state dict would hold, and what it says of itself."""
    describe(collector, name, kind, state)
    passing = state.get("_non_persistent_buffers_set") or ()
    parts = {**state["_parameters"], **{k: x for k, x in state["_buffers"].items() if k not in passing}}
    for key, child in (*parts.items(), *state["_modules"].items()):
        _collect(collector, join(name, key), child, inside)
