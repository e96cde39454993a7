"""Entropy rate of the sequence of regions that an orbit visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retime.core.arrays import Array
from retime.core.result import Result

BLOCKS = 10  # of the jackknife


@dataclass(frozen=True, repr=False)
class EntropyRate(Result):
    """Bits per transition of a first-order Markov chain.

    value: the rate of the observed frequencies, -sum_i pi_i sum_j p_ij log2 p_ij with p_ij = n_ij / n_i, pi_i = n_i / n.
    standard_error: delete-one-block jackknife over 10 blocks of consecutive transitions; NaN with fewer than 20 transitions.
    correction: what Miller and Madow add for the bias of few transitions, (pairs i, j seen - i seen) / (2 n log 2).
    """

    value: float
    standard_error: float
    correction: float

    def __float__(self) -> float:
        return self.value

    def _title(self) -> str:
        return f"{self.value:.6g} +- {self.standard_error:.2g} bits per transition, correction {self.correction:.2g}"


def entropy_rate_of(pairs: Array, r: int) -> EntropyRate:
    """Entropy rate of the transitions `(k, 2)`, in order of time, between r regions."""
    n = len(pairs)
    if n == 0:
        return EntropyRate(0.0, float("nan"), 0.0)
    kinds, kind = np.unique(pairs[:, 0] * r + pairs[:, 1], return_inverse=True)
    source = kinds // r
    counts = np.bincount(kind, minlength=len(kinds))
    correction = (len(kinds) - len(np.unique(source))) / (2 * n * np.log(2))
    error = float("nan")
    if n >= 2 * BLOCKS:
        block = np.arange(n) * BLOCKS // n
        parts = [np.bincount(kind[block == i], minlength=len(kinds)) for i in range(BLOCKS)]
        values = np.array([_rate(counts - part, source, r) for part in parts])
        error = float(np.sqrt((BLOCKS - 1) / BLOCKS * ((values - values.mean()) ** 2).sum()))
    return EntropyRate(_rate(counts, source, r), error, correction)


def _rate(counts: Array, source: Array, r: int) -> float:
    leaving = np.bincount(source, weights=counts, minlength=r)[source]
    seen = counts > 0
    bits = counts[seen] * np.log2(leaving[seen] / counts[seen])
    return float(bits.sum() / counts.sum())
