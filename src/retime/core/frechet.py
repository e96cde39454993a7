"""What errors do to the matrix logarithm, and to one step of its exponential, from Frechet derivatives; whether it is the only real one."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.balance import balancing

_ZERO = _ROUNDING = 2.0**-53  # unit roundoff, and what stands for a size or an eigenvalue of 0


def log_condition(M: Array, on_axis: bool, iterations: int = 12) -> float:
    """||L_log(M)|| ||M|| / ||log M|| in the Frobenius norm; infinite where M is singular beyond a semisimple zero.

    Zero eigenvalues are taken as 2^-53, those on the negative axis from above (Im log = pi): with `on_axis` the branch
    cut is turned by 1e-3 so that both members of a rounded pair are read the same way. Power iteration on the derivative and its
    adjoint gives a lower bound that is sharp to a few percent.

    Cost: O(n^3) per iteration. Source: higham2008, chapters 3 and 11.
    """
    with np.errstate(all="ignore"):
        condition = _log_condition(np.asarray(M) * np.exp(-1e-3j if on_axis else 0j), iterations)
    return condition if np.isfinite(condition) else float("inf")


def _log_condition(M: Array, iterations: int) -> float:
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
    try:
        return norm * float(np.linalg.norm(M)) / max(float(np.linalg.norm(logm(M))), _ZERO)
    except np.linalg.LinAlgError:
        return float("inf")


def _start(n: int) -> Array:
    X = np.cos(1.0 + np.arange(n * n, dtype=float)).reshape(n, n) + 1e-3
    return X / np.linalg.norm(X)


def step_rounding(L: Array, H: Array, n: int, draws: int = 4) -> float:
    """Largest relative change of one step of (L `(N, N)`, H `(N, k)`) when L and the columns of H are rounded, over random draws.

    Rounded in balanced units by 2^-53 of their norms: what an algorithm without errors of its own must be allowed.

    Of the map of the first n states against its norm, of each column of inputs against its own; the larger of the states' units
    and balanced ones. To first order. Cost: O((N + k)^3) per draw. Source: higham2008, chapter 10.
    """
    from scipy.linalg import expm, expm_frechet

    (N, k), rng = H.shape, np.random.default_rng(0)
    with np.errstate(all="ignore"):
        w = np.ones(N + k)
        w[:n] = balancing(expm(L)[None, :n, :n])[0]
        X = np.zeros((N + k, N + k))
        X[:N] = np.hstack([L, H * 2.0 ** -np.rint(np.log2(np.abs(H).sum(axis=0) + 1e-300))]) * (w / w[:N, None])
        step, worst = expm(X), 0.0
        for _ in range(draws):
            change = expm_frechet(X, _noise(X, N, rng), compute_expm=False)
            for units in (np.ones(N + k), w):
                scale = units[:n, None] / units
                change_here, step_here = change[:n] * scale, step[:n] * scale
                columns = np.linalg.norm(step_here[:, N:], axis=0)
                moved = np.linalg.norm(change_here[:, N:], axis=0)
                parts = np.where(moved > 0, moved / columns, 0.0)
                of_map = np.linalg.norm(change_here[:, :n]) / np.linalg.norm(step_here[:, :n])
                worst = max(worst, float(of_map), float(parts.max(initial=0.0)))
    return worst if np.isfinite(worst) else float("inf")


def _noise(X: Array, N: int, rng: np.random.Generator) -> Array:
    """Random errors of 2^-53 of the Frobenius norm of the first N columns of X together, and of each further one."""
    E = np.zeros_like(X)
    E[:N] = rng.normal(size=(N, len(X)))
    E[:, :N] *= np.linalg.norm(X[:, :N]) / np.linalg.norm(E[:, :N])
    E[:, N:] *= np.linalg.norm(X[:, N:], axis=0) / np.linalg.norm(E[:, N:], axis=0)
    return _ROUNDING * E


# Jordan blocks of a matrix that is known to rounding, by ranks: whether a logarithm is the only real one.

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
