"""`retime train` and `retime fit`."""

from __future__ import annotations

import os
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from retime.cli.endings import reported


class Tasks(StrEnum):
    """The tasks by name."""

    FLIPFLOP = "flipflop"
    LOGIC = "logic"
    TIMED = "timed"
    ADDING = "adding"
    COPY = "copy"
    DIGITS = "digits"


def _option(kind: Any, text: str, *names: str) -> Any:
    return Annotated[kind, typer.Option(*names, help=text)]


Output = _option(Path, "The trained network, .npz.", "-o", "--output")
Whole, Number, Text = int | None, float | None, str | None
Updates = _option(Whole, "Gradient steps; default: 1000.")
BatchSize = _option(Whole, "Trials, or sequences, of one update; default: 64 (fit: 16).")
Seed = _option(int, "Of the start and of all batches.")
Precision = _option(Text, "float32 (the default) or float64.")
Every = _option(Whole, "Between two held-out checks: updates (train), epochs (fit).")
Patience = _option(Whole, "Checks without a better one after which to stop; default: never.")
TimeLimit = _option(Number, "Seconds of work; default: no limit.")
CheckpointFile = _option(
    Path | None, "Where the state of the run is kept; default: OUTPUT.checkpoint, until it is done."
)
Resume = _option(bool, "Go on from the checkpoint.", "--resume")
Json = _option(bool, "One JSON object on stdout instead of tables.", "--json")
States = _option(Whole, "Units; default: 100.")
NumRelu = _option(Whole, "Almost-linear networks: how many units pass the ReLU.")
NumHidden = _option(Whole, "Shallow PLRNN: hidden units.")
NumBases = _option(Whole, "Dendritic PLRNN: bases.")
Clipped = _option(bool | None, "Shallow PLRNN: the clipped form (the default).", "--clipped/--no-clipped")


