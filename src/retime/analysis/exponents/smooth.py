"""Growth of tangent vectors along smooth flows: solved together with their vectors by Diffrax."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from retime.analysis.exponents.growth import Growth, starting_vectors, thinned
from retime.core.arrays import Array
from retime.core.equation import double_precision
from retime.core.function import UserFunction
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.status import TrajectoryStatus
from retime.simulation import smooth
from retime.simulation.horizon import Drive

SHARPEST = 1e-2  # smooth flows: growth of a vector, and of the last over that of the first, per interval, at least
SHORTEST = 1e-6  # interval, as a share of the time
INTERVALS = 256  # per compiled call
LARGEST_INTERVAL = 1.0  # model time between two orthonormalizations, at most
FEWEST_INTERVALS = 128  # of an orbit: windows of 1/64 of it hold two
STEEP = (
    TrajectoryStatus.STEPS_EXCEEDED,
    f"a vector shrinks by more than a factor of {1 / SHARPEST:.0f} within {SHORTEST:g} of the time; measure over a shorter one",
)


def smooth_growth(
    model: Any,
    z0: Array,
    span: tuple[float, float],
    drive: Any,
    transient: float,
    num: int,
    solver: Any,
    tolerance: float,
    patience: Patience,
) -> Growth:
    """Growth along the orbit of a smooth flow: state and vectors solved together, orthonormalized after intervals that are
    shortened until no vector shrinks by more than a factor of 100, alone or beside the longest: the solver's error is small against each.

    With all n vectors the integral of the divergence is solved as well. `drive`: pieces of the input, a function, or None.
    """
    solve = _SmoothRun(model, drive, solver, tolerance, num)
    z, Q = z0, starting_vectors(model.num_states, num)
    t, begin = span[0], span[0] + transient
    step = longest = min(LARGEST_INTERVAL, (span[1] - span[0]) / FEWEST_INTERVALS)
    found, taken = Growth.none(num, z0), 0.0
    with double_precision(), progress("measuring", 1000) as advance, patience:
        while t < span[1]:
            if t > span[0]:
                patience.check()
            stop = begin if t < begin else span[1]
            grid = solve.grid(t, min(stop, t + step * INTERVALS), step)
            new, ratio, reason = solve(z, Q, grid)
            if ratio < SHARPEST and (reason is None or reason is STEEP):
                if step > SHORTEST * (span[1] - span[0]):
                    step *= max(0.2, 0.8 * np.log(SHARPEST) / np.log(max(ratio, 1e-300)))
                    continue
                new, reason = _Solved(z, Q, np.zeros((0, num)), 0.0, 0.0), STEEP
            z, Q = new.z, new.Q
            if t >= begin:
                found.add(new.logs, np.diff(grid)[: len(new.logs)], new.volume)
                taken += new.steps
            found.end, t = z, float(grid[len(new.logs)])
            advance(int(1000 * (t - grid[0]) / (span[1] - span[0])))
            if reason is not None:
                (found.status, found.message), found.status_time = reason, t
                break
            step = min(step * (1.5 if ratio > 5 * SHARPEST else 1.0), longest)
    found.durations, found.logs = thinned(found.durations, found.logs)
    found.volume = found.volume if num == len(z0) else float("nan")
    found.noise = tolerance * taken / found.durations.sum() if taken else 0.0
    return found.finished(patience, t - span[0])


@dataclass
class _Solved:
    z: Array
    Q: Array
    logs: Array
    volume: float
    steps: float  # of the solver


@dataclass
class _SmoothRun:
    """A smooth flow's compiled run over intervals."""

    model: Any
    drive: Any
    solver: Any
    tolerance: float
    num: int

    def grid(self, start: float, stop: float, step: float) -> Array:
        """Ends of at most `INTERVALS` intervals of about `step`, broken where the input's formula changes."""
        count = max(int(np.ceil((stop - start) / step - 1e-9)), 1)
        grid = np.linspace(start, stop, count + 1)
        if isinstance(self.drive, Drive):
            breaks = self.drive.starts[(self.drive.starts > start) & (self.drive.starts < stop)]
            grid = np.union1d(grid, breaks)
        return grid[: INTERVALS + 1]

    def __call__(self, z: Array, Q: Array, grid: Array) -> tuple[_Solved, float, Any]:
        """The run, the smallest ratio of growths of an interval, and (status, message) where it ended early."""
        k, m = len(grid) - 1, self.model.num_inputs
        padded = np.append(grid, np.full(INTERVALS - k, grid[-1]))
        starts = padded[:-1]
        s, slope = np.zeros((INTERVALS, m)), np.zeros((INTERVALS, m))
        if isinstance(self.drive, Drive):
            i = np.maximum(np.searchsorted(self.drive.starts, starts, side="right") - 1, 0)
            slope = self.drive.slopes[i, 0]
            s = self.drive.values[i, 0] + slope * (starts - self.drive.starts[i])[:, None]
        function = self.drive if isinstance(self.drive, UserFunction) else None
        e = self.model.equation
        xs = (starts, padded[1:], s, slope)
        states, vectors, logs, volumes, codes, taken = (
            np.asarray(x)
            for x in _intervals()(e.function, e.parameters, function, self.solver, z, Q, xs, np.array(self.tolerance))
        )
        bad = (
            (codes[:k] != smooth.DONE)
            | ~(np.abs(states[:k]) < smooth.LIMIT).all(axis=1)
            | ~np.isfinite(logs[:k]).all(axis=1)
        )
        good = int(np.argmax(bad)) if bad.any() else k
        reason, shrunk = None, np.minimum(logs.min(axis=1), logs.min(axis=1) - logs.max(axis=1))[:good]
        if good < k:
            is_lost = codes[good] == smooth.DONE and (np.abs(states[good]) < smooth.LIMIT).all()
            reason = STEEP if is_lost else smooth.REASONS[int(codes[good])]
        z, Q = (states[good - 1], vectors[good - 1]) if good else (z, Q)
        solved = _Solved(z, Q, logs[:good], float(volumes[:good].sum()), float(taken[:good].sum()))
        return solved, 0.0 if reason is STEEP else float(np.exp(shrunk.min(initial=0.0))), reason


