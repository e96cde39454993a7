"""What a simulation returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.sketch import series_sketch
from retime.core.states import finite_rows
from retime.core.status import TrajectoryStatus


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Result):
    """States over time, time first.

    Attributes:
        times: `(T,)`, model time.
        states: `(T, n)`, or `(T, b, n)` for a batch of b initial states; NaN after `status_time` when stopped early.
        outputs: `(T, p)` or `(T, b, p)` of the linear readout, None without one.
        patterns: bool `(T, q)` or `(T, b, q)`, which ReLU units are on.
        switches: where `switch_times` and `switch_units` come from: two lists, or a function that finds them on demand.
        sliding: `(k, 3)` rows (start, end, unit): intervals of Filippov sliding along a unit's boundary; a tuple for a batch.
        status: how it ended; for a batch the gravest of `statuses`.
        status_time: when, for a status other than `completed`; NaN otherwise.
        message: the reason in words, empty when completed.
        statuses: one status per member of a batch (one entry for a single trajectory).
        tolerance: error per step, absolute and relative, that the solver of a smooth flow was given; NaN where no solver was used.
    """

    _plot: ClassVar[str] = "time_series"

    times: Array
    states: Array
    outputs: Array | None
    patterns: Array
    switches: Any
    sliding: Any
    status: TrajectoryStatus = TrajectoryStatus.COMPLETED
    status_time: float = float("nan")
    message: str = ""
    statuses: tuple[TrajectoryStatus, ...] = (TrajectoryStatus.COMPLETED,)
    tolerance: float = float("nan")

    @cached_property
    def _found(self) -> Any:
        return self.switches() if callable(self.switches) else self.switches

    @property
    def switch_times(self) -> Any:
        """Times `(k,)` at which the region changed (state-switched flows: located exactly; else sample times).

        For a batch a tuple of b such arrays.
        """
        return tuple(self._found[0]) if self.is_batch else self._found[0][0]

    @property
    def switch_units(self) -> Any:
        """The unit `(k,)` that switched at each of `switch_times`; for a batch a tuple of b such arrays."""
        return tuple(self._found[1]) if self.is_batch else self._found[1][0]

    @property
    def is_batch(self) -> bool:
        """Whether there is a batch axis."""
        return self.states.ndim == 3

    @property
    def num_switches(self) -> int:
        """Number of region changes, over all members of a batch."""
        return sum(map(len, self.switch_times)) if self.is_batch else len(self.switch_times)

    @property
    def ending(self) -> str:
        """When and why it ended early, "ended at t = ... (status: message)"; empty when every time was reached."""
        if self.status in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE):
            return ""
        return f"ended at t = {self.status_time:.6g} ({self.status}: {self.message})"

    @property
    def last_state(self) -> Array:
        """The last state `(n,)` or `(b, n)` that was reached; of a batch each member's own."""
        rows = np.asarray(np.isfinite(self.states).all(axis=-1))
        last = len(rows) - 1 - np.argmax(rows[::-1], axis=0)
        return np.take_along_axis(self.states, np.asarray(last)[None, ..., None], axis=0)[0]

    def as_state(self) -> Array:
        """The state that a trajectory stands for where one is asked for (`z0`, `at`): its last one."""
        return self.last_state

    def as_states(self) -> Array:
        """The states `(k, n)` that it stands for where many are asked for (`starts`): all that were reached."""
        return finite_rows(self.states)

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per time (and member of a batch): time, states z1, z2, ..., outputs x1, x2, ..."""
        rows = []
        for k, t in enumerate(self.times.tolist()):
            for j, z in enumerate(np.atleast_2d(self.states[k])):
                x = None if self.outputs is None else np.atleast_2d(self.outputs[k])[j]
                member = {"member": j} if self.is_batch else {}
                rows.append({"time": t, **member, **numbered("z", z), **numbered("x", x)})
        return rows

    def _arrays(self) -> dict[str, Array]:
        """Also the switches; of a batch those of member k as `switch_times.k`."""
        found = {"status": np.array(str(self.status)), "message": np.array(self.message)}
        for name in ("times", "states", "outputs", "patterns", "switch_times", "switch_units", "sliding"):
            value = getattr(self, name)
            members = {f"{name}.{k}": x for k, x in enumerate(value)} if isinstance(value, tuple) else {name: value}
            found |= {} if value is None else members
        return found

    def _data(self) -> dict[str, Any]:
        names = ("times", "states", "outputs", "switch_times", "switch_units", "status_time", "message", "tolerance")
        patterns = np.asarray(self.patterns).astype(int)
        return {name: getattr(self, name) for name in names} | {"patterns": patterns, "status": str(self.status)}

    def _title(self) -> str:
        shape = " x ".join(map(str, self.states.shape[1:]))
        tail = "" if self.status == "completed" else f" at t = {self.status_time:.6g}: {self.message}"
        return (
            f"{len(self.times)} times in [{self.times[0]:.6g}, {self.times[-1]:.6g}], states {shape}, "
            f"{self._extent}{self.status}{tail}"
        )

    def _sketch(self) -> str:
        if self.is_batch:
            return ""
        symbol, values = ("z", self.states) if self.outputs is None else ("x", self.outputs)
        return series_sketch(self.times, values, [f"{symbol}{k + 1}" for k in range(values.shape[1])])

    @property
    def _extent(self) -> str:
        if np.isfinite(self.tolerance):
            return f"tolerance {self.tolerance:.0e}, "
        return f"{self.num_switches} switches, " if self.patterns.shape[-1] else ""
