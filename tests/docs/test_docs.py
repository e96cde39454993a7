"""The documentation: its code runs, its output is what is printed, its references and names are complete."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import retime
from docs_pages import DOCS, PAGES, ROOT, blocks, hooks

SAME = 0.02  # of the range of gray values: pictures differ by less between versions of matplotlib, by more when they show something else


def test_the_pages_with_code_are_found() -> None:
    names = {str(p.relative_to(ROOT)) for p in PAGES}
    assert {"docs/index.md", "docs/theory/conversion.md", "docs/theory/flows.md", "docs/guides/files.md"} <= names


def _named(page: Path) -> object:
    """The first page runs by default, the longer ones with the slow tests."""
    first = page.name == "index.md"
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=[] if first else [pytest.mark.slow])


@pytest.mark.parametrize("page", [_named(p) for p in PAGES])
def test_code_on_a_page_runs_and_prints_what_the_page_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    if "import control" in text:
        pytest.importorskip("control")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict[str, object] = {"__name__": "__docs__"}
    with np.printoptions():
        for block in blocks.blocks(text):
            printed = blocks.run(block, f"{page}", namespace)
            if block.shown is not None:
                shown = text[block.shown]
                assert blocks.agree(shown, printed), f"{page}:{block.line} shows\n{shown}\nbut prints\n{printed}"
            if block.picture is not None:
                image = blocks.drawing()
                assert image is not None, f"{page}:{block.line} draws nothing"
                assert blocks.difference(image, page.parent / block.picture) < SAME, f"{block.picture} is out of date"


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("error 3.1e-15, W [[ 1. -0.]]", "error 7e-16, W [[1.  0.]]", True),
        ("principal 20", "principal 21", False),
        ("raised 7", "principal 7", False),
        ("orbit 0.500", "orbit 0.501", True),
        ("a long name  1.3e-14  less than", "a long   9e-15  less\nname            than", True),
        ("a long name  1.3e-14  less than", "a long   9e-15  more\nname            than", False),
        ("a long name  1.3e-3   less than", "a long   9e-3   less\nname            than", False),
    ],
)
def test_outputs_agree_up_to_rounding_only(shown: str, printed: str, expected: bool) -> None:
    assert blocks.agree(shown, printed) is expected


def test_every_key_that_a_docstring_names_is_in_the_bibliography() -> None:
    known = hooks.entries((DOCS / "refs.bib").read_text(encoding="utf-8"))
    texts = {p: p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py")}
    sources = [s for text in texts.values() for s in re.findall(r"Source: (?:[^\"]|\"(?!\"\"))*", text)]
    keys = {key for source in sources for key in re.findall(r"\b[a-z]+(?:19|20)\d\d\b", source)}
    assert {"monfared2020", "culver1966", "filippov1988"} <= keys
    assert keys <= known.keys()


def test_every_page_that_the_code_names_exists() -> None:
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"docs/[\w/]+\.(?:md|bib)", text)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_bibliography_entry_is_complete() -> None:
    known = hooks.entries((DOCS / "refs.bib").read_text(encoding="utf-8"))
    incomplete = [key for key, entry in known.items() if not {"author", "title", "year"} <= entry.keys()]
    assert known
    assert incomplete == []


def test_every_public_name_is_on_an_api_page() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in (DOCS / "api").glob("*.md"))
    documented = set(re.findall(r"\bretime\.(\w+)\b(?!\.)", text))
    assert [name for name in retime.__all__ if name not in documented] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))
    assert pages
    assert [page for page in pages if f": {page}\n" not in navigation] == []


def test_the_alias_table_explains_every_parameter() -> None:
    table = hooks.alias_table()
    for name, aliases in retime.io.ALIASES.items():
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{alias}`" in row for alias in aliases)


def test_the_pages_hold_no_path_of_a_machine() -> None:
    for page in [*DOCS.rglob("*.md"), DOCS / "refs.bib", ROOT / "mkdocs.yml"]:
        assert re.search(r"(?<![\w.])/(?:work|tmp|home|root|Users)/", page.read_text(encoding="utf-8")) is None, page


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/group/retime.git", "https://example.org/group/retime"),
        ("git@example.org:group/retime.git", "https://example.org/group/retime"),
        ("ssh://git@example.org:2222/group/retime", "https://example.org/group/retime"),
        ("https://someone:secret@example.org/retime/", "https://example.org/retime"),
        ("/srv/git/retime.git", ""),
        ("", ""),
    ],
)
def test_the_link_to_the_repository_is_the_remotes_address(remote: str, address: str) -> None:
    assert hooks.web_address(remote) == address


def test_the_pictures_of_the_readme_are_on_the_site() -> None:
    pictures = set(re.findall(r"docs/(images/\w+\.png)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert len(pictures) > 2
    site = "".join(p.read_text(encoding="utf-8") for p in DOCS.rglob("*.md"))
    assert {x for x in pictures if x not in site} == set()
