"""Tables for terminals and notebooks, shared by every result."""

from __future__ import annotations

import csv
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.errors import MissingDependencyError
from retime.core.files import replace_atomically


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded with blanks, a rule under the header."""
    lines = [list(header), *[[str(x) for x in row] for row in rows]]
    widths = [max(len(line[j]) for line in lines) for j in range(len(header))]
    text = ["  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(text)


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """The same table for a notebook."""
    head = "".join(f"<th>{html.escape(x)}</th>" for x in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(x))}</td>" for x in row) + "</tr>" for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def plain(value: Any) -> Any:
    """`value` with NumPy arrays and numbers turned into lists and Python numbers; NaN and infinity become None.

    A complex number becomes [real, imaginary].
    """
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
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


def write_csv(records: Sequence[dict[str, Any]], path: str | Path, columns: Sequence[str] = ()) -> Path:
    """Flat dictionaries as a table of comma-separated values with a header, written whole or not at all.

    Args:
        records: one per row. path: the file. columns: the header, for a table that may have no rows; else that of the first record.
    """
    names = list(columns or (records[0] if records else ()))
    with replace_atomically(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(records)
    return Path(path)
