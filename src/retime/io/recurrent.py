"""Recurrent layers of any format become one model: a cell, or a stack, with the readout on its last outputs.

Affine layers without memory around a recurrent one become part of its input weights or of the readout, exactly.
"""

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


# Layers without memory.


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> W x + c, a layer without memory.

    Attributes:
        W: `(p, n)`. c: `(p,)`.
    """

    W: Array
    c: Array

    @classmethod
    def dense(cls, W: Any, c: Any = None) -> Affine:
        """Of weights `(p, n)` and a bias `(p,)`, None for zero."""
        W = np.asarray(W, dtype=np.float64)
        return cls(W, np.zeros(len(W)) if c is None else np.asarray(c, dtype=np.float64).reshape(-1))

    @classmethod
    def scaled(cls, scale: Any, offset: Any, size: int) -> Affine:
        """x -> scale x + offset, one number each or one per entry `(size,)`.

        Raises:
            ValueError: another number of entries.
        """
        scale, offset = (np.asarray(x, dtype=np.float64).reshape(-1) for x in (scale, offset))
        if not {len(scale), len(offset)} <= {1, size}:
            raise ValueError(f"A layer scales {max(len(scale), len(offset))} numbers; it is given {size}.")
        return cls(np.diag(np.broadcast_to(scale, size)), np.broadcast_to(offset, size).copy())

    def then(self, above: Affine) -> Affine:
        """This one, and the other on top of it.

        Raises:
            ValueError: the other reads another number of entries.
        """
        if above.W.shape[1] != len(self.W):
            raise ValueError(f"A linear layer reads {above.W.shape[1]} numbers; the one below it gives {len(self.W)}.")
        return Affine(above.W @ self.W, above.W @ self.c + above.c)


def fed_through(layer: Layer, below: Affine) -> Layer:
    """The recurrent layer with an affine one below it, as one layer.

    Raises:
        ValueError: the recurrent layer reads another number of inputs.
    """
    W, b = {"linear": ("E", "b"), "gru": ("W_in", "b_in"), "lstm": ("W_in", "b_in")}.get(layer.family, ("W_in", "b"))
    own = below.then(Affine.dense(layer.parameters[W], layer.parameters[b]))
    return Layer(layer.family, {**layer.parameters, W: own.W, b: own.c})


def read_through(readout: Readout, above: Sequence[Affine]) -> Readout:
    """The readout with affine layers on top of it, lowest first.

    Raises:
        ValueError: sizes disagree.
    """
    own = Affine(readout.B, readout.b)
    for layer in above:
        own = own.then(layer)
    return replace(readout, B=own.W, b=own.c)
