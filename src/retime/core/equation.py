"""A right-hand side as a pure function of arrays: JAX evaluates and differentiates it, in 64 bits."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.clock import CLOCK
from retime.core.errors import MissingDependencyError, RetimeError


class Equation(NamedTuple):
    """z' = F(z, s) for one state: `function(xp, parameters, z, s)` with z `(n,)`, s `(m,)`, returns `(n,)`.

    Attributes:
        function: pure and hashable (a function of a module, or a frozen dataclass with `__call__`); xp is jax.numpy. Equal
            functions share their compiled code.
        parameters: dictionary (or nested ones) of float64 arrays.
    """

    function: Callable[[Any, Any, Any, Any], Any]
    parameters: Any


@contextmanager
def double_precision() -> Iterator[None]:
    """64-bit JAX inside, whatever is set outside; the global setting is not touched. Everything of retime that runs JAX passes here.

    Raises:
        RetimeError: in a process that was forked after JAX had started, where it would hang.
        MissingDependencyError: in a light installation, without JAX.
    """
    check_not_forked()
    check_installed()
    import jax

    _leave_compilation_out()
    with jax.enable_x64(True):
        yield


@cache
def check_installed() -> None:
    """A light installation has all that piecewise-affine networks need, and not JAX.

    Raises:
        MissingDependencyError: JAX or what it is used with is not installed.
    """
    if missing := [name for name in ("jax", "equinox", "diffrax", "optimistix", "optax") if find_spec(name) is None]:
        raise MissingDependencyError(
            f"smooth systems need {', '.join(missing)}, which a light installation leaves out: pip install {' '.join(missing)}"
        )


@cache
def _leave_compilation_out() -> None:
    """JAX says when it traced, lowered or compiled; limits of time do not count that."""
    from jax.monitoring import register_event_time_span_listener

    def listen(event: str, start_time: float, end_time: float, **details: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            CLOCK.leave_out(start_time, end_time)

    register_event_time_span_listener(listen)


def evaluate(equation: Equation, z: Array, s: Array) -> Array:
    """F at states `(..., n)` and inputs `(..., m)`, broadcast against each other."""
    z, s, shape = _flat(z, s)
    with double_precision():
        return np.asarray(_evaluator()(equation.function, equation.parameters, z, s)).reshape(shape)


def jacobians(equation: Equation, z: Array, s: Array) -> tuple[Array, Array]:
    """dF/dz `(..., n, n)` and dF/ds `(..., n, m)` at states `(..., n)` and inputs `(..., m)`."""
    z, s, shape = _flat(z, s)
    with double_precision():
        J, E = _differentiator()(equation.function, equation.parameters, z, s)
    lead = shape[:-1]
    return np.asarray(J).reshape(*lead, *J.shape[1:]), np.asarray(E).reshape(*lead, *E.shape[1:])


def _flat(z: Array, s: Array) -> tuple[Array, Array, tuple[int, ...]]:
    z, s = np.asarray(z, dtype=np.float64), np.asarray(s, dtype=np.float64)
    lead = np.broadcast_shapes(z.shape[:-1], s.shape[:-1])
    count = math.prod(lead)
    rows = [np.broadcast_to(x, (*lead, x.shape[-1])).reshape(count, x.shape[-1]) for x in (z, s)]
    return rows[0], rows[1], (*lead, z.shape[-1])


@cache
def _evaluator() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any) -> Any:
        return jax.vmap(lambda z, s: function(jnp, p, z, s))(z, s)

    return jax.jit(run, static_argnums=0)


@cache
def _differentiator() -> Any:
    import jax
    import jax.numpy as jnp

    def run(function: Any, p: Any, z: Any, s: Any) -> Any:
        return jax.vmap(jax.jacfwd(lambda z, s: function(jnp, p, z, s), argnums=(0, 1)))(z, s)

    return jax.jit(run, static_argnums=0)


# A process that was forked after JAX had started: its threads did not come along, and work given to them never ends.

_STRANDED: list[bool] = []  # one entry in a process whose parent had started JAX before it was forked


def check_not_forked() -> None:
    """Say that JAX cannot work here, where it would wait forever.

    Raises:
        RetimeError: this process was forked from one in which JAX had started.
    """
    if _STRANDED:
        raise RetimeError(
            "This process was forked from one in which JAX had started; JAX's threads were not copied, and smooth systems (their steps, flows, "
            'searches and exponents) would hang here. Start the workers with multiprocessing.get_context("spawn") or "forkserver", or fork '
            "before the first smooth system is evaluated. Piecewise-linear maps and converted flows work in a forked process."
        )


def has_jax_started() -> bool:
    """Whether JAX has started its threads in this process: importing and tracing do not."""
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    return "jax" in sys.modules if started is None else bool(started())


def _after_fork() -> None:
    if has_jax_started():
        _STRANDED.append(True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
