"""What PyTorch modules say of themselves beside their weights: live ones, and those that were pickled whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retime.io.arrays import FileArrays

__all__ = ["notes_on_modules", "said_nonlinearity"]


def said_nonlinearity(file: FileArrays, weight: str) -> str:
    """The word tanh or relu, where the module that has this weight is an `nn.RNN` or `nn.RNNCell` and says so; else empty."""
    said = _owner(file, weight)
    mode = str(said.get("mode", ""))
    name = mode.removeprefix("RNN_").lower() if mode.startswith("RNN_") else str(said.get("nonlinearity", ""))
    return name if name in ("tanh", "relu") and _is_of_torch(said) else ""


def notes_on_modules(file: FileArrays, weight: str) -> list[str]:
    """What the reader should know of the modules around a recurrent layer: a class of one's own, nonlinearities that are not read."""
    notes = []
    said = _owner(file, weight)
    if said and not _is_of_torch(said):
        notes.append(
            f"Its class {said['class']} is not PyTorch's: read by the names of its weights, as if it were; known outputs decide, "
            "check=(inputs, outputs)."
        )
    functions = [f"{_kind(x)} `{name}`" for name, x in file.modules.items() if _is_function(x)]
    if functions:
        notes.append(f"Not read: {', '.join(functions)}; the model has the linear layer alone.")
    return notes


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
    return str(said.get("class", "")).startswith("torch.nn.modules.activation.") and _kind(said) != "MultiheadAttention"
