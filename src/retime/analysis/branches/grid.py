"""`stability_map`: how many fixed points, how many stable ones, and the period of an attractor, over two parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.analysis.branches.parameter import parameter_of
from retime.analysis.branches.periods import APERIODIC, DIVERGED, UNKNOWN, affine_period, period_of, shortest
from retime.analysis.branches.places import counted, last_states, stacked
from retime.analysis.fixed_points.complementarity import Complementarity
from retime.analysis.fixed_points.find import stable_around
from retime.analysis.fixed_points.search import solve_all
from retime.analysis.view import affine_view, constant_input
from retime.core.arguments import one_start, seconds, seed_of, system, whole
from retime.core.arrays import Array, increasing
from retime.core.clock import CLOCK
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.result import Result
from retime.core.status import SearchStatus
from retime.core.system import System
from retime.core.threads import cores
from retime.core.tolerances import FAR, size_of
from retime.simulation import simulate
from retime.simulation.motion import motion_of

BLOCK = 512  # places on the map between two looks at the clock


@dataclass(frozen=True, eq=False, repr=False)
class StabilityMap(Result):
    """Fixed points and attractors over two parameters.

    Attributes:
        values: two arrays `(V1,)`, `(V2,)`. parameters: their names.
        num_points, num_stable: int `(V1, V2)`, isolated fixed points; -1 where not computed.
        complete: bool `(V1, V2)`: whether it is proven that there are no other fixed points.
        period: int `(V1, V2)`, of what the orbit from z0 ends on: 1 a fixed point, k a k-cycle, 0 aperiodic, longer than `max_period` or not
            settled (for a flow: no point of rest), -1 diverged, -2 not computed.
        max_period: longest period that is recognized.
        status: how the computation ended. message: the same in words.
    """

    _plot: ClassVar[str] = "stability_map"

    values: tuple[Array, Array]
    parameters: tuple[str, str]
    num_points: Array
    num_stable: Array
    complete: Array
    period: Array
    max_period: int
    status: SearchStatus
    message: str

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per place: both parameters, the period, the numbers of fixed points."""
        first, second = self.parameters
        return [
            {
                first: float(a), second: float(b), "period": int(self.period[i, j]), "num_points": int(self.num_points[i, j]),
                "num_stable": int(self.num_stable[i, j]),
            }
            for i, a in enumerate(self.values[0])
            for j, b in enumerate(self.values[1])
        ]  # fmt: skip

    def _title(self) -> str:
        return f"{self.parameters[0]} ({len(self.values[0])}) by {self.parameters[1]} ({len(self.values[1])}); {self.message}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        names = {APERIODIC: "none up to the largest", DIVERGED: "diverged", UNKNOWN: "not computed"}
        found, counts = np.unique(self.period, return_counts=True)
        order = np.lexsort((found, found <= 0))
        share = counts / self.period.size
        return ["period", "share of the map"], [
            [names.get(int(found[k]), str(found[k])), f"{share[k]:.4f}"] for k in order
        ]


