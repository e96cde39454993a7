"""Teacher forcing: how much of the observed states is replaced by the data, at which steps of a training sequence.

y_t = z_t + f_t (x_t - z_t) in the observed states, and the step starts from y_t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retime.core.arguments import is_number
from retime.core.arrays import Array


class Forcing(Protocol):
    """What `fit` needs of a forcing."""

    def strength(self, steps: int, share: float) -> Array:
        """f `(steps,)` in [0, 1]; `share` of the training is done, 0 to 1."""
        ...


@dataclass(frozen=True)
class SparseForcing:
    """The observed states are replaced by the data every so many steps, and run freely in between.

    Args:
        every: steps between two replacements; about the time within which errors of the system double or more.

    Raises:
        ValueError: not a whole number >= 1.

    Source: mikhaeil2022, brenner2022.
    """

    every: int = 16

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, (int, np.integer)) or self.every < 1:
            raise ValueError(f"`every` is {self.every!r}; it must be a whole number >= 1.")

    def strength(self, steps: int, share: float) -> Array:
        """1 at steps 0, every, 2 every, ..., else 0."""
        return (np.arange(steps) % self.every == 0).astype(np.float64)


@dataclass(frozen=True)
class GeneralizedForcing:
    """The observed states are pulled towards the data at every step.

    Args:
        alpha: f, from 0 (free) to 1 (replaced); or (first, last), changed linearly over the training.

    Raises:
        ValueError: not in [0, 1].

    Source: hess2023.
    """

    alpha: float | tuple[float, float] = 0.1

    def __post_init__(self) -> None:
        if np.shape(self.alpha) not in ((), (2,)) or not all(0.0 <= a <= 1.0 for a in np.atleast_1d(self.alpha)):
            raise ValueError(
                f"`alpha` is {self.alpha!r}; it must be a number from 0 to 1, or two: the first and the last."
            )
        object.__setattr__(self, "alpha", tuple(self.alpha) if np.shape(self.alpha) else self.alpha)

    def strength(self, steps: int, share: float) -> Array:
        """alpha at every step, all of the data at the first."""
        first, last = self.alpha if isinstance(self.alpha, tuple) else (self.alpha, self.alpha)
        f = np.full(steps, float(first + (last - first) * share))
        f[:1] = 1.0
        return f


@dataclass(frozen=True)
class AdaptiveForcing:
    """Generalized forcing as strong as the network's growth of errors asks for, measured while it is trained.

    alpha = 1 - 1 / sigma where sigma > 1, else 0;   sigma: the largest over the windows of the norm of the mean Jacobian along a window

    With this alpha the product of the forced Jacobians neither explodes nor vanishes. A larger value is taken at once; to a smaller one
    alpha goes by a part 1 - decay at each measurement. It begins at 1, so that forcing is annealed.

    Args:
        every: updates between two measurements. decay: in [0, 1].

    Raises:
        ValueError: out of range.

    Source: hess2023 (adaptive GTF, arithmetic mean of Jacobians).
    """

    every: int = 25
    decay: float = 0.95

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, (int, np.integer)) or self.every < 1:
            raise ValueError(f"`every` is {self.every!r}; it must be a whole number >= 1.")
        if not is_number(self.decay) or not 0.0 <= self.decay <= 1.0:
            raise ValueError(f"`decay` is {self.decay!r}; it must be a number from 0 to 1.")

    def next(self, alpha: float, sigma: float) -> float:
        """alpha after a measurement."""
        wanted = max(0.0, 1.0 - 1.0 / sigma) if np.isfinite(sigma) and sigma > 0.0 else 1.0
        return wanted if wanted > alpha else self.decay * alpha + (1.0 - self.decay) * wanted
