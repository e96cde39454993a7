"""Generators of one step, and how well they reach it: every block against its own size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from retime.convert.exact import ExactStep
from retime.core.arrays import Array
from retime.core.exponential import small_columns
from retime.core.status import RegionStatus

EPSILON = 2.0**-53  # unit roundoff: half the distance of 1 from the next number


class Generator(NamedTuple):
    """A logarithm L `(N, N)` of `target` `(N, N)`, N = n + auxiliary; the first n rows and columns are the map's.

    `null` `(n, n)` projects on the generalized null space of the map, None where it has none. The target is M; M + 2^-53 null
    when `status` is regularized; null and the part of M beside it when it is time-varying. `paired`: equal negative blocks are turned in
    planes that M does not determine; else L is a function of M. `dropped`: the largest singular value, relative to M, that was read as zero.
    """

    L: Array
    target: Array
    status: RegionStatus
    margin: float
    rotation: float
    null: Array | None = None
    paired: bool = False
    dropped: float = 0.0


def margins(w: Array) -> Array:
    """Signed distance of spectra `(..., n)` to (-inf, 0]; minus the largest modulus among eigenvalues that lie on it."""
    distance = np.where(np.real(w) > 0, np.abs(w), np.abs(np.imag(w)))
    on_axis = np.where(distance == 0, np.abs(w), -1.0).max(axis=-1, initial=-1.0)
    return np.where(on_axis >= 0, -on_axis, distance.min(axis=-1, initial=np.inf))


class Residuals(NamedTuple):
    """Per region `(r,)`: of M against |M|, and the largest of the offset's and each input's against its own column."""

    map: Array
    inputs: Array


def residuals(L: Array, H: Array, target: Array, F: Array, M: Array, weights: Array) -> Residuals:
    """How far one step of stacks L `(r, N, N)`, H `(r, N, k)` is from target `(r, N, N)` and F `(r, n, k)`, Frobenius norms.

    Relative to M `(r, n, n)` and to each column of F.

    Given and measured in balanced units, where state i counts in weights_i `(r, n)`; in the states' own units as well. The
    larger one is returned, so neither a large unit nor a large input hides an error. Columns are scaled before they are
    exponentiated: what is measured of M does not depend on them.
    """
    from scipy.linalg import expm

    r, N, k = H.shape
    n = F.shape[1]
    power = small_columns(L, H)
    X, padded = np.zeros((r, N + k, N + k)), np.zeros((r, N, k))
    X[:, :N, :N], X[:, :N, N:], padded[:, :n] = L, H * power, F * power
    error = expm(X)[:, :N]
    error[:, :, :N] -= target
    error[:, :, N:] -= padded
    return _relative(error, M, padded, weights)


def exact_step(generator: Generator) -> ExactStep | None:
    """One step in exact arithmetic; None for more than 40 states, where it would take seconds, or a generator that is not finite."""
    L = generator.L
    if len(L) > _LARGEST or not np.isfinite(L).all() or np.abs(L).max(initial=0.0) >= 1e30:
        return None
    try:
        return ExactStep.of(L)
    except OverflowError:
        return None


def residual_of_map(step: ExactStep, generator: Generator, M: Array, weights: Array) -> float:
    """`residuals(...).map` of one region, measured exactly."""
    error, nothing = step.error_of_map(generator.target), np.zeros((1, len(generator.L), 0))
    return float(_relative(error[None], M[None], nothing, weights[None]).map[0])


def exact_inputs(step: ExactStep, generator: Generator, F: Array, weights: Array, mask: Array) -> tuple[Array, float]:
    """H `(N, k)` for F `(n, k)` with zeros where `mask` `(N, k)` is False, and its residual measured exactly.

    Raises:
        numpy.linalg.LinAlgError: the integral is singular.
    """
    N, size = len(generator.L), np.abs(F).max(axis=0, initial=0.0)
    power = np.exp2(-np.rint(np.log2(np.where(size > 0, size, 1.0))))
    padded = np.zeros((N, F.shape[1]))
    padded[: len(F)] = F * power
    H = step.inputs_of(padded) * mask
    error = np.hstack([np.zeros((N, N)), step.error_of_inputs(H, padded)])
    found = _relative(error[None], generator.target[None, : len(F), : len(F)], padded[None], weights[None])
    return H / power, float(found.inputs[0])


def newton_step(L: Array, error: Array) -> Array | None:
    """The change of L `(N, N)` that changes exp(L) by `error`, by eigenvectors; None where they are too ill-conditioned.

    Directions that exp does not see (eigenvalues that differ by 2 pi i) are left out.
    """
    with np.errstate(all="ignore"):
        w, V = np.linalg.eig(L)
        if not np.isfinite(V).all() or np.linalg.cond(V) > 1e10:
            return None
        d = w[:, None] - w[None, :]
        small = np.abs(d) < 1e-4
        slope = np.where(
            small,
            np.exp((w[:, None] + w[None, :]) / 2),
            np.subtract.outer(np.exp(w), np.exp(w)) / np.where(small, 1, d),
        )
        Y = np.linalg.solve(V, error @ V)
        seen = np.abs(slope) > 1e-8 * np.sqrt(np.abs(np.multiply.outer(np.exp(w), np.exp(w))))
        change = np.real(V @ np.where(seen, Y / np.where(seen, slope, 1), 0) @ np.linalg.inv(V))
    return change if np.isfinite(change).all() else None


_LARGEST = 40


def _relative(error: Array, M: Array, padded: Array, weights: Array) -> Residuals:
    """The larger of the two measures, in balanced and in the states' own units, of errors `(r, N, N + k)`."""
    n, N = weights.shape[1], padded.shape[1]
    of_map, columns = _ratio(error[:, :, :N], M), _column_ratio(error[:, :, N:], padded)
    if (weights != 1).any():
        own = weights[:, :, None]
        of_map = np.maximum(of_map, _ratio(_in_units(error[:, :n, :n], weights), _in_units(M, weights)))
        columns = np.maximum(columns, _column_ratio(own * error[:, :n, N:], own * padded[:, :n]))
    return Residuals(of_map, columns.max(axis=1, initial=0.0))


