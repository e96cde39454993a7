"""Matched poles and zeros: every pole and zero of a linear system with one input and one output mapped by z = exp(s dt)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from retime.convert.bilinear import with_output
from retime.convert.integrators import LinearMethod
from retime.convert.matrix_log import logarithm
from retime.core.arrays import Array
from retime.core.balance import balancing
from retime.core.errors import CertificateError, ConvergenceError
from retime.core.exponential import linear_step
from retime.core.time import CONTINUOUS, Discrete, TimeBase
from retime.models import LinearSystem


@dataclass(frozen=True)
class MatchedPoles(LinearMethod):
    """Matched poles and zeros of a LinearSystem with one input and one output (`matched`).

    z_i = exp(s_i dt) for every pole and every finite zero; of the r zeros at infinity r - 1 become zeros at -1, one stays at infinity.

    The gain is that at rest (s = 0, z = 1); where poles or zeros lie there, that of the response without them, s standing for
    (z - 1) / dt. States keep their coordinates: A becomes exp(A dt), the readout stays, E and D are what gives the zeros.
    Source: franklin1998, section 6.2.
    """

    order: ClassVar[float] = 1
    meaning: ClassVar[str] = "Zeros at infinity are at -1 but for one; the gain at rest is kept."

    def _step(self, model: LinearSystem, dt: float) -> LinearSystem:
        given = zeros_poles_gain(model)
        zeros, poles, gain = self.mapped(given.zeros, given.poles, given.gain, dt)
        A = linear_step(dt * given.model.A, np.zeros((len(poles), 0)))[0]
        return _with_zeros(given.model, A, poles, zeros, gain, Discrete(dt))

    def undo(self, model: LinearSystem) -> LinearSystem:
        """The flow whose map this is: poles and zeros back by s = log(z) / dt, zeros at -1 to infinity.

        Raises:
            ValueError: more than one input or output, or an offset. CertificateError: a pole or another zero on (-inf, 0].
        """
        given = zeros_poles_gain(model)
        zeros, poles, gain = self.unmapped(given.zeros, given.poles, given.gain, model.dt)
        return _with_zeros(model, logarithm(model).W, poles, zeros, gain, CONTINUOUS)

    def mapped(self, zeros: Array, poles: Array, gain: float, dt: float) -> tuple[Array, Array, float]:
        """Zeros, poles and gain of the map, from those of the flow."""
        late = max(len(poles) - len(zeros) - 1, 0)
        new, places = np.concatenate([np.exp(zeros * dt), np.full(late, -1.0)]), np.exp(poles * dt)
        at_rest = len(poles[poles == 0]) - len(zeros[zeros == 0])
        return new, places, _low(zeros, poles, gain, 0.0) * dt**at_rest / _low(new, places, 1.0, 1.0)

    def unmapped(self, zeros: Array, poles: Array, gain: float, dt: float) -> tuple[Array, Array, float]:
        """Zeros, poles and gain of the flow, from those of the map.

        Raises:
            CertificateError: a pole, or a zero that is not at -1, on (-inf, 0].
        """
        kept = _without_late(zeros)
        for name, values in (("pole", poles), ("zero", kept)):
            on_axis = values[(np.imag(values) == 0) & (np.real(values) <= 0)]
            if len(on_axis):
                place = float(np.max(np.real(on_axis)))
                if place == 0.0:
                    raise CertificateError(
                        f'A {name} is 0: no {name} s has exp(s dt) = 0. method="tustin" has one for it, -2/dt.'
                    )
                raise CertificateError(
                    f"A {name} is {place:.6g}: no real {name} s has exp(s dt) < 0, and a pair of complex ones would need a second "
                    f'{name} there. method="zoh" raises the order instead, as MATLAB does; "tustin" keeps it.'
                )
        new, places = (np.where(x == 1, 0, np.log(x.astype(complex)) / dt) for x in (kept, poles))
        at_rest = len(poles[poles == 1]) - len(kept[kept == 1])
        return new, places, _low(zeros, poles, gain, 1.0) / dt**at_rest / _low(new, places, 1.0, 0.0)


class ZerosPolesGain(NamedTuple):
    """A system with one input and one output: gain prod(x - zeros) / prod(x - poles)."""

    model: LinearSystem
    zeros: Array
    poles: Array
    gain: float


def zeros_poles_gain(model: LinearSystem) -> ZerosPolesGain:
    """Zeros, poles and gain of a linear system with one input and one output.

    Raises:
        ValueError: more than one input or output, an offset, or an output that no input reaches.
    """
    B, offset, D = model.output
    if model.num_inputs != 1 or len(B) != 1:
        raise ValueError(
            f"The system has {model.num_inputs} inputs and {len(B)} outputs; poles and zeros are matched for one of each. Use zoh, foh or "
            "tustin, or convert each channel."
        )
    if np.any(model.b) or np.any(offset):
        raise ValueError(
            "The system has an offset, which has no poles and zeros; shift the state to its fixed point first."
        )
    poles = at_rest_exactly(np.linalg.eigvals(model.A), model.time.neutral)
    x = _away(poles, model.A)
    inner = float((B @ np.linalg.solve(x * np.eye(len(poles)) - model.A, model.E))[0, 0])
    D = 0.0 if abs(D[0, 0]) <= 1e-13 * abs(inner) else float(D[0, 0])  # rounding of a conversion, not a feedthrough
    zeros = at_rest_exactly(transmission_zeros(model.A, model.E, B, D), model.time.neutral)
    x = _away(np.concatenate([zeros, poles]), model.A)
    value = (B @ np.linalg.solve(x * np.eye(len(poles)) - model.A, model.E))[0, 0] + D
    return ZerosPolesGain(model, zeros, poles, float(np.real(value / _fraction(x, zeros, poles))))


def at_rest_exactly(values: Array, place: float) -> Array:
    """Poles or zeros `(k,)` complex; those within rounding of an integrator's place, 0 (1 of a map), are put there."""
    values = np.asarray(values, dtype=complex)
    size = np.abs(values).max(initial=0.0)
    return np.where(np.abs(values - place) <= 1e-13 * max(size, place), place, values)