@cache
def _intervals() -> Any:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    @eqx.filter_jit
    def run(function: Any, p: Any, drive: Any, solver: Any, z: Any, Q: Any, xs: Any, tolerance: Any) -> Any:
        solve = _augmented(function, p, drive, solver, Q.shape, tolerance)

        def interval(carry: Any, x: Any) -> Any:
            z, Q, first = carry
            start, stop, s, slope = x

            def work() -> Any:
                return solve(z, Q, start, stop, s, slope, first)

            def rest() -> Any:
                return z, Q, jnp.zeros(Q.shape[1]), 0.0, smooth.DONE, first

            z, Q, logs, volume, code, first = jax.lax.cond(stop > start, work, rest)
            return (z, Q, first), (z, Q, logs, volume, code, (stop - start) / first)

        _, found = jax.lax.scan(interval, (z, Q, xs[1][0] - xs[0][0]), xs)
        return found

    return run


def _augmented(function: Any, p: Any, drive: Any, solver: Any, shape: tuple[int, int], tolerance: Any) -> Any:
    """The solver of one interval: new state, vectors, logarithms of growth, integral of the divergence, code, first step."""
    import diffrax
    import jax
    import jax.numpy as jnp

    from retime.simulation.steps import step_control

    n, num = shape

    def rates(t: Any, y: Any, x: Any) -> Any:
        start, s, slope = x
        held = s + slope * (t - start) if drive is None else drive(t[None])
        f = lambda z: function(jnp, p, z, held)  # noqa: E731
        z, Q = y[:n], y[n : n + n * num].reshape(n, num)
        if num == n:
            J = jax.jacfwd(f)(z)
            return jnp.concatenate([f(z), (J @ Q).reshape(-1), jnp.trace(J)[None]])
        rate, derivative = jax.linearize(f, z)
        return jnp.concatenate([rate, jax.vmap(derivative, in_axes=1, out_axes=1)(Q).reshape(-1), jnp.zeros(1)])

    def solve(z: Any, Q: Any, start: Any, stop: Any, s: Any, slope: Any, first: Any) -> Any:
        control = step_control(tolerance, start, stop)
        y = jnp.concatenate([z, Q.reshape(-1), jnp.zeros(1)])
        solution: Any = diffrax.diffeqsolve(
            diffrax.ODETerm(rates), solver, start, stop, jnp.minimum(first, stop - start), y, args=(start, s, slope),
            stepsize_controller=control, max_steps=smooth.MAX_STEPS, throw=False, adjoint=diffrax.ForwardMode(),
        )  # fmt: skip
        code = jnp.where(solution.result == diffrax.RESULTS.max_steps_reached, smooth.MANY, smooth.DONE)
        code = jnp.where(solution.result == diffrax.RESULTS.dt_min_reached, smooth.SMALL, code)
        y, used = solution.ys[-1], (stop - start) / jnp.maximum(solution.stats["num_accepted_steps"], 1)
        Q, R = jnp.linalg.qr(y[n : n + n * num].reshape(n, num))
        return y[:n], Q, jnp.log(jnp.abs(jnp.diagonal(R))), y[-1], code, used

    return solve
