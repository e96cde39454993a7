"""The tutorials as notebooks: the page's code, in order, in a file that Jupyter reads."""

from __future__ import annotations

import json

import pytest

from docs_pages import PAGES, blocks, notebooks

MARKED = [p for p in PAGES if notebooks.MARK in p.read_text(encoding="utf-8")]
TUTORIALS = {"matlab", "flip_flop", "recording", "which_ode", "control", "circuits", "questions"}


def test_the_tutorials_are_notebooks_with_names_of_their_own() -> None:
    names = [page.stem for page in MARKED]
    assert set(names) >= TUTORIALS
    assert len(names) == len(set(names))


@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.stem)
def test_a_notebook_holds_the_code_of_its_page_and_no_output(page) -> None:
    text = page.read_text(encoding="utf-8")
    found = json.loads(notebooks.text(text))
    cells = found["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code == [block.source.strip("\n") for block in blocks.blocks(text)]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if "outputs" in cell)
    words = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert "```text" not in words
    assert "](../" not in words
    assert "drawn/" not in words


@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.stem)
def test_a_notebook_has_the_form_of_nbformat_4_5(page) -> None:
    found = notebooks.notebook(page.read_text(encoding="utf-8"))
    assert (found["nbformat"], found["nbformat_minor"], found.keys()) == (
        4,
        5,
        {"cells", "metadata", "nbformat", "nbformat_minor"},
    )
    ids = [cell["id"] for cell in found["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in found["cells"]:
        own = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == {"cell_type", "id", "metadata", "source"} | own
        assert all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])


def test_the_same_page_makes_the_same_notebook() -> None:
    page = MARKED[0].read_text(encoding="utf-8")
    assert notebooks.text(page) == notebooks.text(page)
