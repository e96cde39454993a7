"""`FlowFit`: the method of `to_continuous` that fits an autonomous continuous network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.analysis.fixed_points.find import find_fixed_points
from retime.convert.measure import probe
from retime.core.arguments import seconds, seed_of, whole
from retime.core.arrays import Array, positive
from retime.core.conversion import Conversion, ConversionMethod
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.start import spread
from retime.core.states import box_around
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.learn.autonomous.judging import Facts, Judgment, refuse, reject_unless_possible, turned_share
from retime.learn.autonomous.network import network_of
from retime.learn.autonomous.own_units import field_of_own_units
from retime.learn.autonomous.samples import (
    ORBITS,
    SETTLING,
    SHARES,
    Diverged,
    Sample,
    Units,
    Windows,
    beside,
    count_distinct,
    own_orbits,
    resting,
    sampled,
)
from retime.learn.autonomous.stages import ROUNDS, SMOOTH, Search

ENOUGH = 5  # distinct states on the orbits, per coordinate of (z, s, 1)
DETERMINANTS = 1000  # states at which the sign of the determinant is looked at
ENDED = {SearchStatus.TIME_LIMIT: "the time limit ended the fit", SearchStatus.INTERRUPTED: "the fit was interrupted"}
KEPT = "A larger tolerance; or train the field on, fit(series, family=model); or units of its own: num_relu instead of keep_units"
SEARCHED = 20.0  # seconds for the fixed points of the map
WINDOW = (
    200  # steps of a stretch of an orbit that is followed as a whole; half as many, and so on, where the flow loses it
)
PARTS = 3  # fitted, checked by rounds, judged by the certificate
PER_WINDOW = 40  # states of the sample for one stretch


@dataclass(frozen=True)
class FlowFit(ConversionMethod):
    """Fit one autonomous continuous network whose flow over dt follows a map on the states that it visits.

    dz/dt = A z + W1 relu(W2 z + C2 s + h2) + C1 s + h1,   z(dt) = F(z(0), s) on the states that are fitted, as nearly as possible

    Unlike `MatrixLog()`, whose flow needs a clock or has a field that jumps, the result is one equation with a continuous field:
    what a circuit, a model or a paper can state. It is an approximation, and it holds where it was fitted; its certificate gives the
    errors, measured on states that were not fitted, and compares fixed points, period, exponents and distribution.

    Args:
        num_relu: q >= 1, ReLU units; None: more and more of them, until the tolerance is met.
        keep_units: of a PLRNN or AlmostLinearRNN, keep its states and ReLU units: the result is a ContinuousPLRNN of the same size, found by
            linear least squares in seconds, less close than with units of its own, and of a family that `fit(series, family=model)` trains on.
        tolerance: > 0, of the error of one step on the map's own orbits, root of the mean square, relative to the length of a step.
        extend: whether `states=` are extended: the map's own orbits from them are followed. False: they are fitted as they are.
        spread: > 0, how far beside the orbits the flow is fitted as well: standard deviations of the orbits.
        extra_states: 0: the field has the map's states. More would not help without a clock, which `MatrixLog()` has: see the source.
        samples: states that are fitted, >= 100; as many others check it.
        seed: of the random numbers.
        time_limit: seconds of work, for fitting; None for no limit.

    Source: golub1973; docs/theory/autonomous.md.
    """

    num_relu: int | None = None
    keep_units: bool = False
    tolerance: float = 1e-3
    extend: bool = True
    spread: float = 0.02
    extra_states: int = 0
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
        if self.extra_states != 0:
            raise ValueError(
                f"`extra_states` is {self.extra_states!r}; it must be 0: states that are functions of the map's own let a flow follow no "
                "more maps, and others need a clock, which MatrixLog() has."
            )
        if self.keep_units and self.num_relu is not None:
            raise ValueError(
                f"`num_relu` is {self.num_relu} and `keep_units` is True; the units are those of the map, or others."
            )
        object.__setattr__(self, "seed", seed_of(self.seed))

    def counts(self) -> tuple[int, ...]:
        """Units after each round."""
        if self.num_relu is None:
            return ROUNDS
        return (*(q for q in ROUNDS if q < min(self.num_relu, SMOOTH + 1)), self.num_relu)

    def convert(self, model: Any, throw: bool, states: Any, inputs: Any) -> Conversion:
        """Fit the network; see `to_continuous`.

        Raises:
            CertificateError: orbits leave, too few states are visited, or, with `throw`, no flow of this size can follow the map:
                without, one is fitted all the same, and its certificate says so.
        """
        return FittedFlow(model, self, states, inputs, throw).conversion


class FittedFlow:
    """One fit: what was fitted, and how."""

    def __init__(self, model: System, method: FlowFit, states: Any, inputs: Any, throw: bool = True) -> None:
        self.model, self.method, self.throw = model, method, throw
        self.at, self.is_given = probe(model, states, inputs), states is not None
        self.rng = np.random.default_rng(method.seed)

    @cached_property
    def conversion(self) -> Conversion:
        """The network and its certificate."""
        try:
            fitted, checked, fresh = (self._sample(part) for part in range(PARTS))
        except Diverged as error:
            refuse(
                self.model, "orbits stay bounded", f"The map leaves: {error}. A flow can be fitted where orbits stay."
            )
        own, least = fitted.z[fitted.own], ENOUGH * (self.model.num_states + self.model.num_inputs + 1)
        if (count := count_distinct(own, 2 * least)) < least:
            refuse(
                self.model, "enough states are visited",
                f"Its orbits visit {count} distinct states, and {least} are the least for {self.model.num_states} states and "
                f"{self.model.num_inputs} inputs. Pass more of them as `states`, or with FlowFit(extend=True) some from which orbits "
                "do not come to rest at once.",
            )  # fmt: skip
        share = turned_share(self.model, own[:DETERMINANTS], fitted.s[fitted.own][:DETERMINANTS])
        if self.throw:
            reject_unless_possible(self.model, share)
        units = Units.of(own, fitted.s)
        if self.method.keep_units:
            return self._judged(field_of_own_units(self.model, fitted, units), fresh, share, KEPT)
        patience = Patience.lasting(seconds(self.method.time_limit))
        search = Search(self.model, units, fitted, checked, self._windows(fitted, units), self.rng, patience)
        with one_blas_thread():
            field = search.run(self.method.counts(), self.method.tolerance, self.method.num_relu is None)
        ended = "" if patience.ended is None else f" ({ENDED.get(patience.ended, '')})"
        way = ", ".join(f"{r['num_relu']:.0f}: {r['rms']:.1e}" for r in search.rounds)
        remedy = f"How far it got, by units: {way}{ended}. More units (num_relu) or samples, or a larger tolerance"
        return self._judged(network_of(field, units, self.model), fresh, share, remedy)

    def _judged(self, network: System, fresh: Sample, share: float, remedy: str) -> Conversion:
        judgment = Judgment(
            self.model, network, fresh, Facts(self.points, self._mean_input, share, remedy), self.method
        )
        return Conversion(network, lambda: judgment.certificate)

    @cached_property
    def points(self) -> Array:
        """Fixed points of the map `(k, n)` under the mean input, where its orbits are."""
        found = find_fixed_points(
            self.model, inputs=self._mean_input, time_limit=SEARCHED, seed=self.method.seed
        ).points
        box = box_around(self._own(0)[0])
        return found[((found >= box[:, 0]) & (found <= box[:, 1])).all(axis=1)]

    @property
    def _mean_input(self) -> Array:
        return self.at.inputs.mean(axis=0)

    def _own(self, part: int) -> tuple[Array, Array]:
        """States of the map's orbits and inputs there: every third of those given, and where they lead when moved a little."""
        m = self.method
        z, s = self.at.states[part::PARTS], self.at.inputs[part::PARTS]
        if self.is_given and not m.extend:
            return z, s
        count, chosen = int(m.samples * SHARES[0]), self.rng.integers(0, len(self.at.states), ORBITS)
        off = m.spread * self.at.states.std(axis=0) * self.rng.normal(size=(ORBITS, self.model.num_states))
        kept = spread(z, count // 4) if self.is_given else np.zeros(0, dtype=int)
        led = own_orbits(
            self.model, self.at.states[chosen] + off, self.at.inputs[chosen], self.at.inputs, count - len(kept), SETTLING, self.rng
        )  # fmt: skip
        return np.concatenate([z[kept], led[0]]), np.concatenate([s[kept], led[1]])

    def _sample(self, part: int) -> Sample:
        """States on orbits, beside them and beside fixed points, others for each part."""
        m, own = self.method, self._own(part)
        around = beside(self.model, *own, int(m.samples * SHARES[1]), m.spread, self.rng)
        still = resting(
            self.model, self.points, self._mean_input, own[0].std(axis=0), int(m.samples * SHARES[2]), self.rng
        )
        return sampled(self.model, (own, around, still))

    def _windows(self, sample: Sample, units: Units) -> Windows:
        chosen = self.rng.choice(np.flatnonzero(sample.own), self.method.samples // PER_WINDOW)
        return Windows.of(self.model, units, sample.z[chosen], sample.s[chosen], WINDOW)
