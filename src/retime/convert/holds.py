"""Exact discretization of linear and piecewise-affine systems: the input held, or a straight line, over the step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.convert.integrators import Integrator, Interchanges, exponential_factor, finite_step, read_states
from retime.core.arrays import Array
from retime.core.canonical import AffineRegions
from retime.core.errors import CertificateError
from retime.core.exponential import linear_step
from retime.core.readout import Readout
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import LinearSystem, PiecewiseAffineFlow, PiecewiseAffineRNN, RateRNN, RegionwiseMap
from retime.models.flow import register
from retime.models.regionwise import OwnRegions

register(OwnRegions)


@register
@dataclass(frozen=True)
class ZeroOrderHold(Integrator):
    """The exact flow over one step with the input held; piecewise-affine systems hold their region too.

    z_{k+1} = exp(A dt) z_k + integral_0^dt exp(A t) dt (b + E s_k)

    Linear systems: exact. Piecewise-affine networks and converted flows: a `RegionwiseMap`, exact on every step that
    stays in its region. A RateRNN with relu counts as piecewise affine. Smooth systems have no closed form and are refused.
    """

    order: ClassVar[float] = float("inf")
    interchanges: ClassVar[Interchanges] = "equilibrium"

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step.

        Raises:
            TypeError: neither linear nor piecewise affine.
        """
        if isinstance(model, RateRNN) and model.activation in ("relu", "linear"):
            model = model.piecewise_affine()
        if isinstance(model, LinearSystem):
            return _held(model, dt)
        if isinstance(model, PiecewiseAffineFlow):
            method = model.method if dt == model.dt else Resampled(model.method, model.dt)
            return RegionwiseMap(PiecewiseAffineFlow(replace(model.map, time=Discrete(dt)), method, model.throw))
        if isinstance(model, PiecewiseAffineSystem):
            own = PiecewiseAffineRNN.of(model.canonical, time=Discrete(dt), readout=model.readout)
            return RegionwiseMap(PiecewiseAffineFlow(own, OwnRegions()))
        raise TypeError(
            f"ZeroOrderHold is exact for linear and piecewise-affine systems; {type(model).__name__} is neither. Use RungeKutta, or "
            "ExponentialEuler."
        )

    def amplification(self, z: Array) -> Array:
        """|exp(z)|."""
        return exponential_factor(z)


@register
@dataclass(frozen=True)
class FirstOrderHold(Integrator):
    """The exact flow of a LinearSystem whose input is a straight line from sample to sample.

    Phi = exp(A dt), G1 = integral_0^dt exp(A (dt - t)) dt E, G2 = integral_0^dt exp(A (dt - t)) t/dt dt E
    w_{k+1} = Phi w_k + (G1 - G2 + Phi G2) s_k + offset,   z_k = w_k + G2 s_k

    The state is w = z - G2 s, as in SciPy and MATLAB (`foh`), because z_{k+1} needs the next input; z, or the readout, is the
    output. Started from w_0 = z_0 - G2 s_0.
    """

    order: ClassVar[float] = float("inf")
    interchanges: ClassVar[Interchanges] = "equilibrium"

    def discretize(self, model: System, dt: float) -> System:
        """The map of one step, with a readout.

        Raises:
            TypeError: not a LinearSystem.
        """
        if not isinstance(model, LinearSystem):
            raise TypeError(
                f"FirstOrderHold takes a LinearSystem; {type(model).__name__} is none. Use ZeroOrderHold or RungeKutta."
            )
        n, m = model.E.shape
        X = _exponential(model.A, np.hstack([model.E, model.b[:, None]]), dt)
        Phi, G1, offset, G2 = X[:, :n], X[:, n : n + m], X[:, n + m], X[:, n + m + 1 : n + 2 * m + 1]
        readout = read_states(model, "FirstOrderHold") or Readout(np.eye(n))
        with np.errstate(all="ignore"):
            D = finite_step(readout.B @ G2 + (0 if model.D is None else model.D), dt)
            E = finite_step(G1 - G2 + Phi @ G2, dt)
        return replace(model, A=Phi, b=offset, E=E, D=D, readout=readout, time=Discrete(dt))

    def amplification(self, z: Array) -> Array:
        """|exp(z)|."""
        return exponential_factor(z)

    def shifts_state(self, model: System) -> bool:
        """Always: the state is z - G2 s."""
        return True


@register
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


def _held(model: LinearSystem, dt: float) -> LinearSystem:
    n, m = model.E.shape
    X = finite_step(np.hstack(linear_step(dt * model.A, dt * np.hstack([model.E, model.b[:, None]]))), dt)
    return replace(model, A=X[:, :n], b=X[:, n + m], E=X[:, n : n + m], time=Discrete(dt))
