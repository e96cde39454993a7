"""What the commands print: tables for people, one JSON object with --json."""

from __future__ import annotations

import json
import re
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import numpy as np

import retime as rt
from retime.cli.source import Loaded, check_output, is_stdout
from retime.core.arrays import Array
from retime.core.files import replace_atomically
from retime.core.rendering import paragraph, plain, terminal_width, text_table
from retime.core.start import spread
from retime.core.system import PiecewiseAffineSystem
from retime.core.time import Discrete
from retime.simulation.motion import motion_of


def emit(data: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(plain(data), allow_nan=False))


def info(loaded: Loaded, as_json: bool) -> None:
    """Print what was loaded."""
    model = loaded.model
    data = {
        "file": loaded.name,
        "recognition": loaded.recognition,
        "family": model.family,
        "states": model.num_states,
        "relu_units": getattr(model, "num_units", None),
        "inputs": model.num_inputs,
        "outputs": model.num_outputs,
        "time": model.time.name,
        "dt": model.time.step,
        "equation": equations(model),
        "initial_states": loaded.starts,
    }
    if as_json:
        emit(data)
        return
    print(paragraph(loaded.recognition))
    print(model)
    for k, line in enumerate(equations(model)):
        print(f"{'Equation:' if k == 0 else '         '} {line}")
    print(f"Initial states in the file: {len(loaded.starts)}")
    for note in loaded.notes:
        print(note)


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


def convert(loaded: Loaded, z0: Array, inputs: Array | None, steps: int, output: Path | None, as_json: bool) -> bool:
    """Convert along an orbit and report; the return value says whether the claim holds."""
    from retime.cli.report import orbit_report, state_words, words

    check_output(output, ("", ".npz"))
    model = _map(loaded)
    if steps < 1:
        raise ValueError(f"--steps is {steps}; the orbit needs at least one step.")
    conversion = rt.to_continuous(model, throw=False)
    report = orbit_report(model, conversion, z0, steps, inputs)
    if not as_json:  # what the sample times tell is shown before state switching is followed
        print(paragraph(loaded.recognition))
        for note in loaded.notes:
            print(note)
        print(f"\n{report.table()}\n\n{words(report)}\n", flush=True)
    report = report.with_state()
    written = None if output is None else str(rt.save(conversion.model, output))
    if as_json:
        emit({"file": loaded.name, "recognition": loaded.recognition, "output": written, **report.to_dict()})
        return report.holds
    print(f"{report.errors()}\n\n{state_words(report)}")
    if written is not None:
        print(f"\nWritten: {written} (the flow with its {len(conversion.model.converted)} converted regions)")
    return report.holds


def _map(loaded: Loaded) -> Any:
    if not isinstance(getattr(loaded.model, "time", None), Discrete):
        raise ValueError(
            f"{loaded.name} is in continuous time already ({type(loaded.model).__name__}); this command takes a map."
        )
    if not isinstance(loaded.model, PiecewiseAffineSystem):
        raise ValueError(
            f"{loaded.name} is smooth ({type(loaded.model).__name__}), so it has no exact flow to compare with. `retime convert` measures the "
            "error of an embedding."
        )
    return loaded.model


def simulate(
    loaded: Loaded,
    z0: Array,
    inputs: Array | None,
    steps: int,
    options: dict[str, Any],
    output: Path | None,
    as_json: bool,
) -> bool:
    """Run and write or summarize; the return value says whether every requested time was reached."""
    check_output(output, (".npz", ".csv"))
    _one_on_stdout(output, as_json)
    model = loaded.model
    if steps < 0:
        raise ValueError(f"--steps is {steps}; it must be a whole number >= 0.")
    if not options["every"] > 0:
        raise ValueError(f"--every is {options['every']}; it must be a positive time.")
    motion, switching = motion_of(model), options["switching"]
    if switching is not None and not motion.clock.times:
        flow = rt.to_continuous(model, throw=False).model
        times = model.dt / options["per_step"] * np.arange(steps * options["per_step"] + 1)
        path = rt.simulate(flow, z0, times=times, inputs=inputs, switching=options["switching"])
    elif motion.clock.steps:
        path = rt.simulate(model, z0, steps=steps, inputs=inputs, switching=switching)
    else:
        path = rt.simulate(model, z0, times=options["every"] * np.arange(steps + 1), inputs=inputs)
    written = None if output is None else str(write_trajectory(path, output))
    if is_stdout(output):
        if path.status != "completed":
            print(f"retime: {path.status}. {path.message}", file=sys.stderr)
    elif as_json:
        emit({"file": loaded.name, "output": written, **(path.to_dict() if output is None else _short(path))})
    else:
        print(paragraph(loaded.recognition))
        print(path)
        last = ", ".join(f"{x:.6g}" for x in path.last_state[:8])
        print(
            paragraph(f"last state{' reached' if path.ending else ''}: {last}{', ...' if model.num_states > 8 else ''}")
        )
        if written is not None:
            print(f"Written: {written}")
    return path.status == "completed"


def _short(path: Any) -> dict[str, Any]:
    data = path.to_dict()
    return {k: data[k] for k in ("status", "status_time", "message", "switch_times")}


