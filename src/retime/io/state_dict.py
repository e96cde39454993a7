"""Recurrent weights by name: PyTorch's (`weight_hh_l0`, ...) and plain ones (`W_rec`, `W_in`, `b`).

The shapes decide the cell: as many rows of recurrent weights as columns are an Elman network, three times as many a GRU
and four times as many an LSTM, with the gates in PyTorch's order, which is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.core.readout import Readout
from retime.core.system import System
from retime.core.time import TimeBase
from retime.io.arrays import FileArrays
from retime.io.modules import function_on, is_embedding, notes_on_modules, said_nonlinearity
from retime.io.named import Named, Recognition, held, own_readout, size
from retime.io.recurrent import Affine, Layer, gated, network, read_through

FAMILIES_BY_GATES = {1: ("tanh_rnn", "relu_rnn", "leaky_rnn", "rate_rnn"), 3: ("gru",), 4: ("lstm",)}
RECURRENT_FAMILIES = (*(name for names in FAMILIES_BY_GATES.values() for name in names), "stacked_rnn")

_KINDS = {1: "an Elman network", 3: "a GRU", 4: "an LSTM"}

_NAME = re.compile(r"(?:(.*)\.)?(weight|bias)_(ih|hh|hr)(?:_l(\d+))?(_reverse)?")

_REVERSE = (
    "has the weights of a backward direction (`{}`), which reads the future: no system that runs forward in time is it. Save the "
    "arrays without `_reverse` to load the forward direction of a single layer alone."
)
_PROJECTED = (
    "has projected outputs (`{}`, proj_size > 0), which no family of retime has. Train it with proj_size=0 and read the outputs "
    "by a linear layer."
)


@dataclass(frozen=True, eq=False)
class _Weights:
    """The arrays of one layer by parameter, and their names in the file."""

    arrays: Mapping[str, Array]
    names: Mapping[str, str]

    def shown(self, *parameters: str) -> str:
        return ", ".join(f"`{self.names[p]}` {size(self.arrays[p])}" for p in parameters if p in self.arrays)


def is_recurrent_name(name: str) -> bool:
    """Whether PyTorch gives this name to a parameter of a recurrent layer."""
    return _NAME.fullmatch(name) is not None


def learned_start(file: FileArrays) -> str | None:
    """The name of an initial state `h0` that was learned, n numbers beside one layer of n units under PyTorch's names; None for none."""
    weights = [
        x for name, x in file.arrays.items() if (m := _NAME.fullmatch(name)) and m[2] == "weight" and m[3] == "hh"
    ]
    if (
        len(weights) != 1
        or weights[0].ndim != 2
        or len(weights[0]) not in (weights[0].shape[1], 3 * weights[0].shape[1])
    ):
        return None
    found = [x for x, a in file.arrays.items() if x.rpartition(".")[2] in _STARTS and a.size == weights[0].shape[1]]
    return found[0] if len(found) == 1 else None


_STARTS = ("h0", "h_0", "hidden0", "init_hidden", "h_init")


def read_state_dict(
    found: Named, family: str | None, time: TimeBase, options: Mapping[str, Any]
) -> tuple[System, Recognition]:
    """The model of recurrent weights that are told by their names.

    Args:
        found: the file's arrays.
        family: the user's choice, one of `RECURRENT_FAMILIES`; None decides from the arrays.
        time: the time base. options: the family's own.

    Raises:
        ModelFileError: arrays are missing or disagree, or the network is bidirectional or projected. TypeError: options.
    """
    weights, is_torch = _layers(found, family)
    options, rate = _with_rate(found, family, options)
    if family is None and not is_torch:
        _check_leak(found)
    gates = [_gates(found, w) for w in weights]
    chosen = [_family(found, w, g, family, is_torch) for w, g in zip(weights, gates, strict=True)]
    layers = [_layer(w, name) for w, name in zip(weights, chosen, strict=True)]
    readout, function, notes = _readout(found, weights, is_torch)
    start = learned_start(found.file)
    if start is not None:
        found.read.add(start)
        notes.append(f"`{start}` is an initial state, which retime.io.initial_states gives.")
    model = network(layers, readout, time, options, stacked=family == "stacked_rnn")
    others: tuple[str, ...] = ()
    said = said_nonlinearity(found.file, weights[0].names["W_rec"])
    if family is None and not said:
        others = _others(found, gates[0], is_torch, notes)
    notes += rate + notes_on_modules(found.file, weights[0].names["W_rec"], function)
    reason = ", ".join(w.shown("W_rec", "W_in") for w in weights)
    return model, Recognition(model.family, reason, others, tuple(notes))


