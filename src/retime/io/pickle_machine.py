"""A pickle as data: a small stack machine that builds containers, numbers, strings and arrays, and passes by everything else.

A pickle is a program; the machine runs its instructions on values of its own. The only functions that it knows are those that a reader gives
it, which put arrays together from bytes. Any other class or function is an `Opaque`: a name, with the contents that the pickle gives it. No
module is imported, no attribute is looked up and no object of another class exists, so there is nothing that a hostile file could call.
"""

from __future__ import annotations

import io
import os
import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.archive import Bytes
from retime.io.arrays import NOT_MADE, refusal

_LONG_TEXT = 2**16

MAX_INSTRUCTIONS = 2_000_000
"""Of one pickle: far above the 40 or so that each tensor takes."""


class Opaque:
    """A class, a function or an object that no array needs: known by its name, not made, only passed by.

    What the pickle puts into it is kept, since weights may be among it: `state` as `__setstate__` would get it, `items` as
    `__setitem__` or `append` would.
    """

    __slots__ = ("items", "name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None
        self.items: dict[Any, Any] = {}

    @property
    def found(self) -> str:
        """What it is, for the list of what was not read."""
        return f"a {self.name} {NOT_MADE}"


class Unread:
    """A tensor whose values are not read; `found` says what it is."""

    __slots__ = ("found",)

    def __init__(self, found: str) -> None:
        self.found = found


class Buildable(ABC):
    """A value that the instruction BUILD completes."""

    @abstractmethod
    def build(self, machine: PickleMachine, state: Any) -> None:
        """Take what `__setstate__` would get."""


class PendingArray(Buildable):
    """What stands for an array until the pickle has said all of it."""

    @abstractmethod
    def resolved(self) -> np.ndarray | Unread:
        """The array, or why it is not read."""


class Function:
    """A function that a reader gives the machine, called with (machine, *arguments)."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call


def kind_of(value: Any) -> str:
    """What a value of the machine is, for messages."""
    if isinstance(value, (np.ndarray, PendingArray)):
        return "tensor"
    if isinstance(value, Opaque):
        return f"{value.name} object"
    return getattr(value, "kind", type(value).__name__.strip("_").lower())


def _dictionary(machine: PickleMachine, items: Any = None) -> dict[Any, Any]:
    if isinstance(items, dict):
        return items
    result: dict[Any, Any] = {}
    for key, value in _sequence(machine, items):
        machine.set_item(result, key, value)
    return result


def _sequence(machine: PickleMachine, items: Any = None, *_: Any) -> list[Any]:
    items = [] if items is None or items == () else items
    if not isinstance(items, (list, tuple)):
        raise machine.refuse(f"a container made of a {kind_of(items)}")
    machine.spend(len(items))
    return list(items)


def _bytes(machine: PickleMachine, data: Any = b"", encoding: Any = "latin1") -> bytes:
    """`codecs.encode` and the like, by which pickles of protocol 2 write bytes."""
    if isinstance(data, str) and encoding in ("latin1", "latin-1"):
        machine.spend(len(data))
        return data.encode("latin1")
    if not isinstance(data, bytes):
        raise machine.refuse(f"bytes made of a {kind_of(data)}")
    return data


_BUILTIN: Mapping[str, Callable[..., Any]] = {
    "collections OrderedDict": _dictionary,
    "collections Counter": _dictionary,
    "collections defaultdict": lambda machine, factory=None, items=None: _dictionary(machine, items),
    "collections deque": _sequence,
    "builtins dict": _dictionary,
    "builtins list": _sequence,
    "builtins tuple": _sequence,
    "builtins set": _sequence,
    "builtins frozenset": _sequence,
    "builtins bytes": _bytes,
    "builtins bytearray": _bytes,
    "_codecs encode": _bytes,
}
"""Containers of the standard library; sets are lists here, so that nothing has to be hashed."""

_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class PickleMachine:
    """The stack machine for one pickle.

    Args:
        path: the file, for messages.
        globals: (module, name) -> what stands for it: a `Function`, a value, or None for what no array needs.
        storages: gives the value of a persistent id.
        expected: what the file should be, and remedy: how to save that, for messages.
    """

    def __init__(
        self,
        path: Path,
        globals: Callable[[str, str], Any],
        storages: Any = None,
        *,
        expected: str = "a PyTorch state dict (named tensors)",
        remedy: str = "Load it in PyTorch and run torch.save(model.state_dict(), path).",
    ) -> None:
        self.path, self.storages = path, storages
        self._globals, self._expected, self._remedy = globals, expected, remedy
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._left = 0
        self.end = 0

    def run(self, program: bytes | bytearray | memoryview | IO[bytes]) -> Any:
        """The object that the program describes: bytes, or an open file from its beginning; `end` is the number of its bytes up to the
        end of the instructions."""
        source = Source(program)
        self._left = 2**20 + 2 * source.size
        for count, (instruction, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], source))):
            if count > MAX_INSTRUCTIONS:
                raise self.refuse(f"a pickle of more than {MAX_INSTRUCTIONS} instructions")
            if instruction.name == "STOP":
                break
            action = _INSTRUCTIONS.get(instruction.name)
            if action is None:
                raise self.refuse(f"the pickle instruction {instruction.name}, which no weights file needs")
            action(self, argument)
        self.end = source.place
        return self._stack.pop()

    def spend(self, amount: int) -> None:
        """Account for elements or bytes that an instruction makes anew; a pickle that multiplies them is refused."""
        self._left -= amount
        if self._left < 0:
            raise self.refuse("a pickle that makes far more than it holds")

    def refuse(self, found: str) -> ModelFileError:
        """The error for this file."""
        return refusal(self.path, expected=self._expected, found=found, remedy=self._remedy)

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
        """Keep the topmost value under a number, the next one by default; not long texts, which are bytes of one array."""
        value = self._stack[-1]
        is_long = isinstance(value, str) and len(value) > _LONG_TEXT
        self._memo[len(self._memo) if index is None else index] = Opaque("builtins.str") if is_long else value

    def append(self, items: list[Any]) -> None:
        """Extend the list below."""
        target = self._stack[-1]
        if isinstance(target, Opaque):
            target.items |= {len(target.items) + k: item for k, item in enumerate(items)}
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise self.refuse(f"items appended to a {kind_of(target)}, which is not a list")

    def set_items(self, items: list[Any]) -> None:
        """Fill the dictionary below with alternating keys and values."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.set_item(self._stack[-1], key, value)

    def set_item(self, target: Any, key: Any, value: Any) -> None:
        """Fill one entry. Only numbers, strings and tuples of these are hashed; another key gets a name of its own."""
        target = target.items if isinstance(target, Opaque) else target
        if not isinstance(target, dict):
            raise self.refuse(f"an entry set in a {kind_of(target)}, which is not a dictionary")
        target[key if _is_plain_key(key) else f"({kind_of(key)} {len(target)})"] = value

    def dictionary(self, items: list[Any]) -> None:
        """Push a dictionary of alternating keys and values."""
        self.push({})
        self.set_items(items)

    def global_name(self, name: str) -> None:
        """Push what stands for a named global."""
        module, _, member = name.partition(" ")
        module = _PYTHON_2.get(module, module)
        builtin = _BUILTIN.get(f"{module} {member}")
        if builtin is not None:
            self.push(Function(f"{module}.{member}", builtin))
            return
        found = self._globals(module, member)
        self.push(Opaque(f"{module}.{member}") if found is None else found)

    def stack_global(self, _: Any) -> None:
        """As `global_name`, with module and name on the stack."""
        module, name = self.take(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self.refuse("a global without a name")
        self.global_name(f"{module} {name}")

    def call(self, function: Any, arguments: Any) -> None:
        """Push the result of a function of ours, or an object that is passed by; nothing else can be called."""
        if isinstance(function, Opaque):
            is_rebuilt = function.name == "copyreg._reconstructor" and isinstance(arguments, tuple) and arguments
            inner = arguments[0] if is_rebuilt else function
            self.push(Opaque(inner.name if isinstance(inner, Opaque) else function.name))
        elif isinstance(function, Function) and isinstance(arguments, tuple):
            self.push(function.call(self, *arguments))
        else:
            raise self.refuse(f"a call of a {kind_of(function)}")

    def make(self, cls: Any = None, *arguments: Any) -> None:
        """An object by its class and its arguments."""
        self.call(cls, arguments)

    def instance_of(self, name: str) -> None:
        """An object by its class, in the instruction, and its arguments on the stack (protocol 0)."""
        arguments = self.take_marked()
        self.global_name(name)
        self.call(self.take(1)[0], tuple(arguments))

    def build(self, _: Any) -> None:
        """Give an object its attributes; those of a dictionary (a state dict's `_metadata`) are dropped."""
        state = self.take(1)[0]
        target: Any = self._stack[-1]
        if isinstance(target, Opaque):
            target.state = state
        elif isinstance(target, Buildable):
            target.build(self, state)
        elif not isinstance(target, (dict, list)):
            raise self.refuse(f"attributes set on a {kind_of(target)}")

    def persistent(self, _: Any) -> None:
        """Replace a persistent id by what it stands for."""
        identifier = self.take(1)[0]
        if self.storages is None:
            raise self.refuse("a persistent id, and no storages")
        self.push(self.storages.find(identifier))


class Source:
    """Bytes, or an open file, with the `place` that was reached; it is asked for no more than its `size`."""

    def __init__(self, program: bytes | bytearray | memoryview | IO[bytes]) -> None:
        if isinstance(program, (bytes, bytearray, memoryview)):
            self._file, self.size = io.BufferedReader(Bytes(program)), len(program)
        else:
            self._file, self.size = program, os.fstat(program.fileno()).st_size

    @property
    def place(self) -> int:
        """Bytes read up to now."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """So many bytes, or those that are left."""
        return self._file.read(min(count, self.size - self.place))

    def readline(self) -> bytes:
        """A line with its end."""
        return self._file.readline()


def _is_plain_key(key: Any) -> bool:
    plain = (str, int, float, bytes, type(None))
    return isinstance(key, plain) or (isinstance(key, tuple) and all(isinstance(k, plain) for k in key))


_Action = Callable[[PickleMachine, Any], object]

_CONSTANTS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip

_INSTRUCTIONS: dict[str, _Action] = {
    **dict.fromkeys(_CONSTANTS, PickleMachine.push),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleMachine.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.push(machine._memo[index])),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": PickleMachine.mark,
    "POP": lambda machine, _: machine.take(1),
    "POP_MARK": lambda machine, _: machine.take_marked(),
    "DUP": lambda machine, _: machine.push(machine._stack[-1]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.take_marked())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "LIST": lambda machine, _: machine.push(machine.take_marked()),
    "FROZENSET": lambda machine, _: machine.push(tuple(machine.take_marked())),
    "DICT": lambda machine, _: machine.dictionary(machine.take_marked()),
    "APPEND": lambda machine, _: machine.append(machine.take(1)),
    "APPENDS": lambda machine, _: machine.append(machine.take_marked()),
    "ADDITEMS": lambda machine, _: machine.append(machine.take_marked()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.take_marked()),
    "GLOBAL": PickleMachine.global_name,
    "STACK_GLOBAL": PickleMachine.stack_global,
    "REDUCE": lambda machine, _: machine.call(*machine.take(2)),
    "NEWOBJ": lambda machine, _: machine.call(*machine.take(2)),
    "NEWOBJ_EX": lambda machine, _: machine.call(*machine.take(3)[:2]),
    "OBJ": lambda machine, _: machine.make(*machine.take_marked()),
    "INST": PickleMachine.instance_of,
    "BUILD": PickleMachine.build,
    "BINPERSID": PickleMachine.persistent,
}
