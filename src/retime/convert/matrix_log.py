"""Region by region, the linear flow that reaches an affine map in one step: the matrix logarithm, for every spectrum."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retime.convert.spectrum import ZeroSplit, split_negative, split_zero
from retime.core.arrays import Array
from retime.core.canonical import AffineRegions
from retime.core.progress import progress
from retime.core.quiet import logm, one_blas_thread
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.models.flow import register

EPSILON = 2.0**-53
_CHUNK = 256
_CHUNK_ENTRIES = 2**18  # entries of the augmented matrices of one chunk: bounds the memory of its temporaries


@register
@dataclass(frozen=True)
class MatrixLog:
    """Exact conversion of affine maps by the matrix logarithm.

    log [[M, c, E], [0, 1, 0], [0, 0, I]] = dt [[W, h, E~], [0, 0, 0], [0, 0, 0]]

    for invertible M without negative eigenvalues (`principal`); a real logarithm that rotates equal pairs of negative
    Jordan blocks by pi (`real`); one auxiliary state for each unpaired negative eigenvalue (`raised`); semisimple zero
    eigenvalues replaced by 2^-53 (`regularized`); a nilpotent part of index > 1 interpolated in time (`time_varying`).

    Two routes: eigenvectors in bulk, accepted where the measured residual is at rounding level; otherwise ordered Schur
    forms, rank decisions and SciPy's inverse scaling and squaring, which need no eigenvectors.

    Args:
        tolerance: residual above which the next, more careful way is tried; the best is kept and reported.

    Source: monfared2020; culver1966; higham2008; docs/theory/conversion.md.
    """

    tolerance: float = 1e-13

    def regions(self, maps: AffineRegions, dt: float) -> list[RegionFlow]:
        """One `RegionFlow` per map M `(r, n, n)`, c `(r, n)`, E `(r, n, m)` for a step `dt`.

        Cost: O(n^3) per region; about 0.1 ms for n = 10 by the first route, 10 to 50 times that by the second.
        """
        M, F = maps.M, np.concatenate([maps.c[:, :, None], maps.E], axis=2)
        size = max(1, min(_CHUNK, _CHUNK_ENTRIES // (M.shape[1] + F.shape[2]) ** 2))
        chunks = [slice(i, i + size) for i in range(0, len(M), size)]
        with one_blas_thread(), progress("converting regions", len(M)) as advance:

            def one(chunk: slice) -> list[RegionFlow]:
                flows = self._chunk(M[chunk], F[chunk], dt)
                advance(len(flows))
                return flows

            if len(chunks) == 1:
                return one(chunks[0])
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [flow for flows in pool.map(one, chunks) for flow in flows]

    def _chunk(self, M: Array, F: Array, dt: float) -> list[RegionFlow]:
        logs = _by_eigenvectors(M, F)
        for k, log in enumerate(logs):
            if log is None or log.residual > self.tolerance:
                careful = _by_schur(M[k], F[k], self.tolerance)
                if log is None or careful.residual < log.residual:
                    logs[k] = careful
        return [_region(log, dt) for log in logs if log is not None]


class _Log(NamedTuple):
    """dt times generator `L` (N, N) and inputs `H` (N, 1 + m), what they should exponentiate to, and what was measured."""

    L: Array
    H: Array
    status: RegionStatus
    auxiliary: int
    residual: float
    margin: float
    rotation: float
    bound: float = 0.0
    ramp: Array | None = None


def _region(log: _Log, dt: float) -> RegionFlow:
    W, H = log.L / dt, log.H / dt
    for array in (W, H):
        array.setflags(write=False)
    return RegionFlow(
        W, H[:, 0], H[:, 1:], log.status, log.auxiliary, log.residual, log.margin, log.rotation, log.bound, dt, log.ramp
    )


def margins(w: Array) -> Array:
    """Signed distance of spectra `(..., n)` to (-inf, 0]; minus the largest modulus among eigenvalues that lie on it."""
    distance = np.where(np.real(w) > 0, np.abs(w), np.abs(np.imag(w)))
    on_axis = np.where(distance == 0, np.abs(w), -1.0).max(axis=-1, initial=-1.0)
    return np.where(on_axis >= 0, -on_axis, distance.min(axis=-1, initial=np.inf))


# --- first route: eigenvectors, many regions at once -----------------------------------------------------------------


def _by_eigenvectors(M: Array, F: Array) -> list[_Log | None]:
    """Logarithms of a stack; None where eigenvalues are zero, or negative and nearly equal, or V is singular."""
    w, V = np.linalg.eig(M)
    size = np.abs(w)
    negative = (np.imag(w) == 0) & (np.real(w) < 0)
    usable = size.min(axis=1, initial=np.inf) > len(M[0]) * 1e-15 * size.max(axis=1, initial=0)
    usable &= ~_has_close_pair(w, negative)
    found: list[_Log | None] = [None] * len(M)
    if M.shape[1] == 0:
        return found
    V_inv, good = _inverses(V)
    usable &= good
    for a in np.unique(negative.sum(axis=1)[usable]):
        where = np.flatnonzero(usable & (negative.sum(axis=1) == a))
        logs = _assemble(M[where], F[where], w[where], V[where], V_inv[where], negative[where])
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


def _assemble(M: Array, F: Array, w: Array, V: Array, V_inv: Array, negative: Array) -> list[_Log]:
    """Stacks whose regions all have the same number of (simple) negative eigenvalues, each raised to a plane."""
    r, n = w.shape
    a = int(negative[0].sum())
    x = np.log(np.where(negative, -w, w).astype(complex))
    g = np.where(w == 1, 1.0, x / np.where(w == 1, 1.0, w - 1))
    L, H = np.zeros((r, n + a, n + a)), np.zeros((r, n + a, F.shape[2]))
    target = np.zeros_like(L)
    L[:, :n, :n] = np.real((V * x[:, None, :]) @ V_inv)
    H[:, :n] = np.real((V * g[:, None, :]) @ (V_inv @ F))
    target[:, :n, :n] = M
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
    residual = _residuals(L, H, target, F)
    status = RegionStatus.RAISED if a else RegionStatus.PRINCIPAL
    margin, rotation = margins(w), np.abs(np.angle(w)).max(axis=1)
    return [_Log(L[k], H[k], status, a, float(residual[k]), float(margin[k]), float(rotation[k])) for k in range(r)]


def _residuals(L: Array, H: Array, target: Array, F: Array) -> Array:
    """||exp [[L, H], [0, 0]] - [[target, F], [0, I]]|| / ||...|| of a stack, Frobenius; F is padded with zeros."""
    from scipy.linalg import expm

    r, N, k = H.shape
    X, G = np.zeros((r, N + k, N + k)), np.zeros((r, N + k, N + k))
    X[:, :N, :N], X[:, :N, N:] = L, H
    G[:, :N, :N], G[:, : F.shape[1], N:] = target, F
    G[:, np.arange(N, N + k), np.arange(N, N + k)] = 1.0
    with np.errstate(all="ignore"):
        error = np.linalg.norm(expm(X) - G, axis=(1, 2)) / np.linalg.norm(G, axis=(1, 2))
    return np.where(np.isfinite(error), error, np.inf)


# --- second route: invariant subspaces, one region -------------------------------------------------------------------


def _by_schur(M: Array, F: Array, tolerance: float) -> _Log:
    """The logarithm for any spectrum: the tightest reading of "zero" that works, then the fewest auxiliary states."""
    best: _Log | None = None
    for zero in (len(M) * np.finfo(float).eps, 1e-12, 1e-10, 1e-8):
        try:
            split = split_zero(M, zero)
        except np.linalg.LinAlgError:
            continue
        for angle, pair in _readings(split.T):
            log = _attempt(M, F, split, angle, pair)
            if log is not None and (best is None or _rank(log, tolerance) < _rank(best, tolerance)):
                best = log
        if best is not None and best.residual <= 5 * tolerance:
            return best
    if best is None:
        raise np.linalg.LinAlgError("No Schur form of the region matrix could be computed.")
    return best


def _rank(log: _Log, tolerance: float) -> tuple[bool, int, float]:
    """Good residuals first, then few auxiliary states."""
    return log.residual > 5 * tolerance, log.auxiliary, log.residual


def _readings(T: Array) -> list[tuple[float, float | None]]:
    """Angles to the negative axis and pair tolerances to try: only those that read this spectrum differently."""
    w = np.linalg.eigvals(T)
    angles = np.pi - np.abs(np.angle(w))
    readings: list[tuple[float, float | None]] = [(0.0, None)]
    count = int((angles <= 0.0).sum())
    for angle in (1e-6, 1e-3):
        if int((angles <= angle).sum()) > count:
            readings.append((angle, None))
            count = int((angles <= angle).sum())
    for angle, pair in ((0.0, 1e-12), (1e-6, 1e-9), (1e-6, 1e-6), (1e-3, 1e-4)):
        near = np.sort(np.real(w)[angles <= angle])
        if len(near) > 1 and (np.diff(near) <= pair * np.abs(near[1:])).any():
            readings.append((angle, pair))
    return readings


def _attempt(M: Array, F: Array, split: ZeroSplit, angle: float, pair: float | None) -> _Log | None:
    try:
        inner = _log_of_invertible(split.T, split.Rl @ F, angle, pair)
    except (np.linalg.LinAlgError, ValueError):
        return None
    return inner if split.nilpotency == 0 else _with_zero(M, F, split, inner)


def _log_of_invertible(T: Array, F: Array, angle: float, pair: float | None) -> _Log:
    """T split into rest + paired + unpaired; every part has a real logarithm of its own."""
    n = len(T)
    parts = split_negative(T, angle, pair) if n else split_negative(np.zeros((0, 0)), angle, pair)
    S = np.hstack([parts.rest, parts.paired, parts.unpaired])
    P = np.linalg.inv(S)
    cuts = np.cumsum([parts.rest.shape[1], parts.paired.shape[1]])
    P_rest, P_pair, P_raise = np.split(P, cuts)
    rest, H_rest = _log_augmented(P_rest @ T @ parts.rest, P_rest @ F)
    minus, paired_map = _log_of_minus(P_pair @ T @ parts.paired)
    turned = minus + np.pi * parts.J
    raised, raised_map = _log_of_minus(P_raise @ T @ parts.unpaired)
    a = len(raised)
    q = np.linalg.solve(raised_map - np.eye(a), P_raise @ F)
    L = np.zeros((n + a, n + a))
    L[:n, :n] = parts.rest @ rest @ P_rest + parts.paired @ turned @ P_pair + parts.unpaired @ raised @ P_raise
    L[:n, n:], L[n:, :n], L[n:, n:] = -np.pi * parts.unpaired, np.pi * P_raise, raised
    fixed = np.linalg.solve(paired_map - np.eye(len(minus)), P_pair @ F)
    H = np.vstack([parts.rest @ H_rest + parts.paired @ (turned @ fixed) + parts.unpaired @ (raised @ q), np.pi * q])
    target = np.zeros_like(L)
    target[:n, :n], target[n:, n:] = T, raised_map
    status = RegionStatus.RAISED if a else RegionStatus.REAL if len(minus) else RegionStatus.PRINCIPAL
    w = np.linalg.eigvals(T)
    margin, rotation = float(margins(w)), float(np.abs(np.angle(w)).max(initial=0.0))
    if a or len(minus):
        margin = min(margin, -float(np.abs(np.linalg.eigvals(raised_map if a else paired_map)).max()))
        rotation = np.pi
    residual = float(_residuals(L[None], H[None], target[None], F[None])[0])
    return _Log(L, H, status, a, residual, margin, rotation)


def _log_augmented(M: Array, F: Array) -> tuple[Array, Array]:
    """Principal log M and g(M) F, g(x) = log x / (x - 1), from the log of [[M, F], [0, I]]."""
    n, k = F.shape
    if n == 0:
        return np.zeros((0, 0)), np.zeros((0, k))
    scale = max(float(np.linalg.norm(F)), 1e-300)
    G = np.eye(n + k)
    G[:n, :n], G[:n, n:] = M, F / scale
    X = _real_logm(G)
    return X[:n, :n], X[:n, n:] * scale


def _log_of_minus(N: Array) -> tuple[Array, Array]:
    """log(-N) for N with eigenvalues at or near the negative axis, and N."""
    return (_real_logm(-N) if len(N) else np.zeros((0, 0))), N


def _real_logm(G: Array) -> Array:
    """SciPy's logm; the imaginary part must be rounding."""
    X = logm(G)
    if np.iscomplexobj(X):
        if np.abs(np.imag(X)).max() > 1e-8 * max(1.0, float(np.abs(np.real(X)).max())):
            raise np.linalg.LinAlgError("The logarithm is not real.")
        X = np.real(X)
    return np.ascontiguousarray(X)


