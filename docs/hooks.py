"""MkDocs hook: what the pages take from the code and from refs.bib instead of repeating it.

`<!-- aliases -->` becomes the table of array names, `<!-- references -->` the list of references, and each
"Source: key" of a docstring a link into that list. `<!-- notebook -->` becomes a link to the page as a notebook
(docs/notebooks.py), `<!-- thumbnails -->` small pictures of all that the page draws.
"""

from __future__ import annotations

import ast
import csv
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs loads this file from any folder
import notebooks

ENTRY = re.compile(r"^@(\w+)\{(\w+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", re.MULTILINE)
MEANING = {
    "A": "linear part of the state, a matrix or its diagonal",
    "W": "recurrent weights",
    "h": "offset",
    "C": "input weights",
    "W1": "weights from the hidden units to the states",
    "W2": "weights from the states to the hidden units",
    "h1": "offset of the states",
    "h2": "offset of the hidden units",
    "slopes": "slope of each dendritic basis",
    "thresholds": "threshold of each basis and unit",
    "thetas": "minus the thresholds, (units, bases)",
    "W_rec": "recurrent weights",
    "W_in": "input weights",
    "b_rec": "recurrent bias, added to the others",
    "b_in": "input bias, added to the others",
    "b": "offset of a linear system; bias; readout offset",
    "E": "input matrix of a linear system",
    "B": "readout matrix",
    "readout_b": "readout offset",
    "dt": "time of one step",
}


def on_config(config: Any) -> Any:
    """The link to the repository: where this checkout came from, unless mkdocs.yml names it."""
    if not config.get("repo_url"):
        address = _origin(Path(config["docs_dir"]))
        if address:
            config["repo_url"], config["repo_name"] = address, address.rstrip("/").rpartition("/")[2]
    return config


def _origin(folder: Path) -> str:
    """The web address of the git remote "origin"; empty where there is none."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "remote", "get-url", "origin"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return web_address(found.stdout.strip()) if found.returncode == 0 else ""


def web_address(remote: str) -> str:
    """https://host/path of a git remote in any of its spellings; empty for a folder, and without a user's name or password."""
    match = re.fullmatch(r"(?:ssh://|https?://)?(?:[^@/]*@)?([\w.-]+\.\w+)(?::\d+)?[:/](.+?)(?:\.git)?/?", remote)
    return f"https://{match[1]}/{match[2]}" if match else ""


def on_files(files: Any, config: Any) -> Any:
    """Add the notebook of every page that is marked for one."""
    from mkdocs.structure.files import File

    for file in list(files.documentation_pages()):
        page = Path(file.abs_src_path).read_text(encoding="utf-8")
        if notebooks.MARK in page:
            files.append(File.generated(config, _notebook_of(file.src_uri), content=notebooks.text(page)))
    return files


def _notebook_of(page: str) -> str:
    return f"notebooks/{Path(page).stem}.ipynb"


def thumbnails(page: str) -> str:
    """The drawn pictures of a page, small, each a link to the heading that it stands under."""
    found = re.findall(
        r"^### (\w+)\n(?:(?!^### ).)*?!\[[^\]]*\]\(([\w/]*drawn/\w+\.png)\)", page, re.MULTILINE | re.DOTALL
    )
    links = [f"[![{name}]({picture}){{ loading=lazy }} {name}](#{name})" for name, picture in found]
    return '<div class="thumbnails" markdown>\n' + "\n".join(links) + "\n</div>"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in the tables."""
    if "<!-- aliases -->" in markdown:
        markdown = markdown.replace("<!-- aliases -->", alias_table())
    if "<!-- tolerances -->" in markdown:
        markdown = markdown.replace("<!-- tolerances -->", tolerance_tables(Path(config["docs_dir"])))
    if notebooks.MARK in markdown:
        target = "../" * page.file.src_uri.count("/") + _notebook_of(page.file.src_uri)
        link = f"[This page as a notebook]({target}){{ .notebook download }}"
        markdown = markdown.replace(notebooks.MARK, link)
    if "<!-- thumbnails -->" in markdown:
        markdown = markdown.replace("<!-- thumbnails -->", thumbnails(markdown))
    if "<!-- citations -->" in markdown:
        markdown = markdown.replace("<!-- citations -->", citations())
    if "<!-- references -->" in markdown:
        text = (Path(config["docs_dir"]) / "refs.bib").read_text(encoding="utf-8")
        markdown = markdown.replace("<!-- references -->", reference_list(text))
    return markdown


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Link the keys and pages that a docstring names as its source, and every picture to itself in full."""
    html = re.sub(r'(?<!">)(<img [^>]*src="([^"]+)"[^>]*>)', r'<a class="picture" href="\2">\1</a>', html)
    text = (Path(config["docs_dir"]) / "refs.bib").read_text(encoding="utf-8")
    keys, up = entries(text), "../" * page.url.count("/")
    return re.sub(r"Source: [^<]*", lambda match: _linked(match[0], keys, up), html)


def _linked(source: str, keys: Any, up: str) -> str:
    source = re.sub(
        r"[a-z]+\d{4}", lambda m: f'<a href="{up}references/#{m[0]}">{m[0]}</a>' if m[0] in keys else m[0], source
    )
    return re.sub(r"docs/(theory/\w+)\.md", rf'<a href="{up}\1/">\1</a>', source)


def alias_table() -> str:
    """The names under which each parameter may be stored, from `retime.io.ALIASES`."""
    from retime.io import ALIASES

    rows = ["| parameter | names in a file | meaning |", "|---|---|---|"]
    for name, aliases in ALIASES.items():
        rows.append(f"| `{name}` | {', '.join(f'`{a}`' for a in aliases)} | {MEANING[name]} |")
    return "\n".join(rows)


