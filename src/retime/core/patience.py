"""How long a search may work: a limit of time, Ctrl-C, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
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

    @property
    def left(self) -> float:
        """Seconds of work that are left, >= 0."""
        return max(self.deadline - work_seconds(), 0.0)

    def is_over(self) -> bool:
        """Whether work has ended, or is to end now, which `ended` then says."""
        if self.ended is None and work_seconds() >= self.deadline:
            self.ended = SearchStatus.TIME_LIMIT
        return self.ended is not None

    def part(self, share: float) -> Patience:
        """Patience for a share of the time that is left."""
        return Patience(self.deadline - (1.0 - share) * self.left if self.left < float("inf") else self.deadline)

    def check(self, seconds: float = 0.0) -> None:
        """To be called between parts of the work: whether there is time left, so many seconds of it for the next part."""
        if self.is_over() or seconds > self.left:
            raise TimeIsUp

    def insist(self, work: Callable[[], Any]) -> Any:
        """The value of short work that can be done twice: after Ctrl-C it is done again, and `ended` tells whatever comes next."""
        while True:
            with self:
                return work()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *rest: Any) -> bool:
        if kind is KeyboardInterrupt:
            self.ended = SearchStatus.INTERRUPTED
        elif kind is not None and issubclass(kind, TimeIsUp):
            self.ended = self.ended or SearchStatus.TIME_LIMIT
        return kind is not None and issubclass(kind, (TimeIsUp, KeyboardInterrupt))
