"""A vector field that is a feedforward network."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from retime.core.activation import Activation, activation
from retime.core.arrays import Array, matrix, real_array, vector
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import CONTINUOUS, Discrete, TimeBase
from retime.models.units import WithInputs


@dataclass(frozen=True, eq=False, repr=False)
class LayeredField(WithInputs):
    """Vector field that is a network of layers: the right-hand side of a neural differential equation.

    dz/dt = W_L f(... f(W_1 z + U s + b_1) ...) + b_L - leak z

    Args:
        layers: W_1 `(q_1, n)`, ..., W_L `(n, q_{L-1})`; one layer or more.
        biases: b_1 `(q_1,)`, ..., b_L `(n,)`.
        W_in: U `(q_1, m)`; None without inputs.
        activation: f between the layers, as for a `RateRNN`.
        leak: a number, 1 / model time.
        time: `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, discrete time.

    Source: chen2018.
    """

    family: ClassVar[str] = "layered_field"

    layers: Any
    biases: Any
    W_in: Any = None
    _: KW_ONLY
    activation: Any = "tanh"
    leak: float = 0.0
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        layers = tuple(matrix(f"layers[{k}]", W, (None, None)) for k, W in enumerate(self.layers))
        if not layers or len(layers) != len(self.biases):
            raise ShapeError(
                f"`layers` are {len(layers)} and `biases` {len(self.biases)}; there must be one bias per layer."
            )
        for k, (W, V) in enumerate(pairwise(layers)):
            if V.shape[1] != len(W):
                raise ShapeError(
                    f"`layers[{k + 1}]` has shape {V.shape}; it must be (any, {len(W)}), one column per unit below."
                )
        n, q = layers[0].shape[1], len(layers[0])
        if len(layers[-1]) != n:
            raise ShapeError(
                f"`layers[{len(layers) - 1}]` has shape {layers[-1].shape}; it must have {n} rows, one per state."
            )
        biases = tuple(
            vector(f"biases[{k}]", b, len(W)) for k, (b, W) in enumerate(zip(self.biases, layers, strict=True))
        )
        W_in = np.zeros((q, 0)) if self.W_in is None else self.W_in
        self._set(
            layers=layers,
            biases=biases,
            W_in=matrix("W_in", W_in, (q, None)),
            leak=float(real_array("leak", self.leak)),
        )
        self._set(_f=activation(self.activation, n))
        self._finish()
        if isinstance(self.time, Discrete):
            raise ValueError(f"`time` is {self.time}; a LayeredField flows. For a map of it use ODERNN.")

    @property
    def num_states(self) -> int:
        """n."""
        return self.layers[0].shape[1]

    @property
    def weights(self) -> dict[str, Array]:
        """W0, b0, W1, ... of the layers, and W_in."""
        named = {f"{letter}{k}": x for letter, xs in (("W", self.layers), ("b", self.biases)) for k, x in enumerate(xs)}
        return {**named, "W_in": self.W_in}

    def with_weights(self, weights: dict[str, Any]) -> System:
        """The same field with other weights."""
        own = {**self.weights, **weights}
        count = range(len(self.layers))
        return replace(
            self, layers=tuple(own[f"W{k}"] for k in count), biases=tuple(own[f"b{k}"] for k in count), W_in=own["W_in"]
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        own, its = self.weights, other.weights
        same = own.keys() == its.keys() and all(np.array_equal(own[k], its[k]) for k in own)
        return same and (self.activation, self.leak, self.readout, self.time) == (
            other.activation,
            other.leak,
            other.readout,
            other.time,
        )

    __hash__ = System.__hash__

    def _equation(self) -> Equation:
        return Equation(_Layered(self._f, len(self.layers)), {**self.weights, "leak": np.float64(self.leak)})  # type: ignore[attr-defined]

    def _details(self) -> list[str]:
        return [f"{len(self.layers)} layers", str(self.activation)]


@dataclass(frozen=True)
class _Layered:
    f: Activation
    depth: int

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        x = p["W0"] @ z + p["W_in"] @ s + p["b0"]
        for k in range(1, self.depth):
            x = p[f"W{k}"] @ self.f(xp, x) + p[f"b{k}"]
        return x - p["leak"] * z
