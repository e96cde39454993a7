"""From named arrays to a model: which family fits, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError, RetimeError
from retime.core.system import System
from retime.core.time import Continuous, Discrete, TimeBase
from retime.io.arrays import FileArrays, KerasLayer
from retime.models import FAMILIES

ALIASES: Mapping[str, tuple[str, ...]] = {
    "A": ("A", "a_diag", "AD"),
    "W": ("W", "W0", "AW"),
    "h": ("h", "h0", "bias_h"),
    "C": ("C", "input_weights"),
    "W1": ("W1", "W_1", "W₁"),
    "W2": ("W2", "W_2", "W₂"),
    "h1": ("h1", "h_1", "h₁"),
    "h2": ("h2", "h_2", "h₂"),
    "slopes": ("slopes", "alphas", "alpha"),
    "thresholds": ("thresholds", "H"),
    "W_rec": ("W_rec", "weight_hh_l0", "weight_hh", "recurrent_kernel"),
    "W_in": ("W_in", "weight_ih_l0", "weight_ih"),
    "b_rec": ("bias_hh_l0", "bias_hh"),
    "b_in": ("bias_ih_l0", "bias_ih"),
    "b": ("b",),
    "E": ("E",),
    "B": ("B", "readout_B"),
    "readout_b": ("readout_b",),
    "dt": ("dt", "delta_t", "Δt"),
}
"""Names under which published files store a parameter; a prefix that ends with "." is ignored (`model.A` is `A`)."""

INITIAL_STATES = ("z0", "mu0", "x0", "initial_states")


@dataclass(frozen=True)
class Recognition:
    """Why a file was read as it was.

    Attributes:
        family: the family's name for `family=`.
        reason: the arrays that decided.
        others: other families the same arrays would fit, with what they need; empty when there are none.
        notes: what else the reader should know.
    """

    family: str
    reason: str
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def sentence(self, name: str) -> str:
        """One line for a person."""
        text = f"{name}: read as {self.family} ({self.reason})."
        if self.others:
            text += f" The same arrays also fit {' and '.join(self.others)}."
        return " ".join([text, *self.notes])


def recognize(
    file: FileArrays, family: str | None, dt: float | None, options: dict[str, Any]
) -> tuple[System, Recognition]:
    """Build the model that the arrays describe.

    Raises:
        ModelFileError: no family fits, the given one lacks arrays, or the shapes disagree; the message says which.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(FAMILIES))}.")
    found = _Named(file)
    time = _time(found, family, dt)
    try:
        if file.layers:
            return _from_keras(file, time, family, options)
        name = family or _fitting(found)
        parameters, recognition = _BUILDERS[name](found, family is not None)
        return FAMILIES[name](**parameters, time=time, **options), recognition
    except (ValueError, TypeError) as error:
        if isinstance(error, (RetimeError, ValueError)):
            raise ModelFileError(f"{file.path}: {error}") from error
        raise TypeError(f"{file.path}: family {family or _fitting(found)!r} with options {options}: {error}") from error


class _Named:
    """Arrays under canonical names, and which file names were used."""

    def __init__(self, file: FileArrays) -> None:
        self.file, self.used = file, {}
        short = {key.rsplit(".", 1)[-1]: value for key, value in file.arrays.items()}
        self.arrays: dict[str, Array] = {}
        for name, aliases in ALIASES.items():
            key = next((a for a in aliases if a in short), None)
            if key is not None:
                self.arrays[name], self.used[name] = short[key], key

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def get(self, name: str, default: Array | None = None) -> Array | None:
        return self.arrays.get(name, default)

    def names(self, *names: str) -> str:
        return ", ".join(f"`{self.used[n]}` {'x'.join(map(str, self[n].shape))}" for n in names if n in self)

    def require(self, family: str, *names: str) -> None:
        missing = [n for n in names if n not in self]
        if missing:
            wanted = ", ".join(
                f"`{n}` (also accepted: {', '.join(ALIASES[n][1:]) or 'no other name'})" for n in missing
            )
            raise ModelFileError(
                f"{self.file.path}: family {family} needs {wanted}; the file holds {_held(self.file)}."
            )


def _held(file: FileArrays) -> str:
    if not file.arrays:
        return "no arrays"
    shown = [f"`{k}` {'x'.join(map(str, v.shape)) or 'scalar'}" for k, v in list(file.arrays.items())[:12]]
    return ", ".join(shown) + (", ..." if len(file.arrays) > 12 else "")


def _time(found: _Named, family: str | None, dt: float | None) -> TimeBase:
    if family == "continuous_plrnn":
        if dt is not None:
            raise ValueError("`dt` was given, but a continuous_plrnn is in continuous time; drop `dt`.")
        return Continuous()
    if dt is None and "dt" in found and found["dt"].size == 1:
        dt = float(found["dt"].reshape(()))
    return Discrete(1.0 if dt is None else dt)


