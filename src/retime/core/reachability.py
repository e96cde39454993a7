"""Which states a linear system's inputs reach, and how strongly; between which bounds the states of a network stay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array


class Box(NamedTuple):
    """Vectors between low `(n,)` and high `(n,)`, entry by entry; -inf and inf where there is no bound."""

    low: Array
    high: Array

    @classmethod
    def of(cls, low: float, high: float, size: int) -> Box:
        """The same bounds for every entry."""
        return cls(np.full(size, low), np.full(size, high))

    @classmethod
    def at(cls, point: Array) -> Box:
        """A single vector."""
        return cls(point, point)

    def mapped(self, M: Array, offset: Array) -> Box:
        """The smallest box around M x + offset for all x in this one."""
        up, down = np.maximum(M, 0.0), np.minimum(M, 0.0)
        with np.errstate(invalid="ignore"):  # a weight of 0 takes an infinite bound to 0
            low = np.where(up != 0, up * self.low, 0.0) + np.where(down != 0, down * self.high, 0.0)
            high = np.where(up != 0, up * self.high, 0.0) + np.where(down != 0, down * self.low, 0.0)
        return Box(low.sum(axis=1) + offset, high.sum(axis=1) + offset)

    def plus(self, other: Box) -> Box:
        """The smallest box around the sums."""
        return Box(self.low + other.low, self.high + other.high)

    def joined(self, other: Box) -> Box:
        """Vectors that begin with one of this box and go on with one of the other."""
        return Box(np.concatenate([self.low, other.low]), np.concatenate([self.high, other.high]))

    def contains(self, x: Array) -> Array:
        """Whether (bool) vectors `(..., n)` lie in the box, within rounding."""
        slack = 1e-9 * (1.0 + np.abs(x))
        return np.asarray(((x >= self.low - slack) & (x <= self.high + slack)).all(axis=-1))


def relaxed(drive: Box, leak: Array) -> Box:
    """Where z' = (1 - leak) z + leak d ends up for d in `drive`, leak `(n,)` > 0.

    A leak up to 1 takes z into the box of d. One between 1 and 2 overshoots: the distance from the middle obeys
    |z' - m| <= (leak - 1) |z - m| + leak r with r half the width, so that it ends below leak r / (2 - leak). From 2 on nothing is bounded.
    """
    middle, half = (drive.low + drive.high) / 2.0, (drive.high - drive.low) / 2.0
    overshoots, is_finite = leak > 1.0, np.isfinite(drive.low) & np.isfinite(drive.high)
    with np.errstate(all="ignore"):
        wide = np.where((leak < 2.0) & is_finite, leak * half / (2.0 - leak), np.inf)
        low, high = (
            np.where(np.isfinite(wide), middle - wide, -np.inf),
            np.where(np.isfinite(wide), middle + wide, np.inf),
        )
    return Box(np.where(overshoots, low, drive.low), np.where(overshoots, high, drive.high))


def reachable_dimension(A: Array, E: Array, tolerance: float) -> int:
    """Dimension of span(E, A E, A^2 E, ...), A `(n, n)`, E `(n, m)`, by orthogonal bases of growing subspaces.

    A new direction counts when its part orthogonal to those found is longer than tolerance times the largest singular value of
    (A, E): powers of A, whose columns soon all look alike, are never formed.
    """
    n = len(A)
    if E.shape[1] == 0:
        return 0
    scale = max(float(np.linalg.norm(A, 2)), np.finfo(float).tiny)
    basis = np.zeros((n, 0))
    new, size = E, float(np.linalg.norm(E, 2))
    while new.shape[1] and basis.shape[1] < n:
        for _ in range(2):  # once more against rounding
            new = new - basis @ (basis.T @ new)
        U, sigma, _ = np.linalg.svd(new, full_matrices=False)
        fresh = U[:, sigma > tolerance * size]
        basis, new, size = np.hstack([basis, fresh]), A @ fresh, scale
    return basis.shape[1]


def gramian(A: Array, E: Array, is_discrete: bool, is_stable: bool) -> Array:
    """P with A P + P A^T + E E^T = 0, or A P A^T - P + E E^T = 0 for a map.

    Raises:
        ValueError: the system is not stable.
    """
    from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

    if not is_stable:
        raise ValueError(
            "The system has a mode that does not decay, so its Gramian is infinite; it exists for stable systems."
        )
    P = solve_discrete_lyapunov(A, E @ E.T) if is_discrete else solve_continuous_lyapunov(A, -E @ E.T)
    return (P + P.T) / 2
