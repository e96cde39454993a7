"""What one layer of a Keras model is: its kind, its cell, its activation, and the affine map that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays, KerasLayer
from retime.io.keras import class_of
from retime.io.recurrent import Affine

_INACTIVE = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "InputLayer", "Masking",
    "SpatialDropout1D",
)  # fmt: skip
"""Layers that do nothing when a trained network is used."""

_AFFINE = ("Dense", "BatchNormalization", "Normalization", "Rescaling")
_FUNCTIONS = ("Activation", "Softmax", "ReLU")
HEADS = (
    *_AFFINE, *_FUNCTIONS, "LeakyReLU", "ELU", "PReLU", "LayerNormalization", "UnitNormalization", "Flatten", "Reshape", "Permute",
    "GlobalAveragePooling1D", "GlobalMaxPooling1D", "AveragePooling1D", "MaxPooling1D", "Conv1D", "TimeDistributed",
)  # fmt: skip
"""Layers without memory, which after the last recurrent layer may be left unread: the dynamics do not depend on them."""

_ACTIVATIONS = {
    "linear": "linear", "tanh": "tanh", "relu": "relu", "sigmoid": "logistic", "softplus": "softplus", "exponential": "exp",
    "softmax": "softmax",
}  # fmt: skip
"""Keras' names for the functions that a readout may have, and ours."""


def is_inactive(layer: KerasLayer) -> bool:
    """Whether the layer does nothing in a trained network."""
    is_linear = layer.class_name == "Activation" and activation_name(layer.config.get("activation")) == "linear"
    return layer.class_name in _INACTIVE or is_linear


def kind(layer: KerasLayer) -> str:
    """The class of a layer, with that of the one inside it, for messages."""
    inner = class_of(layer.config.get("layer" if layer.class_name == "TimeDistributed" else "cell", {}))
    if layer.class_name == "Activation":
        return f"Activation({activation_name(layer.config.get('activation'))})"
    return f"{layer.class_name}({inner})" if inner else layer.class_name


def cell(layer: KerasLayer) -> tuple[str, Mapping[str, Any]]:
    """The class and configuration of a layer's cell; `RNN` has them inside."""
    if layer.class_name != "RNN":
        return layer.class_name, layer.config
    inner = layer.config.get("cell", {})
    return class_of(inner).removesuffix("Cell"), inner.get("config", {})


def activation_name(activation: Any) -> str:
    """The name of an activation, as text or as Keras 3 writes a function; None is linear."""
    if isinstance(activation, dict):
        activation = activation.get("config", activation)
    return "linear" if activation is None else str(activation)


def at_each_step(layer: KerasLayer) -> tuple[str, Mapping[str, Any]]:
    """The class and configuration of what is applied to each step: those inside a TimeDistributed."""
    if layer.class_name != "TimeDistributed":
        return layer.class_name, layer.config
    inner = layer.config.get("layer", {})
    return class_of(inner), inner.get("config", {})


def is_affine(layer: KerasLayer) -> bool:
    """Whether the layer is affine, but for an activation after it."""
    return at_each_step(layer)[0] in _AFFINE


def is_function(layer: KerasLayer) -> bool:
    """Whether the layer is a function of its inputs alone, without weights."""
    return at_each_step(layer)[0] in _FUNCTIONS


def applied(layer: KerasLayer) -> tuple[str, str | None]:
    """The function that a layer ends with, as Keras calls it and as a readout does; None where no readout has it."""
    name, config = at_each_step(layer)
    if name == "Softmax":
        return "softmax", "softmax" if config.get("axis", -1) in (-1, [-1]) else None
    if name == "ReLU":
        is_plain = not config.get("negative_slope") and config.get("max_value") is None and not config.get("threshold")
        return "relu", "relu" if is_plain else None
    found = activation_name(config.get("activation")) if name in ("Dense", "Activation") else "linear"
    return found, _ACTIVATIONS.get(found)


def affine(file: FileArrays, layer: KerasLayer, size: int) -> Affine:
    """The affine map of a layer on `size` numbers, as it is in a trained network; without its activation.

    Raises:
        ModelFileError: it has no weights, other ones, or acts along another axis than the last.
    """
    name, config = at_each_step(layer)
    if name == "Dense":
        (W,) = _weights(file, layer, "kernel")
        return Affine.dense(W.T, layer.weights.get("bias"))
    if name == "Rescaling":
        return Affine.scaled(config.get("scale", 1.0), config.get("offset", 0.0), size)
    _check_axis(file, layer, config)
    if name == "Normalization":
        return _normalization(file, layer, config, size)
    mean, variance = _weights(file, layer, "moving_mean", "moving_variance")
    deviation = np.sqrt(np.asarray(variance, dtype=float) + config.get("epsilon", 1e-3))
    scale = layer.weights.get("gamma", 1.0) / deviation
    return Affine.scaled(scale, layer.weights.get("beta", 0.0) - scale * mean, size)


def _normalization(file: FileArrays, layer: KerasLayer, config: Mapping[str, Any], size: int) -> Affine:
    """(x - mean) / deviation, with statistics from the data or from the configuration."""
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        mean, variance = _weights(file, layer, "mean", "variance")
    mean, variance = np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # Keras' epsilon
    if config.get("invert"):
        return Affine.scaled(deviation, mean, size)
    return Affine.scaled(1.0 / deviation, -mean / deviation, size)


def _check_axis(file: FileArrays, layer: KerasLayer, config: Mapping[str, Any]) -> None:
    axis = config.get("axis", -1)
    axes = list(axis) if isinstance(axis, (list, tuple)) else [] if axis is None else [axis]
    if any(k not in (-1, 2) for k in axes):
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({kind(layer)}) acts along axis {axis}; only along the last one, the units, it is part of "
            "the network's weights."
        )


def _weights(file: FileArrays, layer: KerasLayer, *names: str) -> list[np.ndarray]:
    missing = [x for x in names if x not in layer.weights]
    if missing:
        raise ModelFileError(
            f"{file.path}: layer {layer.name!r} ({kind(layer)}) has no weights `{missing[0]}`; it has {', '.join(layer.weights) or 'none'}. "
            "Save the model after it was built."
        )
    return [layer.weights[x] for x in names]
