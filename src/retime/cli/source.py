"""Arguments of the commands: a model from a file or the zoo, an initial state, inputs."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retime.cli.tables import read_table
from retime.core.arrays import Array
from retime.core.errors import ModelFileError, ShapeError
from retime.core.start import own_start
from retime.core.system import PiecewiseAffineSystem
from retime.models import LinearSystem

NETLISTS = (".cir", ".net", ".sp", ".spice")
"""How files with netlists end."""


@dataclass(frozen=True)
class Loaded:
    """A model with where it came from: how it was recognized, and the starts that came with it `(k, n)`."""

    name: str
    model: Any
    recognition: str
    starts: Array
    notes: tuple[str, ...] = ()


def open_model(file: str, *, dt: float | None = None, family: str | None = None, **options: Any) -> Loaded:
    """Load FILE, or a zoo network for "zoo:NAME"; `options` are those of `retime.load`."""
    if file.startswith("zoo:"):
        from retime import zoo

        entry = zoo.entry(file.removeprefix("zoo:"))
        given = [name for name, value in (("dt", dt), ("family", family), *options.items()) if value is not None]
        if given:
            dropped = " and ".join("--" + name.replace("_", "-") for name in given)
            raise ValueError(f"A zoo network is what it is; drop {dropped}.")
        return Loaded(file, entry.model, f"{file}: {entry.description} {entry.source}", entry.z0[None])
    if Path(file).suffix.lower() in NETLISTS:
        return _netlist(file, {"dt": dt, "family": family, **options})
    from retime.io import initial_states_of, load_recognized, read_arrays
    from retime.io.renaming import renamed
    from retime.io.selection import under

    model, recognition = load_recognized(file, dt=dt, family=family, **options)
    text = (
        f"{file}: a retime file" if recognition is None else f"{recognition.sentence(file)} {recognition.doubt}".strip()
    )
    notes = ()
    if dt is None and model.time.step == 1.0:
        notes = ("dt was not given and is taken as 1: rates below are per step. Pass --dt for model time.",)
    try:
        stored = read_arrays(file)
        if options.get("prefix") is not None:
            stored = under(stored, options["prefix"])
        if options.get("names"):
            stored, _ = renamed(stored, options["names"], family)
        starts = initial_states_of(stored, model.num_states)
    except ModelFileError as error:  # the network itself was read
        starts, notes = np.zeros((0, 0)), (*notes, f"Warning: initial states were not read. {error}")
    return Loaded(file, model, text, starts, notes)


def _netlist(file: str, options: dict[str, Any]) -> Loaded:
    """The network that a netlist is."""
    from retime.circuits import read_circuit

    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(
            f"A netlist says what it is; drop {' and '.join('--' + name.replace('_', '-') for name in given)}."
        )
    model = read_circuit(Path(file))
    return Loaded(file, model, f"{file}: read as {model!r}, by Kirchhoff's laws of the netlist.", np.zeros((0, 0)))


def start(loaded: Loaded, z0: str | None, rows: Array | None = None) -> Array:
    """Where an orbit begins: the state given (completed where the model knows how), else the file's first initial state that is
    no fixed point, else the library's own choice, which is printed to stderr where it is not zeros."""
    if z0 is not None:
        return given_state(loaded, z0, "--z0")
    n = loaded.model.num_states
    if loaded.starts.shape[1:] == (n,):
        moving = (z for z in loaded.starts if not loaded.model.is_at_rest(z, rows))
        first = next(moving, None)
        if first is not None:
            return first
    z, words = own_start(loaded.model, rows)
    if words != "zeros":
        print(f"retime: the orbit begins at {words}. Choose another start with --z0.", file=sys.stderr)
    return z


def base_point(loaded: Loaded, at: str | None) -> Array:
    """A state to look at: the one given, else the file's first initial state, else zeros."""
    if at is not None:
        return given_state(loaded, at, "--at")
    n = loaded.model.num_states
    has_own = loaded.starts.shape[1:] == (n,) and len(loaded.starts) > 0
    return loaded.starts[0] if has_own else np.zeros(n)


