"""Almost-linear networks with observed first states: the gradient by hand, without JAX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retime.learn.adjoint import Adjoint
from retime.learn.families import Parameters
from retime.learn.held_above import HeldAbove
from retime.learn.lanes import LANES
from retime.learn.windows import Windows


@dataclass(frozen=True)
class AlmostLinear(HeldAbove):
    """PLRNN and AlmostLinearRNN; see `adjoint`."""

    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """Of sixteen windows at a time; what is missing to sixteen has no weight."""
        total, sums, N = 0.0, {k: np.zeros_like(v) for k, v in p.items()}, self.net.p
        for w in windows.in_groups(LANES):
            x0 = w.forced[:, 0]
            z0 = np.concatenate([x0, p["lift"] @ x0])
            room = self._room(w.steps)
            loss, *found, dz0 = room.gradient(p["A"], p["W"], p["C"], p["h"], z0, w)
            total += loss
            for name, part in zip(("A", "W", "C", "h", "lift"), [*found, dz0[N:] @ x0.T], strict=True):
                sums[name] += part
        return total, sums

    def _room(self, steps: int) -> Adjoint:
        if steps not in self._rooms:
            self._rooms[steps] = Adjoint(
                self.net.n, self.num_relu, self.net.p, self.net.m, steps, np.dtype(self.setting.dtype)
            )
        return self._rooms[steps]

    @cached_property
    def _rooms(self) -> dict[int, Adjoint]:
        return {}
