"""PyTorch checkpoints (the zip format of `torch.save` since 1.6), read without PyTorch and without unpickling.

The archive holds a pickle that describes the tensors, which `torch_pickle` reads as data, and one member of raw bytes per storage.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from retime.io.archive import read_member
from retime.io.arrays import FREE_BYTES, ArrayCollector, FileArrays, reading, widen_bfloat16
from retime.io.pickle_machine import Opaque, PickleMachine, kind_of
from retime.io.torch_pickle import ElementType, Storage, refuse_checkpoint, torch_global
from retime.io.tree import collect


def read_torch(path: Path) -> FileArrays:
    """Read the tensors of a PyTorch checkpoint; nested dictionaries are flattened with ".".

    Strided views, shared storages and sparse tensors are resolved into separate arrays. Strings and numbers in dictionaries
    (an epoch, a learning rate) go to the metadata. Other objects are passed by, with their names in the metadata; a whole module
    and a TorchScript archive are read as their state dict, with what their layers say of themselves.

    Raises:
        ModelFileError: damaged, or without a named tensor. Nothing of it is run.
    """
    collector = ArrayCollector(path, "torch-zip")
    with reading(path, "PyTorch zip checkpoint"), zipfile.ZipFile(path) as archive:
        root = _root(path, archive.namelist())
        storages = _ZipStorages(collector, archive, root)
        program = read_member(archive, f"{root}data.pkl", path, FREE_BYTES)
        return named_tensors(collector, PickleMachine(path, torch_global, storages), program)


def named_tensors(collector: ArrayCollector, machine: PickleMachine, program: Any) -> FileArrays:
    """The arrays of what a pickle describes.

    Raises:
        ModelFileError: there are none, or one without a name.
    """
    content = machine.run(program)
    if not isinstance(content, (dict, list, tuple, Opaque)):
        raise machine.refuse(f"a single {kind_of(content)} without names")
    if isinstance(content, Opaque) and not isinstance(content.state, (dict, tuple)) and not content.items:
        raise machine.refuse(f"the global `{content.name}` in its pickle (code or an object; it was not run)")
    collect(collector, content)
    return collector.finish()


def _root(path: Path, names: list[str]) -> str:
    """The folder that holds everything in the archive, with its slash."""
    folders = [name.removesuffix("data.pkl") for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(folders) != 1:
        raise refuse_checkpoint(path, f"{len(folders)} pickles named data.pkl")
    return folders[0]


class Storages:
    """Storages of a checkpoint, each read when it is first named.

    Args:
        collector: accounts for the bytes of the tensors.
        order: of bytes, "<" or ">".
    """

    def __init__(self, collector: ArrayCollector, order: str = "<") -> None:
        self.collector, self.order = collector, order
        self._given: set[str] = set()

    def parts(self, identifier: Any, length: int) -> Any:
        """What follows "storage" in a persistent id: type, key, device, number of elements, ..."""
        is_one = isinstance(identifier, tuple) and len(identifier) == length and identifier[0] == "storage"
        if not is_one or not isinstance(identifier[1], ElementType) or not isinstance(identifier[2], str):
            raise refuse_checkpoint(self.collector.path, "a persistent id that names no storage")
        return identifier[1:]

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Zeros, for a sparse tensor."""
        self.collector.reserve("a sparse tensor", math.prod(shape) * dtype.itemsize)
        return np.zeros(shape, dtype)

    def view(
        self, storage: Storage, element: ElementType, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> np.ndarray:
        """The strided view, after a check that it lies inside its storage; a copy where the storage was given before."""
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        self.collector.reserve(f"storage {storage.key}", count * itemsize(element))
        flat = np.frombuffer(storage.data, f"{self.order}{'u2' if element.code == 'bf16' else element.code}")
        if count and last >= flat.size:
            found = f"a tensor of shape {size} that reaches element {last} of a storage of {flat.size}"
            raise refuse_checkpoint(self.collector.path, found)
        if not count:
            return np.empty(size, flat.dtype.newbyteorder("="))
        strides = [step * flat.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(flat[offset:], size, strides)
        if element.code == "bf16":
            return widen_bfloat16(array)
        is_shared = storage.key in self._given or not array.flags.c_contiguous
        self._given.add(storage.key)
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=is_shared or None)


def itemsize(element: ElementType) -> int:
    """Bytes of one element; 1 for types that are not read."""
    return 2 if element.code == "bf16" else np.dtype(element.code or "u1").itemsize


class _ZipStorages(Storages):
    """Those that are members of an archive."""

    def __init__(self, collector: ArrayCollector, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root
        self._members = set(archive.namelist())
        self._data: dict[str, bytearray] = {}
        name = f"{root}byteorder"
        is_big = name in self._members and read_member(archive, name, collector.path).strip() == b"big"
        super().__init__(collector, ">" if is_big else "<")

    def find(self, identifier: Any) -> Storage:
        """The storage of a persistent id ("storage", type, key, device, number of elements)."""
        element, key, _, count = self.parts(identifier, 5)
        data = self._bytes(key)
        present = len(data) // itemsize(element)
        if not isinstance(count, int) or not 0 <= count <= present:
            found = f"storage {key!r} declared with {count} elements of {element.name}, {present} present"
            raise refuse_checkpoint(self.collector.path, found)
        return Storage(key, element, memoryview(data)[: count * itemsize(element)])

    def _bytes(self, key: str) -> bytearray:
        name = f"{self._root}data/{key}"
        if name not in self._members:
            raise refuse_checkpoint(
                self.collector.path, f"no member `{name}` for one of its tensors (a truncated copy?)"
            )
        if key not in self._data:
            self._data[key] = read_member(self._archive, name, self.collector.path)
        return self._data[key]
