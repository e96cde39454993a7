"""Splitting a matrix along its spectrum: zero, negative in equal pairs, negative unpaired, the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from scipy.linalg import get_lapack_funcs, schur, solve_sylvester

from retime.core.arrays import Array

_REORDER: Any = get_lapack_funcs("trsen", dtype=np.float64)


class ZeroSplit(NamedTuple):
    """M = R T Rl + nilpotent, Rl R = I; T `(r, r)` is invertible, P = I - R Rl projects on the generalized null space.

    `nilpotency` is the size of the largest Jordan block of eigenvalue 0: 0 (none), 1 (semisimple), or more. `dropped` is the
    largest singular value that was taken for zero, relative to the largest of M.
    """

    R: Array
    Rl: Array
    T: Array
    nilpotency: int
    dropped: float = 0.0


def split_zero(M: Array, tolerance: float) -> ZeroSplit:
    """Separate the generalized null space of M by the ranges of its powers.

    Only ranks of matrices are decided (singular values below `tolerance` times the largest of M, and of M with rows and columns of
    equal size), never eigenvalues:
    an eigenvalue 0 with a Jordan block of size p moves by eps^(1/p) under rounding, a singular value by eps.
    """
    if _is_regular(M, tolerance):
        return ZeroSplit(np.eye(len(M)), np.eye(len(M)), M, 0)
    size = max(float(np.linalg.norm(M, 2)), np.finfo(float).tiny)
    R, ranks, dropped = _range_of_powers(M, tolerance * size)
    if not ranks:
        return ZeroSplit(R, R.T, M, 0)
    S, _, _ = _range_of_powers(M.T, tolerance * size, ranks)
    Rl = np.linalg.solve(S.T @ R, S.T) if R.shape[1] else S.T
    return ZeroSplit(R, Rl, Rl @ M @ R, len(ranks), dropped / size)


def _is_regular(M: Array, tolerance: float) -> bool:
    """Whether M has full rank once its rows and columns are made equally large: entries are known relative to themselves."""
    rows = np.abs(M).max(axis=1, initial=0.0)
    if not len(M) or not rows.all():
        return not len(M)
    even = M / rows[:, None]
    columns = np.abs(even).max(axis=0)
    if not columns.all():
        return False
    singular = np.linalg.svd(even / columns, compute_uv=False)
    return bool(singular[-1] > tolerance * singular[0])


def _range_of_powers(M: Array, cut: float, given: list[int] | None = None) -> tuple[Array, list[int], float]:
    """Orthonormal basis of the range of M^k once it no longer shrinks, the ranks of M, M^2, ..., M^k, and what was cut off.

    `given` ranks are used instead of decided: those of the transpose are the same.
    """
    R, T, ranks, dropped = np.eye(len(M)), M, [], 0.0
    while len(T):
        U, singular, _ = np.linalg.svd(T)
        keep = int((singular > cut).sum())
        if given is not None:
            keep = given[len(ranks)] if len(ranks) < len(given) else len(T)
        if keep == len(T):
            break
        dropped = max(dropped, float(singular[keep]))
        R = R @ U[:, :keep]
        T = R.T @ M @ R
        ranks.append(keep)
    return R, ranks, dropped


class NegativeSplit(NamedTuple):
    """Bases `(n, k)` of complementary invariant subspaces: the rest, negative in pairs (with J), negative unpaired.

    J `(k, k)` commutes with M on the paired subspace and J^2 = -I.
    """

    rest: Array
    paired: Array
    J: Array
    unpaired: Array


def split_negative(M: Array, angle: float, pair_tolerance: float | None) -> NegativeSplit:
    """Separate the eigenvalues within `angle` of the negative axis, and pair equal Jordan blocks among them.

    Args:
        M: `(n, n)`, invertible.
        angle: >= 0, radians; 0 takes real negative eigenvalues only.
        pair_tolerance: relative distance below which two negative eigenvalues are the same one; None pairs nothing.

    Raises:
        numpy.linalg.LinAlgError: the Schur form could not be reordered.

    Source: culver1966 (each Jordan block of a negative eigenvalue an even number of times).
    """
    n = len(M)
    negative, rest, N = invariant_bases(M, lambda x: bool(is_negative(x, angle)))
    if negative.shape[1] < 2 or pair_tolerance is None:
        return NegativeSplit(rest, np.zeros((n, 0)), np.zeros((0, 0)), negative)
    paired, J, unpaired = pair_jordan_blocks(N, pair_tolerance)
    return NegativeSplit(rest, negative @ paired, J, negative @ unpaired)


def is_negative(x: Any, angle: float) -> Any:
    """Which of the complex numbers x lie within `angle` radians of the negative axis; 0: on it."""
    return (np.real(x) < 0) & (np.abs(np.imag(x)) <= np.tan(angle) * -np.real(x))


class InvariantBases(NamedTuple):
    """Bases `(n, k)` and `(n, n - k)` of complementary invariant subspaces, and M on the first one `(k, k)`."""

    chosen: Array
    rest: Array
    block: Array


def invariant_bases(M: Array, choose: Callable[[complex], bool]) -> InvariantBases:
    """Of the chosen and of the other eigenvalues, by a real Schur form that is ordered once its eigenvalues are known.

    Reordering moves eigenvalues that are nearly multiple by more than rounding; which ones were chosen does not change with it.

    Raises:
        numpy.linalg.LinAlgError: blocks are too close to be swapped.
    """
    T, Q = cast(tuple[Array, Array], schur(M, output="real"))
    select = np.array([choose(x) for x in _on_diagonal(T)], dtype=np.int32)
    k = int(select.sum())
    if 0 < k < len(M):
        T, Q, *_, info = _REORDER(select, T, Q, job="N")
        if info:
            raise np.linalg.LinAlgError("The Schur form could not be reordered.")
        X = solve_sylvester(T[:k, :k], -T[k:, k:], -T[:k, k:])
        return InvariantBases(Q[:, :k], Q[:, :k] @ X + Q[:, k:], T[:k, :k])
    if not k:
        return InvariantBases(Q[:, :0], Q, T[:0, :0])
    return InvariantBases(Q, Q[:, :0], T)


def schur_eigenvalues(M: Array) -> Array:
    """The eigenvalues `(n,)`, complex, by which `invariant_bases` chooses: nearly multiple ones differ between algorithms."""
    return np.array(_on_diagonal(schur(M, output="real")[0]) if len(M) else [], dtype=complex)


def _on_diagonal(T: Array) -> list[complex]:
    """Eigenvalues of a real Schur form in the order of its diagonal."""
    values, i = [], 0
    while i < len(T):
        size = 2 if i + 1 < len(T) and T[i + 1, i] != 0 else 1
        values += [complex(x) for x in np.linalg.eigvals(T[i : i + size, i : i + size])]
        i += size
    return values


def pair_jordan_blocks(N: Array, tolerance: float) -> tuple[Array, Array, Array]:
    """Bases `(k, .)` of the part of N whose equal Jordan blocks come in pairs (with its J), and of what remains."""
    paired, turns, unpaired = [np.zeros((len(N), 0))], [], []
    basis, left = np.eye(len(N)), N
    for seed in _separate(np.linalg.eigvals(N).real, tolerance):
        chosen, rest, block = invariant_bases(left, lambda x, seed=seed: abs(x - seed) <= 2 * tolerance * abs(seed))
        if chosen.shape[1] < 2:
            continue
        Z = block - np.trace(block) / len(block) * np.eye(len(block))
        size = float(np.linalg.norm(block, 2))
        part = float(np.linalg.norm(Z, 2)) / size
        twins, singles = _twins(jordan_chains(Z / (size * (part if part > 1e-8 else 1.0))))
        if not twins:
            continue
        for first, second in twins:
            paired += [basis @ chosen @ first, basis @ chosen @ second]
            turns.append(first.shape[1])
        unpaired += [basis @ chosen @ chain for chain in singles]
        left = np.linalg.lstsq(rest, left @ rest, rcond=None)[0]
        basis = basis @ rest
    return np.hstack(paired), _turn(turns), np.hstack([basis, *unpaired])


def _separate(values: Array, tolerance: float) -> list[float]:
    """Centers of the clusters of negative values whose neighbours are within the relative tolerance."""
    ordered = np.sort(values)
    cuts = np.flatnonzero(np.diff(ordered) > tolerance * np.abs(ordered[:-1])) + 1
    return [float(np.mean(cluster)) for cluster in np.split(ordered, cuts)]


def jordan_chains(Z: Array, tolerance: float = 1e-8) -> list[Array]:
    """Chains [v, Z v, ..., Z^(s-1) v] `(k, s)` of a nilpotent Z that together are a basis, longest first.

    Chains of one length begin with orthonormal vectors and end with orthogonal ones, the longest first.
    """
    k, chains = len(Z), []
    scale = max(1.0, float(np.linalg.norm(Z)))
    kernels = [np.zeros((k, 0))]
    power = np.eye(k)
    while kernels[-1].shape[1] < k and len(kernels) <= k:
        power = power @ Z / scale
        kernels.append(_null_space(power, tolerance))
    for s in range(len(kernels) - 1, 0, -1):
        spanned = [kernels[s - 1], *[_power_apply(Z, c[:, :1], c.shape[1] - s) for c in chains if c.shape[1] > s]]
        new = _complement(np.hstack(spanned), kernels[s], tolerance)
        ends = np.linalg.svd(_power_apply(Z, new, s - 1), full_matrices=False)[2] if new.shape[1] else np.zeros((0, 0))
        for v in (new @ ends.T).T:
            chains.append(np.hstack([_power_apply(Z, v[:, None], j) for j in range(s)]))
    return chains


def _twins(chains: list[Array]) -> tuple[list[tuple[Array, Array]], list[Array]]:
    twins, singles = [], []
    for length in sorted({c.shape[1] for c in chains}, reverse=True):
        same = [c for c in chains if c.shape[1] == length]
        twins += [(a, b * _alike(a, b)) for a, b in zip(same[0::2], same[1::2], strict=False)]
        singles += same[-1:] if len(same) % 2 else []
    return twins, singles


def _alike(a: Array, b: Array) -> float:
    """The factor that makes the vectors of chain b as long as those of chain a on (geometric) average: J turns one into the other."""
    return float(np.exp(np.mean(np.log(np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)))))


def _turn(sizes: list[int]) -> Array:
    J = np.zeros((2 * sum(sizes), 2 * sum(sizes)))
    at = 0
    for size in sizes:
        eye = np.eye(size)
        J[at : at + size, at + size : at + 2 * size] = eye
        J[at + size : at + 2 * size, at : at + size] = -eye
        at += 2 * size
    return J


def _null_space(A: Array, tolerance: float) -> Array:
    _, singular, Vt = np.linalg.svd(A)
    return Vt[int((singular > tolerance).sum()) :].T


def _complement(inside: Array, space: Array, tolerance: float) -> Array:
    """Orthonormal vectors that extend span(inside) to span(space)."""
    if inside.shape[1]:
        Q, singular, _ = np.linalg.svd(inside, full_matrices=False)
        Q = Q[:, singular > tolerance]
        space = space - Q @ (Q.T @ space)
    U, singular, _ = np.linalg.svd(space, full_matrices=False)
    return U[:, singular > max(tolerance, 1e-6)]


def _power_apply(Z: Array, v: Array, count: int) -> Array:
    for _ in range(count):
        v = Z @ v
    return v
