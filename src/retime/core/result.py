"""What every result and every part of one offers: a table for people, plain data for JSON, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.files import replace_atomically
from retime.core.rendering import dataframe, html_table, plain, text_table, write_csv


class Result:
    """Base of the results and of their parts, all of them dataclasses; a class says what differs from the defaults.

    `_title` and, for a result with rows, `_table` are what people see; `_data` is what JSON gets; `_plot` is the function of
    `retime.plots` that draws the result, "" for none; where rows of numbers would go into a table, implement `records`.
    """

    _plot: ClassVar[str] = ""

    def _title(self) -> str:
        """One line: what was found, and the status where it is not the good one."""
        return ""

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        """Header and rows, as text; no header: the result is told in one line."""
        return (), []

    def _caption(self) -> str:
        """The line above the table, or instead of it."""
        name, title = type(self).__name__, self._title()
        return f"{name}: {title}" if self._table()[0] else f"{name}({title})"

    def _data(self) -> dict[str, Any]:
        """Names and values; arrays may be complex, parts are results themselves. By default the fields that are compared."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; complex numbers become [real, imaginary], NaN and infinity None."""
        return plain(self._data())

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per row of the result: what `to_dataframe` and `to_csv` hold.

        Raises:
            TypeError: the result is no table.
        """
        raise TypeError(f"{type(self).__name__} is no table of rows; its numbers are in `to_dict()`.")

    def to_dataframe(self) -> Any:
        """The `records` as a pandas DataFrame.

        Raises:
            MissingDependencyError: pandas is not installed. TypeError: the result is no table.
        """
        return dataframe(self.records())

    def to_csv(self, path: Any) -> Any:
        """The `records` as comma-separated values with a header, into a file, written whole or not at all, or an open stream of text.

        Raises:
            TypeError: the result is no table. OSError: the folder does not exist or cannot be written.
        """
        return write_csv(self.records(), path, self._columns())

    def save(self, path: str | Path) -> Path:
        """Write the numbers to a file, whole or not at all: `.json` holds `to_dict`, `.csv` the `records`, `.npz` the arrays.

        Raises:
            ValueError: another suffix. TypeError: `.csv` of a result that is no table. OSError: the folder cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".json", ".csv", ".npz"):
            raise ValueError(f"`path` is {str(path)!r}; a {type(self).__name__} is written as .json, .csv or .npz.")
        if path.suffix == ".csv":
            return self.to_csv(path)
        with replace_atomically(path) as temporary, temporary.open("wb") as file:
            if path.suffix == ".npz":
                np.savez(file, allow_pickle=False, **self._arrays())
            else:
                file.write(json.dumps(self.to_dict(), allow_nan=False).encode())
        return path

    def _arrays(self) -> dict[str, Array]:
        """What `.npz` holds: the arrays of the data, and its strings."""
        return {k: np.asarray(x) for k, x in self._data().items() if isinstance(x, (np.ndarray, str))}

    def _columns(self) -> Sequence[str]:
        """The header of `records`, for results that may have no rows."""
        return ()

    def plot(self, **options: Any) -> Any:
        """Draw the result; the options are those of the function of `retime.plots` that is named after it."""
        if not self._plot:
            raise TypeError(f"{type(self).__name__} has no picture of its own; see `retime.plots`.")
        return getattr(import_module("retime.plots"), self._plot)(self, **options)

    def __repr__(self) -> str:
        header, rows = self._table()
        return f"{self._caption()}\n{text_table(header, rows)}" if rows else self._caption()

    def _sketch(self) -> str:
        """A small picture as SVG for notebooks, "" for none."""
        return ""

    def _repr_html_(self) -> str:
        header, rows = self._table()
        told = html_table(header, rows, caption=self._caption()) if header else f"<code>{escape(repr(self))}</code>"
        picture = self._sketch()
        return f"{told}<div>{picture}</div>" if picture else told
