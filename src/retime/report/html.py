"""Pieces of HTML: every text is escaped here, and nowhere else is a tag written around one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from retime.core.rendering import plain


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        id: name in the page's data and address, letters and hyphens. title: heading, text.
        body: HTML made by the functions of this module: what is seen without JavaScript, and read by everybody.
        data: numbers for the views, plain data for JSON; they are `sections[id]` of the page's data.
    """

    id: str
    title: str
    body: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def html(self) -> str:
        """The section with its heading."""
        name = escape(self.id, quote=True)
        return (
            f'<section class="card wide" id="{name}" aria-labelledby="{name}-title">'
            f'<h2 id="{name}-title">{escape(self.title)}</h2>{self.body}</section>'
        )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f'<p class="{escape(kind, quote=True)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], label: str, *, attributes: str = "") -> str:
    """A table that scrolls by itself where the screen is narrow.

    Args:
        header, rows: the cells, text. label: what it shows, for readers of the screen. attributes: of the table, made by this package.
    """
    head = "".join(f'<th scope="col">{escape(str(x))}</th>' for x in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(x))}</td>" for x in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label, quote=True)}"><table{attributes}>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(title: str, body: str) -> str:
    """Something long that is opened by a click."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def listing(text: str, label: str) -> str:
    """Text with its lines and blanks."""
    return (
        f'<pre class="scroll" tabindex="0" role="group" aria-label="{escape(label, quote=True)}">{escape(text)}</pre>'
    )


def picture(svg: str, label: str) -> str:
    """A drawing, as an image: whatever it holds cannot act on the page."""
    code = base64.b64encode(svg.encode()).decode()
    return f'<img class="drawing" alt="{escape(label, quote=True)}" src="data:image/svg+xml;base64,{code}">'


def script_data(data: Any) -> str:
    """JSON that can stand inside a `<script>` element: no `<`, `>` or `&`, and no line ends that JavaScript knows and JSON does not.

    NaN and infinity become null.
    """
    text = json.dumps(plain(data), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
