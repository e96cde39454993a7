"""The command line's frame: what every command reads, writes and prints, and the options that several share.

A command is one function: its docstring is its help, its parameters are its options, and its first one is the `Page` that it reads its network
from and writes its answer to. `@command` adds FILE and how it is read, -o, --json, and turns errors into one line and an exit code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from inspect import Parameter, get_annotations, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from retime.cli.endings import reported

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


# --- options that commands share ---------------------------------------------------------------------------------------


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
DrivenSteps = Annotated[
    int | None,
    typer.Option(
        "--steps", help="Number of steps of the orbit; default: one per row of --inputs, else 1000 (convert: 10000)."
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", help="State, comma-separated or a .csv or .npy file; default: from the file, else zeros."),
]

FILE = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Weights file (.mat .pt .safetensors .npz .h5 .keras .jld2 .onnx), a netlist (.cir), or zoo:NAME.",
    ),
]
OUTPUT = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write; - for stdout, where it is text (.csv, .json).")
]
JSON = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of tables.")]
GROUP = "How the file is read"
READING: dict[str, tuple[Any, str]] = {  # how FILE is read: the options of `retime.load`
    "dt": (float | None, "Time of one step; default: from the file, else 1."),
    "family": (str | None, "Family, where the file does not decide: plrnn, alrnn, shallow_plrnn, rate_rnn, ..."),
    "num_relu": (int | None, "Almost-linear networks: how many units (the last ones) pass the ReLU."),
    "clipped": (bool, "Shallow PLRNN: the clipped form."),
    "tau": (str | None, "rate_rnn: time constant, a number or one per unit (comma-separated), model time."),
    "alpha": (str | None, "leaky_rnn: leak dt/tau, a number or one per unit (comma-separated)."),
    "form": (str | None, "rate_rnn, leaky_rnn: current (W f(z), the default) or rate (f(W z))."),
    "activation": (str | None, "rate_rnn, leaky_rnn, hopfield: tanh, relu, softplus, logistic, linear."),
    "prefix": (str | None, "Which of several networks in a file: the prefix of its arrays' names, e.g. ema or model.encoder."),
    "names": (
        str | None,
        "Which array is which argument of the family, where the file calls them otherwise: W_rec=rnn.h2h.weight,W_in=drive.T,...",
    ),
}  # fmt: skip


# --- a command ---------------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """What a command reads its network from and writes its answer to: text for people, or with --json one object on stdout.

    Attributes:
        loaded: the network, where the command takes FILE. as_json: numbers instead of text. output: the file to write, None for none.
    """

    as_json: bool
    output: Path | None = None
    loaded: Any = None
    written: str | None = None

    @property
    def is_stdout(self) -> bool:
        """Whether the output is "-", standard output."""
        return str(self.output) == "-"

    def check(self, suffixes: tuple[str, ...]) -> None:
        """Refuse an output that could not be written before the work is done.

        Raises:
            ValueError: another suffix. FileNotFoundError: the folder does not exist.
        """
        path = self.output
        if self.is_stdout and ".json" in suffixes:
            self.as_json, self.output = True, None
        elif self.is_stdout and ".csv" not in suffixes:
            raise ValueError(
                "-o - is standard output, which takes text; a network is written as .npz, which is not. Name a file."
            )
        elif self.is_stdout and self.as_json:
            raise ValueError("-o - and --json both write to standard output; choose one.")
        elif path is not None and not self.is_stdout:
            if path.suffix not in suffixes:
                raise ValueError(f"-o is {str(path)!r}; it is written as {' or '.join(s for s in suffixes if s)}.")
            if not path.parent.is_dir():
                raise FileNotFoundError(f"-o: the folder {path.parent} does not exist; create it first.")

    def say(self, text: str = "") -> None:
        """Print for people."""
        if not self.as_json and not self.is_stdout:
            print(text, flush=True)

    def head(self) -> None:
        """How the file was recognized, and what else is to be known of it."""
        from retime.core.rendering import paragraph

        self.say(paragraph(self.loaded.recognition))
        for note in self.loaded.notes:
            self.say(note)

    def save(self, thing: Any) -> None:
        """Write a model, or a result, where an output is asked for."""
        import retime as rt

        if self.is_stdout:
            thing.to_csv(sys.stdout)
        elif self.output is not None:
            self.written = str(thing.save(self.output) if hasattr(thing, "save") else rt.save(thing, self.output))

    @property
    def facts(self) -> dict[str, Any]:
        """What was read and what is written: how the numbers of most commands begin."""
        return {"file": self.loaded.name, "recognition": self.loaded.recognition, "output": self.written}

    def end(self, data: dict[str, Any], note: str = "") -> None:
        """The numbers with --json, else where the output is."""
        from retime.core.rendering import plain

        if self.as_json:
            print(json.dumps(plain(data), allow_nan=False))
        elif self.written is not None:
            self.say(f"\nWritten: {self.written}{note}")


def command(
    *, reads: bool = True, writes: tuple[str, ...] = (), claims: tuple[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of commands `function(page, ...)`; one that returns False ends with exit code 1.

    Args:
        reads: whether it takes FILE. writes: suffixes of what -o writes, none for no -o.
        claims: an option of reading that is the command's own with one of its flags: (option, flag).
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        hints, own = get_annotations(function, eval_str=True), list(signature(function).parameters.values())[1:]
        own = [p for p in own if claims is None or p.name != claims[0]]
        options = [p.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
        before: dict[str, Any] = {"file": (FILE, Parameter.empty)} if reads else {}
        after: dict[str, Any] = ({"output": (OUTPUT, None)} if writes else {}) | {"as_json": (JSON, False)}
        for name, (kind, text) in READING.items() if reads else ():
            flag, default = (["--clipped"], False) if kind is bool else ([], None)
            after[name] = (Annotated[kind, typer.Option(*flag, help=text, rich_help_panel=GROUP)], default)
        made = [
            [Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind) for name, (kind, default) in x.items()]
            for x in (before, after)
        ]  # fmt: skip

        @wraps(function)
        def call(*, as_json: bool, output: Path | None = None, file: str = "", **given: Any) -> None:
            page = Page(as_json, output)
            page.check(writes)
            if reads:
                from retime.cli import source

                options = {name: given.pop(name) for name in READING}
                if claims is not None:
                    option, flag = claims
                    given[option] = options.pop(option) if given[flag] else None
                page.loaded = source.open_model(file, **source.reading(options))
            if function(page, **given) is False:
                raise typer.Exit(1)

        call.__signature__ = signature(call).replace(parameters=[*made[0], *options, *made[1]])  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in (*made[0], *options, *made[1])} | {"return": None}
        app.command(name=function.__name__)(reported(call))
        return function

    return register
