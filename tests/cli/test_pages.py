"""`retime report` and `retime explore`."""

import json
import webbrowser
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, A=[0.5, 0.4], W=[[0.0, -1.0], [0.9, 0.0]], h=[0.5, -0.2])
    return path


def test_report_writes_a_page_and_says_where(run, weights, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = run(
        "report", weights, "-o", page, "--steps", 20, "--z0", "0.3,0.1", "--labels", "x,y", "--title", "<b>"
    )
    assert code == 0
    assert f"Written: {page}" in out
    text = page.read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;</title>" in text
    assert f"retime report {weights} -o {page} --steps 20" in text
    assert '"name":"x"' in text
    assert "PLRNN" in text


def test_report_needs_a_file_to_write_and_a_good_one(run, weights, tmp_path):
    code, _, err = run("report", weights)
    assert (code, err.startswith("retime: Say where to write the page with -o FILE.html")) == (2, True)
    assert run("report", weights, "-o", tmp_path / "page.pdf")[0] == 2
    assert "does not exist" in run("report", weights, "-o", tmp_path / "no" / "page.html")[2]


@pytest.mark.parametrize("is_there", [True, False])
def test_explore_opens_the_page_or_says_where_it_is(run, weights, tmp_path, monkeypatch, is_there):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or is_there)
    code, out, _ = run("explore", weights, "--steps", 20, "--z0", "0.3,0.1")
    assert code == 0
    path = Path(out.split("Written: ")[1].split()[0])
    assert opened == [path.as_uri()]
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ("no browser was found" in out) is not is_there


def test_numbers_on_stdout_name_the_page(run, weights, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = run("report", weights, "-o", page, "--steps", 20, "--z0", "0.3,0.1", "--json")
    assert code == 0
    assert json.loads(out)["output"] == str(page)
