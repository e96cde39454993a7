"""One step of a linear flow, whatever its states and inputs are measured in."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.balance import balancing


def linear_step(L: Array, H: Array) -> tuple[Array, Array]:
    """exp(L) `(N, N)` and integral_0^1 exp(L t) dt H `(N, k)`, computed in balanced units with every column of H small.

    The exponential of a matrix is known to rounding of its norm: without this a large unit, or a large input, would cost the
    digits of the others. Units and scales are powers of two, so nothing else changes.
    """
    from scipy.linalg import expm

    N, k = H.shape
    if not N:
        return np.zeros((0, 0)), np.zeros((0, k))
    with np.errstate(all="ignore"):
        w = balancing(L[None])[0][:, None]
        X, B = np.zeros((N + k, N + k)), L * (w.T / w)
        power = small_columns(B[None], (H / w)[None])[0]
        X[:N, :N], X[:N, N:] = B, H / w * power
        E = expm(X)[:N]
        return E[:, :N] * (w / w.T), E[:, N:] * w / power


def small_columns(L: Array, H: Array) -> Array:
    """Powers of two `(r, 1, k)` that make the columns of a stack H `(r, N, k)` small beside the largest of L `(r, N, N)`."""
    norm, size = np.abs(L).sum(axis=1).max(axis=1, initial=0.0), np.abs(H).sum(axis=1)
    aim = 2.0**-10 * np.where(norm > 0, norm, 1.0)
    exponent = np.floor(np.log2(aim[:, None] / np.where(size > 0, size, 1.0)))
    return np.exp2(np.clip(exponent, -900, 900))[:, None, :]
