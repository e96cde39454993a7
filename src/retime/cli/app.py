"""The commands of `retime`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from retime.cli import learning
from retime.cli.endings import reported
from retime.cli.reading import reads_a_model

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Move recurrent networks between discrete and continuous time, with a certificate on every move.",
)


def _print_version(asked: bool) -> None:
    if asked:
        import retime

        print(f"retime {retime.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of `retime` itself."""


class Switching(StrEnum):
    """How a converted flow reads its region."""

    CLOCK = "clock"
    STATE = "state"


Start = Annotated[
    str | None,
    typer.Option(
        "--z0",
        help="Initial state, comma-separated or a .csv or .npy file; default: from the file, else zeros, else (a fixed point) random.",
    ),
]
InputFile = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        help="Inputs (steps x m): .npy, or text with commas, semicolons or tabs, with or without a header; default: zero.",
    ),
]
Steps = Annotated[int, typer.Option(help="Number of steps of the orbit.")]
DrivenSteps = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Number of steps of the orbit; default: one per row of --inputs, else 1000 (convert: 10000)."
    ),
]
Field = Annotated[
    str | None,
    typer.Option(
        "--method", help="How a map becomes an ODE: matrix-log (piecewise linear), euler-field, formal-log:ORDER."
    ),
]
Within = Annotated[
    str | None,
    typer.Option(
        "--field", help="For maps: how to continuous time and back: matrix-log, euler-field, formal-log:ORDER."
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", help="State, comma-separated or a .csv or .npy file; default: from the file, else zeros."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of tables.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write; - for stdout, where it is text (.csv, .json).")
]


@app.command()
@reported
@reads_a_model
def info(
    loaded: Any,
    as_json: Json = False,
) -> None:
    """What a weights file holds: family, sizes, time base.

    Also why it was read so, its equation and its initial states.
    """
    from retime.cli import commands

    commands.info(loaded, as_json)


