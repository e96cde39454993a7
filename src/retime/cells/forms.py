"""`ode_form`: which differential equation a cell steps, and by which method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from retime.cells.gates import gru_by_decay, gru_field, lstm_field
from retime.cells.result import BY_DEFINITION, FOUND, NONE_KNOWN, ODEForm
from retime.cells.terms import unitary_terms
from retime.convert import Euler, EulerField, RungeKutta, ZeroOrderHold, to_continuous
from retime.convert.frozen import FrozenRelaxation
from retime.convert.measure import flow_over, relative_error
from retime.convert.ode_rnn import ODERNN
from retime.convert.splitting import LieSplitting, PartitionedEuler
from retime.convert.tableaux import IMPLICIT_EULER
from retime.core.arguments import system
from retime.core.arrays import Array
from retime.core.certificate import Certificate, Condition
from retime.core.errors import CertificateError
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import CONTINUOUS, Discrete
from retime.models import (
    GRU,
    LSTM,
    AntisymmetricRNN,
    CoupledOscillatoryRNN,
    DeltaRule,
    DerivedSystem,
    DiagonalLinearRNN,
    LeakyRNN,
    LinearSystem,
    MinGRU,
    PiecewiseAffineFlow,
    RegionwiseMap,
    ReluRNN,
    TanhRNN,
    UnitaryRNN,
)

SAME = "the states are the same"
STATES = 32  # random states and inputs that an identity is measured on
IDENTICAL = 1e-12  # largest difference, per 1 + |z|, of two forms of one step


class Form(NamedTuple):
    """An equation, the method, the order of the equation, whose construction it is, and the correspondence of states."""

    field: System
    method: Any
    t: int
    mark: str
    state_map: str = SAME


def ode_form(model: System) -> ODEForm:
    """The differential equation that a recurrent cell steps, and the method, with the identity measured.

    Any map is one step of Euler's method for F(z) - z with dt = 1, so a form says something where the equation does not contain dt, or where
    the method is more than Euler's: `mark` says whose construction it is. Several forms of one cell are in `others`.

    Args:
        model: a map.

    Returns:
        ODEForm: `.cell` steps as the model to rounding (`.residual`); "none known" for functions and for cells without a form.

    Raises:
        TypeError: a system in continuous time, which is its own equation.

    Source: niu2019; docs/theory/cells.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> leaky = rt.LeakyRNN(0.5 * np.eye(2), None, [0.1, 0.2], alpha=0.1, form="rate", time=rt.Discrete(0.1))
        >>> rt.ode_form(leaky).method
        Euler()
    """
    wanted = "a model in discrete time"
    model = system("ode_form", model, wanted=wanted)
    if not isinstance(model.time, Discrete):
        raise TypeError(f"`model` is {model!r}, in continuous time: it is its own equation; ode_form takes {wanted}.")
    found = [_measured(model, form) for form in _forms(model)]
    if not found:
        condition = Condition(
            "a form is known", False, float("nan"), "for one of your own, build it: ODERNN(field, method, dt=...)"
        )
        claim = f"No differential equation is known that {type(model).__name__} steps. Euler's method for (F(z) - z) / dt is one of any map."
        certificate = Certificate(claim, "", (condition,), _SOURCE)
        return ODEForm(None, None, None, 0, 0, NONE_KNOWN, float("nan"), "", certificate)
    return replace(found[0], others=tuple(found[1:]))


_SOURCE = "niu2019; docs/theory/cells.md"


def _forms(model: System) -> Iterator[Form]:
    """Forms by family, the one that says most first."""
    for kind, build in _TABLE:
        if isinstance(model, kind):
            yield from build(model)
            return


def _elman(model: Any) -> Iterator[Form]:
    mark = BY_DEFINITION if isinstance(model, LeakyRNN) else FOUND
    yield Form(EulerField().embed(model), Euler(), 1, mark)
    if isinstance(model, ReluRNN):
        yield from _regions(model)


def _gru(model: GRU) -> Iterator[Form]:
    yield Form(gru_field(model), Euler(), 1, FOUND)
    yield Form(gru_by_decay(model), FrozenRelaxation(), 1, FOUND)


def _lstm(model: LSTM) -> Iterator[Form]:
    yield Form(
        lstm_field(model),
        PartitionedEuler((1, 0)),
        1,
        FOUND,
        "(h, c): outputs, then cells; the cells are advanced first",
    )


def _antisymmetric(model: AntisymmetricRNN) -> Iterator[Form]:
    yield Form(replace(model, time=CONTINUOUS), Euler(), 1, BY_DEFINITION)


def _oscillators(model: CoupledOscillatoryRNN) -> Iterator[Form]:
    yield Form(
        replace(model, time=CONTINUOUS),
        PartitionedEuler((1, 0)),
        2,
        BY_DEFINITION,
        "(y, y'): positions, then velocities",
    )


def _unitary(model: UnitaryRNN) -> Iterator[Form]:
    yield Form(replace(model, time=CONTINUOUS), LieSplitting(unitary_terms(model)), 1, FOUND)


def _solved(model: Any) -> Iterator[Form]:
    mark = BY_DEFINITION if isinstance(model, DiagonalLinearRNN) else FOUND
    field = model.held(CONTINUOUS)
    if field is not None:
        yield Form(field, ZeroOrderHold(), 1, mark)


def _delta(model: DeltaRule) -> Iterator[Form]:
    field, methods = (
        replace(model, time=CONTINUOUS),
        {"euler": Euler(), "implicit": RungeKutta(IMPLICIT_EULER), "exact": ZeroOrderHold()},
    )
    yield Form(field, methods[model.method], 1, FOUND, "the matrix S, row by row")


def _regions(model: Any) -> Iterator[Form]:
    try:
        flow = to_continuous(model).model
    except CertificateError:
        return
    yield Form(flow, ZeroOrderHold(), 1, FOUND)


def _piecewise(model: Any) -> Iterator[Form]:
    yield from _regions(model)
    yield Form(EulerField().embed(model), Euler(), 1, FOUND)


def _derived(model: DerivedSystem) -> Iterator[Form]:
    if not isinstance(model.base.time, Discrete):
        yield Form(model.base, model.method, 1, BY_DEFINITION)


def _ode_rnn(model: ODERNN) -> Iterator[Form]:
    field = model.integrated()
    if field is not None:
        yield Form(field, model.method, model.t, BY_DEFINITION, "(h, h', ...), as given")


_TABLE: list[tuple[Any, Callable[[Any], Iterator[Form]]]] = [
    (ODERNN, _ode_rnn),
    (GRU, _gru),
    (LSTM, _lstm),
    (AntisymmetricRNN, _antisymmetric),
    (CoupledOscillatoryRNN, _oscillators),
    (UnitaryRNN, _unitary),
    (DeltaRule, _delta),
    ((DiagonalLinearRNN, MinGRU), _solved),
    ((TanhRNN, LeakyRNN, ReluRNN), _elman),
    (LinearSystem, _piecewise),
    (RegionwiseMap, _regions),
    (PiecewiseAffineSystem, _piecewise),
    (DerivedSystem, _derived),
]


def _measured(model: System, form: Form) -> ODEForm:
    """The form's cell beside the model on random states and inputs, and the order of the method on its field."""
    cell = form.method.discretize(form.field, model.dt)
    rng = np.random.default_rng(0)
    z, s = rng.normal(size=(STATES, model.num_states)), rng.normal(size=(STATES, model.num_inputs))
    residual = relative_error(_padded(cell, z, s)[:, : z.shape[1]], model.apply(z, s))
    same = Condition(
        "the step of the method is the step of the cell", residual <= IDENTICAL, IDENTICAL - residual,
        f"1e-12 minus the largest difference per 1 + |z|, {residual:.1e}, on {STATES} random states and inputs",
    )  # fmt: skip
    n = form.method.tableau.num_stages if isinstance(form.method, RungeKutta) else 1
    certify = partial(_certify, model.dt, form, n, same, z, s)
    return ODEForm(cell, form.field, form.method, n, form.t, form.mark, residual, form.state_map, certify)


