"""The command line: parse, call one library function, print. No algorithm lives here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any


def main() -> None:
    """Entry point of `retime`: 0 done, 1 the answer is "no", 2 wrong use or bad file, 130 interrupted."""
    from retime.cli.app import app

    app()


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of commands: an error becomes one line on stderr and exit code 2, Ctrl-C 130."""

    @wraps(command)
    def call(*args: Any, **options: Any) -> None:
        from retime.core.errors import RetimeError

        try:
            command(*args, **options)
        except (RetimeError, ValueError, TypeError, OSError, MemoryError) as error:
            print(f"retime: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("retime: interrupted; files that were to be written are as they were.", file=sys.stderr)
            raise SystemExit(130) from None

    return call
