"""Inputs to flows without a sample clock: values at times, held or interpolated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retime.core.arrays import Array, increasing, real_array
from retime.core.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Inputs:
    """A piecewise-constant or piecewise-linear input s(t).

    Args:
        times: increasing `(k,)`, model time.
        values: `(k, m)`, row i is the input at times[i]; a vector `(k,)` is one input.
        hold: "zero" keeps values[i] on [times[i], times[i+1]); "linear" interpolates between rows.

    After the last time the last row is held; a simulation may not begin before times[0].

    Raises:
        ShapeError: rows and times differ in number. ValueError: times do not increase, or an unknown hold.
    """

    times: Array
    values: Array
    hold: Literal["zero", "linear"] = "zero"

    def __post_init__(self) -> None:
        times = increasing("times", self.times)
        values = real_array("values", self.values)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(times):
            raise ShapeError(
                f"`values` has shape {values.shape}; it must be ({len(times)}, m), one row per entry of `times`."
            )
        if self.hold not in ("zero", "linear"):
            raise ValueError(f'`hold` is {self.hold!r}; it must be "zero" or "linear".')
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    @classmethod
    def sample(cls, function: Callable[[float], Array], times: Array, *, hold: Literal["zero", "linear"] = "linear"):
        """`function` evaluated at `times` `(k,)` and held or interpolated in between (an approximation, O(step^2))."""
        times = increasing("times", times)
        return cls(times, np.array([np.atleast_1d(function(float(t))) for t in times]), hold)

    @property
    def num_inputs(self) -> int:
        """m, the width of a row."""
        return self.values.shape[1]

    def __call__(self, t: float) -> Array:
        """The input `(m,)` at time t >= times[0]."""
        i = int(np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 1))
        if self.hold == "zero" or i == len(self.times) - 1:
            return self.values[i]
        weight = (t - self.times[i]) / (self.times[i + 1] - self.times[i])
        return (1 - weight) * self.values[i] + weight * self.values[i + 1]

    def slopes(self) -> Array:
        """ds/dt on each piece `(k, m)`; zero after the last time and for a zero-order hold."""
        slopes = np.zeros_like(self.values)
        if self.hold == "linear" and len(self.times) > 1:
            slopes[:-1] = np.diff(self.values, axis=0) / np.diff(self.times)[:, None]
        return slopes
