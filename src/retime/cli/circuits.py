"""`retime circuit`, and netlists where a weights file may stand."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from retime.cli.app import Json, Output, Start, app
from retime.cli.endings import reported
from retime.cli.reading import reads_a_model


@app.command()
@reported
@reads_a_model
def circuit(
    loaded: Any,
    topology: Annotated[
        str | None, typer.Option(help="conductance, integrator or sampled; default: what the model suggests.")
    ] = None,
    level: Annotated[
        str, typer.Option(help="ideal (controlled sources), opamp, or transistor (tanh pairs).")
    ] = "ideal",
    series: Annotated[
        str | None,
        typer.Option(help="Preferred numbers of resistors: E12, E24, E96, or exact; default: E96 for parts."),
    ] = None,
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
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The electrical network that follows a network.

    What it is made of, which conditions it satisfies, and how far it is from the model. Exit code 1 when the certificate fails. -o writes
    the netlist (.cir, .va Verilog-A, .net KiCad), the parts (.csv) or the drawing of one neuron (.svg).
    """
    from retime.cli import netlists, source

    share = netlists.share(tolerance)
    start = None if not (simulate or monte_carlo) else source.start(loaded, z0)
    options = {"topology": topology, "level": level, "temperature": temperature}
    options |= {} if series is None else {"series": None if series == "exact" else series}
    run = {"simulate": simulate, "duration": duration, "monte_carlo": monte_carlo, "tolerance": share}
    holds = netlists.circuit(loaded, np.asarray(start) if start is not None else None, options, run, output, as_json)
    raise typer.Exit(0 if holds else 1)
