"""A family under teacher forcing: the interface of what `fit` trains, one class for every way to get the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.networks import Network, Parameters, Start, network
from retime.learn.windows import Windows


@dataclass(frozen=True)
class Setting:
    """What a fit is told about the network.

    Args:
        net: family and sizes: states n, inputs m, observed channels N (its `p`), options. dtype: of the training.
        dt: time between samples, where all are equally far apart; else their median. observation: "identity" or "linear".
    """

    net: Network
    dtype: str
    dt: float = 1.0
    observation: str = "identity"


@dataclass(frozen=True)
class Dynamics(ABC):
    """A family under teacher forcing. Implement these, and `fit` trains, checks and keeps it.

    Parameters are a dict of NumPy arrays of `setting.dtype`; they are updated as one flat vector.
    """

    setting: Setting
    needs_equal_times: bool = field(default=True, init=False)

    @classmethod
    def network(cls, family: str, n: int, m: int, N: int, options: Mapping[str, Any]) -> Network:
        """The family with its sizes, and its options checked."""
        return network(family, n, m, N, options)

    @property
    def net(self) -> Network:
        """Family and sizes."""
        return self.setting.net

    def parameters(self, rng: np.random.Generator) -> Parameters:
        """Where the run starts: the readout is fixed, the hidden states start at L x_0 (`lift`)."""
        own = self.net.initial(rng, Start("memory"))
        kept = {k: v for k, v in own.items() if not k.startswith("readout")}
        kept["lift"] = rng.normal(size=(self.net.num_states - self.net.p, self.net.p)) * 0.1
        return kept

    @abstractmethod
    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """The loss on these windows, and its derivatives."""

    def model(self, p: Parameters, mean: Array, std: Array) -> System:
        """The network as a model, whose readout is in the units of the data."""
        own = {k: v for k, v in p.items() if k != "lift"}
        B = np.hstack([np.diag(std), np.zeros((len(mean), self.net.num_states - len(mean)))])
        return self.net.model({**own, "readout_B": B, "readout_b": mean}, Discrete(self.setting.dt))

    def first(self, p: Parameters, x: Array) -> Array:
        """States `(b, n)` that begin at standardized observations x `(b, N)`."""
        return np.hstack([x, x @ np.asarray(p["lift"], dtype=np.float64).T])

    def forced(self, p: Parameters, z: Array, x: Array) -> Array:
        """States z `(b, n)` with observations replaced by x `(b, N)`."""
        return np.hstack([x, z[:, x.shape[1] :]])

    def advance(self, model: System, z: Array, s: Array, elapsed: Array) -> Array:
        """States `(b, n)` one sample later; inputs s `(b, m)`; elapsed `(b,)`: model time until that sample."""
        step: Any = model.step
        return step(z, s) if s.shape[1] else step(z)
