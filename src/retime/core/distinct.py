"""Which rows of a long table differ, found by sorting integers: fast, and Ctrl-C is heard meanwhile (a sort of whole rows holds Python)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array


class DistinctRows(NamedTuple):
    """The different rows of a table in lexicographic order.

    Attributes:
        first: `(r,)`, index of the first row of each kind. number: `(k,)`, the kind of every row. counts: `(r,)`, how often each occurs.
    """

    first: Array
    number: Array
    counts: Array


def distinct_rows(rows: Array) -> DistinctRows:
    """The different rows of a bool table `(k, q)`, e.g. patterns along an orbit. Cost: k log k for each 64 columns."""
    return _grouped(_words(np.asarray(rows, dtype=bool)))


def first_of_cells(cells: Array) -> Array:
    """Indices, ascending, of the first row of each kind of whole-numbered rows `(k, n)`; kinds are told apart by a 64-bit sum of products."""
    factors = np.random.default_rng(0).integers(0, 2**63, cells.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    key = np.zeros(len(cells), dtype=np.uint64)
    for column, factor in zip(cells.T, factors, strict=True):
        key += column.astype(np.int64).view(np.uint64) * factor  # modulo 2^64
    return np.sort(_grouped(key[:, None]).first)


def _words(bits: Array) -> Array:
    """Rows of bits as rows of 64-bit words in the same order."""
    packed = np.packbits(bits, axis=1)
    words = np.zeros((len(bits), max(-(-packed.shape[1] // 8), 1) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(">u8").astype(np.uint64)


def _grouped(words: Array) -> DistinctRows:
    order = np.lexsort(words.T[::-1])
    ordered = words[order]
    begins = np.ones(len(words), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = np.empty(len(words), dtype=np.int64)
    number[order] = np.cumsum(begins) - 1
    return DistinctRows(order[begins], number, np.bincount(number))
