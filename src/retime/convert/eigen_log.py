"""Logarithms of many matrices at once, by their eigenvectors: the fast route, checked by its residual."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.convert.generator import Generator, Residuals, margins, residuals
from retime.core.arrays import Array
from retime.core.status import RegionStatus


class Candidate(NamedTuple):
    """A generator with its offset and inputs H `(N, k)` and what was measured of both."""

    generator: Generator
    H: Array
    of_map: float
    of_inputs: float


def logs_by_eigenvectors(M: Array, F: Array, weights: Array, keep: Array | None) -> list[Candidate | None]:
    """Logarithms of a stack M `(r, n, n)` with columns F `(r, n, k)`; None where this route does not apply.

    L = V log(w) V^-1,  H = V g(w) V^-1 F,  g(x) = log x / (x - 1);  each simple negative eigenvalue -s with vectors v, u, u v = 1, turns
    in a plane with an auxiliary state: L = [[real part, -pi v], [pi u, log s]]. It does not apply where eigenvalues are zero, or negative
    and nearly equal, or V is singular. `weights` `(r, n)` are the units of the states (see `residuals`), `keep` `(r, n, n)` the entries
    of L that can differ from zero.
    """
    if not M.shape[1]:
        return [None] * len(M)
    w, V = np.linalg.eig(M)
    size = np.abs(w)
    negative = (np.imag(w) == 0) & (np.real(w) < 0)
    usable = size.min(axis=1, initial=np.inf) > len(M[0]) * 1e-15 * size.max(axis=1, initial=0)
    usable &= ~_has_close_pair(w, negative)
    found: list[Candidate | None] = [None] * len(M)
    V_inv, good = _inverses(V)
    usable &= good
    for a in np.unique(negative.sum(axis=1)[usable]):
        where = np.flatnonzero(usable & (negative.sum(axis=1) == a))
        masked = None if keep is None else keep[where]
        logs = _assemble(M[where], F[where], w[where], V[where], V_inv[where], negative[where], weights[where], masked)
        for k, log in zip(where, logs, strict=True):
            found[k] = log
    return found


def _has_close_pair(w: Array, negative: Array) -> Array:
    values = np.where(negative, np.real(w), np.nan)
    values = np.sort(values, axis=1)
    with np.errstate(invalid="ignore"):
        return np.any(np.diff(values, axis=1) <= 1e-6 * np.abs(values[:, 1:]), axis=1)


def _inverses(V: Array) -> tuple[Array, Array]:
    """Inverses of a stack and which of them exist."""
    try:
        return np.linalg.inv(V), np.ones(len(V), dtype=bool)
    except np.linalg.LinAlgError:
        if len(V) == 1:
            return np.zeros_like(V), np.zeros(1, dtype=bool)
        half = len(V) // 2
        (a, x), (b, y) = _inverses(V[:half]), _inverses(V[half:])
        return np.concatenate([a, b]), np.concatenate([x, y])


def _assemble(
    M: Array, F: Array, w: Array, V: Array, V_inv: Array, negative: Array, weights: Array, keep: Array | None
) -> list[Candidate]:
    """Stacks whose matrices all have the same number of (simple) negative eigenvalues."""
    r, n = w.shape
    a = int(negative[0].sum())
    x = np.log(np.where(negative, -w, w).astype(complex))
    g = np.where(w == 1, 1.0, x / np.where(w == 1, 1.0, w - 1))
    L, target, H = np.zeros((r, n + a, n + a)), np.zeros((r, n + a, n + a)), np.zeros((r, n + a, F.shape[2]))
    L[:, :n, :n] = np.real((V * x[:, None, :]) @ V_inv)
    H[:, :n] = np.real((V * g[:, None, :]) @ (V_inv @ F))
    target[:, :n, :n] = M
    if keep is not None:
        L[:, :n, :n] *= keep
        H[:, :n] *= keep @ (F != 0)
    if a:
        rows, columns = np.nonzero(negative)
        v = np.real(V[rows, :, columns]).reshape(r, a, n)
        u = np.real(V_inv[rows, columns]).reshape(r, a, n)
        value, i = np.real(w[negative]).reshape(r, a), np.arange(n, n + a)
        L[:, :n, n:] = -np.pi * v.transpose(0, 2, 1)
        L[:, n:, :n] = np.pi * u
        L[:, i, i] = np.log(-value)
        H[:, n:] = np.pi / (value - 1)[:, :, None] * (u @ F)
        target[:, i, i] = value
    found = residuals(L, H, target, F, M, weights)
    return _candidates(L, H, target, RegionStatus.RAISED if a else RegionStatus.PRINCIPAL, w, found)


def _candidates(L: Array, H: Array, target: Array, status: RegionStatus, w: Array, found: Residuals) -> list[Candidate]:
    margin, rotation = margins(w).tolist(), np.abs(np.angle(w)).max(axis=1, initial=0.0).tolist()
    of_map, of_inputs = found.map.tolist(), found.inputs.tolist()
    return [
        Candidate(Generator(L[k], target[k], status, margin[k], rotation[k]), H[k], of_map[k], of_inputs[k])
        for k in range(len(L))
    ]
