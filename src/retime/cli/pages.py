"""`retime report` and `retime explore`."""

from __future__ import annotations

import shlex
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

import retime as rt
from retime.cli.app import Page, Start, command

Title = Annotated[str | None, typer.Option(help="Heading of the page; default: the name of the file.")]
Labels = Annotated[str | None, typer.Option(help="Names of the outputs (or states), comma-separated.")]
Steps = Annotated[int, typer.Option(help="Number of steps of the orbit.")]
Level = Annotated[str | None, typer.Option(help="Constant input, comma-separated; default: zero.")]
Basins = Annotated[int, typer.Option(help="Initial states for basins of attraction; 0 for none.", min=0)]
Limit = Annotated[float, typer.Option(help="Seconds for the searches.")]
Live = Annotated[
    bool | None, typer.Option("--live/--no-live", help="Weights in the page, to start orbits there; default: if small.")
]


@command(writes=(".html", ".htm"))
def report(
    page: Page,
    title: Title = None,
    labels: Labels = None,
    z0: Start = None,
    steps: Steps = 10_000,
    inputs: Level = None,
    basins: Basins = 0,
    live: Live = None,
    time_limit: Limit = 60.0,
) -> None:
    """What a network does, on one page with pictures.

    What `analyze` and `convert` find, drawn, linked and explained in one HTML file that works offline, on a phone, printed, and without
    JavaScript. -o names the file.
    """
    if page.output is None or page.is_stdout:
        raise ValueError("Say where to write the page with -o FILE.html; `retime explore` opens it without keeping it.")
    options = {"title": title, "labels": labels, "z0": z0, "inputs": inputs}
    _write(page, page.output, steps=steps, basins=basins, live=live, time_limit=time_limit, **options)
    page.head()
    page.end(page.facts)


@command(writes=(".html", ".htm"))
def explore(
    page: Page,
    title: Title = None,
    labels: Labels = None,
    z0: Start = None,
    steps: Steps = 10_000,
    inputs: Level = None,
    basins: Basins = 0,
    time_limit: Limit = 60.0,
) -> None:
    """The page of `retime report`, opened in the browser.

    It is kept where -o says, else in a temporary folder; the path is printed, for where there is no browser.
    """
    path = page.output
    if path is None or page.is_stdout:
        path = Path(tempfile.mkdtemp(prefix="retime-")) / "page.html"
    options = {"title": title, "labels": labels, "z0": z0, "inputs": inputs}
    _write(page, path, steps=steps, basins=basins, live=True, time_limit=time_limit, **options)
    page.head()
    opened = _open(path)
    page.end(page.facts | {"opened": opened}, "" if opened else " (no browser was found: open the file in one)")


def _write(page: Page, path: Path, *, z0: Any, inputs: Any, labels: Any, title: Any, **options: Any) -> None:
    loaded = page.loaded
    level = loaded.level(inputs)
    made = rt.report(
        loaded.model, path, z0=loaded.start(z0, level), inputs=level, labels=None if labels is None else labels.split(","),
        title=Path(loaded.name).name if title is None else title, about=loaded.recognition, command=_typed(), **options,
    )  # fmt: skip
    page.written = str(made)


def _typed() -> str:
    """The command as it was typed, or could be."""
    return shlex.join(["retime", *sys.argv[1:]])


def _open(path: Path) -> bool:
    """Open a file in the browser; whether there was one."""
    try:
        return webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False
