"""The verbs of control: `c2d` and `d2c` of linear systems in any form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retime.convert import (
    GeneralizedBilinear,
    MatchedPoles,
    Tustin,
    ZeroOrderHold,
    field_method,
    integrator,
    to_continuous,
    to_discrete,
)
from retime.convert.certify_linear import NO_POLE_AT_ZERO
from retime.core.arrays import positive
from retime.core.conversion import Conversion
from retime.core.notice import notify
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase
from retime.io.linear_forms import Opened, opened


def c2d(
    system: Any,
    dt: float,
    method: Any = "zoh",
    *,
    alpha: float | None = None,
    prewarp_frequency: float | None = None,
    delay: Any = None,
    certificate: bool = False,
) -> Any:
    """A continuous linear system as a discrete one, in the form that it came in.

    Args:
        system: a `control.StateSpace` or `TransferFunction`, SciPy's `lti` (StateSpace, TransferFunction, ZerosPolesGain), a tuple
            (A, B, C, D) or a LinearSystem.
        dt: step > 0, model time.
        method: "zoh", "foh", "impulse", "tustin" ("bilinear"), "matched", "gbt", "euler" ("forward_diff"), "backward_diff", "rk4", ..., or
            a method object of `to_discrete`.
        alpha: of "gbt", 0 to 1.
        prewarp_frequency: of "tustin": where the frequency response is kept, radians per model time, below pi/dt.
        delay: of "zoh": a delay of the input, a number or one per input, model time >= 0; it need not be a multiple of dt. The earlier
            inputs that are still to act are states of the result, after the others.
        certificate: return a `Conversion` whose `.model` is the discrete system and whose `.certificate` says what was measured.

    Returns:
        What came: a system of the same class with step dt, names of system, states, inputs and outputs kept; of a tuple (A, B, C, D, dt), as
        `scipy.signal.cont2discrete`.

    Raises:
        TypeError: not a linear system, or it is discrete. ValueError: an argument; a method that does not take the system.

    Source: zhang2009, franklin1998; docs/guides/control.md.

    Examples:
        >>> import retime as rt
        >>> A, B, C, D, dt = rt.c2d(([[0.0, 1.0], [0.0, 0.0]], [[0.0], [1.0]], [[1.0, 0.0]], [[0.0]]), 0.1)
        >>> B.ravel().round(4)
        array([0.005, 0.1  ])
    """
    given = opened(system, CONTINUOUS)
    if not isinstance(given.system.time, Continuous):
        raise TypeError(
            f"`system` is discrete already (dt = {given.system.dt:g}); c2d takes a continuous one. See d2c, and retime_to."
        )
    chosen = _chosen(method, alpha, prewarp_frequency, delay)
    if given.fraction is not None and isinstance(chosen, MatchedPoles):
        fraction, time = chosen.mapped(*given.fraction, positive("dt", dt)), Discrete(dt)
        return _matched(given, fraction, time, lambda: to_discrete(given.system, dt, method=chosen), certificate)
    return _closed(given, to_discrete(given.system, dt, method=chosen), certificate)


def d2c(
    system: Any,
    method: Any = "zoh",
    *,
    dt: float | None = None,
    alpha: float | None = None,
    prewarp_frequency: float | None = None,
    certificate: bool = False,
) -> Any:
    """A discrete linear system as a continuous one, in the form that it came in: `c2d` by the same method gives it back.

    With "zoh" a negative real pole has no real flow of the same order: the order is raised by one for each (as MATLAB does), which one
    line of the logger "retime" says; the auxiliary state comes last and is 0 at every sample.

    Args:
        system: a discrete one in any form that `c2d` takes; a tuple is (A, B, C, D, dt), or (A, B, C, D) with `dt`.
        method: "zoh", "foh", "impulse", "tustin", "matched", "gbt", "euler", "backward_diff".
        dt: the step where the system does not say it (SciPy's and python-control's dt = True).
        alpha, prewarp_frequency: as in `c2d`.
        certificate: return a `Conversion` whose `.model` is the continuous system.

    Returns:
        What came: a continuous system of the same class, names kept; of a tuple (A, B, C, D).

    Raises:
        TypeError: not a linear system, or it is continuous. ValueError: no step; an argument. CertificateError: no linear flow has these
        samples (a pole at 0 of index > 1; for "tustin" a pole at -1; for "matched" a pole or zero on the negative axis).

    Source: culver1966, zhang2009, franklin1998; docs/guides/control.md, docs/theory/conversion.md.

    Examples:
        >>> import retime as rt
        >>> A, B, C, D = rt.d2c(([[0.5]], [[1.0]], [[1.0]], [[0.0]], 0.1))
        >>> A.round(4)  # log(0.5) / 0.1
        array([[-6.9315]])
    """
    given = opened(system, None if dt is None else Discrete(positive("dt", dt)))
    if not isinstance(given.system.time, Discrete):
        raise TypeError("`system` is continuous already; d2c takes a discrete one. See c2d.")
    if dt is not None and given.system.dt != float(dt):
        raise ValueError(f"`dt` is {dt:g}, but the system says {given.system.dt:g}; drop `dt`.")
    chosen = _chosen(method, alpha, prewarp_frequency, None, back=True)
    if given.fraction is not None and isinstance(chosen, MatchedPoles):
        fraction = chosen.unmapped(*given.fraction, given.system.dt)
        return _matched(given, fraction, CONTINUOUS, lambda: to_continuous(given.system, method=chosen), certificate)
    conversion = to_continuous(given.system, method=chosen)
    added = conversion.model.num_states - given.system.num_states
    if added:
        have, n = " has" if added == 1 else "s have", given.system.num_states
        notify(
            f"d2c: {added} negative real pole{have} no real flow of order {n}; the order was raised to {n + added}, as MATLAB's d2c "
            "does. The added states come last and are 0 at every sample.",
            once=False,
        )
    if any(c.name == NO_POLE_AT_ZERO and not c.holds for c in conversion.certificate.conditions):
        notify(
            "d2c: a pole is 0, which a flow reaches only in the limit; it was replaced by 2^-53, a very fast mode.",
            once=False,
        )
    return _closed(given, conversion, certificate)


def _closed(given: Opened, conversion: Conversion, certificate: bool) -> Any:
    """The result in the form that came."""
    model = given.closed(conversion.model)
    return Conversion(model, conversion.certify) if certificate else model


def _matched(given: Any, fraction: Any, time: TimeBase, conversion: Callable[[], Conversion], certificate: bool) -> Any:
    """Poles and zeros that came as such are matched as such; matrices, which hold fewer of them, only for the certificate."""
    model = given.closed_fraction(fraction, time)
    return Conversion(model, lambda: conversion().certificate) if certificate else model


def _chosen(method: Any, alpha: Any, prewarp_frequency: Any, delay: Any, *, back: bool = False) -> Any:
    """The method object of a name and its options.

    Raises:
        ValueError: an option of another method.
    """
    key = method.strip().lower() if isinstance(method, str) else method
    if key == "gbt":
        if alpha is None:
            raise ValueError('`alpha` is missing; method="gbt" needs it, from 0 (Euler) to 1 (backward difference).')
        found: Any = GeneralizedBilinear(alpha)
    else:
        found = field_method(method) if back else integrator(method)
    for name, value, kind in (
        ("alpha", alpha, GeneralizedBilinear), ("prewarp_frequency", prewarp_frequency, Tustin), ("delay", delay, ZeroOrderHold),
    ):  # fmt: skip
        if value is not None and not isinstance(found, kind):
            raise ValueError(f"`{name}` is an option of {kind.__name__}, not of {method!r}; drop it.")
    if prewarp_frequency is not None:
        return Tustin(prewarp_frequency)
    if delay is not None:
        return ZeroOrderHold(delay)
    return found if alpha is None else GeneralizedBilinear(alpha)
