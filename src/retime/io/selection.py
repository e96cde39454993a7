"""The part of a file that the user means: `prefix=`, one of several networks; `names=`, which array is which argument of a constructor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ModelFileError
from retime.io.arrays import NOT_READ, FileArrays
from retime.io.named import INITIAL_STATES, dotted, is_rate, is_training, leaf, size
from retime.models import FAMILIES

_OPTIONS = {
    "time", "readout", "activation", "form", "clipped", "num_relu", "reset_after", "auxiliary", "layers", "gain", "_",
}  # fmt: skip
"""Arguments that are no arrays."""


def renamed(file: FileArrays, names: Any, family: str | None) -> tuple[FileArrays, dict[str, Array]]:
    """The file with the named arrays alone, under the names of the arguments; and the leak or time constant among them, which a
    constructor takes by keyword.

    Args:
        file: what was read.
        names: argument -> array: a name of the file, `"name.T"` for its transpose, `"-name"` for its negative, `"a + b"` for a sum, `"a @ b"`
            for a product; `"name{2}"` is the second entry of a cell. Arguments are those of the family's constructor; `B` and
            `readout_b` are the readout, `z0` an initial state.
        family: the family, None where it is to be found.

    Raises:
        TypeError: `names` is no mapping of strings. ValueError: an argument that the family does not have.
        ModelFileError: an array that the file does not have; the message lists those it has.
    """
    if not isinstance(names, Mapping) or not all(isinstance(x, str) for pair in names.items() for x in pair):
        raise TypeError(f'`names` is {names!r}; it must map arguments to arrays, e.g. {{"W_rec": "rnn.h2h.weight"}}.')
    known = _arguments(family)
    for name in names:
        if name not in known:
            whose = "no family has" if family is None else f"family {family!r} does not have"
            raise ValueError(
                f"`names` gives an array for `{name}`, which {whose}; known are {', '.join(sorted(known))}."
            )
    stored = dict(file.arrays) | {f"{k}{{{i + 1}}}": x for k, cell in file.cells.items() for i, x in enumerate(cell)}
    read: set[str] = set()
    arrays = {name: _value(file, name, text, stored, read) for name, text in names.items()}
    rest = {x: f"({NOT_READ}{size(a)}, not among `names`)" for x, a in stored.items() if x not in read}
    rates = {x: np.squeeze(arrays.pop(x)) for x in ("alpha", "tau") if x in arrays}
    new = replace(
        file, arrays=arrays, cells={}, layers=(), graph=None, outputs=(), metadata={**file.metadata, **rest}, refused={}
    )
    return new, rates


def parsed(text: str) -> dict[str, str]:
    """ "W_rec=rnn.h2h.weight,b=rnn.h2h.bias" as a mapping.

    Raises:
        ValueError: a part without "=".
    """
    pairs = [x.partition("=") for x in text.split(",") if x.strip()]
    if not pairs or any(not sign or not name.strip() or not array.strip() for name, sign, array in pairs):
        raise ValueError(f"--names is {text!r}; it must be ARGUMENT=ARRAY, several separated by commas.")
    return {name.strip(): array.strip() for name, _, array in pairs}


def _arguments(family: str | None) -> set[str]:
    if family is not None and family not in FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(FAMILIES))}.")
    chosen = FAMILIES.values() if family is None else (FAMILIES[family],)
    own = {f.name for cls in chosen for f in fields(cls) if f.init} - _OPTIONS
    own |= {"nu_log", "theta_log", "gamma_log", "B_re", "B_im", "C_re", "C_im"} if "eigenvalues" in own else set()
    return own | ({"b_rec", "b_in"} if "W_rec" in own else set()) | {"B", "readout_b", "dt", *INITIAL_STATES}


def _value(file: FileArrays, name: str, text: str, stored: Mapping[str, Array], read: set[str]) -> Array:
    if text in stored:  # whatever signs a name may have
        read.add(text)
        return np.asarray(stored[text])
    terms = [_product(file, name, x, stored, read) for x in text.split("+")]
    if len({x.shape for x in terms}) > 1:
        shown = ", ".join(size(x) for x in terms)
        raise ModelFileError(f"{file.path}: `names` adds arrays of different shapes for `{name}` ({shown}): {text!r}.")
    return terms[0] if len(terms) == 1 else np.sum(np.asarray(terms, dtype=np.float64), axis=0)


def _product(file: FileArrays, name: str, text: str, stored: Mapping[str, Array], read: set[str]) -> Array:
    first, *rest = [_term(file, name, x.strip(), stored, read) for x in text.split("@")]
    for factor in rest:
        if not first.ndim or not factor.ndim or first.shape[-1] != len(factor):
            raise ModelFileError(
                f"{file.path}: `names` multiplies {size(first)} by {size(factor)} for `{name}`, which do not go together: {text.strip()!r}."
            )
        first = first.astype(np.float64) @ factor.astype(np.float64)
    return first


def _term(file: FileArrays, name: str, text: str, stored: Mapping[str, Array], read: set[str]) -> Array:
    is_negative = text.startswith("-")
    text = text.removeprefix("-").strip()
    plain = text if text in stored else text.removesuffix(".T")
    if plain not in stored:
        shown = ", ".join(f"`{x}` {size(a)}" for x, a in list(stored.items())[:40])
        more = f" and {len(stored) - 40} more" if len(stored) > 40 else ""
        raise ModelFileError(
            f"{file.path}: `names` gives {text!r} for `{name}`, which is not in the file; it holds {shown or 'no arrays'}{more}."
        )
    read.add(plain)
    array = np.asarray(stored[plain])
    array = array if plain == text else np.ascontiguousarray(array.T)
    return -array.astype(np.float64) if is_negative else array


# One of several networks, or of several copies: a model or its moving average, an encoder or a decoder.


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
    starting = [name for name in file.arrays if dotted(name).startswith(f"{part}.")]
    middle = [name for name in file.arrays if f".{part}." in dotted(name)]
    names = starting or middle
    if not part:
        names = [name for name in file.arrays if "." not in dotted(name)]
    if not names:
        shown = ", ".join(map(repr, prefixes(file))) or "none"
        raise ModelFileError(
            f"{file.path}: no array is named {prefix!r} + '.' + ...; the file has the prefixes {shown}."
        )

    def kept(entries: Mapping[str, Any]) -> dict[str, Any]:
        return {
            k: x
            for k, x in entries.items()
            if k in names or (f".{part}." in f".{dotted(k)}." if part else "." not in k)
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
    given = {x for x in file.arrays if is_rate(leaf(x)) and leaf(x) in options}
    return replace(file, arrays={name: x for name, x in file.arrays.items() if name not in given})


def prefixes(file: FileArrays) -> list[str]:
    """What stands before the last dot of the names, once each, without those of an optimizer."""
    found = (dotted(name).rpartition(".")[0] for name in file.arrays if not is_training(name))
    return list(dict.fromkeys(x for x in found if x))[:20]
