"""A trained memory as a circuit: parts, volts, tolerances; and Chua's circuit built from a network.

    python examples/circuits.py                          writes docs/images/flipflop.png, neuron.svg and chua_circuit.png, prints the numbers
    python examples/circuits.py --out FOLDER             writes them into FOLDER
    python examples/circuits.py --backend kirchhoff      without a SPICE simulator

docs/guides/circuits.md tells the story, docs/theory/circuits.md derives the conditions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import retime as rt

PULSES = [(30.0, 60.0), (120.0, 150.0), (210.0, 240.0)]  # when bits 1, 2, 3 are written, model time


def memory(out: Path, backend: str | None) -> None:
    """Build the flip-flop of the zoo in transistors, write three bits, let its components deviate."""
    net = rt.zoo.load("flip_flop_rate")
    found = rt.find_fixed_points(net, complete=False)
    memories = found.points[found.stable]
    circuit = rt.to_circuit(net, level="transistor", states=memories)
    print(circuit.certificate)
    print(circuit.bill_of_materials())
    circuit.schematic(1, out / "neuron.svg")

    start = memories[0]
    bits = np.sign(net.outputs(start))
    times, rows = [0.0], [np.zeros(3)]
    for k, (begin, end) in enumerate(PULSES):
        times += [begin, end]
        rows += [-bits[k] * np.eye(3)[k], np.zeros(3)]
    drive, sampled = rt.Inputs(times, np.array(rows)), np.linspace(0, 300, 301)
    path = circuit.simulate(start, sampled, inputs=drive, backend=backend, timeout=600)
    want = rt.simulate(net, start, times=sampled, inputs=drive)
    print("three pulses:", bits, "->", np.sign(path.outputs[-1]), path.message)
    print(
        "largest difference from the network:",
        f"{np.abs(path.states - want.states).max() / np.ptp(memories):.1e} of the range",
    )
    figure, axes = plt.subplots(3, 1, figsize=(7.6, 4.4), sharex=True, layout="constrained")
    for k, ax in enumerate(axes):
        ax.plot(sampled, [drive(t)[k] for t in sampled], color="0.7", lw=1.5, label="input")
        ax.plot(sampled, path.outputs[:, k], label=f"transistors ({path.message.removeprefix('by ')})")
        ax.plot(sampled[::6], want.outputs[::6, k], "o", ms=3, mfc="none", color="C1", label="network")
        ax.set(ylabel=f"bit {k + 1}")
    axes[0].legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize="small")
    axes[-1].set(xlabel="model time")
    figure.savefig(out / "flipflop.png", dpi=110)
    plt.close(figure)

    def check(z: np.ndarray) -> bool:
        return bool((np.sign(net.outputs(z[-1])) == bits).all())

    print(
        circuit.monte_carlo(
            50, tolerance=0.01, offset=3e-3, z0=start, times=np.linspace(0, 200, 21), points=memories, check=check
        )
    )


def chua(out: Path, backend: str | None) -> None:
    """Chua's circuit: integrators and rectifiers of diodes, from a network of two ReLU units."""
    net, start = rt.zoo.load("chua_network"), rt.zoo.entry("chua_network").z0
    circuit = rt.to_circuit(net, level="opamp")
    times = np.linspace(0, 60, 6001)
    path = circuit.simulate(start, times, backend=backend, timeout=600, volts=True)
    want = rt.simulate(net, start, times=times[:401]).states * circuit.volts_per_unit
    off = np.abs(path.states[:401] - want).max() / np.ptp(want)
    print(
        f"Chua's circuit of {circuit.bill_of_materials().num_components} parts, {path.message}: {off:.1e} of the range off at t <= 4"
    )
    figure, ax = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
    ax.plot(path.states[:, 0], path.states[:, 1], lw=0.5)
    ax.plot(want[:, 0], want[:, 1], "o", ms=2, mfc="none", color="C1", label="network, to t = 4", markevery=8)
    ax.plot([], [], color="C0", label=f"circuit ({path.message.removeprefix('by ')})")
    ax.set(xlabel="V(x1), volts", ylabel="V(x2), volts")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, fontsize="small")
    figure.savefig(out / "chua_circuit.png", dpi=110)
    plt.close(figure)


def main() -> None:
    """Both circuits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = Path(__file__).resolve().parents[1] / "docs" / "images"
    parser.add_argument("--out", type=Path, default=images, help="folder for the pictures")
    parser.add_argument(
        "--backend", default=None, help="kirchhoff, ngspice or neospice; default: the best that is installed"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    memory(given.out, given.backend)
    chua(given.out, given.backend)


if __name__ == "__main__":
    main()
