"""Linear state-space system with an offset."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, matrix, state_matrix, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.errors import ShapeError
from retime.core.reachability import gramian, reachable_dimension
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete, TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class LinearSystem(PiecewiseAffineSystem):
    """Affine system.

    z_{k+1} = A z_k + b + E s_k        (time=Discrete(dt))
    dz/dt   = A z   + b + E s          (time=Continuous())
    x       = B z + b_out + D s        (with a readout)

    Args:
        A: `(n, n)`, or its diagonal `(n,)`. b: `(n,)`. E: `(n, m)`.
        time: time base, `Discrete(1.0)` by default. readout: `(B, b_out)`.
        D: `(p, m)` direct feedthrough to the readout; None for zero.
        auxiliary: how many of the last states are auxiliary (a conversion raised the order): a simulation may be started from
            the other n - auxiliary, these then begin at 0.

    Raises:
        ShapeError: sizes disagree, or `D` without a readout. ValueError: an entry is not finite.
    """

    family: ClassVar[str] = "linear"

    A: Any
    b: Any
    E: Any
    _: KW_ONLY
    D: Any = None
    auxiliary: int = 0

    def __post_init__(self) -> None:
        A = state_matrix("A", self.A)
        n = len(A)
        E = matrix("E", self.E, (n, None), f", one row per state ({n})")
        self._set(A=A, b=vector("b", self.b, n, " one entry per state"), E=E)
        self._finish()
        if self.D is not None and self.readout is None:
            raise ShapeError("`D` was given without a readout; give readout=(B, b), x = B z + b + D s.")
        if self.D is not None:
            self._set(D=matrix("D", self.D, (self.num_outputs, E.shape[1]), " (outputs of the readout, inputs)"))
        if isinstance(self.auxiliary, bool) or not 0 <= self.auxiliary < n:
            raise ValueError(f"`auxiliary` is {self.auxiliary!r}; it must be a whole number from 0 to {n - 1}.")

    def _canonical(self) -> PiecewiseAffineForm:
        n, m = self.E.shape
        none, C2 = np.zeros(0), np.zeros((0, m))
        return PiecewiseAffineForm(self.A, np.zeros((n, 0)), np.zeros((0, n)), self.b, none, self.E, C2)

    @property
    def columns(self) -> Array:
        """[A, E, b] `(n, n + m + 1)`, which act on (z, s, 1)."""
        return np.hstack([self.A, self.E, self.b[:, None]])

    def with_columns(self, X: Array, **changes: Any) -> LinearSystem:
        """The system with the matrices X = [A, E, b] `(n, n + m + 1)` and other changes."""
        n = self.num_states
        return replace(self, A=X[:, :n], E=X[:, n:-1], b=X[:, -1], **changes)

    @property
    def output(self) -> tuple[Array, Array, Array]:
        """B `(p, n)`, b `(p,)`, D `(p, m)`; without a readout the states are the outputs."""
        n, m = self.E.shape
        B, b = (np.eye(n), np.zeros(n)) if self.readout is None else (self.readout.B, self.readout.b)
        return B, b, np.zeros((len(B), m)) if self.D is None else self.D

    def outputs(self, states: Array, inputs: Array | None = None) -> Array | None:
        """x = B z + b_out + D s for states `(..., n)` and inputs `(..., m)` (None: zero)."""
        if self.readout is None:
            return None
        return self.readout(states, 0.0 if self.D is None or inputs is None else np.asarray(inputs) @ self.D.T)

    def start(self, z: Array, s: Array | None = None) -> Array:
        """States `(..., n)`, from shorter ones by appending auxiliary states 0."""
        z = np.asarray(z, dtype=np.float64)
        if self.auxiliary and z.shape[-1:] == (self.num_states - self.auxiliary,):
            z = np.concatenate([z, np.zeros((*z.shape[:-1], self.auxiliary))], axis=-1)
        return self._states(z)

    @cached_property
    def eigenvalues(self) -> Array:
        """Eigenvalues of A `(n,)`, complex, slowest first: 1 / model time (continuous), multipliers per step (discrete)."""
        w = np.linalg.eigvals(self.A).astype(complex)
        w = w[np.argsort(-self.time.sizes(w), kind="stable")]
        w.setflags(write=False)
        return w

    @property
    def exponents(self) -> Array:
        """Continuous-time exponents `(n,)`, 1 / model time: the eigenvalues, for a map log(eigenvalue) / dt (principal; -inf for 0)."""
        w = self.eigenvalues
        if not isinstance(self.time, Discrete):
            return w
        with np.errstate(divide="ignore"):
            rates = np.log(np.abs(w)) / self.time.dt
        found = np.empty(len(w), dtype=complex)
        found.real, found.imag = rates, np.angle(w) / self.time.dt
        return found

    @property
    def time_constants(self) -> Array:
        """-1 / Re(exponent) `(n,)`, model time: > 0 of a decaying mode, < 0 of a growing one, inf of one that does neither."""
        rate = np.real(self.exponents)
        with np.errstate(divide="ignore"):
            return np.where(np.isneginf(rate), 0.0, np.where(rate == 0, np.inf, -1.0 / rate))

    @property
    def frequencies(self) -> Array:
        """|Im(exponent)| / (2 pi) `(n,)`, cycles per model time; of a map at most 1 / (2 dt), the Nyquist frequency."""
        return np.abs(np.imag(self.exponents)) / (2 * np.pi)

    @property
    def is_stable(self) -> bool:
        """Whether every mode decays."""
        return bool((np.real(self.exponents) < 0).all())

    def controllability_rank(self, tolerance: float = 1e-10) -> int:
        """Dimension of the states that inputs can reach: the rank of (E, A E, A^2 E, ...).

        By orthogonal bases, not by powers of A. tolerance: relative size below which a direction counts as not reached.
        """
        return reachable_dimension(self.A, self.E, tolerance)

    def observability_rank(self, tolerance: float = 1e-10) -> int:
        """Rank of (B, B A, B A^2, ...): n when the outputs determine the state (without a readout, always n)."""
        return reachable_dimension(self.A.T, self.output[0].T, tolerance)

    def controllability_gramian(self) -> Array:
        """P `(n, n)` with A P + P A^T + E E^T = 0 (continuous) or A P A^T - P + E E^T = 0 (discrete).

        Raises:
            ValueError: a mode does not decay, so that the Gramian is infinite.
        """
        return gramian(self.A, self.E, isinstance(self.time, Discrete), self.is_stable)

    def observability_gramian(self) -> Array:
        """Q `(n, n)` with A^T Q + Q A + B^T B = 0 (continuous) or A^T Q A - Q + B^T B = 0 (discrete).

        Raises:
            ValueError: a mode does not decay, so that the Gramian is infinite.
        """
        return gramian(self.A.T, self.output[0].T, isinstance(self.time, Discrete), self.is_stable)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        return replace(self, A=a * np.eye(self.num_states) + b * self.A, b=b * self.b, E=b * self.E, time=time)

    def _details(self) -> list[str]:
        return [f"{self.auxiliary} of them auxiliary"] if self.auxiliary else []


def linear(model: Any, claim: str, instead: str = "") -> LinearSystem:
    """`model` itself when it is a LinearSystem.

    Args:
        model: what came. claim: what takes a LinearSystem, for the message. instead: what to do with another model.

    Raises:
        TypeError: another model.
    """
    if not isinstance(model, LinearSystem):
        raise TypeError(f"{claim} a LinearSystem; {type(model).__name__} is none.{instead and ' ' + instead}")
    return model
