"""A certificate: what is claimed, for which scope, under which conditions, with measured margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from retime.core.rendering import html_table, plain, text_table


@dataclass(frozen=True)
class Condition:
    """One hypothesis and what was measured of it.

    Attributes:
        name: the hypothesis in words.
        holds: whether it holds.
        margin: signed distance to failure (positive: holds; what it measures is in `detail`), NaN where not a number.
        detail: unit or meaning of the margin, and the remedy where it fails.
        required: whether the claim depends on it; otherwise it says what else is true of the answer.
    """

    name: str
    holds: bool
    margin: float
    detail: str = ""
    required: bool = True


@dataclass(frozen=True)
class Certificate:
    """What may be said about a conversion.

    Attributes:
        claim: the statement, in words.
        scope: for which trajectories and times the claim is made.
        conditions: hypotheses with signed margins.
        source: theorem or reference.
    """

    claim: str
    scope: str
    conditions: Sequence[Condition] = field(default_factory=tuple)
    source: str = ""

    @property
    def holds(self) -> bool:
        """Whether every condition that the claim depends on holds."""
        return all(c.holds for c in self.conditions if c.required)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain({**asdict(self), "conditions": [asdict(c) for c in self.conditions], "holds": self.holds})

    def __str__(self) -> str:
        head = f"claim: {self.claim}\nscope: {self.scope}"
        tail = f"\nsource: {self.source}" if self.source else ""
        return f"{head}\n{text_table(_HEADER, self._rows())}{tail}"

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._rows(), caption=f"{self.claim} Scope: {self.scope}")

    def _rows(self) -> list[list[str]]:
        return [
            [c.name, "required" if c.required else "", "yes" if c.holds else "no", f"{c.margin:+.3g}", c.detail]
            for c in self.conditions
        ]


_HEADER = ["condition", "", "holds", "margin", "margin is"]
