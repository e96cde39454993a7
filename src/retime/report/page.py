"""One HTML file from sections and numbers: the script and the style are put in whole, and nothing else may run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from retime.report.html import Section, script_data

MODULES = (
    "columns", "palette", "selection", "canvas", "matrix", "network", "bars", "live", "space", "plane", "graph", "series", "errors",
    "curves", "downloads", "main",
)  # fmt: skip
"""The page's script, in the order in which its modules need each other."""


@cache
def script() -> str:
    """The modules as one script: their imports and exports are names of one scope."""
    folder = files("retime.report").joinpath("browser")
    parts = []
    for name in MODULES:
        text = folder.joinpath(f"{name}.js").read_text(encoding="utf-8")
        text = re.sub(r"^import .*?;\n", "", text, flags=re.M | re.S)
        parts.append(f"// --- {name}.js\n" + re.sub(r"^export ", "", text, flags=re.M))
    return "\n".join(parts)


@cache
def style() -> str:
    """The style sheet."""
    return files("retime.report").joinpath("browser", "page.css").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def policy() -> str:
    """The Content-Security-Policy: this script and this style, pictures from the page itself, no requests."""
    return (
        f"default-src 'none'; script-src {_hash(script())}; style-src {_hash(style())}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def page(
    title: str, subtitle: str, summary: dict[str, list[str]], sections: list[Section], data: dict[str, Any], still: str
) -> str:
    """The whole file as text.

    Args:
        title, subtitle: text. summary: sentences by heading. sections: in their order. data: plain data, see docs/api/report.md.
        still: pictures for those who do without JavaScript, SVG made by this package.
    """
    cards = "".join(
        f'<div class="words"><h2>{escape(name)}</h2>' + "".join(f"<p>{escape(x)}</p>" for x in lines) + "</div>"
        for name, lines in summary.items()
    )
    body = "".join(x.html for x in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retime {escape(str(data["about"]["retime"]), quote=True)}">
<title>{escape(title)}</title>
<style>{style()}</style>
</head>
<body>
<header>
<div><h1>{escape(title)}</h1><p class="subtitle">{escape(subtitle)}</p></div>
<div id="tools" class="tools"></div>
</header>
<main>
<div class="summary">{cards}</div>
<div id="views" class="views"></div>
<noscript><p class="notice">The pictures of this page need JavaScript. What was found is in the words above and the tables below.</p>
<div class="card">{still}</div></noscript>
<div id="sections" class="sections">{body}</div>
</main>
<footer>{_footer(data["about"])}</footer>
<script type="application/json" id="data">{script_data(data)}</script>
<script type="module">{script()}</script>
</body>
</html>
"""


def _footer(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        f"Made by: {about['command']}" if about["command"] else "",
        f"retime {about['retime']}; {versions}.",
        about["cite"],
    ]
    return "".join(f"<p>{escape(x)}</p>" for x in lines if x)
