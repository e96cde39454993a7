"""What `retime circuit` prints and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import retime as rt
from retime.cli.commands import emit
from retime.cli.source import Loaded, check_output, is_stdout
from retime.core.arrays import Array
from retime.core.files import replace_atomically
from retime.core.rendering import paragraph, terminal_width, text_table

DIALECTS = {".cir": "ngspice", ".va": "verilog-a", ".net": "kicad"}


def circuit(
    loaded: Loaded, z0: Array | None, options: dict[str, Any], run: dict[str, Any], output: Path | None, as_json: bool
) -> bool:
    """Build, run and print; whether the certificate holds."""
    check_output(output, (*DIALECTS, ".csv", ".svg"))
    built = rt.to_circuit(loaded.model, throw=False, **options)
    if is_stdout(output):
        print(built.netlist(), end="")
        return built.certificate.holds
    written = None if output is None else str(_write(built, output))
    runs = None if run["simulate"] is None or z0 is None else _beside(built, z0, run)
    spread = (
        None
        if not run["monte_carlo"] or z0 is None
        else built.monte_carlo(run["monte_carlo"], tolerance=run["tolerance"], z0=z0)
    )
    if as_json:
        data = {"file": loaded.name, **built.to_dict(), "simulation": runs, "output": written}
        emit(data | {"monte_carlo": None if spread is None else spread.to_dict()})
        return built.certificate.holds
    print(paragraph(loaded.recognition))
    print("\n" + paragraph(repr(built)) + f"\n\n{built.certificate}\n\n{built.bill_of_materials()}")
    if runs is not None:
        rows = [[k.replace("_", " "), f"{v:.4g}" if isinstance(v, float) else str(v)] for k, v in runs.items()]
        print("\n" + text_table(["circuit beside the model", "value"], rows, width=terminal_width()))
    if spread is not None:
        print(f"\n{spread}")
    if written is not None:
        print(f"\nWritten: {written}")
    return built.certificate.holds


def share(text: str) -> float:
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


def _beside(built: Any, z0: Array, run: dict[str, Any]) -> dict[str, Any]:
    """How far the circuit's orbit is from the model's."""
    base = built.original.time
    is_map = base.step is not None
    length = run["duration"]
    if is_map:
        count = 50 if length is None else max(1, round(length / base.dt))
        times = base.dt * np.arange(count + 1)
        want = rt.simulate(built.original, z0, steps=count)
    else:
        length = 10.0 * built.fastest_time_constant if length is None else length
        times = np.linspace(0.0, length, 201)
        want = rt.simulate(built.original, z0, times=times)
    backend = None if run["simulate"] == "auto" else run["simulate"]
    found = built.simulate(z0, times, backend=backend)
    error = float(np.abs(found.states - want.states).max())
    size = max(float(np.ptp(want.states, axis=0).max()), 1e-300)
    return {
        "simulator": found.message.removeprefix("by "),
        "duration": float(times[-1]),
        "largest_error": error,
        "relative_to_range": error / size,
    }


def _write(built: Any, output: Path) -> Path:
    if output.suffix == ".csv":
        return built.bill_of_materials().to_csv(output)
    if output.suffix == ".svg":
        built.schematic(1, output)
        return output
    with replace_atomically(output) as temporary:
        temporary.write_text(built.netlist(DIALECTS[output.suffix]), encoding="ascii")
    return output
