"""Pickles that are no archive: checkpoints of PyTorch before 1.6, and plain pickles of NumPy arrays.

Before 1.6 a checkpoint is five pickles in a row (a magic number, a version, facts about the machine, the content, the keys of its storages),
then for each key the number of its elements and their bytes. What the pickles name is never made: see `pickle_machine`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retime.io.arrays import ArrayCollector, FileArrays, reading
from retime.io.pickle_machine import Opaque, PickleMachine
from retime.io.pickle_numpy import numpy_global
from retime.io.torch import Storages, itemsize, named_tensors
from retime.io.torch_pickle import ElementType, Storage, refuse_checkpoint, torch_global


def is_legacy(head: bytes) -> bool:
    """Whether a file begins with the pickle of PyTorch's magic number, of whatever protocol."""
    return head[:1] == b"\x80" and b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." in head[:24]


def is_pickle(head: bytes, suffix: str) -> bool:
    """Whether a file begins as a pickle does: of protocol 2 or later by its first bytes, of an earlier one by its suffix too."""
    if head[:1] == b"\x80":
        return 2 <= head[1] <= 5 and head[8:9] != b"{" if len(head) > 1 else False
    return suffix.lower() in (".pkl", ".pickle", ".p") and head.startswith((b"(d", b"}", b"(l", b"]", b"c", b"(c"))


def read_pickle(path: Path) -> FileArrays:
    """Read the NumPy arrays of a plain pickle, as data.

    Raises:
        ModelFileError: damaged, or without a named array. Nothing of it is run.
    """
    collector = ArrayCollector(path, "pickle")
    with reading(path, "pickle of named NumPy arrays"), path.open("rb") as file:
        machine = PickleMachine(path, numpy_global, expected="named NumPy arrays", remedy="Save them with numpy.savez.")
        return named_tensors(collector, machine, file)


def read_torch_legacy(path: Path) -> FileArrays:
    """Read the tensors of a checkpoint of PyTorch before 1.6 (or of `_use_new_zipfile_serialization=False`).

    Raises:
        ModelFileError: damaged, or without a named tensor. Nothing of it is run.
    """
    collector = ArrayCollector(path, "torch-legacy")
    with reading(path, "PyTorch checkpoint"):
        data, start = memoryview(path.read_bytes()), 0
        for _ in range(3):
            start += _run(path, data[start:])[1]
        storages = _LegacyStorages(collector)
        stop = start + _run(path, data[start:], _types_only, storages)[1]
        keys, length = _run(path, data[stop:])
        storages.locate(keys, data[stop + length :])
        return named_tensors(collector, PickleMachine(path, torch_global, storages), data[start:stop])


def _run(path: Path, data: memoryview, globals: Any = numpy_global, storages: Any = None) -> tuple[Any, int]:
    machine = PickleMachine(path, globals, storages)
    return machine.run(data), machine.end


def _types_only(module: str, member: str) -> ElementType | None:
    found = torch_global(module, member)
    return found if isinstance(found, ElementType) else None


class _LegacyStorages(Storages):
    """Those that follow the pickles. A first run of the pickle tells their types, without which their places are unknown."""

    def __init__(self, collector: ArrayCollector) -> None:
        super().__init__(collector)
        self._types: dict[str, ElementType] = {}
        self._data: dict[str, memoryview] = {}

    def find(self, identifier: Any) -> Any:
        """The storage of a persistent id ("storage", type, key, device, number of elements, part of another or None), or the
        class of ("module", class, file, source)."""
        if isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module":
            return identifier[1] if isinstance(identifier[1], Opaque) else Opaque("module")
        element, key, _, _, part = self.parts(identifier, 6)
        self._types[key] = element
        first, count = (0, None) if part is None else part[1:]
        data = self._data.get(key, memoryview(b""))[first * itemsize(element) :]
        return Storage(key, element, data if count is None else data[: count * itemsize(element)])

    def locate(self, keys: Any, data: memoryview) -> None:
        """Where each storage lies, by the numbers of elements before them."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise refuse_checkpoint(self.collector.path, "no list of storages")
        for key in keys:
            if key not in self._types:
                raise refuse_checkpoint(self.collector.path, f"a storage {key!r} that no tensor names")
            size = int.from_bytes(data[:8], "little") * itemsize(self._types[key])
            if len(data) < 8 or size > len(data) - 8:
                found = (
                    f"a storage of {size} bytes, {max(len(data) - 8, 0)} before the end of the file (a truncated copy?)"
                )
                raise refuse_checkpoint(self.collector.path, found)
            self._data[key], data = data[8 : 8 + size], data[8 + size :]
