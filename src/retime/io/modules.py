"""What PyTorch modules say of themselves beside their weights: live ones, and those that were pickled whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retime.io.arrays import FileArrays


def said_nonlinearity(file: FileArrays, weight: str) -> str:
    """The word tanh or relu, where the module that has this weight is an `nn.RNN` or `nn.RNNCell` and says so; else empty."""
    said = _owner(file, weight)
    mode = str(said.get("mode", ""))
    name = mode.removeprefix("RNN_").lower() if mode.startswith("RNN_") else str(said.get("nonlinearity", ""))
    return name if name in ("tanh", "relu") and _is_of_torch(said) else ""


def function_on(file: FileArrays, weight: str) -> tuple[str, str] | None:
    """What the `nn.Sequential` of a linear layer applies to it last: the name of that module, and the readout's word for its function.

    None where nothing follows, more than one function, or one that a readout does not have; and outside an `nn.Sequential`, since only that says
    what comes after what.
    """
    parent, _, number = weight.rpartition(".")[0].rpartition(".")
    if file.modules.get(parent, {}).get("class") != "torch.nn.modules.container.Sequential" or not number.isdigit():
        return None
    start = f"{parent}." if parent else ""
    after = [f"{start}{k}" for k in range(int(number) + 1, len(file.modules)) if f"{start}{k}" in file.modules]
    acting = [x for x in after if _kind(file.modules[x]) not in ("Dropout", "Identity")]
    found = _function(file.modules[acting[0]]) if len(acting) == 1 else None
    return None if found is None else (acting[0], found)


def _function(said: Mapping[str, Any]) -> str | None:
    if not _is_function(said):
        return None
    kind = _kind(said)
    if (kind == "Softmax" and said.get("dim") not in (-1, 2)) or (kind == "Softplus" and said.get("beta") != 1):
        return None
    return _FUNCTIONS.get(kind)


_FUNCTIONS = {"Sigmoid": "logistic", "Tanh": "tanh", "ReLU": "relu", "Softplus": "softplus", "Softmax": "softmax"}


def is_embedding(file: FileArrays, weight: str) -> bool:
    """Whether the module that has this weight is an `nn.Embedding` and says so."""
    said = _owner(file, weight)
    return _is_of_torch(said) and _kind(said) == "Embedding"


def notes_on_modules(file: FileArrays, weight: str, read: str = "") -> list[str]:
    """What the reader should know of the modules around a recurrent layer: a class of one's own, nonlinearities that are not read.

    Args:
        file: what was read. weight: the recurrent weight.
        read: the name of a function that is part of the model.
    """
    notes = []
    said = _owner(file, weight)
    if said and not _is_of_torch(said):
        notes.append(
            f"Its class {said['class']} is not PyTorch's: read by the names of its weights, as if it were; known outputs decide, "
            "check=(inputs, outputs)."
        )
    return notes + notes_on_functions(file, read)


def notes_on_functions(file: FileArrays, read: str = "") -> list[str]:
    """The modules that are functions and not part of the model, but for the one that was read."""
    found = [f"{_kind(x)} `{name}`" for name, x in file.modules.items() if _is_function(x) and name != read]
    remedy = (
        "Where it acts on the outputs, give the readout its `activation`; on the inputs, apply it to them; on leaky units, pass "
        "activation=."
    )
    return [f"Not read: {', '.join(found)}. {remedy}"] if found else []


def _owner(file: FileArrays, weight: str) -> Mapping[str, Any]:
    prefix = weight.rpartition(".")[0]
    return file.modules.get(prefix.removesuffix(".").partition(".parametrizations")[0], {})


def _kind(said: Mapping[str, Any]) -> str:
    return str(said.get("class", "")).rpartition(".")[2]


def _is_of_torch(said: Mapping[str, Any]) -> bool:
    """Whether a class is one of PyTorch's, or made of one (by a parametrization, by inheritance with its attributes)."""
    kind = str(said.get("class", ""))
    return kind.startswith("torch.")


def _is_function(said: Mapping[str, Any]) -> bool:
    kinds = ("torch.nn.modules.activation.", "torch.nn.modules.normalization.")
    return str(said.get("class", "")).startswith(kinds) and _kind(said) != "MultiheadAttention"
