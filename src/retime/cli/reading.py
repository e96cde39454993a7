"""The options that say how a weights file is read: the same for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, get_annotations, signature
from typing import Annotated, Any

import typer

_FILE = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="Weights file (.mat .pt .safetensors .npz .h5 .keras .jld2 .onnx), a netlist (.cir), or zoo:NAME.",
    ),
]
_GROUP = "How the file is read"


def _option(kind: Any, *names: str, text: str) -> Any:
    return Annotated[kind, typer.Option(*names, help=text, rich_help_panel=_GROUP)]


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "dt": (_option(float | None, text="Time of one step; default: from the file, else 1."), None),
    "family": (
        _option(str | None, text="Family, where the file does not decide: plrnn, alrnn, shallow_plrnn, rate_rnn, ..."),
        None,
    ),
    "num_relu": (
        _option(int | None, text="Almost-linear networks: how many units (the last ones) pass the ReLU."),
        None,
    ),
    "clipped": (_option(bool, "--clipped", text="Shallow PLRNN: the clipped form."), False),
    "tau": (
        _option(str | None, text="rate_rnn: time constant, a number or one per unit (comma-separated), model time."),
        None,
    ),
    "alpha": (
        _option(str | None, text="leaky_rnn: leak dt/tau, a number or one per unit (comma-separated)."),
        None,
    ),
    "form": (
        _option(str | None, text="rate_rnn, leaky_rnn: current (W f(z), the default) or rate (f(W z))."),
        None,
    ),
    "activation": (
        _option(str | None, text="rate_rnn, leaky_rnn, hopfield: tanh, relu, softplus, logistic, linear."),
        None,
    ),
    "prefix": (
        _option(
            str | None,
            text="Which of several networks in a file: the prefix of its arrays' names, e.g. ema or model.encoder.",
        ),
        None,
    ),
    "names": (
        _option(
            str | None,
            text="Which array is which argument of the family, where the file calls them otherwise: W_rec=rnn.h2h.weight,W_in=drive.T,...",
        ),
        None,
    ),
}


def reads_a_model(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of commands: FILE and the options of reading come first and last, the command gets what was loaded as `loaded`."""
    hints, own = get_annotations(command, eval_str=True), list(signature(command).parameters.values())[1:]
    keyword = Parameter.KEYWORD_ONLY
    parameters = [
        Parameter("file", keyword, annotation=_FILE),
        *(p.replace(kind=keyword, annotation=hints[p.name]) for p in own),
        *(Parameter(name, keyword, default=default, annotation=kind) for name, (kind, default) in _OPTIONS.items()),
    ]

    @wraps(command)
    def call(*, file: str, **given: Any) -> None:
        from retime.cli import source

        options = {name: given.pop(name) for name in _OPTIONS}
        command(source.open_model(file, **_given(options)), **given)

    call.__signature__ = signature(call).replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return call


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; tau and alpha as numbers, names as a mapping.

    Raises:
        ValueError: not numbers.
    """
    found = {name: value for name, value in options.items() if value not in (None, False)}
    for name in ("tau", "alpha"):
        if name in found:
            found[name] = _numbers(found[name], f"--{name}")
    if "names" in found:
        from retime.io.renaming import parsed

        found["names"] = parsed(found["names"])
    return found


def _numbers(text: str, option: str) -> float | list[float]:
    try:
        values = [float(x) for x in text.replace(" ", ",").split(",") if x]
    except ValueError:
        values = []
    if not values:
        raise ValueError(f"{option} is {text!r}; it must be a number, or numbers separated by commas.")
    return values[0] if len(values) == 1 else values
