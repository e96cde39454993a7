"""PyTorch checkpoints (the zip format of `torch.save` since 1.6), read without PyTorch and without unpickling.

The archive holds a pickle that describes the tensors, and one member of raw bytes per storage. A pickle is a program
for a small stack machine; `_PickleMachine` runs only the instructions that build containers, numbers and strings, and
the only functions that it knows are the few below that assemble a tensor from its storage. No attribute is looked up
and no object of another class exists, so there is nothing that a hostile file could call.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.arrays import FREE_BYTES, ArrayCollector, FileArrays, read_member, reading, refusal, widen_bfloat16

__all__ = ["read_torch"]

_SAVE = "Load it in PyTorch and run torch.save(model.state_dict(), path)."


def read_torch(path: Path) -> FileArrays:
    """Read the tensors of a PyTorch checkpoint; nested dictionaries are flattened with ".".

    Strided views and shared storages are resolved into separate arrays. Strings and numbers in dictionaries (an epoch,
    a learning rate) go to the metadata.

    Args:
        path: an existing file.

    Returns:
        A `FileArrays` of format "torch-zip".

    Raises:
        ModelFileError: damaged, or it holds anything but tensors, containers, numbers and strings: a whole pickled
            module, TorchScript, code. Nothing of it is run.
    """
    collector = ArrayCollector(path, "torch-zip")
    with reading(path, "PyTorch zip checkpoint"), zipfile.ZipFile(path) as archive:
        root = _root(path, archive.namelist())
        storages = _Storages(collector, archive, root)
        content = _PickleMachine(path, storages).run(read_member(archive, f"{root}data.pkl", path, FREE_BYTES))
        if isinstance(content, _Opaque):
            raise _global_refused(path, content.name)
        if not isinstance(content, dict):
            raise _refuse(path, f"a single {_kind(content)} without names")
        _flatten(collector, "", content)
    return collector.finish()


def _global_refused(path: Path, name: str) -> ModelFileError:
    return _refuse(path, f"the global `{name}` in its pickle (code or a whole pickled object; it was not run)")


def _refuse(path: Path, found: str) -> ModelFileError:
    return refusal(path, expected="a PyTorch state dict (named tensors)", found=found, remedy=_SAVE)


def _root(path: Path, names: list[str]) -> str:
    """The folder that holds everything in the archive, with its slash."""
    folders = [name.removesuffix("data.pkl") for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise _refuse(path, "a TorchScript archive, which contains code")
    if len(folders) != 1:
        raise _refuse(path, f"{len(folders)} pickles named data.pkl")
    return folders[0]


def _kind(value: Any) -> str:
    return "tensor" if isinstance(value, np.ndarray) else type(value).__name__.strip("_").lower()


def _flatten(collector: ArrayCollector, name: str, value: Any) -> None:
    collector.visit(name)
    if isinstance(value, np.ndarray):
        with collector.optional(name):
            collector.add_array(name, value)
    elif isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, (str, int, float)):
                collector.add_text(_join(name, key), child)
            elif isinstance(child, _Opaque):
                collector.visit(_join(name, key))
                collector.leave_out(_join(name, key), f"a {child.name} object, which was not made")
            else:
                _flatten(collector, _join(name, key), child)
    elif isinstance(value, (list, tuple)):
        for i, child in enumerate(value):
            if isinstance(child, (np.ndarray, dict, list, tuple)):
                _flatten(collector, _join(name, i), child)


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


# Tensors.


@dataclass(frozen=True)
class _Type:
    """A PyTorch element type; `code` is NumPy's, "bf16", or "" where NumPy or retime has none."""

    name: str
    code: str


@dataclass(frozen=True)
class _Opaque:
    """An object of a harmless library that no tensor needs: not made, only passed by."""

    name: str


_PASSED_BY = ("numpy", "argparse", "pathlib", "collections", "datetime", "types")
"""Libraries whose objects stand beside the tensors of checkpoints: devices, NumPy numbers, arguments, paths, dates."""


@dataclass(frozen=True)
class _Storage:
    """The elements behind one or more tensors."""

    key: str
    type: _Type
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


