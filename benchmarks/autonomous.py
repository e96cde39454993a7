"""Autonomous fits of published networks: errors of one step on fresh states, and map and flow side by side.

    python benchmarks/autonomous.py FOLDER [--units 40] [--samples 6000] [--record autonomous.jsonl] [--only vanderpol]

FOLDER holds `vanderpol_plrnn.mat`, `lorenz_plrnn.mat` and `lorenz_alrnn_m20_p2.pt`. One block per network: the certificate, and the
seconds of the processor that fitting took.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import retime as rt

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "vanderpol": ("vanderpol_plrnn.mat", {"dt": 0.1}),
    "lorenz_plrnn": ("lorenz_plrnn.mat", {"dt": 0.1}),
    "lorenz_alrnn": ("lorenz_alrnn_m20_p2.pt", {"num_relu": 2, "dt": 0.01}),
}


def one(folder: Path, name: str, units: int, samples: int) -> dict[str, Any]:
    """Fit one network and measure it."""
    file, options = NETWORKS[name]
    model = rt.load(folder / file, **options)
    start = rt.simulate(model, np.full(model.num_states, 0.1), steps=500).states[-1]
    orbit = rt.simulate(model, start, steps=400).states
    begun = time.process_time()
    method = rt.FlowFit(num_relu=units, samples=samples)
    conversion = rt.to_continuous(model, method=method, states=orbit)
    seconds = time.process_time() - begun
    print(f"\n{name}: {seconds:.0f} CPU s\n{conversion.certificate}", flush=True)
    return {"network": name, "units": units, "cpu_seconds": seconds, "certificate": conversion.certificate.to_dict()}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--only", choices=list(NETWORKS))
    given = parser.parse_args()
    for name in [given.only] if given.only else list(NETWORKS):
        row = one(given.folder, name, given.units, given.samples)
        if given.record:
            with given.record.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
