"""Models back to the layers of PyTorch and Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arguments import system
from retime.core.arrays import Array
from retime.core.errors import MissingDependencyError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import Continuous
from retime.io.recurrent import num_outputs, reorder_gates
from retime.models import GRU, LSTM, LeakyRNN, LinearSystem, ReluRNN, StackedRNN, TanhRNN

_KERAS_ACTIVATIONS = {"logistic": "sigmoid", "exp": "exponential"}
_TORCH_FORMS = ("TanhRNN", "ReluRNN", "GRU", "LSTM", "and StackedRNN of equal ones")
_KERAS_FORMS = (*_TORCH_FORMS[:4], "LinearSystem", "LeakyRNN with alpha = 1", "and StackedRNN of these")


# PyTorch.


@dataclass(frozen=True, eq=False)
class TorchWeights:
    """The weights of a model for PyTorch.

    Attributes:
        layer: "RNN", "GRU" or "LSTM", the class in `torch.nn`.
        arguments: its constructor's: `input_size`, `hidden_size`, `num_layers`, `dtype`, for an RNN `nonlinearity`.
        rnn: its state dict, name -> tensor, as `load_state_dict` takes it.
        readout: the state dict `weight`, `bias` of the `torch.nn.Linear` on its outputs; None without a readout.
    """

    layer: str
    arguments: Mapping[str, Any]
    rnn: Mapping[str, Any]
    readout: Mapping[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """All weights in one dictionary, `rnn.weight_hh_l0`, ..., `readout.weight`: what `retime.load` reads when saved."""
        parts = {"rnn": self.rnn, "readout": self.readout or {}}
        return {f"{part}.{name}": value for part, weights in parts.items() for name, value in weights.items()}

    def modules(self) -> tuple[Any, Any]:
        """The recurrent module and the linear one (None without a readout), with these weights."""
        nn = _torch().nn
        rnn = getattr(nn, self.layer)(**self.arguments)
        rnn.load_state_dict(dict(self.rnn))
        if self.readout is None:
            return rnn, None
        p, H = self.readout["weight"].shape
        linear = nn.Linear(H, p, dtype=self.arguments["dtype"])
        linear.load_state_dict(dict(self.readout))
        return rnn, linear


def to_torch(model: System, *, dtype: str = "float32") -> TorchWeights:
    """The weights of a recurrent network for `torch.nn.RNN`, `GRU` or `LSTM`.

    Row k of the module's output is the model's state after step k (for an LSTM its outputs), the last layer's in a stack. The
    b of an Elman network goes to bias_ih, and bias_hh is 0. PyTorch's layers have no dt: steps are steps.

    Args:
        model: a TanhRNN, ReluRNN, GRU, LSTM, LeakyRNN with alpha = 1, or a StackedRNN of equal ones, in discrete time.
        dtype: "float32" or "float64"; float64 keeps every bit.

    Returns:
        `TorchWeights`: `.rnn` and `.readout` are state dicts, `.modules()` makes the modules.

    Raises:
        TypeError: PyTorch has no layer for this family. ValueError: it has, but not with these options, or the readout does
            not act on the last outputs alone, or there are no inputs, or `dtype`. MissingDependencyError: PyTorch is not installed.

    Examples:
        >>> import retime as rt
        >>> module = rt.to_torch(rt.TanhRNN([[0.5]], [[1.0]], [0.1]))
    """
    model = system("to_torch", model)
    layers = _layers(model, "PyTorch", _TORCH_FORMS)
    if not layers[0].num_inputs:
        raise ValueError(
            "`model` has 0 inputs; PyTorch's recurrent layers need input_size >= 1. Give the model one input with weights of zero "
            "(`W_in` of shape (rows, 1)) and feed it zeros."
        )
    kinds = {_torch_kind(x) for x in layers}
    sizes = {num_outputs(x) for x in layers}
    if len(kinds) > 1 or len(sizes) > 1:
        found = ", ".join(f"{type(x).__name__} of {num_outputs(x)} units" for x in layers)
        raise ValueError(
            f"`model` stacks {found}; PyTorch stacks layers of one kind and size only. Export its layers one by one."
        )
    convert = _tensor(dtype)
    layer, options = _TORCH_LAYERS[kinds.pop()]
    arguments = {"input_size": layers[0].num_inputs, "hidden_size": sizes.pop(), "num_layers": len(layers)}
    rnn = {name: convert(x) for k, inner in enumerate(layers) for name, x in _torch_arrays(inner, k).items()}
    readout = _readout(model, layers)
    if readout is not None and not readout.is_linear:
        raise ValueError(
            f"`model` has the readout {readout!r}, and a state dict of PyTorch holds no activation. Export with "
            f"dataclasses.replace(model, readout=model.readout.linear) and apply {readout.activation} to the outputs."
        )
    weights = None if readout is None else {"weight": convert(readout.B), "bias": convert(readout.b)}
    return TorchWeights(layer, arguments | options | {"dtype": getattr(_torch(), dtype)}, rnn, weights)


_TORCH_LAYERS: Mapping[str, tuple[str, dict[str, str]]] = {
    "tanh": ("RNN", {"nonlinearity": "tanh"}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "GRU": ("GRU", {}),
    "LSTM": ("LSTM", {}),
}


def _torch_kind(layer: System) -> str:
    if isinstance(layer, GRU) and not layer.reset_after:
        raise ValueError(
            "`model` is a GRU with reset_after=False; PyTorch has no such cell: its reset gate acts after the recurrent product. "
            "Export it with to_keras, or train with reset_after=True."
        )
    if isinstance(layer, (GRU, LSTM)):
        return type(layer).__name__
    kind = _elman_activation(layer, "PyTorch", _TORCH_FORMS)
    if kind not in _TORCH_LAYERS:
        raise ValueError(f"`model` has {kind} units; torch.nn.RNN has tanh and relu. Export it with to_keras.")
    return kind


def _torch_arrays(layer: Any, k: int) -> dict[str, Array]:
    is_gated = isinstance(layer, (GRU, LSTM))
    b_in, b_rec = (layer.b_in, layer.b_rec) if is_gated else (layer.b, np.zeros_like(layer.b))
    names = (f"weight_ih_l{k}", f"weight_hh_l{k}", f"bias_ih_l{k}", f"bias_hh_l{k}")
    return dict(zip(names, (layer.W_in, layer.W_rec, b_in, b_rec), strict=True))


def _tensor(dtype: str) -> Callable[[Array], Any]:
    if dtype not in ("float32", "float64"):
        raise ValueError(f'`dtype` is {dtype!r}; it must be "float32" or "float64".')
    torch = _torch()
    return lambda array: torch.from_numpy(_cast(array, dtype))


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("PyTorch is not installed: pip install 'retime[torch]'") from error
    return torch


# Keras.


@dataclass(frozen=True, eq=False)
class KerasWeights:
    """The weights of one Keras layer.

    Attributes:
        layer: "SimpleRNN", "GRU", "LSTM" or "Dense", the class in `keras.layers`.
        arguments: its constructor's: `units`, `activation`, `return_sequences`, `reset_after`, ...
        weights: float32 arrays in the order that `layer.set_weights` takes.
    """

    layer: str
    arguments: Mapping[str, Any]
    weights: list[Array]


@dataclass(frozen=True, eq=False)
class KerasNetwork:
    """The weights of a model for Keras.

    Attributes:
        num_inputs: m.
        layers: the recurrent layers, lowest first.
        readout: the Dense layer on the outputs; None without a readout.
    """

    num_inputs: int
    layers: tuple[KerasWeights, ...]
    readout: KerasWeights | None = None

    def model(self) -> Any:
        """A `keras.Sequential` with these weights: inputs (batch, steps, m), outputs at every step.

        Raises:
            MissingDependencyError: Keras is not installed.
        """
        keras = _keras()
        parts = [*self.layers, *([self.readout] if self.readout else [])]
        made = [getattr(keras.layers, x.layer)(**x.arguments) for x in parts]
        network = keras.Sequential([keras.layers.Input((None, self.num_inputs)), *made])
        for layer, part in zip(made, parts, strict=True):
            layer.set_weights(part.weights)
        return network


def _keras() -> Any:
    try:
        import keras
    except ImportError as error:
        raise MissingDependencyError("Keras is not installed: pip install 'retime[keras]'") from error
    return keras


def to_keras(model: System) -> KerasNetwork:
    """The weights of a recurrent network for Keras' `SimpleRNN`, `GRU` and `LSTM`.

    Kernels are transposed and gates put in Keras' order. The output at step k is the model's state after step k (for an LSTM its
    outputs), the last layer's in a stack. Keras' layers have no dt: steps are steps. Does not need Keras.

    Args:
        model: a TanhRNN, ReluRNN, GRU, LSTM, LinearSystem, LeakyRNN with alpha = 1 (form="rate"), or a StackedRNN of these, in
            discrete time.

    Returns:
        `KerasNetwork`: `.layers` and `.readout` hold what `layer.set_weights` takes, `.model()` makes a `keras.Sequential`.

    Raises:
        TypeError: Keras has no layer for this family. ValueError: it has, but not with these options, or the readout does not
            act on the last outputs alone.

    Examples:
        >>> import retime as rt
        >>> layers = rt.to_keras(rt.TanhRNN([[0.5]], [[1.0]], [0.1]))
    """
    model = system("to_keras", model)
    layers = _layers(model, "Keras", _KERAS_FORMS)
    readout = _readout(model, layers)
    dense = None
    if readout is not None:
        f = _KERAS_ACTIVATIONS.get(readout.activation, readout.activation)
        arguments = {"units": len(readout.b)} | ({} if f == "linear" else {"activation": f})
        dense = KerasWeights("Dense", arguments, [_float32(readout.B.T), _float32(readout.b)])
    return KerasNetwork(model.num_inputs, tuple(_keras_layer(x) for x in layers), dense)


def _keras_layer(layer: Any) -> KerasWeights:
    common = {"units": num_outputs(layer), "return_sequences": True}
    if isinstance(layer, GRU):
        W_in, W_rec, b_in, b_rec = (
            reorder_gates(x, (1, 0, 2)) for x in (layer.W_in, layer.W_rec, layer.b_in, layer.b_rec)
        )
        bias = np.stack([b_in, b_rec]) if layer.reset_after else b_in + b_rec
        arguments = common | {"reset_after": layer.reset_after}
        return KerasWeights("GRU", arguments, [_float32(x) for x in (W_in.T, W_rec.T, bias)])
    if isinstance(layer, LSTM):
        return KerasWeights(
            "LSTM", common, [_float32(x) for x in (layer.W_in.T, layer.W_rec.T, layer.b_in + layer.b_rec)]
        )
    activation = _elman_activation(layer, "Keras", _KERAS_FORMS)
    is_linear = isinstance(layer, LinearSystem)
    W_in, W_rec = (layer.E, layer.A) if is_linear else (layer.W_in, layer.W_rec)
    arguments = common | {"activation": _KERAS_ACTIVATIONS.get(activation, activation)}
    return KerasWeights("SimpleRNN", arguments, [_float32(x) for x in (W_in.T, W_rec.T, layer.b)])


def _float32(array: Array) -> Array:
    return _cast(array, "float32")


# What both share.


def _layers(model: Any, framework: str, forms: Sequence[str]) -> list[Any]:
    """The layers of a stack, or the model alone; checked to be maps of the families that a framework has."""
    layers = list(model.layers) if isinstance(model, StackedRNN) else [model]
    for layer in layers:
        if not isinstance(layer, (TanhRNN, ReluRNN, LeakyRNN, LinearSystem, GRU, LSTM)):
            raise TypeError(f"`model` is {_described(model, layer)}; {framework} has layers for {', '.join(forms)}.")
        if isinstance(layer.time, Continuous):
            raise ValueError(
                f"`model` is {_described(model, layer)} in continuous time; layers step. Use to_discrete first."
            )
    return layers


def _described(model: Any, layer: Any) -> str:
    name = type(layer).__name__
    return name if layer is model else f"a StackedRNN with a layer {name}"


def _elman_activation(layer: Any, framework: str, forms: Sequence[str]) -> str:
    """The activation of a cell f(W_rec z + W_in s + b)."""
    if isinstance(layer, (TanhRNN, ReluRNN)):
        return "tanh" if isinstance(layer, TanhRNN) else "relu"
    if isinstance(layer, LinearSystem):
        if layer.D is not None:
            raise ValueError(
                "`model` has a direct feedthrough `D`, which no recurrent layer has. Add it to the outputs yourself."
            )
        return "linear"
    if np.any(np.asarray(layer.alpha) != 1.0) or layer.form != "rate":
        raise ValueError(
            f"`model` is a LeakyRNN with alpha = {layer.alpha} and form={layer.form!r}; {framework} has no leak (alpha = 1, "
            f'form="rate" only). It has layers for {", ".join(forms)}.'
        )
    if not isinstance(layer.activation, str):
        raise ValueError(f"`model` has a function as activation; {framework}'s layers are named. Use tanh or relu.")
    return {"sigmoid": "logistic", "identity": "linear"}.get(layer.activation, layer.activation)


def _readout(model: System, layers: Sequence[System]) -> Readout | None:
    """The readout on the outputs of the last layer alone, B `(p, H)`."""
    if model.readout is None:
        return None
    B, b = model.readout.B, model.readout.b
    if model.readout.rate != "linear":
        raise ValueError(
            f"`model.readout` is {model.readout!r}; a layer of PyTorch or Keras reads the outputs of the last layer as they are. Export with "
            "dataclasses.replace(model, readout=None) and keep the readout apart."
        )
    first = model.num_states - layers[-1].num_states
    last = first + num_outputs(layers[-1])
    for columns, what in ((B[:, :first], "lower layers"), (B[:, last:], "the cells of the LSTM")):
        if np.any(columns):
            raise ValueError(
                f"`model.readout` reads {what}; a layer of PyTorch or Keras passes on the outputs of the last layer only. Export with "
                "dataclasses.replace(model, readout=None) and keep the readout apart."
            )
    return Readout(B[:, first:last], b, activation=model.readout.activation)


def _cast(array: Array, dtype: str) -> Array:
    """A writable copy in another precision.

    Raises:
        ValueError: a weight is too large for it.
    """
    with np.errstate(over="ignore"):
        new = np.array(array, dtype=dtype, order="C")
    if not np.isfinite(new).all():
        raise ValueError(f"A weight of {np.abs(array).max():.3g} is too large for {dtype}; rescale the states.")
    return new
