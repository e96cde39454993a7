"""Recurrent layers on top of each other, one state for all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.reachability import Box
from retime.core.system import SmoothSystem, System
from retime.core.time import Discrete
from retime.models.gated import LSTM


@dataclass(frozen=True, eq=False, repr=False)
class StackedRNN(SmoothSystem):
    """Layers of recurrent cells: layer l + 1 reads the new output of layer l.

    z^1_{k+1} = F_1(z^1_k, s_k),   z^l_{k+1} = F_l(z^l_k, h^{l-1}_{k+1})

    h is the layer's state, for an LSTM its H outputs. The state is (z^1, ..., z^L), first layer first. PyTorch's
    `num_layers=L`; stacked Keras layers with `return_sequences=True`.

    Args:
        layers: maps; the first reads s `(m,)`, each other the outputs of the one before. Their own readouts are not used.
        time, readout: as for every model (the readout acts on the whole state).

    Raises:
        ShapeError: a layer does not read as many inputs as the one before has outputs. TypeError: a layer is not a map.
        ValueError: no layers, or continuous time.
    """

    family: ClassVar[str] = "stacked_rnn"

    layers: Any

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        if not layers:
            raise ValueError("`layers` is empty; a StackedRNN needs at least one map.")
        for layer in layers:
            if not isinstance(layer, System) or not isinstance(layer.time, Discrete):
                raise TypeError(f"`layers` holds {layer!r}; every layer must be a map (a model in discrete time).")
        for k, (lower, upper) in enumerate(pairwise(layers)):
            if upper.num_inputs != _num_read(lower):
                raise ShapeError(
                    f"Layer {k + 1} reads {upper.num_inputs} inputs; layer {k} below it has {_num_read(lower)} outputs."
                )
        self._set(layers=layers)
        self._finish()
        if not isinstance(self.time, Discrete):
            raise ValueError("`time` is Continuous(); a StackedRNN steps.")

    @property
    def num_states(self) -> int:
        """Sum over the layers."""
        return sum(layer.num_states for layer in self.layers)

    @property
    def num_inputs(self) -> int:
        """m, the inputs of the first layer."""
        return self.layers[0].num_inputs

    def reachable(self, inputs: Box) -> Box:
        """The boxes of the layers, each driven by what the one below it can say."""
        found: Box | None = None
        for layer in self.layers:
            box, read = layer.reachable(inputs), _num_read(layer)
            found = box if found is None else found.joined(box)
            inputs = Box(box.low[:read], box.high[:read])
        return found if found is not None else super().reachable(inputs)

    def _equation(self) -> Equation:
        equations = [layer.equation for layer in self.layers]
        shape = tuple(
            (e.function, layer.num_states, _num_read(layer)) for e, layer in zip(equations, self.layers, strict=True)
        )
        return Equation(_Stack(shape), [e.parameters for e in equations])

    def _details(self) -> list[str]:
        return [" > ".join(type(layer).__name__ for layer in self.layers)]


def _num_read(layer: System) -> int:
    """How many of a layer's first states the layer above reads."""
    return layer.num_states // 2 if isinstance(layer, LSTM) else layer.num_states


@dataclass(frozen=True)
class _Stack:
    layers: tuple[Any, ...]

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        new, first = [], 0
        for (function, size, read), parameters in zip(self.layers, p, strict=True):
            new.append(function(xp, parameters, z[first : first + size], s))
            s, first = new[-1][:read], first + size
        return xp.concatenate(new)