def train(
    task: Annotated[Tasks, typer.Argument(help="flipflop, logic, timed, adding, copy or digits.")],
    output: Output,
    family: _option(Text, "tanh_rnn (the default), relu_rnn, leaky_rnn, rate_rnn, gru, lstm, plrnn, alrnn, ...") = None,
    num_states: States = None,
    updates: Updates = None,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    learning_rate: _option(Number, "Of Adam; default: 3e-4, gated networks 1e-3.") = None,
    clip: _option(Number, "Largest norm of the gradient; default: 1.") = None,
    initial: _option(Text, "memory (the default), orthogonal, normal or identity recurrent weights.") = None,
    gain: _option(Number, "Factor of the recurrent weights at the start.") = None,
    state_noise: _option(Number, "Standard deviation of noise on the state, in training.") = None,
    weight_decay: _option(Number, "Penalty of the squares of the recurrent weights.") = None,
    rate_penalty: _option(Number, "Penalty of the mean square of the states.") = None,
    dtype: Precision = None,
    held_out: _option(Whole, "Trials that judge the network; default: 256.") = None,
    every: Every = None,
    patience: Patience = None,
    time_limit: TimeLimit = None,
    checkpoint: CheckpointFile = None,
    resume: Resume = False,
    num_bits: _option(Whole, "flipflop: memories, inputs and outputs; default: 3.") = None,
    steps: _option(Whole, "Steps of a trial (but for copy and digits).") = None,
    pulse: _option(Whole, "flipflop, logic, timed: steps of a pulse.") = None,
    delay: _option(Whole, "flipflop, logic: steps from a pulse's end to the target.") = None,
    gap: _option(Text, "flipflop: fewest and most steps between pulses, e.g. 20,100.") = None,
    noise: _option(Number, "flipflop, logic, timed: standard deviation of the inputs' noise.") = None,
    gate: _option(Text, "logic: and, or, xor.") = None,
    interval: _option(Whole, "timed: steps until the answer.") = None,
    answer: _option(Whole, "timed: steps of the answer.") = None,
    length: _option(Whole, "copy: symbols to remember.") = None,
    pause: _option(Whole, "copy: steps until they are asked for.") = None,
    num_symbols: _option(Whole, "copy: kinds of symbols.") = None,
    rows: _option(bool | None, "digits: a row of pixels per step.", "--rows") = None,
    num_relu: NumRelu = None,
    num_hidden: NumHidden = None,
    num_bases: NumBases = None,
    clipped: Clipped = None,
    alpha: _option(Number, "leaky_rnn: leak, dt / tau.") = None,
    tau: _option(Number, "rate_rnn: time constant, in steps.") = None,
    activation: _option(Text, "leaky_rnn, rate_rnn: tanh, relu, softplus, logistic, linear.") = None,
    form: _option(Text, "leaky_rnn, rate_rnn: current or rate.") = None,
    as_json: Json = False,
) -> None:
    """Train a network on a task, and write it.

    Trials are made on the fly; progress goes to stderr. Ctrl-C writes the best network so far (exit code 1); --resume then goes on, to the
    network of the run that was not interrupted. Exit code 1 too when the loss diverged or the time ended; what was best by then is written.
    """
    import retime as rt

    given = _given(locals(), "task", "output", "as_json", "rt")
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
    family: _option(str, "alrnn, plrnn, shallow_plrnn, dendritic_plrnn, ..."),
    num_states: _option(int, "Units, at least the recording's channels."),
    epochs: _option(Whole, "Of --batches updates each; default: 2000.") = None,
    batches: _option(Whole, "Updates of an epoch; default: 50.") = None,
    batch_size: BatchSize = None,
    sequence: _option(Whole, "Steps of a sequence; default: 200.") = None,
    forcing_every: _option(Whole, "Sparse teacher forcing: every so many steps; default: 16.") = None,
    forcing_alpha: _option(Number, "Generalized teacher forcing with this strength, 0 to 1, instead.") = None,
    noise: _option(Number, "Noise on the data that forces, in their standard deviations.") = None,
    learning_rate: _option(Text, "A number, or first and last, e.g. 1e-3,1e-5.") = None,
    inputs: _option(Path | None, "Inputs that were given to the system (T x m), a file.") = None,
    times: _option(Path | None, "Times of the samples, a file.") = None,
    dt: _option(Number, "Time between two samples; default: 1.") = None,
    standardize: _option(
        bool | None, "Give each channel mean 0, deviation 1.", "--standardize/--no-standardize"
    ) = None,
    missing: _option(bool | None, "NaN are values that were not recorded.", "--missing") = None,
    held_out: _option(Number, "Share at the end that judges the network; default: 0.1.") = None,
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
    as_json: Json = False,
) -> None:
    """Reconstruct a dynamical system from a recording, and write the network.

    The network whose free run is most like the end of the recording, which is held out, is kept. Progress goes to stderr; Ctrl-C writes the
    best network so far (exit code 1), and --resume goes on.
    """
    import retime as rt

    given = _given(locals(), "series", "output", "as_json", "rt", "forcing_every", "forcing_alpha")
    if forcing_every is not None and forcing_alpha is not None:
        raise ValueError("`forcing_every` and `forcing_alpha` are two ways of forcing; choose one.")
    if forcing_alpha is not None:
        given["forcing"] = rt.learn.GeneralizedForcing(forcing_alpha)
    if forcing_every is not None:
        given["forcing"] = rt.learn.SparseForcing(forcing_every)
    if learning_rate is not None:
        given["learning_rate"] = _rates(learning_rate)
    for name in ("inputs", "times"):
        if name in given:
            given[name] = str(given[name])
    _run(lambda **kept: rt.fit(str(series), **given | kept), output, checkpoint, as_json)


def register(app: typer.Typer) -> None:
    """Add both commands."""
    for command in (train, fit):
        app.command()(reported(command))


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


def _pair(text: str) -> tuple[int, ...]:
    try:
        low, high = (int(x) for x in text.split(","))
    except ValueError:
        raise ValueError(
            f"`gap` is {text!r}; it must be two whole numbers, fewest and most steps, e.g. 20,100."
        ) from None
    return low, high


def _rates(text: str) -> Any:
    try:
        values = [float(x) for x in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2):
        raise ValueError(f"`learning_rate` is {text!r}; it must be a number, or two: first and last, e.g. 1e-3,1e-5.")
    return values[0] if len(values) == 1 else tuple(values)


def _run(work: Any, output: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Train, write, print; exit code 1 unless it ended by itself."""
    import retime as rt
    from retime.cli.commands import emit
    from retime.cli.source import check_output
    from retime.core.rendering import paragraph

    check_output(output, ("", ".npz"))
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(f"-o: the folder {output.parent} cannot be written.")
    kept = output.with_name(output.name + ".checkpoint") if checkpoint is None else checkpoint
    found = work(checkpoint=kept)
    written = str(rt.save(found.model, output))
    done = found.status in ("completed", "stopped_early")
    if done and checkpoint is None:
        kept.unlink(missing_ok=True)
    if as_json:
        emit({**found.to_dict(), "output": written, "checkpoint": str(kept) if kept.exists() else None})
    else:
        title, _, table = repr(found).partition("\n")
        print(f"{paragraph(title)}\n{table}\n\nWritten: {written}")
        if not done and kept.exists():
            print(f"--resume goes on from {kept}")
    raise typer.Exit(0 if done else 1)
