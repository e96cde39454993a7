"""The continuous-time counterpart of one linear region, with what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retime.core.arrays import Array
from retime.core.status import RegionStatus


@dataclass(frozen=True, eq=False, repr=False)
class RegionFlow:
    """dy/dt = W y + h + E s inside one region, with y = (z, auxiliary states).

    The auxiliary states are appended last and are 0 at every sample time; from there the flow over one step `dt`
    with the input held gives the map: z(dt) = M z + c + E_map s.

    Attributes:
        W `(N, N)`, h `(N,)`, E `(N, m)` with N = n + auxiliary: generator, offset and input matrix, per model time.
        status: which case of the spectrum applies.
        auxiliary: number of auxiliary states.
        residual: ||exp(dt L) - G|| / ||G|| (Frobenius), measured on the augmented matrices, in the raised order.
        margin: signed distance of the spectrum of M to (-inf, 0]; minus the largest modulus of the eigenvalues on it.
        rotation: largest rotation of an eigenvalue of M per step, |arg|, radians; the Nyquist rate is pi per step.
        bound: largest one-step error per unit of state that replacing a zero eigenvalue causes; 0 without one.
        dt: the step the region was converted for.
        ramp: `(n, 1 + n + m)` for `time_varying`, else None: z moves by theta * ramp @ (1, z_k, s_k) in addition to the
            flow, theta in [0, 1] the phase of the step; W, h, E then describe the invertible part only.

    Source: monfared2020 (three theorems), culver1966; docs/theory/conversion.md.
    """

    W: Array
    h: Array
    E: Array
    status: RegionStatus
    auxiliary: int
    residual: float
    margin: float
    rotation: float
    bound: float
    dt: float
    ramp: Array | None = None

    @property
    def num_states(self) -> int:
        """n, without the auxiliary states."""
        return len(self.h) - self.auxiliary

    @cached_property
    def transition(self) -> Array:
        """exp of the augmented generator over one step, first n rows: `(n, 1 + n + m)` acting on (1, z, s)."""
        from scipy.linalg import expm

        n, N, m = self.num_states, len(self.h), self.E.shape[1]
        L = np.zeros((N + 1 + m, N + 1 + m))
        L[:N] = np.hstack([self.W, self.h[:, None], self.E])
        X = expm(self.dt * L)[:n]
        step = np.hstack([X[:, N : N + 1], X[:, :n], X[:, N + 1 :]])
        return step if self.ramp is None else step + self.ramp

    @cached_property
    def scaling(self) -> Array:
        """Balancing weights and bounds of the powers of W for its Taylor series, see `scaling_rows`."""
        return scaling_rows(self.W)

    @cached_property
    def condition(self) -> float:
        """Relative condition number (Frobenius) of the principal logarithm at M, complex where it has to be.

        An error delta in M can appear as condition * delta in W. Measured by power iteration on the Frechet derivative.
        Large for regions with eigenvalues close to 0 (1e14 and more for a regularized one).
        """
        from retime.core.frechet import log_condition

        if self.status is RegionStatus.TIME_VARYING:
            return float("inf")
        on_axis = self.auxiliary > 0 or self.status is RegionStatus.REAL
        return log_condition(self.transition[:, 1 : 1 + self.num_states], on_axis)

    @cached_property
    def is_unique(self) -> bool:
        """Whether no other real generator of the same dimension gives the same step.

        True only when every eigenvalue of M is real and positive and no Jordan block occurs twice (Culver 1966). Otherwise
        frequencies above the Nyquist rate pi/dt fit the same samples: that is a statement about the data.
        """
        L = self.dt * self.W
        w = np.linalg.eigvals(L)
        scale = max(1.0, float(np.abs(w).max(initial=0)))
        if self.status is not RegionStatus.PRINCIPAL or np.abs(w.imag).max(initial=0) > 1e-12 * scale:
            return False
        return not any(_has_equal_blocks(L, x, scale) for x in w.real)

    def field(self, z: Array, s: Array | None = None) -> Array:
        """dz/dt at states `(..., n)` with auxiliary states 0."""
        n = self.num_states
        f = np.asarray(z) @ self.W[:n, :n].T + self.h[:n]
        return f if s is None else f + np.asarray(s) @ self.E[:n].T

    def __repr__(self) -> str:
        return (
            f"RegionFlow({self.status}, {self.num_states} states + {self.auxiliary} auxiliary, "
            f"residual {self.residual:.1e}, margin {self.margin:+.2e})"
        )


def scaling_rows(W: Array) -> Array:
    """Three rows `(3, N)`: rho, ||W|| and alpha, each repeated, which set the steps of the Taylor series of W.

    The norms are those of V_ij = W_ij weights_j / weights_i, weights powers of two that make its row and column sums alike, so
    that a large gain on one unit does not count for all. alpha = max(||V^2||^(1/2), ||V^3||^(1/3)), hence ||V^j|| <= alpha^j,
    j >= 2. rho is not below the spectral radius of |W|.

    The weights of a nearly triangular matrix differ without bound: no accuracy is judged by these norms.

    Source: higham2008, section on bounds by powers of norms of powers.
    """
    from scipy.linalg import matrix_balance

    with np.errstate(invalid="ignore"):  # SciPy casts weights to integers, for a permutation that is not asked for
        V, _ = matrix_balance(W, permute=False, separate=True)
    square = V @ V
    norms = [float(np.abs(X).sum(axis=1).max(initial=0.0)) for X in (V, square, square @ V)]
    alpha = max(norms[1] ** 0.5, norms[2] ** (1 / 3))
    return np.repeat([[_radius_bound(np.abs(V))], [norms[0]], [alpha]], len(W), axis=1)


def _radius_bound(P: Array) -> float:
    """Upper bound of the spectral radius of a nonnegative matrix: max_i (P x)_i / x_i for a positive x (Collatz and Wielandt)."""
    x, bound = np.ones(len(P)), np.inf
    for _ in range(8):
        y = P @ x
        bound = min(bound, float((y / x).max(initial=0.0)))
        if bound == 0.0:
            break
        x = x + y / bound
    return bound


def _has_equal_blocks(L: Array, x: float, scale: float) -> bool:
    """Whether two Jordan blocks of eigenvalue x have the same size, from the ranks of powers of L - x I."""
    Z, power, nullities = (L - x * np.eye(len(L))) / scale, np.eye(len(L)), [0]
    for _ in range(len(L) + 1):
        power = power @ Z
        nullities.append(int((np.linalg.svd(power, compute_uv=False) <= 1e-12 * len(L)).sum()))
        if nullities[-1] == nullities[-2]:
            break
    at_least = np.diff([*nullities, nullities[-1]])
    return bool((at_least[:-1] - at_least[1:] > 1).any())
