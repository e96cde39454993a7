"""How long a search may work: a limit of time, Ctrl-C, and how it ended."""

from __future__ import annotations

from typing import Any

from retime.core.clock import work_seconds
from retime.core.status import SearchStatus


class TimeIsUp(Exception):
    """Raised by `Patience.check`, and caught by the `with patience:` around it."""


class Patience:
    """Until when to work: `with patience:` ends quietly at Ctrl-C, or when `check` finds that time is up; `ended` says which."""

    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        self.ended: SearchStatus | None = None

    @classmethod
    def lasting(cls, seconds: float) -> Patience:
        """For so many seconds of work from now on."""
        return cls(work_seconds() + seconds)

    def check(self) -> None:
        """To be called between parts of the work."""
        if work_seconds() >= self.deadline:
            raise TimeIsUp

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *rest: Any) -> bool:
        if kind is not None and issubclass(kind, TimeIsUp):
            self.ended = SearchStatus.TIME_LIMIT
        elif kind is KeyboardInterrupt:
            self.ended = SearchStatus.INTERRUPTED
        return kind is not None and issubclass(kind, (TimeIsUp, KeyboardInterrupt))
