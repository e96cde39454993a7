"""Jordan blocks of a matrix that is known to rounding, by ranks: whether a logarithm is the only real one."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array

_CLUSTERS = (
    1e-9,
    1e-7,
    1e-5,
    1e-4,
    1e-3,
    1e-2,
    0.1,
    0.3,
)  # distances within which eigenvalues may be one, per their size

_DOUBT = 300.0  # a second singular value within this factor of rounding may be one of the same eigenvalue


def is_unique_logarithm(M: Array, error: float) -> bool:
    """Whether M `(n, n)`, known to a relative `error`, has one real logarithm: real positive eigenvalues, no block twice.

    Rounding moves an eigenvalue with a block of size p by the p-th root of it, so no eigenvalue is compared with another:
    x is an eigenvalue where M - x is singular to rounding, and it has one block where its null space is a line.

    Source: culver1966, theorem 2.
    """
    M = M * 2.0 ** -np.rint(np.log2(max(float(np.abs(M).max(initial=0.0)), 1e-300)))
    tolerance = 64 * len(M) * error * float(np.linalg.norm(M, 2))
    w = np.linalg.eigvals(M)
    if (np.real(w) <= 0).any():
        return False
    x = np.real(w)
    singular = np.linalg.svd(M - x[:, None, None] * np.eye(len(M)), compute_uv=False)
    if (singular[np.imag(w) != 0, -1] > tolerance).any():
        return False
    several = (singular <= _DOUBT * tolerance).sum(axis=1) > 1
    return all(_differ(M, center, w, tolerance) for center in x[several])


def _differ(M: Array, center: float, w: Array, tolerance: float) -> bool:
    """Whether the blocks of the eigenvalue at `center` have different sizes; False where no cluster is nilpotent to rounding."""
    for distance in _CLUSTERS:
        cluster = np.real(w[np.abs(w - center) <= distance * abs(center)])
        if len(cluster) > 1:
            Z = M - float(np.mean(cluster)) * np.eye(len(M))
            readings = [_block_sizes(Z, factor * tolerance) for factor in (1.0, _DOUBT)]
            if all(sum(sizes) == len(cluster) for sizes in readings):
                return all(len(set(sizes)) == len(sizes) for sizes in readings)
    return False


def _block_sizes(Z: Array, tolerance: float) -> list[int]:
    """Sizes of the Jordan blocks of eigenvalue 0 of Z, by how far each power's range shrinks."""
    nullities = []
    while len(Z):
        U, singular, _ = np.linalg.svd(Z)
        keep = int((singular > tolerance).sum())
        if keep == len(Z):
            break
        nullities.append(len(Z) - keep)
        Z = U[:, :keep].T @ Z @ U[:, :keep]
    return [sum(count > k for count in nullities) for k in range(nullities[0] if nullities else 0)]
