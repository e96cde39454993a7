"""A browser for the report's pages: Chromium without a network, told to Playwright; what it complains of fails the test."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """A running browser; skipped where there is none. It ends with the file: Playwright runs once in a process."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """visit(path, **options of the page) -> a Playwright page of a file; errors, messages and requests fail the test at its end."""
    opened, wrong = [], []

    def open_page(path, *, width=1280, ready=True, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
        page = context.new_page()
        opened.append(context)
        page.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: wrong.append(f"error: {e}"))
        page.on(
            "request",
            lambda r: (
                wrong.append(f"request: {r.url[:80]}") if not r.url.startswith(("file:", "blob:", "data:")) else None
            ),
        )
        page.goto(Path(path).as_uri())
        if ready:
            page.wait_for_function("document.documentElement.dataset.ready")
        return page

    yield open_page
    for context in opened:
        context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def node():
    """The path of Node; skipped where there is none, or an old one."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed: apt-get install nodejs npm")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip("v\n").split(".")[0]) < 18:
        pytest.skip(f"Node {version.strip()} has no test runner; 18 or newer is needed")
    return found


@pytest.fixture(scope="session")
def modules():
    """The folder of what npm installed; skipped where it was not."""
    folder = HERE / "node_modules"
    if not folder.is_dir():
        pytest.skip("TypeScript and axe-core are not installed: npm ci --prefix tests/browser")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Where screenshots are kept: the folder RETIME_SCREENSHOTS, else a temporary one."""
    named = os.environ.get("RETIME_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
