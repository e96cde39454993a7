"""The pickle of a PyTorch checkpoint as data: a small stack machine that builds containers, numbers, strings and tensors.

A pickle is a program; the machine runs only the instructions that state dicts need, and the only functions that it knows are the few below
that assemble a tensor from its storage. No attribute is looked up and no object of another class exists, so there is nothing that a hostile
file could call.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.arrays import refusal

_SAVE = "Load it in PyTorch and run torch.save(model.state_dict(), path)."


def global_refused(path: Path, name: str) -> ModelFileError:
    """The error for a checkpoint that names code."""
    return refuse_checkpoint(
        path, f"the global `{name}` in its pickle (code or a whole pickled object; it was not run)"
    )


def refuse_checkpoint(path: Path, found: str) -> ModelFileError:
    """The error for a checkpoint that is no state dict."""
    return refusal(path, expected="a PyTorch state dict (named tensors)", found=found, remedy=_SAVE)


def kind_of(value: Any) -> str:
    """What a value of the machine is, for messages."""
    if isinstance(value, ElementType):
        return "type"
    return "tensor" if isinstance(value, np.ndarray) else type(value).__name__.strip("_").lower()


# Tensors.


@dataclass(frozen=True)
class ElementType:
    """A PyTorch element type; `code` is NumPy's, "bf16", or "" where NumPy or retime has none."""

    name: str
    code: str


@dataclass(frozen=True)
class Opaque:
    """An object of a harmless library that no tensor needs: not made, only passed by."""

    name: str


_PASSED_BY = ("numpy", "argparse", "pathlib", "collections", "datetime", "types")
"""Libraries whose objects stand beside the tensors of checkpoints: devices, NumPy numbers, arguments, paths, dates."""


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


# The few functions that a state dict's pickle calls, each with (machine, arguments).


def _ordered_dict(machine: PickleMachine, items: Any = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in items:
        machine.set_item(result, key, value)
    return result


def _rebuild_tensor(machine: PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor_v2`; rest: requires_grad, hooks, metadata (the conjugate and negative bits)."""
    return _rebuild(machine, storage, None, offset, size, stride, rest[2:])


def _rebuild_typed_tensor(machine: PickleMachine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """`torch._utils._rebuild_tensor_v3`; rest: requires_grad, hooks, dtype, metadata."""
    return _rebuild(machine, storage, rest[2], offset, size, stride, rest[3:])


def _rebuild(machine: PickleMachine, storage: Any, element: Any, offset: Any, size: Any, stride: Any, bits: Any) -> Any:
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > 64:
        raise machine.refuse("a tensor whose storage, shape or strides are missing")
    if not all(isinstance(number, int) and 0 <= number < 2**62 for number in numbers):
        raise machine.refuse(f"a tensor with offset {offset}, shape {size}, strides {stride}")
    if any(bits):
        raise machine.refuse("a tensor with a pending negation or conjugation (call .resolve_neg() before saving)")
    element = storage.type if element is None else element
    if not isinstance(element, ElementType):
        raise machine.refuse("a tensor without an element type")
    return machine.storages.view(storage, element, offset, tuple(size), tuple(stride))


def _rebuild_parameter(machine: PickleMachine, data: Any, *_rest: Any) -> Any:
    return data


def _size(machine: PickleMachine, size: Any) -> tuple[Any, ...]:
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


def _resolve(name: str) -> _Function | ElementType | Opaque | None:
    """What a global of the pickle stands for; `None` for all that is not needed for tensors."""
    module, _, member = name.partition(" ")
    if name in _FUNCTIONS:
        return _Function(name)
    if module == "torch" and member.endswith("Storage"):
        return ElementType(member.removesuffix("Storage"), _STORAGE_CODES.get(member, ""))
    if name == "torch.storage UntypedStorage":
        return ElementType("byte", "u1")
    if module == "torch" and (member in _DTYPE_CODES or member.startswith(("float8", "quint", "qint"))):
        return ElementType(member, _DTYPE_CODES.get(member, ""))
    is_passed_by = module == "torch" or module.split(".")[0] in _PASSED_BY or name == "_codecs encode"
    return Opaque(f"{module}.{member}") if is_passed_by and member.isidentifier() and member[0] != "_" else None


# The machine.


MAX_INSTRUCTIONS = 2_000_000
"""Of one pickle: far above the 40 or so that each tensor takes."""


class PickleMachine:
    """A stack machine for the pickle instructions that describe tensors; any other instruction is refused."""

    def __init__(self, path: Path, storages: Any) -> None:
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
        return refuse_checkpoint(self.path, found)

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
            raise self.refuse(f"a dictionary entry with a key of type {kind_of(key)}")
        target[key] = value

    def global_name(self, name: str) -> None:
        """Push what a named global stands for; refuse every name but the few of tensors."""
        found = _resolve(name)
        if found is None:
            raise global_refused(self.path, name.replace(" ", ".", 1))
        self.push(found)

    def stack_global(self, _: Any) -> None:
        """As `global_name`, with module and name on the stack."""
        module, name = self.take(2)
        self.global_name(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else "(no name)")

    def call(self, _: Any) -> None:
        """Apply one of the tensor functions; nothing else can be called."""
        function, arguments = self.take(2)
        if isinstance(function, Opaque):
            self.push(function)
            return
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise self.refuse(f"a call of a {kind_of(function)}")
        self.push(_FUNCTIONS[function.name](self, *arguments))

    def new_object(self, _: Any) -> None:
        """An object of a class that is passed by; no other class can be made."""
        if len(self._stack) < 2 or not isinstance(self._stack[-2], Opaque):
            raise self.refuse("the pickle instruction NEWOBJ of what is no class")
        self.call(None)

    def ignore_state(self, _: Any) -> None:
        """Drop the attributes of a dictionary (a state dict's `_metadata`); nothing else has attributes."""
        self._stack.pop()
        if not isinstance(self._stack[-1], (dict, Opaque)):
            raise self.refuse(f"attributes set on a {kind_of(self._stack[-1])}")

    def storage(self, _: Any) -> None:
        """Replace a persistent id by its storage."""
        self.push(self.storages.find(self.take(1)[0]))


_Action = Callable[[PickleMachine, Any], None]

_CONSTANTS = (
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
)  # fmt: skip

_INSTRUCTIONS: dict[str, _Action] = {
    **dict.fromkeys(_CONSTANTS, PickleMachine.push),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleMachine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), PickleMachine.recall),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": PickleMachine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.take_marked())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.take_marked()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.take_marked()),
    "GLOBAL": PickleMachine.global_name,
    "STACK_GLOBAL": PickleMachine.stack_global,
    "REDUCE": PickleMachine.call,
    "NEWOBJ": PickleMachine.new_object,
    "BUILD": PickleMachine.ignore_state,
    "BINPERSID": PickleMachine.storage,
}
