"""Certificates of linear systems: poles, order and sampling, each measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from retime.convert.certify import decided
from retime.convert.holds import FirstOrderHold, ImpulseInvariant, ZeroOrderHold, delay_of
from retime.convert.integrators import Integrator, neutral
from retime.convert.matched import MatchedPoles
from retime.core.arrays import Array
from retime.core.certificate import Certificate, Condition
from retime.core.errors import CertificateError
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.models import LinearSystem, PiecewiseAffineFlow

NO_POLE_AT_ZERO = "no pole is at 0"
EXACT = 1e-11  # error, relative to what it is an error of, below which an exact method is held to have kept its word


def certify_generator(model: LinearSystem, region: RegionFlow) -> Certificate:
    """What may be claimed of the flow that `MatrixLog` found for a linear map."""
    n, without = model.num_states, region.status is RegionStatus.TIME_VARYING
    off = f"{region.limit:.0e} minus the error of one step {region.residual:.1e}, relative"
    residual = Condition.of("sampling the flow gives the system back", region.limit - region.residual, off)
    fails = "fails for poles at 0 in a Jordan block: a delay of two steps or more"
    finite = Condition.of("a flow of finite order exists", -1.0 if without else 1.0, fails)
    at_zero = without or region.status is RegionStatus.REGULARIZED
    fast = (
        f"such a pole is replaced by 2^-53, a very fast mode: a step is off by at most {region.bound:.1e} of the state"
    )
    zero = Condition.of(NO_POLE_AT_ZERO, -1.0 if at_zero else 1.0, fast, required=False)
    conditions = [residual, finite, _same_order(region, n), zero, _nyquist_of_map(region)]
    flow = PiecewiseAffineFlow(model, None, throw=False)
    beyond = decided(flow, {np.zeros(0, dtype=bool).tobytes(): region})
    detail = "-1 where poles on or beside the negative axis are multiple, or nearly so: rounding then decides which of them are negative"
    conditions.append(replace(beyond, name="the order is decided beyond rounding", detail=detail))
    order = f"of order {n}" if not region.auxiliary else f"of order {n + region.auxiliary} instead of {n}"
    claim = (
        "With the input held from sample to sample (zero-order hold) the flow equals the system at every sample time."
        if not without
        else "Part of the state is interpolated between the samples; it is not the solution of a differential equation."
    )
    if region.auxiliary:
        claim += (
            f" {region.auxiliary} negative real pole(s) have no real flow of the same order: each needs one auxiliary state, 0 at every "
            "sample (MATLAB's d2c raises the order likewise). Between the samples that mode turns by half a turn per step."
        )
    headline = f"Exact at every sample time with the input held, {order}: one step is off by {region.residual:.1e}."
    return Certificate(claim, "global: every initial state, every held input", tuple(conditions), _SOURCE, headline)


def certify_undone(model: LinearSystem, flow: LinearSystem, method: Integrator) -> Certificate:
    """What may be claimed of a flow whose map by another method than zero-order hold is the system."""
    error = _response_error(method.discretize(flow, model.dt), model)
    detail = (
        f"{EXACT:.0e} minus the largest difference of the transfer functions around the poles, relative, {error:.1e}"
    )
    back = Condition.of(f"{method!r} gives the system back", EXACT - error, detail)
    claim = (
        f"{method!r} with dt = {model.dt:.6g} makes the system of this flow: its transfer function is the same. "
        f"{method.meaning.format(method)}"
    )
    scope = "every input; from rest, or from the state in the method's coordinates"
    headline = f"Exact inverse of {method!r}: done again it gives the transfer function back to {error:.1e}."
    conditions = (back, _order_stays(model, flow), _nyquist(flow, model.dt))
    return Certificate(claim, scope, conditions, _SOURCE, headline)


def certify_sampled(flow: LinearSystem, step: LinearSystem, method: Integrator) -> Certificate:
    """What may be claimed of the map of one step of a linear flow."""
    dt = step.dt
    kept, scope, headline = _kept(flow, step, method, dt)
    claim = f"{method!r} with dt = {dt:.6g}. {method.meaning.format(method)}"
    conditions = (kept, _stable(flow, dt, method), _nyquist(flow, dt), _order_stays(flow, step))
    return Certificate(claim, scope, conditions, _SOURCE, headline)


def _order_stays(before: LinearSystem, after: LinearSystem) -> Condition:
    added = abs(after.num_states - before.num_states)
    return Condition.of("the order stays", -added, "minus the number of states that were added", required=False)


_SOURCE = (
    "holds and bilinear transforms: the matrix exponential, zhang2009; logarithms: culver1966; matched poles: franklin1998; raised "
    "order: this project"
)


def _kept(flow: LinearSystem, step: LinearSystem, method: Any, dt: float) -> tuple[Condition, str, str]:
    """What the method keeps of the flow; for which inputs; the headline."""

    def exact(name: str, error: float, detail: str) -> Condition:
        return Condition.of(name, EXACT - error, f"{EXACT:.0e} minus the {detail}")

    if isinstance(method, ZeroOrderHold | FirstOrderHold):
        error = _driven_error(flow, step, method, dt)
        inputs = "inputs that are straight lines between the samples"
        if isinstance(method, ZeroOrderHold):
            inputs = f"inputs that are held over each step{'' if method.delay is None else ', delayed'}"
        detail = f"largest error {error:.1e}, relative, over {_length(step)} steps of a random input"
        headline = f"Exact at every sample time for {inputs}: off by {error:.1e}."
        return exact("outputs equal those of the flow at the samples", error, detail), inputs, headline
    if isinstance(method, ImpulseInvariant):
        error = _impulse_error(flow, step, dt)
        detail = f"largest error {error:.1e}, relative, over {_length(step)} samples"
        headline = f"Exact at the samples for impulses: off by {error:.1e}. For other inputs an approximation."
        return exact("impulse responses are equal at the samples", error, detail), "impulses at sample times", headline
    off, upto = _frequency_error(flow, step, dt), f"up to a tenth of the sampling frequency (1/dt = {1 / dt:.4g})"
    approximate = f"An approximation of order {method.order:g}: the frequency response is off by {off:.1e} of its largest value {upto}."
    if isinstance(method, MatchedPoles):
        error = _map_error(flow, step, dt)
        matched = exact("every pole s is at exp(s dt)", error, f"difference of A from exp(A dt), relative, {error:.1e}")
        return matched, "poles, zeros and the gain at rest", f"Poles matched to {error:.1e}. {approximate}"
    if not method.shifts_state(flow):
        detail = f"1 minus the largest error {off:.1e}, relative, {upto}"
        near = Condition.of("the frequency response is near the flow's", 1.0 - off, detail)
        return near, "inputs slow beside the step", approximate
    error = _warped_error(flow, step, method, dt)
    name = "the response is the flow's at the frequency that the transform says"
    detail = f"largest error {error:.1e}, relative, at 16 frequencies"
    return exact(name, error, detail), "input and output; the state is in other coordinates", approximate


def _same_order(region: RegionFlow, n: int) -> Condition:
    margin = abs(region.margin) if region.status is RegionStatus.REAL else region.margin
    exists = region.auxiliary == 0 and region.status is not RegionStatus.TIME_VARYING and not margin <= 0
    detail = f"distance of the poles to the negative real axis, minus the modulus of one on it; order {n}"
    if region.auxiliary:
        detail += f", raised to {n + region.auxiliary}"
    return Condition("a real flow of the same order exists", exists, margin, detail, required=False)


def _nyquist_of_map(region: RegionFlow) -> Condition:
    margin = float(np.pi - region.rotation)
    detail = (
        "pi minus the largest angle of a pole (rad per step); faster oscillations would fit the same samples (aliasing)"
    )
    return Condition("all frequencies are below the Nyquist frequency", margin > 0, margin, detail, required=False)


def _nyquist(flow: LinearSystem, dt: float) -> Condition:
    margin = np.pi / dt - float(np.abs(np.imag(flow.eigenvalues)).max(initial=0.0))
    detail = f"pi/dt = {np.pi / dt:.4g} minus the largest angular frequency of a pole; faster ones fold (aliasing)"
    return Condition("all frequencies are below the Nyquist frequency", margin > 0, margin, detail, required=False)


def _stable(flow: LinearSystem, dt: float, method: Integrator) -> Condition:
    """Whether poles on the left become poles inside the unit circle."""
    w = flow.eigenvalues
    decaying = w[np.real(w) < -neutral(flow.A)]
    worst = float(method.amplification(method.warped(dt) * decaying).max(initial=0.0))
    detail = f"1 minus the largest modulus of a pole that came from one of the {len(decaying)} decaying ones"
    return Condition.of("what decays in the flow decays in the map", 1 + 1e-12 - worst, detail)


def response(system: LinearSystem, points: Array) -> Array:
    """C (x I - A)^-1 E + D at complex points `(k,)`: `(k, p, m)`."""
    B, _, D = system.output
    inner = points[:, None, None] * np.eye(system.num_states) - system.A
    right = np.broadcast_to(system.E, (len(points), *system.E.shape)).astype(complex)
    return B @ np.linalg.solve(inner, right) + D


def _relative(got: Array, wanted: Array) -> float:
    error, size = np.abs(got - wanted).max(initial=0.0), np.abs(wanted).max(initial=0.0)
    found = float(error / size) if size > 0 else float(error)
    return found if np.isfinite(found) else float("inf")


def _response_error(a: Any, b: LinearSystem) -> float:
    """Largest difference of two transfer functions on a circle around all poles of both."""
    radius = 1.5 * max(1.0, *(float(np.abs(x.eigenvalues).max(initial=0.0)) for x in (a, b)))
    points = radius * np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
    return _relative(response(a, points), response(b, points))


def _frequency_error(flow: LinearSystem, step: LinearSystem, dt: float) -> float:
    """Largest difference of the frequency responses up to a tenth of the sampling frequency, per largest value there."""
    w = 2 * np.pi / dt * np.linspace(0.005, 0.1, 20)
    with np.errstate(all="ignore"):
        return _relative(response(step, np.exp(1j * w * dt)), response(flow, 1j * w))


def _warped_error(flow: LinearSystem, step: LinearSystem, method: Any, dt: float) -> float:
    h, alpha = method.warped(dt), method.alpha
    z = np.exp(1j * np.pi * (np.arange(16) + 0.5) / 16)
    return _relative(response(step, z), response(flow, (z - 1) / (h * (alpha * z + 1 - alpha))))


def _map_error(flow: LinearSystem, step: LinearSystem, dt: float) -> float:
    """How far A of the map is from the exponential, taken in eighths."""
    n = flow.num_states
    return _relative(step.A, np.linalg.matrix_power(_eighth(flow, dt)[:n, :n], 8))


def _length(step: LinearSystem) -> int:
    return min(step.num_states + 4, 20)


def _impulse_error(flow: LinearSystem, step: LinearSystem, dt: float) -> float:
    """dt C exp(A k dt) E by eighths of steps against the map's response to one sample of 1."""
    part, n, count = _eighth(flow, dt), flow.num_states, _length(step)
    (B, *_), z, x = flow.output, flow.E, step.E
    wanted, got = [dt * B @ z], [step.D]
    for _ in range(count):
        for _ in range(8):
            z = part[:n, :n] @ z
        wanted.append(dt * B @ z)
        got.append(step.readout.B @ x)
        x = step.A @ x
    return _relative(np.array(got), np.array(wanted))


