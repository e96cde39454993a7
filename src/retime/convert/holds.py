"""Exact discretization of linear and piecewise-affine systems: the input held, a straight line over the step, or an impulse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any, ClassVar

import numpy as np

from retime.convert.bilinear import with_output
from retime.convert.generator import inputs_of
from retime.convert.integrators import Integrator, LinearMethod, finite_step
from retime.convert.matrix_log import linear_flow, logarithm
from retime.core.arrays import Array, real_array
from retime.core.canonical import AffineRegions
from retime.core.errors import CertificateError, ShapeError
from retime.core.exponential import linear_step
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import LinearSystem, PiecewiseAffineFlow, PiecewiseAffineRNN, RateRNN, RegionwiseMap
from retime.models.linear import linear
from retime.models.regionwise import OwnRegions


@dataclass(frozen=True, eq=False, repr=False)
class ZeroOrderHold(Integrator):
    """The exact flow over one step with the input held; piecewise-affine systems hold their region too.

    z_{k+1} = exp(A dt) z_k + integral_0^dt exp(A t) dt (b + E s_k)

    Linear systems: exact. Piecewise-affine networks and converted flows: a `RegionwiseMap`, exact on every step that
    stays in its region. A RateRNN with relu counts as piecewise affine. Smooth systems have no closed form and are refused.

    Args:
        delay: of the input of a LinearSystem, a number or `(m,)` >= 0, model time, not necessarily a multiple of dt; None: none. The
            state of the map is then (z, s_{k-1}, s_{k-2}, ...): earlier inputs as auxiliary states, as many as the delay needs.
    """

    delay: Any = None
    order: ClassVar[float] = float("inf")
    meaning: ClassVar[str] = "The input is held from sample to sample."

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: neither linear nor piecewise affine.
        """
        if self.delay is not None:
            return _held_late(model, dt, self.delay)
        solved = model.held(Discrete(dt))
        return _held(model, dt) if solved is None else solved

    def undo(self, model: LinearSystem) -> LinearSystem:
        """By the matrix logarithm: `MatrixLog`.

        Raises:
            CertificateError: zero poles that are not semisimple (a delay); also for a map that was made with a `delay`.
        """
        if self.delay is not None:
            raise CertificateError(
                "A delay has poles at 0, which are those of no finite linear flow. Undo the map without its delay."
            )
        return linear_flow(model, logarithm(model))

    def slowed(self, factor: float) -> Integrator:
        """The delay times the factor."""
        return self if self.delay is None else ZeroOrderHold(factor * np.asarray(self.delay))

    def shifts_state(self, model: LinearSystem) -> bool:
        """With a delay: the state holds earlier inputs."""
        return self.delay is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZeroOrderHold) and bool(np.array_equal(self.delay, other.delay))

    def __hash__(self) -> int:
        return hash((ZeroOrderHold, self.delay is None))

    def __repr__(self) -> str:
        return f"ZeroOrderHold({'' if self.delay is None else f'delay={np.asarray(self.delay).tolist()}'})"


