"""A certificate: what is claimed, for which scope, under which conditions, with measured margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retime.core.rendering import paragraph, terminal_width, text_table
from retime.core.result import Result


@dataclass(frozen=True)
class Condition(Result):
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

    @classmethod
    def of(cls, name: str, margin: float, detail: str = "", *, required: bool = True) -> Condition:
        """A condition that holds where its margin is not negative."""
        return cls(name, bool(margin >= 0), float(margin), detail, required)


@dataclass(frozen=True)
class Certificate(Result):
    """What may be said about a conversion.

    Attributes:
        claim: the statement, in words.
        scope: for which trajectories and times the claim is made.
        conditions: hypotheses with signed margins.
        source: theorem or reference.
        headline: what is exact, with the measured error, in one plain line; by default the first sentence of the claim.
    """

    claim: str
    scope: str
    conditions: Sequence[Condition] = field(default_factory=tuple)
    source: str = ""
    headline: str = ""

    @property
    def plain_line(self) -> str:
        """What may be said, in one plain line; what was not shown, where the claim does not hold."""
        failed = [c.name for c in self.conditions if c.required and not c.holds]
        if failed:
            return f"NOT shown: {'; '.join(failed)}."
        return self.headline or self.claim.split(". ")[0].removesuffix(".") + "."

    @property
    def holds(self) -> bool:
        """Whether every condition that the claim depends on holds."""
        return all(c.holds for c in self.conditions if c.required)

    def _data(self) -> dict[str, Any]:
        return super()._data() | {"headline": self.plain_line, "holds": self.holds}

    def __str__(self) -> str:
        table = text_table(*self._table(), width=terminal_width())
        head = [self.plain_line, "", f"claim: {self.claim}", f"scope: {self.scope}"]
        tail = f"\n{paragraph(f'source: {self.source}')}" if self.source else ""
        return f"{paragraph(chr(10).join(head))}\n{table}{tail}"

    def _caption(self) -> str:
        return f"{self.plain_line} {self.claim} Scope: {self.scope}"

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        rows = [
            [
                c.name,
                "required" if c.required else "",
                "yes" if c.holds else "no",
                "" if c.margin != c.margin else f"{c.margin:+.3g}",
                c.detail,
            ]
            for c in self.conditions
        ]
        return ["condition", "", "holds", "margin", "margin is"], rows
