"""What may be said of a fitted flow: errors of the exact flow on states that were not fitted, and both dynamics side by side."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np
from scipy.optimize import least_squares, linear_sum_assignment

from retime.analysis.comparison.dynamics import mean_return
from retime.analysis.exponents.lyapunov import lyapunov_spectrum
from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.circuits.build import to_circuit
from retime.core.arrays import Array
from retime.core.certificate import Certificate, Condition
from retime.core.errors import CertificateError, RetimeError
from retime.core.start import distinct
from retime.core.states import box_around
from retime.core.system import System
from retime.core.trajectory import Trajectory
from retime.learn.autonomous.samples import Kind, Sample
from retime.learn.autonomous.stages import Errors
from retime.simulation import simulate

SOURCE = "docs/theory/autonomous.md"
RUN = 10_000  # steps of the map's and the flow's free runs
AT_REST = 1e-9  # of the usual speed
SAME = 0.05  # standard deviations of the orbits: fixed points this close are the same one, fitted
DIRECTIONS = 3  # leading principal directions in which distributions are compared
CLOSER = 3.0  # times the divergence of the map from itself, and standard errors


def refuse(model: System, name: str, why: str) -> NoReturn:
    """Say why there is no flow to be fitted.

    Raises:
        CertificateError: always.
    """
    claim = f"No autonomous flow was fitted to the {type(model).__name__}. {why}"
    raise CertificateError(claim, Certificate(claim, "none", (Condition(name, False, float("nan"), why),), SOURCE))


class Facts(NamedTuple):
    """What the fit knows that the certificate repeats.

    Attributes:
        points: fixed points of the map among its orbits `(k, n)`. level: the input held in free runs `(m,)`. share: of the states visited
            at which the map turns orientation round (a negative determinant). remedy: how far the fit got and what helps, in words.
    """

    points: Array
    level: Array
    share: float
    remedy: str


class Judgment:
    """The certificate of a fitted flow, measured when it is asked for."""

    def __init__(self, model: System, network: System, fresh: Sample, facts: Facts, method: Any) -> None:
        self.model, self.network, self.fresh, self.facts, self.method = model, network, fresh, facts, method
        self.spread = fresh.z[fresh.own].std(axis=0)

    @cached_property
    def certificate(self) -> Certificate:
        """Claim, scope and conditions."""
        own = self.errors(Kind.OWN)
        q, dt = self.network.num_units, self.model.dt  # type: ignore[attr-defined]
        claim = (
            f"One autonomous network with a continuous field and {q} ReLU units: its flow over dt = {dt:.6g} follows the map on the states "
            f"that it visits. It is not exact: one step is off by {_percent(own.rms)} of a step (rms), at most {_percent(own.largest)}, on "
            f"{int(self.fresh.own.sum())} fresh states."
        )
        headline = f"Autonomous, not exact: one step is off by {_percent(own.rms)} of a step (rms; largest {_percent(own.largest)})."
        scope = (
            f"states of the map's own orbits and up to about {self.method.spread:g} standard deviations beside them, on their way back, and the "
            f"neighborhood of {len(self.facts.points)} fixed points; farther away nothing was fitted"
        )
        return Certificate(claim, scope, tuple(self._conditions(own)), SOURCE, headline)

    def errors(self, kind: Kind) -> Errors:
        """Errors of one step of the exact flow on fresh states of a kind."""
        chosen = self.fresh.kinds == kind
        z, s, ends = self.fresh.z[chosen], self.fresh.s[chosen], self.fresh.ends[chosen]
        if not len(z):
            return Errors(float("nan"), float("nan"))
        got = simulate(self.network, z, times=[0.0, self.model.dt], inputs=s[None] if s.shape[1] else None).states[-1]
        off = np.linalg.norm(got - ends, axis=1) / self.fresh.step
        return Errors(float(np.sqrt((off**2).mean())), float(off.max()))

    def _conditions(self, own: Errors) -> Iterator[Condition]:
        limit = self.method.tolerance
        yield Condition.of(
            "one step follows the map on its orbits", limit - own.rms,
            f"tolerance {limit:.2g} minus the rms error {own.rms:.2e} of a step; largest {own.largest:.2e}{self._remedy(own)}",
        )  # fmt: skip
        yield self._stays()
        for kind, name in ((Kind.BESIDE, "beside its orbits"), (Kind.RESTING, "on its way from fixed points")):
            e = self.errors(kind)
            if np.isfinite(e.rms):
                detail = f"tolerance {limit:.2g} minus the rms error {e.rms:.2e}; largest {e.largest:.2e}"
                yield Condition.of(f"one step follows the map {name}", limit - e.rms, detail, required=False)
        yield Condition(
            "the map keeps orientation, as every flow does", self.facts.share == 0.0, -self.facts.share,
            "minus the share of states visited where its determinant is negative; there a flow of this size follows it on thin sets only",
            required=self.facts.share == 1.0,
        )  # fmt: skip
        yield from self._fixed_points()
        yield from self._returns()
        yield from self._exponents()
        yield from self._distribution()
        yield self._circuit()

    def _remedy(self, own: Errors) -> str:
        return "" if own.rms <= self.method.tolerance else f". {self.facts.remedy}"

    @cached_property
    def _runs(self) -> tuple[Trajectory, Trajectory]:
        """The map and the flow, free, from one state."""
        z, rows = self.fresh.z[self.fresh.own][-1], self._rows(RUN)
        times = self.model.dt * np.arange(RUN + 1)
        return simulate(self.model, z, steps=RUN, inputs=rows), simulate(self.network, z, times=times, inputs=rows)

    def _rows(self, steps: int) -> Array | None:
        return np.repeat(self.facts.level[None], steps, axis=0) if len(self.facts.level) else None

    def _stays(self) -> Condition:
        flow = self._runs[1]
        box = box_around(self.fresh.z[self.fresh.own])
        out = np.maximum(box[:, 0] - flow.states, flow.states - box[:, 1])
        margin = -float(np.nanmax(out / np.ptp(box, axis=1))) if np.isfinite(flow.states[-1]).all() else -np.inf
        detail = f"{RUN} steps: distance to the sides of a box twice as wide as the orbits, in widths"
        return Condition.of("the free run stays where it was fitted", margin, detail)

    def _fixed_points(self) -> Iterator[Condition]:
        given = self.facts.points
        if not len(given):
            return
        s = self.facts.level if len(self.facts.level) else None
        points = np.array([z for z in map(self._rest, given) if z is not None]).reshape(-1, given.shape[1])
        points = points[distinct(points)]
        if not len(points):
            yield Condition(
                "each fixed point of the map has its own in the flow", False, -np.inf, "none found in the flow", False
            )
            return
        apart = np.abs((points[None] - given[:, None]) / self.spread).max(axis=2)
        rows, columns = linear_sum_assignment(apart)
        worst = float(apart[rows, columns].max()) if len(rows) == len(given) else np.inf
        yield Condition.of(
            "each fixed point of the map has its own in the flow", SAME - worst,
            f"{SAME:g} minus the largest distance, in standard deviations of the orbits; {len(given)} of the map, "
            f"{len(points)} found in the flow",
            required=False,
        )  # fmt: skip
        gap, near, grows = 0.0, np.inf, True
        for i, j in zip(rows, columns, strict=True):
            w = np.linalg.eigvals(self.model.jacobian(given[i], s)).astype(complex)
            wanted = np.log(np.where(w == 0.0, np.finfo(float).tiny, w)) / self.model.dt
            got = np.linalg.eigvals(self.network.jacobian(points[j], s))
            a, b = linear_sum_assignment(np.abs(wanted[:, None] - got[None]))
            gap = max(gap, float(np.abs(wanted[a] - got[b]).max()))
            near = min(near, float(np.abs(got.real).min()))
            grows &= (wanted.real > 0).sum() == (got.real > 0).sum()
        yield Condition(
            "as many of their eigenvalues grow as log(multipliers) / dt", bool(grows), near if grows else -near,
            f"growth rate nearest to 0, per model time, negative where other numbers grow; the largest difference of two is {gap:.3g}",
            required=False,
        )  # fmt: skip

    def _rest(self, z: Array) -> Array | None:
        """Where the flow rests near z `(n,)`, by damped Newton steps: kinks of the field are too many for a walk from region to region."""
        s, usual = self.facts.level, self.fresh.step / self.model.dt
        field, slopes = (lambda y: self.network.apply(y, s) / usual), (lambda y: self.network.jacobian(y, s) / usual)
        scale = self.spread + 1e-12
        found = least_squares(field, z, slopes, x_scale=scale, xtol=1e-15, ftol=1e-15, gtol=1e-15)  # type: ignore[reportArgumentType]  # jac
        return found.x if np.abs(found.fun).max() < AT_REST else None

    def _returns(self) -> Iterator[Condition]:
        path, flow = self._runs
        unit = int(np.argmax(path.states.std(axis=0)))
        level = float(path.states[:, unit].mean())
        (a, e), (b, f) = (mean_return(p.times, p.states[:, unit], level) for p in (path, flow))
        if np.isfinite(a):
            error = 3.0 * float(np.hypot(e, f))
            detail = (
                f"3 standard errors minus the difference: map {a:.6g}, flow {b:.6g} (relative {abs(b - a) / a:.1e})"
            )
            name, gap = "mean return time, or period, of the map and the flow", abs(a - b)
            yield Condition(name, bool(gap <= error), error - gap, detail, False)

    def _exponents(self) -> Iterator[Condition]:
        z, rows, num = self.fresh.z[self.fresh.own][-1], self._rows(RUN), min(2, self.model.num_states)
        try:
            first = lyapunov_spectrum(self.model, z, steps=RUN, num=num, inputs=rows)
            second = lyapunov_spectrum(self.network, z, times=self._runs[0].times, num=num, inputs=rows)
        except RetimeError as error:
            yield Condition(
                "largest exponents of the map and the flow", False, float("nan"), f"not measured: {error}", False
            )
            return
        a, b = first.exponents, second.exponents
        error = 3.0 * float(np.hypot(first.standard_errors[0], second.standard_errors[0]))
        listed = ["(" + ", ".join(f"{x:.4g}" for x in e) + ")" for e in (a, b)]
        detail = (
            f"3 standard errors minus the difference of the first: map {listed[0]}, flow {listed[1]} per model time"
        )
        gap = abs(float(a[0] - b[0]))
        yield Condition("largest exponents of the map and the flow", bool(gap <= error), error - gap, detail, False)

    def _distribution(self) -> Iterator[Condition]:
        path, flow = self._runs
        other = simulate(self.model, self.fresh.z[self.fresh.own][0], steps=RUN, inputs=self._rows(RUN))
        center, half = path.states.mean(axis=0), RUN // 2
        if not all(np.isfinite(p.states).all() for p in (path, flow, other)) or path.states[half:].std() < 1e-9:
            return
        axes = np.linalg.svd(path.states[half:] - center, full_matrices=False)[2][:DIRECTIONS]
        a, b, c = ((p.states[half:] - center) @ axes.T for p in (path, flow, other))
        try:
            off, own = state_space_divergence(a, b), state_space_divergence(a, c)
        except ValueError as error:
            yield Condition("D_stsp of the map from the flow", False, float("nan"), f"not measured: {error}", False)
            return
        errors = np.nan_to_num([off.standard_error, own.standard_error])
        margin = CLOSER * own.value + 3.0 * float(np.hypot(*errors)) - off.value
        detail = (
            f"map from flow {off.value:.3g} nats, map from itself {own.value:.3g}, in {len(axes)} principal directions"
        )
        detail = f"{CLOSER:g} times the latter, and 3 standard errors, minus the former: {detail}"
        yield Condition.of("D_stsp of the map from the flow", margin, detail, required=False)

    def _circuit(self) -> Condition:
        name = 'to_circuit(..., topology="integrator") takes it'
        try:
            count = len(to_circuit(self.network, topology="integrator").netlist().splitlines())
        except (RetimeError, ValueError, TypeError) as error:
            return Condition(name, False, float("nan"), str(error), False)
        return Condition(name, True, float("nan"), f"{count} lines of netlist at the ideal level", False)


def turned_share(model: System, z: Array, s: Array) -> float:
    """Share of states `(b, n)` at which the map's determinant is negative."""
    return float(np.mean([np.linalg.slogdet(model.jacobian(a, b))[0] < 0 for a, b in zip(z, s, strict=True)]))


def reject_unless_possible(model: System, share: float) -> None:
    """Refuse a map that turns orientation round everywhere on its orbits.

    Raises:
        CertificateError: the share of such states is 1.
    """
    if share == 1.0:
        refuse(
            model, "the map keeps orientation somewhere",
            "Its determinant is negative at every state visited: it turns orientation round, and no flow of the same dimension "
            "does, since the determinant of a flow's derivative is positive. Use to_continuous(model), exact with a clock, whose regions get an "
            "auxiliary state.",
        )  # fmt: skip


def _percent(x: float) -> str:
    return f"{100.0 * x:.2g} %"
