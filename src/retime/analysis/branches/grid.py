"""`stability_map`: how many fixed points, how many stable ones, and the period of an attractor, over two parameters."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from retime.analysis.branches.parameter import parameter_of
from retime.analysis.fixed_points.complementarity import Complementarity, solve_all
from retime.analysis.fixed_points.find import check_budget, stable_around
from retime.analysis.view import AffineView, affine_view, constant_input, is_stable
from retime.core.arrays import Array, increasing, vector
from retime.core.canonical import PiecewiseAffineForm
from retime.core.clock import CLOCK, work_seconds
from retime.core.equation import double_precision, evaluate
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.result import Result
from retime.core.states import one_state
from retime.core.status import SearchStatus
from retime.core.system import PiecewiseAffineSystem, SmoothSystem, System
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow
from retime.simulation import simulate
from retime.simulation.arrays import form_arrays
from retime.simulation.iterate import iterate

APERIODIC, DIVERGED, UNKNOWN = 0, -1, -2
FAR = 1e6  # states this many times larger than 1 + |z0| have diverged
GROWN = 1e3  # growth over the last half of an orbit in regions that expand: it diverges
FARTHEST = 10.0  # times the distance that a return after k steps and the spectral radius imply: a shorter cycle this close is meant
SETTLED = 1e-13  # returns this close, relative to 1 + |z|, are exact: no shorter cycle can be meant
CLOSE = 1e-7  # return after k steps, relative to 1 + |z|, that counts as a period
BLOCK = 512  # places on the map between two looks at the clock
STARTS, ITERATIONS = 32, 60  # of Newton's method at every place of a smooth system
MEMORY = 2e8  # bytes of Jacobians held at a time
SAME, SOLVED = 1e-6, 1e-10  # distance of equal solutions, residual of one, relative to 1 + |z|


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

    def _data(self) -> dict[str, Any]:
        return {
            "parameters": list(self.parameters),
            "values": list(self.values),
            "num_points": self.num_points,
            "num_stable": self.num_stable,
            "complete": self.complete,
            "period": self.period,
            "max_period": self.max_period,
            "status": str(self.status),
            "message": self.message,
        }


def stability_map(
    model: System,
    parameters: Any,
    values: tuple[Any, Any],
    *,
    z0: Any = None,
    max_period: int = 16,
    steps: int = 2000,
    inputs: Any = None,
    time_limit: float = 120.0,
    seed: int = 0,
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
        time_limit: seconds of work. seed: of z0 and of the starts of searches without proof.

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
    """
    if not isinstance(model, System):
        raise TypeError(f"`model` is {type(model).__name__}; stability_map takes a retime model or a converted flow.")
    check_budget("time_limit", time_limit)
    s = constant_input(model, inputs)
    for name, value in (("max_period", max_period), ("steps", steps)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` is {value!r}; it must be a whole number >= 1.")
    names, family = _family(model, parameters, s)
    grid = _grid(values)
    z = (
        np.random.default_rng(seed).normal(size=model.num_states)
        if z0 is None
        else vector("z0", one_state(z0), model.num_states)
    )
    places = [(float(a), float(b)) for a in grid[0] for b in grid[1]]
    with np.errstate(all="ignore"), one_blas_thread(), CLOCK.counting_spans(callable(parameters)):
        job = _Job(family, places, z, int(max_period), int(steps), work_seconds() + time_limit, seed)
        try:
            job.run()
        except KeyboardInterrupt:
            job.status = SearchStatus.INTERRUPTED
    shape = (len(grid[0]), len(grid[1]))
    arrays = [x.reshape(shape) for x in (job.num_points, job.num_stable, job.complete, job.period)]
    return StabilityMap(
        grid, names, arrays[0], arrays[1], arrays[2], arrays[3], int(max_period), job.status, job.message()
    )


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
            "`parameters` must be two of what scan takes (an entry or a dictionary of directions), or one function (value1, value2) -> model."
        )
    first, second = (parameter_of(model, p) for p in parameters)

    def both(place: tuple[float, float]) -> tuple[Any, Array]:
        return second.apply(*first.apply(model, s, place[0]), place[1])

    return (first.text, second.text), both


class _Job:
    """The map on its way, block by block."""

    def __init__(
        self, family: Family, places: list[tuple[float, float]], z0: Array, max_period: int, steps: int, deadline: float, seed: int
    ) -> None:  # fmt: skip
        self.family, self.places, self.z0, self.max_period, self.steps = family, places, z0, max_period, steps
        self.deadline, self.seed = deadline, seed
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
                if all(isinstance(m, SmoothSystem) for m, _ in models):
                    self._smooth(rows, models)
                    advance(len(rows))
                else:
                    self._in_threads(rows, models, advance)
                if work_seconds() >= self.deadline:
                    break
        done = self.period != UNKNOWN
        if not done.all():
            self.status = SearchStatus.TIME_LIMIT
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
            if work_seconds() < self.deadline:
                self._place(rows[k], *models[k])
                advance(1)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            try:
                list(pool.map(work, range(len(rows))))
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise

    def _place(self, row: int, model: Any, s: Array) -> None:
        """One place of a piecewise-affine system, or of one that is followed by itself."""
        view = affine_view(model)
        if view is None:
            self._smooth(range(row, row + 1), [(model, s)])
            return
        problem = Complementarity.of_points(view.form, s, view.is_map)
        found = solve_all(problem, deadline=self.deadline, node_limit=math.inf)
        if found.status is SearchStatus.INTERRUPTED:
            raise KeyboardInterrupt
        self.num_points[row], self.num_stable[row] = (
            len(found.single),
            sum(stable_around(view, x) for x in found.single),
        )
        self.complete[row] = found.status is SearchStatus.COMPLETE
        base = model.map if isinstance(model, PiecewiseAffineFlow) else model
        if isinstance(base, PiecewiseAffineSystem) and isinstance(base.time, Discrete):
            self.period[row] = _affine_period(view, s, self.z0, self.steps, self.max_period)
        else:
            self.period[row] = self._followed(base, s)

    def _smooth(self, rows: range, models: list[tuple[Any, Array]]) -> None:
        """Places of smooth systems, together where they share their right-hand side's function."""
        groups: dict[Any, list[int]] = {}
        for k, (model, _) in enumerate(models):
            groups.setdefault((model.equation.function, type(model.time)), []).append(k)
        for (function, _), members in groups.items():
            if work_seconds() >= self.deadline:
                return
            batch = [models[k] for k in members]
            at = np.array([rows[k] for k in members])
            is_map = isinstance(batch[0][0].time, Discrete)
            P = _stacked([m.equation.parameters for m, _ in batch])
            S = np.array([s for _, s in batch])
            self.num_points[at], self.num_stable[at] = _counted(function, P, S, is_map, self.z0, self.seed)
            if is_map:
                length = 4 * self.max_period + 1
                states = _last_states(function, P, np.tile(self.z0, (len(at), 1)), S, self.steps, length)
                found = [_period(z, self.max_period, self.z0) for z in states]
                self.period[at] = [_shortest(*m, z, k) for m, z, k in zip(batch, states, found, strict=True)]
                continue
            for k, (model, s) in zip(at, batch, strict=True):
                if work_seconds() < self.deadline:
                    self.period[k] = self._followed(model, s)

    def _followed(self, model: Any, s: Array) -> int:
        """The period by simulation of one system."""
        if isinstance(model.time, Discrete):
            count = self.steps + 4 * self.max_period
            path = simulate(model, self.z0, steps=count, inputs=np.tile(s, (count, 1)))
            z = path.states[self.steps :]
            return _shortest(model, s, z, _period(z, self.max_period, self.z0))
        rate = float(np.linalg.norm(model.jacobian(self.z0, s), 2)) or 1.0
        options: dict[str, Any] = {"tolerance": 1e-9} if isinstance(model, SmoothSystem) else {}
        path = simulate(
            model, self.z0, times=[0.0, 0.1 * self.steps / rate], inputs=s[None] if len(s) else None, **options
        )
        z = path.states[-1]
        size = 1.0 + float(np.abs(z).max())
        if not size <= FAR * (1.0 + float(np.abs(self.z0).max())):
            return DIVERGED
        return int(np.abs(model.field(z, s)).max() <= 1e-6 * rate * size)


# --- the period of an orbit --------------------------------------------------------------------------------------------------


def _period(z: Array, max_period: int, z0: Array) -> int:
    """Of the last states `(T, n)`: smallest k after which they return."""
    if not np.abs(z[-1]).max() <= FAR * (1.0 + np.abs(z0).max()):
        return DIVERGED
    size = CLOSE * (1.0 + np.abs(z).max())
    for k in range(1, max_period + 1):
        if np.abs(z[k:] - z[:-k]).max() <= size:
            return k
    return APERIODIC


def _shortest(model: Any, s: Array, z: Array, k: int) -> int:
    """The period of a smooth map's orbit `(T, n)` that returns after k steps: a divisor where Newton's method finds a shorter cycle."""
    if k <= 1 or not isinstance(model, SmoothSystem):
        return k
    gap, size = float(np.abs(z[k:] - z[:-k]).max()), 1.0 + float(np.abs(z).max())
    if gap <= SETTLED * size:
        return k
    for j in (j for j in range(1, k) if k % j == 0):
        start = len(z) - k
        x, radius = _shorter_cycle(model, s, z[start::j].mean(axis=0), j)
        if radius < 1.0 and np.abs(x - z[start]).max() <= FARTHEST * gap / (1.0 - radius ** (k // j)):
            return j
    return k


def _shorter_cycle(model: Any, s: Array, x: Array, period: int) -> tuple[Array, float]:
    """First point and spectral radius of the cycle that Newton's method finds from x; radius inf where it finds none."""
    for _ in range(12):
        y, product = x, np.eye(len(x))
        for _ in range(period):
            product = model.jacobian(y[None], s[None])[0] @ product
            y = evaluate(model.equation, y[None], s[None])[0]
        if not (np.isfinite(product).all() and np.isfinite(y).all()):
            break
        if np.abs(y - x).max() <= SOLVED * 1e-2 * (1.0 + np.abs(x).max()):
            return x, float(np.abs(np.linalg.eigvals(product)).max())
        x = x + np.linalg.lstsq(np.eye(len(x)) - product, y - x)[0]
    return x, math.inf


def _affine_period(view: AffineView, s: Array, z0: Array, steps: int, max_period: int) -> int:
    """The period of a piecewise-affine map's orbit; slow convergence is decided by solving for the cycle of the regions it repeats."""
    f = view.form
    n, q, length = f.num_states, f.num_units, 4 * max_period
    driven = PiecewiseAffineForm(f.A, f.W1, f.W2, f.h1 + f.C1 @ s, f.h2 + f.C2 @ s, np.zeros((n, 0)), np.zeros((q, 0)))
    count = steps + length
    states, patterns = np.empty((count + 1, 1, n)), np.zeros((count + 1, 1, q), dtype=np.uint8)
    states[0, 0] = z0
    done = np.full(1, count)
    iterate(form_arrays(driven), states, np.zeros((count + 1, 1, 0)), patterns, 0, 1, done)
    if done[0] < count:
        return DIVERGED
    z, bits = states[steps:, 0], patterns[steps:, 0].astype(bool)
    found = _period(z, max_period, z0)
    if found > 0:
        return _shortest_word(driven, bits, z, found)
    if found == DIVERGED:
        return DIVERGED
    for k in range(1, max_period + 1):
        if np.array_equal(bits[k:], bits[:-k]):
            if _attractor(driven, bits[:k]) is not None:
                return k
            sizes = np.abs(states[[steps // 2, -1], 0]).max(axis=1)
            grows = sizes[1] > GROWN * (1.0 + sizes[0])
            return DIVERGED if _escapes(driven, bits[:k], z[0], bool(grows)) else APERIODIC
    return APERIODIC


def _shortest_word(form: PiecewiseAffineForm, bits: Array, z: Array, k: int) -> int:
    """The period when the orbit returns after k steps: a divisor of k where a shorter cycle, solved for, attracts the orbit.

    With a multiplier near -1 the return after twice the period falls below the tolerance before that after the period does.
    """
    gap = float(np.abs(z[k:] - z[:-k]).max())
    for j in (j for j in range(1, k) if k % j == 0):
        for start in range(0, k, j):
            cycle = _attractor(form, bits[start : start + j])
            if cycle is None:
                continue
            if np.array_equal(bits[j:], bits[:-j]):
                return j
            x, radius = cycle
            if np.abs(x - z[start]).max() <= FARTHEST * gap / (1.0 - radius ** (k // j)):
                return j
    return k


def _word(form: PiecewiseAffineForm, bits: Array) -> tuple[Array, Array, Array, Array]:
    """Matrices and offsets of a sequence of regions `(k, q)`, and those of all its steps together."""
    M, c, _ = form.regions(bits)
    product, offset = np.eye(M.shape[1]), np.zeros(M.shape[1])
    for A, b in zip(M, c, strict=True):
        product, offset = A @ product, A @ offset + b
    return M, c, product, offset


def _attractor(form: PiecewiseAffineForm, bits: Array) -> tuple[Array, float] | None:
    """First point and spectral radius of the cycle of a sequence of regions `(k, q)`; None where it does not exist or is not stable."""
    M, c, product, offset = _word(form, bits)
    radius = float(np.abs(np.linalg.eigvals(product)).max())
    if radius >= 1.0:
        return None
    first = x = np.linalg.solve(np.eye(len(offset)) - product, offset)
    for k, d in enumerate(bits):
        a = form.preactivation(x)
        if (((a > 0) != d) & (np.abs(a) > 1e-9 * (1.0 + np.abs(a).max(initial=0.0)))).any():
            return None
        x = M[k] @ x + c[k]
    return first, radius


def _escapes(form: PiecewiseAffineForm, bits: Array, z: Array, grows: bool) -> bool:
    """Whether an orbit that repeats regions `(k, q)` leaves for infinity: it grows, or the direction it expands in stays in them for ever."""
    M, _, product, offset = _word(form, bits)
    w, V = np.linalg.eig(product)
    k = int(np.argmax(np.abs(w)))
    if not np.abs(w[k]) > 1.0:
        return False
    if grows:
        return True
    if np.imag(w[k]) != 0 or np.linalg.cond(V) > 1e12:
        return False
    x = np.linalg.lstsq(np.eye(len(z)) - product, offset)[0]
    direction = np.real(V[:, k]) * np.real(np.linalg.solve(V, (z - x).astype(complex))[k])
    for step in range(2 * len(bits)):  # twice around: a negative multiplier turns the direction
        a, d = form.preactivation(direction) - form.preactivation(np.zeros(len(z))), bits[step % len(bits)]
        if not direction.any() or (((a > 0) != d) & (np.abs(a) > 1e-9 * np.abs(a).max(initial=0.0))).any():
            return False
        direction = M[step % len(bits)] @ direction
    return True


# --- smooth systems, all places together ---------------------------------------------------------------------------------------


def _stacked(parameters: list[Any]) -> Any:
    """Parameters of many equations with a first axis for the place."""
    import jax

    return jax.tree.map(lambda *x: np.stack([np.asarray(y, dtype=np.float64) for y in x]), *parameters)


def _last_states(function: Any, P: Any, Z: Array, S: Array, steps: int, length: int) -> Array:
    """The last `length` states `(g, length, n)` of orbits from Z `(g, n)`."""
    with double_precision():
        return np.moveaxis(np.asarray(_orbits()(function, steps, length, P, Z, S)), 0, 1)


def _counted(function: Any, P: Any, S: Array, is_map: bool, z0: Array, seed: int) -> tuple[Array, Array]:
    """Numbers `(g,)` of fixed points and of stable ones that Newton's method finds from random starts."""
    g, n = len(S), len(z0)
    rng = np.random.default_rng(seed)
    starts = 3.0 ** rng.uniform(-2, 1, (STARTS, 1)) * rng.normal(size=(STARTS, n))
    starts[0], starts[1] = z0, 0.0
    starts[2 : STARTS // 2] = -starts[STARTS // 2 : STARTS - 2]
    z, G, J = _solved(function, is_map, P, starts, S)
    total, stable = np.zeros(g, dtype=int), np.zeros(g, dtype=int)
    for k in range(g):
        size = 1.0 + np.abs(z[k]).max(axis=1)
        slope = np.abs(J[k] - np.eye(n) if is_map else J[k])
        terms = 1.0 + np.einsum("bij,bj->bi", slope, np.abs(z[k]))  # not 1 + |z|: fields may fade towards infinity
        fine = (np.abs(G[k]) <= SOLVED * terms).all(axis=1)
        kept: list[int] = []
        for i in np.flatnonzero(fine):
            if all(np.abs(z[k, i] - z[k, j]).max() > SAME * size[i] for j in kept):
                kept.append(int(i))
        total[k] = len(kept)
        stable[k] = int(is_stable(np.linalg.eigvals(J[k, kept]), is_map).sum()) if kept else 0
    return total, stable


def _solved(function: Any, is_map: bool, P: Any, starts: Array, S: Array) -> tuple[Array, Array, Array]:
    """Ends of Newton's method `(g, b, n)` from starts `(b, n)`, residuals and Jacobians there; in groups of one size, compiled once."""
    import jax

    g, (b, n) = len(S), starts.shape
    group = max(1, min(g, int(MEMORY / (8 * b * n * n))))
    parts = []
    with double_precision():
        for k in range(0, g, group):
            rows = np.minimum(np.arange(k, k + group), g - 1)  # the last group repeats its last row
            some = jax.tree.map(lambda x, rows=rows: x[rows], P)
            found = _newton()(function, is_map, some, np.tile(starts, (group, 1, 1)), S[rows])
            parts.append([np.asarray(x)[: g - k] for x in found])
    z, G, J = (np.concatenate(x) for x in zip(*parts, strict=True))
    return z, G, J


@cache
def _orbits() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, steps: int, length: int, P: Any, Z: Any, S: Any) -> Any:
        advance = jax.vmap(lambda p, z, s: function(jnp, p, z, s))
        Z = jax.lax.fori_loop(0, steps, lambda _, z: advance(P, z, S), Z)
        return jax.lax.scan(lambda z, _: (advance(P, z, S), z), Z, None, length=length)[1]

    return jax.jit(run, static_argnums=(0, 1, 2))


@cache
def _newton() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, is_map: bool, P: Any, Z: Any, S: Any) -> Any:
        def G(p: Any, z: Any, s: Any) -> Any:
            return function(jnp, p, z, s) - (z if is_map else 0.0)

        def one(p: Any, z: Any, s: Any) -> Any:
            def step(_: Any, z: Any) -> Any:
                g = G(p, z, s)
                d = -jnp.linalg.solve(jax.jacfwd(G, argnums=1)(p, z, s), g)
                d = jnp.where(jnp.isfinite(d), d, 0.0)
                d = d * jnp.minimum(1.0, (1.0 + jnp.abs(z).max()) / (1e-300 + jnp.abs(d).max()))
                tries = jnp.array([1.0, 0.5, 0.25, 0.125, 0.03])
                sizes = jnp.stack([jnp.linalg.norm(G(p, z + t * d, s)) for t in tries])
                best = jnp.argmin(jnp.where(jnp.isfinite(sizes), sizes, jnp.inf))
                return jnp.where(sizes[best] < jnp.linalg.norm(g), z + tries[best] * d, z)

            z = jax.lax.fori_loop(0, ITERATIONS, step, z)
            return z, G(p, z, s), jax.jacfwd(G, argnums=1)(p, z, s) + (jnp.eye(len(z)) if is_map else 0.0)

        over_starts = jax.vmap(one, in_axes=(None, 0, None))
        return jax.vmap(over_starts)(P, Z, S)

    return jax.jit(run, static_argnums=(0, 1))
