"""A family under teacher forcing: the interface of what `fit` trains, one class for every way to get the gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.families import Parameters, Start
from retime.learn.networks import Network, free_weights, network
from retime.learn.recordings import Recording
from retime.learn.windows import Windows

STRETCH = 50  # steps along which the growth of errors is measured


@dataclass(frozen=True)
class Setting:
    """What a fit is told about the network.

    Args:
        net: family and sizes: states n, inputs m, observed channels N (its `p`), options. dtype: of the training.
        dt: time between samples, where all are equally far apart; else their median. observation: "identity" or "linear".
        above: see `HeldAbove`.
    """

    net: Network
    dtype: str
    dt: float = 1.0
    observation: str = "identity"
    above: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Dynamics(ABC):
    """A family under teacher forcing. Implement these, and `fit` trains, checks and keeps it.

    Parameters are a dict of NumPy arrays of `setting.dtype`; they are updated as one flat vector.
    """

    setting: Setting
    needs_equal_times: ClassVar[bool] = True
    takes_inputs: ClassVar[bool] = True
    runs_long: ClassVar[bool] = True  # whether runs of a hundred thousand samples are a matter of seconds

    @classmethod
    def network(cls, family: str, n: int, m: int, N: int, options: Mapping[str, Any]) -> Network:
        """The family with its sizes, and its options checked."""
        return network(family, n, m, N, options)

    @classmethod
    def above(cls, net: Network, data: Recording) -> tuple[float, ...] | None:
        """How far above 0 the observed states of new networks are held, in standard deviations; None where they are not."""
        return None

    def model_parameters(self, p: Parameters) -> Parameters:
        """Those of the model, where they are not those that are trained."""
        return p

    @property
    def net(self) -> Network:
        """Family and sizes."""
        return self.setting.net

    def parameters(self, rng: np.random.Generator) -> Parameters:
        """Where the run starts: those of the family, `lift` L, and with a linear observation `observed_B` and `observed_b`."""
        n, N = self.net.num_states, self.net.p
        own = self.net.initial(rng, Start("memory"))
        kept = {k: v for k, v in own.items() if not k.startswith("readout")}
        if self.setting.observation == "linear":
            kept |= {"observed_B": np.linalg.qr(rng.normal(size=(n, N)))[0].T, "observed_b": np.zeros(N)}
        kept["lift"] = rng.normal(size=(n if self.setting.observation == "linear" else n - N, N)) * 0.1
        return kept

    def observation(self, p: Parameters) -> tuple[Array, Array]:
        """B `(N, n)` and b `(N,)` of the standardized data: the first states, or learned."""
        n, N = self.net.num_states, self.net.p
        if self.setting.observation == "linear":
            return np.asarray(p["observed_B"], dtype=np.float64), np.asarray(p["observed_b"], dtype=np.float64)
        return np.eye(N, n), np.zeros(N)

    def weights_of(self, model: System) -> Parameters:
        """The parameters of which `model` makes this one, but for `lift` and the observation.

        Raises:
            TypeError: A is not diagonal.
        """
        return {k: v for k, v in free_weights(model).items() if not k.startswith("readout_")}

    @abstractmethod
    def gradient(self, p: Parameters, windows: Windows) -> tuple[float, Parameters]:
        """The loss on these windows, and its derivatives."""

    def model(self, p: Parameters, mean: Array, std: Array) -> System:
        """The network as a model, whose readout is in the units of the data."""
        B, b = self.observation(p)
        own = {k: v for k, v in self.model_parameters(p).items() if k not in ("lift", "observed_B", "observed_b")}
        readout = {"readout_B": std[:, None] * B, "readout_b": std * b + mean}
        return self.net.model({**own, **readout}, Discrete(self.setting.dt))

    def first(self, p: Parameters, x: Array) -> Array:
        """States `(b, n)` that begin at standardized observations x `(b, N)`: B z + b = x, the rest of z is that of L x."""
        lift = np.asarray(p["lift"], dtype=np.float64)
        z = np.zeros((len(x), self.net.num_states))
        z[:, z.shape[1] - len(lift) :] = x @ lift.T
        return self.forced(p, z, x)

    def forced(self, p: Parameters, z: Array, x: Array) -> Array:
        """The states nearest to z `(b, n)` that are observed as x `(b, N)`."""
        B, b = self.observation(p)
        return z + (x - b - z @ B.T) @ np.linalg.pinv(B).T

    def stretch(self, p: Parameters, windows: Windows) -> float:
        """sigma of `AdaptiveForcing`, along the first steps of windows that are forced throughout."""
        N = self.net.p
        model = self.model({k: np.asarray(v, dtype=np.float64) for k, v in p.items()}, np.zeros(N), np.ones(N))
        x, s = (
            windows.wanted.astype(np.float64).transpose(1, 2, 0),
            windows.inputs.astype(np.float64).transpose(1, 2, 0),
        )
        z, total, steps = self.first(p, x[0]), 0.0, min(windows.steps, STRETCH)
        for t in range(steps):
            z, elapsed = self.forced(p, z, x[t]), windows.times[t + 1] - windows.times[t]
            total = total + self.step_jacobian(model, z, s[t], elapsed)
            z = self.advance(model, z, s[t], elapsed)
        return float(np.linalg.norm(total / steps, 2, axis=(-2, -1)).max())

    def settled(self, p: Parameters, windows: Windows, most: int) -> tuple[Array, Array]:
        """States `(b, n)` after up to so many samples of windows, each of which forces where it is known, and those samples `(b, N)`."""
        N, (B, b) = self.net.p, self.observation(p)
        model = self.model({k: np.asarray(v, dtype=np.float64) for k, v in p.items()}, np.zeros(N), np.ones(N))
        x, s, f = (a.astype(np.float64).transpose(1, 2, 0) for a in (windows.wanted, windows.inputs, windows.strength))
        z, last = self.first(p, x[0]), min(windows.steps, most)
        with np.errstate(all="ignore"):
            for t in range(last):
                z = self.advance(model, z, s[t], windows.times[t + 1] - windows.times[t])
                z = self.forced(p, z, np.where(f[t + 1] > 0.0, x[t + 1], z @ B.T + b))
        known = (f[last] > 0.0).all(axis=1)
        return z[known], x[last][known]

    def step_jacobian(self, model: System, z: Array, s: Array, elapsed: Array) -> Array:
        """Derivatives `(b, n, n)` of one sample later."""
        jacobian: Any = getattr(model, "jacobian")  # noqa: B009  families of maps and flows have it, the protocol has not
        J = jacobian(z, s)
        if self.needs_equal_times:
            return J
        from scipy.linalg import expm

        return expm(J * elapsed[:, None, None])  # of a flow, as long as its region or its linearization is held

    def advance(self, model: System, z: Array, s: Array, elapsed: Array) -> Array:
        """States `(b, n)` one sample later; inputs s `(b, m)`; elapsed `(b,)`: model time until that sample."""
        step: Any = model.step
        return step(z, s) if s.shape[1] else step(z)