def _fitting(found: _Named) -> str:
    """The family whose parameters the file holds."""
    for name, parameters in _SIGNATURES.items():
        if all(p in found for p in parameters):
            return name
    raise ModelFileError(
        f"{found.file.path}: no family fits. Known are A, W, h (plrnn); A, W1, W2, h1, h2 (shallow_plrnn); A, W, h, slopes, "
        f"thresholds (dendritic_plrnn); weight_hh_l0, weight_ih_l0 or W_rec, W_in (relu_rnn). The file holds "
        f"{_held(found.file)}. Rename the arrays, or pass `family=`."
    )


_SIGNATURES = {
    "shallow_plrnn": ("A", "W1", "W2", "h1", "h2"),
    "dendritic_plrnn": ("A", "W", "h", "slopes", "thresholds"),
    "plrnn": ("A", "W", "h"),
    "relu_rnn": ("W_rec", "W_in"),
}


def _shared(found: _Named) -> tuple[dict[str, Any], list[str]]:
    """Inputs and readout, which all PLRNN forms share."""
    notes: list[str] = []
    parameters: dict[str, Any] = {}
    if "C" in found and np.any(found["C"]):
        parameters["C"] = found["C"]
    elif "C" in found:
        notes.append("`C` is all zero: read as no inputs.")
    if "B" in found and found["B"].ndim == 2 and found["B"].shape[1] == len(found["A"]):
        b = found["readout_b"] if "readout_b" in found else _bias(found, len(found["B"]))
        parameters["readout"] = (found["B"], b)
        notes.append("`B` is the readout.")
    return parameters, notes


def _bias(found: _Named, outputs: int) -> Array | None:
    b = found.get("b", None)
    return b if b is not None and b.size == outputs else None


