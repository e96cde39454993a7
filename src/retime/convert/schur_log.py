"""The logarithm of one matrix for any spectrum: invariant subspaces, rank decisions, inverse scaling and squaring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retime.convert.exact import ExactStep
from retime.convert.generator import EPSILON, Generator, exact_step, margins, newton_step, residual_of_map, residuals
from retime.convert.spectrum import NegativeSplit, ZeroSplit, is_negative, schur_eigenvalues, split_negative, split_zero
from retime.core.arrays import Array
from retime.core.frechet import step_rounding
from retime.core.quiet import logm
from retime.core.region import LOOSE, STRICT, many
from retime.core.status import RegionStatus

_ANGLES = (1e-14, 1e-6, 1e-3, 1e-2, 0.03, 0.1, 0.3, 0.6)
_PAIRS = (1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1)
_ZEROS = (1e-12, 1e-10, 1e-8)
_SEEMING = 1e-7  # residuals in double precision that can be those of its own rounding
_NEAR = 1e-2  # residuals in double precision above this are not looked at again


class Measured(NamedTuple):
    """A generator and its residual; `step` where that was measured exactly."""

    generator: Generator
    residual: float
    step: ExactStep | None = None

    @property
    def is_time_varying(self) -> bool:
        """Whether part of the state is interpolated."""
        return self.generator.status is RegionStatus.TIME_VARYING

    def rank(self, tolerance: float) -> tuple[bool, int, float]:
        """Good residuals first, then few auxiliary states. What is interpolated has no residual: there it is what was read as zero."""
        miss = max(self.residual, self.generator.dropped) if self.is_time_varying else self.residual
        return miss > 5 * tolerance * many(len(self.generator.target)), len(self.generator.L), miss


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
        if best is not None and not best.rank(tolerance)[0]:
            return _smaller(M, tried, best, weights) or best
    return _exactly_measured(M, tried, weights, tolerance)


def _smaller(M: Array, tried: list[Measured], best: Measured, weights: Array) -> Measured | None:
    """One with fewer states than the best that double precision only seems to measure as worse."""
    size = len(best.generator.L)
    seeming = [x for x in tried if len(x.generator.L) < size and x.residual <= _SEEMING and not x.is_time_varying]
    for x in sorted(seeming, key=lambda x: x.residual):
        exact = _exactly(x, M, weights)
        if exact.step is not None and exact.residual <= STRICT * many(len(weights)):
            return exact
    return None


def _exactly_measured(M: Array, tried: list[Measured], weights: Array, tolerance: float) -> Measured | None:
    """The one with the fewest auxiliary states that is as good as rounding allows, else the best of those that come near."""
    near = sorted((x for x in tried if np.isfinite(x.residual)), key=lambda x: (len(x.generator.L), x.residual))
    found: list[Measured] = []
    for x in [x for x in near if x.residual <= _NEAR] or sorted(near, key=lambda x: x.residual)[:1]:
        x = _exactly(x, M, weights)
        found.append(x)
        L = x.generator.L
        if not x.is_time_varying and x.residual <= min(
            8 * step_rounding(L, np.zeros((len(L), 0)), len(weights)), LOOSE
        ):
            return x
    return min(found, key=lambda x: (x.is_time_varying and x.rank(tolerance)[0], x.rank(tolerance)), default=None)


def _exactly(x: Measured, M: Array, weights: Array) -> Measured:
    """Measured exactly, where that can be done, and improved by Newton steps on exp(L) = target as long as they help."""
    step = exact_step(x.generator)
    if step is None:
        return x
    x = Measured(x.generator, residual_of_map(step, x.generator, M, weights), step)
    for _ in range(3):
        step = x.step
        change = None if step is None else newton_step(x.generator.L, step.error_of_map(x.generator.target))
        if change is None:
            return x
        generator = x.generator._replace(L=x.generator.L - change)
        after = exact_step(generator)
        residual = np.inf if after is None else residual_of_map(after, generator, M, weights)
        if not residual < 0.5 * x.residual:
            return x
        x = Measured(generator, residual, after)
    return x


def _readings_of(M: Array, zero: float) -> Iterator[Generator]:
    try:
        split = split_zero(M, zero)
        readings = _readings(split.T)
    except np.linalg.LinAlgError:
        return
    for angle, pair in readings:
        try:
            parts = split_negative(split.T, angle, pair)
            if pair is not None and not len(parts.J):
                continue  # nothing was paired: the same as without pairing
            inner = _log_of_invertible(split.T, parts)
        except (np.linalg.LinAlgError, ValueError):
            continue
        yield inner if split.nilpotency == 0 else _with_zero(M, split, inner)


def _measured(M: Array, generator: Generator, weights: Array, keep: Array | None) -> Measured:
    """With the entries that are zero in every function of M set to zero."""
    n, L = len(M), generator.L
    if keep is not None and not generator.paired:
        L[:n, :n] *= keep
    nothing = np.zeros((1, len(L), 0))
    of_map = residuals(L[None], nothing, generator.target[None], nothing[:, :n], M[None], weights[None]).map
    return Measured(generator, float(of_map[0]))


def _readings(T: Array) -> list[tuple[float, float | None]]:
    """Angles to the negative axis and pair tolerances to try: only those that read this spectrum differently."""
    w = schur_eigenvalues(T)
    angles, count = [0.0], int(is_negative(w, 0.0).sum())
    for angle in _ANGLES:
        if int(is_negative(w, angle).sum()) > count:
            angles.append(angle)
            count = int(is_negative(w, angle).sum())
    pairs = [(angle, pair) for angle in angles for pair in _pair_tolerances(w[is_negative(w, angle)])]
    return [*((angle, None) for angle in angles), *pairs]


def _pair_tolerances(negative: Array) -> list[float]:
    """Relative distances that merge the values, nearly negative, into different clusters, from rounding to a tenth."""
    ordered = negative[np.argsort(np.real(negative), kind="stable")]
    size = np.abs(ordered)
    distances = np.concatenate([np.diff(np.real(ordered)) / size[:-1], np.abs(np.imag(ordered)) / size])
    counts = [int((distances <= x).sum()) for x in _PAIRS]
    return (
        [x for x, count, before in zip(_PAIRS, counts, [0, *counts], strict=False) if count > before]
        if len(size) > 1
        else []
    )


def _log_of_invertible(T: Array, parts: NegativeSplit) -> Generator:
    """T split into rest + paired + unpaired; every part has a real logarithm of its own."""
    n = len(T)
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
        target[:n, :n], status = split.R @ split.T @ split.Rl + null, RegionStatus.TIME_VARYING
    margin = min(inner.margin, 0.0)
    return Generator(L, target, status, margin, inner.rotation, null, inner.paired, split.dropped)
