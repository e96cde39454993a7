"""The result of `find_fixed_points`, and one point of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, overload

import numpy as np

from retime.analysis.fixed_points.method import Multistart
from retime.analysis.modes import frequencies, growth_rates, kind_of, leading, mode_words
from retime.analysis.view import time_constants
from retime.core.arrays import Array
from retime.core.certificate import Certificate, Condition
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.sketch import plane_sketch
from retime.core.status import SearchStatus
from retime.core.time import time_of

SHOWN = 20  # rows of a printed table
WRITTEN = 4  # numbers of a state or output that are written out; of longer ones the norm is


@dataclass(frozen=True, eq=False, repr=False)
class FixedSet(Result):
    """A line, a plane, ... of fixed points inside one region: point + directions x, as far as the region reaches.

    Attributes:
        point: `(n,)`, inside. directions: `(n, k)`, orthonormal, k >= 1. pattern: bool `(q,)`.
        eigenvalues: `(n,)`, complex; k of them are 1 (maps) or 0 (flows).
    """

    _plot: ClassVar[str] = "fixed_set"

    point: Array
    directions: Array
    pattern: Array
    eigenvalues: Array

    def _title(self) -> str:
        k = self.directions.shape[1]
        kind = {1: "line", 2: "plane"}.get(k, f"{k}-dimensional set")
        name, where = where_it_is(self.point, None)
        return f"a {kind} through {name} {where}"


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoint(Result):
    """One fixed point of a list; stands for its state wherever one is asked for (`z0`, `at`, `starts`, NumPy functions).

    Attributes:
        index: its place in the list.
        state: `(n,)`. outputs: `(p,)`, None without a readout.
        kind: "stable node", "saddle", ... stable: whether nearby orbits come back. eigenvalues: `(n,)`, complex, slowest mode first.
        pattern: bool `(q,)`. on_boundary, residual, sliding_unit: as in `FixedPoints`.
        dt: step of the map, None for flows.
    """

    _plot: ClassVar[str] = "spectrum"

    index: int
    state: Array
    outputs: Array | None
    kind: str
    stable: bool
    eigenvalues: Array
    pattern: Array
    on_boundary: bool
    residual: float
    sliding_unit: int
    dt: float | None

    @property
    def num_unstable(self) -> int:
        """Dimension of the unstable manifold: modes that grow."""
        w = self.eigenvalues
        return int((time_of(self.dt).sizes(w) > time_of(self.dt).neutral).sum())

    @property
    def growth_rate(self) -> float:
        """Of the leading mode (the fastest to grow, else the slowest to decay), 1 / model time: < 0 where it decays."""
        return float(growth_rates(self.eigenvalues, self.dt)[leading(self.eigenvalues, self.dt)])

    @property
    def folding_time(self) -> float:
        """Model time >= 0 in which the leading mode grows or decays e-fold; inf where it does neither."""
        rate = abs(self.growth_rate)
        return 1.0 / rate if rate > 0 else float("inf")

    @property
    def frequency(self) -> float:
        """Of the leading mode, 1 / model time; 0 where it does not turn."""
        return float(frequencies(self.eigenvalues, self.dt)[leading(self.eigenvalues, self.dt)])

    @property
    def pace(self) -> str:
        """The leading mode in words: "grows e-fold in 3.5 steps"."""
        return mode_words(self.eigenvalues, self.dt)[0]

    def as_state(self) -> Array:
        """The state `(n,)`."""
        return self.state

    def as_states(self) -> Array:
        """The state as the only row `(1, n)`."""
        return self.state[None]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.state, dtype=dtype)

    def _data(self) -> dict[str, Any]:
        """One flat row: index, kind, stability, the leading mode, outputs x1, x2, ..., states z1, z2, ..."""
        return {
            "index": self.index, "kind": self.kind, "stable": bool(self.stable), "num_unstable": self.num_unstable,
            "growth_rate": self.growth_rate, "folding_time": self.folding_time, "frequency": self.frequency,
            "on_boundary": bool(self.on_boundary), "residual": float(self.residual),
            **numbered("x", self.outputs), **numbered("z", self.state),
        }  # fmt: skip

    def _title(self) -> str:
        name, where = where_it_is(self.state, self.outputs)
        mode, frequency = mode_words(self.eigenvalues, self.dt)
        turning = f", frequency {frequency}{' per step' if self.dt is not None else ''}" if frequency else ""
        return f"{self.index}: {self.kind}, {name} {where}, {self.num_unstable} unstable, {mode}{turning}"


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(Result):
    """Fixed points z = F(z, s) of a map, or equilibria 0 = F(z, s) of a flow; a sequence of `FixedPoint`.

    Attributes:
        points: `(k, n)`, isolated ones, smallest norm first.
        eigenvalues: `(k, n)`, complex, slowest mode first: multipliers per step (maps) or rates, 1 / model time (flows).
        stable: bool `(k,)`: all multipliers inside the unit circle, or all rates left of the imaginary axis. On a boundary the spectra of the
            sides decide nothing; there: whether orbits from many directions all come back (measured; False where that is undecided).
        patterns: bool `(k, q)`, the region of each point; q = 0 for smooth systems.
        complete: whether it is proven that there are no others whose preactivations are at most `reach` (see `certificate`).
        on_boundary: bool `(k,)`: a preactivation is zero within rounding, so that the linearization differs from side to side.
        residuals: `(k,)`, largest entry of |F(z, s) - z|, or of |F(z, s)| in units of the flow's rate, evaluated at the points, relative to
            1 + |z|; what is above 1e-8 is not listed.
        outputs: `(k, p)` of the linear readout, None without one.
        continua: lines, planes, ... of fixed points (I - M singular), one `FixedSet` per region; none of them is in `points`.
        slow_points: `(j, n)`, smooth systems only: minima of the speed that are not fixed points. speeds: `(j,)`, |F(z, s) - z| there.
        outside: how many more were found where no state can be in the long run (beyond [-1, 1] for a GRU, say), which are not listed.
        status: how the search ended. message: the same in words.
        work: nodes of the search, or starts of the multi-start search.
        remaining: fraction of all patterns not excluded when a budget ended first; NaN without a proof to aim at.
        dt: step of the map, None for flows.
        sliding_units: `(k,)`, for state switching: the unit along whose boundary the orbit slides that rests at the point, whose last
            rate is then -inf (both fields push towards the boundary, which is reached in finite time) or inf; -1 for the others.
        switching: "state" when such points were searched, "clock" for other searches in a converted flow, None for other systems.
        reach: size of preactivations, all of them, up to which `complete` holds: about 1e8 times what the offsets cause; inf where it
            holds for all.
        multistart: the thresholds of a search from starts; None of one with proof.
        searched: the system and its input, for outputs and pictures; not part of `to_dict`.
    """

    _plot: ClassVar[str] = "fixed_points"

    points: Array
    eigenvalues: Array
    stable: Array
    patterns: Array
    complete: bool
    on_boundary: Array
    residuals: Array
    outputs: Array | None
    continua: tuple[FixedSet, ...]
    slow_points: Array
    speeds: Array
    status: SearchStatus
    message: str
    work: int
    remaining: float
    dt: float | None
    sliding_units: Array
    switching: str | None = None
    reach: float = float("inf")
    outside: int = 0
    multistart: Multistart | None = None
    searched: Searched | None = field(default=None, compare=False)

    @property
    def time_constants(self) -> Array:
        """-1 / rate of every mode `(k, n)`, model time: > 0 decaying, < 0 growing, inf neutral."""
        return time_constants(self.eigenvalues, self.dt)

    @property
    def num_unstable(self) -> Array:
        """Dimension of the unstable manifold of each point `(k,)`: modes that grow."""
        w = self.eigenvalues
        return (time_of(self.dt).sizes(w) > time_of(self.dt).neutral).sum(axis=1)

    @property
    def kinds(self) -> tuple[str, ...]:
        """ "stable node", "unstable focus", "saddle", ... of each point; "neutral" where a mode neither grows nor decays. On a boundary:
        of the linearization on the side that `patterns` names."""
        return tuple(kind_of(w, time_of(self.dt)) for w in self.eigenvalues)

    @property
    def counted(self) -> str:
        """How many there are: "1 fixed point", "2 points of rest"."""
        name = time_of(self.dt).rest
        return f"{len(self)} {name if len(self) == 1 else name.replace('point', 'points', 1)}"

    @property
    def certificate(self) -> Certificate:
        """What is claimed of the list, with what was measured."""
        worst = float(self.residuals.max(initial=0.0))
        conditions = [
            Condition("every other pattern is excluded", self.complete, -self.remaining if self.remaining else 1.0,
                      "1 when proven, else minus the fraction of patterns that is not excluded"),
            Condition("every point solves the equation", worst <= 1e-8, 1e-8 - worst, "1e-8 minus the largest residual, per 1 + |z|"),
            Condition("no point lies on a boundary", not self.on_boundary.any(), 0.0 - float(self.on_boundary.sum()),
                      "minus the number of points that do", required=False),
            Condition("every fixed point is isolated", not self.continua, 0.0 - float(len(self.continua)),
                      "minus the number of regions with a continuum of them", required=False),
        ]  # fmt: skip
        claim = "These are all fixed points." if self.complete else "These are fixed points; there may be others."
        size = f"preactivations up to {self.reach:.2g}" if self.reach < np.inf else "preactivations of any size"
        scope = f"one constant input; {size}; double precision, its rounding and a margin of 1e-9 allowed for"
        if self.switching == "state":
            scope += "; points of rest by sliding along one boundary (their pieces solved to rounding), not along several at once"
        proof = "that there are no others is proven" if self.complete else "that there are no others is not"
        headline = f"{len(self.points)} found, each solves its equation to {worst:.1e}; {proof}."
        return Certificate(claim, scope, tuple(conditions[not self.complete :]), "docs/theory/analysis.md", headline)

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FixedPoint]:
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> FixedPoint: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FixedPoint, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(len(self))))
        try:
            k = range(len(self))[index]
        except IndexError:
            raise IndexError(f"There is no fixed point {index}: {len(self)} were found, numbered from 0.") from None
        w = self.eigenvalues[k]
        return FixedPoint(
            k, self.points[k], None if self.outputs is None else self.outputs[k], kind_of(w, time_of(self.dt)), bool(self.stable[k]),
            w, self.patterns[k], bool(self.on_boundary[k]), float(self.residuals[k]), int(self.sliding_units[k]), self.dt,
        )  # fmt: skip

    def sort(self, key: str | Callable[[FixedPoint], Any] = "stability", *, reverse: bool = False) -> FixedPoints:
        """The same result with its points in another order; points that tie keep theirs.

        Args:
            key: "stability" (stable ones first, then by the number of unstable directions), "norm" of the state, "growth_rate",
                "folding_time" or "frequency" of the leading mode, "num_unstable", "residual"; or a function of a `FixedPoint`.
            reverse: largest first.

        Returns:
            FixedPoints.

        Raises:
            ValueError: another name.
        """
        order = self._order(key, reverse)
        rows = ("points", "eigenvalues", "stable", "patterns", "on_boundary", "residuals", "sliding_units")
        outputs = None if self.outputs is None else self.outputs[order]
        return replace(self, outputs=outputs, **{name: getattr(self, name)[order] for name in rows})

    def _order(self, key: str | Callable[[FixedPoint], Any] = "stability", reverse: bool = False) -> list[int]:
        if isinstance(key, str) and key not in _KEYS:
            raise ValueError(f"`key` is {key!r}; it must be one of {', '.join(_KEYS)}, or a function of a FixedPoint.")
        value = _KEYS[key] if isinstance(key, str) else key
        return [x.index for x in sorted(self, key=value, reverse=reverse)]

    def as_state(self) -> Array:
        """The only point `(n,)`.

        Raises:
            ValueError: there is none, or more than one.
        """
        if len(self) != 1:
            raise ValueError(f"A state is wanted, and this list holds {len(self)} fixed points; pass one of them: [0].")
        return self.points[0]

    def as_states(self) -> Array:
        """The points `(k, n)`, slow points after them."""
        return np.concatenate([self.points, self.slow_points])

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per point: kind, stability, the leading mode, outputs x1, x2, ..., states z1, z2, ..."""
        return [x._data() for x in self]

    def _columns(self) -> Sequence[str]:
        p, n = 0 if self.outputs is None else self.outputs.shape[1], self.points.shape[1]
        x = FixedPoint(0, np.zeros(n), np.zeros(p), "", True, np.zeros(1), np.zeros(0, bool), False, 0.0, -1, self.dt)
        return list(x._data())

    def _title(self) -> str:
        return f"{self.counted}, {int(self.stable.sum())} stable; {self.message}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        order = self._order()
        rows = []
        name = where_it_is(self.points[:1], None if self.outputs is None else self.outputs[:1])[0]
        for x in (self[k] for k in order[:SHOWN]):
            slider, (mode, frequency) = x.sliding_unit, mode_words(x.eigenvalues, self.dt)
            where = f"slides along {slider}" if slider >= 0 else "yes" if x.on_boundary else ""
            kind = x.kind + (" on its side" if where == "yes" else "")
            rows.append(
                [str(x.index), where_it_is(x.state, x.outputs)[1], kind, str(x.num_unstable), mode, frequency, where]
            )
        rows += [["...", f"{len(order) - SHOWN} more", *[""] * 5]] * (len(order) > SHOWN)
        unit = "1/step" if self.dt is not None else "1/model time"
        header = ["", name, "kind", "unstable", "leading mode", f"frequency ({unit})", "on boundary"]
        used = [k for k in range(len(header)) if k < 5 or any(row[k] for row in rows)]
        return [header[k] for k in used], [[row[k] for k in used] for row in rows]

    def _sketch(self) -> str:
        return plane_sketch(self.eigenvalues, is_circle=time_of(self.dt).neutral == 1.0)

    def _data(self) -> dict[str, Any]:
        continua = [
            {"point": c.point, "directions": c.directions.T, "pattern": c.pattern.astype(int)} for c in self.continua
        ]
        more = {"kinds": self.kinds, "time_constants": self.time_constants, "patterns": self.patterns.astype(int)}
        return super()._data() | more | {"continua": continua}


def where_it_is(state: Array, outputs: Array | None) -> tuple[str, str]:
    """What a table says of a place, and its name: outputs where there is a readout, else the state; of more than four numbers the norm."""
    symbol, values = ("state", state) if outputs is None else ("outputs", outputs)
    if np.shape(values)[-1] > WRITTEN:
        return f"|{symbol}|", f"{np.linalg.norm(values):.4g}"
    return symbol, "(" + ", ".join(f"{x:.4g}" for x in np.ravel(values)) + ")"


_KEYS: dict[str, Callable[[FixedPoint], Any]] = {
    "stability": lambda x: (not x.stable, x.num_unstable),
    "norm": lambda x: float(np.linalg.norm(x.state)),
    "growth_rate": lambda x: x.growth_rate,
    "folding_time": lambda x: x.folding_time,
    "frequency": lambda x: x.frequency,
    "num_unstable": lambda x: x.num_unstable,
    "residual": lambda x: x.residual,
}