def _in_units(X: Array, weights: Array) -> Array:
    return X * (weights[:, :, None] / weights[:, None, :])


def _ratio(error: Array, size: Array) -> Array:
    """||error|| / ||size|| of stacks; a size of 0 counts as 2^-53."""
    whole = np.linalg.norm(size, axis=(1, 2))
    return _finite(np.linalg.norm(error, axis=(1, 2)) / np.where(whole > 0, whole, EPSILON))


def _column_ratio(error: Array, size: Array) -> Array:
    whole, part = np.linalg.norm(size, axis=1), np.linalg.norm(error, axis=1)
    return _finite(np.where(part > 0, part / np.where(whole > 0, whole, EPSILON), 0.0))


def _finite(x: Array) -> Array:
    return np.where(np.isfinite(x), x, np.inf)


def inputs_of(L: Array, F: Array) -> Array:
    """H `(N, k)` with integral_0^1 exp(L t) dt H = [F; 0], F `(n, k)`: what an offset or input per step becomes per time.

    The integral is singular only where L turns by a multiple of 2 pi, which no generator here does.

    Raises:
        numpy.linalg.LinAlgError: the integral is singular or not finite.
    """
    from scipy.linalg import expm

    N, (n, k) = len(L), F.shape
    if not k or not N:
        return np.zeros((N, k))
    X, padded = np.zeros((2 * N, 2 * N)), np.zeros((N, k))
    scale = 2.0**-10 * max(1.0, float(np.abs(L).sum(axis=0).max()))
    X[:N, :N], X[:N, N:], padded[:n] = L, scale * np.eye(N), F
    integral = expm(X)[:N, N:] / scale
    H = np.linalg.solve(integral, padded)
    return H + np.linalg.solve(integral, padded - integral @ H)
