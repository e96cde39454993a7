"""How a command ends: with what it printed, or with one line that says why not, and an exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from retime.cli.interrupts import INTERRUPTED, SENTENCE, working

CLOSED_PIPE = 141
"""Exit code when the reader of stdout has gone (`| head`): 128 + SIGPIPE, as other programs end then."""


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of commands: an error becomes one line on stderr and exit code 2, Ctrl-C 130, a closed pipe a quiet end."""

    @wraps(command)
    def call(*args: Any, **options: Any) -> None:
        from retime.core.errors import RetimeError

        try:
            try:
                with working():
                    command(*args, **options)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            leave_closed_pipe()
        except (RetimeError, ValueError, TypeError, OSError, MemoryError) as error:
            print(f"retime: {_in_options(str(error), options)}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print(SENTENCE, file=sys.stderr)
            raise SystemExit(INTERRUPTED) from None

    return call


def _in_options(message: str, options: dict[str, Any]) -> str:
    """The library's message with this command's options instead of Python's arguments: `time_limit` and time_limit= become --time-limit."""
    for name in options:
        option = "--" + name.replace("_", "-")
        message = re.sub(rf"(?<![\w.(]){name}=(?=\S)", f"{option} ", message.replace(f"`{name}`", option))
    return message


def leave_closed_pipe() -> None:
    """End without a word: nobody reads any more, and what is still to be flushed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise SystemExit(CLOSED_PIPE)
