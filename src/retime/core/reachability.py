"""Which states a linear system's inputs reach, and how strongly."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array


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
