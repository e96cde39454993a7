"""`retime circuit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import retime as rt
from retime.cli.app import Page, Start, command
from retime.core.arrays import Array
from retime.core.files import replace_atomically
from retime.core.rendering import paragraph, terminal_width, text_table

DIALECTS = {".cir": "ngspice", ".va": "verilog-a", ".net": "kicad"}


@command(writes=(*DIALECTS, ".csv", ".svg"))
def circuit(
    page: Page,
    topology: Annotated[
        str | None, typer.Option(help="conductance, integrator or sampled; default: what the model suggests.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="ideal (controlled sources), opamp, or transistor (tanh pairs).")
    ] = "ideal",
    series: Annotated[
        str, typer.Option(help="Preferred numbers of resistors: E12, E24, E96, or exact; default: E96 for parts.")
    ] = "auto",
    temperature: Annotated[float, typer.Option(help="Degrees Celsius.")] = 27.0,
    simulate: Annotated[
        str | None, typer.Option(help="Run it beside the model: kirchhoff, neospice or ngspice, or auto.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Model time of that run; default: 10 time constants, 50 steps.")
    ] = None,
    z0: Start = None,
    monte_carlo: Annotated[
        int, typer.Option(min=0, help="Number of circuits with deviating components; 0 for none.")
    ] = 0,
    tolerance: Annotated[str, typer.Option(help="Of the components, e.g. 1%.")] = "1%",
) -> bool:
    """The electrical network that follows a network.

    What it is made of, which conditions it satisfies, and how far it is from the model. Exit code 1 when the certificate fails. -o writes
    the netlist (.cir, .va Verilog-A, .net KiCad; - prints it), the parts (.csv) or the drawing of one neuron (.svg).
    """
    share = _share(tolerance)
    options: dict[str, Any] = {"topology": topology, "level": level, "temperature": temperature}
    options["series"] = None if series == "exact" else series
    built = rt.to_circuit(page.loaded.model, throw=False, **options)
    page.head()
    page.say(f"\n{paragraph(repr(built))}\n\n{built.certificate}\n\n{built.bill_of_materials()}")
    start = page.loaded.start(z0) if simulate or monte_carlo else np.zeros(0)
    runs = None if simulate is None else _beside(built, start, simulate, duration)
    if runs is not None:
        rows = [[k.replace("_", " "), f"{v:.4g}" if isinstance(v, float) else str(v)] for k, v in runs.items()]
        page.say("\n" + text_table(["circuit beside the model", "value"], rows, width=terminal_width()))
    spread = built.monte_carlo(monte_carlo, tolerance=share, z0=start) if monte_carlo else None
    if spread is not None:
        page.say(f"\n{spread}")
    _write(page, built)
    page.end(page.facts | built.to_dict() | {"simulation": runs, "monte_carlo": spread})
    return built.certificate.holds


def _share(text: str) -> float:
    """A tolerance: 1%, or 0.01.

    Raises:
        ValueError: neither.
    """
    try:
        value = float(text.strip().removesuffix("%")) / (100.0 if text.strip().endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise ValueError(f"--tolerance is {text!r}; it must be a share from 0 to 1, e.g. 1% or 0.01.")
    return value


def _beside(built: Any, z0: Array, backend: str, length: float | None) -> dict[str, Any]:
    """How far the circuit's orbit is from the model's."""
    step = built.original.time.step
    if step is not None:
        count = 50 if length is None else max(1, round(length / step))
        times = step * np.arange(count + 1)
        want = rt.simulate(built.original, z0, steps=count)
    else:
        times = np.linspace(0.0, 10.0 * built.fastest_time_constant if length is None else length, 201)
        want = rt.simulate(built.original, z0, times=times)
    found = built.simulate(z0, times, backend=None if backend == "auto" else backend)
    error = float(np.abs(found.states - want.states).max())
    size = max(float(np.ptp(want.states, axis=0).max()), 1e-300)
    return {
        "simulator": found.message.removeprefix("by "), "duration": float(times[-1]), "largest_error": error, "relative_to_range": error / size,
    }  # fmt: skip


def _write(page: Page, built: Any) -> None:
    """The netlist, the parts or the drawing, as the file's name says."""
    path: Path | None = page.output
    if page.is_stdout:
        print(built.netlist(), end="")
    elif path is not None and path.suffix == ".csv":
        page.save(built.bill_of_materials())
    elif path is not None and path.suffix == ".svg":
        built.schematic(1, path)
        page.written = str(path)
    elif path is not None:
        with replace_atomically(path) as temporary:
            temporary.write_text(built.netlist(DIALECTS[path.suffix]), encoding="ascii")
        page.written = str(path)
