"""Almost-linear networks with observed first states: the gradient by hand, without JAX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retime.core.arrays import Array
from retime.learn.adjoint import Adjoint
from retime.learn.families import Parameters
from retime.learn.held_above import HeldAbove
from retime.learn.windows import Windows


@dataclass(frozen=True)
class AlmostLinear(HeldAbove):
    """PLRNN and AlmostLinearRNN; see `adjoint`."""

    def of_sixteen(self, p: Parameters, z0: Array, windows: Windows) -> tuple[float, Array, Array, Array, Array, Array]:
        """Forward and back once."""
        return self._room(windows.steps).gradient(p["A"], p["W"], p["C"], p["h"], z0, windows)

    def _room(self, steps: int) -> Adjoint:
        if steps not in self._rooms:
            self._rooms[steps] = Adjoint(
                self.net.n, self.num_relu, self.net.p, self.net.m, steps, np.dtype(self.setting.dtype)
            )
        return self._rooms[steps]

    @cached_property
    def _rooms(self) -> dict[int, Adjoint]:
        return {}
