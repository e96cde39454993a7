"""Condition number of the matrix logarithm from its Frechet derivative."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array

_ZERO = 2.0**-53


def log_condition(M: Array, on_axis: bool, iterations: int = 12) -> float:
    """||L_log(M)|| ||M|| / ||log M|| in the Frobenius norm; infinite where M is singular beyond a semisimple zero.

    Zero eigenvalues are taken as 2^-53, those on the negative axis from above (Im log = pi): with `on_axis` the branch
    cut is turned by 1e-3 so that both members of a rounded pair are read the same way. Power iteration on the derivative and its
    adjoint gives a lower bound that is sharp to a few percent.

    Cost: O(n^3) per iteration. Source: higham2008, chapters 3 and 11.
    """
    M = np.asarray(M) * np.exp(-1e-3j if on_axis else 0j)
    w, V = np.linalg.eig(M)
    scale = max(float(np.linalg.norm(M)), _ZERO)
    zero = np.abs(w) <= 4 * _ZERO * scale * len(M)
    w = np.where(zero, _ZERO, w)
    if np.linalg.cond(V) > 1e10:
        return float("inf") if zero.any() else _by_blocks(M, iterations)
    V_inv, F = np.linalg.inv(V), _divided_differences(w)
    log_norm = max(float(np.linalg.norm((V * np.log(w)) @ V_inv)), _ZERO)
    left, right = V.conj().T, V_inv.conj().T
    X = _start(len(M))
    norm = 0.0
    for _ in range(iterations):
        Y = V @ (F * (V_inv @ X @ V)) @ V_inv
        Z = right @ (F.conj() * (left @ Y @ right)) @ left
        size = float(np.linalg.norm(Z))
        if size == 0:
            break
        norm, X = np.sqrt(size), Z / size
    return norm * scale / log_norm


def _divided_differences(w: Array) -> Array:
    """log[w_i, w_j], with 1 / w on the diagonal and for eigenvalues that nearly agree."""
    d = w[:, None] - w[None, :]
    x = np.log(w)
    near = np.abs(d) <= 1e-6 * np.abs(w[:, None] + w[None, :])
    mean = 0.5 * (w[:, None] + w[None, :])
    mean = np.where(near, mean, 1.0)
    return np.where(near, 1.0 / mean, (x[:, None] - x[None, :]) / np.where(near, 1.0, d))


def _by_blocks(M: Array, iterations: int) -> float:
    """The same from log [[M, X], [0, M]], which needs no eigenvectors."""
    from retime.core.quiet import logm

    n = len(M)

    def derivative(B: Array, X: Array) -> Array:
        return logm(np.block([[B, X], [np.zeros((n, n)), B]]))[:n, n:]

    X, norm = _start(n), 0.0
    for _ in range(min(iterations, 6)):
        try:
            Z = derivative(M.conj().T, derivative(M, X))
        except np.linalg.LinAlgError:
            return float("inf")
        size = float(np.linalg.norm(Z))
        if size == 0 or not np.isfinite(size):
            break
        norm, X = np.sqrt(size), Z / size
    return norm * float(np.linalg.norm(M)) / max(float(np.linalg.norm(logm(M))), _ZERO)


def _start(n: int) -> Array:
    X = np.cos(1.0 + np.arange(n * n, dtype=float)).reshape(n, n) + 1e-3
    return X / np.linalg.norm(X)