def write_trajectory(path: Any, output: Path) -> Path:
    """Write a trajectory as .npz (all arrays) or .csv (time, states, outputs), to a temporary name first.

    Raises:
        ValueError: another suffix.
    """
    names = ["time", *[f"z{i + 1}" for i in range(path.states.shape[1])]]
    columns = [path.times[:, None], path.states]
    if path.outputs is not None:
        names += [f"x{i + 1}" for i in range(path.outputs.shape[1])]
        columns.append(path.outputs)
    if is_stdout(output):
        _write_csv(sys.stdout, names, np.hstack(columns))
        return output
    if output.suffix not in (".npz", ".csv"):
        raise ValueError(f"-o is {str(output)!r}; a trajectory is written as .npz or .csv.")
    with replace_atomically(output) as temporary:
        if output.suffix == ".npz":
            arrays = {
                k: getattr(path, k) for k in ("times", "states", "patterns", "switch_times", "switch_units", "sliding")
            }
            outputs = {} if path.outputs is None else {"outputs": path.outputs}
            with temporary.open("wb") as stream:
                np.savez(stream, **arrays, **outputs, status=np.array(str(path.status)), message=np.array(path.message))
        else:
            _write_csv(temporary, names, np.hstack(columns))
    return output


def compare(
    loaded: Loaded, z0: Array, inputs: Array | None, steps: int, tolerance: float, output: Path | None, as_json: bool
) -> bool:
    """Compare the map with both readings of its flow."""
    check_output(output, (".npz", ".csv"))
    _one_on_stdout(output, as_json)
    model = _map(loaded)
    if steps < 1:
        raise ValueError(f"--steps is {steps}; comparing needs at least one step.")
    flow = rt.to_continuous(model, throw=False).model
    results = {
        rule: rt.compare(model, flow, z0, steps=steps, inputs=inputs, switching=rule) for rule in ("clock", "state")
    }
    worst = results["clock"].summary()["max_one_step_error_relative"]
    states = len(spread(results["clock"].reference.states[:-1], 256))
    same = bool(worst <= tolerance) and states > 1
    written = None if output is None else str(_write_errors(results, output))
    if is_stdout(output):
        return same
    if as_json:
        emit(
            {"file": loaded.name, "same": same, "tolerance": tolerance, "distinct_states": states, "output": written}
            | {k: c.to_dict() for k, c in results.items()}
        )
        return same
    print(paragraph(loaded.recognition))
    print()
    summaries = {rule: c.summary() for rule, c in results.items()}
    rows = [[key.replace("_", " "), *[_figure(key, s[key]) for s in summaries.values()]] for key in summaries["clock"]]
    rows.append(["status", *[str(c.status) for c in results.values()]])
    print(text_table(["map against flow", *results], rows, width=terminal_width()))
    for rule, c in results.items():
        if c.message:
            print("\n" + paragraph(f"Under {rule} switching {c.message}."))
    found = f"largest one-step error {worst:.2g} of the state's size, allowed {tolerance:.2g}"
    if states < 2:
        print("\n" + paragraph(f"Not compared: the orbit stays at one state ({found} there). Start elsewhere (--z0)."))
        return False
    print("\n" + paragraph(f"The clock flow {'equals' if same else 'does NOT equal'} the map: {found}."))
    return same


def _figure(key: str, value: float) -> str:
    return "never" if key == "first_step_apart" and value < 0 else f"{value:.4g}"


def _write_errors(results: dict[str, Any], output: Path) -> Path:
    if not is_stdout(output) and output.suffix not in (".npz", ".csv"):
        raise ValueError(f"-o is {str(output)!r}; errors are written as .npz or .csv.")
    columns = {
        f"{rule}_{kind}": getattr(c, kind) for rule, c in results.items() for kind in ("one_step_error", "orbit_error")
    }
    table = np.column_stack(list(columns.values()))
    if is_stdout(output):
        _write_csv(sys.stdout, list(columns), table)
        return output
    with replace_atomically(output) as temporary:
        if output.suffix == ".npz":
            with temporary.open("wb") as stream:
                np.savez(stream, **columns)
        else:
            _write_csv(temporary, list(columns), table)
    return output


def _write_csv(target: Any, names: list[str], table: Array) -> None:
    np.savetxt(target, table, delimiter=",", header=",".join(names), comments="", fmt="%.17g")


def _one_on_stdout(output: Path | None, as_json: bool) -> None:
    if is_stdout(output) and as_json:
        raise ValueError("-o - and --json both write to standard output; choose one.")


def zoo(name: str | None, output: Path | None, as_json: bool) -> None:
    """List the zoo, or write one network."""
    if name is not None:
        model = rt.zoo.load(name)
        if output is None:
            raise ValueError(f"Say where to write {name!r} with -o FILE.npz, or use zoo:{name} in place of a file.")
        check_output(output, ("", ".npz"))
        written = str(rt.save(model, output))
        emit({"name": name, "output": written}) if as_json else print(f"Written: {written}")
        return
    if output is not None:
        raise ValueError("Name the network to write: retime zoo NAME -o FILE.npz.")
    entries = [rt.zoo.entry(n) for n in rt.zoo.names()]
    if as_json:
        emit(
            {
                e.name: {"model": repr(e.model), "description": e.description, "source": e.source, "z0": e.z0}
                for e in entries
            }
        )
        return
    rows = [[e.name, type(e.model).__name__, e.description] for e in entries]
    print(text_table(["name", "model", "what it is"], rows, width=terminal_width()))
    print("\n" + paragraph("Use zoo:NAME in place of a file, e.g. retime convert zoo:vanderpol"))
