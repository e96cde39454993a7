"""Every plot has its picture in the gallery, drawn by the code below it, and small."""

from __future__ import annotations

import ast
import re

import pytest
from PIL import Image

from docs_pages import DOCS, PAGES, ROOT, blocks
from retime import plots

GALLERY = (DOCS / "gallery.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", GALLERY, re.MULTILINE | re.DOTALL))


def drawn_by():
    """(class, function) of every result class that names the function which draws it."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for item in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(item, (ast.Assign, ast.AnnAssign)) and isinstance(item.value, ast.Constant):
                    target = item.target if isinstance(item, ast.AnnAssign) else item.targets[0]
                    if ast.unparse(target) == "_plot" and item.value.value:
                        yield node.name.removeprefix("BuiltIn"), item.value.value


def test_every_plot_function_has_a_picture_and_its_code_in_the_gallery() -> None:
    shown = {name for name, text in SECTIONS.items() if blocks.pictures(text) == [f"images/drawn/{name}.png"]}
    coded = {name for name, text in SECTIONS.items() if f"plots.{name}(" in text or ".plot(" in text}
    assert shown & coded == set(plots.__all__)


def test_every_result_that_draws_itself_is_named_where_it_is_drawn() -> None:
    pairs = list(drawn_by())
    assert len(pairs) > 20
    assert [pair for pair in pairs if f"`{pair[0]}.plot()`" not in SECTIONS[pair[1]]] == []


def test_each_picture_of_a_page_belongs_to_one_block() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        claimed = [block.picture for block in blocks.blocks(text) if block.picture]
        assert claimed == blocks.pictures(text), page


def test_pictures_exist_are_small_and_are_all_used() -> None:
    used = {(p.parent / name).resolve() for p in PAGES for name in blocks.pictures(p.read_text(encoding="utf-8"))}
    assert used == set((DOCS / "images" / "drawn").iterdir())
    for path in used:
        assert path.stat().st_size < blocks.LARGEST, path
        with Image.open(path) as image:
            assert image.width <= 1.05 * blocks.WIDTH, path


@pytest.mark.parametrize(
    ("page", "picture"),
    [
        ("```python\na\n```\n\n![x](drawn/a.png)\n", "drawn/a.png"),
        ("```python\na\n```\n\n```text\n1\n```\n\n![x](../images/drawn/a.png)\n", "../images/drawn/a.png"),
        ("![x](drawn/a.png)\n\n```python\na\n```\n", "drawn/a.png"),
        ("![x](drawn/a.png)\n\nwords\n\n```python\na\n```\n", None),
        ("```python\na\n```\n\nwords\n\n![x](drawn/a.png)\n", None),
        ("```python\na\n```\n\n![x](images/other.png)\n", None),
    ],
    ids=["below", "below the output", "above", "above words", "below words", "another folder"],
)
def test_a_picture_belongs_to_the_block_it_stands_next_to(page: str, picture: str | None) -> None:
    assert [block.picture for block in blocks.blocks(page)] == [picture]


def test_of_two_blocks_the_first_claims_the_picture_between_them() -> None:
    page = "```python\na\n```\n\n![x](drawn/a.png)\n\n```python\nb\n```\n"
    assert [block.picture for block in blocks.blocks(page)] == ["drawn/a.png", None]


def test_another_picture_is_told_from_the_same_one(tmp_path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    def line(*heights):
        plt.subplots()[1].plot(heights)
        return blocks.drawing()

    blocks.write_picture(line(0, 1, 0), tmp_path / "a.png")
    assert blocks.difference(line(0, 1, 0), tmp_path / "a.png") < 0.003
    assert blocks.difference(line(1, 0, 1, 0, 1), tmp_path / "a.png") > 0.01
    assert blocks.drawing() is None
