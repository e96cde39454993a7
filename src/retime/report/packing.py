"""Columns of numbers for a page: fixed-point numbers of as many bits as are worth it, in base 64."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from retime.core.arrays import Array

EXACT = 40  # bits of what is read as a number: 1e-12 of the range
DRAWN = 12  # bits of what is only drawn: 4,096 levels


def column(values: Array, bits: int = DRAWN) -> dict[str, Any]:
    """Finite numbers `(T,)` as low + k (high - low) / (2^bits - 1): `{"low", "high", "bits", "count", "packed"}`.

    Args:
        values: finite. bits: a multiple of 4, at most 48. The integers follow each other in base 16, high digit first.
    """
    x = np.asarray(values, dtype=np.float64)
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
    most = 2.0**bits - 1.0
    span = high / 2 - low / 2  # of values near the largest number the difference is none
    share = np.zeros(len(x)) if span == 0 else (x / 2 - low / 2) / span
    whole = np.rint(share * most).astype(np.uint64)
    return {"low": low, "high": high, "bits": bits, "count": len(x), "packed": _digits(whole, bits)}


def integers(values: Array, bits: int = 16) -> dict[str, Any]:
    """Whole numbers `(T,)` from 0 to 2^bits - 1, larger ones cut to that, as a column."""
    whole = np.clip(np.asarray(values), 0, 2**bits - 1).astype(np.uint64)
    return {"low": 0.0, "high": 2.0**bits - 1.0, "bits": bits, "count": len(whole), "packed": _digits(whole, bits)}


def array(values: Any, dtype: Any = np.float64) -> dict[str, Any]:
    """An array as it is, little endian: `{"shape", "kind", "bytes"}`; in 32 bits where that loses nothing."""
    x = np.ascontiguousarray(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        short = x.astype(np.float32)
    kind = np.float32 if dtype is np.float32 or (short.astype(np.float64) == x).all() else np.float64
    data = (short if kind is np.float32 else x).astype(np.dtype(kind).newbyteorder("<"))
    return {"shape": list(x.shape), "kind": np.dtype(kind).name, "bytes": base64.b64encode(data.tobytes()).decode()}


def size(packed: dict[str, Any]) -> int:
    """Characters that a column or an array takes in the page."""
    return len(packed.get("packed", packed.get("bytes", "")))


def _digits(whole: Array, bits: int) -> str:
    shifts = np.arange(bits - 4, -1, -4, dtype=np.uint64)
    digits = ((whole[:, None] >> shifts) & np.uint64(15)).astype(np.uint8).reshape(-1)
    if len(digits) % 2:
        digits = np.append(digits, np.uint8(0))
    return base64.b64encode((digits[::2] << 4 | digits[1::2]).tobytes()).decode()
