"""The built site, as files and in a browser at two widths: no broken link, nothing cut, no error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs_pages import DOCS, ROOT

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ADDRESS = "http://site.test/"  # answered from the folder: nothing leaves the browser
PATIENCE = 120_000  # ms for one page, on however busy a machine
CUT = """() => {
  const width = document.documentElement.clientWidth, found = [];
  const scrolls = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && e.getBoundingClientRect().right <= width + 1;
  for (const e of document.querySelectorAll("article *")) {
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= width + 1) continue;
    let p = e.parentElement;
    while (p !== document.body && !scrolls(p)) p = p.parentElement;
    if (p === document.body) found.push(`${e.tagName} ${Math.round(box.right)} ${e.textContent.trim().slice(0, 40)}`);
  }
  if (document.documentElement.scrollWidth > width) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return found.slice(0, 5);
}"""
CODE_THAT_SCROLLS = """() => [...document.querySelectorAll("article pre > code")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 60))"""
MISSING_PICTURES = """async () => {
  const pictures = [...document.querySelectorAll("article img")];
  pictures.forEach((p) => { p.loading = "eager"; });
  await Promise.allSettled(pictures.map((p) => p.decode()));
  return pictures.filter((p) => !p.naturalWidth).map((p) => p.src);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built without a warning."""
    for name in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(name, reason="the docs extra is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def pages(site: Path) -> list[str]:
    """The addresses of the site's pages."""
    return sorted(p.parent.relative_to(site).as_posix() for p in site.rglob("index.html"))


def test_the_site_has_a_page_for_every_file_and_its_tables_and_notebooks(site: Path) -> None:
    assert len(pages(site)) == len(list(DOCS.rglob("*.md")))
    assert "plrnn" in (site / "guides" / "files" / "index.html").read_text(encoding="utf-8")
    assert json.loads((site / "notebooks" / "flip_flop.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4
    gallery = (site / "gallery" / "index.html").read_text(encoding="utf-8")
    assert gallery.count('loading="lazy"') > 25


def test_no_link_of_the_site_is_broken(site: Path) -> None:
    text = {p: (site / p / "index.html").read_text(encoding="utf-8") for p in pages(site)}
    ids = {p: set(re.findall(r'\bid="([^"]+)"', html)) for p, html in text.items()}
    broken, checked = [], 0
    for page, html in text.items():
        for link in re.findall(r'<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]*)"', html):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target, checked = (site / page / path).resolve(), checked + 1
            place = target.relative_to(site.resolve()).as_posix() if target.is_relative_to(site.resolve()) else ""
            is_page = (target / "index.html").is_file()
            if not (is_page or target.is_file()) or (anchor and is_page and anchor not in ids[place] | {"__skip"}):
                broken.append((page, link))
    assert checked > 1000
    assert broken == []


def served(site: Path, wrong: list):
    """What a tab's requests get: the site's files at `ADDRESS`; a request for anything else is wrong."""

    def answer(route, request) -> None:
        path = site / unquote(urlsplit(request.url).path).lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        if request.url.startswith(ADDRESS) and path.is_file():
            route.fulfill(path=path)
        else:
            wrong.append(f"request for {request.url}")
            route.abort()

    return answer


def test_in_a_browser_nothing_is_cut_missing_or_wrong_at_1280_and_400_pixels(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    wrong, seen = [], 0
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.set_default_timeout(PATIENCE)
        tab.route("**/*", served(site, wrong))
        for page in pages(site):
            tab.set_viewport_size({"width": 1280, "height": 900})
            tab.goto(f"{ADDRESS}{page}/", wait_until="load")
            wrong += [(page, 1280, x) for x in tab.evaluate(CUT) + tab.evaluate(CODE_THAT_SCROLLS)]
            wrong += [(page, x) for x in tab.evaluate(MISSING_PICTURES)]
            tab.set_viewport_size({"width": 400, "height": 900})
            wrong += [(page, 400, x) for x in tab.evaluate(CUT)]
            seen += 1
        browser.close()
    assert seen > 30
    assert wrong == []
