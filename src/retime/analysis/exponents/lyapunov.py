"""`lyapunov_spectrum` and `max_exponent`: mean rates at which small differences between orbits grow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.analysis.exponents.averages import standard_errors
from retime.analysis.exponents.growth import Growth
from retime.analysis.exponents.maps import is_slim, map_growth, slim_growth
from retime.analysis.exponents.result import History, LyapunovSpectrum
from retime.analysis.exponents.smooth import smooth_growth
from retime.analysis.exponents.switched import switched_growth
from retime.analysis.fixed_points.find import check_budget, not_a_model
from retime.core.arrays import Array, increasing, positive
from retime.core.clock import work_seconds
from retime.core.equation import check_installed
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation import simulate
from retime.simulation.simulate import SNAP, _driven, _pieces, _rows, _started, _steps, _switching, sample_phases
from retime.simulation.smooth import TOLERANCE, Drive, checked_solver, input_function

SHARE = 0.1  # of the horizon that is not measured unless `transient` says otherwise
APART = 3.0  # standard errors of their difference, within which exponents are not told apart
SHOWN = 256  # rows of the history


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
    Source: benettin1980, leine2004 (saltation), kaplan1979.
    """
    if not isinstance(model, System):
        raise not_a_model("lyapunov_spectrum", model)
    z = _started(model, z0, inputs)
    if z.ndim != 1:
        raise ShapeError(
            f"`z0` has shape {z.shape}; exponents belong to one orbit: give one initial state ({z.shape[-1]},)."
        )
    num = _number(num, len(z))
    is_solved = not isinstance(model, (PiecewiseAffineFlow, RegionwiseMap, PiecewiseAffineSystem)) and not isinstance(
        model.time, Discrete
    )
    if switching is not None and not isinstance(model, PiecewiseAffineFlow):
        raise ValueError(
            f"`switching` is {switching!r}, but only converted flows have a choice: {type(model).__name__} has none."
        )
    if (tolerance is not None or solver is not None) and not is_solved:
        raise ValueError(
            f"`tolerance` and `solver` are for smooth flows; {type(model).__name__} needs none. Drop them."
        )
    if time_limit is not None:
        check_budget("time_limit", time_limit)
    patience = Patience(np.inf if time_limit is None else work_seconds() + time_limit)
    rule = _switching(switching)
    horizon = _horizon(model, steps, times, rule, transient)
    with one_blas_thread():
        if _is_linear(model):
            return _linear(model, z, num, horizon, inputs, rule)
        if horizon.steps:
            growth = _of_steps(model, z, num, horizon, inputs, patience)
        elif is_solved:
            growth = _of_smooth_flow(model, z, num, horizon, inputs, solver, tolerance, patience)
        else:
            span = (float(horizon.times[0]), float(horizon.times[-1]))
            drive = _drive(model, inputs, horizon)
            growth = switched_growth(model, z, span, drive, horizon.transient, num, patience)
    return _spectrum(model, growth, horizon)


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
    """
    if "num" in options:
        raise TypeError("max_exponent computes one exponent; for `num` of them use lyapunov_spectrum.")
    return lyapunov_spectrum(model, z0, num=1, **options)


# --- arguments -----------------------------------------------------------------------------------------------------------


class _Horizon(NamedTuple):
    """steps: of a map or a clock-held flow, else 0. times `(T,)`: of a flow. transient: in steps, or in model time."""

    steps: int
    times: Array
    transient: Any
    start: float


def _number(num: Any, n: int) -> int:
    if num is None:
        return n
    if isinstance(num, bool) or not isinstance(num, (int, np.integer)) or not 1 <= num <= n:
        raise ValueError(f"`num` is {num!r}; it must be a whole number from 1 to {n}, the number of states.")
    return int(num)


def _horizon(model: Any, steps: Any, times: Any, rule: str, transient: Any) -> _Horizon:
    is_flow = isinstance(model, PiecewiseAffineFlow)
    is_map = isinstance(model.time, Discrete)
    if is_map and (times is not None or steps is None):
        raise ValueError(f"{type(model).__name__} is a map: give `steps`.")
    if is_flow and (steps is None) == (times is None):
        raise ValueError("Give either `times` or `steps` (the sample times k dt) for a converted flow.")
    if not is_map and not is_flow and (times is None or steps is not None):
        raise ValueError(f"{type(model).__name__} is in continuous time: give `times`, not `steps`.")
    in_steps = steps is not None
    if in_steps:
        count = _steps(steps)
        if count < 1:
            raise ValueError("`steps` is 0; exponents need at least one step.")
        times = model.dt * np.arange(count + 1)
    times = increasing("times", times)
    if len(times) < 2:
        raise ValueError("`times` holds one time; exponents are measured between its first and its last: give two.")
    dt = model.dt if is_map or is_flow else 0.0
    length = (times[-1] - times[0]) / dt if in_steps else float(times[-1] - times[0])
    skipped = _skipped(transient, round(length) if in_steps else length)
    if not (is_map or (is_flow and rule == "clock")):
        return _Horizon(0, times, skipped * dt if in_steps else skipped, float(times[0]))
    count = int(np.floor(sample_phases(times, dt)[-1]))
    skip = count // 10 if transient is None else int(skipped) if in_steps else int(np.ceil(skipped / dt - SNAP))
    if count - skip < 1:
        raise ValueError(
            f"`times` hold {count} steps of dt = {dt:.6g}, {skip} of them transient; at least one must be left to measure."
        )
    return _Horizon(count, times, skip, float(times[0]))


def _skipped(transient: Any, length: float) -> float:
    """The transient in the unit of the horizon, checked."""
    if transient is None:
        return length // 10 if isinstance(length, int) else SHARE * length
    unit = "steps" if isinstance(length, int) else "model time"
    value = 0.0 if transient == 0 else positive("transient", transient, unit)
    if isinstance(length, int) and value != int(value):
        raise ValueError(f"`transient` is {transient!r}; with `steps` it must be a whole number of steps.")
    if value >= length:
        raise ValueError(f"`transient` is {transient!r}; it must be less than the horizon, {length:.6g} ({unit}).")
    return value


def _drive(model: Any, inputs: Any, horizon: _Horizon) -> tuple[Array, Array, Array]:
    """The input of a switched flow in pieces, as for `simulate`."""
    m, times = model.num_inputs, horizon.times
    if isinstance(inputs, Inputs):
        return _driven(inputs, times, m)[0]
    if isinstance(model, PiecewiseAffineFlow):
        count = max(int(np.ceil(sample_phases(times, model.dt)[-1])), 1)
        rows = _rows(inputs, count, 1, m, f"one row per step of dt = {model.dt} ({count})")[:-1]
        return _pieces(m, times[0] + model.dt * np.arange(count), rows)
    rows = _rows(inputs, len(times) - 1, 1, m, f"one row per interval of `times` ({len(times) - 1})")[:-1]
    return _pieces(m, times[:-1], rows)


def _of_steps(model: Any, z: Array, num: int, horizon: _Horizon, inputs: Any, patience: Patience) -> Growth:
    rows = _rows(inputs, horizon.steps, 1, model.num_inputs, f"one row per step ({horizon.steps})")
    given = (model, z, rows, horizon.transient, num, patience)
    found = slim_growth(*given) if is_slim(model, num) else None
    return map_growth(*given) if found is None else found


def _of_smooth_flow(
    model: Any, z: Array, num: int, horizon: _Horizon, inputs: Any, solver: Any, tolerance: Any, patience: Patience
) -> Growth:
    check_installed()
    import diffrax

    times, m = horizon.times, model.num_inputs
    tolerance = TOLERANCE if tolerance is None else positive("tolerance", tolerance, "error per step")
    solver = checked_solver(diffrax.Dopri8() if solver is None else solver)  # compiles in half the time of retime's own
    drive: Any = None
    if isinstance(inputs, Inputs):
        drive = Drive(*_driven(inputs, times, m)[0])
    elif callable(inputs):
        drive = input_function(inputs, m)
    elif inputs is not None:
        rows = _rows(inputs, len(times) - 1, 1, m, f"one row per interval of `times` ({len(times) - 1})")[:-1]
        drive = Drive(*_pieces(m, times[:-1], rows))
    span = (float(times[0]), float(times[-1]))
    return smooth_growth(model, z, span, drive, horizon.transient, num, solver, tolerance, patience)


# --- linear systems -------------------------------------------------------------------------------------------------------


def _is_linear(model: Any) -> bool:
    own = isinstance(model, (PiecewiseAffineSystem, PiecewiseAffineFlow, RegionwiseMap))
    return own and model.num_units == 0


def _linear(model: Any, z: Array, num: int, horizon: _Horizon, inputs: Any, rule: str) -> LyapunovSpectrum:
    """From the eigenvalues: real parts, or logarithms of the moduli over dt."""
    n = len(z)
    is_ode = isinstance(model, PiecewiseAffineSystem) and not isinstance(model.time, Discrete)
    if isinstance(model, PiecewiseAffineSystem):
        A = model.canonical.A
    else:
        A = (
            (model.flow if isinstance(model, RegionwiseMap) else model)
            .region(np.zeros(0, bool))
            .transition[:, 1 : 1 + n]
        )
    if is_ode:
        exponents, total = np.linalg.eigvals(A).real, float(np.trace(A))
    else:
        exponents = np.append(np.log(np.abs(_lasting(A))), np.full(n, -np.inf))[:n] / model.dt
        total = float(np.linalg.slogdet(A)[1]) / model.dt
    exponents = np.sort(exponents)[::-1]
    error = abs(float(exponents.sum()) - total) if num == n and np.isfinite(exponents).all() else None
    end, note = _linear_end(model, z, horizon, inputs, rule)
    exponents, length = exponents[:num], float(horizon.times[-1] - horizon.times[0])
    dimension, is_bound = (np.nan, False) if note else _dimension(exponents, np.zeros(num), n)
    history = History(np.array([length]), exponents[None])
    message = "The exponents are those of the matrix: in a linear system they do not depend on the orbit." + note
    return LyapunovSpectrum(
        exponents,
        np.zeros(num),
        dimension,
        is_bound,
        error,
        history,
        TrajectoryStatus.COMPLETED,
        message,
        length,
        0.0,
        end,
    )


def _lasting(A: Array) -> Array:
    """The eigenvalues of A that are not zero: those of A on the image that its powers leave."""
    basis = np.eye(len(A))
    for _ in range(len(A)):
        image, sizes, _ = np.linalg.svd(A @ basis, full_matrices=False)
        new = image[:, sizes > len(A) * 2.0**-52 * np.linalg.norm(A, 2)]
        if new.shape[1] == basis.shape[1] or new.shape[1] == 0:
            basis = new
            break
        basis = new
    return np.linalg.eigvals(basis.T @ A @ basis) if basis.shape[1] else np.zeros(0)


def _linear_end(model: Any, z: Array, horizon: _Horizon, inputs: Any, rule: str) -> tuple[Array, str]:
    """The state at the end of the horizon, or the last one that is finite, and a sentence then."""
    options: dict[str, Any] = {"inputs": inputs}
    if isinstance(model, PiecewiseAffineFlow):
        options["switching"] = rule
    options |= {"steps": horizon.steps} if horizon.steps else {"times": horizon.times}
    path = simulate(model, z, **options)
    fine = np.flatnonzero(np.isfinite(path.states).all(axis=1))
    note = (
        "" if path.status == "completed" else f" The orbit itself ended at t = {path.status_time:.6g}: {path.message}."
    )
    return path.states[fine[-1]], note


# --- statistics -----------------------------------------------------------------------------------------------------------


def _spectrum(model: Any, growth: Growth, horizon: _Horizon) -> LyapunovSpectrum:
    """Exponents, errors, dimension and check from the growth of vectors."""
    n, num, skipped = model.num_states, growth.logs.shape[1], horizon.transient * (model.dt if horizon.steps else 1.0)
    measured = float(growth.durations.sum())
    status = growth.ended or growth.status
    if growth.ended is not None:
        skipped = min(skipped, growth.reached)
    if measured == 0:
        empty = np.full(num, np.nan)
        message = _reason(growth, horizon) + _nothing(skipped)
        history = History(np.zeros(0), np.zeros((0, num)))
        return LyapunovSpectrum(empty, empty, np.nan, False, None, history, status, message, 0.0, skipped, growth.end)
    sums, elapsed = np.cumsum(growth.logs, axis=0), np.cumsum(growth.durations)
    order = np.argsort(-sums[-1], kind="stable")
    exponents = (sums[-1] / measured)[order]
    errors, settled = _errors(growth)
    errors = _shared(exponents, errors[order])
    shown = np.unique(np.linspace(0, len(sums) - 1, min(SHOWN, len(sums))).astype(int))
    history = History(elapsed[shown], (sums[shown] / elapsed[shown, None])[:, order])
    dimension, is_bound = _dimension(exponents, errors, n)
    if status is TrajectoryStatus.DIVERGED:
        dimension, is_bound = np.nan, False
    checked = num == n and np.isfinite(growth.volume) and np.isfinite(exponents).all()
    error = abs(float(exponents.sum()) - growth.volume / measured) if checked else None
    parts = [_reason(growth, horizon)]
    if np.isneginf(exponents).any():
        parts.append(f"{int(np.isneginf(exponents).sum())} directions are taken to zero: exponent -inf.")
    if not settled.all():
        parts.append(_unsettled(np.flatnonzero(~settled[order])))
    message = " ".join(filter(None, parts))
    return LyapunovSpectrum(
        exponents, errors, dimension, is_bound, error, history, status, message, measured, skipped, growth.end, bool(settled.all())
    )  # fmt: skip


def _reason(growth: Growth, horizon: _Horizon) -> str:
    """Why the orbit ended early, or what is to be known of it; empty when it did not."""
    if growth.ended is not None:
        why = "Interrupted by Ctrl-C" if growth.ended is SearchStatus.INTERRUPTED else "The time limit was reached"
        return f"{why} at t = {growth.reached + horizon.start:.6g}: what was measured until then is given."
    if not growth.message:
        return ""
    at = growth.status_time + (horizon.start if horizon.steps else 0.0)
    if growth.status is TrajectoryStatus.NONUNIQUE:
        return f"At t = {at:.6g} {growth.message}."
    return f"The orbit ended at t = {at:.6g}: {growth.message}."


def _nothing(skipped: float) -> str:
    inside = f" within the transient of {skipped:.6g}; measure from the beginning with transient=0" if skipped else ""
    return f" Nothing was measured: it ended{inside}."


def _unsettled(which: Array) -> str:
    """The sentence about errors that are not settled."""
    names = f"exponent {which[0] + 1}" if len(which) == 1 else f"exponents {', '.join(str(k + 1) for k in which)}"
    return (
        f"Standard errors of {names} are not settled: they are larger from windows of 1/8 than of 1/64 of the orbit, so it is short compared "
        "with its slowest change and the error may be larger still; follow it longer."
    )


def _errors(growth: Growth) -> tuple[Array, Array]:
    """Standard errors `(p,)` and whether they are settled; exact zeros for vectors that have died."""
    dead = np.isneginf(growth.logs).any(axis=0)
    logs = np.where(dead, 0.0, growth.logs)
    errors, settled = standard_errors(growth.durations, logs)
    return np.where(dead, 0.0, errors + growth.noise), settled


def _shared(exponents: Array, errors: Array) -> Array:
    """Neighboring exponents that their errors cannot tell apart share the larger error.

    Their vectors take each other's place for long stretches, and one of them may look steady meanwhile.
    """
    with np.errstate(invalid="ignore"):
        near = exponents[:-1] - exponents[1:] <= APART * np.hypot(errors[:-1], errors[1:])
    larger = np.where(near, np.maximum(errors[:-1], errors[1:]), 0.0)
    return np.maximum(errors, np.maximum(np.append(larger, 0.0), np.append(0.0, larger)))


def _dimension(exponents: Array, errors: Array, n: int) -> tuple[float, bool]:
    """Kaplan-Yorke dimension, and whether it is only a lower bound."""
    near = np.isfinite(errors) & (np.abs(exponents) <= 3 * errors)
    values = np.where(near, 0.0, exponents)
    sums = np.cumsum(values)
    j = int(np.argmax(sums < 0)) if (sums < 0).any() else len(sums)
    if j == len(sums):
        return float(j), j < n
    before = float(sums[j - 1]) if j else 0.0
    return j + before / abs(float(values[j])), False
