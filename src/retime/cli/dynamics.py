"""`retime analyze`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import retime as rt
from retime.cli.app import Page, Start, Switching, command
from retime.core.files import replace_atomically
from retime.core.rendering import paragraph, terminal_width, text_table

PICTURES = (".png", ".pdf", ".svg")


@command(writes=(".json", ".csv", *PICTURES))
def analyze(
    page: Page,
    z0: Start = None,
    inputs: Annotated[str | None, typer.Option(help="Constant input, comma-separated; default: zero.")] = None,
    steps: Annotated[int, typer.Option(help="Number of steps of the orbit.")] = 10_000,
    duration: Annotated[float | None, typer.Option(help="Flows: model time of the orbit.")] = None,
    switching: Annotated[
        Switching | None, typer.Option(help="Convert to a flow and analyze that; default: the map itself.")
    ] = None,
    max_period: Annotated[
        float | None, typer.Option(help="Largest period of cycles (steps, or model time of a flow); 0 for no cycles.")
    ] = None,
    basins: Annotated[int, typer.Option(help="Initial states for basins of attraction; 0 for none.", min=0)] = 0,
    time_limit: Annotated[float, typer.Option(help="Seconds for the searches.")] = 60.0,
) -> bool:
    """Fixed points, cycles, exponents, regions, basins.

    Of ReLU networks all fixed points, with a proof; Lyapunov exponents of one orbit. Exit code 1 when the time ended, or Ctrl-C
    came, before the searches did; the orbit and its exponents take what their length needs. -o writes the numbers (.json), the
    fixed points as a table (.csv), or a picture (.png .pdf .svg).
    """
    loaded = page.loaded
    model, level = loaded.model, loaded.level(inputs)
    start = loaded.start(z0, level)
    if switching is not None and not model.takes_switching:
        model = rt.to_continuous(model, throw=False).model
    rule: dict[str, Any] = {} if switching is None else {"switching": switching.value}
    found = rt.analyze(
        model, start, inputs=level, steps=steps, duration=duration, max_period=max_period, basins=basins,
        time_limit=time_limit, **rule,
    )  # fmt: skip
    page.save(_Saved(found))
    page.head()
    for part in (found.fixed_points, found.cycles, found.exponents, found.basins):
        if part is not None:
            title, _, table = repr(part).partition("\n")
            page.say(f"\n{paragraph(title)}" + ("\n" + table if table else ""))
    if found.regions is not None:
        page.say(f"\n{_regions(found.regions)}")
    page.say(f"\n{paragraph(found.words)}")
    page.end(page.facts | found.to_dict())
    return found.status not in ("time_limit", "node_limit", "interrupted")


def _regions(regions: Any) -> str:
    shown = min(len(regions.patterns), 8)
    rows = [
        ["".join("01"[int(b)] for b in regions.patterns[k]), str(int(regions.counts[k])), f"{regions.fractions[k]:.4f}"]
        for k in range(shown)
    ]
    rows += [["...", f"{len(regions.patterns) - shown} more", ""]] if len(regions.patterns) > shown else []
    table = text_table(["pattern", "samples", "share of time"], rows, width=terminal_width())
    return f"Regions: {len(regions.patterns)} visited\n{table}"


@dataclass(frozen=True)
class _Saved:
    """An analysis as a file: the numbers as .json, the fixed points as .csv, or the picture."""

    found: Any

    def save(self, output: Path) -> Path:
        if output.suffix not in PICTURES:
            return (self.found.fixed_points if output.suffix == ".csv" else self.found).save(output)
        with replace_atomically(output) as temporary:
            self.found.plot()[0].figure.savefig(temporary, format=output.suffix[1:], dpi=150)
        return output
