"""Cases of a sweep: the arguments of one call each, what makes two of them the same, and their columns in the table."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from inspect import Signature, signature
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.low_rank import LowRank
from retime.core.system import System

SHOWN = 200  # characters of a value in the table
NAMED = 60  # characters of a case in the name of its file


@dataclass(frozen=True)
class Case:
    """One call of the function.

    Attributes:
        arguments: of the call, by name.
        described: the same as plain data, large things by a digest: what the case is known by.
        key: a digest of `described`. name: of the file that holds its result, without the suffix: its arguments in short, and the key.
    """

    arguments: Mapping[str, Any]
    described: dict[str, Any]
    key: str
    name: str

    @property
    def columns(self) -> dict[str, Any]:
        """The arguments as they stand in the table: numbers and text as they are, other things in short."""
        return {k: _in_table(v) for k, v in self.arguments.items()}

    @property
    def words(self) -> str:
        """The case in one line, for messages."""
        return ", ".join(f"{k}={v}" for k, v in self.columns.items()) or "no arguments"


def grid(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """All combinations of values as cases: `grid(size=[10, 20], seed=range(3))` has six; the last name changes fastest."""
    lists = {k: [v] if isinstance(v, str) or not isinstance(v, Iterable) else list(v) for k, v in values.items()}
    return [dict(zip(lists, x, strict=True)) for x in product(*lists.values())]


def cases_of(function: Any, cases: Any) -> list[Case]:
    """The cases, each looked at.

    Raises:
        TypeError: no list of dictionaries, arguments that the function does not take, or that nothing can describe.
        ValueError: no case, or the same one twice.
    """
    if isinstance(cases, (str, bytes, Mapping)) or not isinstance(cases, Iterable):
        raise TypeError(
            f"`cases` is {cases!r}; it must be a list of dictionaries, the arguments of one call each: [{{'seed': 0}}, {{'seed': 1}}]."
        )
    made = [_case(k, x) for k, x in enumerate(cases)]
    if not made:
        raise ValueError("`cases` is empty; give at least one dictionary of arguments.")
    _check_arguments(function, made)
    seen: dict[str, int] = {}
    for k, case in enumerate(made):
        if (first := seen.setdefault(case.key, k)) != k:
            raise ValueError(
                f"`cases` holds the same case twice, as number {first} and {k} ({case.words}); give each a `seed` of its own, or leave one out."
            )
    return made


def described(value: Any) -> Any:
    """Plain data that is the same for equal values, in any process: arrays by shape and digest, objects by class and fields.

    Raises:
        TypeError: an object that is no dataclass.
    """
    if value is None or (isinstance(value, (bool, str, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, (np.generic, Enum)):
        return described(value.item() if isinstance(value, np.generic) else value.value)
    if isinstance(value, (float, complex)):
        return value if isinstance(value, float) and np.isfinite(value) else {"number": repr(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple, range)):
        return [described(x) for x in value]
    if isinstance(value, Mapping):
        return {str(k): described(value[k]) for k in sorted(value, key=str)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU":
        whole = np.ascontiguousarray(value)
        return {"array": [str(value.dtype), list(value.shape), hashlib.sha256(whole.tobytes()).hexdigest()]}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, LowRank):
        return {"object": kind, "left": described(value.left), "right": described(value.right)}
    if is_dataclass(value) and not isinstance(value, type):
        return {"object": kind} | {f.name: described(getattr(value, f.name)) for f in fields(value) if f.init}
    raise TypeError(kind)


def _case(number: int, arguments: Any) -> Case:
    if not isinstance(arguments, Mapping) or not all(isinstance(k, str) for k in arguments):
        raise TypeError(
            f"`cases[{number}]` is {arguments!r}; it must be a dictionary of the function's arguments by name: {{'seed': 0}}."
        )
    found = {}
    for name, value in arguments.items():
        try:
            found[name] = described(value)
        except TypeError as error:
            raise TypeError(
                f"`cases[{number}]` holds {name}, of type {error}; it must be numbers, text, arrays, networks, dataclasses, or lists and "
                "dictionaries of them, by which the case is known again. Make other things inside the function."
            ) from None
    key = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]
    case = Case(dict(arguments), found, key, "")
    return Case(case.arguments, found, key, f"{_slug(case.columns)}-{key}")


def _slug(columns: Mapping[str, Any]) -> str:
    """A part of a file's name: the last arguments, as many as fit, since those that vary (the seed) mostly come last."""
    made = ""
    for name, value in [*columns.items()][::-1]:
        part = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{value}")
        longer = f"{name}={part}+{made}" if made else f"{name}={part}"
        if len(longer) > NAMED:
            break
        made = longer
    return made or "case"


def _check_arguments(function: Any, cases: Sequence[Case]) -> None:
    try:
        wanted: Signature = signature(function)
    except (TypeError, ValueError):  # a builtin
        return
    for k, case in enumerate(cases):
        try:
            wanted.bind(**case.arguments)
        except TypeError as error:
            raise TypeError(
                f"`cases[{k}]` is {dict(case.arguments)!r}; the function takes {wanted} ({error}). Give each of its arguments by name."
            ) from None


def _in_table(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, (Path, Enum)):
        return str(value.value if isinstance(value, Enum) else value)
    text = f"array {value.shape}" if isinstance(value, np.ndarray) else " ".join(repr(value).split())
    if isinstance(value, (np.ndarray, System)):  # two may look alike
        text += f" #{hashlib.sha256(json.dumps(described(value)).encode()).hexdigest()[:4]}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
