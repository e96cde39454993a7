"""A quantum-inspired cell: amplitudes turned by gates whose angles read the input and earlier probabilities."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arguments import amount, seed_of, whole
from retime.core.arrays import Array, real_array
from retime.core.certificate import Certificate, Condition
from retime.core.equation import Equation, evaluate
from retime.core.errors import ShapeError
from retime.core.system import SmoothSystem

MOST_QUBITS = 12  # 4,096 amplitudes a vector


@dataclass(frozen=True, eq=False, repr=False)
class QUNN(SmoothSystem):
    """Quantum-inspired universal network, in this project's construction.

    psi_{k+1} = U(x_k, p_k, ..., p_{k-t+2}) D(p_{k-t+1}) psi_{k-t+1},   p_j = probabilities `(Q,)` that the qubits of psi_j are 1

    The state holds t vectors psi of 2^Q complex amplitudes, each of norm 1, newest first, real parts before imaginary parts. U is a product of t
    layers, each of RZ and RY on every qubit and of phases Z_q and Z_q Z_{q+1} on a ring. The angles of the first layer are affine in x, those of
    layer l also, times the gain, in the probabilities p_{k-l+1} of their own qubit; D is a phase of Z_q by gain times the probabilities of
    the vector that it acts on, which it leaves unchanged. All that U and D read is in the next state, so that:

    - norms are kept, whatever the parameters; the step is undone exactly (`inverse_step`);
    - parameters grow linearly with the memory t and with Q, while there are 2^Q amplitudes;
    - without feedback (gain 0) the Jacobian is orthogonal: gradients neither grow nor fade; with it `growth_bound` bounds them per step.

    Args:
        num_qubits: Q, 1 to 12. memory: t >= 1. num_inputs: m.
        gain: of the feedback, >= 0.
        seed: of the parameters that are not given.
        bias: angles `(t, a)`, a = 3 Q + number of neighbors. W_in: `(t, a, m)`. feedback: `(t - 1, a)`. own: `(Q,)`, of D.
        time, readout: as for every model.

    Raises:
        ValueError: sizes. ShapeError: a parameter has another shape.

    Source: niu2019 names the properties; the equations are ours (docs/theory/cells.md).
    """

    family: ClassVar[str] = "qunn"

    num_qubits: int
    memory: int
    num_inputs: int = 0  # type: ignore[assignment]
    _: KW_ONLY
    gain: float = 0.1
    seed: int = 0
    bias: Any = None
    W_in: Any = None
    feedback: Any = None
    own: Any = None

    def __post_init__(self) -> None:
        Q = whole("num_qubits", self.num_qubits, 1)
        if Q > MOST_QUBITS:
            raise ValueError(f"`num_qubits` is {Q}; a vector of 2^{Q} amplitudes is too long, at most {MOST_QUBITS}.")
        t, m = whole("memory", self.memory, 1), whole("num_inputs", self.num_inputs, 0)
        a = 3 * Q + len(neighbors(Q))
        rng = np.random.default_rng(seed_of(self.seed))
        drawn = {
            "bias": rng.uniform(-np.pi, np.pi, size=(t, a)),
            "W_in": rng.normal(size=(t, a, m)) / np.sqrt(max(m, 1)),
            "feedback": rng.normal(size=(t - 1, a)),
            "own": rng.normal(size=Q),
        }
        self._set(num_qubits=Q, memory=t, num_inputs=m, gain=float(amount("gain", self.gain)))
        for name, array in drawn.items():
            given = getattr(self, name)
            found = real_array(name, array if given is None else given)
            if found.shape != array.shape:
                raise ShapeError(
                    f"`{name}` has shape {found.shape}; for {Q} qubits, memory {t} and {m} inputs it must be {array.shape}."
                )
            self._set(**{name: found})
        self._finish()

    @property
    def num_states(self) -> int:
        """t 2^(Q+1): real and imaginary parts of t vectors."""
        return self.memory * 2 ** (self.num_qubits + 1)

    @property
    def num_parameters(self) -> int:
        """Trained numbers, without a readout."""
        return self.bias.size + self.W_in.size + self.feedback.size + self.own.size

    def initial_state(self) -> Array:
        """All qubits 0 in all vectors: `(n,)`."""
        z = np.zeros((self.memory, 2 ** (self.num_qubits + 1)))
        z[:, 0] = 1.0
        return z.reshape(-1)

    def amplitudes(self, z: Array) -> Array:
        """psi_k `(..., 2^Q)`, complex, of states `(..., n)`."""
        N = 2**self.num_qubits
        z = self._states(z)
        return z[..., :N] + 1j * z[..., N : 2 * N]

    def probabilities(self, z: Array) -> Array:
        """Probabilities `(..., Q)` that the qubits of psi_k are 1."""
        return (np.abs(self.amplitudes(z)) ** 2) @ _bits(self.num_qubits)

    def inverse_step(self, z: Array, s: Array | None = None) -> Array:
        """z_k `(..., n)` of z_{k+1} and the input `(..., m)` of that step."""
        return evaluate(
            Equation(_Back(self.num_qubits, self.memory), self._parameters), self._states(z), self._input(s)
        )

    @property
    def growth_bound(self) -> float:
        """A number that the 2-norm of no Jacobian of a step on vectors of norm 1 exceeds: 1 at gain 0.

        Each angle turns by at most half of its change, and a probability changes by at most twice the change of its vector.
        """
        rows = np.append(np.abs(self.feedback).sum(axis=1), np.abs(self.own).sum()) * self.gain
        C = np.eye(self.memory, k=-1)
        C[0] += rows
        C[0, -1] += 1.0
        return float(np.linalg.norm(C, 2))

    @cached_property
    def certificate(self) -> Certificate:
        """Norm, reversibility, number of parameters and growth, measured over 200 steps of random inputs."""
        rng = np.random.default_rng(0)
        s, path = rng.normal(size=(200, self.num_inputs)), [self.initial_state()]
        for row in s:
            path.append(self.step(path[-1], row))
        norms = np.linalg.norm(self.amplitudes(np.array(path)), axis=1)
        back = path[-1]
        for row in s[::-1]:
            back = self.inverse_step(back, row)
        off, undone = float(np.abs(norms - 1.0).max()), float(np.abs(back - path[0]).max())
        bound = self.growth_bound
        conditions = (
            Condition(
                "norms are kept", off <= 1e-10, 1e-10 - off,
                f"1e-10 minus the largest deviation of a norm from 1, {off:.1e}, over 200 steps",
            ),
            Condition(
                "the steps are undone", undone <= 1e-10, 1e-10 - undone,
                f"1e-10 minus the largest difference of the state after 200 steps forward and back, {undone:.1e}", required=False,
            ),
            Condition(
                "gradients neither grow nor fade", bound <= 1.0 + 1e-12, 1.0 - bound,
                f"1 minus the bound of the step's Jacobian in the 2-norm, {bound:.4g}, at gain {self.gain:g}", required=False,
            ),
        )  # fmt: skip
        sizes = (
            f"{self.num_parameters} parameters turn {2**self.num_qubits} amplitudes of each of {self.memory} vectors"
        )
        claim = f"{sizes}; each step keeps norms and can be undone."
        return Certificate(
            claim, "every input; measured on 200 steps of random ones", conditions, "niu2019; docs/theory/cells.md"
        )

    @property
    def _parameters(self) -> dict[str, Any]:
        arrays = {k: getattr(self, k) for k in ("bias", "W_in", "feedback", "own")}
        return arrays | {"gain": np.float64(self.gain)}

    def _equation(self) -> Equation:
        return Equation(_Forward(self.num_qubits, self.memory), self._parameters)

    def _details(self) -> list[str]:
        return [f"{self.num_qubits} qubits, memory {self.memory}"]


def neighbors(Q: int) -> list[tuple[int, int]]:
    """Pairs of qubits that are neighbors on a ring."""
    return [(q, (q + 1) % Q) for q in range(Q)] if Q > 2 else [(0, 1)] * (Q == 2)


def _bits(Q: int) -> Array:
    """`(2^Q, Q)`: which qubits are 1 in each amplitude; the first qubit is the most significant bit."""
    return ((np.arange(2**Q)[:, None] >> np.arange(Q)[::-1]) & 1).astype(float)


@dataclass(frozen=True)
class _Gates:
    """The gates of a step, on one vector given by its real and imaginary part."""

    Q: int
    memory: int

    def vectors(self, z: Any) -> list[tuple[Any, Any]]:
        """(real, imaginary) of the t vectors, newest first."""
        N = 2**self.Q
        return [(z[2 * N * j : 2 * N * j + N], z[2 * N * j + N : 2 * N * (j + 1)]) for j in range(self.memory)]

    def layers(self, p: Any, s: Any, kept: list[Any]) -> list[Any]:
        """Angles `(a,)` of each layer from the input, and from the probabilities `(Q,)` of the vector that it reads."""
        found = [p["bias"][layer] + p["W_in"][layer] @ s for layer in range(self.memory)]
        own = np.array([*range(self.Q)] * 3 + [q for q, _ in neighbors(self.Q)])
        for layer, psi in enumerate(kept, 1):
            found[layer] = found[layer] + p["gain"] * p["feedback"][layer - 1] * self.chances(psi)[own]
        return found

    def chances(self, psi: Any) -> Any:
        """Probabilities `(Q,)` that the qubits are 1."""
        return (psi[0] ** 2 + psi[1] ** 2) @ _bits(self.Q).astype(psi[0].dtype)

    def turned(self, xp: Any, p: Any, psi: Any, layers: list[Any], sign: float) -> Any:
        """D and all layers, given by their angles, or with sign -1 undone.

        Phases that follow each other are applied as one: they commute. They leave probabilities as they are, so that D reads the same ones from
        either side.
        """
        Q, t = self.Q, self.memory
        Z = 1.0 - 2.0 * _bits(Q).astype(psi[0].dtype)
        phases = np.column_stack([Z, *(Z[:, a] * Z[:, b] for a, b in neighbors(Q))])
        for j in range(t + 1)[:: int(sign)]:
            if sign < 0.0 and j < t:
                psi = self._flipped(xp, psi, -layers[j][Q : 2 * Q])
            alone = p["gain"] * p["own"] * self.chances(psi) if j == 0 else 0.0
            angle = Z @ (alone + layers[j][:Q]) if j < t else 0.0
            psi = shifted(xp, psi, angle + phases @ layers[j - 1][2 * Q :] if j > 0 else angle, sign)
            if sign > 0.0 and j < t:
                psi = self._flipped(xp, psi, layers[j][Q : 2 * Q])
        return psi

    def _flipped(self, xp: Any, psi: Any, angles: Any) -> Any:
        """RY on every qubit, those of the first and of the second half of the qubits at once; no matrix of all amplitudes is made."""
        c, s = xp.cos(angles / 2.0), xp.sin(angles / 2.0)
        turns = xp.stack([xp.stack([c, -s], axis=-1), xp.stack([s, c], axis=-1)], axis=-2)  # (Q, 2, 2)
        half = self.Q // 2
        first, second = (_product(xp, turns[k]) for k in (slice(0, half), slice(half, self.Q)))
        both = xp.stack(psi).reshape(2, 2**half, -1)
        both = (first @ both @ second.T).reshape(2, -1)
        return both[0], both[1]


def _product(xp: Any, turns: Any) -> Any:
    """The Kronecker product `(2^k, 2^k)` of turns `(k, 2, 2)`."""
    found = xp.ones((1, 1), dtype=turns.dtype)
    for turn in turns:
        size = 2 * found.shape[0]
        found = (found[:, None, :, None] * turn[None, :, None, :]).reshape(size, size)
    return found


def shifted(xp: Any, psi: Any, angle: Any, sign: float) -> Any:
    """exp(-i sign angle / 2) psi."""
    c, s = xp.cos(angle / 2.0), sign * xp.sin(angle / 2.0)
    return c * psi[0] + s * psi[1], c * psi[1] - s * psi[0]


class _Forward(_Gates):
    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        *kept, last = self.vectors(z)
        psi = self.turned(xp, p, last, self.layers(p, s, kept), 1.0)
        return xp.concatenate([*psi, *(x for v in kept for x in v)])


class _Back(_Gates):
    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        first, *kept = self.vectors(z)
        psi = self.turned(xp, p, first, self.layers(p, s, kept), -1.0)
        return xp.concatenate([*(x for v in kept for x in v), *psi])
