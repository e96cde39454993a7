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
from retime.io.torch_pickle import (
    ElementType,
    Opaque,
    PickleMachine,
    Storage,
    global_refused,
    kind_of,
    refuse_checkpoint,
)

__all__ = ["read_torch"]


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
        content = PickleMachine(path, storages).run(read_member(archive, f"{root}data.pkl", path, FREE_BYTES))
        if isinstance(content, Opaque):
            raise global_refused(path, content.name)
        if not isinstance(content, dict):
            raise refuse_checkpoint(path, f"a single {kind_of(content)} without names")
        _flatten(collector, "", content)
    return collector.finish()


def _root(path: Path, names: list[str]) -> str:
    """The folder that holds everything in the archive, with its slash."""
    folders = [name.removesuffix("data.pkl") for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise refuse_checkpoint(path, "a TorchScript archive, which contains code")
    if len(folders) != 1:
        raise refuse_checkpoint(path, f"{len(folders)} pickles named data.pkl")
    return folders[0]


def _flatten(collector: ArrayCollector, name: str, value: Any) -> None:
    collector.visit(name)
    if isinstance(value, np.ndarray):
        with collector.optional(name):
            collector.add_array(name, value)
    elif isinstance(value, dict):
        for key, child in value.items():
            if isinstance(child, (str, int, float)):
                collector.add_text(_join(name, key), child)
            elif isinstance(child, Opaque):
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

    def find(self, identifier: Any) -> Storage:
        """The storage of a persistent id ("storage", type, key, device, number of elements)."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise refuse_checkpoint(self._collector.path, "a persistent id that names no storage")
        _, element, key, _, count = identifier
        if not (isinstance(element, ElementType) and isinstance(key, str) and isinstance(count, int)):
            raise refuse_checkpoint(self._collector.path, "a persistent id that names no storage")
        data = self._bytes(key)
        present = len(data) // _itemsize(element)
        if not 0 <= count <= present:
            found = f"storage {key!r} declared with {count} elements of {element.name}, {present} present"
            raise refuse_checkpoint(self._collector.path, found)
        return Storage(key, element, memoryview(data)[: count * _itemsize(element)])

    def _bytes(self, key: str) -> bytearray:
        name = f"{self._root}data/{key}"
        if name not in self._members:
            raise refuse_checkpoint(
                self._collector.path, f"no member `{name}` for one of its tensors (a truncated copy?)"
            )
        if key not in self._data:
            self._data[key] = read_member(self._archive, name, self._collector.path)
        return self._data[key]

    def view(
        self, storage: Storage, element: ElementType, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> Any:
        """The strided view, after a check that it lies inside its storage; a copy where the storage was given before."""
        if not element.code:
            raise refuse_checkpoint(self._collector.path, f"elements of type {element.name}; convert them to float32")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        self._collector.reserve(f"storage {storage.key}", count * _itemsize(element))
        flat = np.frombuffer(storage.data, self._dtype(element))
        if count and last >= flat.size:
            found = f"a tensor of shape {size} that reaches element {last} of a storage of {flat.size}"
            raise refuse_checkpoint(self._collector.path, found)
        if not count:
            return np.empty(size, flat.dtype.newbyteorder("="))
        strides = [step * flat.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(flat[offset:], size, strides)
        if element.code == "bf16":
            return widen_bfloat16(array)
        is_shared = storage.key in self._given or not array.flags.c_contiguous
        self._given.add(storage.key)
        return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=is_shared or None)

    def _dtype(self, element: ElementType) -> np.dtype:
        return np.dtype(f"{self._order}u2" if element.code == "bf16" else f"{self._order}{element.code}")


def _itemsize(element: ElementType) -> int:
    return 2 if element.code == "bf16" else np.dtype(element.code or "u1").itemsize
