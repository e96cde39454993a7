"""Linear systems in the forms that others give them: SciPy's lti and dlti, python-control's systems, tuples of matrices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.conversion import Conversion
from retime.core.errors import MissingDependencyError
from retime.core.time import CONTINUOUS, Discrete, TimeBase
from retime.models import LinearSystem


class Opened(NamedTuple):
    """A linear system, and how another one is put into the form (and given the names) that it came in.

    Of a transfer function with one input and one output also zeros, poles and gain, and how others become one.
    """

    system: LinearSystem
    closed: Callable[[LinearSystem], Any]
    fraction: tuple[Array, Array, float] | None = None
    closed_fraction: Callable[[tuple[Array, Array, float], TimeBase], Any] | None = None


def opened(system: Any, time: TimeBase | None) -> Opened:
    """Read a linear system in any form.

    Args:
        system: a LinearSystem; `control.StateSpace` or `TransferFunction`; SciPy's `lti` or `dlti` (StateSpace, TransferFunction,
            ZerosPolesGain); a tuple (A, B, C, D), or (A, B, C, D, dt) as `scipy.signal.cont2discrete` returns it.
        time: the time base where the form does not say; None: it has to.

    Raises:
        TypeError: none of these. ValueError: no step where one is needed.
    """
    system = system.model if isinstance(system, Conversion) else system
    if isinstance(system, LinearSystem):
        return Opened(system, lambda found: found)
    if isinstance(system, (tuple, list)):
        return _tuple(system, time)
    module = type(system).__module__.partition(".")[0]
    if module == "control" and hasattr(system, "dt"):
        return _control(system, time)
    signal = sys.modules.get("scipy.signal")
    if signal is not None and isinstance(system, (signal.lti, signal.dlti)):
        return _scipy(system, time)
    raise TypeError(
        f"`system` is {type(system).__name__}; it must be a LinearSystem, a control.StateSpace or TransferFunction, a scipy.signal lti or "
        "dlti, or a tuple (A, B, C, D). Of a network take linearize(model, at)."
    )


def python_control() -> Any:
    """The package.

    Raises:
        MissingDependencyError: python-control is not installed.
    """
    try:
        import control
    except ImportError as error:
        raise MissingDependencyError("python-control is not installed: pip install 'retime[control]'") from error
    return control


def matrices(system: LinearSystem) -> tuple[Array, Array, Array, Array]:
    """(A, B, C, D); without a readout the outputs are the states.

    Raises:
        ValueError: an offset, which a state space cannot hold.
    """
    if system.readout is not None and not system.readout.is_linear:
        raise ValueError(
            f"The system has the readout {system.readout!r}, which a state space cannot hold; linearize it first, or drop the readout."
        )
    offset = system.b if system.readout is None else np.concatenate([system.b, system.readout.b])
    if np.any(offset):
        raise ValueError(
            "The system has an offset, which a state space cannot hold; shift the state to its fixed point first."
        )
    n, m = system.E.shape
    C = np.eye(n) if system.readout is None else system.readout.B
    return system.A, system.E, C, np.zeros((len(C), m)) if system.D is None else system.D


def from_matrices(A: Any, B: Any, C: Any, D: Any, time: TimeBase) -> LinearSystem:
    """z' = A z + B u, y = C z + D u as a LinearSystem with a readout; A may be empty only where there is nothing to convert.

    Raises:
        ShapeError: sizes disagree. ValueError: no states.
    """
    A, B, C, D = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (A, B, C, D))
    if A.size == 0:
        raise ValueError(_STATIC)
    B = B.reshape(len(A), -1) if B.size == len(A) else B
    readout = (C, np.zeros(len(C)))
    return LinearSystem(A, np.zeros(len(A)), B, time=time, readout=readout, D=D if np.any(D) else None)


_STATIC = "The system has no states: its output is D u in any time base, so there is nothing to convert."


def state_labels(names: Sequence[str], system: LinearSystem) -> list[str]:
    """Names of the states; those that a conversion added come last and are numbered."""
    extra = system.num_states - len(names)
    return [*names, *[f"added[{k}]" for k in range(extra)]][: system.num_states]


def _step(system: LinearSystem) -> float:
    return system.time.dt if isinstance(system.time, Discrete) else 0.0


def _tuple(system: Any, time: TimeBase | None) -> Opened:
    if len(system) == 5:
        given: TimeBase | None = Discrete(float(system[4]))
    else:
        given = time
    if len(system) not in (4, 5):
        raise TypeError(
            f"`system` is a tuple of {len(system)}; it must be (A, B, C, D), or (A, B, C, D, dt). For (num, den) or (zeros, poles, gain) "
            "pass scipy.signal.TransferFunction or ZerosPolesGain."
        )
    if given is None:
        raise ValueError(
            "(A, B, C, D) has no step; pass dt=, or (A, B, C, D, dt) as scipy.signal.cont2discrete returns it."
        )

    def closed(found: LinearSystem) -> tuple[Any, ...]:
        return matrices(found) if found.time == CONTINUOUS else (*matrices(found), _step(found))

    return Opened(from_matrices(system[0], system[1], system[2], system[3], given), closed)


def _time(dt: Any, time: TimeBase | None) -> TimeBase:
    """The time base of a system whose dt is 0, a step, or unspecified (None, True)."""
    if dt is True and time == CONTINUOUS:
        raise TypeError("`system` is discrete (dt = True, a step it does not say); c2d takes a continuous one.")
    if dt is None or dt is True:
        if time is None:
            raise ValueError(
                f"`system.dt` is {dt}; say which time base is meant: dt = 0 (continuous) or the step dt > 0 (dt= of d2c)."
            )
        return time
    return CONTINUOUS if dt == 0 else Discrete(float(dt))


def _control(system: Any, time: TimeBase | None) -> Opened:
    ct = python_control()
    space, base = ct.ss(system), _time(system.dt, time)
    model = from_matrices(space.A, space.B, space.C, space.D, base)
    if not isinstance(system, ct.TransferFunction):
        return Opened(model, lambda found: labeled(found, system))
    names = {"name": system.name, "inputs": system.input_labels, "outputs": system.output_labels}

    def of_fraction(values: tuple[Array, Array, float], time: TimeBase) -> Any:
        return ct.tf(*_polynomials(*values), time.dt if isinstance(time, Discrete) else 0.0, **names)

    def closed(found: LinearSystem) -> Any:
        if found.num_inputs == found.num_outputs == 1:
            matrices(found)
            return of_fraction(_zeros_poles_gain(found), found.time)
        return ct.tf(ct.ss(*matrices(found), _step(found)), **names)

    if (system.ninputs, system.noutputs) != (1, 1):
        return Opened(model, closed)
    z, p = np.roots(system.num[0][0]), np.roots(system.den[0][0])
    gain = float(np.trim_zeros(system.num[0][0], "f")[0] / system.den[0][0][0]) if np.any(system.num[0][0]) else 0.0
    return Opened(model, closed, _sharp((z, p, gain), base), of_fraction)


def labeled(found: LinearSystem, like: Any) -> Any:
    """A `control.StateSpace` with the names of `like`: of the system, its states, inputs and outputs."""
    names = {"name": like.name, "inputs": like.input_labels, "outputs": like.output_labels}
    states = getattr(like, "state_labels", [])
    if states:
        names["states"] = state_labels(states, found)
    return python_control().ss(*matrices(found), _step(found), **names)


def _scipy(system: Any, time: TimeBase | None) -> Opened:
    from scipy import signal

    base = _time(system.dt, time) if isinstance(system, signal.dlti) else CONTINUOUS
    order = len(system.A) if isinstance(system, signal.StateSpace) else len(np.atleast_1d(system.poles))  # type: ignore[reportAttributeAccessIssue]
    if order == 0:
        raise ValueError(_STATIC)
    space: Any = system.to_ss()  # type: ignore[reportAttributeAccessIssue]
    model = from_matrices(space.A, space.B, space.C, space.D, base)
    if not isinstance(system, (signal.TransferFunction, signal.ZerosPolesGain)):
        return Opened(model, lambda found: signal.StateSpace(*matrices(found), **_keyword(found.time)))

    def of_fraction(values: tuple[Array, Array, float], time: TimeBase) -> Any:
        if isinstance(system, signal.ZerosPolesGain):
            return signal.ZerosPolesGain(*values, **_keyword(time))
        return signal.TransferFunction(*_polynomials(*values), **_keyword(time))

    def closed(found: LinearSystem) -> Any:
        if found.num_inputs == found.num_outputs == 1:
            matrices(found)
            return of_fraction(_zeros_poles_gain(found), found.time)
        return signal.StateSpace(*matrices(found), **_keyword(found.time)).to_tf()

    if (model.num_inputs, model.num_outputs) != (1, 1):
        return Opened(model, closed)
    form: Any = system.to_zpk()
    return Opened(model, closed, _sharp((form.zeros, form.poles, float(form.gain)), base), of_fraction)


def _keyword(time: TimeBase) -> dict[str, float]:
    return {"dt": time.dt} if isinstance(time, Discrete) else {}


def _sharp(values: tuple[Array, Array, float], time: TimeBase) -> tuple[Array, Array, float]:
    """Poles and zeros within rounding of rest are put there."""
    from retime.convert.matched import at_rest_exactly

    return at_rest_exactly(values[0], time.neutral), at_rest_exactly(values[1], time.neutral), values[2]


def _polynomials(zeros: Array, poles: Array, gain: float) -> tuple[Array, Array]:
    """Numerator and denominator, highest power first."""
    return np.real(gain * np.atleast_1d(np.poly(zeros))), np.real(np.poly(poles))


def _zeros_poles_gain(found: LinearSystem) -> tuple[Array, Array, float]:
    from retime.convert.matched import zeros_poles_gain

    return zeros_poles_gain(found)[1:]


# LinearSystem <-> control.StateSpace, inputs and outputs kept.


def from_control(system: Any) -> LinearSystem:
    """A `control.StateSpace` (or what `control.ss` accepts) as a LinearSystem with its readout.

    z' = A z + B u, y = C z + D u  becomes  A = A, b = 0, E = B, readout = (C, 0), D = D.

    Args:
        system: state space or transfer function with dt = 0 (continuous) or dt > 0 (discrete).

    Returns:
        LinearSystem in the same time base.

    Raises:
        MissingDependencyError: python-control is not installed. ValueError: dt is unspecified (None or True).
    """
    return _control(python_control().ss(system), None).system


def to_control(system: LinearSystem, *, like: Any = None) -> Any:
    """A LinearSystem as `control.StateSpace`; without a readout the outputs are the states.

    Args:
        system: the system.
        like: a `control` system whose names (of the system, its states, inputs and outputs) the result takes; None: python-control's own.

    Raises:
        MissingDependencyError: python-control is not installed. TypeError: not a LinearSystem. ValueError: it has an
        offset, which a state space cannot hold.
    """
    ct = python_control()
    if not isinstance(system, LinearSystem):
        raise TypeError(f"`system` is {type(system).__name__}; a control.StateSpace holds a LinearSystem only.")
    return ct.ss(*matrices(system), _step(system)) if like is None else labeled(system, like)
