"""A rate network, the recurrent networks that its steps are, and which operations may be exchanged.

    python examples/time_algebra.py                      writes docs/images/time.png and prints the numbers
    python examples/time_algebra.py --out FOLDER         writes FOLDER/time.png

The three panels: orbits at a coarse step, how the error falls with the step, and the stability regions with the network's modes in
them. The text: two squares, one that commutes and one that does not. docs/theory/time.md explains all of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import retime as rt

# Two units, tau dz/dt = -z + tanh(W z + b). The first excites both, the second inhibits the first: they spiral to rest.
NET = rt.RateRNN([[0.6, -1.0], [1.0, 0.4]], None, [0.2, -0.1], tau=0.5, form="rate")
START = np.array([1.0, -1.0])
END = 4.0
METHODS = {
    "Euler": rt.Euler(),
    "Heun": rt.Heun(),
    "Adams-Bashforth 3": rt.AdamsBashforth(3),
    "RK4": rt.RungeKutta(rt.RK4),
}


def stepped(model, dt: float, method, z=START) -> np.ndarray:
    """The orbit of the network's step from z, `(steps + 1, 2)`; a multistep method carries more, of which this is the first part."""
    step = rt.to_discrete(model, dt, method=method).model
    return rt.simulate(step, z, steps=round(END / dt)).states[:, : model.num_states]


def solved(model, dt: float, z=START) -> np.ndarray:
    """The solution at the same times, to rounding or nearly."""
    times = dt * np.arange(round(END / dt) + 1)
    options = {} if isinstance(model, rt.LinearSystem) else {"tolerance": 1e-12}
    return rt.simulate(model, z, times=times, **options).states


def orbits(ax, dt: float) -> None:
    """Orbits at a coarse step against the solution."""
    fine = solved(NET, 0.01)
    ax.plot(fine[:, 0], fine[:, 1], color="0.3", lw=1.2, label="solution")
    for name in ("Euler", "Heun", "RK4"):
        z = stepped(NET, dt, METHODS[name])
        ax.plot(z[:, 0], z[:, 1], "o-", ms=4, lw=0.6, color=color(name), label=name)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", title=f"orbits with dt = {dt}, tau = {NET.tau}")
    ax.legend(frameon=False)


def convergence(ax, linear) -> None:
    """Largest error of an orbit over the step, and the measured order; the exact step for the linearized network."""
    steps = np.array([0.2, 0.1, 0.05, 0.025, 0.0125])
    print(f"{'error of the orbit':28}" + "".join(f"dt = {dt:<8g}" for dt in steps) + "order")
    rows = [(name, NET, method) for name, method in METHODS.items()]
    for name, model, method in [*rows, ("exact (linearized)", linear, rt.ZeroOrderHold())]:
        errors = np.array([np.abs(stepped(model, dt, method) - solved(model, dt)).max() for dt in steps])
        order = f"{np.log2(errors[-2] / errors[-1]):.1f}" if errors[-1] > 1e-12 else "-"
        print(f"{name:28}" + "".join(f"{e:<13.1e}" for e in errors) + order)
        ax.loglog(steps, errors, "o-", ms=4, color=color(name), label=name)
    ax.set(xlabel="dt", ylabel="largest error", title=f"error of the orbit up to t = {END:g}", ylim=(1e-17, 1e1))
    ax.set_xticks(steps, [f"{dt:g}" for dt in steps])
    ax.set_xticks([], minor=True)
    ax.legend(frameon=False, loc="center", bbox_to_anchor=(0.5, 0.33), fontsize="small", ncols=2)


def stability(ax, rest, linear) -> None:
    """Boundaries of the stability regions, and where the modes of the network lie for three steps."""
    x, y = np.meshgrid(np.linspace(-4.5, 1.5, 401), np.linspace(-3.5, 3.5, 401))
    print(f"\n{'largest stable dt':28}")
    for name, method in METHODS.items():
        factor = rt.stability_region(method).factor(x + 1j * y)
        ax.contour(x, y, factor, levels=[1.0], colors=color(name))
        print(f"{name:28}{rt.max_stable_dt(NET, method, at=rest):.3f}")
    for dt, marker in ((0.2, "o"), (0.6, "s"), (1.1, "^")):
        modes = dt * linear.eigenvalues
        ax.plot(modes.real, modes.imag, marker, color="0.2", ls="", ms=6, label=f"modes, dt = {dt}")
    ax.axhline(0, lw=0.5, color="0.6")
    ax.axvline(0, lw=0.5, color="0.6")
    ax.set(
        xlabel=r"Re $dt\,\lambda$",
        ylabel=r"Im $dt\,\lambda$",
        title="stable inside the curve of the method",
        aspect="equal",
    )
    ax.legend(frameon=False, loc="upper left", fontsize="small")


def squares(rest) -> None:
    """Two operations in both orders: a pair that commutes, and one that does so at the equilibrium only."""
    print("\nlinearize and discretize, dt = 0.1, in both orders; largest difference of the linear maps")
    for name in ("Euler", "RK4"):
        for where, at in (("at the equilibrium", rest), ("away from it", START)):
            x = rt.interchange(NET, "linearize", "discretize", at=at, dt=0.1, method=METHODS[name])
            print(f"  {name:6}{where:20}{x.difference:9.1e}   {'commutes' if x.commutes else 'does not commute'}")


def color(name: str) -> str:
    """One color per method in all panels."""
    return f"C{list(METHODS).index(name)}" if name in METHODS else "0.5"


def main() -> None:
    """Draw the three panels and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = Path(__file__).resolve().parents[1] / "docs" / "images"
    parser.add_argument("--out", type=Path, default=images, help="folder for the picture")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    print(f"Euler with dt = tau: {rt.to_discrete(NET, NET.tau, method=rt.Euler()).model}\n")
    rest = rt.simulate(NET, START, times=[0.0, 100.0]).states[-1]
    linear = rt.linearize(NET, rest)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), constrained_layout=True)
    orbits(axes[0], 0.4)
    convergence(axes[1], linear)
    stability(axes[2], rest, linear)
    squares(rest)
    figure.savefig(out / "time.png", dpi=110)
    plt.close(figure)
    print(f"\nwritten: {out / 'time.png'}")


if __name__ == "__main__":
    main()
