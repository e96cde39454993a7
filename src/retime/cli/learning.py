"""`retime train` and `retime fit`."""

from __future__ import annotations

import os
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from retime.cli.app import Page, app
from retime.cli.endings import reported


class Tasks(StrEnum):
    """The tasks by name."""

    FLIPFLOP = "flipflop"
    LOGIC = "logic"
    TIMED = "timed"
    ADDING = "adding"
    COPY = "copy"
    DIGITS = "digits"


Whole = int | None
Number = float | None
Text = str | None
Output = Annotated[Path, typer.Option("-o", "--output", help="The trained network, .npz.")]
Updates = Annotated[Whole, typer.Option(help="Gradient steps; default: 1000.")]
BatchSize = Annotated[Whole, typer.Option(help="Trials, or sequences, of one update; default: 64 (fit: 16).")]
Seed = Annotated[int, typer.Option(help="Of the start and of all batches.")]
Precision = Annotated[Text, typer.Option(help="float32 (the default) or float64.")]
Every = Annotated[Whole, typer.Option(help="Between two held-out checks: updates (train), epochs (fit).")]
Patience = Annotated[Whole, typer.Option(help="Checks without a better one after which to stop; default: never.")]
TimeLimit = Annotated[Number, typer.Option(help="Seconds of work; default: no limit.")]
CheckpointFile = Annotated[
    Path | None, typer.Option(help="Where the state of the run is kept; default: OUTPUT.checkpoint, until it is done.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of tables.")]
States = Annotated[Whole, typer.Option(help="Units; default: 100.")]
NumRelu = Annotated[Whole, typer.Option(help="Almost-linear networks: how many units pass the ReLU.")]
NumHidden = Annotated[Whole, typer.Option(help="Shallow PLRNN: hidden units.")]
NumBases = Annotated[Whole, typer.Option(help="Dendritic PLRNN: bases.")]
Clipped = Annotated[
    bool | None, typer.Option("--clipped/--no-clipped", help="Shallow PLRNN: the clipped form (the default).")
]


