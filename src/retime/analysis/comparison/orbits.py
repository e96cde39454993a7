"""`compare`: how far apart two systems are, step by step and along an orbit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from retime.core.arguments import one_start, switching_of, system, whole
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.inputs import Inputs
from retime.core.result import Result
from retime.core.status import TrajectoryStatus
from retime.core.system import System
from retime.core.tolerances import sizes_of
from retime.core.trajectory import Trajectory
from retime.simulation import simulate
from retime.simulation.motion import motion_of


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Differences between a map and another system at sample times, or between two flows at given times.

    Attributes:
        one_step_error: `(steps,)`, restarted on the first orbit: largest over units of |other's step - the first's step|.
        orbit_error: `(steps,)`, both started at z0 and left alone: largest over units at each time after the first.
        state_size: `(steps,)`, 1 + largest |z| of the first orbit after each step, to judge the errors by.
        switching_steps: indices of the steps k at whose end the first system is in another region than at their beginning.
        crossing_steps: indices of the steps during which the other system, restarted on the orbit, crossed a boundary.
        switching: "clock", "state", or "" for a system without the choice.
        reference, other: the two orbits.
        status: `completed`, or why one of them ended early.
        message: at which step the numbers stop and why, and how many steps have no one-step error; empty when all were measured.
    """

    _plot: ClassVar[str] = "errors"

    one_step_error: Array
    orbit_error: Array
    state_size: Array
    switching_steps: Array
    crossing_steps: Array
    switching: str
    reference: Trajectory
    other: Trajectory
    status: TrajectoryStatus
    message: str = ""

    def summary(self) -> dict[str, float]:
        """Largest, median and relative errors, counts of steps, and the first step whose orbit error exceeds 1e-6 of the
        state's size (-1: none of those that were measured, see `message`)."""
        one, orbit = self.one_step_error, self.orbit_error
        far = np.flatnonzero(orbit > 1e-6 * self.state_size)
        quiet = np.setdiff1d(np.arange(len(one)), np.union1d(self.crossing_steps, self.switching_steps))
        return {
            "steps": len(one),
            "switching_steps": len(self.switching_steps),
            "crossing_steps": len(self.crossing_steps),
            "max_one_step_error": _largest(one),
            "median_one_step_error": float(np.nanmedian(one)) if np.isfinite(one).any() else float("nan"),
            "max_one_step_error_relative": _largest(one / self.state_size),
            "max_one_step_error_without_crossing": _largest(one[quiet]),
            "max_orbit_error": _largest(orbit),
            "first_step_apart": int(far[0]) if len(far) else -1,
        }

    def _columns(self) -> list[str]:
        rule = f"{self.switching}_" if self.switching else ""
        return [f"{rule}one_step_error", f"{rule}orbit_error"]

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per step: its one-step error and its orbit error, under names that begin with the switching rule."""
        rows = zip(self.one_step_error.tolist(), self.orbit_error.tolist(), strict=True)
        return [dict(zip(self._columns(), row, strict=True)) for row in rows]

    def _arrays(self) -> dict[str, Array]:
        return dict(zip(self._columns(), (self.one_step_error, self.orbit_error), strict=True))

    def _data(self) -> dict[str, Any]:
        return {
            **self.summary(),
            "switching": self.switching,
            "status": str(self.status),
            "message": self.message,
            "one_step_error": self.one_step_error,
            "orbit_error": self.orbit_error,
        }

    def _caption(self) -> str:
        text = f"Comparison({self.switching or 'no switching rule'}, {self.status})"
        return f"{text}: {self.message}" if self.message else text

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        values = self.summary().items()
        return ["", "value"], [[k.replace("_", " "), f"{v:.3g}" if isinstance(v, float) else str(v)] for k, v in values]


def compare(
    model: System,
    other: System,
    z0: Any,
    *,
    steps: int | None = None,
    times: Any = None,
    inputs: Any = None,
    switching: str | None = None,
) -> Comparison:
    """Compare a map with another system at its sample times, or a flow with another flow at given times.

    Args:
        model: a map, or a flow; the reference.
        other: beside a map: a converted flow, any system in continuous time, or another map, whose step divides that of the first; beside a
            flow: another flow, such as the circuit that was built from it. It has as many states (auxiliary ones and those of a multistep
            method apart).
        z0: `(n,)`, one initial state.
        steps: of a map: their number >= 1. times: of a flow: increasing `(T,)`, model time, T >= 2; a "step" is from one to the next.
        inputs: `(steps, m)` or `(T - 1, m)`, held over each step for both; of two flows also what `simulate` takes.
        switching: rule for a converted flow, "clock" by default; see `simulate`.

    Returns:
        Comparison, with errors in the units of the state.

    Raises:
        TypeError: a flow before a map. ShapeError: numbers of states differ, or z0 is a batch. ValueError: steps < 1, fewer than two times, or
        the horizon of the other kind.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3])
        >>> found = rt.compare(model, rt.to_continuous(model), [1.0, 0.5], steps=100, switching="clock")
        >>> bool(found.one_step_error.max() < 1e-13)
        True
    """
    model = system("compare", model, wanted="a model first")
    other = system("compare", other, "other", "a second retime model or a converted flow")
    switching, is_flow = switching_of(other, switching), motion_of(model).clock.times
    if is_flow and not motion_of(other).clock.times:
        raise TypeError(
            f"`model` is {type(model).__name__} and `other` a map: the first argument of compare is the map (discrete time)."
        )
    first = "the first flow" if is_flow else "the map"
    z = _checked(model, other, first, z0, steps)
    reference = simulate(model, z, steps=steps, times=times, inputs=inputs)
    if len(reference.times) < 2:
        raise ValueError("`times` holds one time; compare needs at least two.")
    if is_flow:
        free = simulate(other, z, times=reference.times, inputs=inputs, switching=switching)
        restarted = _restarted_flow(other, reference, inputs, switching)
    else:
        free = _run(other, z, model.dt, len(reference.times) - 1, inputs, switching)
        restarted = _restarted_map(other, reference, model.dt, inputs, switching)
    lost = np.isnan(reference.states[1:]).any(axis=1)
    one = np.abs(restarted.states[:, : model.num_states] - reference.states[1:]).max(axis=1)
    orbit = np.abs(free.states[1:, : model.num_states] - reference.states[1:]).max(axis=1)
    switched = (reference.patterns[1:] != reference.patterns[:-1]).any(axis=1) & ~lost
    rule = motion_of(other, switching).switching or ""
    status = max((reference.status, free.status), key=list(TrajectoryStatus).index)
    size = sizes_of(reference.states[1:])
    message = _message(f"{first}'s orbit", reference, free, restarted, one, orbit)
    crossed = np.flatnonzero(restarted.crossed & ~lost)
    return Comparison(one, orbit, size, np.flatnonzero(switched), crossed, rule, reference, free, status, message)


def _checked(model: System, other: System, first: str, z0: Any, steps: Any) -> Array:
    """The start, after the number of steps and of states."""
    if steps is not None:
        whole("steps", steps, 1)
    z = one_start("compare", z0, model.num_states)
    try:
        other.start(z)
    except ShapeError:
        raise ShapeError(
            f"`other` has {other.num_states} states, {first} {model.num_states}; compare needs equally many."
        ) from None
    return z


class _Restarts(NamedTuple):
    """One step from each state of the reference: where it leads `(steps, n)`, whether a boundary was crossed, and how it ended."""

    states: Array
    crossed: Array
    statuses: Sequence[Any]


def _ends(path: Trajectory) -> _Restarts:
    events = zip(path.switch_times, path.sliding, strict=True)
    crossed = np.array([len(t) + len(s) > 0 for t, s in events], dtype=bool)
    return _Restarts(path.states[-1], crossed, path.statuses)


def _restarted_map(other: Any, reference: Trajectory, dt: float, inputs: Any, switching: Any) -> _Restarts:
    starts = np.nan_to_num(reference.states[:-1], nan=0.0)
    rows = None if inputs is None else real_array("inputs", inputs).reshape(1, len(starts), -1)
    return _ends(_run(other, starts, dt, 1, rows, switching))


def _restarted_flow(other: Any, reference: Trajectory, inputs: Any, switching: Any) -> _Restarts:
    """Intervals of equal length together, as a batch; each for itself under an input that is a function of time."""
    starts, times = np.nan_to_num(reference.states[:-1], nan=0.0), reference.times
    is_function = isinstance(inputs, Inputs) or callable(inputs)
    if is_function:
        groups = [np.array([k]) for k in range(len(starts))]
    else:
        lengths = np.diff(times)
        kinds = np.round(lengths / (1e-9 * lengths.max()))
        groups = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    found: dict[int, tuple[Any, Any, Any]] = {}
    for group in groups:
        own = inputs
        if own is not None and not is_function:
            own = real_array("inputs", own).reshape(len(starts), -1)[group][None]
        path = simulate(other, starts[group], times=times[group[0] : group[0] + 2], inputs=own, switching=switching)
        found |= zip(group.tolist(), zip(*_ends(path), strict=True), strict=True)
    states, crossed, statuses = zip(*(found[k] for k in range(len(starts))), strict=True)
    return _Restarts(np.array(states), np.array(crossed), statuses)


def _message(
    first: str, reference: Trajectory, free: Trajectory, restarted: _Restarts, one: Array, orbit: Array
) -> str:
    """Where the numbers stop, and why."""
    steps, parts = len(orbit), []
    for name, path in ((first, reference), ("the other system's orbit", free)):
        if path.ending:
            parts.append(f"{name} {path.ending}")
    if np.isnan(orbit).any():
        parts.append(f"orbit errors are those of the first {int(np.argmax(np.isnan(orbit)))} of {steps} steps")
    lost = np.flatnonzero(np.isnan(one) & np.isfinite(reference.states[1:]).all(axis=1))
    if len(lost):
        why = ", ".join(sorted({str(restarted.statuses[k]) for k in lost}))
        parts.append(
            f"{len(lost)} of {steps} steps have no one-step error, the first of them step {lost[0]}: restarted on {first}, the "
            f"other system ended early ({why})"
        )
    return "; ".join(parts)


def _run(other: Any, z: Array, dt: float, steps: int, inputs: Any, switching: Any) -> Trajectory:
    """`other` over the sample times 0, dt, ..., steps dt."""
    if motion_of(other).clock.times:
        return simulate(other, z, times=dt * np.arange(steps + 1), inputs=inputs, switching=switching)
    per_step = round(dt / other.dt)
    if per_step < 1 or abs(per_step * other.dt / dt - 1) > 1e-9:
        raise ValueError(
            f"`other` steps by {other.dt:.6g}, the map by {dt:.6g}; compare needs a whole number of its steps in one of the map."
        )
    rows = None if inputs is None else np.repeat(np.asarray(inputs, dtype=float), per_step, axis=0)
    path = simulate(other, z, steps=steps * per_step, inputs=rows, switching=switching)
    kept = {name: getattr(path, name) for name in ("times", "states", "outputs", "patterns")}
    return replace(path, **{name: None if x is None else x[::per_step] for name, x in kept.items()})


def _largest(values: Array) -> float:
    finite = values[~np.isnan(values)]
    return float(finite.max()) if len(finite) else float("nan")
