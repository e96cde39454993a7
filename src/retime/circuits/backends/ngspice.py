"""ngspice, a program of its own (Debian: apt-get install ngspice): the reference. It runs in an empty private folder and sees our deck only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from retime.circuits.backends import spice
from retime.circuits.runs import Run
from retime.core.arrays import Array
from retime.core.errors import SimulatorError

PROGRAM = "ngspice"


def is_installed() -> bool:
    """Whether the program is there."""
    return shutil.which(PROGRAM) is not None


def solve(circuit: Any, run: Run) -> Array:
    """States `(T, b, n)` of a circuit at the times of a run, units of the model.

    Raises:
        SimulatorError: it is not installed, does not converge, crashes, takes longer than the timeout, or its answer fails a guard.
    """
    return spice.solve(circuit, run, ask, PROGRAM)


def ask(deck: spice.Deck, timeout: float | None) -> spice.Answer:
    """Run a deck."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise SimulatorError(
            'ngspice is not installed: `apt-get install ngspice` (Debian, Ubuntu) or `brew install ngspice`; or use backend="neospice" '
            '(pip install neospice) or backend="kirchhoff" (nothing to install).',
            deck.text(),
        )
    text = deck.text(*_control(deck))
    with tempfile.TemporaryDirectory(prefix="retime-") as folder:
        Path(folder, "deck.cir").write_text(text, encoding="ascii")
        try:
            done = subprocess.run(
                [program, "-n", "-b", "deck.cir"], cwd=folder, env=_environment(folder), capture_output=True, timeout=timeout, check=False
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SimulatorError(
                f"ngspice had not ended after {timeout:g} s and was stopped.", text, _tail(error.stdout, error.stderr)
            ) from None
        log = _tail(done.stdout, done.stderr)
        raw = Path(folder, "out.raw")
        if done.returncode or not raw.exists():
            raise SimulatorError(f"ngspice ended with code {done.returncode} and without an answer.", text, log)
        times, voltages = read_raw(raw.read_bytes(), deck.nodes, text, log)
        return spice.Answer(times, voltages, _devices(Path(folder, "devices.txt")), log)


def _environment(folder: str) -> dict[str, str]:
    kept = {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}
    return {**kept, "HOME": folder, "TMPDIR": folder, "LC_ALL": "C"}


def _control(deck: spice.Deck) -> list[str]:
    nodes = deck.nodes
    saves = ["save " + " ".join(f"v({n})" for n in nodes[k : k + 20]) for k in range(0, len(nodes), 20)]
    run = f"tran {deck.step!r} {deck.end!r} 0 {deck.step!r} uic"
    return [".control", "set noaskquit", *saves, run, "show all > devices.txt", "write out.raw", "quit 0", ".endc"]


def _devices(path: Path) -> frozenset[str]:
    """The names in what `show all` printed, three to a row."""
    found: set[str] = set()
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if words[:1] == ["device"]:
                found.update(_plain(word) for word in words[1:])
    return frozenset(found)


def _plain(name: str) -> str:
    """The name of a device of a subcircuit without the letter of its kind in front."""
    return name.partition(".")[2] if "." in name else name


def read_raw(data: bytes, nodes: tuple[str, ...], text: str, log: str) -> tuple[Array, Array]:
    """Times and voltages of a binary raw file.

    Raises:
        SimulatorError: it is cut short, or lacks a node.
    """
    head, marker, body = data.partition(b"Binary:\n")
    lines = head.decode("ascii", errors="replace").splitlines()
    counts = {line.partition(":")[0]: line.partition(":")[2] for line in lines}
    columns = [line.split()[1].lower() for line in lines if line.startswith("\t")]
    try:
        rows, width = int(counts["No. Points"]), int(counts["No. Variables"])
        if not marker or len(columns) != width:
            raise ValueError
        table = np.frombuffer(body, dtype="<f8", count=rows * width).reshape(rows, width)
        return table[:, columns.index("time")].copy(), table[:, [columns.index(f"v({n})") for n in nodes]]
    except (KeyError, ValueError):
        raise SimulatorError("The file that ngspice wrote is cut short or lacks a node.", text, log) from None


def _tail(*streams: bytes | None) -> str:
    lines = [line for s in streams if s for line in s.decode("utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-spice.LOG_LINES :])
