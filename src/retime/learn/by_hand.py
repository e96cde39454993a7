"""Almost-linear networks with observed first states: the gradient by hand, without JAX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retime.core.arrays import Array
from retime.learn.adjoint import LANES, Adjoint
from retime.learn.dynamics import Dynamics
from retime.learn.networks import Parameters
from retime.learn.windows import Windows


@dataclass(frozen=True)
class AlmostLinear(Dynamics):
    """PLRNN and AlmostLinearRNN; see `adjoint`."""

    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """Of sixteen windows at a time; what is missing to sixteen has no weight."""
        total, sums, size = 0.0, {k: np.zeros_like(v) for k, v in p.items()}, windows.forced.shape[2]
        for first in range(0, size, LANES):
            spare = max(first + LANES - size, 0)
            w = windows
            lanes = [
                _sixteen(a[:, :, first : first + LANES], spare) for a in (w.forced, w.wanted, w.strength, w.weight)
            ]
            x0 = lanes[0][:, 0]
            z0 = np.concatenate([x0, p["lift"] @ x0])
            loss, dA, dW, dh, dz0 = self._room(windows.steps).gradient(
                p["A"], p["W"], p["h"], z0, lanes[0], lanes[1], lanes[2], lanes[3]
            )
            total += loss
            for name, part in (("A", dA), ("W", dW), ("h", dh), ("lift", dz0[self.net.p :] @ x0.T)):
                sums[name] += part
        return total, sums

    def _room(self, steps: int) -> Adjoint:
        if steps not in self._rooms:
            P = self.net.options.get("num_relu", self.net.n)
            self._rooms[steps] = Adjoint(self.net.n, P, self.net.p, steps, np.dtype(self.setting.dtype))
        return self._rooms[steps]

    @cached_property
    def _rooms(self) -> dict[int, Adjoint]:
        return {}


def _sixteen(a: Array, spare: int) -> Array:
    return np.ascontiguousarray(np.pad(a, ((0, 0), (0, 0), (0, spare))) if spare else a)
