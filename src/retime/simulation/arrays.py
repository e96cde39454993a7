"""Models as the contiguous arrays that compiled kernels read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import PiecewiseAffineForm


class FormArrays(NamedTuple):
    """A canonical form; matrices are stored by columns so that products are sums of scaled rows.

    diagonal `(n,)` holds A when it is diagonal, else AT `(n, n)` its transpose; the other is empty. selection `(q,)` is
    the state each unit reads when W2 only selects, else W2T `(n, q)`; the other is empty. parallel, ratio, idle `(q,)`: as in the form.
    """

    diagonal: Array
    AT: Array
    selection: Array
    W2: Array
    W2T: Array
    W1T: Array
    h1: Array
    h2: Array
    C1T: Array
    C2T: Array
    parallel: Array
    ratio: Array
    idle: Array


def form_arrays(form: PiecewiseAffineForm) -> FormArrays:
    """`form` with private, writable, C-ordered arrays (one compiled signature for all models)."""
    n = form.num_states

    def own(a: Array) -> Array:
        return np.array(a, dtype=np.float64, order="C")

    selects = len(form.selection) > 0
    return FormArrays(
        own(np.diagonal(form.A)) if form.is_diagonal else np.zeros(0),
        np.zeros((0, n)) if form.is_diagonal else own(form.A.T),
        np.array(form.selection, dtype=np.int64),
        own(form.W2),
        np.zeros((0, form.num_units)) if selects else own(form.W2.T),
        own(form.W1.T),
        own(form.h1),
        own(form.h2),
        own(form.C1.T),
        own(form.C2.T),
        np.array(form.parallel[0], dtype=np.int64),
        own(form.parallel[1]),
        np.array(form.idle[0], dtype=np.uint8),
    )


class TableArrays(NamedTuple):
    """Regions that kernels can look up by pattern: an open-addressing hash table and one row of data per region.

    data `(capacity, rows, width)`: matrices stored by columns (kind-specific, see the kernels).
    extra `(capacity,)` int: auxiliary states of the region, or -1 for a region without a flow.
    bits `(capacity, q)`, slots `(size,)` region number or -1, keys `(q,)` random words: a hash is the xor of those on.
    """

    data: Array
    extra: Array
    bits: Array
    slots: Array
    keys: Array


_AT_ONCE = 300  # regions that one decision between simultaneous boundaries may need together


class RegionTable:
    """Regions seen so far in one simulation, filled on demand; bounded in memory, safe to share between threads.

    Args:
        num_units: q.
        provide: pattern `(q,)` -> (data `(rows, width)`, extra).
        max_bytes: the table starts anew when it would exceed this (but keeps at least 300 regions).
    """

    def __init__(self, num_units: int, provide: Callable[[Array], tuple[Array, int]], max_bytes: int = 2**28) -> None:
        self._provide, self._max_bytes = provide, max_bytes
        self._keys = np.random.default_rng(0).integers(1, 2**63, num_units, dtype=np.int64)
        self._lock = threading.Lock()
        self._count = 0
        self.arrays = self._empty(16, 1, 1)

    def _empty(self, capacity: int, rows: int, width: int) -> TableArrays:
        q = len(self._keys)
        return TableArrays(
            np.zeros((capacity, rows, width)),
            np.zeros(capacity, dtype=np.int64),
            np.zeros((capacity, q), dtype=np.uint8),
            np.full(4 * capacity, -1, dtype=np.int64),
            self._keys,
        )

    def add(self, pattern: Array) -> None:
        """Make the region of `pattern` `(q,)` available in `arrays`."""
        bits = np.asarray(pattern, dtype=np.uint8)
        with self._lock:
            if self._find(bits) >= 0:
                return
            data, extra = self._provide(bits.astype(bool))
            self._make_room(*data.shape)
            a, k = self.arrays, self._count
            a.data[k, : data.shape[0], : data.shape[1]] = data
            a.extra[k], a.bits[k] = extra, bits
            self._insert(a, k)
            self._count += 1

    def _make_room(self, rows: int, width: int) -> None:
        old = self.arrays
        capacity, rows, width = len(old.data), max(rows, old.data.shape[1]), max(width, old.data.shape[2])
        if (rows, width) == old.data.shape[1:] and self._count < capacity:
            return
        while capacity <= self._count:
            capacity = capacity + max(capacity // 2, 16)
        if self._count > _AT_ONCE and capacity * rows * width * 8 > self._max_bytes:
            self._count, capacity = 0, max(16, capacity // 2)
        new = self._empty(capacity, rows, width)
        k = self._count
        new.data[:k, : old.data.shape[1], : old.data.shape[2]] = old.data[:k]
        new.extra[:k], new.bits[:k] = old.extra[:k], old.bits[:k]
        for i in range(k):
            self._insert(new, i)
        self.arrays = new

    def _insert(self, a: TableArrays, k: int) -> None:
        at = int(hash_of(self._keys, a.bits[k])) % len(a.slots)
        while a.slots[at] >= 0:
            at = (at + 1) % len(a.slots)
        a.slots[at] = k

    def _find(self, bits: Array) -> int:
        a = self.arrays
        at = int(hash_of(self._keys, bits)) % len(a.slots)
        while a.slots[at] >= 0:
            if np.array_equal(a.bits[a.slots[at]], bits):
                return int(a.slots[at])
            at = (at + 1) % len(a.slots)
        return -1


def hash_of(keys: Array, bits: Array) -> Any:
    """Xor of the keys of the bits that are on; nonnegative."""
    return np.bitwise_xor.reduce(keys[bits != 0], initial=0)
