"""`lyapunov_spectrum` and `max_exponent`: mean rates at which small differences between orbits grow."""

from __future__ import annotations

from typing import Any

from retime.analysis.exponents.growth import Growth
from retime.analysis.exponents.linear import is_linear, linear_spectrum
from retime.analysis.exponents.maps import is_slim, map_growth, slim_growth
from retime.analysis.exponents.result import LyapunovSpectrum
from retime.analysis.exponents.smooth import smooth_growth
from retime.analysis.exponents.statistics import spectrum_of
from retime.analysis.exponents.switched import switched_growth
from retime.core.arguments import seconds, switching_of, system
from retime.core.arrays import Array
from retime.core.equation import check_installed
from retime.core.errors import ShapeError
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.system import System
from retime.simulation.horizon import Horizon, horizon_of, number_of, rows_of, started
from retime.simulation.motion import motion_of
from retime.simulation.smooth import checked_solver


def lyapunov_spectrum(
    model: System,
    z0: Any,
    *,
    steps: int | None = None,
    times: Any = None,
    num: int | None = None,
    inputs: Any = None,
    switching: str | None = None,
    transient: float | None = None,
    tolerance: float | None = None,
    solver: Any = None,
    time_limit: float | None = None,
) -> LyapunovSpectrum:
    """The Lyapunov exponents of the orbit from z0, per unit of model time.

    l_i = lim 1/t log |r_ii(t)|,   Q(t) R(t) the tangent flow applied to orthonormal vectors

    Maps and clock-held flows: products of the orbit's own step matrices, orthonormalized as often as rounding asks for, and
    orthonormalized after every step to the same result (1e-9). Flows whose region is read from the state: followed from switch
    to switch, with the saltation matrix of each, auxiliary states and sliding included. Smooth flows: solved together with the
    vectors. Linear systems: from the eigenvalues, exactly, whatever the orbit does.

    Args:
        model: any retime model.
        z0: `(n,)`, one initial state.
        steps: for maps and clock-held flows: number of steps >= 1, the transient included.
        times: for flows: the exponents are measured from times[0] + transient to times[-1] (clock-held: whole steps); values in
            between only say how `inputs` are held.
        num: how many exponents, all n by default; fewer cost less. The vectors start at random, the same in every call.
        inputs, switching: as for `simulate`.
        transient: what is not measured at the beginning, while orbit and vectors settle: in steps with `steps`, in model time
            with `times`. A tenth of the horizon by default.
        tolerance, solver: for smooth flows, as for `simulate`; `diffrax.Dopri8()` by default.
        time_limit: seconds of work, None for no limit; looked at a few times a second, after a first stretch.

    Returns:
        LyapunovSpectrum. An orbit that ends early, the time limit, or Ctrl-C leaves what was measured, with a `status`.

    Raises:
        ValueError: a missing or superfluous horizon, `num` or `transient` out of range. ShapeError: z0 or inputs of the wrong size.
        CertificateError: a region without an autonomous flow. TypeError: not a model.

    Cost: a map O(n^2 num) per step, less where the same few regions come again and again.
    Backend: NumPy float64 and Numba, on all cores; JAX and Diffrax for smooth systems.
    Source: benettin1980, leine2004 (saltation), kaplan1979; docs/theory/exponents.md.

    Examples:
        >>> import retime as rt
        >>> lozi = rt.PLRNN([[1.7, 1.0], [0.5, 0.0]], [[-3.4, 0.0], [0.0, 0.0]], [1.0, 0.0])
        >>> found = rt.lyapunov_spectrum(lozi, [0.1, 0.1], steps=5000)
        >>> bool(found.exponents[0] > 5 * found.standard_errors[0])  # chaotic
        True
        >>> float(found.exponents.sum().round(6))  # log 0.5: areas are halved everywhere
        -0.693147
    """
    model = system("lyapunov_spectrum", model)
    motion = motion_of(model, switching_of(model, switching))
    z = started(model, z0, inputs)
    if z.ndim != 1:
        raise ShapeError(
            f"`z0` has shape {z.shape}; exponents belong to one orbit: give one initial state ({z.shape[-1]},)."
        )
    num = number_of(num, len(z))
    if (tolerance is not None or solver is not None) and not motion.is_solved:
        raise ValueError(
            f"`tolerance` and `solver` are for smooth flows; {type(model).__name__} needs none. Drop them."
        )
    patience = Patience.lasting(seconds(time_limit))
    horizon = horizon_of(motion, steps, times, transient)
    with one_blas_thread():
        if is_linear(model):
            return linear_spectrum(motion, z, num, horizon, inputs)
        follow = _of_steps if motion.is_stepped else _of_smooth_flow if motion.is_solved else _of_switches
        growth = follow(motion, z, num, horizon, inputs, patience, **motion.accuracy(tolerance, solver))
    return spectrum_of(model, growth, horizon)


def max_exponent(model: System, z0: Any, **options: Any) -> LyapunovSpectrum:
    """The largest Lyapunov exponent only: `lyapunov_spectrum` with num=1, a single tangent vector, which is much faster.

    Args:
        model: any retime model. z0: `(n,)`, one initial state.
        options: `steps` or `times`, `inputs`, `switching`, `transient`, `tolerance`, `solver`, `time_limit`: see
            `lyapunov_spectrum`.

    Returns:
        LyapunovSpectrum with one entry; positive for a chaotic orbit, 0 for a cycle of a flow, negative for a fixed point.

    Raises:
        As `lyapunov_spectrum`. TypeError: `num` is given.

    Examples:
        >>> import retime as rt
        >>> tent = rt.PLRNN([1.9], [[-3.8]], [0.9])  # slopes 1.9 and -1.9 everywhere
        >>> float(rt.max_exponent(tent, [0.1], steps=5000).exponents[0].round(6))  # log 1.9
        0.641854
    """
    if "num" in options:
        raise TypeError("max_exponent computes one exponent; for `num` of them use lyapunov_spectrum.")
    return lyapunov_spectrum(model, z0, num=1, **options)


def _of_steps(motion: Any, z: Array, num: int, horizon: Horizon, inputs: Any, patience: Patience) -> Growth:
    rows = rows_of(inputs, horizon.steps, 1, motion.model.num_inputs, f"one row per step ({horizon.steps})")
    given = (z, rows, horizon.transient, num, patience)
    found = slim_growth(motion.model, *given) if is_slim(motion, num) else None
    return map_growth(motion, *given) if found is None else found


def _of_switches(motion: Any, z: Array, num: int, horizon: Horizon, inputs: Any, patience: Patience) -> Growth:
    drive, _ = motion.drive(inputs, horizon.times, 1)
    return switched_growth(motion, z, horizon.span, drive, horizon.transient, num, patience)


def _of_smooth_flow(
    motion: Any, z: Array, num: int, horizon: Horizon, inputs: Any, patience: Patience, *, tolerance: float, solver: Any
) -> Growth:
    check_installed()
    import diffrax

    solver = checked_solver(diffrax.Dopri8() if solver is None else solver)  # compiles in half the time of retime's own
    drive, _ = motion.drive(inputs, horizon.times, 1)
    return smooth_growth(motion.model, z, horizon.span, drive, horizon.transient, num, solver, tolerance, patience)
