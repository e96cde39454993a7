"""Sizes that several families read from the same parameters."""

from __future__ import annotations

from typing import Any

from retime.core.system import SmoothSystem


class WithInputs(SmoothSystem):
    """Base of families with input weights `W_in`, a column per input."""

    W_in: Any

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.W_in.shape[1]


class Units(WithInputs):
    """Base of those whose states are units, each with an offset in `b`."""

    b: Any

    @property
    def num_states(self) -> int:
        """n, the number of units."""
        return len(self.b)