class _Storages:
    """The archive's storages, read when first named."""

    def __init__(self, collector: ArrayCollector, archive: zipfile.ZipFile, root: str) -> None:
        self._collector, self._archive, self._root = collector, archive, root
        self._members = set(archive.namelist())
        self._data: dict[str, bytearray] = {}
        self._given: set[str] = set()
        self._order = ">" if self._is_big_endian() else "<"

    def _is_big_endian(self) -> bool:
        name = f"{self._root}byteorder"
        return name in self._members and read_member(self._archive, name, self._collector.path).strip() == b"big"

    def find(self, identifier: Any) -> _Storage:
        """The storage of a persistent id ("storage", type, key, device, number of elements)."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise _refuse(self._collector.path, "a persistent id that names no storage")
        _, element, key, _, count = identifier
        if not (isinstance(element, _Type) and isinstance(key, str) and isinstance(count, int)):
            raise _refuse(self._collector.path, "a persistent id that names no storage")
        data = self._bytes(key)
        present = len(data) // _itemsize(element)
        if not 0 <= count <= present:
            found = f"storage {key!r} declared with {count} elements of {element.name}, {present} present"
            raise _refuse(self._collector.path, found)
        return _Storage(key, element, memoryview(data)[: count * _itemsize(element)])

    def _bytes(self, key: str) -> bytearray:
        name = f"{self._root}data/{key}"
        if name not in self._members:
            raise _refuse(self._collector.path, f"no member `{name}` for one of its tensors (a truncated copy?)")
        if key not in self._data:
            self._data[key] = read_member(self._archive, name, self._collector.path)
        return self._data[key]

    def view(
        self, storage: _Storage, element: _Type, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> Any:
        """The strided view, after a check that it lies inside its storage; a copy where the storage was given before."""
        if not element.code:
            raise _refuse(self._collector.path, f"elements of type {element.name}; convert them to float32")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        self._collector.reserve(f"storage {storage.key}", count * _itemsize(element))
        flat = np.frombuffer(storage.data, self._dtype(element))
        if count and last >= flat.size:
            found = f"a tensor of shape {size} that reaches element {last} of a storage of {flat.size}"
            raise _refuse(self._collector.path, found)
        if not count:
            return np.empty(size, flat.dtype.newbyteorder("="))
        strides = [step * flat.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(flat[offset:], size, strides)
        if element.code == "bf16":
            return widen_bfloat16(array)
        is_shared = storage.key in self._given or not array.flags.c_contiguous
        self._given.add(storage.key)
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=is_shared or None)

    def _dtype(self, element: _Type) -> np.dtype:
        return np.dtype(f"{self._order}u2" if element.code == "bf16" else f"{self._order}{element.code}")


def _itemsize(element: _Type) -> int:
    return 2 if element.code == "bf16" else np.dtype(element.code or "u1").itemsize


# The few functions that a state dict's pickle calls, each with (machine, arguments).


def _ordered_dict(machine: _PickleMachine, items: Any = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in items:
        machine.set_item(result, key, value)
    return result


def _rebuild_tensor(machine: _PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor_v2`; rest: requires_grad, hooks, metadata (the conjugate and negative bits)."""
    return _rebuild(machine, storage, None, offset, size, stride, rest[2:])


def _rebuild_typed_tensor(
    machine: _PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> Any:
    """`torch._utils._rebuild_tensor_v3`; rest: requires_grad, hooks, dtype, metadata."""
    return _rebuild(machine, storage, rest[2], offset, size, stride, rest[3:])


def _rebuild(
    machine: _PickleMachine, storage: Any, element: Any, offset: Any, size: Any, stride: Any, bits: Any
) -> Any:
    numbers = (offset, *size, *stride)
    if not isinstance(storage, _Storage) or len(size) != len(stride) or len(size) > 64:
        raise machine.refuse("a tensor whose storage, shape or strides are missing")
    if not all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers):
        raise machine.refuse(f"a tensor with offset {offset}, shape {size}, strides {stride}")
    if any(bits):
        raise machine.refuse("a tensor with a pending negation or conjugation (call .resolve_neg() before saving)")
    element = storage.type if element is None else element
    if not isinstance(element, _Type):
        raise machine.refuse("a tensor without an element type")
    return machine.storages.view(storage, element, offset, tuple(size), tuple(stride))


def _rebuild_parameter(machine: _PickleMachine, data: Any, *_rest: Any) -> Any:
    return data


def _size(machine: _PickleMachine, size: Any) -> tuple[Any, ...]:
    return tuple(size)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch Size": _size,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch._utils _rebuild_parameter_with_state": _rebuild_parameter,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_tensor_v3": _rebuild_typed_tensor,
}


@dataclass(frozen=True)
class _Function:
    name: str


def _resolve(name: str) -> _Function | _Type | _Opaque | None:
    """What a global of the pickle stands for; `None` for all that is not needed for tensors."""
    module, _, member = name.partition(" ")
    if name in _FUNCTIONS:
        return _Function(name)
    if module == "torch" and member.endswith("Storage"):
        return _Type(member.removesuffix("Storage"), _STORAGE_CODES.get(member, ""))
    if name == "torch.storage UntypedStorage":
        return _Type("byte", "u1")
    if module == "torch" and (member in _DTYPE_CODES or member.startswith(("float8", "quint", "qint"))):
        return _Type(member, _DTYPE_CODES.get(member, ""))
    is_passed_by = module == "torch" or module.split(".")[0] in _PASSED_BY or name == "_codecs encode"
    return _Opaque(f"{module}.{member}") if is_passed_by and member.isidentifier() and member[0] != "_" else None


