"""neospice, SPICE as a Python package (pip install neospice). It runs in a process of its own, so that a crash or a hang stays there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from retime.circuits.backends import spice
from retime.circuits.runs import Run
from retime.core.arrays import Array
from retime.core.errors import SimulatorError

DEVICES, COARSER = ("d", "npn", "pnp"), (1e-5, 1e-4)  # kinds of models; relative tolerances, still within what parts do
NOT_CONVERGED = "failed to converge"  # what it says then
SETTINGS = {
    **spice.OPTIONS,
    "itl4": 500.0,
}  # not the temperature: the netlist's is in degrees Celsius, the attribute is in kelvin
WORKER = """
import sys, numpy as np, neospice
step, end, count = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
simulator = neospice.Simulator()
circuit = simulator.parse(open("deck.cir").read())
for setting in sys.argv[4 : 4 + count]:
    name, value = setting.split("=")
    setattr(circuit.options, name, type(getattr(circuit.options, name))(float(value)))
circuit.options.method = "trap"
nodes = open("nodes.txt").read().split()
open("devices.txt", "w").write("\\n".join(circuit.device_names()))
options = neospice.TransientOptions()
options.uic = True
result = simulator.run_transient_with_opts(circuit, step, end, options)
for line in result.status.warnings:
    print(line)
print("converged" if result.status.converged else "did not converge")
np.save("out.npy", np.column_stack([result.time, *[result.voltage(n) for n in nodes]]))
"""


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("neospice") is not None


def solve(circuit: Any, run: Run) -> Array:
    """States `(T, b, n)` of a circuit at the times of a run, units of the model.

    Raises:
        SimulatorError: it is not installed, does not converge, crashes, takes longer than the timeout, or its answer fails a guard.
    """
    return spice.solve(circuit, run, ask, "neospice")


def ask(deck: spice.Deck, timeout: float | None) -> spice.Answer:
    """Run a deck in a worker process; one with transistors or diodes that does not converge again with coarser tolerances."""
    if any(m.kind in DEVICES for m in deck.netlist.models.values()):
        for reltol in (SETTINGS["reltol"], *COARSER[:-1]):
            try:
                return run_once(deck, timeout, SETTINGS | {"reltol": reltol})
            except SimulatorError as error:
                if NOT_CONVERGED not in error.log:
                    raise
        return run_once(deck, timeout, SETTINGS | {"reltol": COARSER[-1]})
    return run_once(deck, timeout, SETTINGS)


def run_once(deck: spice.Deck, timeout: float | None, options: Mapping[str, float]) -> spice.Answer:
    """Run a deck in a worker process with some options.

    Raises:
        SimulatorError: it is not installed, does not converge, crashes or takes longer than the timeout.
    """
    text = deck.text()
    if not is_installed():
        raise SimulatorError(
            'neospice is not installed: `pip install neospice`; or use backend="ngspice" or backend="kirchhoff" (nothing to install).',
            text,
        )
    settings = [f"{k}={v!r}" for k, v in options.items()]
    with tempfile.TemporaryDirectory(prefix="retime-") as folder:
        Path(folder, "deck.cir").write_text(text, encoding="ascii")
        Path(folder, "nodes.txt").write_text("\n".join(deck.nodes), encoding="ascii")
        command = [sys.executable, "-c", WORKER, repr(deck.step), repr(deck.end), str(len(settings)), *settings]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise SimulatorError(f"neospice had not ended after {timeout:g} s and was stopped.", text) from None
        lines = (done.stdout + done.stderr).decode("utf-8", errors="replace").splitlines()
        log = "\n".join(lines[-spice.LOG_LINES :])
        if done.returncode or not Path(folder, "out.npy").exists():
            cure = ' Try backend="ngspice" or backend="kirchhoff".' if NOT_CONVERGED in log else ""
            raise SimulatorError(f"neospice ended with code {done.returncode} and without an answer.{cure}", text, log)
        table = np.load(Path(folder, "out.npy"), allow_pickle=False)
        devices = frozenset(Path(folder, "devices.txt").read_text(encoding="utf-8").lower().split())
        return spice.Answer(table[:, 0], table[:, 1:], devices, log)
