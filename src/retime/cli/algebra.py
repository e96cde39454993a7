"""`retime discretize`, `rescale` and `linearize`, and `convert` of smooth networks."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

import retime as rt
from retime.cli.app import At, Page, command
from retime.core.arrays import Array
from retime.core.rendering import paragraph, terminal_width, text_table
from retime.core.start import spread

ORBIT = 2000  # states of the orbit that a fit begins from
SHOWN = 20  # modes in a printed table
NETWORK = ("", ".npz")


def convert_smooth(page: Page, method: str | None, z0: Array, inputs: Array | None, steps: int) -> bool:
    """Convert a smooth map, or a linear one, and say which kind of claim that is."""
    from retime.convert import field_method

    model = page.loaded.model
    exact = getattr(model, "num_units", None) == 0 and method in (None, "matrix-log")
    options: dict[str, Any] = {}
    kind = "exact at the sample times"
    if not exact:
        orbit = rt.simulate(model, z0, steps=steps, inputs=inputs)
        kept = spread(orbit.states, 256)
        kept = kept if len(kept) else np.array([0])
        rows = None if inputs is None else np.vstack([inputs, inputs[-1:]])[kept]
        options = {"states": orbit.states[kept], "inputs": rows}
        options["method"] = field_method(method or "euler-field", "--method", linear=False)
        kind = "an embedding, not exact: the ODE's own solution differs from the map"
    return _converted(page, rt.to_continuous(model, **options), "ODE", f"\nKind of claim: {kind}.", {"kind": kind})


def convert_autonomous(page: Page, method: rt.FlowFit, z0: Array, inputs: Array | None, steps: int) -> bool:
    """Fit an autonomous network to a map on its orbit from z0, and say what is claimed."""
    orbit = rt.simulate(page.loaded.model, z0, steps=steps, inputs=inputs)
    kept = spread(orbit.states, ORBIT)
    rows = None if inputs is None else np.vstack([inputs, inputs[-1:]])[kept]
    states = orbit.states[kept] if len(kept) else orbit.states[:1]
    conversion = rt.to_continuous(page.loaded.model, method=method, states=states, inputs=rows)
    kind = "autonomous, not exact: fitted where the map's orbits are"
    return _converted(page, conversion, "ODE", f"\nKind of claim: {kind}.", {"kind": kind})


def _converted(page: Page, conversion: Any, word: str, more: str = "", data: Any = ()) -> bool:
    """Print, or write, a conversion; whether its claim holds."""
    certificate = conversion.certificate
    page.head()
    page.say(f"\n{paragraph(f'{word}: {conversion.model}')}{more}\n\n{certificate}")
    page.save(conversion.model)
    page.end(page.facts | dict(data) | {"model": repr(conversion.model), "certificate": certificate})
    return certificate.holds


@command(writes=NETWORK)
def discretize(
    page: Page,
    step: Annotated[float, typer.Option(help="The step of the new map, model time.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="euler, heun, midpoint, ralston, rk3, rk4, dormand-prince, implicit-euler, implicit-midpoint, tustin, ab2 to ab5, "
            "exponential-euler, zoh, foh; linear systems also impulse, matched, backward-diff, gbt:ALPHA."
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            "--field", help="For maps: how to continuous time and back: matrix-log, euler-field, formal-log:ORDER."
        ),
    ] = None,
    at: At = None,
) -> bool:
    """The map of one step of a continuous network.

    Or a map with another step, by way of --field. Prints the one-step error and whether what decays still decays, measured at
    --at and 16 random states around it (default: around the origin). Exit code 1 when the certificate fails. -o writes the new
    network (.npz).
    """
    from retime.convert import INTEGRATORS, field_method, integrator

    model, states = page.loaded.model, None if at is None else page.loaded.around(at)
    chosen = None if method is None else integrator(method, "--method")
    if model.time.step is not None:
        within = None if field is None else field_method(field, "--field", linear=False)
        conversion = rt.retime_to(model, step, method=within, integrator=chosen, states=states)
    elif chosen is None:
        raise ValueError(f"Say which method with --method: {', '.join(INTEGRATORS)}.")
    elif field is not None:
        raise ValueError(f"--field is for maps; {page.loaded.name} is in continuous time already. Drop it.")
    else:
        conversion = rt.to_discrete(model, step, method=chosen, states=states)
    return _converted(page, conversion, "Map")


@command(writes=NETWORK)
def rescale(
    page: Page, factor: Annotated[float, typer.Option(help="> 0; 2 makes every time constant twice as long.")]
) -> None:
    """The same orbit, slower or faster.

    -o writes the new network (.npz).
    """
    model = page.loaded.model
    slower = rt.rescale_time(model, factor)
    page.head()
    page.say(f"\nbefore: {model}\nafter:  {slower}")
    page.say(f"Every time constant is {factor:g} times as long; the orbit is the same.")
    page.save(slower)
    page.end(page.facts | {"model": repr(slower), "factor": factor})


@command(writes=NETWORK)
def linearize(
    page: Page,
    at: At = None,
    inputs: Annotated[str | None, typer.Option(help="Input there, comma-separated; default: zero.")] = None,
) -> None:
    """The linear system around a state, and its modes.

    Eigenvalues, time constants, frequencies, controllability. -o writes it (.npz).
    """
    from retime.analysis.modes import pace
    from retime.simulation.motion import motion_of

    model, z, s = page.loaded.model, page.loaded.base_point(at), page.loaded.level(inputs)
    linear = rt.linearize(model, z, inputs=s)
    w, growth = linear.eigenvalues, linear.time.growth_rates(linear.eigenvalues)
    right = motion_of(model, "state").right(z, np.zeros(model.num_inputs) if s is None else s)
    speed = float(np.abs(model.time.motion(right, z)).max())
    ranks = linear.controllability_rank(), linear.observability_rank()
    page.head()
    page.say(f"\n{linear}\n{model.time.speed} at the base point: {speed:.3g} (0 at a fixed point)")
    rows = [
        [f"{x.real:.6g}{x.imag:+.6g}i", pace(float(g), "of model time"), f"{f:.6g}"]
        for x, g, f in zip(w[:SHOWN], growth, linear.frequencies, strict=False)
    ]
    page.say(text_table([linear.time.eigenvalue, "time constant", "frequency"], rows, width=terminal_width()))
    if len(w) > SHOWN:
        page.say(f"... and {len(w) - SHOWN} more (--json prints all)")
    n = linear.num_states
    page.say(f"controllability rank {ranks[0]} of {n}, observability rank {ranks[1]} of {n}")
    page.save(linear)
    data = {"at": z, "residual": speed, "eigenvalues": w, "time_constants": linear.time_constants}
    data |= {"frequencies": linear.frequencies, "stable": linear.is_stable}
    page.end(page.facts | data | {"controllability_rank": ranks[0], "observability_rank": ranks[1]})
