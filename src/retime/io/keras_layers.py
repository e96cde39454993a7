"""From the layers of a Keras model to a network: the layers' classes, activations and order decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.io.arrays import FileArrays, KerasLayer
from retime.io.keras_kinds import (
    HEADS,
    activation_name,
    affine,
    applied,
    cell,
    is_affine,
    is_function,
    is_inactive,
    kind,
)
from retime.io.named import Recognition
from retime.io.recurrent import Layer, elman, fed_through, gated, network, read_through, reorder_gates

_MASKS = ("NotEqual", "Any")
"""Operations that Keras 3 writes into a functional model to make the mask of a Masking layer."""

_CELLS = ("SimpleRNN", "GRU", "LSTM")
_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}

_SUPPORTED = (
    "supported are SimpleRNN, GRU and LSTM layers, one after the other, with affine layers (Dense without activation, BatchNormalization, "
    "Normalization, Rescaling) before and between them, and a readout after them"
)


def read_layers(
    file: FileArrays, family: str | None, time: TimeBase, options: Mapping[str, Any]
) -> tuple[System, Recognition]:
    """The model of a Keras file's layers.

    Args:
        file: its arrays and layers.
        family: the user's choice; it must agree with the layers.
        time: the time base. options: the family's own.

    Raises:
        ModelFileError: another layer, activation or connection than those that retime reads; the message names it.
    """
    active = [x for x in file.layers if not is_inactive(x) and x.class_name not in _MASKS]
    parts = _parts(file, active)
    _check_chain(file, parts.read)
    _check_outputs(file, parts)
    for layer in parts.read:
        _check_weights(file, layer)
    layers = [_fed(file, below, _layer(file, x)) for below, x in parts.recurrent]
    check_family(file, family, layers)
    readout, notes = _readout(file, parts, layers)
    model = network(layers, readout, time, options, stacked=family == "stacked_rnn")
    kinds = " + ".join(x.class_name for x in active)
    shown = ", ".join(f"{cell(x)[0]} of {x.weights['recurrent_kernel'].shape[0]} units" for _, x in parts.recurrent)
    return model, Recognition(model.family, f"Keras {kinds}: {shown}", (), tuple(notes))


# Which layers are which.


@dataclass(frozen=True, eq=False)
class _Parts:
    """The layers of a model by what becomes of them: recurrent ones with the affine ones below each, the readout, what is not read."""

    recurrent: list[tuple[list[KerasLayer], KerasLayer]]
    readout: list[KerasLayer]
    unread: list[KerasLayer]

    @property
    def read(self) -> list[KerasLayer]:
        below = [x for affine_ones, layer in self.recurrent for x in (*affine_ones, layer)]
        return [*below, *self.readout]


def _parts(file: FileArrays, active: list[KerasLayer]) -> _Parts:
    kinds = " + ".join(kind(x) for x in active) or "no layers"
    if any(x.class_name == "Bidirectional" for x in active):
        raise ModelFileError(
            f"{file.path}: the Keras model is {kinds}; a Bidirectional layer reads the future, so no system that runs forward "
            "in time is it. Load a model with its forward layer alone."
        )
    last = max((k for k, x in enumerate(active) if cell(x)[0] in _CELLS), default=-1)
    recurrent: list[tuple[list[KerasLayer], KerasLayer]] = []
    below: list[KerasLayer] = []
    for layer in active[: last + 1]:
        if cell(layer)[0] in _CELLS:
            recurrent.append((below, layer))
            below = []
        elif is_affine(layer) and applied(layer)[0] == "linear":
            below.append(layer)
        else:
            what = f"{layer.name!r} ({kind(layer)}) before a recurrent one is not affine"
            raise ModelFileError(f"{file.path}: the Keras model is {kinds}; {_SUPPORTED}. Layer {what}.")
    above = active[last + 1 :]
    if not recurrent or any(x.class_name not in HEADS for x in above):
        raise ModelFileError(f"{file.path}: the Keras model is {kinds}; {_SUPPORTED}.")
    count = _length_of_readout(above)
    return _Parts(recurrent, above[:count], above[count:])


def _length_of_readout(above: Sequence[KerasLayer]) -> int:
    """How many layers a readout can be: affine ones, up to and with the first that applies a function."""
    for k, layer in enumerate(above):
        name, known = applied(layer)
        if is_affine(layer) and name == "linear":
            continue
        return k + (is_affine(layer) or (is_function(layer) and known is not None))
    return len(above)


def _fed(file: FileArrays, below: Sequence[KerasLayer], layer: Layer) -> Layer:
    """The recurrent layer with the affine ones below it folded into its input weights, the highest first."""
    for x in reversed(below):
        weights = layer.parameters["E" if layer.family == "linear" else "W_in"]
        layer = fed_through(layer, affine(file, x, weights.shape[1]))
    return layer


def _readout(file: FileArrays, parts: _Parts, layers: Sequence[Layer]) -> tuple[Readout | None, list[str]]:
    """The readout that the layers after the last recurrent one are, and notes on what was folded and on what is not read."""
    folded = [x.name for below, _ in parts.recurrent for x in below]
    notes = [f"Folded into the input weights: {', '.join(map(repr, folded))}."] if folded else []
    readout = None
    for layer in parts.readout:
        readout = readout or Readout(np.eye(parts.recurrent[-1][1].weights["recurrent_kernel"].shape[0]))
        if is_affine(layer):
            readout = read_through(readout, [affine(file, layer, len(readout.b))])
        name, function = applied(layer)
        if function is None:
            notes.append(
                f"Not read: the activation {name!r} of layer {layer.name!r}; the outputs are what it is applied to."
            )
        elif function != "linear":
            readout = replace(readout, activation=function)
    if parts.unread:
        shown = ", ".join(f"{x.name!r} ({kind(x)})" for x in parts.unread)
        layer_s = "layers" if len(parts.unread) > 1 else "layer"
        applied_s = "they are" if len(parts.unread) > 1 else "it is"
        notes.append(f"Not read: {layer_s} {shown}; the outputs are what {applied_s} applied to.")
    return readout, notes


def check_family(file: FileArrays, family: str | None, layers: Sequence[Layer]) -> None:
    """Check that the user's choice is what a file that names its layers says.

    Raises:
        ModelFileError: it is another family.
    """
    if family not in (None, "stacked_rnn", *(x.family for x in layers)):
        said = " + ".join(x.family for x in layers)
        raise ModelFileError(f"{file.path}: the file says itself that it is {said}, not {family!r}; drop `family`.")


def _check_chain(file: FileArrays, active: list[KerasLayer]) -> None:
    """In a functional model, each layer must read the one before and nothing else but model inputs."""
    by_name = {x.name: x for x in file.layers}
    for below, layer in zip([None, *active], active, strict=False):
        if len(layer.calls) > 1:
            raise ModelFileError(f"{file.path}: layer {layer.name!r} is used {len(layer.calls)} times; {_SUPPORTED}.")
        if not layer.calls:
            continue
        sources = [_active_source(by_name, name) for name in layer.calls[0]]
        wanted = None if below is None else below.name
        if sources[:1] != [wanted] or any(source is not None for source in sources[1:]):
            shown = ", ".join(repr(name) for name in layer.calls[0])
            raise ModelFileError(f"{file.path}: layer {layer.name!r} reads {shown}; {_SUPPORTED}.")


def _active_source(by_name: Mapping[str, KerasLayer], name: str) -> str | None:
    """The active layer whose output arrives under a name, through inactive ones; None for an input of the model."""
    for _ in by_name:
        layer = by_name.get(name)
        if layer is None or not is_inactive(layer):
            return name
        if not layer.calls or not layer.calls[0]:
            return None
        name = layer.calls[0][0]
    return name


def _check_outputs(file: FileArrays, parts: _Parts) -> None:
    """Only a recurrent layer's outputs may be read, not its last states, and the model must give those of the last layer."""
    by_name, active = {x.name: x for x in file.layers}, parts.read
    for layer in file.layers:
        if layer in parts.unread:
            continue
        uses = zip(layer.calls, layer.reads, strict=False)
        for name, output in (pair for use in uses for pair in zip(*use, strict=True)):
            if output and any(x.name == name for x in active):
                raise ModelFileError(
                    f"{file.path}: layer {layer.name!r} reads output {output} of layer {name!r}, one of its last states; retime "
                    f"reads the outputs only (output 0). Connect it to these; {_SUPPORTED}."
                )
    given = [(_active_source(by_name, name), output) for name, output in file.outputs]
    if given and not parts.unread and (active[-1].name, 0) not in given:
        shown = ", ".join(f"output {output} of {name!r}" for name, output in file.outputs)
        raise ModelFileError(
            f"{file.path}: the model gives {shown}; it must give the outputs (output 0) of its last layer {active[-1].name!r}. "
            "Save a model that does."
        )


