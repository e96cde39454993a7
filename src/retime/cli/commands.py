"""`retime info`, `convert`, `simulate` and `compare`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from inspect import cleandoc
from typing import Annotated, Any

import numpy as np
import typer

import retime as rt
from retime.cli.app import DrivenSteps, InputFile, Page, Start, Switching, command
from retime.core.arrays import Array
from retime.core.rendering import paragraph, terminal_width, text_table
from retime.core.result import Result


@command()
def info(page: Page) -> None:
    """What a weights file holds: family, sizes, time base.

    Also why it was read so, its equation and its initial states.
    """
    loaded = page.loaded
    model = loaded.model
    lines = equations(model)
    page.say(f"{paragraph(loaded.recognition)}\n{model}")
    for k, line in enumerate(lines):
        page.say(f"{'Equation:' if k == 0 else '         '} {line}")
    steps = stepped(model)
    for name, text in steps.items():
        if isinstance(text, str):
            page.say(paragraph(f"{name}: {text}"))
    page.say("\n".join([f"Initial states in the file: {len(loaded.starts)}", *loaded.notes]))
    page.end(
        {
            "file": loaded.name,
            "recognition": loaded.recognition,
            "family": model.family,
            "states": model.num_states,
            "relu_units": getattr(model, "num_units", None),
            "inputs": model.num_inputs,
            "outputs": model.num_outputs,
            "time": model.time.name,
            "dt": model.time.step,
            "equation": lines,
            "steps": steps,
            "initial_states": loaded.starts,
        }
    )


LARGE = 300  # states above which modes are not computed for a few lines of words


def stepped(model: Any) -> dict[str, Any]:
    """Which equation a map steps, by which method, and how much room its modes have: in words, and the margin as a number."""
    from retime.cells import cell_stability, ode_form

    if model.time.step is None or model.takes_switching:
        return {}
    try:
        found: dict[str, Any] = {"Steps": ode_form(model).caption}
    except rt.MissingDependencyError as error:  # a light installation: the rest of the page needs no JAX
        return {"Steps": f"not looked at: {error}"}
    if model.num_states <= LARGE:
        found["margin"] = float(1.0 - cell_stability(model, inputs=np.zeros((20, model.num_inputs))).local.max())
        found["Modes"] = (
            f"{found['margin']:+.4g} is 1 minus the largest factor per step of a mode, over 20 steps without inputs"
        )
    return found


def equations(model: Any) -> list[str]:
    """Every line of the family's equation, from its docstring; of a family with two forms the lines of the model's own."""
    paragraphs = cleandoc(type(model).__doc__ or "").split("\n\n")
    lines = next((p.splitlines() for p in paragraphs[1:] if "=" in p), [])
    variant = {
        "form": f'"{getattr(model, "form", None)}"',
        "time": type(model.time).__name__,
        "reset_after": str(getattr(model, "reset_after", None)),
    }
    clipped, own = getattr(model, "clipped", False), []
    for line in lines:
        said = re.search(r"\b(form|time|reset_after)=(.*)$", line)
        if said and not said[2].startswith(variant[said[1]]):
            continue
        if line.endswith("(plain)" if clipped else "(clipped: bounded when |A| < 1)"):
            continue
        if not (line.endswith("(with a readout)") and model.readout is None):
            own.append(line)
    return own


@command(writes=("", ".npz"), claims=("num_relu", "autonomous"))
def convert(
    page: Page,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", help="How a map becomes an ODE: matrix-log (piecewise linear), euler-field, formal-log:ORDER."
        ),
    ] = None,
    autonomous: Annotated[
        bool, typer.Option("--autonomous", help="Fit one continuous network without a clock that follows the map.")
    ] = False,
    num_relu: int | None = None,
    keep_units: Annotated[
        bool,
        typer.Option(
            "--keep-units", help="--autonomous: the units of a PLRNN or almost-linear network stay its units."
        ),
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(help="--autonomous: error of a step, rms, relative to a step; default 0.001.")
    ] = None,
    seed: Annotated[int, typer.Option(help="--autonomous: of the random numbers.", min=0)] = 0,
) -> bool:
    """Convert a map to its ODE: what is exact, and the errors.

    The regions along an orbit with their status, the errors of both switching rules, and what may be claimed. Piecewise-linear
    networks are converted exactly; smooth ones (tanh, GRU, LSTM) by an embedding whose error is measured (--method euler-field,
    the default, or formal-log:ORDER). --autonomous fits one continuous network instead, which needs no clock and is not exact;
    --num-relu is then the number of its ReLU units, by default as many as the tolerance needs; --keep-units keeps the map's own, so that
    `retime fit DATA --family FIELD.npz` can train it on.
    Exit code 1 when the claim does not hold. -o writes the flow (.npz).
    """
    from retime.cli.algebra import convert_autonomous, convert_smooth

    loaded, model = page.loaded, _map(page)
    rows, count = loaded.driven_orbit(inputs, steps, 10_000)
    start = loaded.start(z0, rows)
    if autonomous:
        if method is not None:
            raise ValueError(f"--method {method} and --autonomous are two ways to an ODE; choose one.")
        options: dict[str, Any] = {} if tolerance is None else {"tolerance": tolerance}
        fitted = rt.FlowFit(num_relu=num_relu, keep_units=keep_units, seed=seed, **options)
        return convert_autonomous(page, fitted, start, rows, count)
    if tolerance is not None or keep_units:
        raise ValueError(
            f"--{'tolerance' if keep_units is False else 'keep-units'} is for --autonomous. Add it, or drop it."
        )
    if method not in (None, "matrix-log") or not _num_units(model):
        return convert_smooth(page, method, start, rows, count)
    if count < 1:
        raise ValueError(f"--steps is {count}; the orbit needs at least one step.")
    report = rt.conversion_report(model, start, steps=count, inputs=rows)
    page.head()
    page.say(f"\n{report}\n\n{report.clock_words}\n")  # before state switching is followed
    page.say(f"{report.errors()}\n\n{report.state_words}")
    page.save(report.flow)
    page.end(page.facts | report.to_dict(), f" (the flow with its {len(report.flow.converted)} converted regions)")
    return report.holds


def _num_units(model: Any) -> int | None:
    """Boundaries between the regions of a network; 0 for a linear system, None for a smooth one."""
    return getattr(model, "num_units", None)


def _map(page: Page) -> Any:
    model = page.loaded.model
    if model.time.step is None:
        raise ValueError(
            f"{page.loaded.name} is in continuous time already ({type(model).__name__}); this command takes a map."
        )
    return model


@command(writes=(".npz", ".csv"))
def simulate(
    page: Page,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    switching: Annotated[
        Switching | None, typer.Option(help="Convert to a flow and run that; default: the map itself.")
    ] = None,
    per_step: Annotated[int, typer.Option(help="Samples per step dt of a flow.", min=1)] = 1,
    every: Annotated[float, typer.Option(help="Continuous networks: time between samples.")] = 0.01,
) -> bool:
    """Run a map, its converted flow, or a continuous network.

    --switching runs the flow of a map. -o writes .npz or .csv.
    """
    from retime.simulation.motion import motion_of

    loaded = page.loaded
    model, (rows, count) = loaded.model, loaded.driven_orbit(inputs, steps, 1000)
    start = loaded.start(z0, rows)
    if count < 0:
        raise ValueError(f"--steps is {count}; it must be a whole number >= 0.")
    if not every > 0:
        raise ValueError(f"--every is {every}; it must be a positive time.")
    horizon: dict[str, Any] = (
        {"steps": count} if motion_of(model).clock.steps else {"times": every * np.arange(count + 1)}
    )
    if switching is not None and not model.takes_switching:
        horizon = {"times": model.dt / per_step * np.arange(count * per_step + 1)}
        model = rt.to_continuous(model, throw=False).model
    rule: dict[str, Any] = {} if switching is None else {"switching": switching.value}
    path = rt.simulate(model, start, inputs=rows, **horizon, **rule)
    page.save(path)
    if page.is_stdout and path.status != "completed":
        print(f"retime: {path.status}. {path.message}", file=sys.stderr)
    page.say(f"{paragraph(loaded.recognition)}\n{path}")
    last = ", ".join(f"{x:.6g}" for x in path.last_state[:8]) + (", ..." if model.num_states > 8 else "")
    page.say(paragraph(f"last state{' reached' if path.ending else ''}: {last}"))
    data = path.to_dict()
    kept = data if page.output is None else ("status", "status_time", "message", "switch_times")
    page.end(page.facts | {k: data[k] for k in kept})
    return path.status == "completed"


@dataclass(frozen=True, eq=False, repr=False)
class _Errors(Result):
    """Those of several switching rules, side by side."""

    rules: dict[str, Any]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary per step."""
        rows = zip(*(c.records() for c in self.rules.values()), strict=True)
        return [{name: x for part in row for name, x in part.items()} for row in rows]

    def _arrays(self) -> dict[str, Array]:
        rows = self.records()
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@command(writes=(".npz", ".csv"))
def compare(
    page: Page,
    z0: Start = None,
    inputs: InputFile = None,
    steps: DrivenSteps = None,
    tolerance: Annotated[
        float, typer.Option(help="Largest one-step error of the clock flow, relative to the state's size.")
    ] = 1e-9,
) -> bool:
    """Compare a map with its converted flow, step by step.

    For both switching rules; exit code 1 when the clock flow differs. -o writes the errors per step (.npz or .csv).
    """
    from retime.core.start import spread

    loaded, model = page.loaded, _map(page)
    rows, count = loaded.driven_orbit(inputs, steps, 1000)
    start = loaded.start(z0, rows)
    if not _num_units(model):
        raise ValueError(
            f"{loaded.name} has no regions ({type(model).__name__}), so it has no exact flow of two readings to compare with. `retime convert` "
            "measures the error of an embedding."
        )
    if count < 1:
        raise ValueError(f"--steps is {count}; comparing needs at least one step.")
    flow = rt.to_continuous(model, throw=False).model
    found = {x: rt.compare(model, flow, start, steps=count, inputs=rows, switching=x) for x in ("clock", "state")}
    worst = found["clock"].summary()["max_one_step_error_relative"]
    states = len(spread(found["clock"].reference.states[:-1], 256))
    same = bool(worst <= tolerance) and states > 1
    page.save(_Errors(found))
    page.say(paragraph(loaded.recognition) + "\n")
    summaries = [c.summary() for c in found.values()]
    table = [[key.replace("_", " "), *(_figure(key, s[key]) for s in summaries)] for key in summaries[0]]
    table.append(["status", *(str(c.status) for c in found.values())])
    page.say(text_table(["map against flow", *found], table, width=terminal_width()))
    for rule, c in found.items():
        if c.message:
            page.say("\n" + paragraph(f"Under {rule} switching {c.message}."))
    error = f"largest one-step error {worst:.2g} of the state's size, allowed {tolerance:.2g}"
    verdict = f"The clock flow {'equals' if same else 'does NOT equal'} the map: {error}."
    if states < 2:
        verdict = f"Not compared: the orbit stays at one state ({error} there). Start elsewhere (--z0)."
    page.say("\n" + paragraph(verdict))
    data = {"same": same, "tolerance": tolerance, "distinct_states": states}
    page.end(page.facts | data | {k: c.to_dict() for k, c in found.items()})
    return same


def _figure(key: str, value: float) -> str:
    return "never" if key == "first_step_apart" and value < 0 else f"{value:.4g}"
