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
        parts = [self._of_sixteen(p, w) for w in windows.in_groups(LANES)]
        return parts[0] if len(parts) == 1 else (sum(l for l, _ in parts), {k: sum(g[k] for _, g in parts) for k in p})

    def _of_sixteen(self, p: Parameters, w: Windows) -> tuple[float, Parameters]:
        x0 = w.forced[:, 0]
        z0 = np.concatenate([x0, p["lift"] @ x0])
        loss, *found, dz0 = self._room(w.steps).gradient(p["A"], p["W"], p["C"], p["h"], z0, w)
        return loss, dict(zip(("A", "W", "C", "h", "lift"), [*found, dz0[self.net.p :] @ x0.T], strict=True))

    def _room(self, steps: int) -> Adjoint:
        if steps not in self._rooms:
            self._rooms[steps] = Adjoint(
                self.net.n, self.num_relu, self.net.p, self.net.m, steps, np.dtype(self.setting.dtype)
            )
        return self._rooms[steps]

    @cached_property
    def _rooms(self) -> dict[int, Adjoint]:
        return {}