COSTS = {
    "MEMORY",
    "CACHE",
    "PIECE",
    "GRACE",
    "PROOF_SHARE",
    "SETTLE",
    "PATIENCE",
    "SAVED",
    "SEARCHED",
    "IDLE",
    "ASK_EVERY",
    "TASK",
    "LEAST",
}  # seconds, bytes and shares of time: how fast, not what is found
VALUES = {
    "BOLTZMANN_PER_CHARGE",
    "BAND_GAP",
    "NOMINAL",
    "GMIN",
    "POLE_FARAD",
    "SUPPLY",
    "TAIL_AMPERE",
}  # of physics and of parts


METHODS = {"Arclength", "Multistart", "Settling", "Shooting"}  # method objects whose fields are thresholds of a search


def tolerances(source: Path) -> list[tuple[str, str, str, str]]:
    """(file, name, value, why) of every tolerance: a number with a fraction at the top of a file, its comment beside it."""
    found = []
    for path in sorted(source.rglob("*.py")):
        file, lines = path.relative_to(source).as_posix(), path.read_text(encoding="utf-8").splitlines()
        if file.split("/")[0] in ("plots", "cli", "io", "zoo"):
            continue
        body = ast.parse("\n".join(lines)).body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.Assign) and _is_fraction(node.value):
                name, text = ast.unparse(node.targets[0]), " ".join(lines[node.lineno - 1 : node.end_lineno])
                if name.isupper() and name not in COSTS | VALUES:
                    why = text.partition("# ")[2].rstrip(" )") or _said(following)
                    found.append((file, name, " ".join(ast.unparse(node.value).split()), why))
            elif isinstance(node, ast.ClassDef) and node.name in METHODS:
                found += [(file, *field) for field in _thresholds(node)]
    return found


def _said(node: ast.stmt | None) -> str:
    """The string below a definition."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return " ".join(str(node.value.value).split()).rstrip(".") if is_text else ""


def _thresholds(method: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """(name, value, why) of the fields of a method object that are tolerances, as its docstring explains them."""
    why = dict(re.findall(r"^ +(\w+): (.*)$", ast.get_docstring(method) or "", re.MULTILINE))
    for node in method.body:
        if isinstance(node, ast.AnnAssign) and node.value is not None and _is_fraction(node.value):
            name = ast.unparse(node.target)
            yield f"{method.name}.{name}", ast.unparse(node.value), why[name]


def _is_fraction(value: ast.expr) -> bool:
    """Numbers with a fraction or a negative power, and rounding units, in an expression of nothing else."""
    parts = [n for n in ast.walk(value) if not isinstance(n, (ast.operator, ast.unaryop, ast.Load))]
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Name, ast.Attribute, ast.Call)
    names = {n.id for n in parts if isinstance(n, ast.Name)}
    numbers = [n.value for n in parts if isinstance(n, ast.Constant)]
    is_number = all(isinstance(n, allowed) for n in parts) and all(isinstance(x, int | float) for x in numbers)
    return is_number and names <= {"np", "float", "EPS"} and (any(isinstance(x, float) for x in numbers) or bool(names))


def tolerance_tables(docs: Path) -> str:
    """A table per file, with what ten times and a tenth of each change (docs/tolerances.csv, from benchmarks/tolerances.py)."""
    with (docs / "tolerances.csv").open(encoding="utf-8", newline="") as file:
        measured = {(row["file"], row["name"]): row for row in csv.DictReader(file)}
    tables: dict[str, list[str]] = {}
    for file, name, value, why in tolerances(docs.parent / "src" / "retime"):
        row = measured.get((file, name), {})
        cells = [f"`{name}`", f"`{value}`", why, *(row.get(c, "") for c in ("ten_times", "a_tenth", "remark"))]
        head = ["| name | value | why | ten times | a tenth | where no test notices |", "|---|---|---|---|---|---|"]
        tables.setdefault(file, head).append("| " + " | ".join(c.replace("|", r"\|") for c in cells) + " |")
    return "\n\n".join(f"**{file}**\n\n" + "\n".join(rows) for file, rows in tables.items())


def citations() -> str:
    """The BibTeX entries that `retime cite` prints."""
    from retime.cli.collection import ENTRIES

    return "```bibtex\n" + "\n\n".join(entry for _, entry in ENTRIES.values()) + "\n```"


def entries(bibtex: str) -> dict[str, dict[str, str]]:
    """Fields by key of a BibTeX file with one field a line."""
    return {key: dict(FIELD.findall(body)) | {"kind": kind} for kind, key, body in ENTRY.findall(bibtex)}


def reference_list(bibtex: str) -> str:
    """One paragraph per entry, with its key as anchor."""
    lines = []
    for key, entry in sorted(entries(bibtex).items()):
        where = ", ".join(
            entry[f].replace("--", "-")
            for f in ("journal", "booktitle", "publisher", "series", "volume", "pages", "note")
            if f in entry
        )
        links = []
        if "doi" in entry:
            links.append(f"[doi:{entry['doi']}](https://doi.org/{entry['doi']})")
        if "eprint" in entry:
            links.append(f"[arXiv:{entry['eprint']}](https://arxiv.org/abs/{entry['eprint']})")
        authors = entry["author"].replace(" and ", "; ").removesuffix(".")
        text = f"**`{key}`** {authors}. *{entry['title']}*. {where}, {entry['year']}. {' '.join(links)}"
        lines.append(f'<span id="{key}"></span>' + _plain(text).strip())
    return "\n\n".join(lines)


def _plain(latex: str) -> str:
    latex = re.sub(r'\\"(\w)', lambda match: unicodedata.normalize("NFC", match[1] + "\u0308"), latex)
    return latex.replace("{", "").replace("}", "")