def _with_zero(M: Array, F: Array, split: ZeroSplit, inner: _Log) -> _Log:
    """Add the null space: replaced by 2^-53 when semisimple, else interpolated over the step."""
    n, a = len(M), inner.auxiliary
    r = len(split.T)
    P0 = np.eye(n) - split.R @ split.Rl
    L, H = np.zeros((n + a, n + a)), np.zeros((n + a, F.shape[1]))
    L[:n, :n] = split.R @ inner.L[:r, :r] @ split.Rl
    L[:n, n:], L[n:, :n], L[n:, n:] = split.R @ inner.L[:r, r:], inner.L[r:, :r] @ split.Rl, inner.L[r:, r:]
    H[:n], H[n:] = split.R @ inner.H[:r], inner.H[r:]
    target = np.zeros_like(L)
    target[:n, :n] = M
    target[n:, n:] = _expm(inner.L)[r:, r:]
    zero = np.log(EPSILON)
    if split.nilpotency == 1:
        L[:n, :n] += zero * P0
        H[:n] += zero / (EPSILON - 1) * (P0 @ F)
        residual = float(_residuals(L[None], H[None], target[None], F[None])[0])
        bound = EPSILON * float(np.linalg.norm(P0, 2))
        return _Log(L, H, RegionStatus.REGULARIZED, a, residual, min(inner.margin, 0.0), inner.rotation, bound)
    ramp = np.hstack([P0 @ F[:, :1], (M - np.eye(n)) @ P0, P0 @ F[:, 1:]])
    target[:n, :n] -= ramp[:, 1 : n + 1]
    rest = F - P0 @ F
    residual = float(_residuals(L[None], H[None], target[None], rest[None])[0])
    return _Log(L, H, RegionStatus.TIME_VARYING, a, residual, min(inner.margin, 0.0), inner.rotation, 0.0, ramp)


def _expm(X: Array) -> Array:
    from scipy.linalg import expm

    return expm(X) if len(X) else X
