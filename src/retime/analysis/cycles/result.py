"""The results of `find_cycles`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, overload

import numpy as np

from retime.analysis.cycles.method import Shooting
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.fixed_points.result import SHOWN, where_it_is
from retime.analysis.modes import pace
from retime.core.arrays import Array
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.status import SearchStatus


@dataclass(frozen=True, eq=False, repr=False)
class Cycle(Result):
    """A cycle of a map, or a limit cycle of a flow.

    Attributes:
        period: k, the number of different points, for a map; the period in model time (float) for a flow.
        points: `(k, n)`, in the order in which they are visited; for a flow the states at its samples (clock) or switches (state), for a
            smooth flow k = 240 states evenly spaced in time, the first where the state that varies most is largest.
        multipliers: `(n,)`, complex, of the whole cycle, largest modulus first; of a limit cycle (state switching, continuous networks,
            smooth flows: Floquet multipliers) one of them is 1.
        stable: whether all multipliers lie inside the unit circle (but for that one).
        patterns: bool `(k, q)`: the region that begins at each point.
        residual: largest distance, relative to 1 + |z|, between the image of a point and the next one.
        on_boundary: whether a point lies on a boundary within rounding.
        time: period in model time.
        switch_times: `(k,)`, for a limit cycle the time since the first switch of each switch; empty for others. switch_units: the units.
        sample_times: `(k,)`, for a limit cycle of a smooth flow the time since the first point of each point; empty for others.
        sliding: `(j, 3)`, begin, end and unit of each stretch that slides along a boundary (begins and ends are among `points`).
        searched: the system and its input, for outputs and pictures; not part of `to_dict`.
    """

    _plot: ClassVar[str] = "cycle"

    period: int | float
    points: Array
    multipliers: Array
    stable: bool
    patterns: Array
    residual: float
    on_boundary: bool
    time: float
    switch_times: Array = field(default_factory=lambda: np.zeros(0))
    switch_units: Array = field(default_factory=lambda: np.zeros(0, dtype=int))
    sliding: Array = field(default_factory=lambda: np.zeros((0, 3)))
    sample_times: Array = field(default_factory=lambda: np.zeros(0))
    searched: Searched | None = field(default=None, compare=False)

    @property
    def is_limit_cycle(self) -> bool:
        """Whether it is a cycle of a flow that nothing but its state drives, so that a start further along stays as far along."""
        return len(self.switch_times) + len(self.sample_times) > 0

    @property
    def outputs(self) -> Array | None:
        """Outputs `(k, p)` at the points; None without a readout."""
        return None if self.searched is None else self.searched.outputs(self.points)

    @property
    def transverse(self) -> Array:
        """The multipliers that decide on stability: of a limit cycle without the 1 along the orbit, which every limit cycle has."""
        return without_one(self.multipliers) if self.is_limit_cycle else self.multipliers

    @property
    def largest(self) -> float:
        """Modulus of the largest multiplier; of a limit cycle without the 1 along the orbit."""
        return float(np.abs(self.transverse).max(initial=0.0))

    @property
    def num_unstable(self) -> int:
        """Multipliers outside the unit circle: directions in which neighbors leave."""
        return int((np.abs(self.transverse) > 1.0).sum())

    @property
    def kind(self) -> str:
        """ "stable", "saddle" (neighbors leave in some directions and come back in others), "unstable" or "neutral"."""
        if self.stable or not self.num_unstable:
            return "stable" if self.stable else "neutral"
        return "unstable" if self.num_unstable == len(self.transverse) else "saddle"

    @property
    def growth_rate(self) -> float:
        """Of neighbors that leave or come back slowest, 1 / model time: log of the largest multiplier over the period."""
        with np.errstate(divide="ignore"):
            return float(np.log(self.largest) / self.time)

    @property
    def frequency(self) -> float:
        """1 / period, 1 / model time."""
        return 1.0 / self.time

    @property
    def pace(self) -> str:
        """What becomes of neighbors, in words: "decays e-fold in 3.5 steps"."""
        if isinstance(self.period, float):
            return pace(self.growth_rate, "of model time")
        return pace(self.growth_rate * self.time / self.period, "steps")

    def as_state(self) -> Array:
        """The first point `(n,)`."""
        return self.points[0]

    def as_states(self) -> Array:
        """All points `(k, n)`."""
        return self.points

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per point: its place in the cycle, outputs x1, x2, ..., states z1, z2, ..."""
        times = (
            self.switch_times if len(self.switch_times) else self.time * np.arange(len(self.points)) / len(self.points)
        )
        x = [None] * len(self.points) if self.outputs is None else self.outputs
        return [
            {"index": k, "time": float(t), **numbered("x", x[k]), **numbered("z", z)}
            for k, (t, z) in enumerate(zip(times, self.points, strict=True))
        ]

    def _title(self) -> str:
        along = " without the 1 along the orbit" if self.is_limit_cycle else ""
        return (
            f"period {self.period:.8g}, {self.kind}, {self.pace}, largest |multiplier|{along} {self.largest:.6g}, "
            f"residual {self.residual:.1e}"
        )

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        x = self.outputs
        found = [where_it_is(z, None if x is None else x[k]) for k, z in enumerate(self.points[:SHOWN])]
        rows = [[str(k), where] for k, (_, where) in enumerate(found)]
        rows += [["...", f"{len(self.points) - SHOWN} more"]] if len(self.points) > SHOWN else []
        return ["", found[0][0] if found else "state"], rows

    def _data(self) -> dict[str, Any]:
        told = ("outputs", "largest", "kind", "num_unstable", "growth_rate")
        return super()._data() | {name: getattr(self, name) for name in told} | {"patterns": self.patterns.astype(int)}


