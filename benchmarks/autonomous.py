"""Autonomous fits of published networks: errors of one step on fresh states, and map and flow side by side.

    python benchmarks/autonomous.py FOLDER [--only vanderpol cycle_40] [--units 10 20 40 130] [--samples 8000] [--record autonomous.jsonl]

FOLDER holds `vanderpol_plrnn.mat`, `lorenz_plrnn.mat` and `lorenz_alrnn_m20_p2.pt`. The networks with cycles of 27, 40 and 53 steps and the one
of 10 units are those of the tests of SCYFI (Eisenmann, Monfared, Goering & Durstewitz, NeurIPS 2023); nothing was tuned on them. Certificates
and a bar go to stderr, the table of docs/theory/autonomous.md to stdout.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import retime as rt

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "vanderpol": ("vanderpol_plrnn.mat", {"dt": 0.1}),
    "lorenz_plrnn": ("lorenz_plrnn.mat", {"dt": 0.1}),
    "lorenz_alrnn": ("lorenz_alrnn_m20_p2.pt", {"num_relu": 2, "dt": 0.01}),
}
CYCLES = {  # a_1, w_1, w_2 of z' = diag(a) z + [[0, w_1], [w_2, 0]] relu(z) + h
    "cycle_27": (0.9777689, -0.14375, 0.52505308),
    "cycle_40": (0.9777689, -0.64375, 0.52505308),
    "cycle_53": (0.9377689, -0.64375, 0.52505308),
}
UNITS = {"vanderpol": [130], "lorenz_plrnn": [40], "lorenz_alrnn": [20]} | {key: [40] for key in CYCLES}
SAID = {"period": "mean return time", "exponents": "largest exponents", "D_stsp": "D_stsp"}


def network(folder: Path, name: str) -> Any:
    """One of the networks."""
    if name in FILES:
        file, options = FILES[name]
        return rt.load(folder / file, **options)
    a, v, w = CYCLES[name]
    return rt.PLRNN([a, 0.96461297], [[0.0, v], [w, 0.0]], [0.37298253, -0.97931491], time=rt.Discrete(1.0))


def one(folder: Path, name: str, units: int, samples: int, steps: int) -> dict[str, Any]:
    """Fit one network and measure it."""
    model = network(folder, name)
    start = rt.simulate(model, np.full(model.num_states, 0.1), steps=500).states[-1]
    orbit = rt.simulate(model, start, steps=400).states
    begun = time.process_time()
    method = rt.FlowFit(num_relu=units, samples=samples, time_limit=None)
    conversion = rt.to_continuous(model, method=method, states=orbit)
    fitting = time.process_time() - begun
    certificate = conversion.certificate
    seconds = time.process_time() - begun
    print(
        f"\n{name}, {units} units: {fitting:.0f} CPU s, {seconds:.0f} with the certificate\n{certificate}",
        file=sys.stderr,
    )
    if steps > 0:
        z, times = orbit[-1], model.dt * np.arange(steps + 1)
        a = rt.lyapunov_spectrum(model, z, steps=steps, num=1)
        b = rt.lyapunov_spectrum(conversion.model, z, times=times, num=1)
        said = [f"{e.exponents[0]:.4g} +- {e.standard_errors[0]:.2g}" for e in (a, b)]
        print(f"first exponent in {steps} steps: map {said[0]}, flow {said[1]}", file=sys.stderr)
    row = {"network": name, "units": units, "cpu_seconds": fitting, "with_certificate": seconds}
    return row | {"certificate": certificate.to_dict()}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    rms, largest = re.findall(r"([\d.e+-]+ %)", row["certificate"]["claim"])[:2]
    details = {c["name"]: c["detail"] for c in row["certificate"]["conditions"]}
    said = [next((d.split(": ")[-1] for n, d in details.items() if n.startswith(key)), "-") for key in SAID.values()]
    return f"| {row['network']} | {row['units']} | {rms} | {largest} | {' | '.join(said)} | {row['cpu_seconds']:.0f} |"


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(UNITS), default=list(UNITS))
    parser.add_argument("--units", type=int, nargs="+")
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=0, help="of longer runs, for the first exponent; 0 for none")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    print(f"| network | units | rms | largest | {' | '.join(SAID)} | CPU s |\n|{'---|' * (5 + len(SAID))}", flush=True)
    for name in given.only:
        for units in given.units or UNITS[name]:
            row = one(given.folder, name, units, given.samples, given.steps)
            print(line(row), flush=True)
            if given.record:
                with given.record.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
