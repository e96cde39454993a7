"""Runs of smooth systems: maps as one compiled loop, flows through Diffrax; all in 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.equation import Equation, check_installed, double_precision
from retime.core.function import UserFunction
from retime.core.progress import progress
from retime.core.status import TrajectoryStatus
from retime.core.system import System
from retime.simulation.horizon import Drive
from retime.simulation.run import Runs, fresh_runs, over_blocks, stop_member

LIMIT = 1e150  # a state beyond this has diverged, as in `iterate`
CHUNK = 4096  # steps, or samples of a flow, per call: between calls a bar advances and Ctrl-C is heard
MAX_STEPS = 200_000  # of the solver per call
TOLERANCE = 1e-9  # error per step of a solver, absolute and relative
# --- maps ------------------------------------------------------------------------------------------------------------


def scan_runs(model: System, z0: Array, rows: Array) -> Runs:
    """Iterate a map from z0 `(b, n)` with inputs `(steps + 1, 1 or b, m)`, compiled once per shape."""
    equation, parts, flags, z = model.equation, [], [], z0
    steps = len(rows) - 1
    with double_precision(), progress("iterating", len(rows)) as advance:
        for first in range(0, len(rows), CHUNK):
            block = rows[first : first + CHUNK]
            z, states, fine = _scan()(equation.function, equation.parameters, z, block)
            parts.append(np.asarray(states))
            flags.append(np.asarray(fine))
            advance(len(block))
    states = parts[0] if len(parts) == 1 else np.concatenate(parts)
    fine = np.concatenate(flags)
    return _ended(model, states, fine, model.dt * np.arange(steps + 1))


@cache
def _scan() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, rows: Any) -> Any:
        shared = rows.shape[1] == 1
        if z.shape[0] == 1:

            def step(z: Any, s: Any) -> Any:
                return function(jnp, p, z[0], s[0])[None]

        elif shared:

            def step(z: Any, s: Any) -> Any:
                return jax.vmap(lambda z: function(jnp, p, z, s[0]))(z)

        else:
            step = jax.vmap(lambda z, s: function(jnp, p, z, s))

        def advance(z: Any, s: Any) -> Any:
            return step(z, s), (z, jnp.abs(z).max(axis=1) < LIMIT)

        z, (states, fine) = jax.lax.scan(advance, z, rows)
        return z, states, fine

    return jax.jit(run, static_argnums=0)


def state_jacobians(model: System, states: Array, inputs: Array) -> Array:
    """dF/dz `(T, n, n)` at states `(T, n)` and inputs `(T, m)`."""
    e = model.equation
    padded = 1 << (len(states) - 1).bit_length()  # few sizes are compiled
    rows = [np.concatenate([x, np.repeat(x[-1:], padded - len(x), axis=0)]) for x in (states, inputs)]
    with double_precision():
        return np.asarray(_over_states()(e.function, e.parameters, *rows))[: len(states)]


@cache
def _over_states() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any) -> Any:
        return jax.vmap(jax.jacfwd(lambda z, s: function(jnp, p, z, s)))(z, s)

    return jax.jit(run, static_argnums=0)


def _ended(model: System, states: Array, fine: Array, times: Array) -> Runs:
    """Runs of which some ended early: rows from the first one that is not fine on are NaN."""
    runs = fresh_runs(
        states,
        np.zeros((*states.shape[:2], 0), dtype=bool),
        ([np.zeros(0)] * states.shape[1], [np.zeros(0, int)] * states.shape[1]),
    )
    if fine.all():
        return runs
    runs.states = states.copy()
    for member in np.flatnonzero(~fine.all(axis=0)):
        k = int(np.argmax(~fine[:, member]))
        status, message = _reason(model, states[k, member])
        runs.states[k:, member] = np.nan
        stop_member(runs, int(member), status, float(times[k]), message)
    return runs


def _reason(model: System, z: Array) -> tuple[TrajectoryStatus, str]:
    if getattr(getattr(model, "method", None), "is_implicit", False) and np.isnan(z).any() and not np.isinf(z).any():
        return TrajectoryStatus.NOT_CONVERGED, "the equation of an implicit step was not solved; use a smaller dt"
    if np.isnan(z).any() and not np.isinf(z).any():
        return TrajectoryStatus.DIVERGED, "the right-hand side is not a number there"
    return TrajectoryStatus.DIVERGED, "a state exceeded 1e150"


# --- flows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OfTime:
    """A function of time as one of a vector with one entry, so that it can be traced."""

    f: Callable[[Any], Any]

    def __call__(self, t: Any) -> Any:
        """f(t[0])."""
        return self.f(t[0])


def input_function(f: Callable[[Any], Any], m: int) -> UserFunction:
    """A user's input s(t), checked: returns `(m,)`."""
    return UserFunction(OfTime(f), (1,), (m,), "inputs")


def diffrax_runs(
    model: System, z0: Array, times: Array, drive: Drive | UserFunction | None, solver: Any, tolerance: float
) -> Runs:
    """Solve from z0 `(b, n)` at `times`, error per step below tolerance (1 + |z|); members on all cores."""
    states = np.full((len(times), *z0.shape), np.nan)
    states[0] = z0
    ends: dict[int, tuple[TrajectoryStatus, int, float, str]] = {}
    job = _Job(model.equation, times, drive, solver, tolerance, model.num_inputs, states, ends)
    over_blocks(len(z0), "simulating", job.solve)
    runs = _ended(model, states, np.ones((len(times), len(z0)), dtype=bool), times)
    for member, (status, k, time, message) in ends.items():
        runs.states[k:, member] = np.nan
        stop_member(runs, member, status, time, message)
    return runs


