"""Reference flows for certificates: a system followed over one step to rounding, and how well that is known."""

from __future__ import annotations

from functools import cache, singledispatch
from typing import Any, NamedTuple

import numpy as np

from retime.convert.tableaux import DORMAND_PRINCE, RungeKuttaStep
from retime.core.arrays import Array, real_array
from retime.core.certificate import Condition
from retime.core.equation import double_precision
from retime.core.errors import ShapeError
from retime.core.start import distinct
from retime.core.states import many_states
from retime.core.system import System
from retime.core.time import Continuous, Discrete
from retime.core.tolerances import size_of, sizes_of
from retime.models import LinearSystem

SUBSTEPS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Reference(NamedTuple):
    """States after one step, and their uncertainty: the largest change from halving the reference's own step."""

    states: Array
    uncertainty: float


def flow_over(model: System, z: Array, s: Array, dt: float) -> Reference:
    """Solutions over dt from states `(k, n)` with inputs `(k, m)` held.

    Of a linear system by eight exponentials of dt/8; else by Dormand-Prince steps, halved until nothing changes; where these do
    not settle (a stiff system) by a stiffly accurate solver at two tolerances. Backend: JAX, Diffrax. Source: kidger2022.
    """
    return _followed(model, z, s, dt)


@singledispatch
def _followed(model: System, z: Array, s: Array, dt: float) -> Reference:
    inner = model.equation
    p = {"inner": inner.parameters, "dt": np.float64(dt)}
    before, change = np.asarray(z), float("inf")
    with double_precision():
        for count in SUBSTEPS:
            after = np.asarray(_substeps()(inner.function, p, z, s, count))
            change = float(np.abs(after - before).max(initial=0.0)) if np.isfinite(after).all() else float("inf")
            before = after
            if change <= 1e-14 * size_of(after):
                return Reference(before, change)
        if change <= SETTLED * size_of(before):
            return Reference(before, change)
        coarse, fine = (
            np.asarray(_stiff()(inner.function, inner.parameters, z, s, np.array([dt]), np.array([x])))
            for x in (1e-7, 1e-9)
        )
    change = float(np.abs(fine - coarse).max(initial=0.0)) if np.isfinite(fine).all() else float("inf")
    return Reference(fine, change)


SETTLED = 1e-9  # a change of the explicit reference below this is taken as its uncertainty


@_followed.register
def _(model: LinearSystem, z: Array, s: Array, dt: float) -> Reference:
    from scipy.linalg import expm

    n, m = model.E.shape
    G = np.zeros((n + m + 1, n + m + 1))
    G[:n] = dt * model.columns
    with np.errstate(all="ignore"):
        part, start = expm(G / 8), np.hstack([z, s, np.ones((len(z), 1))])
        end = start
        for _ in range(8):
            end = end @ part.T
        change = np.abs(end - start @ expm(G).T).max(initial=0.0)
    return Reference(end[:, :n], float(change) if np.isfinite(change) else float("inf"))


@cache
def _stiff() -> Any:
    import diffrax
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any, dt: Any, tolerance: Any) -> Any:
        control = diffrax.PIDController(rtol=tolerance[0], atol=tolerance[0])

        def one(z: Any, s: Any) -> Any:
            term = diffrax.ODETerm(lambda t, y, _: function(jnp, p, y, s))
            solution: Any = diffrax.diffeqsolve(
                term,
                diffrax.Kvaerno5(),
                0.0,
                dt[0],
                None,
                z,
                stepsize_controller=control,
                throw=False,
                max_steps=10_000,
            )
            done = solution.result == diffrax.RESULTS.successful
            return jnp.where(done, solution.ys[0], jnp.nan)

        return jax.vmap(one)(z, s)

    return jax.jit(run, static_argnums=0)


