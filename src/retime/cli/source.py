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

    def start(self, z0: str | None, rows: Array | None = None) -> Array:
        """Where an orbit begins: the state given (completed where the model knows how), else the file's first initial state that is
        no fixed point, else the library's own choice, which is printed to stderr where it is not zeros."""
        if z0 is not None:
            return self._given(z0, "--z0")
        moving = next((z for z in self._own_starts if not self.model.is_at_rest(z, rows)), None)
        if moving is not None:
            return moving
        z, words = own_start(self.model, rows)
        if words != "zeros":
            print(f"retime: the orbit begins at {words}. Choose another start with --z0.", file=sys.stderr)
        return z

    def base_point(self, at: str | None) -> Array:
        """A state to look at: the one given, else the file's first initial state, else zeros."""
        if at is not None:
            return self._given(at, "--at")
        return next(iter(self._own_starts), np.zeros(self.model.num_states))

    def around(self, at: str) -> Array:
        """The state given and 16 standard normal draws around it (seed 0), `(17, n)`: one state alone certifies nothing."""
        z = self._given(at, "--at")
        return z + np.vstack([np.zeros(len(z)), np.random.default_rng(0).normal(size=(16, len(z)))])

    def level(self, inputs: str | None) -> Array | None:
        """A constant input `(m,)`; None for none.

        Raises:
            ValueError: not numbers. ShapeError: not m of them.
        """
        values, m = None if inputs is None else numbers(inputs, "--inputs"), self.model.num_inputs
        if values is not None and len(values) != m:
            raise ShapeError(f"--inputs has {len(values)} numbers; the model has {m} inputs.")
        return values

    @property
    def _own_starts(self) -> Array:
        n = self.model.num_states
        return self.starts if self.starts.shape[1:] == (n,) else np.zeros((0, n))

    def _given(self, text: str, option: str) -> Array:
        """The state of an option, completed where the model knows how."""
        n = self.model.num_states
        values = numbers(text, option, [f"z{i + 1}" for i in range(n)])
        with suppress(ShapeError):
            return self.model.start(values)
        raise ShapeError(f"{option} has {len(values)} numbers; the model has {n} states.")

    def driven_orbit(self, path: Path | None, steps: int | None, otherwise: int) -> tuple[Array | None, int]:
        """The inputs, and the number of steps: what --steps says, else one per row of inputs, else `otherwise`.

        Raises:
            ValueError: fewer rows than steps.
        """
        if path is None:
            return None, otherwise if steps is None else steps
        rows = self._inputs(path)
        if steps is not None and steps > len(rows):
            raise ValueError(
                f"--steps is {steps}, but {path} has {len(rows)} rows, one for each step. Give more rows, or drop --steps."
            )
        return (rows, len(rows)) if steps is None or steps < 0 else (rows[:steps], steps)

    def _inputs(self, path: Path) -> Array:
        """Inputs `(steps, m)` from .npy or text; a first column of times is left out, which is said."""
        table, wanted = read_table(path, "--inputs"), self.model.num_inputs
        kept = table.without_time(wanted)
        if kept is not table:
            print(f"retime: the first column of {path}, {table.names[0]!r}, is not an input.", file=sys.stderr)
        if kept.rows.shape[1] != wanted:
            raise ValueError(
                f"--inputs: {path} has {kept.rows.shape[1]} columns; the model has {wanted} inputs, and takes one column for each."
            )
        return kept.rows


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
    from retime.io.selection import renamed, under

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


def reading(options: dict[str, Any]) -> dict[str, Any]:
    """The options of reading that were given; tau and alpha as numbers, names as a mapping.

    Raises:
        ValueError: not numbers.
    """
    found = {name: value for name, value in options.items() if value not in (None, False)}
    for name in found.keys() & {"tau", "alpha"}:
        values = numbers(found[name], f"--{name}")
        found[name] = float(values[0]) if len(values) == 1 else values.tolist()
    if "names" in found:
        from retime.io.selection import parsed

        found["names"] = parsed(found["names"])
    return found


def numbers(text: str, option: str, names: list[str] | None = None) -> Array:
    """Numbers separated by commas, or the only row (or column) of a table, of which columns of these names are taken.

    Raises:
        ValueError: not numbers.
    """
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
