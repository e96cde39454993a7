"""Continuous piecewise-linear networks, followed from sample to sample by the exact flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System
from retime.learn.families import Parameters
from retime.learn.flow_adjoint import FlowAdjoint
from retime.learn.held_above import HeldAbove, relu_units
from retime.learn.lanes import LANES
from retime.learn.networks import Network, network
from retime.learn.windows import Windows
from retime.models import ContinuousPLRNN


@dataclass(frozen=True)
class ExactFlow(HeldAbove):
    """ContinuousPLRNN at any sample times; see `flow_adjoint`. It is trained in units of the median time between samples."""

    needs_equal_times: ClassVar[bool] = False
    persists: ClassVar[float] = 0.0

    @classmethod
    def network(cls, family: str, n: int, m: int, N: int, options: Mapping[str, Any]) -> Network:
        """The parameters are those of an almost-linear network; `num_relu` None: all units."""
        if unknown := sorted(k for k, v in options.items() if v is not None and k != "num_relu"):
            raise ValueError(f"`{unknown[0]}` is not an option of {family}; it takes `num_relu`.")
        given = {"num_relu": n if options.get("num_relu") is None else options["num_relu"]}
        return replace(network("alrnn", n, m, N, given), family=family)

    def parameters(self, rng: np.random.Generator) -> Parameters:
        """Time constants of 1.4 to 10 samples, and weak coupling."""
        n, m, N = self.net.n, self.net.m, self.net.p
        return {
            "A": np.log(rng.uniform(0.5, 0.9, size=n)),
            "W": 0.1 * rng.normal(size=(n, n)) / np.sqrt(n),
            "h": np.zeros(n),
            "C": rng.normal(size=(n, m)) / np.sqrt(max(m, 1)),
            "lift": 0.1 * rng.normal(size=(n - N, N)),
        }

    def weights_of(self, model: System) -> Parameters:
        """Rates per sample."""
        return {k: v * self.setting.dt for k, v in super().weights_of(model).items()}

    def of_sixteen(self, p: Parameters, z0: Array, windows: Windows) -> tuple[float, Array, Array, Array, Array, Array]:
        """By the exact flow and its adjoint."""
        room = self._room(windows.steps, self.num_relu, self.setting.dtype)
        spans = np.diff(windows.times, axis=0) / self.setting.dt
        return room.gradient(p["A"], p["W"], p["C"], p["h"], z0, windows, spans)

    def model(self, p: Parameters, mean: Array, std: Array) -> System:
        """In model time, with a readout in the units of the data."""
        q, (B, b) = self.model_parameters(p), self.observation(p)
        own: Any = {k: np.asarray(q[k], dtype=np.float64) / self.setting.dt for k in ("A", "W", "h", "C")}
        return ContinuousPLRNN(**own, num_relu=relu_units(self.net), readout=(std[:, None] * B, std * b + mean))

    def advance(self, model: System, z: Array, s: Array, elapsed: Array) -> Array:
        """By the exact flow of the model, in double precision, sixteen states at a time."""
        net: Any = model
        room, done = self._room(1, relu_units(self.net), "float64"), []
        A = np.diagonal(net.A)
        for first in range(0, len(z), LANES):
            part = slice(first, first + LANES)
            spare = ((0, LANES - len(z[part])), (0, 0))
            start, held, span = (np.pad(a[part], spare).T.copy() for a in (z, s, elapsed[:, None]))
            done.append(room.end(A, net.W, net.C, net.h, start, held[:, None], span).T[: len(z[part])])
        return np.concatenate(done)

    def _room(self, *sizes: Any) -> FlowAdjoint:
        if sizes not in self._rooms:
            steps, P, dtype = sizes
            self._rooms[sizes] = FlowAdjoint(self.net.n, P, self.net.p, steps, np.dtype(dtype))
        return self._rooms[sizes]

    @cached_property
    def _rooms(self) -> dict[tuple[Any, ...], FlowAdjoint]:
        return {}
