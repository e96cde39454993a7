"""`retime analyze`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import retime as rt
from retime.cli.commands import emit
from retime.cli.source import Loaded, check_output, is_stdout
from retime.core.arrays import Array
from retime.core.files import replace_atomically
from retime.core.rendering import paragraph, plain, terminal_width, text_table

PICTURES = (".png", ".pdf", ".svg")


def analyze(loaded: Loaded, z0: Array, options: dict[str, Any], output: Path | None, as_json: bool) -> bool:
    """Analyze and print; the return value says whether the proof of completeness, where one was tried, succeeded."""
    check_output(output, (".json", ".csv", *PICTURES))
    if is_stdout(output):
        as_json, output = True, None
    model, switching = loaded.model, options.pop("switching")
    if switching is not None and model.time.step is not None:
        model = rt.to_continuous(model, throw=False).model
    if switching is not None:
        options["switching"] = switching
    found = rt.analyze(model, z0, **options)
    data = {"file": loaded.name, "recognition": loaded.recognition, **found.to_dict()}
    written = None if output is None else str(_write(found, data, output))
    if as_json:
        emit({**data, "output": written})
        return not _is_short(found)
    print(paragraph(loaded.recognition))
    for note in loaded.notes:
        print(note)
    for part in (found.fixed_points, found.cycles, found.exponents, found.basins):
        if part is not None:
            print(f"\n{_wrapped(part)}")
    if found.regions is not None:
        print(f"\n{_regions(found.regions)}")
    print(f"\n{paragraph(found.words)}")
    if written is not None:
        print(f"\nWritten: {written}")
    return not _is_short(found)


def _wrapped(part: Any) -> str:
    """A result with its first line broken at the terminal's width."""
    title, _, table = repr(part).partition("\n")
    return paragraph(title) + ("\n" + table if table else "")


def _is_short(found: Any) -> bool:
    """Whether a budget or Ctrl-C ended a search early."""
    return found.status in ("time_limit", "node_limit", "interrupted")


def _regions(regions: Any) -> str:
    shown = min(len(regions.patterns), 8)
    rows = [
        ["".join("01"[int(b)] for b in regions.patterns[k]), str(int(regions.counts[k])), f"{regions.fractions[k]:.4f}"]
        for k in range(shown)
    ]
    rows += [["...", f"{len(regions.patterns) - shown} more", ""]] if len(regions.patterns) > shown else []
    table = text_table(["pattern", "samples", "share of time"], rows, width=terminal_width())
    return f"Regions: {len(regions.patterns)} visited\n{table}"


def _write(found: Any, data: dict[str, Any], output: Path) -> Path:
    """The numbers as .json, the fixed points as .csv, or the picture."""
    if output.suffix == ".csv":
        return found.fixed_points.to_csv(output)
    with replace_atomically(output) as temporary:
        if output.suffix == ".json":
            temporary.write_text(json.dumps(plain(data), allow_nan=False), encoding="utf-8")
        else:
            figure = found.plot()[0].figure
            figure.savefig(temporary, format=output.suffix[1:], dpi=150)
    return output