_WEIGHTS = ("kernel", "recurrent_kernel", "bias")


def _check_weights(file: FileArrays, layer: KerasLayer) -> None:
    """Only a layer's own weights, as numbers and complete: no quantization and no adapters."""
    inside = layer.config.get("layer") or layer.config.get("cell") or {}
    config = inside.get("config", layer.config)
    integers = [
        k for k, x in layer.weights.items() if x.dtype.kind in "biu" and k != "count"
    ]  # how much a Normalization has seen
    if _is_quantized(layer.config.get("dtype")) or _is_quantized(config.get("dtype")) or integers:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({layer.class_name}) is quantized; its weights are codes and scales. Save the "
            "model as it was before model.quantize."
        )
    extra = [k for k in layer.weights if k not in _WEIGHTS]
    if extra and {"kernel", "recurrent_kernel"} & set(layer.weights):
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({layer.class_name}) also has the weights {', '.join(f'`{k}`' for k in extra)}, "
            "which change its kernel (LoRA, quantization). Save it in the format .keras, which merges them, or without them."
        )
    if config.get("use_bias") is True and "kernel" in layer.weights and "bias" not in layer.weights:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({layer.class_name}) has use_bias=True and no weights `bias`; it has "
            f"{', '.join(layer.weights)}. Save the model again."
        )


