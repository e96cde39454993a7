"""The equations that gated cells step, written out."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.core.activation import ACTIVATIONS
from retime.core.equation import Equation
from retime.core.system import SmoothSystem
from retime.core.time import CONTINUOUS
from retime.models import GRU, LSTM
from retime.models.relaxation import RelaxationField


def gru_field(model: GRU) -> RelaxationField:
    """dz/dt = (1 - u) (n - z) / dt: the update gate as a rate."""
    return RelaxationField(
        _GRULaw(model.reset_after, "gate"), _weights(model), model.num_states, model.num_inputs, readout=model.readout
    )


def gru_by_decay(model: GRU) -> RelaxationField:
    """dz/dt = softplus(-a_u) (n - z) / dt, u = logistic(a_u): its rate, frozen over dt, lets u = exp(-softplus(-a_u)) of the state remain."""
    return RelaxationField(
        _GRULaw(model.reset_after, "decay"), _weights(model), model.num_states, model.num_inputs, readout=model.readout
    )


def _weights(model: Any) -> dict[str, Any]:
    return {k: getattr(model, k) for k in ("W_rec", "W_in", "b_rec", "b_in")} | {"dt": np.float64(model.dt)}


class _GRULaw:
    """(rate, target) of a GRU; equal by value, so that compiled code is shared."""

    def __init__(self, reset_after: bool, kind: str) -> None:
        self.key = reset_after, kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _GRULaw) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        reset_after, kind = self.key
        H = z.shape[0]
        R_r, R_u, R_n = (p["W_rec"][k * H : (k + 1) * H] for k in range(3))
        from_input = p["W_in"] @ s + p["b_in"]
        b_r, b_u, b_n = (p["b_rec"][k * H : (k + 1) * H] for k in range(3))
        r = ACTIVATIONS["logistic"](xp, R_r @ z + b_r + from_input[:H])
        a = R_u @ z + b_u + from_input[H : 2 * H]
        inner = r * (R_n @ z + b_n) if reset_after else R_n @ (r * z) + b_n
        target = xp.tanh(from_input[2 * H :] + inner)
        rate = ACTIVATIONS["logistic"](xp, -a) if kind == "gate" else xp.logaddexp(-a, 0.0)
        return rate / p["dt"], target


class LSTMField(SmoothSystem):
    """dh/dt = (-h + o tanh c) / dt,   dc/dt = ((f - 1) c + i g) / dt,   gates from h and s. The state is (h, c)."""

    family = "lstm_field"

    def __init__(self, cell: LSTM) -> None:
        self._set(cell=cell, time=CONTINUOUS, readout=cell.readout)
        self._finish()

    @property
    def num_states(self) -> int:
        """2 H."""
        return self.cell.num_states  # type: ignore[attr-defined]

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.cell.num_inputs  # type: ignore[attr-defined]

    def _equation(self) -> Equation:
        return Equation(_lstm_field, _weights(self.cell))  # type: ignore[attr-defined]


def lstm_field(model: LSTM) -> LSTMField:
    """The equation of an LSTM's outputs and cells."""
    return LSTMField(model)


def _lstm_field(xp: Any, p: Any, z: Any, s: Any) -> Any:
    H = z.shape[0] // 2
    h, c = z[:H], z[H:]
    a = p["W_rec"] @ h + p["b_rec"] + p["W_in"] @ s + p["b_in"]
    i, f, o = (ACTIVATIONS["logistic"](xp, a[k * H : (k + 1) * H]) for k in (0, 1, 3))
    g = xp.tanh(a[2 * H : 3 * H])
    return xp.concatenate([o * xp.tanh(c) - h, (f - 1.0) * c + i * g]) / p["dt"]
