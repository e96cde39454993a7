"""NumPy arrays, numbers and types inside a pickle, put together from their bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from retime.io.pickle_machine import Buildable, Function, PendingArray, PickleMachine, Unread

_NUMBERS = re.compile(r"[<>=|]?(b1|\?|[iufc](1|2|4|8|16))")


def numpy_global(module: str, member: str) -> Function | None:
    """What stands for a global of a pickle that makes NumPy arrays; None for any other."""
    call = _FUNCTIONS.get((module.replace("numpy._core", "numpy.core"), member))
    return None if call is None else Function(f"{module}.{member}", call)


class _DType(Buildable):
    """A NumPy type; `value` is None where it is not one of plain numbers."""

    def __init__(self, code: Any) -> None:
        self.code = f"{code}"[:20]
        self.value = np.dtype(code) if isinstance(code, str) and _NUMBERS.fullmatch(code) else None

    def build(self, machine: PickleMachine, state: Any) -> None:
        """Take the byte order."""
        if self.value is not None and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.value = self.value.newbyteorder(state[1])


class _Array(PendingArray):
    """An array, empty until it is built."""

    def __init__(self) -> None:
        self._value: np.ndarray | Unread = Unread("a NumPy array without values")

    def build(self, machine: PickleMachine, state: Any) -> None:
        """Take (version, shape, type, is column-major, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise machine.refuse("a NumPy array whose parts are missing")
        _, shape, dtype, is_column_major, data = state
        self._value = _filled(machine, data, dtype, shape, "F" if is_column_major else "C")

    def resolved(self) -> np.ndarray | Unread:
        """The array, or why it is not read."""
        return self._value


def _filled(machine: PickleMachine, data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray | Unread:
    dtype = _DType(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(dtype, _DType) or dtype.value is None:
        return Unread(f"a NumPy array of type {dtype.code if isinstance(dtype, _DType) else 'unknown'}")
    if isinstance(data, str):  # of Python 2
        machine.spend(len(data))
        data = data.encode("latin1")
    if not isinstance(shape, tuple) or not all(isinstance(k, int) and 0 <= k < 2**62 for k in shape) or len(shape) > 32:
        raise machine.refuse(f"a NumPy array of shape {shape!r:.80}")
    declared = math.prod(shape) * dtype.value.itemsize
    if not isinstance(data, (bytes, bytearray)) or len(data) != declared:
        raise machine.refuse(f"a NumPy array of shape {shape} whose bytes are missing")
    return np.frombuffer(data, dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _scalar(machine: PickleMachine, dtype: Any, data: Any = b"") -> Any:
    value = _filled(machine, data, dtype, (), "C")
    if isinstance(value, Unread):
        return Unread(value.found.replace("array", "number"))
    return Unread("a complex number") if value.dtype.kind == "c" else value.item()


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda machine, *_: _Array(),
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): lambda machine, data, dtype, shape, order="C": _filled(
        machine, data, dtype, shape, order
    ),
    ("numpy", "dtype"): lambda machine, code, *_: _DType(code),
}