def _others(found: Named, gates: int, is_torch: bool, notes: list[str]) -> tuple[str, ...]:
    """The families that the same arrays fit; what the file does not say is added to the notes."""
    if gates == 1 and is_torch:
        whose = "The module does" if found.file.modules else "A PyTorch file does"
        live = "" if found.file.modules else ". The module itself does, load(module)"
        notes.insert(
            0,
            f"{whose} not name its nonlinearity: tanh is the default of nn.RNN{live}; known outputs decide, check=(inputs, outputs).",
        )
        return ('family="relu_rnn"',)
    if gates == 1:
        notes.insert(
            0, "The file says neither the nonlinearity, nor a leak or a time constant: read as relu, without a leak."
        )
        return ('family="tanh_rnn"', 'family="leaky_rnn" (needs alpha=...)', 'family="rate_rnn" (needs tau=...)')
    if not is_torch:
        notes.insert(
            0,
            f"The file does not say the order of the gates: read as {'r, u, n' if gates == 3 else 'i, f, g, o'}, as in PyTorch.",
        )
    return ()


# Which arrays belong to which layer.


def _layers(found: Named, family: str | None) -> tuple[list[_Weights], bool]:
    """The layers' weights from the lowest up, and whether they have PyTorch's names."""
    named = [(match, name) for name in found.file.arrays if (match := _NAME.fullmatch(name)) is not None]
    if not named:
        return [_plain_layer(found, family)], False
    prefixes = sorted({match[1] or "" for match, _ in named})
    for match, name in named:
        if match[5]:
            raise ModelFileError(f"{found.file.path} {_REVERSE.format(name)}")
        if match[3] == "hr":
            raise ModelFileError(f"{found.file.path} {_PROJECTED.format(name)}")
    if len(prefixes) > 1:
        raise ModelFileError(
            f"{found.file.path}: {len(prefixes)} recurrent modules ({', '.join(prefixes)}), and a state dict does not say how they "
            f"are connected. Choose one of them, prefix={_telling(prefixes)!r}."
        )
    return _torch_layers(found, named), True


def _telling(prefixes: list[str]) -> str:
    """The least of the first prefix that no other one begins with, so that the layers beside its recurrent one come along."""
    first, *rest = (x.split(".") for x in prefixes)
    lengths = (k for k in range(1, len(first)) if all(x[:k] != first[:k] for x in rest))
    return ".".join(first[: next(lengths, len(first))])


def _torch_layers(found: Named, named: list[tuple[re.Match[str], str]]) -> list[_Weights]:
    parameters = {("weight", "hh"): "W_rec", ("weight", "ih"): "W_in", ("bias", "hh"): "b_rec", ("bias", "ih"): "b_in"}
    names: dict[int, dict[str, str]] = {}
    for match, name in named:
        names.setdefault(int(match[4] or 0), {})[parameters[match[2], match[3]]] = name
    for k in range(len(names)):
        missing = [x for p, x in (("W_rec", "weight_hh"), ("W_in", "weight_ih")) if p not in names.get(k, {})]
        if missing:
            raise ModelFileError(
                f"{found.file.path}: `{missing[0]}_l{k}` is missing; each of the {len(names)} layers needs weight_ih and weight_hh. "
                f"The file holds {held(found.file)}."
            )
    found.read.update(x for _, x in named)
    return [_Weights({p: found.file.arrays[x] for p, x in names[k].items()}, names[k]) for k in range(len(names))]


def _plain_layer(found: Named, family: str | None) -> _Weights:
    """`W_rec`, `W_in` and their biases; `b` is the readout's where it has the length of the readout, not of the units."""
    found.require(family or "relu_rnn", "W_rec")
    names = [p for p in ("W_rec", "W_in", "b_rec", "b_in", "b") if p in found]
    if "b" in names and "B" in found and found.peek("b").size == len(found.peek("B")) != len(found["W_rec"]):
        names.remove("b")
    return _Weights({p: found[p] for p in names}, {p: found.used[p] for p in names})


_LEAKS = ("alpha", "tau", "leak", "leak_rate", "decay", "taus", "alphas")


def _check_leak(found: Named) -> None:
    """A file with a leak or a time constant is not of a network without one."""
    names = [x for x in found.file.arrays if x.rpartition(".")[2] in _LEAKS]
    if names:
        raise ModelFileError(
            f'{found.file.path} holds `{names[0]}`, as leaky networks do, and does not say their form. Pass it: family="leaky_rnn", '
            'alpha=..., activation="relu" (z\' = (1 - alpha) z + alpha f(...)), or family="rate_rnn", tau=..., activation=... in continuous '
            "time."
        )


