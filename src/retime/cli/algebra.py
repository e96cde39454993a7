"""What `discretize`, `rescale`, `linearize` and `convert` of smooth networks print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import retime as rt
from retime.analysis.modes import pace
from retime.cli.commands import emit
from retime.cli.source import Loaded, check_output
from retime.convert import INTEGRATORS, field_method, integrator
from retime.core.arrays import Array
from retime.core.rendering import paragraph, plain, terminal_width, text_table
from retime.core.start import spread
from retime.simulation.motion import motion_of


def convert_smooth(
    loaded: Loaded, method: str | None, z0: Array, inputs: Array | None, steps: int, output: Path | None, as_json: bool
) -> bool:
    """Convert a smooth map, or a linear one, and say which kind of claim that is."""
    check_output(output, ("", ".npz"))
    model = loaded.model
    exact = isinstance(model, rt.LinearSystem) and method in (None, "matrix-log")
    chosen = None if exact else field_method(method or "euler-field", "--method", linear=False)
    orbit = rt.simulate(model, z0, steps=steps, inputs=inputs)
    kept = spread(orbit.states, 256)
    kept = kept if len(kept) else np.array([0])
    states = orbit.states[kept]
    rows = None if inputs is None else np.vstack([inputs, inputs[-1:]])[kept]
    conversion = rt.to_continuous(model, method=chosen, **({} if exact else {"states": states, "inputs": rows}))
    certificate = conversion.certificate
    kind = (
        "exact at the sample times" if exact else "an embedding, not exact: the ODE's own solution differs from the map"
    )
    written = None if output is None else str(rt.save(conversion.model, output))
    if as_json:
        emit(
            _head(loaded, written)
            | {"kind": kind, "model": repr(conversion.model), "certificate": certificate.to_dict()}
        )
        return certificate.holds
    _print_head(loaded)
    print(f"\nODE: {conversion.model}\nKind of claim: {kind}.\n\n{certificate}")
    _print_written(written)
    return certificate.holds


def discretize(
    loaded: Loaded,
    step: float,
    method: str | None,
    field: str | None,
    at: Array | None,
    output: Path | None,
    as_json: bool,
) -> bool:
    """The map of one step of a flow, or a map with another step."""
    check_output(output, ("", ".npz"))
    model = loaded.model
    chosen = None if method is None else integrator(method, "--method")
    if model.time.step is not None:
        within = None if field is None else field_method(field, "--field", linear=False)
        conversion = rt.retime_to(model, step, method=within, integrator=chosen, states=at)
    elif chosen is None:
        raise ValueError(f"Say which method with --method: {', '.join(INTEGRATORS)}.")
    elif field is not None:
        raise ValueError(f"--field is for maps; {loaded.name} is in continuous time already. Drop it.")
    else:
        conversion = rt.to_discrete(model, step, method=chosen, states=at)
    certificate = conversion.certificate
    written = None if output is None else str(rt.save(conversion.model, output))
    if as_json:
        emit(_head(loaded, written) | {"model": repr(conversion.model), "certificate": certificate.to_dict()})
        return certificate.holds
    _print_head(loaded)
    print("\n" + paragraph(f"Map: {conversion.model}") + f"\n\n{certificate}")
    _print_written(written)
    return certificate.holds


def rescale(loaded: Loaded, factor: float, output: Path | None, as_json: bool) -> None:
    """The same orbit, `factor` times as slow."""
    check_output(output, ("", ".npz"))
    slower = rt.rescale_time(loaded.model, factor)
    written = None if output is None else str(rt.save(slower, output))
    if as_json:
        emit(_head(loaded, written) | {"model": repr(slower), "factor": factor})
        return
    _print_head(loaded)
    print(
        f"\nbefore: {loaded.model}\nafter:  {slower}\nEvery time constant is {factor:g} times as long; the orbit is the same."
    )
    _print_written(written)


def linearize(loaded: Loaded, at: Array, inputs: Array | None, output: Path | None, as_json: bool) -> None:
    """The linear system around a state: modes with their time constants and frequencies, ranks."""
    check_output(output, ("", ".npz"))
    linear = rt.linearize(loaded.model, at, inputs=inputs)
    written = None if output is None else str(rt.save(linear, output))
    speed = float(np.abs(_motion(loaded.model, at, inputs)).max())
    w = linear.eigenvalues
    data = {
        "at": at,
        "residual": speed,
        "eigenvalues": [[x.real, x.imag] for x in w],
        "time_constants": linear.time_constants,
        "frequencies": linear.frequencies,
        "stable": linear.is_stable,
        "controllability_rank": linear.controllability_rank(),
        "observability_rank": linear.observability_rank(),
    }
    if as_json:
        emit(_head(loaded, written) | plain(data))
        return
    _print_head(loaded)
    print(f"\n{linear}\n{loaded.model.time.speed} at the base point: {speed:.3g} (0 at a fixed point)")
    unit = "eigenvalue" if linear.time.step is None else "multiplier per step"
    growth = linear.time.growth_rates(w)
    rows = [
        [f"{x.real:.6g}{x.imag:+.6g}i", pace(float(g), "of model time"), f"{f:.6g}"]
        for x, g, f in zip(w[:SHOWN], growth, linear.frequencies, strict=False)
    ]
    print(text_table([unit, "time constant", "frequency"], rows, width=terminal_width()))
    if len(w) > SHOWN:
        print(f"... and {len(w) - SHOWN} more (--json prints all)")
    n = linear.num_states
    print(
        f"controllability rank {data['controllability_rank']} of {n}, observability rank {data['observability_rank']} of {n}"
    )
    _print_written(written)


SHOWN = 20  # modes in a printed table


def _motion(model: Any, z: Array, s: Array | None) -> Array:
    given = np.zeros(model.num_inputs) if s is None else s
    return model.time.motion(motion_of(model, "state").right(z, given), z)


def _head(loaded: Loaded, written: str | None) -> dict[str, Any]:
    return {"file": loaded.name, "recognition": loaded.recognition, "output": written}


def _print_head(loaded: Loaded) -> None:
    print(paragraph(loaded.recognition))
    for note in loaded.notes:
        print(note)


def _print_written(written: str | None) -> None:
    if written is not None:
        print(f"\nWritten: {written}")
