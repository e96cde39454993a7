"""Which networks have a circuit: those of one elementwise nonlinearity between linear maps; and back from Kirchhoff's laws to a family.

z' = A z + W1 f(W2 z + C2 s + h2) + C1 s + h1,   z' = z_{k+1} or dz/dt
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import singledispatch
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import CertificateError
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Discrete, TimeBase
from retime.models import (
    PLRNN,
    HopfieldNetwork,
    LeakyRNN,
    LinearSystem,
    PiecewiseAffineFlow,
    PiecewiseAffineRNN,
    RateRNN,
    RegionwiseMap,
    TanhRNN,
)

ROUNDING = 1e-11
"""Entries this close to 0 or 1, relative to the largest, are meant to be that."""


@dataclass(frozen=True, eq=False)
class NetworkForm:
    """A network as a circuit sees it.

    Attributes:
        A `(n, n)`, W1 `(n, q)`, W2 `(q, n)`, h1 `(n,)`, h2 `(q,)`, C1 `(n, m)`, C2 `(q, m)`: float64.
        activation: f, one of tanh, logistic, relu, softplus; any of them where q = 0. time, readout: as for every model.
    """

    A: Array
    W1: Array
    W2: Array
    h1: Array
    h2: Array
    C1: Array
    C2: Array
    activation: str
    time: TimeBase
    readout: Any = None

    @property
    def num_states(self) -> int:
        """n."""
        return len(self.h1)

    @property
    def num_functions(self) -> int:
        """q."""
        return len(self.h2)

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.C1.shape[1]

    def difference(self, other: NetworkForm) -> float:
        """The largest difference of a coefficient, relative to the largest of its matrix; of an offset to the largest beside it."""
        worst, groups = 0.0, (("A", "W1", "h1", "C1"), ("W2", "h2", "C2"))
        for names in groups:
            size = max(np.abs(getattr(x, name)).max(initial=0.0) for x in (self, other) for name in names)
            for name in names:
                mine, theirs = getattr(self, name), getattr(other, name)
                if mine.shape != theirs.shape:
                    return float("inf")
                own = max(np.abs(mine).max(initial=0.0), np.abs(theirs).max(initial=0.0))
                scale = size if name in ("h1", "h2") else own
                worst = max(worst, float(np.abs(mine - theirs).max(initial=0.0) / scale) if scale else 0.0)
        return worst


@singledispatch
def form_of(model: Any) -> NetworkForm:
    """The form of a model.

    Raises:
        CertificateError: a family or an activation that has no circuit; the message says which model to take instead.
    """
    raise CertificateError(
        f"{type(model).__name__} has no circuit here: circuits are built of units with tanh, logistic, relu or softplus (RateRNN, "
        "HopfieldNetwork, TanhRNN, LeakyRNN), of ReLU networks and of linear systems."
    )


@form_of.register
def _(model: PiecewiseAffineFlow) -> NetworkForm:
    return _clock_held(model)


@form_of.register
def _(model: RegionwiseMap) -> NetworkForm:
    return _clock_held(model)


def _clock_held(model: Any) -> NetworkForm:
    raise CertificateError(
        f"{type(model).__name__} holds its region for one step, and its rate jumps from region to region, which no circuit of fixed parts "
        'does. The circuit to build is `to_circuit(the map, topology="sampled")`: sample-and-hold stages that carry the map itself.'
    )


@form_of.register
def _(model: PiecewiseAffineSystem) -> NetworkForm:
    f = model.canonical
    return NetworkForm(f.A, f.W1, f.W2, f.h1, f.h2, f.C1, f.C2, "relu", model.time, model.readout)


@form_of.register
def _(model: RateRNN) -> NetworkForm:
    rate = 1.0 / np.broadcast_to(np.asarray(model.tau), model.num_states)
    return _leaky(model, rate, -rate)


@form_of.register
def _(model: LeakyRNN) -> NetworkForm:
    alpha = np.broadcast_to(np.asarray(model.alpha), model.num_states)
    return _leaky(model, alpha, 1.0 - alpha)


@form_of.register
def _(model: TanhRNN) -> NetworkForm:
    n, m = model.W_in.shape
    none = np.zeros((n, n)), np.zeros(n), np.zeros((n, m))
    return NetworkForm(
        none[0],
        np.eye(n),
        np.asarray(model.W_rec),
        none[1],
        model.b,
        none[2],
        model.W_in,
        "tanh",
        model.time,
        model.readout,
    )


@form_of.register
def _(model: HopfieldNetwork) -> NetworkForm:
    n, m = model.W_in.shape
    R, C = (np.broadcast_to(np.asarray(x), n) for x in (model.resistance, model.capacitance))
    return NetworkForm(
        np.diag(-1.0 / (R * C)), model.T / C[:, None], model.gain * np.eye(n), model.I / C, np.zeros(n), model.W_in / C[:, None],
        np.zeros((n, m)), model.activation, model.time, model.readout,
    )  # fmt: skip


def _leaky(model: Any, rate: Array, own: Array) -> NetworkForm:
    """own z + rate G(z), G the drive of either form."""
    n, m = model.W_in.shape
    W, U, b, f = np.asarray(model.W_rec), model.W_in, model.b, model.activation
    rest = {"time": model.time, "readout": model.readout}
    if f == "linear":
        none = np.zeros((n, 0)), np.zeros((0, n)), np.zeros(0), np.zeros((0, m))
        A = np.diag(own) + rate[:, None] * W
        return NetworkForm(A, none[0], none[1], rate * b, none[2], rate[:, None] * U, none[3], "relu", **rest)
    if f not in ("tanh", "logistic", "relu", "softplus"):
        raise CertificateError(
            f"`activation` is {f!r}; circuits are built for tanh, logistic, relu and softplus (and linear), whose parts are known."
        )
    if model.form == "current":
        return NetworkForm(
            np.diag(own),
            rate[:, None] * W,
            np.eye(n),
            rate * b,
            np.zeros(n),
            rate[:, None] * U,
            np.zeros((n, m)),
            f,
            **rest,
        )
    return NetworkForm(np.diag(own), np.diag(rate), W, np.zeros(n), b, np.zeros((n, m)), U, f, **rest)


def family_of(form: NetworkForm) -> System | None:
    """The model that a form is, in a family of the library; None where no family holds it."""
    common = {"time": form.time, "readout": form.readout}
    if form.num_functions == 0:
        return LinearSystem(form.A, form.h1, form.C1, **common)
    if form.activation == "relu":
        return _relu_family(form, common)
    if isinstance(form.time, Discrete):
        return _map_family(form, common)
    return _flow_family(form, common)


def _relu_family(form: NetworkForm, common: dict[str, Any]) -> System:
    if _is_identity(form.W2) and _is_diagonal(form.A) and not _size(form.h2) and not _size(form.C2):
        return PLRNN(np.diagonal(form.A), form.W1, form.h1, form.C1, **common)
    parts = [getattr(form, f.name) for f in fields(form)[:7]]
    return PiecewiseAffineRNN(*parts, **common)


def _map_family(form: NetworkForm, common: dict[str, Any]) -> System | None:
    alpha = 1.0 - np.diagonal(form.A)
    if not _is_diagonal(form.A) or not (alpha > 0).all():
        return None
    found = _leaky_parts(form, alpha)
    if found is None:
        return None
    shape, W, U, b = found
    if shape == "rate" and form.activation == "tanh" and _size(form.A) <= ROUNDING:
        return TanhRNN(W, U, b, **common)
    return LeakyRNN(W, U, b, alpha=_one(alpha), activation=form.activation, form=shape, **common)


def _flow_family(form: NetworkForm, common: dict[str, Any]) -> System | None:
    rate = -np.diagonal(form.A)
    if not _is_diagonal(form.A) or not (rate > 0).all():
        return None
    found = _leaky_parts(form, rate)
    if found is not None:
        shape, W, U, b = found
        return RateRNN(W, U, b, tau=_one(1.0 / rate), activation=form.activation, form=shape, **common)
    gain = float(form.W2.flat[0]) if form.W2.size else 0.0
    is_hopfield = form.activation in ("tanh", "logistic") and gain > 0 and form.W2.shape == form.A.shape
    if not is_hopfield or not _is_identity(form.W2 / gain) or _size(form.h2) or _size(form.C2):
        return None
    return HopfieldNetwork(
        form.W1,
        form.h1,
        form.C1,
        resistance=_one(1.0 / rate),
        capacitance=1.0,
        gain=gain,
        activation=form.activation,  # type: ignore[arg-type]
        **common,
    )


def _leaky_parts(form: NetworkForm, rate: Array) -> tuple[Any, Array, Array, Array] | None:
    """Form, W, U and b of a leaky network with these rates; None where it is none."""
    if form.W2.shape != form.A.shape:
        return None
    if _is_identity(form.W2) and not _size(form.h2) and not _size(form.C2):
        return "current", form.W1 / rate[:, None], form.C1 / rate[:, None], form.h1 / rate
    if _is_identity(form.W1 / rate[:, None]) and not _size(form.h1) and not _size(form.C1):
        return "rate", form.W2, form.C2, form.h2
    return None


def _size(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))


def _is_diagonal(A: Array) -> bool:
    return _size(A - np.diag(np.diagonal(A))) <= ROUNDING * max(_size(A), 1e-300)


def _is_identity(W: Array) -> bool:
    return W.shape[0] == W.shape[1] and _size(W - np.eye(len(W))) <= ROUNDING


def _one(x: Array) -> Any:
    """One number where all are the same within rounding."""
    return float(x[0]) if np.ptp(x) <= ROUNDING * np.abs(x).max() else x
