"""Tables for terminals and notebooks, shared by every result."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


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