def _eighth(flow: LinearSystem, dt: float) -> Array:
    """The exponential of (z, s, ds/dt per dt, 1) over dt / 8."""
    from scipy.linalg import expm

    n, m = flow.E.shape
    G = np.zeros((n + 2 * m + 1, n + 2 * m + 1))
    G[:n, :n], G[:n, n : n + m], G[:n, -1] = dt * flow.A, dt * flow.E, dt * flow.b
    G[n : n + m, n + m : n + 2 * m] = np.eye(m)
    with np.errstate(all="ignore"):
        return expm(G / 8)


def _driven_error(flow: LinearSystem, step: LinearSystem, method: Any, dt: float) -> float:
    """Outputs of the flow, followed in pieces, against those of the map, from rest under a random input that begins at 0 (seed 0)."""
    (n, m), count = flow.E.shape, _length(step)
    s = np.vstack([np.zeros((1, m)), np.random.default_rng(0).normal(size=(count, m))])
    z, w = np.zeros(n), np.zeros(step.num_states)
    B, offset, D = flow.output
    late = np.zeros(m) if getattr(method, "delay", None) is None else delay_of(flow, method.delay)
    move = _follower(flow, dt, isinstance(method, FirstOrderHold), late)
    wanted, got = [], []
    for k in range(count):
        with np.errstate(all="ignore"):
            wanted.append(B @ z + offset + D @ _acting(s, k, late, dt, 0.0))
            got.append(step.outputs(w, s[k]) if step.readout is not None else w)
            z, w = move(z, s, k), step.A @ w + step.b + step.E @ s[k]
    return _relative(np.array(got), np.array(wanted))