def without_one(w: Array) -> Array:
    """The multipliers `(n - 1,)` but for the one nearest to 1, which belongs to the direction of the flow."""
    return np.delete(w, int(np.argmin(np.abs(w - 1.0))))


@dataclass(frozen=True, eq=False, repr=False)
class Cycles(Result, Sequence[Cycle]):
    """Cycles in order of their period, each once.

    Attributes:
        cycles: the list.
        complete_up_to: largest period up to which it is proven that none is missing (0: none is proven) whose preactivations are at most
            `reach`; steps of a map, model time of a flow, as the periods are.
        degenerate: periods of which there is a continuum (an eigenvalue 1 of a product of regions), found during a proof; those cycles are not
            listed one by one.
        status: how the search ended. message: the same in words.
        starts: number of starts of the search without proof. nodes: of the search with proof.
        reach: size of preactivations, all of them, up to which `complete_up_to` holds; inf where it holds for all.
        multistart, shooting: the thresholds of a search of a smooth map, and of a flow; None for others.
    """

    _plot: ClassVar[str] = "cycles"

    cycles: tuple[Cycle, ...]
    complete_up_to: float
    degenerate: tuple[int, ...]
    status: SearchStatus
    message: str
    starts: int
    nodes: int
    reach: float = float("inf")
    multistart: Multistart | None = None
    shooting: Shooting | None = None

    @overload
    def __getitem__(self, index: int) -> Cycle: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Cycle, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.cycles[index]

    def __len__(self) -> int:
        return len(self.cycles)

    def __iter__(self) -> Iterator[Cycle]:
        return iter(self.cycles)

    @property
    def counts(self) -> dict[int | float, int]:
        """Number of cycles of each period."""
        periods = [c.period for c in self.cycles]
        return {p: periods.count(p) for p in dict.fromkeys(periods)}

    def of(self, searched: Searched) -> Cycles:
        """The same list, each cycle with the system that was searched."""
        return replace(self, cycles=tuple(replace(c, searched=searched) for c in self.cycles))

    def sort(self, key: str | Callable[[Cycle], Any] = "stability", *, reverse: bool = False) -> Cycles:
        """The same result with its cycles in another order; cycles that tie keep theirs.

        Args:
            key: "stability" (stable ones first, then by the number of unstable directions), "period", "growth_rate", "largest",
                "num_unstable", "residual"; or a function of a `Cycle`.
            reverse: largest first.

        Returns:
            Cycles.

        Raises:
            ValueError: another name.
        """
        if isinstance(key, str) and key not in _KEYS:
            raise ValueError(f"`key` is {key!r}; it must be one of {', '.join(_KEYS)}, or a function of a Cycle.")
        value = _KEYS[key] if isinstance(key, str) else key
        return replace(self, cycles=tuple(sorted(self.cycles, key=value, reverse=reverse)))

    def as_states(self) -> Array:
        """The points `(k, n)` of all cycles."""
        if not self.cycles:
            raise ValueError("States are wanted, and this list holds no cycle.")
        return np.concatenate([c.points for c in self.cycles])

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per cycle: period, stability, its first point's outputs x1, x2, ... and states z1, z2, ..."""
        return [
            {
                "index": k, "period": c.period, "kind": c.kind, "stable": bool(c.stable), "num_unstable": c.num_unstable,
                "largest_multiplier": c.largest, "growth_rate": c.growth_rate, "frequency": c.frequency, "residual": c.residual,
                **numbered("x", None if c.outputs is None else c.outputs[0]), **numbered("z", c.points[0]),
            }
            for k, c in enumerate(self.cycles)
        ]  # fmt: skip

    def _title(self) -> str:
        resting = sum(len(c.points) == 1 and not c.is_limit_cycle for c in self.cycles)
        fixed = f" ({resting} of them fixed)" if resting else ""
        return f"{len(self.cycles)} found{fixed}, {sum(c.stable for c in self.cycles)} stable; {self.message}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        order = sorted(range(len(self)), key=lambda k: (_KEYS["stability"](self.cycles[k]), k))
        rows, name = [], "first point"
        for k in order[:SHOWN]:
            c = self.cycles[k]
            what, where = where_it_is(c.points[0], None if c.outputs is None else c.outputs[0])
            name = f"{what} at its first point"
            rows.append([str(k), f"{c.period:.8g}", c.kind, str(c.num_unstable), c.pace, f"{c.largest:.6g}", where])
        rows += [["...", f"{len(order) - SHOWN} more", *[""] * 5]] if len(order) > SHOWN else []
        along = " but for the 1 along the orbit" if any(c.is_limit_cycle for c in self.cycles) else ""
        return ["", "period", "kind", "unstable", "leading mode", f"largest |multiplier|{along}", name], rows


_KEYS: dict[str, Callable[[Cycle], Any]] = {
    "stability": lambda c: (not c.stable, c.num_unstable),
    "period": lambda c: c.period,
    "growth_rate": lambda c: c.growth_rate,
    "largest": lambda c: c.largest,
    "num_unstable": lambda c: c.num_unstable,
    "residual": lambda c: c.residual,
}
