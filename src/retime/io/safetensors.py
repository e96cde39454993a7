"""safetensors files: a JSON header of names, types, shapes and places, then the bytes; bfloat16 is widened, exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from retime.io.arrays import FREE_BYTES, ArrayCollector, FileArrays, reading, widen_bfloat16

_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def read_safetensors(path: Path) -> FileArrays:
    """Read the tensors of a safetensors file; its `__metadata__` goes to the metadata.

    The decoder is our own: each tensor is read straight into its array, where the `safetensors` library holds three copies.

    Raises:
        ModelFileError: damaged, or a tensor that lies outside the file or over another one; complex, or of fewer than 16 bits.
    """
    collector = ArrayCollector(path, "safetensors")
    with reading(path, "safetensors file"), path.open("rb") as file:
        header, start = _header(file, path.stat().st_size)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        _check_places(entries, path.stat().st_size - start)
        for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
            collector.visit(name)
            with collector.optional(name):
                collector.add_array(name, _tensor(collector, name, entry, file, start))
        for name, text in (header.get("__metadata__") or {}).items():
            collector.visit(name)
            collector.add_text(name, text)
    return collector.finish()


def _header(file: IO[bytes], size: int) -> tuple[dict[str, Any], int]:
    """The header, and where the bytes begin."""
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, FREE_BYTES):
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")
    return header, 8 + length


def _check_places(entries: Mapping[str, Any], present: int) -> None:
    """The tensors must fill the bytes, one after the other."""
    place = 0
    for start, stop in sorted(tuple(entry["data_offsets"]) for entry in entries.values()):
        if start != place or stop < start:
            raise ValueError(f"a tensor at bytes {start} to {stop}, where the one before ends at {place}")
        place = stop
    if place != present:
        raise ValueError(f"{place} bytes declared, {present} present")


def _tensor(collector: ArrayCollector, name: str, entry: Mapping[str, Any], file: IO[bytes], start: int) -> np.ndarray:
    code, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if code not in _DTYPES:
        raise collector.unreadable(name, f"values of type {code}", "Convert them to float32 and save again.")
    if not all(isinstance(k, int) and k >= 0 for k in shape):
        raise collector.refuse(name, f"a tensor of shape {shape}", "Save it again.")
    dtype, count = np.dtype(_DTYPES[code]), math.prod(shape)
    if count * dtype.itemsize != last - first:
        raise ValueError(f"shape {shape} of {code} in {last - first} bytes")
    collector.reserve(name, last - first)
    file.seek(start + first)
    array = np.fromfile(file, dtype, count).reshape(shape)
    return widen_bfloat16(array) if code == "BF16" else array
