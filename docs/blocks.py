"""The code on the pages: found, run, and held against the output that the page shows.

A block that opens with ```python is run, all blocks of a page in one namespace. A block that opens with ```text and
follows a python block directly is that block's output: what it prints, with the messages of the logger "retime".

    python docs/blocks.py docs/index.md ...

runs pages and writes the output that was printed into them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A python block: its source, its first line on the page, and where its shown output lies (None: not shown)."""

    source: str
    line: int
    shown: slice | None


def blocks(page: str) -> list[Block]:
    """The python blocks of a page, in order."""
    found = list(_BLOCK.finditer(page))
    result = []
    for match, after in zip(found, [*found[1:], None], strict=True):
        if match[1] != "python":
            continue
        follows = after is not None and after[1] == "text" and not page[match.end() : after.start()].strip()
        shown = slice(after.start(2), after.end(2)) if after is not None and follows else None
        result.append(Block(match[2], page.count("\n", 0, match.start(2)) + 1, shown))
    return result


def run(block: Block, name: str, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger = logging.getLogger("retime")
    logger.addHandler(handler)
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"  # pages are written for lines of this length
    try:
        code = compile("\n" * (block.line - 1) + block.source, name, "exec", dont_inherit=True)
        with contextlib.redirect_stdout(text):
            exec(code, namespace)
    finally:
        logger.removeHandler(handler)
        del os.environ["COLUMNS"]
        if width is not None:
            os.environ["COLUMNS"] = width
    return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())


def agree(shown: str, printed: str) -> bool:
    """Whether two outputs are the same but for rounding: numbers within 2 % or both below 1e-9, other text alike."""
    if _skeleton(shown) != _skeleton(printed):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    return all(_close(float(a), float(b)) for a, b in pairs)


def _skeleton(text: str) -> str:
    return re.sub(r"\s|-{2,}", "", _NUMBER.sub("#", text))


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= max(1e-9, 0.02 * max(abs(a), abs(b)))


def refresh(path: Path) -> bool:
    """Run a page and write the printed output into it; whether anything changed."""
    page, namespace, printed = path.read_text(encoding="utf-8"), {}, []
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            printed = [(block.shown, run(block, path.name, namespace)) for block in blocks(page)]
        finally:
            os.chdir(home)
    new = page
    for shown, text in reversed(printed):
        if shown is not None and not agree(page[shown], text):
            new = new[: shown.start] + text + new[shown.stop :]
    path.write_text(new, encoding="utf-8")
    return new != page


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(argument, "changed" if refresh(Path(argument).resolve()) else "unchanged")