@dataclass(frozen=True)
class FirstOrderHold(LinearMethod):
    """The exact flow of a LinearSystem whose input is a straight line from sample to sample.

    Phi = exp(A dt), G1 = integral_0^dt exp(A (dt - t)) dt E, G2 = integral_0^dt exp(A (dt - t)) t/dt dt E
    w_{k+1} = Phi w_k + (G1 - G2 + Phi G2) s_k + offset,   z_k = w_k + G2 s_k

    The state is w = z - G2 s, as in SciPy and MATLAB (`foh`), because z_{k+1} needs the next input; z, or the readout, is the
    output. Started from w_0 = z_0 - G2 s_0.
    """

    meaning: ClassVar[str] = (
        "The input is a straight line from sample to sample; state z - G2 s, readout and D as in SciPy and MATLAB."
    )
    _instead: ClassVar[str] = "Use ZeroOrderHold or RungeKutta."

    def _step(self, model: LinearSystem, dt: float) -> LinearSystem:
        (n, m), (B, b, D) = model.E.shape, model.output
        X = _exponential(model.A, np.hstack([model.E, model.b[:, None]]), dt)
        Phi, G1, offset, G2 = X[:, :n], X[:, n : n + m], X[:, n + m], X[:, n + m + 1 : n + 2 * m + 1]
        readout = with_output(model, B, b)
        with np.errstate(all="ignore"):
            D, E = finite_step(B @ G2 + D, dt), finite_step(G1 - G2 + Phi @ G2, dt)
        return replace(model, A=Phi, b=offset, E=E, D=D, readout=readout, time=Discrete(dt))

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is: G1 - G2 + Phi G2 = (integral_0^dt exp(A t) dt)^2 / dt, undone twice.

        Raises:
            CertificateError: zero poles that are not semisimple.
        """
        region = logarithm(model)
        L = model.dt * region.W
        E = inputs_of(L, inputs_of(L, model.E)) / model.dt
        N, m = E.shape
        ramps, (B, b, D) = _exponential(region.W, E, model.dt)[:, N + m :], model.output
        flow = linear_flow(model, replace(region, E=E), with_output(model, B, b))
        return replace(flow, D=D - flow.readout.B @ ramps)


@dataclass(frozen=True)
class ImpulseInvariant(LinearMethod):
    """The map whose response to an impulse is that of the flow at the samples, times dt (`impulse`).

    Phi = exp(A dt), E' = dt Phi E, D' = dt B E for a readout B z; for LinearSystems without feedthrough and offset.
    """

    meaning: ClassVar[str] = "An impulse at a sample becomes an input of 1/dt for one sample."

    def _step(self, model: LinearSystem, dt: float) -> LinearSystem:
        B, offset, D = model.output
        if np.any(model.b) or np.any(offset):
            raise ValueError(
                "The system has an offset, which has no impulse response; shift the state to its fixed point first."
            )
        if np.any(D):
            raise ValueError(
                "The system has a feedthrough D: its impulse response is an impulse itself. Use zoh, foh or tustin."
            )
        Phi = _exponential(model.A, model.E, dt)[:, : model.num_states]
        D, readout = dt * B @ model.E, with_output(model, B, offset)
        return replace(model, A=Phi, E=dt * Phi @ model.E, D=D, readout=readout, time=Discrete(dt))

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is.

        Raises:
            CertificateError: a zero pole, or a feedthrough that is not that of an impulse-invariant map.
        """
        region = logarithm(model)
        if region.status is RegionStatus.REGULARIZED:
            raise CertificateError("A pole is 0: no impulse response of a linear flow ends after one step.")
        E = np.linalg.solve(model.A, model.E) / model.dt
        B, offset, D = model.output
        wanted = model.dt * B @ E
        size = model.dt * np.outer(np.abs(B).sum(axis=1), np.abs(E).max(axis=0, initial=0.0))
        if np.any(np.abs(D - wanted) > 1e-9 * (size + np.abs(D))):
            raise CertificateError(
                "D is not dt C A^-1 B: the map is not an impulse-invariant one. Use zoh, foh, tustin or matched."
            )
        E = np.vstack([E, np.zeros((region.auxiliary, E.shape[1]))])
        return replace(linear_flow(model, replace(region, E=E), with_output(model, B, offset)), D=None)


@dataclass(frozen=True)
class Resampled:
    """The regions that another method finds for its own step, held for another one.

    Args:
        method: a method of `to_continuous` for regions. dt: the step it converts.
    """

    method: Any
    dt: float

    def regions(self, maps: AffineRegions, dt: float) -> list[RegionFlow]:
        """The same W, h, E, with step `dt`.

        Raises:
            CertificateError: a region has no autonomous flow (`time_varying`), so nothing to hold for another step.
        """
        found = self.method.regions(maps, self.dt)
        if any(r.status is RegionStatus.TIME_VARYING for r in found):
            raise CertificateError(
                f"A region has a nilpotent part of index > 1: it is interpolated between samples, not an ODE, and cannot be held for dt = {dt}."
            )
        return [replace(r, dt=dt) for r in found]


def _exponential(A: Array, E: Array, dt: float) -> Array:
    """First rows of exp: (Phi, integral_0^dt exp(A t) dt E, integral_0^dt exp(A (dt - t)) t/dt dt E), `(n, n + 2 m)`."""
    n, m = E.shape
    L, H = np.zeros((n + m, n + m)), np.zeros((n + m, m))
    L[:n, :n], L[:n, n:], H[n:] = dt * A, dt * E, np.eye(m)
    with np.errstate(all="ignore"):
        Phi, inputs = linear_step(dt * A, dt * E)
        _, ramps = linear_step(L, H)
    return finite_step(np.hstack([Phi, inputs, ramps[:n]]), dt)