def stability_map(
    model: System,
    parameters: Any,
    values: tuple[Any, Any],
    *,
    z0: Any = None,
    max_period: int = 16,
    steps: int = 2000,
    inputs: Any = None,
    time_limit: float | None = 120.0,
    seed: int | None = 0,
) -> StabilityMap:
    """Count fixed points and name the attractor that an orbit ends on, over a grid of two parameters.

    Args:
        model: a map or flow. A converted flow is followed at its sample times, as its map.
        parameters: two of what `scan` takes ("W[0, 1]", "inputs[0]", {"h": direction}), or one function (value1, value2) -> model.
        values: two increasing arrays `(V1,)`, `(V2,)`.
        z0: `(n,)`, where orbits begin; None for one random state.
        max_period: longest cycle that is recognized.
        steps: of the orbit before its period is looked for; for flows steps of a tenth of the time scale 1 / |dF/dz| at z0.
        inputs: `(m,)`, held for ever; None for zero.
        time_limit: seconds of work, None for no limit. seed: of z0 and of the starts of searches without proof.

    Returns:
        StabilityMap: partial (-1, -2) when the time ended or Ctrl-C was pressed.

    Raises:
        TypeError: not a model, or not two parameters. ValueError: values that do not increase, no such entry, parameters that
        fail at a place (named in the message). ShapeError: a wrong size.

    Valid when: a cycle counts when the orbit returns within 1e-7, or, in a piecewise-affine map, when the orbit repeats its regions and their
    cycle, solved for, is stable: so slow convergence is no obstacle there, elsewhere it reads as 0. A recognized period is checked against
    each of its divisors by solving for the shorter cycle. -1 where states grow beyond 1e6 (1 + |z0|) or, in a piecewise-affine map, where the
    regions that the orbit repeats expand and it grew a thousandfold over its last half or its direction never leaves them; slower
    divergence reads as 0, so take more `steps`. Fixed points of smooth systems are
    those that Newton's method finds from 32 starts.
    Cost: per place one proof (piecewise affine, about a millisecond for few units) and one orbit.
    Backend: NumPy float64 and Numba on all cores; JAX in 64 bits, all places together, for smooth maps.

    Examples:
        >>> import retime as rt
        >>> tent = rt.PLRNN([0.4], [[-3.0]], [1.0])
        >>> rt.stability_map(tent, ("A[0, 0]", "W[0, 0]"), ([0.0, 0.4], [-2.2, -0.8]), steps=200).period
        array([[2, 1],
               [2, 1]])
    """
    model, seed, time_limit = system("stability_map", model), seed_of(seed), seconds(time_limit)
    s = constant_input(model, inputs)
    max_period, steps = whole("max_period", max_period, 1), whole("steps", steps, 1)
    names, family = _family(model, parameters, s)
    grid = _grid(values)
    start = np.random.default_rng(seed).normal(size=model.num_states) if z0 is None else z0
    z = one_start("stability_map", start, model.num_states)
    places = [(float(a), float(b)) for a in grid[0] for b in grid[1]]
    with np.errstate(all="ignore"), one_blas_thread(), CLOCK.counting_spans(callable(parameters)):
        job = _Job(family, places, z, max_period, steps, Patience.lasting(time_limit), seed)
        with job.patience:
            job.run()
        job.settle()
    shape = (len(grid[0]), len(grid[1]))
    arrays = [x.reshape(shape) for x in (job.num_points, job.num_stable, job.complete, job.period)]
    return StabilityMap(grid, names, arrays[0], arrays[1], arrays[2], arrays[3], max_period, job.status, job.message())


def _grid(values: Any) -> tuple[Array, Array]:
    if not isinstance(values, (tuple, list)) or len(values) != 2:
        raise ValueError("`values` must be two increasing arrays, one per parameter: (values1, values2).")
    for k in range(2):
        if np.size(values[k]) == 0:
            raise ValueError(f"`values[{k}]` is empty; it must hold at least one value.")
    return increasing("values[0]", values[0]), increasing("values[1]", values[1])


Family = Callable[[tuple[float, float]], tuple[Any, Array]]


def _family(model: System, parameters: Any, s: Array) -> tuple[tuple[str, str], Family]:
    """Names, and the model and input at a place."""
    if callable(parameters):
        made = parameters

        def apply(place: tuple[float, float]) -> tuple[Any, Array]:
            return parameter_of(model, lambda _: made(*place)).apply(model, s, 0.0)

        return ("first", "second"), apply
    if not isinstance(parameters, (tuple, list)) or len(parameters) != 2 or any(callable(p) for p in parameters):
        raise TypeError(
            f"`parameters` is {parameters!r}; it must be two of what scan takes (an entry or a dictionary of directions), or one function "
            "(value1, value2) -> model."
        )
    first, second = (parameter_of(model, p) for p in parameters)

    def both(place: tuple[float, float]) -> tuple[Any, Array]:
        return second.apply(*first.apply(model, s, place[0]), place[1])

    return (first.text, second.text), both


