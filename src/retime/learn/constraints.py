"""Constraints of training that hold exactly at its end: weights as functions of free parameters, and a certificate that shows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.cells import log_norm
from retime.convert import ODERNN, max_stable_dt
from retime.core.arguments import amount
from retime.core.arrays import real_array
from retime.core.certificate import Certificate, Condition
from retime.core.system import System

SLACK = 1e-12  # what rounding may add, per size of the weights

RECURRENT = ("W_rec", "W")
"""The recurrent weights `(n, n)` of the families that constraints of weights are for."""


class Constraint(ABC):
    """A constraint of the recurrent weights, or of the step, in training."""

    @abstractmethod
    def apply(self, xp: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters that satisfy it, as a function of free ones; xp is jax.numpy."""

    def cut(self, model: System) -> System:
        """The trained model with what is not a function of free parameters cut back."""
        return model

    @abstractmethod
    def certificate(self, model: System) -> Certificate:
        """What the trained model satisfies, computed from its own weights."""

    def check(self, parameters: dict[str, Any]) -> None:
        """Refuse families without what it constrains.

        Raises:
            ValueError: the family has none.
        """
        name(parameters, self)


def name(parameters: dict[str, Any], constraint: Constraint) -> str:
    """The name of the recurrent weights.

    Raises:
        ValueError: the family has none, or gates with several.
    """
    for key in RECURRENT:
        if key in parameters and np.ndim(parameters[key]) == 2 and len(set(np.shape(parameters[key]))) == 1:
            return key
    raise ValueError(
        f"`constraint` is {constraint!r}, for families with one recurrent matrix W_rec or W (n, n); this one has none."
    )


def _weights(model: Any) -> Any:
    W = getattr(model, "W_rec", None)
    return np.asarray(model.W if W is None else W)


def _one(claim: str, value: float, bound: float, size: float) -> Certificate:
    slack = SLACK * max(size, 1.0)
    detail = f"{bound:.6g} minus {value:.6g}, of the trained weights; rounding may take {slack:.0e}"
    condition = Condition(
        "the constraint holds at the end of training", value <= bound + slack, bound + slack - value, detail
    )
    return Certificate(claim, "every state and input", (condition,), "docs/theory/cells.md")


@dataclass(frozen=True)
class Antisymmetric(Constraint):
    """W = V - V^T - gamma I: the eigenvalues of W have real part -gamma.

    Args:
        gamma: a number.

    Source: chang2019.
    """

    gamma: float = 0.0

    def __post_init__(self) -> None:
        real_array("gamma", self.gamma)

    def apply(self, xp: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """W of V."""
        key = name(parameters, self)
        V = parameters[key]
        return {**parameters, key: V - V.T - self.gamma * xp.eye(len(V), dtype=V.dtype)}

    def certificate(self, model: System) -> Certificate:
        """How far W + gamma I is from antisymmetric."""
        W = _weights(model) + self.gamma * np.eye(model.num_states)
        return _one(
            f"W + {self.gamma:g} I is antisymmetric.", float(np.abs(W + W.T).max()), 0.0, float(np.abs(W).max())
        )


@dataclass(frozen=True)
class SpectralNorm(Constraint):
    """W = V min(1, bound / |V|_2): the largest singular value of W is at most `bound`.

    With units of slope at most 1, an Elman network with bound 1 enlarges no distance.

    Args:
        bound: a number >= 0.
    """

    bound: float = 1.0

    def __post_init__(self) -> None:
        amount("bound", self.bound)

    def apply(self, xp: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """W of V."""
        key = name(parameters, self)
        V = parameters[key]
        return {**parameters, key: V * xp.minimum(1.0, self.bound / xp.maximum(xp.linalg.norm(V, 2), 1e-30))}

    def certificate(self, model: System) -> Certificate:
        """The largest singular value of W."""
        size = float(np.linalg.norm(_weights(model), 2))
        return _one(f"The largest singular value of W is at most {self.bound:g}.", size, self.bound, size)


@dataclass(frozen=True)
class LogNorm(Constraint):
    """W = V - max(0, mu(V) - bound) I: the logarithmic 2-norm of W, the largest eigenvalue of (W + W^T) / 2, is at most `bound`.

    A `RateRNN` with bound 1 and form "current" or "rate" loses no distance faster than its leak gives it back at slope 1.

    Args:
        bound: a number.
    """

    bound: float = 0.0

    def __post_init__(self) -> None:
        real_array("bound", self.bound)

    def apply(self, xp: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """W of V."""
        key = name(parameters, self)
        V = parameters[key]
        mu = xp.linalg.eigvalsh((V + V.T) / 2.0)[-1]
        return {**parameters, key: V - xp.maximum(mu - self.bound, 0.0) * xp.eye(len(V), dtype=V.dtype)}

    def certificate(self, model: System) -> Certificate:
        """The logarithmic norm of W."""
        W = _weights(model)
        return _one(
            f"The logarithmic 2-norm of W is at most {self.bound:g}.",
            log_norm(W),
            self.bound,
            float(np.linalg.norm(W, 2)),
        )


@dataclass(frozen=True)
class StableStep(Constraint):
    """The step of an `ODERNN` is at most `fraction` of the largest for which no mode of its linearization at the origin is enlarged.

    dt = min(exp(log_dt), fraction * max_stable_dt(field, method, at=0)), the second held in the gradient; a field with a growing mode at the
    origin has no stable step, and its dt stays free (the certificate then does not hold).

    Args:
        fraction: up to 1.
    """

    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < amount("fraction", self.fraction) <= 1:
            raise ValueError(f"`fraction` is {self.fraction!r}; it must be above 0 and at most 1.")

    def apply(self, xp: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """Nothing: the step is cut back between updates, by `cut`."""
        return parameters

    def check(self, parameters: dict[str, Any]) -> None:
        """Refuse families without a step.

        Raises:
            ValueError: the family has none.
        """
        if "log_dt" not in parameters:
            raise ValueError(f"`constraint` is {self!r}, for odernn, whose step is learned; this family has none.")

    def limit(self, model: ODERNN) -> float:
        """The largest step that is allowed."""
        field = model.integrated()
        return self.fraction * max_stable_dt(field, model.method, at=np.zeros(field.num_states))  # type: ignore[union-attr, arg-type]

    def cut(self, model: System) -> System:
        """The model with its step cut back."""
        if not isinstance(model, ODERNN):
            return model
        limit = self.limit(model)
        return model if not 0 < limit < model.dt else model.with_weights({"log_dt": np.array([np.log(limit)])})

    def certificate(self, model: System) -> Certificate:
        """dt beside the largest stable step."""
        limit = self.limit(model) if isinstance(model, ODERNN) else 0.0
        return _one("No mode of the linearization at the origin is enlarged by a step.", model.dt, limit, limit)
