"""One of several networks in a file, chosen by the prefix of its names: a model or its moving average, an encoder or a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from retime.core.errors import ModelFileError
from retime.io.arrays import FileArrays
from retime.io.named import is_rate, is_training

__all__ = ["prefixes", "under", "without_rates"]


def under(file: FileArrays, prefix: str) -> FileArrays:
    """The arrays whose names begin with a prefix, or have it as a part in their middle; the names stay as they are.

    Raises:
        ModelFileError: there are none; the message lists the prefixes. ValueError: a file that names its layers.
    """
    if file.layers or file.graph is not None:
        raise ValueError(
            f"{file.path}: `prefix` is for files of named arrays; this one names its layers itself. Drop it."
        )
    part = prefix.replace("/", ".").strip(".")
    starting = [name for name in file.arrays if _dotted(name).startswith(f"{part}.")]
    middle = [name for name in file.arrays if f".{part}." in _dotted(name)]
    names = starting or middle
    if not part:
        names = [name for name in file.arrays if "." not in _dotted(name)]
    if not names:
        shown = ", ".join(map(repr, prefixes(file))) or "none"
        raise ModelFileError(
            f"{file.path}: no array is named {prefix!r} + '.' + ...; the file has the prefixes {shown}."
        )

    def kept(entries: Mapping[str, Any]) -> dict[str, Any]:
        return {
            k: x
            for k, x in entries.items()
            if k in names or (f".{part}." in f".{_dotted(k)}." if part else "." not in k)
        }

    return replace(
        file,
        arrays={name: file.arrays[name] for name in names},
        cells=kept(file.cells),
        refused=kept(file.refused),
        metadata={k: x for k, x in file.metadata.items() if k in kept(file.refused) or k not in file.refused},
    )


def without_rates(file: FileArrays, options: Mapping[str, Any]) -> FileArrays:
    """The file without the leaks and time constants that the user gives as options: they are no part that is missing then."""
    given = {x for x in file.arrays if is_rate(_leaf(x)) and _leaf(x) in options}
    return replace(file, arrays={name: x for name, x in file.arrays.items() if name not in given})


def _leaf(name: str) -> str:
    return _dotted(name).rpartition(".")[2]


def prefixes(file: FileArrays) -> list[str]:
    """What stands before the last dot of the names, once each, without those of an optimizer."""
    found = (_dotted(name).rpartition(".")[0] for name in file.arrays if not is_training(name))
    return list(dict.fromkeys(x for x in found if x))[:20]


def _dotted(name: str) -> str:
    return name.replace("/", ".")
