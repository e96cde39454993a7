"""`cell_stability`: what a cell makes of small differences, locally, everywhere, and along an orbit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from retime.cells.contractivity import NORMS, contractivity_radius, never_grows, norm_bound, slopes
from retime.cells.forms import ode_form
from retime.cells.result import CellStability
from retime.convert import Euler, RungeKutta
from retime.core.arguments import system
from retime.core.arrays import Array, real_array
from retime.core.certificate import Certificate, Condition
from retime.core.errors import ShapeError
from retime.core.progress import progress
from retime.core.states import many_states
from retime.core.system import System
from retime.core.time import Discrete

STEPS = 200  # of the orbit that gradients are followed along by default
NEUTRAL = 1e-9  # a factor this much above 1 counts as 1


def cell_stability(model: System, *, states: Any = None, inputs: Any = None) -> CellStability:
    """How a cell treats small differences of its state, and so the gradients that train it.

    local      |eigenvalues of dz_{k+1}/dz_k| <= 1 at the states: dt lambda in the stability region of the cell's method
    bound      |dz_{k+1}/dz_k| <= 1 in the 1-, 2- or inf-norm, for every state where the units' slopes are bounded; with the
               contractivity radius of the cell's method and its field, where it has a form
    gradient   singular values of dz_k/dz_0 along the orbit: how gradients through k steps grow and fade

    Args:
        model: a map.
        states: `(k, n)`, an orbit with its states one step apart; None: one of 200 steps from a random state (seed 0).
        inputs: `(k, m)`, those of the steps; None: random ones (seed 0) with `states=None`, else zero.

    Returns:
        CellStability with a certificate; none of its conditions is required, each is an answer.

    Raises:
        TypeError: a system in continuous time. ShapeError: states or inputs of the wrong shape.

    Source: niu2019; hairer1996; docs/theory/cells.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> cell = rt.TanhRNN(0.5 * np.eye(2), None, np.zeros(2))
        >>> bool(rt.cell_stability(cell).gradient[-1].max() < 1e-12)  # gradients through 200 steps fade
        True
    """
    wanted = "a model in discrete time"
    model = system("cell_stability", model, wanted=wanted)
    if not isinstance(model.time, Discrete):
        raise TypeError(
            f"`model` is {model!r}, in continuous time; cell_stability takes {wanted}. For the largest step see max_stable_dt."
        )
    z, s, words = _orbit(model, states, inputs)
    J = model.jacobian(z, s)
    local = np.zeros(len(J))
    with progress("modes at the states", len(J)) as advance:
        for k, M in enumerate(J):
            local[k] = np.abs(np.linalg.eigvals(M)).max()
            advance(1)
    bound, norm, is_global = _bound(model, J)
    gradient = products(J)
    everywhere = "for every state and input" if is_global else f"at {words}"
    detail = f"1 minus a bound of the step's Jacobian in the {norm}-norm, {everywhere}"
    conditions = (
        _local(local, words),
        _answer("two orbits under the same inputs do not part", bound, detail),
        *_contractions(model, z, s, words),
        _gradients(gradient),
    )
    high, low = gradient[-1]
    claim = (
        f"Modes grow by at most {local.max():.4g} per step at the states looked at; differences by at most {bound:.4g} in the {norm}-norm "
        f"{everywhere}; gradients over {len(J)} steps have singular values {low:.3g} to {high:.3g}."
    )
    headline = f"Gradients over {len(J)} steps: between {low:.2g} and {high:.2g} times what they were."
    certificate = Certificate(claim, words, conditions, "niu2019; docs/theory/cells.md", headline)
    return CellStability(local, bound, norm, is_global, gradient, certificate)


def _orbit(model: System, states: Any, inputs: Any) -> tuple[Array, Array, str]:
    n, m = model.num_states, model.num_inputs
    if states is not None:
        z = np.atleast_2d(real_array("states", many_states(states)))
        if z.ndim != 2 or z.shape[1] != n:
            raise ShapeError(f"`states` has shape {z.shape}; it must be (k, {n}), an orbit.")
        s = np.zeros((len(z), m)) if inputs is None else np.atleast_2d(real_array("inputs", inputs))[: len(z)]
        if s.shape != (len(z), m):
            raise ShapeError(f"`inputs` has shape {s.shape}; it must be ({len(z)}, {m}), one row per state.")
        return z, s, f"the {len(z)} states given"
    rng = np.random.default_rng(0)
    s = rng.normal(size=(STEPS, m)) if inputs is None else np.atleast_2d(real_array("inputs", inputs))
    if s.ndim != 2 or s.shape[1] != m:
        raise ShapeError(f"`inputs` has shape {s.shape}; it must be (steps, {m}).")
    z = [rng.normal(size=n)]
    for row in s[:-1]:
        z.append(model.step(z[-1], row))
    if not np.isfinite(z[-1]).all():
        last = int(np.argmax(~np.isfinite(np.array(z)).all(axis=1)))
        z, s = z[:last], s[:last]
    return (
        np.array(z),
        s,
        f"an orbit of {len(z)} steps from a random state, inputs {'random' if inputs is None else 'as given'}",
    )


def products(J: Array) -> Array:
    """Largest and smallest singular value `(k, 2)` of J_k ... J_0, `(k, n, n)`; the smallest from the inverses where these exist, else 0."""
    n = J.shape[-1]
    found = np.zeros((len(J), 2))
    ahead, back, log_ahead, log_back, is_regular = np.eye(n), np.eye(n), 0.0, 0.0, True
    with progress("gradients along the orbit", len(J)) as advance:
        for k, M in enumerate(J):
            ahead = M @ ahead
            size = np.linalg.norm(ahead, 2)
            log_ahead += np.log(size) if size > 0 else -np.inf
            ahead = ahead / (size if size > 0 else 1.0)
            is_regular = is_regular and np.linalg.cond(M) < 1e14
            if is_regular:
                back = back @ np.linalg.inv(M)
                size = np.linalg.norm(back, 2)
                log_back += np.log(size)
                back = back / size
            with np.errstate(over="ignore"):
                found[k] = np.exp(log_ahead), np.exp(-log_back) if is_regular else 0.0
            advance(1)
    return found


def _bound(model: System, J: Array) -> tuple[float, str, bool]:
    """The smallest of the bounds in the three norms: everywhere where slopes are bounded, else at the states."""
    if (factor := never_grows(model)) is not None:
        return (*factor, True)
    known = slopes(model)
    if known is not None:
        value, norm = min((norm_bound(known, norm), norm) for norm in NORMS)
        return value, norm, True
    value, norm = min((float(np.linalg.norm(J, _ORDERS[norm], axis=(1, 2)).max()), norm) for norm in NORMS)
    return value, norm, False


def _local(local: Array, words: str) -> Condition:
    grow = float((local > 1.0 + NEUTRAL).mean())
    detail = f"1 minus the largest factor per step of a mode, at state {local.argmax()} of {words}; modes grow at {grow:.0%} of them"
    return _answer("no mode of the linearization grows", float(local.max()), detail)


def _answer(name: str, factor: float, detail: str) -> Condition:
    """Whether a factor per step is at most 1."""
    return Condition(name, factor <= 1.0 + NEUTRAL, 1.0 - factor, detail, required=False)


_ORDERS = {"1": 1, "2": 2, "inf": np.inf}


def _contractions(model: System, z: Array, s: Array, words: str) -> Iterator[Condition]:
    """Whether the field lies in the discs in which the cell's method contracts, in each norm in which it does."""
    form = ode_form(model)
    if not isinstance(form.method, (Euler, RungeKutta)):
        return
    known = slopes(form.field)
    for norm, order in _ORDERS.items():
        radius = contractivity_radius(form.method, norm)
        if not 0 < radius < np.inf:
            continue
        a = model.dt / radius
        if known is not None:
            disc = norm_bound(known._replace(L=np.eye(len(known.L)) + a * known.L, P=a * known.P), norm)
        else:
            J = form.field.jacobian(z[:, : form.field.num_states], s)
            disc = float(np.linalg.norm(np.eye(J.shape[1]) + a * J, order, axis=(1, 2)).max())
        where = "for every state and input" if known is not None else f"at {words}"
        detail = (
            f"1 minus |1 + (dt / r) J| of the field in the {norm}-norm, r = {radius:.4g} of {form.method!r}, {where}"
        )
        yield _answer(f"the method contracts because the field does ({norm}-norm)", disc, detail)


def _gradients(gradient: Array) -> Condition:
    high, low = gradient[-1]
    worst = max(high, 1.0 / low if low > 0 else np.inf)
    detail = f"log 10 minus the log of the factor by which gradients over {len(gradient)} steps grow or fade, {low:.3g} to {high:.3g}"
    margin = float(np.log(10.0) - np.log(worst)) if np.isfinite(worst) else -np.inf
    return Condition(
        "gradients neither explode nor vanish (within ten times)", worst <= 10.0, margin, detail, required=False
    )
