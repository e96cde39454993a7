"""What a scan turns: an entry of a weight array, an input level, a direction in weight space, or any function of a number."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.system import System

_ENTRY = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\])?\s*")
_INSIDE = ("map", "flow", "base")  # fields of a model that was made from another one
INPUTS = "inputs"
RETURNED = "`parameter` returned"  # how messages begin that name the value already


@dataclass(frozen=True)
class Parameter:
    """A number that changes a model, its constant input, or both.

    Attributes:
        text: how it is called in results.
        apply: (model, s `(m,)`, value) -> (model, s) with the parameter at `value`.
    """

    text: str
    apply: Callable[[Any, Array, float], tuple[Any, Array]]


def parameter_of(model: System, parameter: Any) -> Parameter:
    """What `parameter` means for a model, checked once.

    Args:
        model: any system; one that was made from another (a converted flow) has the parameters of that one.
        parameter: an entry "W[0, 1]", "h[2]", "A[0]" (on the diagonal of a matrix), "tau" (all entries of a vector, or a number), or
            "inputs[0]" (level of a constant input): the value replaces it; a dictionary {"W": direction, ...} of arrays of the sizes
            of the fields, or "inputs": field + value direction; or a function value -> model.

    Raises:
        ValueError: no such field or entry. ShapeError: a direction of another size. TypeError: of another type.
    """
    if isinstance(parameter, str):
        return _entry(model, parameter)
    if isinstance(parameter, Mapping):
        return _direction(model, parameter)
    if callable(parameter):
        return _function(parameter)
    raise TypeError(
        f'`parameter` is {type(parameter).__name__}; give an entry such as "W[0, 1]", a dictionary such as {{"h": direction}}, or a function '
        "value -> model."
    )


def array_fields(model: System) -> dict[str, Any]:
    """The numbers and arrays of a model by field, of the system inside where it was made from another one."""
    inner = _inside(model)
    if inner:
        return array_fields(getattr(model, inner))
    found = {f.name: getattr(model, f.name) for f in fields(model) if f.init}
    return {
        name: x
        for name, x in found.items()
        if isinstance(x, np.ndarray) or (isinstance(x, (int, float)) and not isinstance(x, bool))
    }


def replaced(model: Any, changes: Mapping[str, Any]) -> Any:
    """The model with new fields; of one that was made from another, those of that one, and it is made anew."""
    inner = _inside(model)
    if inner:
        return replace(model, **{inner: replaced(getattr(model, inner), changes)})
    return replace(model, **changes)


def _inside(model: Any) -> str | None:
    return next((name for name in _INSIDE if isinstance(getattr(model, name, None), System)), None)


def applied(what: Parameter, model: Any, s: Array, value: float) -> tuple[Any, Array]:
    """The model and the constant input at a value.

    Raises:
        ValueError: no model can be made there; the message names the value and the reason. TypeError, ShapeError: a function returned
        something else than a model of the same size.
    """
    try:
        return what.apply(model, s, value)
    except Exception as error:
        if isinstance(error, (TypeError, ShapeError)) and str(error).startswith(RETURNED):
            raise
        raise ValueError(f"`parameter` failed at value {value}: {type(error).__name__}: {error}") from error


# --- an entry ------------------------------------------------------------------------------------------------------------


def _entry(model: System, text: str) -> Parameter:
    match = _ENTRY.fullmatch(text)
    if not match:
        raise ValueError(
            f'`parameter` is {text!r}; write an entry as "W[0, 1]", "h[2]", "A[0]" (diagonal) or "inputs[0]".'
        )
    name, index = match[1], None if match[2] is None else tuple(int(k) for k in match[2].split(","))
    shown = name if index is None else f"{name}[{', '.join(map(str, index))}]"
    if name == INPUTS:
        if model.num_inputs == 0:
            raise ValueError(f"`parameter` is {shown!r}, but this {type(model).__name__} has no inputs.")
        at = _position(shown, (model.num_inputs,), index)
        return Parameter(shown, lambda model, s, value: (model, _put(s, at, value)))
    known = array_fields(model)
    if name not in known:
        raise ValueError(f"`parameter` names {name!r}; this {type(model).__name__} has {', '.join([*known, INPUTS])}.")
    shape = np.shape(known[name])
    at = () if shape == () and index is None else _position(shown, shape, index)

    def apply(model: Any, s: Array, value: float) -> tuple[Any, Array]:
        old = array_fields(model)[name]
        new = float(value) if np.ndim(old) == 0 else _put(old, at, value)
        return replaced(model, {name: new}), s

    return Parameter(shown, apply)


def _position(shown: str, shape: tuple[int, ...], index: tuple[int, ...] | None) -> tuple[Any, ...]:
    """What to index an array of this shape with: one index of a square matrix is on its diagonal, none of a vector is all of it."""
    if index is None and len(shape) == 1:
        return (slice(None),)
    if index is not None and len(index) == 1 and len(shape) == 2 and shape[0] == shape[1]:
        index = index * 2
    if index is None or len(index) != len(shape):
        raise ValueError(f"`parameter` is {shown!r}, but the field has shape {shape}: give {len(shape)} indices.")
    for k, size in zip(index, shape, strict=True):
        if not -size <= k < size:
            raise ValueError(
                f"`parameter` is {shown!r}, but the field has shape {shape}: index {k} is not from {-size} to {size - 1}."
            )
    return index


def _put(array: Array, at: tuple[Any, ...], value: float) -> Array:
    new = np.array(array, dtype=np.float64)
    new[at] = value
    return new


# --- a direction, a function ---------------------------------------------------------------------------------------------


def _direction(model: System, parameter: Mapping[str, Any]) -> Parameter:
    known = array_fields(model) | {INPUTS: np.zeros(model.num_inputs)}
    if not parameter:
        raise ValueError('`parameter` is an empty dictionary; give directions by field, such as {"h": direction}.')
    directions = {}
    for name, value in parameter.items():
        if name not in known:
            raise ValueError(f"`parameter` names {name!r}; this {type(model).__name__} has {', '.join(known)}.")
        direction, shape = real_array(f"parameter {name}", value), np.shape(known[name])
        if direction.ndim == 1 and len(shape) == 2 and shape == (len(direction),) * 2:
            direction = np.diag(direction)
        if direction.shape != shape:
            raise ShapeError(f"`parameter` {name} has shape {direction.shape}; it must be {shape}, that of the field.")
        directions[name] = direction

    def apply(model: Any, s: Array, value: float) -> tuple[Any, Array]:
        old = array_fields(model)
        changes = {name: old[name] + value * d for name, d in directions.items() if name != INPUTS}
        s = s + value * directions[INPUTS] if INPUTS in directions else s
        return (replaced(model, changes) if changes else model), s

    return Parameter("direction in " + ", ".join(directions), apply)


def _function(make: Callable[[float], Any]) -> Parameter:
    def apply(model: Any, s: Array, value: float) -> tuple[Any, Array]:
        made = make(float(value))
        if not isinstance(made, System):
            raise TypeError(f"{RETURNED} {type(made).__name__} at {value}; it must return a retime model.")
        if (made.num_states, made.num_inputs) != (model.num_states, model.num_inputs):
            raise ShapeError(
                f"{RETURNED} {made.num_states} states and {made.num_inputs} inputs at {value}; the model has {model.num_states} "
                f"and {model.num_inputs}, and all models of a scan must agree."
            )
        return made, s

    name = getattr(make, "__name__", type(make).__name__)
    return Parameter("parameter" if name == "<lambda>" else name, apply)
