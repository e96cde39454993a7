"""A sweep written down as a TOML file.

function = "work.py:run"      # a file beside the plan, or a module: "retime:train"
folder = "out"                # relative to the plan; left out: named like the plan
retries = 1
timeout = 600
workers = 4                   # or scheduler = "tcp://host:8786"

[fixed]                       # arguments of every case
updates = 500
task = { call = "retime.learn:FlipFlop", num_bits = 3 }

[grid]                        # all combinations
num_states = [50, 100]
seed = { start = 0, stop = 10 }

[[cases]]                     # or, or besides, one by one; with a grid, each of them is combined with it
family = "gru"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from retime.sweep.cases import grid
from retime.sweep.function import named

KEYS = ("function", "folder", "retries", "timeout", "workers", "scheduler", "fixed", "grid", "cases")
RANGE = {"start", "stop", "step"}


@dataclass(frozen=True)
class Plan:
    """What a plan says.

    Attributes:
        function: to be called. cases: its arguments. folder: for the results. options: of `sweep`.
    """

    function: Any
    cases: list[dict[str, Any]]
    folder: Path
    options: dict[str, Any]


def read_plan(path: str | Path) -> Plan:
    """Read a plan.

    Args:
        path: of the TOML file.

    Raises:
        OSError: no such file. ValueError: no TOML, a key that is not known, or a function that is not found.
    """
    path = Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no plan: {error}. A plan is a TOML file with `function` and `grid` or `cases`."
        ) from error
    for key in found:
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            raise ValueError(
                f"{path} has `{key}`; a plan takes {', '.join(KEYS)}.{f' Is `{near[0]}` meant?' if near else ''}"
            )
    if not isinstance(found.get("function"), str):
        raise ValueError(
            f"{path} must have `function`, a text such as 'work.py:run'; it has {found.get('function')!r}."
        )
    if "workers" in found and "scheduler" in found:
        raise ValueError(f"{path} has `workers` and `scheduler`; give one: workers here, or a scheduler's address.")
    options = {k: found[k] for k in ("retries", "timeout") if k in found}
    for key in ("workers", "scheduler"):
        if key in found:
            options["client"] = found[key]
    folder = path.parent / found.get("folder", path.stem)
    return Plan(named(found["function"], path.parent), _cases(path, found), folder, options)


def _cases(path: Path, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    fixed, axes, single = found.get("fixed", {}), found.get("grid", {}), found.get("cases", [{}])
    for name, value, kind in (("fixed", fixed, dict), ("grid", axes, dict), ("cases", single, list)):
        if not isinstance(value, kind) or not all(isinstance(x, dict) for x in value if kind is list):
            wanted = "a table" if kind is dict else "tables: [[cases]]"
            raise ValueError(f"{path} has `{name}` = {value!r}; it must be {wanted}, of arguments of the function.")
    if "grid" not in found and "cases" not in found:
        raise ValueError(f"{path} has neither `grid` nor `cases`; give the arguments of the function.")
    expanded = {k: _axis(path, k, v) for k, v in axes.items()}
    return [_made(path, fixed | one | x) for one in single for x in grid(**expanded)]


def _axis(path: Path, name: str, value: Any) -> list[Any]:
    if isinstance(value, dict) and value.keys() <= RANGE and "stop" in value:
        return [*range(value.get("start", 0), value["stop"], value.get("step", 1))]
    if not isinstance(value, list) or not value:
        raise ValueError(
            f"{path} has `grid.{name}` = {value!r}; it must be a list of values, or {{ start = 0, stop = 10 }}."
        )
    return value


def _made(path: Path, value: Any) -> Any:
    """What stands for an object is made: `{ call = "module:name", ... }`."""
    if isinstance(value, list):
        return [_made(path, x) for x in value]
    if not isinstance(value, dict):
        return value
    inner = {k: _made(path, v) for k, v in value.items() if k != "call"}
    return named(value["call"], path.parent)(**inner) if "call" in value else inner