def _padded(cell: System, z: Array, s: Array) -> Array:
    return cell.apply(z if z.shape[1] == cell.num_states else cell.start(z, s), s)


def _certify(dt: float, form: Form, n: int, same: Condition, z: Array, s: Array) -> Certificate:
    claim = f"One step of {form.method!r} over dt = {dt:.6g} of the equation is one step of the cell ({form.mark}): n = {n}, t = {form.t}."
    conditions = (same,) if isinstance(form.field, PiecewiseAffineFlow) else (same, _order(form, dt, z, s))
    return Certificate(claim, "every state and held input", conditions, _SOURCE)


def _order(form: Form, dt: float, z: Array, s: Array) -> Condition:
    """The order that the method shows on this field as its step is halved, beside the one that it has."""
    wanted, z = float(form.method.order), z[:, : form.field.num_states]
    if np.isinf(wanted):
        gap = relative_error(_advanced(form, dt / 2, 2, z, s), _advanced(form, dt, 1, z, s))
        return Condition(
            "two half steps are one step",
            gap <= 1e-9,
            1e-9 - gap,
            f"1e-9 minus the difference {gap:.1e}",
            required=False,
        )
    span = dt / 4.0  # a quarter of the cell's own step, which need not be small beside the times of its equation
    there = flow_over(form.field, z, s, span).states
    coarse, fine = (float(np.median(np.abs(_advanced(form, span / k, k, z, s) - there).max(axis=1))) for k in (8, 16))
    shown = float(np.log2(coarse / fine)) if fine > 0 else float("nan")
    detail = f"half an order minus the distance of the order shown, {shown:.2f}, from {wanted:g}, over dt / 4 in 8 and 16 steps"
    near = abs(shown - wanted)
    return Condition("halving the step shows the order of the method", near < 0.5, 0.5 - near, detail, required=False)


def _advanced(form: Form, dt: float, steps: int, z: Array, s: Array) -> Array:
    step = form.method.discretize(form.field, dt)
    y = step.start(z, s)
    for _ in range(steps):
        y = step.apply(y, s)
    return y[:, : z.shape[1]]
