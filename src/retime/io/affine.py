"""Layers without memory around a recurrent one: affine ones become part of its input weights or of the readout, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.readout import Readout
from retime.io.recurrent import Layer


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
