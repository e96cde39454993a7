"""The figures of Monfared & Durstewitz (ICML 2020): map and flow together, with the errors of both switching rules.

    python examples/icml2020.py                          networks that ship with retime
    python examples/icml2020.py --vanderpol FILE --lorenz FILE --dt 0.1      your own weights files

Draws van der Pol (outputs over time, zoomed; flow field with the limit cycle), the addition problem (inputs, line
attractor, targets) and Lorenz (time and 3-d), and prints how far each flow is from its map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import retime as rt
from retime.io import initial_states


def network(path: str | None, name: str, dt: float | None) -> tuple:
    """A model and a start: from a file, else from the zoo."""
    if path is None:
        return rt.zoo.load(name), rt.zoo.entry(name).z0
    model = rt.load(path, dt=dt)
    starts = initial_states(path)
    return model, starts[0] if len(starts) else np.zeros(model.num_states)


def errors(name: str, model, flow, z0, steps: int, inputs=None) -> None:
    """Print the errors of both switching rules."""
    for rule in ("clock", "state"):
        s = rt.compare(model, flow, z0, steps=steps, inputs=inputs, switching=rule).summary()
        print(
            f"{name:10s} {rule:5s}  steps {s['steps']:6d}  crossing a boundary {s['crossing_steps']:5d}  "
            f"one step {s['max_one_step_error']:.1e}  without crossing {s['max_one_step_error_without_crossing']:.1e}  "
            f"orbit {s['max_orbit_error']:.1e}"
        )


def settle(model, z0, steps: int = 2000) -> np.ndarray:
    """A state on the attractor."""
    return rt.simulate(model, z0, steps=steps).states[-1]


def vanderpol(path: str | None, dt: float | None, out: Path) -> None:
    """Outputs over time, a zoom with the map's samples as dots, and the flow field with the limit cycle."""
    model, z0 = network(path, "vanderpol", dt)
    flow = rt.to_continuous(model).model
    errors("van der Pol", model, flow, z0, 1000)
    z0 = settle(model, z0)
    fine = rt.simulate(flow, z0, times=model.dt * np.arange(0, 300, 0.05))
    dots = rt.simulate(model, z0, steps=299)
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    rt.plots.time_series(fine, ax=axes[0])
    rt.plots.time_series(fine, samples=dots, ax=axes[1])
    axes[1].set_xlim(3 * model.dt, 30 * model.dt)
    axes[1].set_title("zoom: flow (line), map (dots)")
    rt.plots.phase_plane(flow, trajectory=fine, samples=dots, ax=axes[2])
    axes[2].set_title("limit cycle, field through its mean")
    save(figure, out / "vanderpol.png")


def addition(out: Path) -> None:
    """The addition problem: inputs, the accumulating unit against its target, and the line attractor."""
    model, z0 = rt.zoo.load("addition"), rt.zoo.entry("addition").z0
    flow = rt.to_continuous(model).model
    steps, marks = 120, (20, 75)
    s = rt.zoo.addition_inputs(steps, *marks, seed=4)
    errors("addition", model, flow, z0, steps, s)
    dots = rt.simulate(model, z0, steps=steps, inputs=s)
    fine = rt.simulate(flow, z0, times=np.arange(0, steps + 0.01, 0.05), inputs=s)
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    axes[0].step(np.arange(steps), s[:, 0], where="post", label="number")
    axes[0].step(np.arange(steps), s[:, 1], where="post", label="mark")
    axes[0].set(xlabel="time", title="inputs")
    axes[0].legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    rt.plots.time_series(fine, samples=dots, units=(0,), ax=axes[1])
    target = s[marks[0], 0] + s[marks[1], 0]
    axes[1].axhline(target, ls="--", color="0.4")
    axes[1].set_title(f"sum {dots.states[-1, 0]:.4f}, target {target:.4f}")
    rt.plots.phase_plane(flow, trajectory=fine, samples=dots, extent=(-0.3, 2.2, -1.3, 1.1), ax=axes[2])
    axes[2].axhline(-0.995 / 0.99, color="tab:green", lw=1, label="line attractor")
    axes[2].legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    print(f"addition   sum after {steps} steps {dots.states[-1, 0]:.6f}, target {target:.6f}")
    save(figure, out / "addition.png")


def lorenz(path: str | None, dt: float | None, out: Path) -> None:
    """Lorenz: outputs over time and in three dimensions, map and flow."""
    model, z0 = network(path, "lorenz", dt)
    flow = rt.to_continuous(model).model
    errors("Lorenz", model, flow, z0, 1000)
    z0 = settle(model, z0)
    steps = 1500
    dots = rt.simulate(model, z0, steps=steps)
    fine = rt.simulate(flow, z0, times=model.dt * np.arange(0, steps, 0.1))
    figure = plt.figure(figsize=(13, 4.2), constrained_layout=True)
    axis = figure.add_subplot(1, 2, 1)
    rt.plots.time_series(fine, samples=dots, ax=axis)
    axis.set_xlim(0, 150 * model.dt)
    rt.plots.state_space(fine, ax=figure.add_subplot(1, 2, 2, projection="3d"))
    save(figure, out / "lorenz.png")


def save(figure, path: Path) -> None:
    """Write the figure and say where."""
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"written: {path}")


def main() -> None:
    """Draw all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vanderpol", help="weights file in place of zoo:vanderpol")
    parser.add_argument("--lorenz", help="weights file in place of zoo:lorenz")
    parser.add_argument("--dt", type=float, help="time of one step of the files given")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the figures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    vanderpol(args.vanderpol, args.dt, args.out)
    addition(args.out)
    lorenz(args.lorenz, args.dt, args.out)


if __name__ == "__main__":
    main()
