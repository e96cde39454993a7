"""What a function returned, as files: a tree of plain data, its arrays in one `.npz`, each network in a file of its own. No pickle."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.rendering import plain
from retime.core.result import Result
from retime.core.system import System

ARRAYS = ".npz"
TEXT = 200  # characters of a text in the table


class Packed:
    """A value taken apart.

    Attributes:
        tree: plain data, with marks where arrays and networks were. files: suffix of a file's name -> its bytes.
    """

    def __init__(self, value: Any) -> None:
        self.arrays: dict[str, Array] = {}
        self.files: dict[str, bytes] = {}
        self.tree = self._pack(value, "value")
        if self.arrays:
            stream = io.BytesIO()
            np.savez(stream, allow_pickle=False, **self.arrays)
            self.files[ARRAYS] = stream.getvalue()

    def _pack(self, value: Any, place: str) -> Any:
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
            value = value.item()
        if value is None or isinstance(value, (bool, int, str)):
            return str(value) if isinstance(value, str) else value
        if isinstance(value, float):
            return value if np.isfinite(value) else {"__float__": repr(value)}
        if isinstance(value, complex):
            return {"__complex__": [repr(value.real), repr(value.imag)]}
        if isinstance(value, System):
            return self._network(value, place)
        if isinstance(value, Result):
            return self._result(value, place)
        if isinstance(value, Mapping):
            return {str(k): self._pack(v, f"{place}.{k}" if place != "value" else str(k)) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._pack(x, f"{place}.{k}") for k, x in enumerate(value)]
        if hasattr(value, "__array__") and (array := np.asarray(value)).dtype.kind in "biufcU":
            if array.ndim == 0:
                return self._pack(array, place)
            self.arrays[place] = array
            return {"__array__": place}
        if isinstance(value, Path):
            return str(value)
        raise TypeError(
            f"The function returned a {type(value).__name__} ({place}); it must be numbers, text, arrays, networks, results of retime, or "
            "dictionaries and lists of them."
        )

    def _network(self, model: System, place: str) -> dict[str, str]:
        from retime.io import native

        with tempfile.TemporaryDirectory() as folder:
            path = native.save(model, Path(folder) / "network.npz")
            suffix = f".{place}{ARRAYS}"
            self.files[suffix] = path.read_bytes()
        return {"__network__": suffix}

    def _result(self, value: Result, place: str) -> dict[str, Any]:
        """What its `to_dict` holds, and the network that it found."""
        tree = self._pack(plain(value.to_dict()), place)
        model = getattr(value, "model", None)
        if isinstance(model, System):
            try:
                tree["model"] = self._network(model, "model" if place == "value" else f"{place}.model")
            except TypeError:  # it holds a Python function, which no file can store
                tree["model"] = repr(model)
        return tree


def unpacked(tree: Any, stem: Path) -> Any:
    """The value again: arrays and networks are read from the files beside `stem`.

    Raises:
        OSError, ModelFileError: a file is not there, or damaged.
    """
    arrays: dict[str, Array] = {}

    def build(node: Any) -> Any:
        if isinstance(node, list):
            return [build(x) for x in node]
        if not isinstance(node, dict):
            return node
        match next(iter(node.items()), ("", None)):
            case ("__float__", text):
                return float(text)
            case ("__complex__", (real, imaginary)):
                return complex(float(real), float(imaginary))
            case ("__array__", name):
                if not arrays:
                    with np.load(beside(stem, ARRAYS), allow_pickle=False) as file:
                        arrays.update(file)
                return arrays[name]
            case ("__network__", suffix):
                from retime.io import load

                return load(beside(stem, suffix))
        return {k: build(v) for k, v in node.items()}

    return build(tree)


def beside(stem: Path, suffix: str) -> Path:
    """The file of that suffix; a stem may hold dots."""
    return stem.with_name(stem.name + suffix)


def columns(tree: Any) -> dict[str, Any]:
    """The numbers and short texts of a value, which stand in the table: of a dictionary, and of those inside by `name.name`."""
    if isinstance(tree, dict) and not _is_marked(tree):
        return dict(_flat(tree, ""))
    return dict(_flat({"value": tree}, ""))


def _flat(tree: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and "__float__" in value:
            yield before + name, None
        elif isinstance(value, dict) and not _is_marked(value) and not before:
            yield from _flat(value, f"{name}.")
        elif not isinstance(value, (dict, list)) and not (isinstance(value, str) and len(value) > TEXT):
            yield before + name, value


def _is_marked(tree: Mapping[str, Any]) -> bool:
    return any(k.startswith("__") for k in tree)