def train(
    task: Annotated[Tasks, typer.Argument(help="flipflop, logic, timed, adding, copy or digits.")],
    output: Output,
    family: Annotated[
        Text,
        typer.Option(
            help="tanh_rnn (the default), relu_rnn, leaky_rnn, rate_rnn, gru, lstm, plrnn, alrnn, odernn, min_gru, cornn, ...; "
            "or a file, or zoo:NAME: a network whose training goes on."
        ),
    ] = None,
    num_states: States = None,
    updates: Updates = None,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    learning_rate: Annotated[Number, typer.Option(help="Of Adam; default: 3e-4, gated networks 1e-3.")] = None,
    clip: Annotated[Number, typer.Option(help="Largest norm of the gradient; default: 1.")] = None,
    initial: Annotated[
        Text, typer.Option(help="memory (the default), orthogonal, normal or identity recurrent weights.")
    ] = None,
    gain: Annotated[Number, typer.Option(help="Factor of the recurrent weights at the start.")] = None,
    state_noise: Annotated[Number, typer.Option(help="Standard deviation of noise on the state, in training.")] = None,
    weight_decay: Annotated[Number, typer.Option(help="Penalty of the squares of the recurrent weights.")] = None,
    rate_penalty: Annotated[Number, typer.Option(help="Penalty of the mean square of the states.")] = None,
    dtype: Precision = None,
    held_out: Annotated[Whole, typer.Option(help="Trials that judge the network; default: 256.")] = None,
    every: Every = None,
    patience: Patience = None,
    time_limit: TimeLimit = None,
    checkpoint: CheckpointFile = None,
    resume: Resume = False,
    num_bits: Annotated[Whole, typer.Option(help="flipflop: memories, inputs and outputs; default: 3.")] = None,
    steps: Annotated[Whole, typer.Option(help="Steps of a trial (but for copy and digits).")] = None,
    pulse: Annotated[Whole, typer.Option(help="flipflop, logic, timed: steps of a pulse.")] = None,
    delay: Annotated[Whole, typer.Option(help="flipflop, logic: steps from a pulse's end to the target.")] = None,
    gap: Annotated[Text, typer.Option(help="flipflop: fewest and most steps between pulses, e.g. 20,100.")] = None,
    noise: Annotated[
        Number, typer.Option(help="flipflop, logic, timed: standard deviation of the inputs' noise.")
    ] = None,
    gate: Annotated[Text, typer.Option(help="logic: and, or, xor.")] = None,
    interval: Annotated[Whole, typer.Option(help="timed: steps until the answer.")] = None,
    answer: Annotated[Whole, typer.Option(help="timed: steps of the answer.")] = None,
    length: Annotated[Whole, typer.Option(help="copy: symbols to remember.")] = None,
    pause: Annotated[Whole, typer.Option(help="copy: steps until they are asked for.")] = None,
    num_symbols: Annotated[Whole, typer.Option(help="copy: kinds of symbols.")] = None,
    rows: Annotated[bool | None, typer.Option("--rows", help="digits: a row of pixels per step.")] = None,
    num_relu: NumRelu = None,
    num_hidden: NumHidden = None,
    num_bases: NumBases = None,
    clipped: Clipped = None,
    alpha: Annotated[Number, typer.Option(help="leaky_rnn: leak, dt / tau.")] = None,
    tau: Annotated[Number, typer.Option(help="rate_rnn: time constant, in steps.")] = None,
    activation: Annotated[
        Text, typer.Option(help="leaky_rnn, rate_rnn: tanh, relu, softplus, logistic, linear.")
    ] = None,
    form: Annotated[Text, typer.Option(help="leaky_rnn, rate_rnn: current or rate.")] = None,
    stages: Annotated[
        Whole, typer.Option(help="odernn: stages of the Runge-Kutta method, 1, 2, 3, 4 or 6; default: 4.")
    ] = None,
    order: Annotated[Whole, typer.Option(help="odernn: order of the differential equation; default: 1.")] = None,
    multistep: Annotated[
        Whole, typer.Option(help="odernn: steps of an Adams-Bashforth method, instead of --stages.")
    ] = None,
    dt: Annotated[Number, typer.Option(help="odernn, cornn, antisymmetric_rnn: the step.")] = None,
    leak: Annotated[Number, typer.Option(help="odernn: leak of the field.")] = None,
    gamma: Annotated[Number, typer.Option(help="antisymmetric_rnn: diffusion; cornn: squared frequency.")] = None,
    epsilon: Annotated[Number, typer.Option(help="cornn: damping.")] = None,
    radius: Annotated[Number, typer.Option(help="diagonal_linear: smallest multiplier at the start.")] = None,
    memory: Annotated[Whole, typer.Option(help="qunn: vectors in the state.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network on a task, and write it.

    Trials are made on the fly; progress goes to stderr. Ctrl-C writes the best network so far (exit code 1); --resume then goes on, to the
    network of the run that was not interrupted. Exit code 1 too when the loss diverged or the time ended; what was best by then is written.
    """
    import retime as rt

    given = _given(locals(), "task", "output", "as_json", "rt")
    if family is not None:
        given["family"] = _family(family)
    kind = _TASKS[task.value]
    own = {k: given.pop(k) for k in signature(getattr(rt.learn, kind)).parameters if k in given}
    if others := [k for k in given if k in _OF_TASKS]:
        raise ValueError(f"`{others[0]}` is not an option of {task.value}.")
    if "gap" in own:
        own["gap"] = _pair(own["gap"])
    _run(lambda **kept: rt.train(getattr(rt.learn, kind)(**own), **given | kept), output, checkpoint, as_json)


def fit(
    series: Annotated[
        Path, typer.Argument(metavar="DATA", help="Recording (T x N): .npy, .csv with or without a header, .mat.")
    ],
    output: Output,
    family: Annotated[
        str,
        typer.Option(
            help="alrnn, plrnn, shallow_plrnn, dendritic_plrnn, gru, continuous_plrnn, rate_rnn; or a file, or zoo:NAME: a network from "
            "which the fit goes on."
        ),
    ],
    num_states: Annotated[
        Whole, typer.Option(help="Units, at least the recording's channels; a network that is given has its own.")
    ] = None,
    epochs: Annotated[Whole, typer.Option(help="Of --batches updates each; default: 2000.")] = None,
    batches: Annotated[Whole, typer.Option(help="Updates of an epoch; default: 50.")] = None,
    batch_size: BatchSize = None,
    sequence: Annotated[Whole, typer.Option(help="Steps of a sequence; default: 200.")] = None,
    forcing_every: Annotated[
        Whole, typer.Option(help="Sparse teacher forcing: all of the data every so many steps.")
    ] = None,
    forcing_alpha: Annotated[
        Text,
        typer.Option(help="Generalized teacher forcing: its strength, 0 to 1, or first and last; default: 0.2,0.1."),
    ] = None,
    noise: Annotated[Number, typer.Option(help="Noise on the data that forces, in their standard deviations.")] = None,
    learning_rate: Annotated[Text, typer.Option(help="A number, or first and last; default: 2e-3,1e-5.")] = None,
    clip: Annotated[Number, typer.Option(help="Largest norm of the gradient; default: any.")] = None,
    inputs: Annotated[Path | None, typer.Option(help="Inputs that were given to the system (T x m), a file.")] = None,
    times: Annotated[Path | None, typer.Option(help="Times of the samples, a file.")] = None,
    dt: Annotated[Number, typer.Option(help="Time between two samples; default: 1.")] = None,
    standardize: Annotated[
        bool | None, typer.Option("--standardize/--no-standardize", help="Give each channel mean 0, deviation 1.")
    ] = None,
    missing: Annotated[bool | None, typer.Option("--missing", help="NaN are values that were not recorded.")] = None,
    observation: Annotated[Text, typer.Option(help="How outputs are made of states: identity or linear.")] = None,
    convention: Annotated[Text, typer.Option(help="Whose bins the distances use.")] = None,
    held_out: Annotated[Number, typer.Option(help="Share at the end that judges the network; default: 0.1.")] = None,
    every: Every = None,
    seed: Seed = 0,
    dtype: Precision = None,
    patience: Patience = None,
    time_limit: TimeLimit = None,
    checkpoint: CheckpointFile = None,
    resume: Resume = False,
    num_relu: NumRelu = None,
    num_hidden: NumHidden = None,
    num_bases: NumBases = None,
    clipped: Clipped = None,
    tau: Annotated[Number, typer.Option(help="rate_rnn: where the time constants start, model time.")] = None,
    activation: Annotated[Text, typer.Option(help="rate_rnn: tanh, relu, softplus, logistic, linear.")] = None,
    form: Annotated[Text, typer.Option(help="rate_rnn: current or rate.")] = None,
    as_json: Json = False,
) -> None:
    """Reconstruct a dynamical system from a recording.

    The network whose free run is most like the end of the recording, which is held out, is written. Progress goes to stderr; Ctrl-C writes
    the best network so far (exit code 1), and --resume goes on.
    """
    import retime as rt

    given = _given(locals(), "series", "output", "as_json", "rt", "forcing_every", "forcing_alpha")
    given["family"] = _family(family)
    if forcing_every is not None and forcing_alpha is not None:
        raise ValueError("`forcing_every` and `forcing_alpha` are two ways of forcing; choose one.")
    if forcing_alpha is not None:
        given["forcing"] = rt.learn.GeneralizedForcing(_numbers("forcing_alpha", forcing_alpha, "0.2,0.1"))
    if forcing_every is not None:
        given["forcing"] = rt.learn.SparseForcing(forcing_every)
    if learning_rate is not None:
        given["learning_rate"] = _numbers("learning_rate", learning_rate, "1e-3,1e-5")
    for name in ("inputs", "times"):
        if name in given:
            given[name] = str(given[name])

    def work(**kept: Any) -> Any:
        try:
            return rt.fit(str(series), **given | kept)
        except ValueError as error:  # the library calls the file `series`
            raise type(error)(
                str(error).replace("`series`", str(series)).replace("missing=True", "--missing")
            ) from error

    _run(work, output, checkpoint, as_json)


_TASKS = {
    "flipflop": "FlipFlop",
    "logic": "PulseLogic",
    "timed": "TimedPulse",
    "adding": "AddingProblem",
    "copy": "CopyMemory",
    "digits": "Digits",
}
_OF_TASKS = (
    "num_bits", "steps", "pulse", "delay", "gap", "noise", "gate", "interval", "answer", "length", "pause", "num_symbols", "rows",
)  # fmt: skip


def _given(options: dict[str, Any], *others: str) -> dict[str, Any]:
    return {k: v for k, v in options.items() if v is not None and k not in (*others, "checkpoint")}


def _family(text: str) -> Any:
    """A family by name, or the network of a file or of the zoo."""
    from retime.cli.source import open_model

    return open_model(text).model if text.startswith("zoo:") or Path(text).suffix else text


def _pair(text: str) -> tuple[int, ...]:
    try:
        low, high = (int(x) for x in text.split(","))
    except ValueError:
        raise ValueError(
            f"`gap` is {text!r}; it must be two whole numbers, fewest and most steps, e.g. 20,100."
        ) from None
    return low, high


def _numbers(name: str, text: str, example: str) -> Any:
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise ValueError(f"`{name}` is {text!r}; it must be a number, or two: first and last, e.g. {example}.")
    return values[0] if len(values) == 1 else tuple(values)


def _run(work: Any, output: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Train, write, print; exit code 1 unless it ended by itself."""
    from retime.core.rendering import paragraph

    page = Page(as_json, output)
    page.check(("", ".npz"))
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(f"-o: the folder {output.parent} cannot be written.")
    kept = output.with_name(output.name + ".checkpoint") if checkpoint is None else checkpoint
    found = work(checkpoint=kept)
    page.save(found.model)
    done = found.status in ("completed", "stopped_early")
    if done and checkpoint is None:
        kept.unlink(missing_ok=True)
    title, _, table = repr(found).partition("\n")
    page.say(f"{paragraph(title)}\n{table}")
    note = f"\n--resume goes on from {kept}" if not done and kept.exists() else ""
    page.end({**found.to_dict(), "output": page.written, "checkpoint": str(kept) if kept.exists() else None}, note)
    raise typer.Exit(0 if done else 1)


for _command in (train, fit):
    app.command()(reported(_command))
