"""The code on the pages: found, run, held against the output that the page shows, and drawn.

A block that opens with ```python is run, all blocks of a page in one namespace. A block that opens with ```text and
follows a python block directly is that block's output: what it prints, with the messages of the logger "retime".
An image of a folder `drawn/` is the last figure of the block it stands next to: directly below the block or its output,
or else directly above the block.

    python docs/blocks.py docs/index.md ...

runs pages, writes the output that was printed into them and the pictures that were drawn beside them.
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
_DRAWN = re.compile(r"!\[[^\]]+\]\(([\w./]*\bdrawn/\w+\.png)\)")
LARGEST = 60_000  # bytes of a picture
WIDTH = 1440  # pixels of a wide picture, twice the width of the text


@dataclass(frozen=True)
class Block:
    """A python block: its source, its first line on the page, where its shown output lies, and its picture (None: neither)."""

    source: str
    line: int
    shown: slice | None
    picture: str | None


def blocks(page: str) -> list[Block]:
    """The python blocks of a page, in order."""
    found = list(_BLOCK.finditer(page))
    result, claimed = [], 0
    for match, after in zip(found, [*found[1:], None], strict=True):
        if match[1] != "python":
            continue
        follows = after is not None and after[1] == "text" and not page[match.end() : after.start()].strip()
        shown = slice(after.start(2), after.end(2)) if after is not None and follows else None
        end = after.end() if after is not None and follows else match.end()
        drawn = _DRAWN.match(page, len(page) - len(page[end:].lstrip()))
        if drawn is None:
            above = [*_DRAWN.finditer(page, claimed, match.start())]
            drawn = above[-1] if above and not page[above[-1].end() : match.start()].strip() else None
        claimed = max(end, drawn.end()) if drawn else end
        line = page.count("\n", 0, match.start(2)) + 1
        result.append(Block(match[2], line, shown, drawn[1] if drawn else None))
    return result


def pictures(page: str) -> list[str]:
    """The images of a page that its blocks draw."""
    return [match[1] for match in _DRAWN.finditer(page)]


def run(block: Block, name: str, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(lambda record: "; dashboard: http" not in record.getMessage())  # another port each time
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


def drawing(*, close: bool = True) -> Any:
    """The figure that a block left, as an image of at most `WIDTH` pixels; None where it left none."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or not pyplot.get_fignums():
        return None
    from PIL import Image

    figure, file = pyplot.gcf(), io.BytesIO()
    figure.savefig(
        file, dpi=WIDTH / max(figure.get_figwidth(), 7.2), format="png", facecolor="white", bbox_inches="tight"
    )
    if close:
        pyplot.close("all")
    return Image.open(file).convert("RGB")


def write_picture(image: Any, path: Path) -> None:
    """Write a PNG of at most `LARGEST` bytes: fewer colors, then fewer pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for share in (1.0, 0.8, 0.65, 0.5):
        small = image.resize([round(share * x) for x in image.size]) if share < 1 else image
        for colors in (128, 48):
            small.quantize(colors, dither=0).save(path, optimize=True)
            if path.stat().st_size < LARGEST:
                return
    raise ValueError(f"{path.name} has {path.stat().st_size} bytes; it must have less than {LARGEST}. Draw less.")


def difference(image: Any, path: Path) -> float:
    """How far two pictures are apart, 0 to 1: the mean over a coarse grid of gray values, on which fonts do not matter."""
    from PIL import Image

    size = (24, 24)
    with Image.open(path) as stored:
        a, b = (x.convert("L").resize(size, Image.Resampling.BOX).tobytes() for x in (image, stored.convert("RGB")))
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / (255 * len(a))


def agree(shown: str, printed: str) -> bool:
    """Whether two outputs are the same but for rounding: numbers within 2 % or both below 1e-9, other text alike.

    A number of another length makes columns of another width, in which words are at other places of their lines: then these may stand in
    another order.
    """
    if _skeleton(shown) == _skeleton(printed):
        a, b = _numbers(shown), _numbers(printed)
    else:
        if _words(shown) != _words(printed):
            return False
        a, b = sorted(_numbers(shown)), sorted(_numbers(printed))
    return all(_close(x, y) for x, y in zip(a, b, strict=True))


def _numbers(text: str) -> list[float]:
    return [float(x) for x in _NUMBER.findall(text)]


def _skeleton(text: str) -> str:
    return re.sub(r"\s|-{2,}", "", _NUMBER.sub("#", text))


def _words(text: str) -> list[str]:
    return sorted(re.sub(r"-{2,}", "", _NUMBER.sub("#", text)).split())


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= max(1e-9, 0.02 * max(abs(a), abs(b)))


def refresh(path: Path) -> bool:
    """Run a page and write the printed output into it, and its pictures; whether anything changed."""
    page, namespace, printed, drawn = path.read_text(encoding="utf-8"), {}, [], False
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for block in blocks(page):
                printed.append((block.shown, run(block, path.name, namespace)))
                if block.picture is not None:
                    drawn |= _redrawn(path.parent / block.picture, block, path.name)
        finally:
            os.chdir(home)
    new = page
    for shown, text in reversed(printed):
        if shown is not None and not agree(page[shown], text):
            new = new[: shown.start] + text + new[shown.stop :]
    path.write_text(new, encoding="utf-8")
    return drawn or new != page


def _redrawn(target: Path, block: Block, name: str) -> bool:
    """Write a block's picture where it is missing or has changed."""
    image = drawing()
    if image is None:
        raise ValueError(f"{name}:{block.line} has a picture, {target.name}, but draws no figure.")
    if target.is_file() and difference(image, target) < 1e-3:
        return False
    write_picture(image, target)
    return True


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    for argument in sys.argv[1:]:
        print(argument, "changed" if refresh(Path(argument).resolve()) else "unchanged")
