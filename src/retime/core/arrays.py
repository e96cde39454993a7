"""Arguments that are arrays: checked, copied to float64 and made read-only, with messages that name the cure."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.errors import ShapeError

Array = np.ndarray

_CURE = {
    "z0": ": give a number for every unit",
    "times": ": drop the missing ones",
    "inputs": ": fill or drop the missing rows",
    "values": ": fill or drop the missing rows",
} | dict.fromkeys(
    ["A", "W", "W1", "W2", "h", "h1", "h2", "C", "b", "E", "W_rec", "W_in", "slopes", "thresholds", "readout B", "readout b"],
    " (if it is a trained weight, training has diverged: load an earlier checkpoint)",
)  # fmt: skip


def real_array(name: str, value: Any) -> Array:
    """`value` as a read-only float64 copy; finite and real, of any shape.

    Raises:
        ValueError: not numeric, complex, masked, or not finite (the message says which entry).
    """
    refuse_masked(name, value)
    try:
        raw = np.asarray(value)
    except ValueError:
        raise ShapeError(f"`{name}` is ragged: its rows have different lengths; it must be a regular array.") from None
    if raw.dtype.kind == "c":
        raise ValueError(f"`{name}` is complex; it must be real. Pass its real form, not its eigen-coordinates.")
    if raw.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` has type {raw.dtype}; it must hold real numbers.")
    with np.errstate(invalid="ignore"):  # a signaling NaN is reported below
        array = np.array(raw, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"`{name}` holds {array[where]} at {where}; every entry must be finite{_CURE.get(name, '')}.")
    array.setflags(write=False)
    return array


def refuse_masked(name: str, value: Any) -> None:
    """Refuse masked entries: NumPy gives the number behind the mask when it makes a plain array of them.

    Raises:
        ValueError: `value`, or an item of a list of arrays, has a masked entry.
    """
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if any(np.ma.is_masked(x) for x in parts if isinstance(x, np.ndarray)):
        raise ValueError(
            f"`{name}` has masked entries, which are not numbers; fill them (`.filled(...)`) or leave these rows out."
        )


def vector(name: str, value: Any, length: int | None = None, because: str = "") -> Array:
    """A real vector `(length,)`; a column or row `(length, 1)`, `(1, length)` is flattened."""
    array = real_array(name, value)
    if array.ndim == 0 or array.ndim > 2 or (array.ndim == 2 and min(array.shape) != 1):
        raise ShapeError(f"`{name}` has shape {array.shape}; it must be a vector{_length(length)}{because}.")
    flat = array.reshape(-1)
    if length is not None and len(flat) != length:
        raise ShapeError(f"`{name}` has shape {array.shape}; it must be ({length},){because}.")
    return flat


def matrix(name: str, value: Any, shape: tuple[int | None, int | None], because: str = "") -> Array:
    """A real matrix; `None` in `shape` leaves that size free."""
    array = real_array(name, value)
    if array.ndim != 2 or any(want is not None and got != want for got, want in zip(array.shape, shape, strict=True)):
        wanted = tuple("any" if s is None else s for s in shape)
        hint = ""
        if array.ndim == 2 and array.shape[::-1] == shape:
            hint = " It fits when transposed: retime uses column vectors, z' = W z."
        raise ShapeError(f"`{name}` has shape {array.shape}; it must be ({wanted[0]}, {wanted[1]}){because}.{hint}")
    return array


def state_matrix(name: str, value: Any, size: int | None = None) -> Array:
    """A square matrix `(n, n)`, or its diagonal `(n,)`, which becomes a diagonal matrix."""
    array = real_array(name, value)
    if array.ndim == 1:
        array = np.diag(array)
        array.setflags(write=False)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] == 0:
        raise ShapeError(f"`{name}` has shape {np.shape(value)}; it must be square (n, n), or its diagonal (n,).")
    if size is not None and len(array) != size:
        raise ShapeError(
            f"`{name}` has shape {np.shape(value)}; it must be ({size}, {size}), or its diagonal ({size},)."
        )
    return array


def positive(name: str, value: Any, unit: str = "model time") -> float:
    """A positive finite number."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` is {value!r}; it must be a positive number ({unit}).") from None
    if not np.isfinite(number) or number <= 0:
        raise ValueError(f"`{name}` is {number}; it must be a positive finite number ({unit}).")
    return number


def increasing(name: str, value: Any) -> Array:
    """Strictly increasing finite times `(k,)`, k >= 1."""
    times = vector(name, value)
    if len(times) == 0:
        raise ValueError(f"`{name}` is empty; it must hold at least one time.")
    steps = np.diff(times)
    if (steps <= 0).any():
        k = int(np.argmax(steps <= 0))
        raise ValueError(
            f"`{name}` must be strictly increasing, but {name}[{k}] = {times[k]} and {name}[{k + 1}] = {times[k + 1]}. "
            "Sort it and drop repeats (np.unique)."
        )
    return times


def _length(length: int | None) -> str:
    return "" if length is None else f" of length {length}"
