"""Unitary network: the recurrent matrix is the exponential of a skew one, and the nonlinearity moves moduli only."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import expm

from retime.core.arrays import Array, matrix, state_matrix, vector
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import CONTINUOUS, Continuous
from retime.models.units import WithInputs


@dataclass(frozen=True, eq=False, repr=False)
class UnitaryRNN(WithInputs):
    """Recurrent network with a unitary (orthogonal) matrix and modReLU.

    z_{k+1} = modrelu(exp(dt G) z_k + dt W_in s_k),   modrelu(x) = x / |x| relu(|x| + dt b)        (time=Discrete(dt))
    dz/dt = G z + W_in s + b z / |z|                                                               (time=Continuous())

    G = W_skew - W_skew^T. The map is the Lie splitting of three flows that are each solved exactly: the rotation, the input, and the change
    of moduli, which stops at 0. Published units have dt = 1. `to_continuous` gives the equation in continuous time.

    |x| is that of each state, or of pairs of states (n/2 complex numbers, real parts first) with `pairs`.

    Args:
        W_skew: `(n, n)`, of which only the antisymmetric part acts; with `pairs` it must commute with i (see `complex_generator`).
        W_in: `(n, m)`. b: bias of the moduli, `(n,)`, or `(n/2,)` with `pairs`.
        pairs: whether states are complex.
        time: `Discrete(dt)` or `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: arjovsky2016 (unitary, modReLU), lezcano2019 (exponential); the splitting: docs/theory/cells.md.
    """

    family: ClassVar[str] = "unitary_rnn"

    W_skew: Any
    W_in: Any
    b: Any
    _: KW_ONLY
    pairs: bool = False

    def __post_init__(self) -> None:
        W = state_matrix("W_skew", self.W_skew)
        n = len(W)
        if self.pairs and n % 2:
            raise ShapeError(
                f"`W_skew` has shape {W.shape}; with `pairs` its size must be even: real parts, then imaginary parts."
            )
        W_in = np.zeros((n, 0)) if self.W_in is None else self.W_in
        size = n // 2 if self.pairs else n
        self._set(W_skew=W, W_in=matrix("W_in", W_in, (n, None)), b=vector("b", self.b, size), pairs=bool(self.pairs))
        self._finish()

    @property
    def num_states(self) -> int:
        """n."""
        return len(self.W_skew)

    @property
    def generator(self) -> Array:
        """G = W_skew - W_skew^T `(n, n)`."""
        return self.W_skew - self.W_skew.T

    @property
    def rotation(self) -> Array:
        """exp(dt G) `(n, n)`, orthogonal."""
        return expm(self.dt * self.generator)

    def integrated(self) -> System | None:
        """The equation in continuous time."""
        return replace(self, time=CONTINUOUS)

    def _equation(self) -> Equation:
        p = {"W_skew": self.W_skew, "W_in": self.W_in, "b": self.b}
        if isinstance(self.time, Continuous):
            return Equation(_Field(self.pairs), p)
        return Equation(_Step(self.pairs), p | {"dt": np.float64(self.dt)})


def complex_generator(H: Any) -> Array:
    """W_skew `(2 N, 2 N)` of a skew-Hermitian generator `(N, N)`, for `UnitaryRNN(pairs=True)`; only its skew part acts."""
    H = np.asarray(H, dtype=complex)
    return np.block([[H.real, -H.imag], [H.imag, H.real]]) / 2.0


@dataclass(frozen=True)
class _Field:
    pairs: bool

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        W = p["W_skew"]
        return W @ z - W.T @ z + p["W_in"] @ s + radial(xp, z, p["b"], self.pairs)


@dataclass(frozen=True)
class _Step:
    pairs: bool

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        from jax.scipy.linalg import expm as exponential

        W, dt = p["W_skew"], p["dt"]
        x = exponential(dt * (W - W.T)) @ z + dt * (p["W_in"] @ s)
        return modrelu(xp, x, dt * p["b"], self.pairs)


def _modulus(xp: Any, z: Any, pairs: bool) -> Any:
    """|z| of every state, or of pairs, repeated; 1 where it is 0, and whether it is."""
    if not pairs:
        size = xp.abs(z)
    else:
        re, im = xp.split(z, 2)
        square = re**2 + im**2
        size = xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1.0)), 0.0)
        size = xp.concatenate([size, size])
    return xp.where(size > 0, size, 1.0), size > 0


def radial(xp: Any, z: Any, b: Any, pairs: bool) -> Any:
    """b z / |z|, and 0 at 0."""
    size, moves = _modulus(xp, z, pairs)
    b = xp.concatenate([b, b]) if pairs else b
    return xp.where(moves, b * z / size, 0.0)


def modrelu(xp: Any, z: Any, b: Any, pairs: bool) -> Any:
    """z / |z| relu(|z| + b), and 0 at 0."""
    size, moves = _modulus(xp, z, pairs)
    b = xp.concatenate([b, b]) if pairs else b
    return xp.where(moves, z / size * xp.maximum(size + b, 0.0), 0.0)
