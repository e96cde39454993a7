"""Jupyter notebooks of the pages that carry the mark `<!-- notebook -->`: the page's text and code, without outputs.

    python docs/notebooks.py docs/guides/flip_flop.md ...

writes each beside its page; the site makes them while it is built (docs/hooks.py).
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

MARK = "<!-- notebook -->"
_CODE = re.compile(r"^```python[^\n]*\n(.*?)^```[ ]*\n(?:\n*```text[^\n]*\n.*?^```[ ]*\n)?", re.MULTILINE | re.DOTALL)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)(\n*)")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)


def notebook(page: str) -> dict[str, Any]:
    """The notebook (format 4.5) of a page: its python blocks as code, the text between them as Markdown.

    What blocks print and draw is left out, since running shows it; pictures and links into the site become their words.
    """
    cells, at = [], 0
    for match in _CODE.finditer(page):
        cells += [_cell("markdown", _words(page[at : match.start()])), _cell("code", match[1])]
        at = match.end()
    cells.append(_cell("markdown", _words(page[at:])))
    for place, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{place}{cell['source']}".encode()).hexdigest()[:8]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [cell for cell in cells if cell["source"]],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def text(page: str) -> str:
    """The notebook of a page as JSON."""
    return json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"


def _words(markdown: str) -> str:
    """Text that stands alone: without pictures that the code draws, links into the site, and marks for it."""
    markdown = _IMAGE.sub(lambda m: "" if "drawn/" in m[0] else f"*Picture: {m[1]}*{m[2]}", markdown)
    return _LINK.sub(r"\1", _COMMENT.sub("", markdown))


def _cell(kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": "", "metadata": {}, "source": source.strip("\n").splitlines(True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        path.with_suffix(".ipynb").write_text(text(path.read_text(encoding="utf-8")), encoding="utf-8")