@app.command()
@reported
@reads_a_model
def convert(
    loaded: Any,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    method: Field = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Convert a map to its ODE: what is exact, and the errors.

    The regions along an orbit with their status, the errors of both switching rules, and what may be claimed. Piecewise-linear
    networks are converted exactly; smooth ones (tanh, GRU, LSTM) by an embedding whose error is measured (--method euler-field,
    the default, or formal-log:ORDER). Exit code 1 when the claim does not hold. -o writes the flow (.npz).
    """
    from retime.cli import algebra, commands, source

    rows, count = source.driven_orbit(inputs, loaded, steps, 10_000)
    start = source.start(loaded, z0, rows)
    if method not in (None, "matrix-log") or source.is_not_a_plrnn(loaded):
        holds = algebra.convert_smooth(loaded, method, start, rows, count, output, as_json)
        raise typer.Exit(0 if holds else 1)
    holds = commands.convert(loaded, start, rows, count, output, as_json)
    raise typer.Exit(0 if holds else 1)


@app.command()
@reported
@reads_a_model
def simulate(
    loaded: Any,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    switching: Annotated[
        Switching | None, typer.Option(help="Convert to a flow and run that; default: the map itself.")
    ] = None,
    per_step: Annotated[int, typer.Option(min=1, help="Samples per step dt of a flow.")] = 1,
    every: Annotated[float, typer.Option(help="Continuous networks: time between samples.")] = 0.01,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Run a map, its converted flow, or a continuous network.

    --switching runs the flow of a map. -o writes .npz or .csv.
    """
    from retime.cli import commands, source

    rule = None if switching is None else switching.value
    options: dict[str, Any] = {"switching": rule, "per_step": per_step, "every": every}
    rows, count = source.driven_orbit(inputs, loaded, steps, 1000)
    done = commands.simulate(loaded, source.start(loaded, z0, rows), rows, count, options, output, as_json)
    raise typer.Exit(0 if done else 1)


@app.command()
@reported
@reads_a_model
def compare(
    loaded: Any,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest one-step error of the clock flow, relative to the state's size.")
    ] = 1e-9,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Compare a map with its converted flow, step by step.

    For both switching rules; exit code 1 when the clock flow differs. -o writes the errors per step (.npz or .csv).
    """
    from retime.cli import commands, source

    rows, count = source.driven_orbit(inputs, loaded, steps, 1000)
    same = commands.compare(loaded, source.start(loaded, z0, rows), rows, count, tolerance, output, as_json)
    raise typer.Exit(0 if same else 1)


@app.command()
@reported
@reads_a_model
def analyze(
    loaded: Any,
    z0: Start = None,
    inputs: Annotated[str | None, typer.Option(help="Constant input, comma-separated; default: zero.")] = None,
    steps: Steps = 10_000,
    duration: Annotated[float | None, typer.Option(help="Flows: model time of the orbit.")] = None,
    switching: Annotated[
        Switching | None, typer.Option(help="Convert to a flow and analyze that; default: the map itself.")
    ] = None,
    max_period: Annotated[
        float | None, typer.Option(help="Largest period of cycles (steps, or model time of a flow); 0 for no cycles.")
    ] = None,
    basins: Annotated[int, typer.Option(min=0, help="Initial states for basins of attraction; 0 for none.")] = 0,
    time_limit: Annotated[float, typer.Option(help="Seconds for the searches.")] = 60.0,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Fixed points, cycles, exponents, regions, basins.

    Of ReLU networks all fixed points, with a proof; Lyapunov exponents of one orbit. Exit code 1 when the time ended, or Ctrl-C
    came, before the searches did; the orbit and its exponents take what their length needs. -o writes the numbers (.json), the
    fixed points as a table (.csv), or a picture (.png .pdf .svg).
    """
    from retime.cli import dynamics, source

    level = None if inputs is None else source.numbers(inputs, loaded.model.num_inputs, "--inputs", "inputs")
    options: dict[str, Any] = {
        "inputs": level, "steps": steps, "duration": duration, "max_period": max_period, "basins": basins,
        "time_limit": time_limit, "switching": None if switching is None else switching.value,
    }  # fmt: skip
    done = dynamics.analyze(loaded, source.start(loaded, z0, level), options, output, as_json)
    raise typer.Exit(0 if done else 1)


@app.command()
@reported
@reads_a_model
def discretize(
    loaded: Any,
    step: Annotated[float, typer.Option(help="The step of the new map, model time.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="euler, heun, midpoint, ralston, rk3, rk4, dormand-prince, implicit-euler, implicit-midpoint, tustin, ab2 to ab5, "
            "exponential-euler, zoh, foh; linear systems also impulse, matched, backward-diff, gbt:ALPHA."
        ),
    ] = None,
    field: Within = None,
    at: At = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The map of one step of a continuous network.

    Or a map with another step, by way of --field. Prints the one-step error and whether what decays still decays, measured at
    --at and 16 random states around it (default: around the origin). Exit code 1 when the certificate fails. -o writes the new
    network (.npz).
    """
    from retime.cli import algebra, source

    state = None if at is None else source.around(source.given_state(loaded, at, "--at"))
    holds = algebra.discretize(loaded, step, method, field, state, output, as_json)
    raise typer.Exit(0 if holds else 1)


@app.command()
@reported
@reads_a_model
def rescale(
    loaded: Any,
    factor: Annotated[float, typer.Option(help="> 0; 2 makes every time constant twice as long.")],
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The same orbit, slower or faster.

    -o writes the new network (.npz).
    """
    from retime.cli import algebra

    algebra.rescale(loaded, factor, output, as_json)


@app.command()
@reported
@reads_a_model
def linearize(
    loaded: Any,
    at: At = None,
    inputs: Annotated[str | None, typer.Option(help="Input there, comma-separated; default: zero.")] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The linear system around a state, and its modes.

    Eigenvalues, time constants, frequencies, controllability. -o writes it (.npz).
    """
    from retime.cli import algebra, source

    level = None if inputs is None else source.numbers(inputs, loaded.model.num_inputs, "--inputs", "inputs")
    algebra.linearize(loaded, source.base_point(loaded, at), level, output, as_json)


@app.command()
@reported
def zoo(
    name: Annotated[str | None, typer.Argument(help="A network to write with -o; default: list them all.")] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """The networks that ship with retime: list, or write one.

    -o writes the network that is named to a file.
    """
    from retime.cli import commands

    commands.zoo(name, output, as_json)


@app.command()
@reported
def cite(as_json: Json = False) -> None:
    """How to cite retime and the papers behind it, as BibTeX."""
    from retime.cli import citation

    citation.cite(as_json)


learning.register(app)
