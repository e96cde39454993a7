"""What PyTorch writes into a pickle: tensors by their storage, in every layout, put together without PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.arrays import refusal
from retime.io.pickle_machine import Function, PickleMachine, Unread
from retime.io.pickle_numpy import numpy_global

_SAVE = "Load it in PyTorch and run torch.save(model.state_dict(), path)."


def refuse_checkpoint(path: Path, found: str) -> ModelFileError:
    """The error for a checkpoint that is no state dict."""
    return refusal(path, expected="a PyTorch state dict (named tensors)", found=found, remedy=_SAVE)


@dataclass(frozen=True)
class ElementType:
    """A PyTorch element type; `code` is NumPy's, "bf16", or "" where NumPy or retime has none."""

    kind: ClassVar[str] = "type"
    name: str
    code: str


@dataclass(frozen=True)
class Storage:
    """The elements behind one or more tensors."""

    key: str
    type: ElementType
    data: memoryview


_STORAGE_CODES = {
    "FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bf16", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
    "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16",
}  # fmt: skip

_DTYPE_CODES = {
    "float32": "f4", "float64": "f8", "float16": "f2", "bfloat16": "bf16", "int64": "i8", "int32": "i4", "int16": "i2",
    "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "?", "complex64": "c8",
    "complex128": "c16",
}  # fmt: skip


def torch_global(module: str, member: str) -> Any:
    """What stands for a global of a checkpoint's pickle; None for all that no tensor needs."""
    if (module, member) in _FUNCTIONS:
        return Function(f"{module}.{member}", _FUNCTIONS[module, member])
    if module in ("torch", "torch.cuda") and member.endswith("Storage"):
        return ElementType(member.removesuffix("Storage"), _STORAGE_CODES.get(member, ""))
    if (module, member) == ("torch.storage", "UntypedStorage"):
        return ElementType("byte", "u1")
    if module == "torch" and (member in _DTYPE_CODES or member.startswith(("float8", "quint", "qint"))):
        return ElementType(member, _DTYPE_CODES.get(member, ""))
    return numpy_global(module, member)


# The functions that a checkpoint's pickle calls, each with (machine, arguments).


def _rebuild_tensor(machine: PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor_v2`; rest: requires_grad, hooks, metadata (the conjugate and negative bits)."""
    return _rebuild(machine, storage, None, offset, size, stride, rest[2:])


def _rebuild_typed_tensor(machine: PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor_v3`; rest: requires_grad, hooks, dtype, metadata."""
    return _rebuild(machine, storage, rest[2], offset, size, stride, rest[3:])


def _rebuild(machine: PickleMachine, storage: Any, element: Any, offset: Any, size: Any, stride: Any, bits: Any) -> Any:
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > 64:
        raise machine.refuse("a tensor whose storage, shape or strides are missing")
    if not all(isinstance(number, int) and 0 <= number < 2**62 for number in (offset, *size, *stride)):
        raise machine.refuse(f"a tensor with offset {offset}, shape {size}, strides {stride}")
    if any(bits):
        return Unread("a tensor with a pending negation or conjugation (call .resolve_neg() before saving)")
    element = storage.type if element is None else element
    if not isinstance(element, ElementType):
        raise machine.refuse("a tensor without an element type")
    if not element.code:
        return Unread(f"elements of type {element.name}; convert them to float32")
    return machine.storages.view(storage, element, offset, tuple(size), tuple(stride))


def _rebuild_sparse(machine: PickleMachine, layout: Any, parts: Any) -> Any:
    """`torch._utils._rebuild_sparse_tensor`: parts are (indices, values, shape, ...), or for rows (columns) in one piece
    (starts, indices, values, shape, ...); blocks of them are stored as values of more axes."""
    name, count = str(layout).removeprefix("torch.sparse_"), 2 if layout == "torch.sparse_coo" else 3
    arrays, shape = parts[:count], parts[count]
    if name not in ("coo", "csr", "csc") or not all(isinstance(x, np.ndarray) for x in arrays):
        return Unread(f"a sparse tensor of layout {name}; call .to_dense() before saving")
    if not all(isinstance(k, int) and 0 <= k < 2**62 for k in shape):
        raise machine.refuse(f"a sparse tensor of shape {shape!r:.80}")
    if name != "coo" and (arrays[-1].ndim != 1 or len(shape) != 2):
        return Unread(f"a sparse tensor of layout {name} with more than two axes; call .to_dense() before saving")
    indices = tuple(arrays[0]) if name == "coo" else _places(machine, arrays[0], arrays[1], name == "csc")
    if any(i.min(initial=0) < 0 for i in indices):
        raise machine.refuse("a sparse tensor with indices below 0")
    dense = machine.storages.empty(tuple(shape), arrays[-1].dtype)
    np.add.at(dense, indices, arrays[-1])  # entries at one place are summed
    return dense


def _places(machine: PickleMachine, starts: np.ndarray, inner: np.ndarray, is_by_column: bool) -> tuple[Any, Any]:
    """Rows and columns of the entries of a matrix whose rows (or columns) begin at `starts`."""
    lengths = np.diff(starts)
    if starts.ndim != 1 or starts[:1] != 0 or starts[-1] != len(inner) or lengths.min(initial=0) < 0:
        raise machine.refuse("a sparse tensor whose rows do not fit its entries")
    outer = np.repeat(np.arange(len(lengths)), lengths)
    return (inner, outer) if is_by_column else (outer, inner)


def _rebuild_subclass(machine: PickleMachine, function: Any, kind: Any, arguments: Any, state: Any = None) -> Any:
    """`torch._tensor._rebuild_from_type_v2`: the tensor, without its class."""
    machine.call(function, arguments)
    return machine.take(1)[0]


def _data(machine: PickleMachine, data: Any, *_: Any) -> Any:
    return data


def _unread(found: str) -> Callable[..., Unread]:
    return lambda machine, *_: Unread(found)


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch", "Size"): lambda machine, size=(): tuple(size),
    ("torch._utils", "_rebuild_parameter"): _data,
    ("torch._utils", "_rebuild_parameter_with_state"): _data,
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _data,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _data,
    ("torch._utils", "_rebuild_xla_tensor"): _data,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_typed_tensor,
    ("torch._utils", "_rebuild_sparse_tensor"): _rebuild_sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _rebuild_sparse,
    ("torch._utils", "_rebuild_qtensor"): _unread(
        "a quantized tensor, whose values are codes; call .dequantize() before saving"
    ),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _unread("a tensor on the device meta, without values"),
    ("torch._tensor", "_rebuild_from_type"): _rebuild_subclass,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_subclass,
    ("torch.serialization", "_get_layout"): lambda machine, name: str(name),
}
