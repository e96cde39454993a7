"""safetensors files, through the `safetensors` library; bfloat16 is widened to float32, exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from retime.io.arrays import ArrayCollector, FileArrays, reading, widen_bfloat16

__all__ = ["read_safetensors"]

_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def read_safetensors(path: Path) -> FileArrays:
    """Read the tensors of a safetensors file; its `__metadata__` goes to the metadata.

    Args:
        path: an existing file.

    Returns:
        A `FileArrays` of format "safetensors".

    Raises:
        ModelFileError: damaged, or a tensor is complex or of fewer than 16 bits.
    """
    from safetensors import deserialize

    collector = ArrayCollector(path, "safetensors")
    with reading(path, "safetensors file"):
        data = path.read_bytes()
        for name, entry in deserialize(data):
            collector.add_array(name, _tensor(collector, name, entry))
        for name, text in _header(data).get("__metadata__", {}).items():
            collector.add_text(name, text)
    return collector.finish()


def _tensor(collector: ArrayCollector, name: str, entry: dict[str, Any]) -> np.ndarray:
    dtype = entry["dtype"]
    if dtype not in _DTYPES:
        raise collector.refuse(name, f"values of type {dtype}", "Convert them to float32 and save again.")
    array = np.frombuffer(bytes(entry["data"]), _DTYPES[dtype]).reshape(entry["shape"])
    return widen_bfloat16(array) if dtype == "BF16" else array


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])
