"""Networks all of whose units pass the ReLU, observed by their first states: these are held above their boundaries.

In a PLRNN the observed units are ReLU units as well. Standardized data lie on both sides of 0, so that half of what is observed would be cut off
from the other units; measured on Lorenz-63, such networks predict well and come to rest in the end. But z = x + c in the observed states,
with c larger than what is recorded below the mean, is positive: there phi is the identity, and the network is trained, in x, as
the same one whose observed units are linear. What comes out is the PLRNN itself: docs/theory/learning.md.

    map   h = h~ + c - A c - W c,      flow   h = h~ - A c - W c,      readout   x = z - c
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System
from retime.learn.dynamics import Dynamics
from retime.learn.families import Parameters
from retime.learn.lanes import LANES
from retime.learn.networks import Network
from retime.learn.recordings import Recording
from retime.learn.windows import Windows

REACH = 2.0  # c, in the largest distances below the mean that are recorded


@dataclass(frozen=True)
class HeldAbove(Dynamics):
    """PLRNN, AlmostLinearRNN and ContinuousPLRNN with observed first states and a gradient by hand; `setting.above` is c, or None."""

    persists: ClassVar[float] = 1.0  # of c after a step: 1 of a map; of a flow, whose field is no state, 0

    @classmethod
    def above(cls, net: Network, data: Recording) -> tuple[float, ...] | None:
        """c `(N,)`, where observed units are ReLU units and there are as many others at least."""
        if not observes_relu(net.n, relu_units(net), data.num_channels):
            return None
        lowest = np.min([x.min(axis=0) for x in data.series], axis=0)  # at most 0, where there are gaps as well
        return tuple((REACH * np.maximum(-lowest, 1.0)).tolist())

    @property
    def num_relu(self) -> int:
        """ReLU units of the network that is trained."""
        P = relu_units(self.net)
        return P if self.setting.above is None else min(P, self.net.n - self.net.p)

    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """Of sixteen windows at a time; what is missing to sixteen has no weight."""
        parts = [self._with_lift(p, w) for w in windows.in_groups(LANES)]
        return parts[0] if len(parts) == 1 else (sum(l for l, _ in parts), {k: sum(g[k] for _, g in parts) for k in p})

    def _with_lift(self, p: Parameters, w: Windows) -> tuple[float, Parameters]:
        x0 = w.forced[:, 0]
        loss, *found, dz0 = self.of_sixteen(p, np.concatenate([x0, p["lift"] @ x0]), w)
        return loss, dict(zip(("A", "W", "C", "h", "lift"), [*found, dz0[self.net.p :] @ x0.T], strict=True))

    @abstractmethod
    def of_sixteen(self, p: Parameters, z0: Array, windows: Windows) -> tuple[float, Array, Array, Array, Array, Array]:
        """The loss of sixteen windows from z0 `(n, 16)`, and its derivatives by A, W, C, h and z0."""

    def observation(self, p: Parameters) -> tuple[Array, Array]:
        """B `(N, n)` and b = -c of the standardized data."""
        B, b = super().observation(p)
        return B, b if self.setting.above is None else b - np.array(self.setting.above)

    def model_parameters(self, p: Parameters) -> Parameters:
        """Those of the model, whose observed states are x + c."""
        return {**p, "h": np.asarray(p["h"]) + self._shift(p)}

    def weights_of(self, model: System) -> Parameters:
        """The parameters of which `model` makes this one, but for `lift`."""
        own = super().weights_of(model)
        return {**own, "h": own["h"] - self._shift(own)}

    def _shift(self, p: Mapping[str, Any]) -> Array:
        c = np.zeros(self.net.n)
        if self.setting.above is not None:
            c[: self.net.p] = self.setting.above
        return (self.persists - np.asarray(p["A"])) * c - np.asarray(p["W"]) @ c


def relu_units(net: Network) -> int:
    """P: all, where the family has no number of them."""
    return net.options.get("num_relu", net.n)


def observes_relu(n: int, P: int, N: int) -> bool:
    """Whether some of the N observed units are among the last P of n, and as many others are."""
    return P > n - N >= N
