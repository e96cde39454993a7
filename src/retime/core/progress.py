"""How far long work has come: a bar in terminals and notebooks, a line now and then elsewhere. All of it goes to stderr."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from retime.core.notice import is_notebook

FIRST_LINE, NEXT_LINE = 10.0, 30.0  # seconds of work before the first line where no bar can be drawn, and between lines
_Advance = Callable[..., None]


def progress(label: str, total: int) -> AbstractContextManager[_Advance]:
    """Give `advance(count, note="")`; what is shown depends on where stderr goes, the note (a loss) beside it.

    A terminal: a bar that leaves no trace when done. A notebook: a bar below the cell, which vanishes too. A file or a pipe: nothing in the
    first 10 seconds, then one line, and one every 30 seconds.
    """
    if total < 2:
        return nullcontext(lambda count, note="": None)
    if sys.stderr is not None and sys.stderr.isatty():
        return _in_terminal(label, total)
    return _in_notebook(label, total) if is_notebook() else _in_lines(label, total)


@contextmanager
def _in_terminal(label: str, total: int) -> Iterator[_Advance]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(count: int, note: str = "") -> None:
            bar.update(task, advance=count, description=f"{label} {note}".rstrip())

        yield advance


@contextmanager
def _in_notebook(label: str, total: int) -> Iterator[_Advance]:
    """IPython's own display: rich and tqdm need ipywidgets for a bar, which not every notebook has."""
    from IPython.display import HTML, display  # type: ignore[reportMissingImports]  # there wherever a kernel runs

    done, shown = 0, time.monotonic()
    handle = display(HTML(_bar(label, 0, total)), display_id=True)

    def advance(count: int, note: str = "") -> None:
        nonlocal done, shown
        done += count
        if time.monotonic() - shown >= 0.2:
            shown = time.monotonic()
            handle.update(HTML(_bar(f"{label} {note}".rstrip(), done, total)))

    try:
        yield advance
    finally:
        handle.update(HTML(""))


def _bar(label: str, done: int, total: int) -> str:
    share = 100 * min(done, total) // total
    return f'<progress value="{min(done, total)}" max="{total}"></progress> {html.escape(label)}: {share} %'


@contextmanager
def _in_lines(label: str, total: int) -> Iterator[_Advance]:
    begun = time.monotonic()
    done, due = 0, begun + FIRST_LINE

    def advance(count: int, note: str = "") -> None:
        nonlocal done, due
        done += count
        now = time.monotonic()
        if now >= due and done < total and sys.stderr is not None:
            due = now + NEXT_LINE
            print(
                f"retime: {label}{note and ', ' + note}, {100 * done // total} % after {now - begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    yield advance