def _acting(s: Array, k: int, late: Array, dt: float, phase: float) -> Array:
    """The held inputs that act at time k dt + phase, each after its delay."""
    index = np.floor((k * dt + phase - late) / dt + 1e-6).astype(int)
    return np.where(index >= 0, s[np.maximum(index, 0), np.arange(s.shape[1])], 0.0)


def _follower(flow: LinearSystem, dt: float, is_line: bool, late: Array) -> Any:
    """move(z, s, k): the state of the flow one step later; between the times at which an input changes, eighths of a piece."""
    n, m = flow.E.shape
    breaks = np.unique(np.round(np.concatenate([[0.0, dt], np.mod(late, dt)]), 15))
    pieces = [(a, b, _eighth(flow, b - a)) for a, b in pairwise(breaks) if b - a > 1e-9 * dt]

    def move(z: Array, s: Array, k: int) -> Array:
        for a, b, part in pieces:
            now = _acting(s, k, late, dt, (a + b) / 2)
            slope = s[k + 1] - s[k] if is_line else np.zeros(m)
            x = np.concatenate([z, now, slope, [1.0]])
            for _ in range(8):
                x = part @ x
            z = x[:n]
        return z

    return move


def refuse_delay(model: LinearSystem, region: RegionFlow, message: str) -> None:
    """Raise for a map that no linear flow samples to, with its certificate.

    Raises:
        CertificateError: the region is time-varying.
    """
    if region.status is RegionStatus.TIME_VARYING:
        raise CertificateError(message, certify_generator(model, region))
