"""The report in Chromium: size of the file, time until it is ready, time of a linked redraw, for 10,000 and for 200,000 states.

    python benchmarks/report.py [LOADS]

Redraw: all views drawn anew, in script ("script"), and from frame to frame while the state space turns and a window of time moves, so that what the browser
does with the drawing counts too ("frame"; 16.7 ms is the least that a screen of 60 Hz has). Medians, and the smallest.
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
FRAMES = """async () => {
  const times = [];
  let last = null;
  for (let k = 0; k < 60; k++) {
    const now = await new Promise(requestAnimationFrame);
    if (last !== null) times.push(now - last);
    last = now;
    retime.views.space.camera = retime.views.space.camera.slice();
    retime.selection.set({window: [50 * k, 50 * k + retime.count / 4]});
    retime.redraw();
  }
  return times;
}"""


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
            ready, script = [], []
            for _ in range(loads):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(path.as_uri())
                page.wait_for_function("document.documentElement.dataset.ready")
                ready.append(float(page.evaluate("document.documentElement.dataset.ready")))
                script += page.evaluate("Array.from({length: 20}, () => retime.redraw())")
                frames = page.evaluate(FRAMES)
                drawn = page.evaluate("retime.count")
                page.close()
            print(
                f"{steps} states, {drawn} drawn: {path.stat().st_size / 1e6:.2f} MB, written in {made:.1f} s; ready {median(ready):.0f} ms (least "
                f"{min(ready):.0f}); redraw: script {median(script):.1f} ms (least {min(script):.1f}), frame {median(frames):.1f} ms "
                f"(least {min(frames):.1f})"
            )  # fmt: skip
        browser.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
