"""Penalties that ask a network for slow directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retime.core.arguments import is_number
from retime.learn.families import Parameters

PARTS = ("A", "W", "W1", "h", "h1")  # the parameters of the families that say what becomes of a state


@dataclass(frozen=True)
class ManifoldAttractor:
    """Pulls a share of the states towards z_{k+1} = z_k, so that they keep what happened long ago.

    loss + strength sum over these states i of (A_i - 1)^2 + sum_j W_ij^2 + h_i^2

    The states are the last ones. Of a shallow network W1 and h1 are meant.

    Args:
        strength: >= 0. share: of the states, above 0 to 1.

    Raises:
        ValueError: out of range.

    Source: schmidt2021.
    """

    strength: float
    share: float = 0.5

    def __post_init__(self) -> None:
        if not is_number(self.strength) or not 0.0 <= self.strength < np.inf:
            raise ValueError(f"`strength` is {self.strength!r}; it must be a finite number >= 0.")
        if not is_number(self.share) or not 0.0 < self.share <= 1.0:
            raise ValueError(f"`share` is {self.share!r}; it must be a part of the states, above 0 to 1.")

    def applies(self, parameters: Parameters) -> bool:
        """Whether the family has A, W and h."""
        return "A" in parameters and np.ndim(parameters["A"]) == 1

    def gradient(self, parameters: Parameters) -> tuple[float, Parameters]:
        """The penalty, and its derivatives."""
        loss, found, first = 0.0, {}, round((1.0 - self.share) * len(parameters["A"]))
        for name in PARTS:
            if name in parameters:
                away = parameters[name] - (1.0 if name == "A" else 0.0)
                away[:first] = 0.0
                loss += self.strength * float((away**2).sum())
                found[name] = np.asarray(2.0 * self.strength * away, dtype=away.dtype)
        return loss, found
