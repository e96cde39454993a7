"""Numbers that are zero but for rounding: -1.2e-38 for the origin, 1e-17 for the real part of a rotation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retime.core.arrays import Array

DUST = 4.0 * float(np.finfo(float).eps)  # distance from 0, relative to the size of a point, that rounding explains


def without_dust(points: Array, rests: Callable[[Array], Array]) -> Array:
    """States `(k, n)` with zeros for entries below 1e-15 (1 + |z|), where the states solve their equation as well with them.

    Args:
        rests: residuals `(k,)`, relative to 1 + |z|, of states `(k, n)`: an entry of 1e-16 can be essential behind a weight of 1e14.
    """
    small = np.abs(points) <= DUST * (1.0 + np.abs(points).max(axis=1, initial=0.0, keepdims=True))
    clean = np.where(small, 0.0, points)
    if not (small & ((points != 0.0) | np.signbit(points))).any():
        return points
    is_as_good = rests(clean) <= np.maximum(rests(points), DUST)
    return np.where(is_as_good[:, None], clean, points)


def tidy(w: Array) -> Array:
    """Eigenvalues `(...)` with zeros for real or imaginary parts below 1e-15 of the modulus."""
    w = np.asarray(w, dtype=complex)
    size, real, imag = DUST * np.abs(w), np.real(w), np.imag(w)
    return np.asarray(np.where(np.abs(real) <= size, 0.0, real) + 1j * np.where(np.abs(imag) <= size, 0.0, imag))
