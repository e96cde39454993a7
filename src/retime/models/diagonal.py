"""Diagonal linear recurrence with complex eigenvalues: the core of LRU, S4D and S5."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array, real_array, refuse_masked
from retime.core.canonical import PiecewiseAffineForm
from retime.core.equation import Equation
from retime.core.errors import CertificateError, ShapeError
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete, TimeBase


@dataclass(frozen=True, eq=False, repr=False)
class DiagonalLinearRNN(PiecewiseAffineSystem):
    """Diagonal linear recurrent network, the recurrence of LRU, S4D and S5. The state is (Re x, Im x): N complex states as pairs.

    x_{k+1} = lambda x_k + B s_k          (time=Discrete(dt): lambda are multipliers)
    dx/dt   = lambda x   + B s            (time=Continuous(): lambda are rates, 1 / model time)
    outputs   Re(C x) + b                 (readout=(C, b) with complex C, or a real readout of the pairs)

    With the input held over a step the map *is* the flow: `to_continuous`, `to_discrete(ZeroOrderHold())` and `retime_to` are exact and
    stay in the family, for negative multipliers too (a complex state turns by half a circle). Only a multiplier of 0 has no flow.

    LRU: lambda = exp(-exp(nu_log) + i exp(theta_log)), B = exp(gamma_log) (B_re + i B_im), C = C_re + i C_im. S4D and S5 give rates and a
    step: `DiagonalLinearRNN(rates, B, time=Continuous())` and `to_discrete`. Conjugate states that S5 leaves out count twice: C -> 2 C.

    Args:
        eigenvalues: lambda `(N,)`, complex. B: `(N, m)`, complex; `(N, 2)` or `(N, m, 2)` real ones are real and imaginary parts.
        time: `Discrete(dt)` or `Continuous()`. readout: as above.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: orvieto2023, gu2022, smith2023.
    """

    family: ClassVar[str] = "diagonal_linear"

    eigenvalues: Any
    B: Any
    _: KW_ONLY

    def __post_init__(self) -> None:
        w = _parts("eigenvalues", self.eigenvalues, 1)
        B = _parts("B", self.B, 2)
        if not len(w) or len(B) != len(w):
            raise ShapeError(
                f"`eigenvalues` are {len(w)} and `B` has {len(B)} rows; there must be one row per eigenvalue."
            )
        self._set(eigenvalues=w, B=B, readout=_real_readout(self.readout, len(w)))
        self._finish()

    @property
    def multipliers(self) -> Array:
        """lambda `(N,)`, complex: multipliers of a map, rates of a flow."""
        return self.eigenvalues[:, 0] + 1j * self.eigenvalues[:, 1]

    @property
    def num_states(self) -> int:
        """2 N: real parts, then imaginary parts."""
        return 2 * len(self.eigenvalues)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.B.shape[1]

    def held(self, time: TimeBase) -> System | None:
        """The same equation in another time base, exact while the input is held.

        Raises:
            CertificateError: a multiplier is 0.
        """
        w, B = self.multipliers, self.B[..., 0] + 1j * self.B[..., 1]
        if isinstance(self.time, Discrete):
            if (w == 0).any():
                k = int(np.argmin(np.abs(w)))
                raise CertificateError(
                    f"The multiplier of state {k} is 0: no flow forgets within a step. Drop that state, or use EulerField()."
                )
            rates = np.log(w) / self.dt
            B = B / (self.dt * phi(self.dt * rates))[:, None]
            w = rates
        if isinstance(time, Discrete):
            w, B = np.exp(time.dt * w), B * (time.dt * phi(time.dt * w))[:, None]
        return replace(self, eigenvalues=w, B=B, time=time)

    def _canonical(self) -> PiecewiseAffineForm:
        (re, im), m = self.eigenvalues.T, self.num_inputs
        A = np.block([[np.diag(re), -np.diag(im)], [np.diag(im), np.diag(re)]])
        n = len(A)
        E = np.concatenate([self.B[..., 0], self.B[..., 1]])
        return PiecewiseAffineForm(A, np.zeros((n, 0)), np.zeros((0, n)), np.zeros(n), np.zeros(0), E, np.zeros((0, m)))

    @cached_property
    def equation(self) -> Equation:
        """The right-hand side for JAX, state by state instead of by a matrix."""
        return Equation(_diagonal, {"eigenvalues": self.eigenvalues, "B": self.B})

    def _details(self) -> list[str]:
        return [f"{len(self.eigenvalues)} complex"]


def _diagonal(xp: Any, p: Any, z: Any, s: Any) -> Any:
    N = z.shape[0] // 2
    (re, im), (x, y) = p["eigenvalues"].T, (z[:N], z[N:])
    return xp.concatenate([re * x - im * y + p["B"][..., 0] @ s, im * x + re * y + p["B"][..., 1] @ s])


def phi(x: Array) -> Array:
    """(exp(x) - 1) / x of complex numbers, 1 at 0."""
    return np.where(x == 0, 1.0, np.expm1(x) / np.where(x == 0, 1.0, x))


def _parts(name: str, value: Any, dimensions: int) -> Array:
    """Real and imaginary parts on a last axis of 2, of complex numbers or of such parts."""
    refuse_masked(name, value)
    array = np.asarray(value)
    if array.dtype.kind == "c" or array.ndim == dimensions:
        array = np.stack([np.real(array), np.imag(array)], axis=-1)
    if array.ndim != dimensions + 1 or array.shape[-1] != 2:
        wanted = "(N,)" if dimensions == 1 else "(N, m)"
        raise ShapeError(
            f"`{name}` has shape {np.shape(value)}; it must be {wanted}, complex, or with a last axis of real and imaginary part."
        )
    return real_array(name, array)


def _real_readout(readout: Any, N: int) -> Any:
    """x = Re(C x) + b as a readout of the pairs."""
    C, b = readout if isinstance(readout, tuple) else (readout, None)
    if C is None or not np.iscomplexobj(C):
        return readout
    if np.ndim(C) != 2 or np.shape(C)[1] != N:
        raise ShapeError(
            f"`readout` C has shape {np.shape(C)}; a complex one must be (p, {N}), one column per complex state."
        )
    C = np.hstack([np.real(C), -np.imag(C)])
    return C if b is None else (C, b)
