"""`compare`: how far apart two systems are, step by step and along an orbit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from retime.core.arguments import one_start, switching_of, system, whole
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.result import Result
from retime.core.status import TrajectoryStatus
from retime.core.system import System
from retime.core.tolerances import sizes_of
from retime.core.trajectory import Trajectory
from retime.simulation import simulate
from retime.simulation.motion import motion_of


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Differences between a map and another system at sample times.

    Attributes:
        one_step_error: `(steps,)`, restarted on the map's orbit: largest over units of |other's step - map's step|.
        orbit_error: `(steps,)`, both started at z0 and left alone: largest over units at times dt, 2 dt, ...
        state_size: `(steps,)`, 1 + largest |z| of the map after each step, to judge the errors by.
        switching_steps: indices of the steps k at whose end the map is in another region than at their beginning.
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
    model: System, other: System, z0: Any, *, steps: int, inputs: Any = None, switching: str | None = None
) -> Comparison:
    """Compare a map with another system (a converted flow, or another map) at the map's sample times.

    Args:
        model: a map, the reference.
        other: a converted flow, any system in continuous time, or another map, whose step divides that of the first; with as many
            states (auxiliary ones and those of a multistep method apart).
        z0: `(n,)`, one initial state.
        steps: number of steps >= 1.
        inputs: `(steps, m)`, held over each step for both.
        switching: rule for a converted flow, "clock" by default; see `simulate`.

    Returns:
        Comparison, with errors in the units of the state.

    Raises:
        TypeError: `model` is not a map. ShapeError: numbers of states differ, or z0 is a batch. ValueError: steps < 1.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3])
        >>> found = rt.compare(model, rt.to_continuous(model), [1.0, 0.5], steps=100, switching="clock")
        >>> bool(found.one_step_error.max() < 1e-13)
        True
    """
    model = system("compare", model, wanted="a map (discrete time) first")
    if motion_of(model).clock.times:
        raise TypeError(f"`model` is {type(model).__name__}; the first argument of compare is the map (discrete time).")
    other = system("compare", other, "other", "a second retime model or a converted flow")
    switching, steps = switching_of(other, switching), whole("steps", steps, 1)
    z = one_start("compare", z0, model.num_states)
    try:
        other.start(z)
    except ShapeError:
        raise ShapeError(
            f"`other` has {other.num_states} states, the map {model.num_states}; compare needs equally many."
        ) from None
    reference = simulate(model, z, steps=steps, inputs=inputs)
    free = _run(other, z, model.dt, steps, inputs, switching)
    starts = np.nan_to_num(reference.states[:-1], nan=0.0)
    rows = None if inputs is None else real_array("inputs", inputs).reshape(1, steps, -1)
    restarted = _run(other, starts, model.dt, 1, rows, switching)
    lost = np.isnan(reference.states[1:]).any(axis=1)
    one = np.abs(restarted.states[-1, :, : model.num_states] - reference.states[1:]).max(axis=1)
    orbit = np.abs(free.states[1:, : model.num_states] - reference.states[1:]).max(axis=1)
    switched = (reference.patterns[1:] != reference.patterns[:-1]).any(axis=1) & ~lost
    events = zip(restarted.switch_times, restarted.sliding, strict=True)
    crossed = np.array([len(t) + len(s) > 0 for t, s in events], dtype=bool) & ~lost
    rule = motion_of(other, switching).switching or ""
    status = max((reference.status, free.status), key=list(TrajectoryStatus).index)
    size = sizes_of(reference.states[1:])
    message = _message(reference, free, restarted, one, orbit)
    return Comparison(
        one, orbit, size, np.flatnonzero(switched), np.flatnonzero(crossed), rule, reference, free, status, message
    )


def _message(reference: Trajectory, free: Trajectory, restarted: Trajectory, one: Array, orbit: Array) -> str:
    """Where the numbers stop, and why."""
    steps, parts = len(orbit), []
    for name, path in (("the map's orbit", reference), ("the other system's orbit", free)):
        if path.ending:
            parts.append(f"{name} {path.ending}")
    if np.isnan(orbit).any():
        parts.append(f"orbit errors are those of the first {int(np.argmax(np.isnan(orbit)))} of {steps} steps")
    lost = np.flatnonzero(np.isnan(one) & np.isfinite(reference.states[1:]).all(axis=1))
    if len(lost):
        why = ", ".join(sorted({str(restarted.statuses[k]) for k in lost}))
        parts.append(
            f"{len(lost)} of {steps} steps have no one-step error, the first of them step {lost[0]}: restarted on the map's orbit, the "
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
