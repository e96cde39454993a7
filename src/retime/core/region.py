"""The continuous-time counterpart of one linear region, with what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retime.core.arrays import Array
from retime.core.balance import balancing
from retime.core.exponential import linear_step
from retime.core.result import Result
from retime.core.status import RegionStatus

STRICT = 1e-12  # residual of a region that reproduces its map whatever its condition
LOOSE = 1e-8  # and the largest with which one may count as reproduced


def many(states: int) -> float:
    """What `STRICT` is multiplied by for more than 16 states: rounding grows with their number."""
    return max(1.0, states / 16)


@dataclass(frozen=True, eq=False, repr=False)
class RegionFlow(Result):
    """dy/dt = W y + h + E s inside one region, with y = (z, auxiliary states).

    The auxiliary states are appended last and are 0 at every sample time; from there the flow over one step `dt`
    with the input held gives the map: z(dt) = M z + c + E_map s.

    Attributes:
        W `(N, N)`, h `(N,)`, E `(N, m)` with N = n + auxiliary: generator, offset and input matrix, per model time.
        status: which case of the spectrum applies.
        auxiliary: number of auxiliary states.
        residual: how far one step of the flow is from the map (Frobenius norms, in the raised order): of M against |M|, of the
            offset and of each input against its own column; the largest of these, in the states' units and in balanced ones.
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
        n = self.num_states
        E, X = linear_step(self.dt * self.W, self.dt * np.column_stack([self.h, self.E]))
        step = np.hstack([X[:n, :1], E[:n, :n], X[:n, 1:]])
        return step if self.ramp is None else step + self.ramp

    @cached_property
    def scaling(self) -> Array:
        """Bounds of the powers of W for its Taylor series, see `scaling_rows`."""
        return scaling_rows(self.W)

    @cached_property
    def limit(self) -> float:
        """Largest residual with which the region counts as reproduced: 1e-12, or 8 times what rounding alone does to a step.

        The 1e-12 are for up to 16 states and grow with their number. `rounding` is measured only where they are exceeded.
        Never more than 1e-8: what double precision cannot hold to that is not reproduced.
        """
        strict = STRICT * many(len(self.h))
        return strict if self.residual <= strict else float(np.clip(8 * self.rounding, strict, LOOSE))

    @property
    def reproduces(self) -> bool:
        """Whether the residual is within the limit."""
        return self.residual <= self.limit

    @cached_property
    def rounding(self) -> float:
        """What rounding the entries of W, h and E to double precision does to one step, in the terms of `residual`.

        The largest of 4 random errors of 2^-53 of their norms (seed 0), to first order.
        """
        from retime.core.frechet import step_rounding

        return step_rounding(self.dt * self.W, self.dt * np.column_stack([self.h, self.E]), self.num_states)

    @cached_property
    def condition(self) -> float:
        """Relative condition number (Frobenius, in balanced units) of the principal logarithm at M, complex where it has to be.

        An error delta in M can appear as condition * delta in W. Measured by power iteration on the Frechet derivative.
        Large for regions with eigenvalues close to 0 (1e14 and more for a regularized one).
        """
        from retime.core.frechet import log_condition

        if self.status is RegionStatus.TIME_VARYING:
            return float("inf")
        on_axis = self.auxiliary > 0 or self.status is RegionStatus.REAL
        return log_condition(self._balanced_map, on_axis)

    @cached_property
    def is_unique(self) -> bool:
        """Whether no other real generator of the same dimension gives the same step.

        True exactly when every eigenvalue of M is real and positive and no Jordan block occurs twice (Culver 1966), decided for M to
        rounding; False where that cannot be decided. Otherwise frequencies above the Nyquist rate pi/dt fit the same
        samples: that is a statement about the data.
        """
        from retime.core.frechet import is_unique_logarithm

        if self.status is not RegionStatus.PRINCIPAL:
            return False
        return is_unique_logarithm(self._balanced_map, max(self.residual, 1e-15))

    @property
    def _balanced_map(self) -> Array:
        M = self.transition[:, 1 : 1 + self.num_states]
        w = balancing(M[None])[0]
        return M * (w / w[:, None])

    def field(self, z: Array, s: Array | None = None) -> Array:
        """dz/dt at states `(..., n)` with auxiliary states 0."""
        n = self.num_states
        f = np.asarray(z) @ self.W[:n, :n].T + self.h[:n]
        return f if s is None else f + np.asarray(s) @ self.E[:n].T

    def _title(self) -> str:
        return (
            f"{self.status}, {self.num_states} states + {self.auxiliary} auxiliary, "
            f"residual {self.residual:.1e}, margin {self.margin:+.2e}"
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
