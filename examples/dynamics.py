"""What the dynamics of a network are: every fixed point with a proof, exponents, symbolic dynamics, basins, in one picture.

    python examples/dynamics.py                          writes docs/images/dynamics.png and prints the numbers
    python examples/dynamics.py FILE --dt 0.1 --out FOLDER     the same for your own network

Without FILE the Lorenz network that ships with retime is analyzed: it has exactly three fixed points, where the Lorenz system has its
three equilibria, and nearly the same largest exponent. docs/theory/analysis.md explains how that is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import retime as rt
from retime import plots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="zoo:lorenz", help="weights file, or zoo:NAME")
    parser.add_argument("--dt", type=float, default=None, help="time of one step of the map")
    parser.add_argument(
        "--out", default=Path(__file__).parents[1] / "docs" / "images", type=Path, help="folder for the picture"
    )
    parser.add_argument("--steps", type=int, default=20_000, help="length of the orbit")
    options = parser.parse_args()
    model, z0 = opened(options.file, options.dt)
    z0 = rt.simulate(model, z0, steps=1000).states[-1]

    points = rt.find_fixed_points(model)
    print(points, points.certificate, sep="\n\n")
    spectrum = rt.lyapunov_spectrum(model, z0, steps=options.steps)
    print(spectrum)
    orbit = rt.simulate(model, z0, steps=options.steps)
    visits = rt.visited_regions(orbit)
    print(visits)
    sides = rt.compare_dynamics(
        model, rt.to_continuous(model, throw=False), z0, steps=min(options.steps, 4000), max_period=2, num=2
    )
    print(sides)
    draw(points, spectrum, orbit, visits, options.out)


def opened(file: str, dt: float | None) -> tuple[rt.PLRNN, np.ndarray]:
    """The network and a state to start from."""
    if file.startswith("zoo:"):
        entry = rt.zoo.entry(file.removeprefix("zoo:"))
        return entry.model, entry.z0
    model = rt.load(file, dt=dt)
    return model, np.zeros(model.num_states)


def draw(points, spectrum, orbit, visits, folder: Path) -> None:
    """Four panels: state space, eigenvalues, exponents, transitions between regions."""
    figure = plt.figure(figsize=(11, 9), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    space = figure.add_subplot(grid[0, 0], projection="3d" if points.points.shape[1] > 2 else None)
    plots.fixed_points(points, trajectory=orbit, ax=space)
    plots.spectrum(points, ax=figure.add_subplot(grid[0, 1]))
    plots.exponents(spectrum, ax=figure.add_subplot(grid[1, 0]))
    plots.transition_graph(visits, ax=figure.add_subplot(grid[1, 1]))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "dynamics.png", dpi=110)
    print(f"Written: {folder / 'dynamics.png'}")


if __name__ == "__main__":
    main()