def _plrnn(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("plrnn", "A", "W", "h")
    shared, notes = _shared(found)
    others = ('family="alrnn" (needs num_relu=...)', 'family="continuous_plrnn"')
    reason = found.names("A", "W", "h")
    return {k: found[k] for k in ("A", "W", "h")} | shared, _recognition(
        "plrnn", reason, () if given else others, notes
    )


def _recognition(family: str, reason: str, others: tuple[str, ...], notes: list[str]) -> Recognition:
    return Recognition(family, reason, others, tuple(notes))


def _alrnn(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("alrnn", "A", "W", "h")
    shared, notes = _shared(found)
    if "readout" in shared:
        p, n = found["B"].shape
        shared["readout"] = (np.eye(p, n), np.zeros(p))
        notes[-1] = f"Outputs are the first {p} states; `B` only sets initial states in such files (z_1 = x_1 B)."
    reason = found.names("A", "W", "h")
    return {k: found[k] for k in ("A", "W", "h")} | shared, _recognition("alrnn", reason, (), notes)


def _continuous(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    parameters, recognition = _plrnn(found, True)
    return parameters, _recognition("continuous_plrnn", recognition.reason, (), list(recognition.notes))


def _shallow(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    names = ("A", "W1", "W2", "h1", "h2")
    found.require("shallow_plrnn", *names)
    shared, notes = _shared(found)
    others = () if given else ("its clipped form (clipped=True)",)
    return {k: found[k] for k in names} | shared, _recognition("shallow_plrnn", found.names(*names), others, notes)


def _dendritic(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    names = ("A", "W", "h", "slopes", "thresholds")
    found.require("dendritic_plrnn", *names)
    shared, notes = _shared(found)
    return {k: found[k] for k in names} | shared, _recognition("dendritic_plrnn", found.names(*names), (), notes)


def _relu(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("relu_rnn", "W_rec", "W_in")
    keys = [k.rsplit(".", 1)[-1] for k in found.file.arrays]
    if any(k.startswith("weight_hh_l") and k != "weight_hh_l0" for k in keys):
        raise ModelFileError(
            f"{found.file.path}: the network has several layers or directions; one recurrent layer is supported."
        )
    W_rec = found["W_rec"]
    if W_rec.ndim != 2 or W_rec.shape[0] != W_rec.shape[1]:
        kind = {3: "a GRU", 4: "an LSTM"}.get(W_rec.shape[0] // max(W_rec.shape[-1], 1), "no simple recurrent layer")
        raise ModelFileError(
            f"{found.file.path}: `{found.used['W_rec']}` is {W_rec.shape[0]}x{W_rec.shape[-1]}, {kind}; only a ReLU recurrent layer "
            "(n x n) is piecewise linear."
        )
    b = sum(
        (found[k].reshape(-1) for k in ("b_rec", "b_in", "b") if k in found and found[k].size == len(W_rec)),
        np.zeros(len(W_rec)),
    )
    parameters: dict[str, Any] = {"W_rec": W_rec, "W_in": found["W_in"], "b": b}
    notes = (
        []
        if given or "weight" not in found.used["W_rec"]
        else ['A PyTorch file does not name its nonlinearity, and nn.RNN\'s default is tanh: make sure it was "relu".']
    )
    readout = _torch_readout(found.file.arrays, len(W_rec)) or _own_readout(found)
    if readout is not None:
        parameters["readout"] = readout
    others = () if given or "weight" not in found.used["W_rec"] else ("a tanh network",)
    return parameters, _recognition("relu_rnn", found.names("W_rec", "W_in"), others, notes)


def _own_readout(found: _Named) -> tuple[Array, Array | None] | None:
    if "B" not in found:
        return None
    return found["B"], found.get("readout_b", None)


def _torch_readout(arrays: Mapping[str, Array], n: int) -> tuple[Array, Array | None] | None:
    """The one linear layer `NAME.weight` (p, n) beside the recurrent one, with its bias."""
    layers = [k for k, v in arrays.items() if k.endswith(".weight") and v.ndim == 2 and v.shape[1] == n]
    if len(layers) != 1:
        return None
    return arrays[layers[0]], arrays.get(layers[0].removesuffix("weight") + "bias")


def _linear(found: _Named, given: bool) -> tuple[dict[str, Any], Recognition]:
    found.require("linear", "A", "b", "E")
    parameters: dict[str, Any] = {k: found[k] for k in ("A", "b", "E")}
    readout = _own_readout(found)
    if readout is not None:
        parameters["readout"] = readout
    return parameters, _recognition("linear", found.names("A", "b", "E"), (), [])


_BUILDERS: Mapping[str, Callable[[_Named, bool], tuple[dict[str, Any], Recognition]]] = {
    "plrnn": _plrnn,
    "alrnn": _alrnn,
    "continuous_plrnn": _continuous,
    "shallow_plrnn": _shallow,
    "dendritic_plrnn": _dendritic,
    "relu_rnn": _relu,
    "linear": _linear,
}


# --- Keras: the layer's class and activation decide -------------------------------------------------------------------


def _from_keras(
    file: FileArrays, time: TimeBase, family: str | None, options: dict[str, Any]
) -> tuple[System, Recognition]:
    layers = [
        x
        for x in file.layers
        if x.class_name not in ("InputLayer", "Dropout", "Masking", "Activation", "GaussianNoise")
    ]
    kinds = " + ".join(x.class_name for x in layers) or "no layers"
    if (
        not layers
        or layers[0].class_name != "SimpleRNN"
        or [x.class_name for x in layers[1:]] not in ([], ["Dense"], ["TimeDistributed"])
    ):
        raise ModelFileError(
            f"{file.path}: the Keras model is {kinds}; supported is SimpleRNN (activation relu), followed by at most one Dense layer."
        )
    rnn = layers[0]
    activation = rnn.config.get("activation")
    if activation != "relu":
        raise ModelFileError(
            f"{file.path}: layer {rnn.name!r} has activation {activation!r}, which is not piecewise linear; supported is relu."
        )
    if family not in (None, "relu_rnn"):
        raise ModelFileError(f"{file.path}: layer {rnn.name!r} is a SimpleRNN with relu (relu_rnn), not {family!r}.")
    n = rnn.weights["recurrent_kernel"].shape[0]
    parameters = {
        "W_rec": rnn.weights["recurrent_kernel"].T,
        "W_in": rnn.weights["kernel"].T,
        "b": rnn.weights.get("bias", np.zeros(n)),
        "readout": _keras_readout(file, layers[1:]),
    }
    reason = f"Keras {kinds}, activation relu, {n} units"
    return FAMILIES["relu_rnn"](**parameters, time=time, **options), Recognition("relu_rnn", reason)


def _keras_readout(file: FileArrays, layers: list[KerasLayer]) -> tuple[Array, Array] | None:
    if not layers:
        return None
    weights = {k.rsplit(".", 1)[-1]: v for k, v in layers[0].weights.items()}
    config = layers[0].config.get("layer", {}).get("config", layers[0].config)
    if config.get("activation", "linear") not in ("linear", None):
        raise ModelFileError(
            f"{file.path}: layer {layers[0].name!r} has activation {config['activation']!r}; a readout must be linear. "
            "Load the recurrent layer alone and apply that activation to the outputs."
        )
    return weights["kernel"].T, weights.get("bias", np.zeros(weights["kernel"].shape[1]))
