"""Recurrent layers of any format become one model: a cell, or a stack, with the readout on its last outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.models import FAMILIES, LSTM, StackedRNN


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer as a family and the arguments of its constructor.

    Attributes:
        family: its name in `retime.models.FAMILIES`.
        parameters: arrays and options; not `time` and not `readout`.
    """

    family: str
    parameters: Mapping[str, Any]


def elman(activation: str, W_rec: Array, W_in: Array, b: Array) -> Layer | None:
    """f(W_rec z + W_in s + b) for f by the name that Keras and ONNX use; None for an unknown f."""
    weights = {"W_rec": W_rec, "W_in": W_in, "b": b}
    match activation:
        case "tanh" | "relu":
            return Layer(f"{activation}_rnn", weights)
        case "linear":
            return Layer("linear", {"A": W_rec, "b": b, "E": W_in})
        case "sigmoid" | "softplus":
            f = {"sigmoid": "logistic"}.get(activation, activation)
            return Layer("leaky_rnn", weights | {"alpha": 1.0, "activation": f, "form": "rate"})
    return None


def gated(family: str, W_rec: Array, W_in: Array, b_rec: Array, b_in: Array, **options: Any) -> Layer:
    """A GRU or LSTM with its gates in our order."""
    return Layer(family, {"W_rec": W_rec, "W_in": W_in, "b_rec": b_rec, "b_in": b_in, **options})


def reorder_gates(array: Array, order: Sequence[int]) -> Array:
    """The blocks of rows of stacked gates in another order: block k of the result is block `order[k]`."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[k] for k in order])


def network(
    layers: Sequence[Layer],
    readout: Readout | None,
    time: TimeBase,
    options: Mapping[str, Any],
    *,
    stacked: bool = False,
) -> System:
    """The model of layers on top of each other.

    Args:
        layers: at least one, lowest first.
        readout: with B `(p, H)`, on the outputs of the last layer; None for none.
        time: of every layer.
        options: the user's, given to every layer.
        stacked: a StackedRNN even of one layer.

    Raises:
        ShapeError: sizes disagree. TypeError: an option that the family does not have.
    """
    models = [FAMILIES[x.family](**x.parameters, **options, time=time) for x in layers]
    model = models[0] if len(models) == 1 and not stacked else StackedRNN(models, time=time)
    return model if readout is None else replace(model, readout=_widened(readout, models, model.num_states))


def num_outputs(layer: System) -> int:
    """H: the states of a layer that are its outputs, all but the cells of an LSTM."""
    return layer.num_states // 2 if isinstance(layer, LSTM) else layer.num_states


def _widened(readout: Readout, models: Sequence[System], num_states: int) -> Readout:
    """The readout on the whole state: lower layers and cells are not read."""
    last = models[-1]
    H = num_outputs(last)
    if readout.B.shape[1] != H:
        raise ValueError(
            f"The readout has shape {readout.B.shape}; it must be (outputs, {H}), the outputs of the last layer."
        )
    return readout.widened(num_states - last.num_states, last.num_states - H)