# The machine.


MAX_INSTRUCTIONS = 2_000_000
"""Of one pickle: far above the 40 or so that each tensor takes."""


class _PickleMachine:
    """A stack machine for the pickle instructions that describe tensors; any other instruction is refused."""

    def __init__(self, path: Path, storages: _Storages) -> None:
        self.path, self.storages = path, storages
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes | bytearray) -> Any:
        """The object that the program describes."""
        for count, (instruction, argument, _) in enumerate(pickletools.genops(bytes(program))):
            if count > MAX_INSTRUCTIONS:
                raise self.refuse(f"a pickle of more than {MAX_INSTRUCTIONS} instructions")
            if instruction.name == "STOP":
                break
            action = _INSTRUCTIONS.get(instruction.name)
            if action is None:
                raise self.refuse(f"the pickle instruction {instruction.name}, which no state dict needs")
            action(self, argument)
        return self._stack.pop()

    def refuse(self, found: str) -> ModelFileError:
        """The error for this file."""
        return _refuse(self.path, found)

    def push(self, value: Any) -> None:
        """Put a constant on the stack."""
        self._stack.append(value)

    def mark(self, _: Any) -> None:
        """Remember the height of the stack."""
        self._marks.append(len(self._stack))

    def take(self, count: int) -> list[Any]:
        """Remove the topmost values."""
        if count > len(self._stack):
            raise self.refuse("a pickle that takes more values than it put")
        height = len(self._stack) - count
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def take_marked(self) -> list[Any]:
        """Remove everything above the last mark."""
        return self.take(len(self._stack) - self._marks.pop())

    def remember(self, index: int | None) -> None:
        """Keep the topmost value under a number, the next one by default."""
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def recall(self, index: int) -> None:
        """Push a value that was kept."""
        self.push(self._memo[index])

    def append(self, items: list[Any]) -> None:
        """Extend the list below."""
        target = self._stack[-1]
        if not isinstance(target, list):
            raise self.refuse("items appended to what is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Fill the dictionary below with alternating keys and values."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.set_item(self._stack[-1], key, value)

    def set_item(self, target: Any, key: Any, value: Any) -> None:
        """Fill one entry; keys are strings, numbers or None, so that hashing them is harmless."""
        if not isinstance(target, dict) or not isinstance(key, (str, int, float, type(None))):
            raise self.refuse(f"a dictionary entry with a key of type {_kind(key)}")
        target[key] = value

    def global_name(self, name: str) -> None:
        """Push what a named global stands for; refuse every name but the few of tensors."""
        found = _resolve(name)
        if found is None:
            raise _global_refused(self.path, name.replace(" ", ".", 1))
        self.push(found)

    def stack_global(self, _: Any) -> None:
        """As `global_name`, with module and name on the stack."""
        module, name = self.take(2)
        self.global_name(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else "(no name)")

    def call(self, _: Any) -> None:
        """Apply one of the tensor functions; nothing else can be called."""
        function, arguments = self.take(2)
        if isinstance(function, _Opaque):
            self.push(function)
            return
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise self.refuse(f"a call of a {_kind(function)}")
        self.push(_FUNCTIONS[function.name](self, *arguments))

    def new_object(self, _: Any) -> None:
        """An object of a class that is passed by; no other class can be made."""
        if len(self._stack) < 2 or not isinstance(self._stack[-2], _Opaque):
            raise self.refuse("the pickle instruction NEWOBJ of what is no class")
        self.call(None)

    def ignore_state(self, _: Any) -> None:
        """Drop the attributes of a dictionary (a state dict's `_metadata`); nothing else has attributes."""
        self._stack.pop()
        if not isinstance(self._stack[-1], (dict, _Opaque)):
            raise self.refuse(f"attributes set on a {_kind(self._stack[-1])}")

    def storage(self, _: Any) -> None:
        """Replace a persistent id by its storage."""
        self.push(self.storages.find(self.take(1)[0]))


_Action = Callable[[_PickleMachine, Any], None]

_CONSTANTS = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
)  # fmt: skip

_INSTRUCTIONS: dict[str, _Action] = {
    **dict.fromkeys(_CONSTANTS, _PickleMachine.push),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _PickleMachine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _PickleMachine.recall),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": _PickleMachine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.take_marked())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.take_marked()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.take_marked()),
    "GLOBAL": _PickleMachine.global_name,
    "STACK_GLOBAL": _PickleMachine.stack_global,
    "REDUCE": _PickleMachine.call,
    "NEWOBJ": _PickleMachine.new_object,
    "BUILD": _PickleMachine.ignore_state,
    "BINPERSID": _PickleMachine.storage,
}
