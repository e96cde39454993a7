"""Griffe extension: how the house docstrings (STYLE of this project) become Markdown.

Docstrings are written to be read in an editor: equations as bare lines, several short arguments or errors on one line,
statuses as "name: meaning". Each of these is unfolded here, so that a page shows them one below the other.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_EQUATION = re.compile(r"^\S[^.]* (=|becomes) \S.*[^.:,;]$")
_NAMED = re.compile(r"^[a-z_]+: ")
_ERROR = re.compile(r"(?<=\.) (?=(?:[A-Z]\w*Error|OSError): )")
_ARGUMENT = re.compile(r"(?<=\.) (?=\w+: `\()")


class HouseDocstrings(griffe.Extension):
    """Unfold every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = unfolded(obj.docstring.value)


def unfolded(text: str) -> str:
    """A docstring with its equations, lists, arguments and errors one to a line."""
    return "\n\n".join(_paragraph(p, is_first=k == 0) for k, p in enumerate(text.split("\n\n")))


def _paragraph(text: str, *, is_first: bool) -> str:
    lines = text.splitlines()
    if text.startswith("Raises:\n"):
        return "Raises:\n    " + _ERROR.sub("\n    ", " ".join(line.strip() for line in lines[1:]))
    if text.startswith("Args:\n"):
        return "\n".join(_ARGUMENT.sub("\n" + _margin(line), line) for line in lines)
    if not is_first and all(_EQUATION.match(line) for line in lines):
        return "\n".join("    " + line for line in lines)
    named = [bool(_NAMED.match(line)) for line in lines]
    if sum(named) > 1 and all(is_named or line.startswith(" ") for line, is_named in zip(lines, named, strict=True)):
        return "\n".join(
            "- `" + line.replace(":", "`:", 1) if is_named else line
            for line, is_named in zip(lines, named, strict=True)
        )
    return text


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
