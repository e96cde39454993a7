"""The logarithm of one matrix for any spectrum: invariant subspaces, rank decisions, inverse scaling and squaring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retime.convert.generator import EPSILON, Generator, exact_residuals, margins, residuals
from retime.convert.spectrum import ZeroSplit, split_negative, split_zero
from retime.core.arrays import Array
from retime.core.quiet import logm
from retime.core.status import RegionStatus

_ANGLES = (1e-6, 1e-3, 1e-2, 0.03, 0.1, 0.3, 0.6)
_ZEROS = (1e-12, 1e-10, 1e-8)
_NEAR = 1e-2  # residuals in double precision above this are not looked at again


class Measured(NamedTuple):
    """A generator and its residual."""

    generator: Generator
    residual: float

    def rank(self, tolerance: float) -> tuple[bool, int, float]:
        """Good residuals first, then few auxiliary states."""
        return self.residual > 5 * tolerance, len(self.generator.L), self.residual


def log_by_schur(
    M: Array, weights: Array, keep: Array | None, tolerance: float, first: Generator | None = None
) -> Measured | None:
    """The logarithm of M `(n, n)`: the tightest reading of "zero" that works, then the fewest auxiliary states.

    Decided by M alone, whatever its offset and inputs; `first` is one that was found already. None where no reading gives a
    finite one. What double precision measures to be no better than 5 `tolerance` is measured again exactly before it is judged.
    """
    tried = [] if first is None else [_measured(M, first, weights, keep)]
    for zero in (len(M) * np.finfo(float).eps, *_ZEROS):
        tried += [_measured(M, generator, weights, keep) for generator in _readings_of(M, zero)]
        best = min(tried, key=lambda x: x.rank(tolerance), default=None)
        if best is not None and best.residual <= 5 * tolerance:
            return best
    return _exactly_measured(tried, weights, tolerance)


def _exactly_measured(tried: list[Measured], weights: Array, tolerance: float) -> Measured | None:
    """The best of those that come near, fewest auxiliary states first."""
    near = sorted((x for x in tried if np.isfinite(x.residual)), key=lambda x: (len(x.generator.L), x.residual))
    found = []
    for x in [x for x in near if x.residual <= _NEAR] or near[:1]:
        nothing = np.zeros((len(x.generator.L), 0))
        residual, _ = exact_residuals(x.generator.L, nothing, x.generator.target, nothing[: len(weights)], weights)
        found.append(Measured(x.generator, residual))
        if residual <= 5 * tolerance:
            break
    return min(found, key=lambda x: x.rank(tolerance), default=None)


def _readings_of(M: Array, zero: float) -> Iterator[Generator]:
    try:
        split = split_zero(M, zero)
        readings = _readings(split.T)
    except np.linalg.LinAlgError:
        return
    for angle, pair in readings:
        try:
            inner = _log_of_invertible(split.T, angle, pair)
        except (np.linalg.LinAlgError, ValueError):
            continue
        yield inner if split.nilpotency == 0 else _with_zero(M, split, inner)


def _measured(M: Array, generator: Generator, weights: Array, keep: Array | None) -> Measured:
    """With the entries that are zero in every function of M set to zero."""
    n, L = len(M), generator.L
    if keep is not None and not generator.paired:
        L[:n, :n] *= keep
    nothing = np.zeros((1, len(L), 0))
    of_map = residuals(L[None], nothing, generator.target[None], nothing[:, :n], weights[None]).map
    return Measured(generator, float(of_map[0]))


def _readings(T: Array) -> list[tuple[float, float | None]]:
    """Angles to the negative axis and pair tolerances to try: only those that read this spectrum differently."""
    w = np.linalg.eigvals(T)
    angles = np.pi - np.abs(np.angle(w))
    readings: list[tuple[float, float | None]] = [(0.0, None)]
    count = int((angles <= 0.0).sum())
    for angle in _ANGLES:
        if int((angles <= angle).sum()) > count:
            readings.append((angle, None))
            count = int((angles <= angle).sum())
    return readings + [(angle, pair) for angle, _ in readings for pair in _pair_tolerances(np.real(w)[angles <= angle])]


def _pair_tolerances(negative: Array) -> list[float]:
    """Relative distances that merge the values into different clusters, from rounding to a tenth."""
    ordered = np.sort(negative)
    gaps = np.diff(ordered) / np.abs(ordered[:-1])
    counts = [(x, int((gaps <= x).sum())) for x in (1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1)]
    return [x for (x, count), before in zip(counts, [0, *[c for _, c in counts]], strict=False) if count > before]


def _log_of_invertible(T: Array, angle: float, pair: float | None) -> Generator:
    """T split into rest + paired + unpaired; every part has a real logarithm of its own."""
    n = len(T)
    parts = split_negative(T, angle, pair) if n else split_negative(np.zeros((0, 0)), angle, pair)
    P = np.linalg.inv(np.hstack([parts.rest, parts.paired, parts.unpaired]))
    P_rest, P_pair, P_raise = np.split(P, np.cumsum([parts.rest.shape[1], parts.paired.shape[1]]))
    rest, _ = _log_of(P_rest @ T @ parts.rest)
    minus, paired_map = _log_of(P_pair @ T @ parts.paired, -1.0)
    raised, raised_map = _log_of(P_raise @ T @ parts.unpaired, -1.0)
    a = len(raised)
    L, target = np.zeros((n + a, n + a)), np.zeros((n + a, n + a))
    turned = minus + np.pi * parts.J
    L[:n, :n] = parts.rest @ rest @ P_rest + parts.paired @ turned @ P_pair + parts.unpaired @ raised @ P_raise
    L[:n, n:], L[n:, :n], L[n:, n:] = -np.pi * parts.unpaired, np.pi * P_raise, raised
    target[:n, :n], target[n:, n:] = T, raised_map
    status = RegionStatus.RAISED if a else RegionStatus.REAL if len(minus) else RegionStatus.PRINCIPAL
    w = np.linalg.eigvals(T)
    margin, rotation = float(margins(w)), float(np.abs(np.angle(w)).max(initial=0.0))
    if a or len(minus):
        margin = min(margin, -float(np.abs(np.linalg.eigvals(raised_map if a else paired_map)).max()))
        rotation = np.pi
    return Generator(L, target, status, margin, rotation, paired=len(minus) > 0)


def _log_of(N: Array, sign: float = 1.0) -> tuple[Array, Array]:
    """log(sign N), real, and N. SciPy's logm; the imaginary part must be rounding."""
    if not len(N):
        return N, N
    X = logm(sign * N)
    if np.iscomplexobj(X):
        if np.abs(np.imag(X)).max() > 1e-8 * max(1.0, float(np.abs(np.real(X)).max())):
            raise np.linalg.LinAlgError("The logarithm is not real.")
        X = np.real(X)
    return np.ascontiguousarray(X), N


def _with_zero(M: Array, split: ZeroSplit, inner: Generator) -> Generator:
    """Add the null space: replaced by 2^-53 when semisimple, else left to be interpolated over the step."""
    n, r = len(M), len(split.T)
    N = n + len(inner.L) - r
    null = np.eye(n) - split.R @ split.Rl
    L, target = np.zeros((N, N)), np.zeros((N, N))
    L[:n, :n] = split.R @ inner.L[:r, :r] @ split.Rl
    L[:n, n:], L[n:, :n], L[n:, n:] = split.R @ inner.L[:r, r:], inner.L[r:, :r] @ split.Rl, inner.L[r:, r:]
    target[n:, n:] = inner.target[r:, r:]
    if split.nilpotency == 1:
        L[:n, :n] += np.log(EPSILON) * null
        target[:n, :n], status = M + EPSILON * null, RegionStatus.REGULARIZED
    else:
        target[:n, :n], status = M - M @ null + null, RegionStatus.TIME_VARYING
    return Generator(L, target, status, min(inner.margin, 0.0), inner.rotation, null, inner.paired)