def _is_quantized(policy: Any) -> bool:
    """Whether a dtype policy has a mode of quantization, written as a dictionary or as "int8_from_float32"."""
    if isinstance(policy, dict):
        inner = policy.get("config")
        return isinstance(inner, dict) and "mode" in inner
    return isinstance(policy, str) and "_from_" in policy


# One layer.


def _layer(file: FileArrays, layer: KerasLayer) -> Layer:
    kind, config = cell(layer)
    if layer.config.get("go_backwards"):
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} has go_backwards=True: it reads the sequence from its end. Set it to False and "
            "reverse the inputs instead."
        )
    W_rec, W_in = _kernels(file, layer, kind)
    if kind == "SimpleRNN":
        return _simple(file, layer, config, W_rec, W_in)
    _check_activations(file, layer, kind, config)
    return _gru(file, layer, config, W_rec, W_in) if kind == "GRU" else _lstm(file, layer, W_rec, W_in)


def _kernels(file: FileArrays, layer: KerasLayer, kind: str) -> tuple[Array, Array]:
    """Recurrent and input weights as (gates x units) rows."""
    missing = [k for k in ("kernel", "recurrent_kernel") if k not in layer.weights]
    if missing:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({kind}) has no weights `{missing[0]}`; it has "
            f"{', '.join(layer.weights) or 'none'}. Save the model again with a current Keras, after it was built."
        )
    W_rec, W_in = layer.weights["recurrent_kernel"].T, layer.weights["kernel"].T
    rows = _GATES[kind] * W_rec.shape[-1]
    if len(W_rec) != rows or len(W_in) != rows:
        shapes = " and ".join(f"`{k}` {layer.weights[k].shape}" for k in ("kernel", "recurrent_kernel"))
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({kind}) has {shapes}; both must have {_GATES[kind]} x units columns. Save the "
            "model again."
        )
    return W_rec, W_in


def _bias(file: FileArrays, layer: KerasLayer, shape: tuple[int, ...]) -> Array:
    bias = layer.weights.get("bias")
    if bias is None:
        return np.zeros(shape)
    if bias.shape != shape:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} has a `bias` of shape {bias.shape}; its configuration and kernels ask for {shape}. "
            "Save the model again."
        )
    return bias


def _simple(file: FileArrays, layer: KerasLayer, config: Mapping[str, Any], W_rec: Array, W_in: Array) -> Layer:
    activation = activation_name(config.get("activation", "tanh"))
    found = elman(activation, W_rec, W_in, _bias(file, layer, (len(W_rec),)))
    if found is None:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} has activation {activation!r}; supported are tanh, relu, linear, sigmoid and softplus."
        )
    return found


def _gru(file: FileArrays, layer: KerasLayer, config: Mapping[str, Any], W_rec: Array, W_in: Array) -> Layer:
    """Keras stacks u, r, n; a GRU that resets after the product has a row of input and a row of recurrent biases."""
    reset_after = bool(config.get("reset_after", False))
    bias = _bias(file, layer, (2, len(W_rec)) if reset_after else (len(W_rec),))
    b_in, b_rec = bias if reset_after else (bias, np.zeros(len(W_rec)))
    W_rec, W_in, b_rec, b_in = (reorder_gates(x, (1, 0, 2)) for x in (W_rec, W_in, b_rec, b_in))
    return gated("gru", W_rec, W_in, b_rec, b_in, reset_after=reset_after)


def _lstm(file: FileArrays, layer: KerasLayer, W_rec: Array, W_in: Array) -> Layer:
    """Keras stacks i, f, c, o, which is our order; it has one bias."""
    return gated("lstm", W_rec, W_in, np.zeros(len(W_rec)), _bias(file, layer, (len(W_rec),)))


def _check_activations(file: FileArrays, layer: KerasLayer, kind: str, config: Mapping[str, Any]) -> None:
    is_keras_1 = "inner_activation" in config or file.metadata.get("keras_version", "").startswith("1.")
    gate = "inner_activation" if is_keras_1 else "recurrent_activation"
    for key, wanted in (("activation", "tanh"), (gate, "sigmoid")):
        found = activation_name(config.get(key, "hard_sigmoid" if key == "inner_activation" else wanted))
        if found != wanted:
            raise ModelFileError(
                f"{file.path}: layer {layer.name!r} ({kind}) has {key} {found!r}; retime's {kind} has {wanted}. Train it with "
                f"{key}={wanted!r}."
            )