class _Job:
    """The map on its way, block by block."""

    def __init__(
        self, family: Family, places: list[tuple[float, float]], z0: Array, max_period: int, steps: int, patience: Patience, seed: int
    ) -> None:  # fmt: skip
        self.family, self.places, self.z0, self.max_period, self.steps = family, places, z0, max_period, steps
        self.patience, self.seed = patience, seed
        count = len(places)
        self.num_points, self.num_stable = np.full(count, -1), np.full(count, -1)
        self.complete, self.period = np.zeros(count, dtype=bool), np.full(count, UNKNOWN)
        self.status = SearchStatus.COMPLETE

    def run(self) -> None:
        """All places, unless the time ends."""
        with progress("mapping", len(self.places)) as advance:
            for k in range(0, len(self.places), BLOCK):
                rows = range(k, min(k + BLOCK, len(self.places)))
                models = [self._made(self.places[r]) for r in rows]
                if all(affine_view(m) is None for m, _ in models):
                    self._smooth(rows, models)
                    advance(len(rows))
                else:
                    self._in_threads(rows, models, advance)
                self.patience.check()

    def settle(self) -> None:
        """How it ended: a map whose last place was done as time ran out is whole."""
        is_done = bool((self.period != UNKNOWN).all())
        if self.patience.ended is SearchStatus.INTERRUPTED or not is_done:
            self.status = self.patience.ended or SearchStatus.TIME_LIMIT
        elif not self.complete.all():
            self.status = SearchStatus.HEURISTIC

    def _made(self, place: tuple[float, float]) -> tuple[Any, Array]:
        """The model and input at a place.

        Raises:
            ValueError: none can be made; the message names the place.
        """
        try:
            return self.family(place)
        except Exception as error:
            raise ValueError(f"`parameters` failed at values {place}: {type(error).__name__}: {error}") from error

    def message(self) -> str:
        """How far it went."""
        done, proven, count = int((self.period != UNKNOWN).sum()), int(self.complete.sum()), len(self.places)
        text = {
            SearchStatus.COMPLETE: "fixed points complete everywhere",
            SearchStatus.HEURISTIC: f"fixed points proven complete at {proven} of {count} places",
            SearchStatus.TIME_LIMIT: f"time ended after {done} of {count} places",
            SearchStatus.INTERRUPTED: f"interrupted after {done} of {count} places",
        }
        return text[self.status]

    def _in_threads(self, rows: range, models: list[tuple[Any, Array]], advance: Callable[[int], None]) -> None:
        def work(k: int) -> None:
            if not self.patience.is_over():
                self._place(rows[k], *models[k])
                advance(1)

        with ThreadPoolExecutor(cores()) as pool:
            try:
                list(pool.map(work, range(len(rows))))
            finally:  # Ctrl-C, too
                pool.shutdown(cancel_futures=True)

    def _place(self, row: int, model: Any, s: Array) -> None:
        """One place of a piecewise-affine system, or of one that is followed by itself."""
        view = affine_view(model)
        if view is None:
            self._smooth(range(row, row + 1), [(model, s)])
            return
        problem = Complementarity.of_points(view.form, s, view.form_time)
        found = solve_all(problem, deadline=self.patience.deadline)
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        self.num_points[row], self.num_stable[row] = (
            len(found.single),
            sum(stable_around(view, x) for x in found.single),
        )
        self.complete[row] = found.status is SearchStatus.COMPLETE
        base = motion_of(model).sampled
        if motion_of(base).has_equation:
            self.period[row] = affine_period(view, s, self.z0, self.steps, self.max_period)
        else:
            self.period[row] = self._followed(base, s)

    def _smooth(self, rows: range, models: list[tuple[Any, Array]]) -> None:
        """Places of smooth systems, together where they share their right-hand side's function."""
        groups: dict[Any, list[int]] = {}
        for k, (model, _) in enumerate(models):
            groups.setdefault((model.equation.function, type(model.time)), []).append(k)
        for (function, _), members in groups.items():
            self.patience.check()
            batch = [models[k] for k in members]
            at = np.array([rows[k] for k in members])
            time = batch[0][0].time
            P = stacked([m.equation.parameters for m, _ in batch])
            S = np.array([s for _, s in batch])
            self.num_points[at], self.num_stable[at] = counted(function, P, S, time, self.z0, self.seed)
            if motion_of(batch[0][0]).has_equation:
                length = 4 * self.max_period + 1
                states = last_states(function, P, np.tile(self.z0, (len(at), 1)), S, self.steps, length)
                found = [period_of(z, self.max_period, self.z0) for z in states]
                self.period[at] = [shortest(*m, z, k) for m, z, k in zip(batch, states, found, strict=True)]
                continue
            for k, (model, s) in zip(at, batch, strict=True):
                self.patience.check()
                self.period[k] = self._followed(model, s)

    def _followed(self, model: Any, s: Array) -> int:
        """The period by simulation of one system."""
        motion = motion_of(model)
        if motion.is_stepped:
            count = self.steps + 4 * self.max_period
            path = simulate(model, self.z0, steps=count, inputs=np.tile(s, (count, 1)))
            z = path.states[self.steps :]
            return shortest(model, s, z, period_of(z, self.max_period, self.z0))
        rate = float(np.linalg.norm(model.jacobian(self.z0, s), 2)) or 1.0
        held = s[None] if len(s) else None
        path = simulate(model, self.z0, times=[0.0, 0.1 * self.steps / rate], inputs=held, **motion.accuracy(1e-9))
        z = path.states[-1]
        size = size_of(z)
        if not size <= FAR * size_of(self.z0):
            return DIVERGED
        return int(np.abs(model.field(z, s)).max() <= 1e-6 * rate * size)