def delay_of(model: LinearSystem, delay: Any) -> Array:
    """The delay of each input `(m,)`, model time.

    Raises:
        ValueError: negative or not finite. ShapeError: neither a number nor one per input.
    """
    found = real_array("delay", delay)
    if found.shape not in ((), (1,), (model.num_inputs,)):
        raise ShapeError(
            f"`delay` has shape {found.shape}; it must be a number or ({model.num_inputs},), one per input."
        )
    if (found < 0).any():
        raise ValueError(f"`delay` holds {found.min()}; it must be >= 0, model time.")
    return np.broadcast_to(found, model.num_inputs)


def late_inputs(delay: Array, dt: float) -> tuple[Array, Array]:
    """Steps d and rests r in [0, dt) of delays d dt + r `(m,)`; a rest within rounding of 0 or dt counts as none."""
    steps = np.floor(delay / dt + 1e-9)
    rest = np.maximum(delay - steps * dt, 0.0)
    return steps.astype(int), np.where(rest <= 1e-9 * dt, 0.0, rest)


def _held_late(model: System, dt: float, delay: Any) -> LinearSystem:
    """Input j acts as s_{k-d-1} during the first r of step k and as s_{k-d} during the rest; earlier inputs are states."""
    model = linear(model, "`delay` is for", "Delay the inputs yourself.")
    (n, m), (B, offset, D) = model.E.shape, model.output
    steps, rests = late_inputs(delay_of(model, delay), dt)
    ages = [
        np.flatnonzero(steps + (rests > 0) >= age) for age in range(1, int((steps + (rests > 0)).max(initial=0)) + 1)
    ]
    place = {
        (age + 1, int(j)): n + sum(map(len, ages[:age])) + i for age, row in enumerate(ages) for i, j in enumerate(row)
    }
    N, p = n + len(place), len(B)
    A, E, C, feed = np.zeros((N, N)), np.zeros((N, m)), np.hstack([B, np.zeros((p, N - n))]), np.zeros((p, m))
    whole = _held_linear(model, dt)
    A[:n, :n] = whole.A
    for j in range(m):
        late = _held_linear(replace(model, E=model.E[:, [j]], D=None), dt - rests[j]).E[:, 0]
        for age, column in ((steps[j], late), (steps[j] + 1, whole.E[:, j] - late)):
            if age == 0:
                E[:n, j] += column
            elif (age, j) in place:
                A[:n, place[age, j]] += column
        seen = steps[j] + (rests[j] > 0)
        target = feed[:, j] if seen == 0 else C[:, place[seen, j]]
        target += D[:, j]
    for (age, j), row in place.items():
        if age == 1:
            E[row, j] = 1.0
        else:
            A[row, place[age - 1, j]] = 1.0
    return LinearSystem(
        A, np.concatenate([whole.b, np.zeros(N - n)]), E, time=Discrete(dt), readout=with_output(model, C, offset), D=feed,
        auxiliary=model.auxiliary + N - n,
    )  # fmt: skip


@singledispatch
def piecewise_affine(model: System) -> PiecewiseAffineSystem | None:
    """The model with a canonical form, if it has one."""
    return None


@piecewise_affine.register
def _(model: PiecewiseAffineSystem) -> PiecewiseAffineSystem | None:
    return model


@piecewise_affine.register
def _(model: RateRNN) -> PiecewiseAffineSystem | None:
    return model.piecewise_affine() if model.activation in ("relu", "linear") else None


@singledispatch
def _held(model: System, dt: float) -> System:
    affine = piecewise_affine(model)
    if affine is None:
        raise TypeError(
            f"ZeroOrderHold is exact for linear and piecewise-affine systems; {type(model).__name__} is neither. Use RungeKutta, or "
            "ExponentialEuler."
        )
    own = PiecewiseAffineRNN.of(affine.canonical, time=Discrete(dt), readout=affine.readout)
    return RegionwiseMap(PiecewiseAffineFlow(own, OwnRegions()))


@_held.register
def _(model: PiecewiseAffineFlow, dt: float) -> System:
    method = model.method if dt == model.dt else Resampled(model.method, model.dt)
    return RegionwiseMap(PiecewiseAffineFlow(replace(model.map, time=Discrete(dt)), method, model.throw))


def _held_linear(model: LinearSystem, dt: float) -> LinearSystem:
    X = finite_step(np.hstack(linear_step(dt * model.A, dt * model.columns[:, model.num_states :])), dt)
    return model.with_columns(X, time=Discrete(dt))


_held.register(LinearSystem, _held_linear)
