"""What families share whose units each have an offset `b` and a row of input weights `W_in`: their sizes."""

from __future__ import annotations

from typing import Any

from retime.core.system import SmoothSystem


class Units(SmoothSystem):
    """Base of such families."""

    b: Any
    W_in: Any

    @property
    def num_states(self) -> int:
        """n, the number of units."""
        return len(self.b)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.W_in.shape[1]
