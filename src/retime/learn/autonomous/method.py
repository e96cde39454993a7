"""`FlowFit`: the method of `to_continuous` that fits an autonomous continuous network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from retime.convert.continuous import converted
from retime.convert.measure import probe
from retime.core.arguments import seconds, seed_of, whole
from retime.core.arrays import positive
from retime.core.conversion import Conversion
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.system import System
from retime.learn.autonomous.judging import certify_flow, refuse
from retime.learn.autonomous.network import network_of
from retime.learn.autonomous.samples import SETTLING, Diverged, Sample, Units, beside, own_orbits, sampled
from retime.learn.autonomous.stages import ROUNDS, Search


@dataclass(frozen=True)
class FlowFit:
    """Fit one autonomous continuous network whose flow over dt follows a map on the states that it visits.

    dz/dt = A z + W1 relu(W2 z + C2 s + h2) + C1 s + h1,   z(dt) = F(z(0), s) on the states that are fitted, as nearly as possible

    Unlike `MatrixLog()`, whose flow needs a clock or has a field that jumps, the result is one equation with a continuous field:
    what a circuit, a model or a paper can state. It is an approximation, and it holds where it was fitted; its certificate gives the
    errors, measured on states that were not fitted, and compares fixed points, period, exponents and distribution.

    Args:
        num_relu: q >= 1, ReLU units; None: more and more of them, until the tolerance is met.
        tolerance: > 0, of the error of one step on the map's own orbits, root of the mean square, relative to the length of a step.
        extend: whether `states=` are extended: the map's own orbits from them are followed. False: they are fitted as they are.
        spread: > 0, how far beside the orbits the flow is fitted as well: standard deviations of the orbits.
        samples: states that are fitted, >= 100; as many others check it.
        seed: of the random numbers.
        time_limit: seconds of work, for fitting; None for no limit.

    Source: golub1973; docs/theory/autonomous.md.
    """

    num_relu: int | None = None
    tolerance: float = 1e-3
    extend: bool = True
    spread: float = 0.02
    samples: int = 4000
    seed: int | None = 0
    time_limit: float | None = 600.0

    def __post_init__(self) -> None:
        if self.num_relu is not None:
            whole("num_relu", self.num_relu, 1)
        positive("tolerance", self.tolerance, "relative to a step")
        positive("spread", self.spread, "standard deviations")
        whole("samples", self.samples, 100)
        seconds(self.time_limit)
        object.__setattr__(self, "seed", seed_of(self.seed))

    def counts(self) -> tuple[int, ...]:
        """Units after each round."""
        if self.num_relu is None:
            return ROUNDS
        return (*(q for q in (10, 20, 40, 80, 160) if q < self.num_relu), self.num_relu)


@converted.register
def _(method: FlowFit, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
    return FittedFlow(model, method, throw, states, inputs).conversion


class FittedFlow:
    """One fit: what was fitted, and how."""

    def __init__(self, model: System, method: FlowFit, throw: bool, states: Any, inputs: Any) -> None:
        self.model, self.method, self.throw = model, method, throw
        self.at, self.is_given = probe(model, states, inputs), states is not None
        self.rng = np.random.default_rng(method.seed)

    @cached_property
    def conversion(self) -> Conversion:
        """The network and its certificate."""
        try:
            fitted, checked = self._sample(), self._sample()
        except Diverged as error:
            refuse(
                self.model, "orbits stay bounded", f"The map leaves: {error}. A flow can be fitted where orbits stay."
            )
        units = Units.of(fitted.z[fitted.is_own], fitted.s)
        search = Search(self.model, units, fitted, checked, self.rng, Patience.lasting(seconds(self.method.time_limit)))
        with one_blas_thread():
            field = search.run(self.method.counts(), self.method.tolerance, self.method.num_relu is None)
        network = network_of(field, units, self.model)
        return Conversion(network, partial(certify_flow, self.model, network, self._sample(), search, self.method))

    def _sample(self) -> Sample:
        """States on orbits and beside them, others at every call."""
        m, z, s = self.method, self.at.states, self.at.inputs
        if m.extend or not self.is_given:
            settling = 0 if self.is_given else SETTLING
            own = own_orbits(self.model, z, s, m.samples * 7 // 10, settling, self.rng)
        else:
            own = z, s
        around = beside(self.model, *own, m.samples * 3 // 10, m.spread, self.rng)
        return sampled(self.model, own, around)
