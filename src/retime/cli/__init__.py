"""The command line: parse, call one library function, print. No algorithm lives here."""

from __future__ import annotations

import sys

from retime.cli.endings import leave_closed_pipe
from retime.cli.interrupts import listening


def main() -> None:
    """Entry point of `retime`: 0 done, 1 the answer is "no", 2 wrong use or bad file, 130 interrupted."""
    with listening():
        from retime.cli import commands, dynamics, algebra, learning, sweeping, circuits, pages, collection  # noqa: I001  in the order of --help
        from retime.cli.app import app

        try:
            try:
                app()
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            leave_closed_pipe()
