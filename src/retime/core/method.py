"""Methods of searches: thresholds with names and defaults, that a user may change and a result keeps."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from retime.core.arguments import whole
from retime.core.arrays import positive
from retime.core.result import Result

M = TypeVar("M", bound="Method")


@dataclass(frozen=True, repr=False)
class Method(Result):
    """Base of methods: every field is a count (whole, >= 1) or a positive threshold, and has a default."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            is_count = isinstance(f.default, int)
            checked = whole(f.name, value, 1) if is_count else positive(f.name, value, "threshold")
            object.__setattr__(self, f.name, checked)

    def _title(self) -> str:
        """What differs from the defaults."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return ", ".join(f"{name}={value!r}" for name, value in values.items())


def method_of(name: str, value: Any, kind: type[M]) -> M:
    """The method that an argument is; for None the one with all defaults.

    Raises:
        TypeError: another thing.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` is {value!r}; it must be {kind.__name__}(...), or None for its defaults.")
    return value
