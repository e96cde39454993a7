"""From the layers of a Keras model to a network: the layers' classes, activations and order decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.io.arrays import FileArrays, KerasLayer
from retime.io.keras import class_of
from retime.io.named import Recognition
from retime.io.recurrent import Layer, elman, gated, network, reorder_gates

_INACTIVE = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "InputLayer", "Masking",
    "SpatialDropout1D",
)  # fmt: skip
"""Layers that do nothing when a trained network is used."""

_MASKS = ("NotEqual", "Any")
"""Operations that Keras 3 writes into a functional model to make the mask of a Masking layer."""

_CELLS = ("SimpleRNN", "GRU", "LSTM")
_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}

_SUPPORTED = "supported are SimpleRNN, GRU and LSTM layers, one after the other, followed by at most one Dense layer"


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
    file, notes = _without_head(file)
    active = [x for x in file.layers if not _is_inactive(x) and x.class_name not in _MASKS]
    recurrent, rest = _split(file, active)
    _check_chain(file, active)
    _check_outputs(file, active)
    for layer in active:
        _check_weights(file, layer)
    layers = [_layer(file, x) for x in recurrent]
    check_family(file, family, layers)
    readout = _readout(file, rest[0]) if rest else None
    model = network(layers, readout, time, options, stacked=family == "stacked_rnn")
    kinds = " + ".join(x.class_name for x in active)
    shown = ", ".join(f"{_cell(x)[0]} of {x.weights['recurrent_kernel'].shape[0]} units" for x in recurrent)
    notes += _activation_of_readout(rest)
    return model, Recognition(model.family, f"Keras {kinds}: {shown}", (), tuple(notes))


_HEADS = ("Softmax", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU")


def _without_head(file: FileArrays) -> tuple[FileArrays, list[str]]:
    """The file without the functions that are applied to the readout at the end, and a note on each."""
    names = [x.class_name for x in file.layers]
    if not {"Dense", "TimeDistributed"} & set(names):
        return file, []
    last = max(k for k, name in enumerate(names) if name in ("Dense", "TimeDistributed"))
    heads = [x for x in file.layers[last + 1 :] if x.class_name in _HEADS and not _is_inactive(x)]
    notes = [f"Not read: layer {x.name!r} ({_kind(x)}); the outputs are what it is applied to." for x in heads]
    layers = (
        replace(x, class_name="Dropout") if x in heads else x for x in file.layers
    )  # passed over, as a Dropout is
    return replace(file, layers=tuple(layers)), notes


def _activation_of_readout(rest: Sequence[KerasLayer]) -> list[str]:
    shown = [(x.name, _name(_readout_config(x).get("activation"))) for x in rest]
    return [
        f"Not read: the activation {name!r} of layer {layer!r}; the outputs are what it is applied to."
        for layer, name in shown
        if name != "linear"
    ]


def _readout_config(layer: KerasLayer) -> Mapping[str, Any]:
    return layer.config.get("layer", {}).get("config", layer.config)


def check_family(file: FileArrays, family: str | None, layers: Sequence[Layer]) -> None:
    """Check that the user's choice is what a file that names its layers says.

    Raises:
        ModelFileError: it is another family.
    """
    if family not in (None, "stacked_rnn", *(x.family for x in layers)):
        said = " + ".join(x.family for x in layers)
        raise ModelFileError(f"{file.path}: the file says itself that it is {said}, not {family!r}; drop `family`.")


def _is_inactive(layer: KerasLayer) -> bool:
    is_linear = layer.class_name == "Activation" and _name(layer.config.get("activation")) == "linear"
    return layer.class_name in _INACTIVE or is_linear


def _split(file: FileArrays, active: list[KerasLayer]) -> tuple[list[KerasLayer], list[KerasLayer]]:
    """The recurrent layers, and the one Dense layer after them, if any."""
    kinds = " + ".join(_kind(x) for x in active) or "no layers"
    if any(x.class_name == "Bidirectional" for x in active):
        raise ModelFileError(
            f"{file.path}: the Keras model is {kinds}; a Bidirectional layer reads the future, so no system that runs forward "
            "in time is it. Load a model with its forward layer alone."
        )
    count = next((k for k, x in enumerate(active) if _cell(x)[0] not in _CELLS), len(active))
    rest = active[count:]
    if count == 0 or [_kind(x) for x in rest] not in ([], ["Dense"], ["TimeDistributed(Dense)"]):
        raise ModelFileError(f"{file.path}: the Keras model is {kinds}; {_SUPPORTED}.")
    return active[:count], rest


def _kind(layer: KerasLayer) -> str:
    inner = class_of(layer.config.get("layer" if layer.class_name == "TimeDistributed" else "cell", {}))
    if layer.class_name == "Activation":
        return f"Activation({_name(layer.config.get('activation'))})"
    return f"{layer.class_name}({inner})" if inner else layer.class_name


def _cell(layer: KerasLayer) -> tuple[str, Mapping[str, Any]]:
    """The class and configuration of a layer's cell; `RNN` has them inside."""
    if layer.class_name != "RNN":
        return layer.class_name, layer.config
    inner = layer.config.get("cell", {})
    return class_of(inner).removesuffix("Cell"), inner.get("config", {})


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
        if layer is None or not _is_inactive(layer):
            return name
        if not layer.calls or not layer.calls[0]:
            return None
        name = layer.calls[0][0]
    return name


def _check_outputs(file: FileArrays, active: list[KerasLayer]) -> None:
    """Only a recurrent layer's outputs may be read, not its last states, and the model must give those of the last layer."""
    by_name = {x.name: x for x in file.layers}
    for layer in file.layers:
        uses = zip(layer.calls, layer.reads, strict=False)
        for name, output in (pair for use in uses for pair in zip(*use, strict=True)):
            if output and any(x.name == name for x in active):
                raise ModelFileError(
                    f"{file.path}: layer {layer.name!r} reads output {output} of layer {name!r}, one of its last states; retime "
                    f"reads the outputs only (output 0). Connect it to these; {_SUPPORTED}."
                )
    given = [(_active_source(by_name, name), output) for name, output in file.outputs]
    if given and (active[-1].name, 0) not in given:
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
    integers = [k for k, x in layer.weights.items() if x.dtype.kind in "biu"]
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
    kind, config = _cell(layer)
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
    activation = _name(config.get("activation", "tanh"))
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
        found = _name(config.get(key, "hard_sigmoid" if key == "inner_activation" else wanted))
        if found != wanted:
            raise ModelFileError(
                f"{file.path}: layer {layer.name!r} ({kind}) has {key} {found!r}; retime's {kind} has {wanted}. Train it with "
                f"{key}={wanted!r}."
            )


def _name(activation: Any) -> str:
    """The name of an activation, as text or as Keras 3 writes a function; None is linear."""
    if isinstance(activation, dict):
        activation = activation.get("config", activation)
    return "linear" if activation is None else str(activation)


def _readout(file: FileArrays, layer: KerasLayer) -> Readout:
    if "kernel" not in layer.weights:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} has no weights `kernel`. Save the model after it was built."
        )
    return Readout(layer.weights["kernel"].T, layer.weights.get("bias"))