@dataclass
class _Job:
    """What the threads of one simulation share."""

    equation: Equation
    times: Array
    drive: Drive | UserFunction | None
    solver: Any
    tolerance: float
    m: int
    states: Array
    ends: dict[int, tuple[TrajectoryStatus, int, float, str]]

    def solve(self, first: int, last: int) -> None:
        """Members first..last - 1, one after the other: a batched loop would copy every sample at every step."""
        with double_precision():
            for member in range(first, last):
                for start in range(1, len(self.times), CHUNK):
                    if not self._advance(member, start, min(start + CHUNK, len(self.times))):
                        break

    def _advance(self, member: int, start: int, stop: int) -> bool:
        """Samples start..stop - 1 of one member; False when it ended."""
        times = self.times[start - 1 : stop]
        z, drive, jumps = self.states[start - 1, member], self.drive, None
        if isinstance(drive, Drive):
            drive, jumps = _pieces_within(drive, times, member)
        ts = np.append(times[1:], np.full(_room(len(times) - 1) - len(times) + 1, times[-1]))  # the last one repeated
        run = _solver()
        e = self.equation
        found, code, end = run(
            e.function, e.parameters, z, times[:1], ts, drive, jumps, self.solver, np.array([self.tolerance]), self.m
        )
        block = self.states[start:stop, member]
        block[:] = np.asarray(found)[: stop - start]
        fine = (np.abs(block) < LIMIT).all(axis=1)
        if not fine.all():
            status, message = REASONS[int(code)]
            k = start + int(np.argmin(fine))
            time = float(self.times[k]) if int(code) == DONE else min(float(end), float(self.times[k]))
            self.ends[member] = (status, k, time, message)
        return bool(fine.all())


DONE, MANY, SMALL = 0, 1, 2
REASONS = {
    DONE: (TrajectoryStatus.DIVERGED, "a state exceeded 1e150 or is not a number"),
    MANY: (
        TrajectoryStatus.STEPS_EXCEEDED,
        f"the solver needs more than {MAX_STEPS} steps: the system is stiff or the tolerance too small; try solver=diffrax.Kvaerno5()",
    ),
    SMALL: (
        TrajectoryStatus.DIVERGED,
        "the solver's step became as small as rounding: the solution grows beyond 1e150, or without bound in finite time, "
        "or the field is not defined",
    ),
}


def checked_solver(solver: Any) -> Any:
    """A Diffrax solver with its own error estimate; None stands for `Dopri8()`.

    Raises:
        TypeError: anything else.
        MissingDependencyError: Diffrax is not installed.
    """
    check_installed()
    import diffrax

    from retime.simulation.steps import UnrolledDopri8

    solver = UnrolledDopri8() if solver is None else solver
    if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        raise TypeError(
            f"`solver` is {solver!r}; it must be a Diffrax solver that estimates its error, e.g. diffrax.Dopri8() or diffrax.Kvaerno5()."
        )
    return solver


def _room(count: int) -> int:
    """The next power of four, at least 64: so few lengths are compiled."""
    return 1 << max(6, 2 * (((count - 1).bit_length() + 1) // 2))


def _pieces_within(drive: Drive, times: Array, member: int) -> tuple[Drive, Array | None]:
    """The pieces of one member's input that act between times[0] and times[-1], and where its formula changes in there."""
    row = member if drive.values.shape[1] > 1 else 0
    first = max(int(np.searchsorted(drive.starts, times[0], side="right")) - 1, 0)
    last = max(int(np.searchsorted(drive.starts, times[-1], side="left")), first + 1)
    own = _padded(Drive(drive.starts[first:last], drive.values[first:last, row], drive.slopes[first:last, row]))
    return own, own.starts[1:] if last > first + 1 else None


def _padded(drive: Drive) -> Drive:
    """Pieces with the last one repeated, the copies beginning far beyond the end."""
    k = len(drive.starts)
    extra = _room(k) - k if k > 1 else 0
    late = drive.starts[-1] + 1e6 * (1.0 + np.abs(drive.starts[-1])) * np.arange(1, extra + 1)
    return Drive(
        np.append(drive.starts, late), *[np.concatenate([x, np.repeat(x[-1:], extra, axis=0)]) for x in drive[1:]]
    )


@cache
def _solver() -> Any:
    import diffrax
    import equinox as eqx
    import jax.numpy as jnp

    from retime.simulation.steps import step_control

    def input_at(drive: Any, t: Any) -> Any:
        if isinstance(drive, UserFunction):
            return drive(t[None])
        i = jnp.clip(jnp.searchsorted(drive.starts, t, side="right") - 1, 0, len(drive.starts) - 1)
        return drive.values[i] + drive.slopes[i] * (t - drive.starts[i])

    @eqx.filter_jit
    def run(
        function: Any, p: Any, z: Any, t0: Any, ts: Any, drive: Any, jumps: Any, solver: Any, tolerance: Any, m: int
    ) -> Any:
        t0, tolerance = t0[0], tolerance[0]  # arrays, so that another value is not another program
        control = step_control(tolerance, t0, ts[-1], jumps)

        def field(t: Any, y: Any, _: Any) -> Any:
            return function(jnp, p, y, jnp.zeros(m) if drive is None else input_at(drive, t))

        saved = diffrax.SaveAt(subs=(diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)))
        solution: Any = diffrax.diffeqsolve(
            diffrax.ODETerm(field), solver, t0, ts[-1], None, z, saveat=saved, stepsize_controller=control,
            max_steps=MAX_STEPS, throw=False, adjoint=diffrax.ForwardMode(),
        )  # fmt: skip
        code = jnp.where(solution.result == diffrax.RESULTS.max_steps_reached, MANY, DONE)
        code = jnp.where(solution.result == diffrax.RESULTS.dt_min_reached, SMALL, code)
        return solution.ys[0], code, solution.ts[1][0]

    return run
