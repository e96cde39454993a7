"""One update of a ContinuousPLRNN (exact flow) against one of the discrete PLRNN, same data and batch, in one run.

    python benchmarks/continuous_update.py [--rounds 60] [--dtype float32]

Lorenz-63 at a step of 0.01; 20 units, 16 sequences of 200 samples, forcing every 16. All networks are trained for some hundred updates
first, so that regions, switches and the size of the generator are those of training. An update is all of it: cutting the windows, value
and gradient, and RAdam. Times are of the processor, medians of alternating rounds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import retime as rt
from retime.core.quiet import one_blas_thread
from retime.learn.descent import Packing, RAdam
from retime.learn.dynamics import Setting
from retime.learn.fitted import FITTED
from retime.learn.recordings import recording
from retime.learn.windows import Cutter
from retime.zoo.systems import lorenz63_system

STEPS, SIZE, FORCED = 200, 16, 16


class Training:
    """Updates of one family, counted."""

    def __init__(self, series: np.ndarray, family: str, options: dict[str, int], dtype: str) -> None:
        kind = FITTED[family]
        self.dynamics = kind(Setting(kind.network(family, 20, 0, 3, options), dtype))
        self.cutter = Cutter(recording(series, missing=False, standardize=True), STEPS, SIZE, 0.05, 0, dtype)
        start = self.dynamics.parameters(np.random.default_rng(0))
        self.packing = Packing({k: np.shape(v) for k, v in start.items()}, dtype)
        self.rule, self.vector = RAdam(lambda k: 1e-3), self.packing.pack(start)
        self.state, self.number = self.rule.init(self.vector), 0

    def update(self) -> float:
        """One, and its loss."""
        forcing = rt.learn.SparseForcing(FORCED).strength(STEPS + 1, 0.0)
        loss, found = self.dynamics.gradient(self.packing.unpack(self.vector), self.cutter.cut(self.number, forcing))
        self.vector, self.state = self.rule.apply(self.vector, self.state, self.packing.pack(found), self.number)
        self.number += 1
        return loss


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--before", type=int, default=600)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    system, start = lorenz63_system()
    series = np.asarray(rt.simulate(system, start, times=np.arange(0, 200, 0.01)).states)[1000:]
    names = {"PLRNN": ("plrnn", {}), "ContinuousPLRNN, 2 ReLU": ("continuous_plrnn", {"num_relu": 2}),
             "ContinuousPLRNN, 10 ReLU": ("continuous_plrnn", {"num_relu": 10})}  # fmt: skip
    with one_blas_thread():
        runs = {k: Training(series, *v, given.dtype) for k, v in names.items()}
        losses = {k: np.mean([r.update() for _ in range(given.before)][-100:]) for k, r in runs.items()}
        seconds: dict[str, list[float]] = {k: [] for k in runs}
        for _ in range(given.rounds):
            for k, r in runs.items():
                begun = time.process_time()
                for _ in range(5):
                    r.update()
                seconds[k].append((time.process_time() - begun) / 5)
    plain = float(np.median(seconds["PLRNN"]))
    print(f"{given.dtype}, an update of 16 x {STEPS} samples, 20 units")
    for k, times in seconds.items():
        print(f"{k:28s} {1e3 * np.median(times):7.2f} ms, {np.median(times) / plain:5.1f} times; loss {losses[k]:.3g}")


if __name__ == "__main__":
    main()
