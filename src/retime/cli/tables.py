"""Tables of numbers as people have them: .npy, or text with commas, semicolons, tabs or blanks, with or without a header."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array

_KINDS = "give it as .npy, or as text with one row per line"


class Table(NamedTuple):
    """Rows `(k, columns)`, and the names of the columns (none without a header)."""

    rows: Array
    names: tuple[str, ...]

    def without_time(self, columns: int) -> Table:
        """Without a first column called "time" or "t", where it is one too many."""
        if self.names and self.names[0].lower() in ("time", "t") and self.rows.shape[1] == columns + 1:
            return Table(self.rows[:, 1:], self.names[1:])
        return self

    def columns(self, names: list[str]) -> Table:
        """The columns of these names, where the header has them all; else the table as it is."""
        if names and set(names) <= set(self.names):
            return Table(self.rows[:, [self.names.index(x) for x in names]], tuple(names))
        return self


def read_table(path: Path, option: str) -> Table:
    """Read a table.

    Args:
        path: the file. option: what asked for it, for messages.

    Raises:
        FileNotFoundError: no such file. ValueError: not a table of finite numbers; the message names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{option}: there is no file {path}.")
    if path.suffix == ".npy":
        try:
            rows = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(f"{option}: {path} is not a table of numbers ({error}); {_KINDS}.") from None
        table = Table(rows.reshape(len(rows), -1) if rows.ndim and len(rows) else np.zeros((0, 0)), ())
    else:
        table = _read_text(path, option)
    if table.rows.size == 0:
        raise ValueError(f"{option}: {path} holds no rows; {_KINDS}.")
    if table.rows.dtype.kind not in "biuf" or not np.isfinite(table.rows).all():
        raise ValueError(f"{option}: {path} holds entries that are no finite real numbers.")
    return Table(table.rows.astype(np.float64), table.names)


def _read_text(path: Path, option: str) -> Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{option}: {path} is not text; {_KINDS}.") from None
    lines = [(k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        return Table(np.zeros((0, 0)), ())
    separator = next((s for s in (";", "\t", ",") if any(s in line for _, line in lines)), None)
    cells = [(k, _cells(line, separator)) for k, line in lines]
    names: tuple[str, ...] = ()
    if not any(_is_number(x) for x in cells[0][1]):
        names, cells = tuple(x.strip("\"'") for x in cells[0][1]), cells[1:]
    rows = []
    for k, row in cells:
        if len(row) != len(cells[0][1]):
            raise ValueError(
                f"{option}: line {k} of {path} has {len(row)} numbers, others have {len(cells[0][1])}; every row needs the same."
            )
        wrong = next((x for x in row if not _is_number(x)), None)
        if wrong is not None:
            raise ValueError(f"{option}: line {k} of {path} holds {wrong!r}, which is no number; {_KINDS}.")
        rows.append([float(x) for x in row])
    if names and rows and len(names) != len(rows[0]):
        raise ValueError(f"{option}: the header of {path} names {len(names)} columns, the rows have {len(rows[0])}.")
    return Table(np.array(rows).reshape(len(rows), len(cells[0][1]) if rows else 0), names)


def _cells(line: str, separator: str | None) -> list[str]:
    """The cells of a line; with semicolons a comma may be the decimal point."""
    cells = [x.strip() for x in line.split(separator)]
    if cells and cells[-1] == "" and len(cells) > 1:
        cells = cells[:-1]
    return [x.replace(",", ".") for x in cells] if separator in (";", "\t") else cells


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
