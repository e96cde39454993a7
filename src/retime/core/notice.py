"""One plain line to the person at the screen: through logging where it is configured, else on stderr, in a notebook in its output."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

_log = logging.getLogger("retime")
_said: set[tuple[Any, ...]] = set()


def notify(message: str, about: Any = None, *, once: bool = True) -> None:
    """Say one line, at the level of warnings of the logger "retime".

    In a notebook stderr is a red box, which looks like an error; unless logging is configured the line goes to the cell's output there.

    Args:
        message: the line; empty for nothing.
        about: a file's path: of an unchanged file the same is said once per process. Of anything else the same is said once.
        once: False says it every time.
    """
    key = (message, *_state_of(about))
    if not message or (once and key in _said) or not _log.isEnabledFor(logging.WARNING):
        return
    _said.add(key)
    if _log.hasHandlers():
        _log.warning(message)
    else:
        print(message, file=sys.stdout if is_notebook() else sys.stderr)


def _state_of(about: Any) -> tuple[Any, ...]:
    """The file and when it was written; () for no file."""
    try:
        found = os.stat(about) if isinstance(about, (str, os.PathLike)) else None
    except OSError:
        return ()
    return () if found is None else (os.path.abspath(about), found.st_mtime_ns)


def is_notebook() -> bool:
    """Whether a Jupyter kernel runs this process: IPython is there already, and its shell belongs to a kernel."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return getattr(get() if get is not None else None, "kernel", None) is not None
