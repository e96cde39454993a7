"""What is observed of a system: outputs as a function of its states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any

import numpy as np

from retime.core.activation import ACTIVATIONS, SYNONYMS
from retime.core.arrays import Array, matrix, vector
from retime.core.equation import Equation, jacobians


def _softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OUTPUT_ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = ACTIVATIONS | {
    "exp": lambda xp, x: xp.exp(x),
    "softmax": _softmax,
}
"""Those of the units, and e^x and e^x / sum e^x over the outputs."""


@dataclass(frozen=True, eq=False, repr=False)
class Readout:
    """Outputs of the states, linear by default.

    x = g(B f(z - threshold) + b)

    Unpacks to `B, b` where both functions are linear.

    Args:
        B: `(p, n)`. b: `(p,)`; None for zero.
        activation: g, one of linear, tanh, relu, softplus, logistic, exp, softmax (over the p outputs).
        rate: f, one of linear, tanh, relu, softplus, logistic: outputs that read the rates f(z) of the units, as those of rate networks do.
        threshold: `(n,)`, taken from the states before f; None for zero.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, or an unknown name.
    """

    B: Any
    b: Any = None
    _: KW_ONLY
    activation: str = "linear"
    rate: str = "linear"
    threshold: Any = None

    def __post_init__(self) -> None:
        B = matrix("readout B", self.B, (None, None), " (outputs, states)")
        p, n = B.shape
        b = vector("readout b", np.zeros(p) if self.b is None else self.b, p)
        threshold = None if self.threshold is None else vector("readout threshold", self.threshold, n)
        rate = _checked("rate", self.rate, ACTIVATIONS)
        if threshold is not None and rate == "linear":
            b, threshold = vector("readout b", b - B @ threshold, p), None
        if threshold is not None and not threshold.any():
            threshold = None
        activation = _checked("activation", self.activation, OUTPUT_ACTIVATIONS)
        self._set(B=B, b=b, activation=activation, rate=rate, threshold=threshold)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def is_linear(self) -> bool:
        """Whether x = B z + b."""
        return self.activation == self.rate == "linear"

    @property
    def linear(self) -> Readout:
        """B and b alone, without the functions."""
        return Readout(self.B, self.b)

    def __call__(self, z: Array, drive: Any = 0.0) -> Array:
        """x `(..., p)` for states `(..., n)`; `drive` `(..., p)` is added inside g."""
        z = np.asarray(z)
        rows = z.reshape(-1, z.shape[-1])
        shifted = rows if self.threshold is None else rows - self.threshold
        y = ACTIVATIONS[self.rate](np, shifted) @ self.B.T + self.b
        y = y.reshape(*z.shape[:-1], len(self.b)) + drive
        with np.errstate(over="ignore"):  # e^x may be infinite, as it is
            return OUTPUT_ACTIVATIONS[self.activation](np, y)

    def widened(self, before: int, after: int) -> Readout:
        """The same outputs of a longer state, with entries before and after that are not read."""
        pad = (before, after)
        threshold = None if self.threshold is None else np.pad(self.threshold, pad)
        return replace(self, B=np.pad(self.B, ((0, 0), pad)), threshold=threshold)

    def tangent(self, z: Array, drive: Array | None = None) -> tuple[Readout, Array]:
        """The linear readout that touches this one at z `(n,)`, and dx/d(drive) `(p, p)` there; `drive` `(p,)` None for zero."""
        p = len(self.b)
        drive = np.zeros(p) if drive is None else drive
        if self.is_linear:
            return self, np.eye(p)
        parameters = {
            "B": self.B,
            "b": self.b,
            "threshold": np.zeros(len(z)) if self.threshold is None else self.threshold,
        }
        J, G = jacobians(Equation(_Outputs(self.activation, self.rate), parameters), z, drive)
        return Readout(J, self(z, drive) - J @ z - G @ drive), G

    def __iter__(self) -> Iterator[Array]:
        if not self.is_linear:
            raise TypeError(
                f"This readout is {self!r} and no pair (B, b); use it as a function of the states, or its `.B`, `.b`, `.activation`, `.rate`."
            )
        return iter((self.B, self.b))

    def __getitem__(self, k: int) -> Array:
        return tuple(self)[k]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Readout):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.B.shape, self.activation, self.rate))

    def __reduce__(self) -> tuple[Any, ...]:
        return made, (
            Readout,
            {f.name: getattr(self, f.name) for f in fields(self)},
        )

    def __repr__(self) -> str:
        z = "z" if self.threshold is None else "z - threshold"
        inner = f"B {z} + b" if self.rate == "linear" else f"B {self.rate}({z}) + b"
        text = inner if self.activation == "linear" else f"{self.activation}({inner})"
        p, n = self.B.shape
        return f"Readout({p} outputs of {n} states, x = {text})"


@dataclass(frozen=True)
class _Outputs:
    activation: str
    rate: str

    def __call__(self, xp: Any, p: Any, z: Any, drive: Any) -> Any:
        y = p["B"] @ ACTIVATIONS[self.rate](xp, z - p["threshold"]) + p["b"] + drive
        return OUTPUT_ACTIVATIONS[self.activation](xp, y)


def as_readout(value: Any, num_states: int) -> Readout | None:
    """`value` as the readout of a system: a Readout, (B, b), B alone, or None.

    Raises:
        ShapeError: sizes disagree. ValueError: another number of parts, an entry is not finite.
    """
    if value is None or (isinstance(value, Readout) and value.B.shape[1] == num_states):
        return value
    if isinstance(value, tuple) and len(value) != 2:
        raise ValueError(
            f"`readout` has {len(value)} parts; it must be (B, b) with B (outputs, states) and b (outputs,), B alone, or a Readout."
        )
    B, b = (value.B, value.b) if isinstance(value, Readout) else value if isinstance(value, tuple) else (value, None)
    return Readout(matrix("readout B", B, (None, num_states), " (outputs, states)"), b)


def _checked(name: str, value: Any, known: dict[str, Any]) -> str:
    found = SYNONYMS.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, str) or found not in known:
        raise ValueError(f"`{name}` of the readout is {value!r}; it must be one of {', '.join(known)}.")
    return found


def made(cls: Any, parameters: dict[str, Any]) -> Any:
    """An object made anew from its parameters, as copies and pickles are."""
    return cls(**parameters)
