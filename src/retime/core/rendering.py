"""Tables and paragraphs for terminals and notebooks, shared by every result."""

from __future__ import annotations

import csv
import html
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill, wrap
from typing import Any

import numpy as np

from retime.core.errors import MissingDependencyError
from retime.core.files import replace_atomically


def terminal_width() -> int:
    """Characters in a line: COLUMNS or the terminal's width, from 60 to 120; 100 where neither is known."""
    return min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)


def paragraph(text: str) -> str:
    """Text wrapped to the terminal's width; lines that begin a paragraph of their own stay apart."""
    return "\n".join(fill(line, terminal_width(), break_on_hyphens=False) for line in text.splitlines())


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int | None = None) -> str:
    """Columns padded with blanks, a rule under the header.

    Args:
        header, rows: the cells.
        width: characters in a line; the widest columns are wrapped until the table fits. None: cells stay on one line.
    """
    lines = [list(header), *[[str(x) for x in row] for row in rows]]
    widths = [max(len(line[j]) for line in lines) for j in range(len(header))]
    gap = 2
    if width is not None:
        words = [max(len(w) for line in lines for w in [*line[j].split(), ""]) for j in range(len(widths))]
        widths = _narrowed(widths, words, width - gap * (len(widths) - 1))
        gap = 2 if sum(widths) + gap * (len(widths) - 1) <= width else 1
    text = [row for line in lines for row in _broken(line, widths, " " * gap)]
    head = len(_broken(lines[0], widths, " " * gap))
    text.insert(head, (" " * gap).join("-" * w for w in widths))
    return "\n".join(text)


def _narrowed(widths: list[int], words: list[int], room: int) -> list[int]:
    """Column widths that fit into `room`: the widest column gives way first, none below its longest word (or 24)."""
    widths, least = list(widths), [min(w, max(word, 1), 24) for w, word in zip(widths, words, strict=True)]
    excess = sum(widths) - room
    while excess > 0 and any(w > x for w, x in zip(widths, least, strict=True)):
        j = max((j for j in range(len(widths)) if widths[j] > least[j]), key=lambda j: widths[j])
        widths[j] -= 1
        excess -= 1
    return widths


def _broken(line: Sequence[str], widths: Sequence[int], gap: str) -> list[str]:
    """One row of cells as lines of text."""
    cells = [wrap(x, w, break_on_hyphens=False) if len(x) > w else [x] for x, w in zip(line, widths, strict=True)]
    height = max(map(len, cells), default=1)
    padded = [[*c, *[""] * (height - len(c))] for c in cells]
    return [
        gap.join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in zip(*padded, strict=True)
    ]


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """The same table for a notebook."""
    head = "".join(f"<th>{html.escape(x)}</th>" for x in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(x))}</td>" for x in row) + "</tr>" for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def plain(value: Any) -> Any:
    """`value` with NumPy arrays and numbers turned into lists and Python numbers; NaN and infinity become None.

    A complex number becomes [real, imaginary], a part that has a `to_dict` what that gives.
    """
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, str):  # a status, too
        return str(value)
    if isinstance(value, complex):
        return plain([value.real, value.imag])
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def numbered(symbol: str, values: Any) -> dict[str, float]:
    """Entries of a vector under the names z1, z2, ...; nothing for None."""
    return {} if values is None else {f"{symbol}{k + 1}": float(x) for k, x in enumerate(values)}


def dataframe(records: Sequence[dict[str, Any]]) -> Any:
    """A pandas DataFrame of flat dictionaries, one row each.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingDependencyError("pandas is not installed: pip install 'retime[pandas]'") from error
    return pandas.DataFrame(list(records))


def write_csv(records: Sequence[dict[str, Any]], path: Any, columns: Sequence[str] = ()) -> Any:
    """Flat dictionaries as a table of comma-separated values with a header, written whole or not at all.

    Args:
        records: one per row. path: the file, or a stream that is open for text. columns: the header, for a table that may have no rows;
            else that of the first record.
    """
    if hasattr(path, "write"):
        table = csv.DictWriter(path, list(columns or (records[0] if records else ())), lineterminator="\n")
        table.writeheader()
        table.writerows(records)
        return path
    with replace_atomically(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        write_csv(records, file, columns)
    return Path(path)
