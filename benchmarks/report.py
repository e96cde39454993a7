"""The report in Chromium: size of the file, time until it is ready, time of a linked redraw, for 10,000 and for 200,000 states.

    python benchmarks/report.py [LOADS]

Redraw: the views that follow when a window of time is dragged (state space, regions, time series, map and flow), in script alone, and
until the browser has drawn them too (a pixel is read back). Medians, and the least: what the machine can when nothing else runs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

import retime as rt

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
LINKED = """() => Array.from({length: 60}, (_, k) => {
  retime.selection.set({window: [50 * k, 50 * k + retime.count / 4]});
  const views = ["space", "graph", "series", "errors"].map((name) => retime.views[name]);
  const began = performance.now();
  for (const view of views) view.now();
  const script = performance.now() - began;
  for (const view of views) view.canvas.getContext("2d").getImageData(0, 0, 1, 1);
  return [script, performance.now() - began];
})"""


def pages(folder):
    """The pages: name and path; how long each took to make is printed."""
    entry = rt.zoo.entry("lorenz")
    for steps in (10_000, 200_000):
        orbit = rt.simulate(entry.model, entry.z0, steps=steps)
        parts = [
            entry.model,
            orbit,
            rt.find_fixed_points(entry.model),
            rt.lyapunov_spectrum(entry.model, entry.z0, steps=2000),
        ]
        parts.append(rt.conversion_report(entry.model, entry.z0, steps=200))
        began = time.perf_counter()
        path = rt.report(parts, folder / f"{steps}.html")
        yield steps, path, time.perf_counter() - began


def main(loads: int) -> None:
    """Print one line per page."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for steps, path, made in pages(Path(name)):
            ready, redrawn = [], []
            for _ in range(loads):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(path.as_uri())
                page.wait_for_function("document.documentElement.dataset.ready")
                ready.append(float(page.evaluate("document.documentElement.dataset.ready")))
                redrawn += page.evaluate(LINKED)
                drawn = page.evaluate("retime.count")
                page.close()
            script, whole = zip(*redrawn, strict=True)
            print(f"{steps} states, {drawn} drawn: {path.stat().st_size / 1e6:.2f} MB, written in {made:.1f} s")
            print(f"  ready {median(ready):.0f} ms (least {min(ready):.0f})")
            print(
                f"  redraw: script {median(script):.1f} ms (least {min(script):.1f}), drawn {median(whole):.1f} ms (least {min(whole):.1f})"
            )
        browser.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