def transmission_zeros(A: Array, E: Array, B: Array, D: float) -> Array:
    """Finite x `(k,)` with det [[x I - A, -E], [B, D]] = 0: zeros of B (x I - A)^-1 E + D, and of modes that neither shows nor takes.

    With D the eigenvalues of A - E B / D; else of A on the largest subspace in the kernel of B that an input can hold.
    """
    if D != 0:
        return np.linalg.eigvals(A - E @ B / D)
    w = balancing(A[None])[0][:, None]
    A, E, row = A * (w.T / w), E / w, B * w.T
    rows: list[Array] = []
    for _ in range(len(A)):  # B A^k E = 0 for k below the number of zeros at infinity minus 1
        rows.append(row / (np.linalg.norm(row) + 1e-300))
        strength = float((rows[-1] @ E)[0, 0])
        row = rows[-1] @ A
        if abs(strength) > 1e-12 * np.linalg.norm(E):
            basis = np.linalg.qr(np.vstack(rows).T, mode="complete")[0][:, len(rows) :]
            return np.linalg.eigvals(basis.T @ (A - E @ row / strength) @ basis)
    raise ValueError("The output does not depend on the input: there are no poles and zeros to match.")


def _away(values: Array, A: Array) -> float:
    """A point farther from 0 than all poles or zeros `values`."""
    size = max(float(np.abs(values).max()), float(np.linalg.norm(A, 2)))
    return 1.5 * size if size > 0 else 1.0


def _fraction(x: Any, zeros: Array, poles: Array) -> Any:
    """prod(x - zeros) / prod(x - poles) for x `(...)`, factor by factor: no overflow."""
    x = np.asarray(x, dtype=complex)
    value = np.ones_like(x)
    for k in range(max(len(zeros), len(poles))):
        value = value * ((x - zeros[k]) if k < len(zeros) else 1.0) / ((x - poles[k]) if k < len(poles) else 1.0)
    return value


def _low(zeros: Array, poles: Array, gain: float, rest: float) -> float:
    """The response at rest, without the poles and zeros that lie there."""
    return float(np.real(gain * _fraction(rest, zeros[zeros != rest], poles[poles != rest])))


def _without_late(zeros: Array) -> Array:
    """The zeros that are not at -1; k zeros there are known to the k-th root of rounding."""
    distance = np.sort(np.abs(zeros + 1))
    late = max((k for k in range(1, len(zeros) + 1) if distance[k - 1] <= 20 * (1e-13) ** (1 / k)), default=0)
    return zeros[np.argsort(np.abs(zeros + 1), kind="stable")][late:]


def _with_zeros(model: LinearSystem, A: Array, poles: Array, zeros: Array, gain: float, time: TimeBase) -> LinearSystem:
    """The system with matrix A `(n, n)` and the readout of `model`, whose response is gain prod(x - zeros) / prod(x - poles).

    E solves B (x_j I - A)^-1 E = response(x_j) - D at n + 1 points around the poles.
    """
    n, (B, offset, _) = len(A), model.output
    D = gain if len(zeros) == len(poles) else 0.0
    center = float(np.real(poles.mean()))
    radius = 1.5 * float(np.abs(poles - center).max()) + 0.3 * _away(poles, A)
    points = center + radius * np.exp(1j * np.pi * (np.arange(n + 1) + 0.5) / (n + 1))
    rows = np.array([np.linalg.solve((x * np.eye(n) - A).T, B[0]) for x in points])
    wanted = gain * _fraction(points, zeros, poles) - D
    stacked, right = np.vstack([np.real(rows), np.imag(rows)]), np.concatenate([np.real(wanted), np.imag(wanted)])
    scale = np.linalg.norm(stacked, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    E = np.linalg.lstsq(stacked / scale, right, rcond=1e-15)[0] / scale
    found = replace(model, A=A, E=E[:, None], D=np.array([[D]]), readout=with_output(model, B, offset), time=time)
    _check_response(found, poles, zeros, gain)
    return found


def _check_response(found: LinearSystem, poles: Array, zeros: Array, gain: float) -> None:
    """Whether the matrices respond as the poles and zeros do, at 24 frequencies.

    Raises:
        ConvergenceError: they are off by more than 1e-6 of the largest response: too many states for double precision.
    """
    w = np.geomspace(1e-3, 3.0, 24)
    points = 1j * w * _away(poles, found.A) if found.time == CONTINUOUS else np.exp(1j * w)
    B, E = found.output[0], found.E[:, 0]
    with np.errstate(all="ignore"):
        got = np.array([(B @ np.linalg.solve(x * np.eye(len(poles)) - found.A, E))[0] + found.D[0, 0] for x in points])
        wanted = gain * _fraction(points, zeros, poles)
        error = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if not error <= 1e-6:
        raise ConvergenceError(
            f"Matrices with {len(poles)} states do not hold these poles and zeros in double precision: the frequency response is off by "
            f'{error:.1e}. Pass zeros, poles and gain (scipy.signal.ZerosPolesGain), or use method="zoh", "foh" or "tustin".'
        )