@cache
def _substeps() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any, count: Any) -> Any:
        step = RungeKuttaStep(DORMAND_PRINCE, function)
        p = p | {"dt": p["dt"] / count}

        def one(z: Any, s: Any) -> Any:
            return jax.lax.fori_loop(0, count, lambda _, z: step(jnp, p, z, s), z)

        return jax.vmap(one)(z, s)

    return jax.jit(run, static_argnums=0)


class Probe(NamedTuple):
    """States `(k, n)` and inputs `(k, m)` that a certificate measures on, and how to call them."""

    states: Array
    inputs: Array
    words: str

    def condition(
        self, name: str, margin: float, detail: str, *, holds: bool | None = None, required: bool = True
    ) -> Condition:
        """What was found on the states (`holds` None: where the margin is not negative).

        One distinct state, often a fixed point, proves nothing, so that it does not hold.
        """
        if len(distinct(self.states)) < 2:
            return Condition(name, False, float("nan"), f"not decided by one state: {detail}", required)
        return Condition(name, bool(margin >= 0 if holds is None else holds), margin, detail, required)


def probe(model: System, states: Any, inputs: Any = None) -> Probe:
    """The states given, with their inputs (None: zero), or a choice of ours (seed 0).

    Ours, for a system in continuous time: the origin and 16 standard normal draws, inputs drawn too; for a map what it makes of
    these in 5 and in 50 steps, since a trained network is at home there.
    """
    n, m = model.num_states, model.num_inputs
    if states is None and inputs is not None:
        raise ValueError(f"`inputs` is {inputs!r}, but `states` is None; give both, one row of inputs per state.")
    if states is None:
        draws = np.random.default_rng(0).normal(size=(16, n + m))
        z, s = np.vstack([np.zeros(n), draws[:, :n]]), np.vstack([np.zeros(m), draws[:, n:]])
        return _led(model.time, model, Probe(z, s, "the origin and 16 standard normal draws"))
    z = np.atleast_2d(real_array("states", many_states(states)))
    if z.ndim != 2 or z.shape[1] != n:
        raise ShapeError(f"`states` has shape {z.shape}; it must be (k, {n}), states to measure on.")
    s = np.zeros((len(z), m)) if inputs is None else np.atleast_2d(real_array("inputs", inputs))
    if s.shape != (len(z), m):
        raise ShapeError(f"`inputs` has shape {s.shape}; it must be ({len(z)}, {m}), one row per state.")
    return Probe(z, s, _given(z))


@singledispatch
def _led(time: Continuous, model: System, at: Probe) -> Probe:
    """Draws, or where a map leads them."""
    return at


@_led.register
def _(time: Discrete, model: System, at: Probe) -> Probe:
    z, s, words = at
    visited = np.vstack([_iterated(model, z, s, 5), _iterated(model, z, s, 50)])
    kept = (np.abs(visited) < 1e100).all(axis=1)
    if not kept.any():
        return Probe(z, s, f"{words}, because the map leads away from them without bound")
    count = len(distinct(visited[kept]))
    if count < 2:
        return Probe(z, s, f"{words}, because the map leads all of them to one state")
    shown = f"{kept.sum()}" if count == kept.sum() else f"{count} distinct of {kept.sum()}"
    return Probe(visited[kept], np.vstack([s, s])[kept], f"{shown} states 5 and 50 steps after {words}")


def _given(z: Array) -> str:
    """How many states were given, and how many of them differ."""
    count = len(distinct(z))
    if count > 1:
        return f"the {len(z)} states given" if count == len(z) else f"{count} distinct states of the {len(z)} given"
    few = f"{count} distinct state" if len(z) == 1 else f"{count} distinct state of the {len(z)} given"
    return f"{few}, which proves nothing: give several states"


def _iterated(model: System, z: Array, s: Array, steps: int) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            z = model.apply(z, s)
    return z


def relative_error(got: Array, wanted: Array) -> float:
    """Largest difference over units and states, per 1 + largest entry of the state; inf where something is not finite."""
    if len(wanted) == 0:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(got - wanted).max(axis=-1) / sizes_of(wanted, -1)
    worst = float(error.max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")