def _with_rate(found: Named, family: str | None, options: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """The options with the leak or time constant that the family needs, from the file where the user gives none; and a note on it."""
    name = {"leaky_rnn": "alpha", "rate_rnn": "tau"}.get(family or "")
    if name is None or name in options:
        return options, []
    stored = found.field(name)
    if stored is None:
        raise TypeError(f"it needs {name}=..., which the file does not hold")
    value = np.squeeze(stored)
    return {**options, name: value}, [f"`{name}` is {value:.6g}."] if value.ndim == 0 else []


# What the shapes say.


def _gates(found: Named, weights: _Weights) -> int:
    """How many gates are stacked: 1, 3 or 4."""
    W_rec, name = weights.arrays["W_rec"], weights.names["W_rec"]
    rows, n = W_rec.shape if W_rec.ndim == 2 else (len(np.atleast_1d(W_rec)), 0)
    gates = rows // n if n and rows % n == 0 else 0
    if gates not in _KINDS:
        raise ModelFileError(
            f"{found.file.path}: `{name}` is {size(W_rec)}; it must be n x n (an Elman network), 3n x n (a GRU) or 4n x n (an LSTM)."
        )
    _check_rows(found, weights, rows, f"{_KINDS[gates]} of {n} units")
    return gates


def _check_rows(found: Named, weights: _Weights, rows: int, kind: str) -> None:
    for parameter, array in weights.arrays.items():
        if parameter == "W_rec":
            continue
        fits = array.ndim == 2 and len(array) == rows if parameter == "W_in" else array.size == rows
        if not fits:
            wanted = f"{rows} x inputs" if parameter == "W_in" else f"{rows}"
            raise ModelFileError(
                f"{found.file.path}: {weights.shown(parameter)} does not go with {weights.shown('W_rec')}, {kind}; it must be "
                f"{wanted}. Check that both come from the same layer."
            )


def _family(found: Named, weights: _Weights, gates: int, family: str | None, is_torch: bool) -> str:
    fitting = FAMILIES_BY_GATES[gates]
    said = said_nonlinearity(found.file, weights.names["W_rec"]) if gates == 1 else ""
    if said and family in ("tanh_rnn", "relu_rnn") and family != f"{said}_rnn":
        raise ModelFileError(
            f"{found.file.path}: the module says itself that its nonlinearity is {said}, not {family!r}; drop `family`."
        )
    if family in (None, "stacked_rnn"):
        return f"{said}_rnn" if said else "relu_rnn" if gates == 1 and not is_torch else fitting[0]
    if family not in fitting:
        raise ModelFileError(
            f"{found.file.path}: {weights.shown('W_rec')} is {_KINDS[gates]}, not {family!r}; pass family="
            f"{' or '.join(map(repr, fitting))}, or leave it out."
        )
    return str(family)


def _layer(weights: _Weights, family: str) -> Layer:
    arrays = weights.arrays
    W_rec = arrays["W_rec"]
    rows = len(W_rec)
    W_in = arrays.get("W_in", np.zeros((rows, 0)))
    b_rec, b_in, b = (_bias(arrays.get(p), rows) for p in ("b_rec", "b_in", "b"))
    if family in ("gru", "lstm"):
        return gated(family, W_rec, W_in, b_rec, b_in + b)
    return Layer(family, {"W_rec": W_rec, "W_in": W_in, "b": b_rec + b_in + b})


def _bias(array: Array | None, rows: int) -> Array:
    return np.zeros(rows) if array is None else np.asarray(array, dtype=np.float64).reshape(-1)


# The readout.


def _readout(found: Named, weights: list[_Weights], is_torch: bool) -> tuple[Readout | None, str, list[str]]:
    """`B`, or the one linear layer `NAME.weight` (p, H) after the recurrent one; the module of its function; and notes on the choice."""
    own = own_readout(found) if not is_torch else None
    if own is not None:
        B, b = own
        return Readout(B, found.get("b") if b is None and "b" not in weights[-1].arrays else b), "", []
    H, arrays = weights[-1].arrays["W_rec"].shape[1], found.file.arrays
    others = [name for name in arrays if name.rsplit(".", 1)[-1] == "weight"]
    below = _below(found, weights, others) if len(others) > 1 else []
    notes = [_note_below(found, weights, x) for x in below]
    above = [x for x in others if x not in below]
    if not above:
        return None, "", notes
    name = above[0]
    if not (len(above) == 1 or _are_one_after_the_other(above)) or arrays[name].ndim != 2 or arrays[name].shape[1] != H:
        shown = ", ".join(f"`{x}`" for x in above)
        return (
            None,
            "",
            [*notes, f"No readout in {shown}; it is one linear layer (outputs x {H}) after the recurrent one."],
        )
    doubt = _doubt(found, weights, name) if len(above) == 1 else ""
    if doubt:
        return None, "", [
            *notes, f"`{name}` is not taken for the readout: {doubt}. If it is, set `readout` of the model to it."
        ]  # fmt: skip
    layers = [(x, x.removesuffix("weight") + "bias") for x in above]
    found.read.update(x for pair in layers for x in pair if x in arrays)
    (W, b), *rest = [(arrays[x], arrays.get(bias)) for x, bias in layers]
    readout = read_through(Readout(W, b), [Affine.dense(*x) for x in rest])
    notes.append(f"{' and '.join(f'`{x}`' for x in above)} {'is' if len(above) == 1 else 'are'} the readout.")
    module, function = function_on(found.file, above[-1]) or ("", "linear")
    if module:
        notes.append(f"`{module}` is its function, {function}.")
    return replace(readout, activation=function), module, notes


def _below(found: Named, weights: list[_Weights], others: list[str]) -> list[str]:
    """Layers that stand before the recurrent weights and give as many numbers as these read."""
    names, m = list(found.file.arrays), weights[0].arrays.get("W_in", np.zeros((0, 0))).shape[-1]
    first = names.index(weights[0].names["W_rec"])
    is_ordered = found.file.format in _ORDERED
    before = [x for x in others if is_ordered and names.index(x) < first]
    return [x for x in before if m in found.file.arrays[x].shape[int(is_embedding(found.file, x)) :][:1]]


def _note_below(found: Named, weights: list[_Weights], name: str) -> str:
    note = f"`{name}` feeds the recurrent layer and is not part of the model, whose inputs are what it gives."
    W_in = weights[0].names["W_in"]
    if found.file.arrays[name].ndim != 2 or is_embedding(found.file, name):
        return note
    return f'{note} It is part of it by names={{"W_in": "{W_in} @ {name}", ...}}, its bias likewise, where no function stands between.'


def _are_one_after_the_other(names: list[str]) -> bool:
    """Whether they are layers of one `nn.Sequential` with none between, which the numbers in their names say: no function is left out."""
    parts = [x.split(".") for x in names]
    if len({(tuple(x[:-2]), len(x)) for x in parts}) > 1 or not all(len(x) > 1 and x[-2].isdigit() for x in parts):
        return False
    numbers = [int(x[-2]) for x in parts]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


_ORDERED = ("torch-zip", "torch-legacy", "pickle", "object", "npz")  # keep the order in which the modules were made

_ENCODERS = ("embed", "enc", "in_proj", "input")


def _doubt(found: Named, weights: list[_Weights], name: str) -> str:
    """Why a weight that has the shape of a readout may be none; empty where nothing speaks against it."""
    names, module = list(found.file.arrays), name.removesuffix("weight")
    feeds = len(found.file.arrays[name]) == weights[0].arrays.get("W_in", np.zeros((0, 0))).shape[-1]
    if "embed" in module.lower() and f"{module}bias" not in names:
        return "by its name and without a bias it is an embedding"
    if found.file.format in _ORDERED and names.index(name) < names.index(weights[0].names["W_rec"]):
        return "it stands before the recurrent weights, as a layer that feeds them does"
    if found.file.format not in _ORDERED and feeds and any(x in module.lower() for x in _ENCODERS):
        return "by its name and its rows it feeds the recurrent layer"
    siblings = [x for x in names if _is_sibling(x, module) and _NAME.fullmatch(x) is None]
    if siblings:
        return f"`{siblings[0]}` beside it belongs to the same module, which is more than a linear layer"
    return ""


def _is_sibling(name: str, module: str) -> bool:
    """Whether a parameter is of the module "parent.linear." beside its weight and bias, or a weight of the parent itself."""
    if name.startswith(module):
        return bool(module) and name.removeprefix(module) not in ("weight", "bias")
    parent, _, leaf = name.rpartition(".")
    return bool(module) and parent == module.rstrip(".").rpartition(".")[0] and "weight" in leaf