def given_state(loaded: Loaded, text: str, option: str) -> Array:
    """The state of an option, completed where the model knows how.

    Raises:
        ValueError: not numbers. ShapeError: not as many as the model has states.
    """
    values = _parsed(text, option, [f"z{i + 1}" for i in range(loaded.model.num_states)])
    with suppress(ShapeError):
        return loaded.model.start(values)
    raise ShapeError(f"{option} has {len(values)} numbers; the model has {loaded.model.num_states} states.")


def around(z: Array) -> Array:
    """The state and 16 standard normal draws around it (seed 0), `(17, n)`: one state alone certifies nothing."""
    return z + np.vstack([np.zeros(len(z)), np.random.default_rng(0).normal(size=(16, len(z)))])


def numbers(text: str, count: int, option: str, meaning: str) -> Array:
    """Numbers separated by commas.

    Raises:
        ValueError: not numbers. ShapeError: not `count` of them.
    """
    values = _parsed(text, option)
    if len(values) != count:
        raise ShapeError(f"{option} has {len(values)} numbers; the model has {count} {meaning}.")
    return values


def _parsed(text: str, option: str, names: list[str] | None = None) -> Array:
    if Path(text).suffix in (".csv", ".tsv", ".txt", ".npy"):
        rows = read_table(Path(text), option).columns(names or []).rows
        if len(rows) > 1 and rows.shape[1] > 1:
            raise ValueError(f"{option}: {text} holds {len(rows)} rows; keep the one that is meant.")
        return rows.reshape(-1)
    try:
        return np.array([float(x) for x in text.replace(" ", ",").split(",") if x])
    except ValueError:
        raise ValueError(
            f"{option} is {text!r}; it must be numbers separated by commas, or a .csv or .npy file."
        ) from None


def is_not_a_plrnn(loaded: Loaded) -> bool:
    """Whether a map is smooth or linear: converted otherwise than region by region."""
    model = loaded.model
    return model.time.step is not None and (
        not isinstance(model, PiecewiseAffineSystem) or isinstance(model, LinearSystem)
    )


def read_inputs(path: Path | None, loaded: Loaded) -> Array | None:
    """Inputs `(steps, m)` from .npy or text; a first column of times is left out, which is said."""
    if path is None:
        return None
    table = read_table(path, "--inputs")
    kept = table.without_time(loaded.model.num_inputs)
    if kept is not table:
        print(f"retime: the first column of {path}, {table.names[0]!r}, is not an input.", file=sys.stderr)
    wanted, found = loaded.model.num_inputs, kept.rows.shape[1]
    if found != wanted:
        raise ValueError(
            f"--inputs: {path} has {found} columns; the model has {wanted} inputs, and takes one column for each."
        )
    return kept.rows


def driven_orbit(path: Path | None, loaded: Loaded, steps: int | None, otherwise: int) -> tuple[Array | None, int]:
    """The inputs, and the number of steps: what --steps says, else one per row of inputs, else `otherwise`.

    Raises:
        ValueError: fewer rows than steps.
    """
    rows = read_inputs(path, loaded)
    if rows is None:
        return None, otherwise if steps is None else steps
    if steps is not None and steps > len(rows):
        raise ValueError(
            f"--steps is {steps}, but {path} has {len(rows)} rows, one for each step. Give more rows, or drop --steps."
        )
    return (rows, len(rows)) if steps is None or steps < 0 else (rows[:steps], steps)


def is_stdout(path: Path | None) -> bool:
    """Whether an output is "-", standard output."""
    return str(path) == "-"


def check_output(path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuse an output that could not be written before the work is done.

    Raises:
        ValueError: another suffix. FileNotFoundError: the folder does not exist.
    """
    if path is None:
        return
    if is_stdout(path):
        if {".csv", ".json"} & set(suffixes):
            return
        raise ValueError(
            "-o - is standard output, which takes text; a network is written as .npz, which is not. Name a file."
        )
    if path.suffix not in suffixes:
        raise ValueError(f"-o is {str(path)!r}; it is written as {' or '.join(s for s in suffixes if s)}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"-o: the folder {path.parent} does not exist; create it first.")
