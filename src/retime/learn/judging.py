"""How good a network is that runs freely: against what was held out of its training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.analysis.reconstruction.spectral import spectral_distance
from retime.core.arrays import Array
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.dynamics import Dynamics
from retime.learn.networks import Parameters
from retime.learn.recordings import Recording
from retime.simulation import simulate

HORIZON = 10  # samples ahead of the prediction error
FREE = 10_000  # samples of a free run that is compared, at most
LONG = 100_000  # steps of a map before that: transients that collapse later are no reconstruction
LEAST = 32  # samples below which distributions and spectra say nothing
SMOOTH = (
    1_000  # samples of a free run that irregular ones are compared with, at least: its own distribution is then smooth
)
STILL = 1e-6  # a spread below this part of the data's is rest


def judged_by(held_out: Recording, whole: Recording) -> Recording:
    """What is held out, or the whole recording where that is too little to have a distribution."""
    return held_out if max(map(len, held_out.series)) >= LEAST else whole


@dataclass(frozen=True)
class Judge:
    """Checks of free runs.

    Args:
        dynamics: the family. held_out: what is not trained on.
        conventions: of the published programs for D_stsp and D_H, by name; None for retime's.
    """

    dynamics: Dynamics
    held_out: Recording
    conventions: tuple[str | None, str | None] = (None, None)

    def model(self, p: Parameters) -> System:
        """In the units of the data and of the inputs."""
        own = {k: np.asarray(v, dtype=np.float64) for k, v in p.items()}
        scaled = {k: own[k] / self.held_out.scale for k in ("C", "W_in") if k in own}
        return self.dynamics.model(own | scaled, self.held_out.mean, self.held_out.std)

    def check(self, p: Parameters) -> dict[str, float]:
        """The record of a check; `score` is the sum of both distances, above 1e6 for a run that left or came to rest.

        Samples at irregular times have no spectrum: `spectral_distance` is NaN, and the score the divergence alone.
        """
        model = self.model(p)
        k = max(range(len(self.held_out.series)), key=lambda k: len(self.held_out.series[k]))
        x, known = self.held_out.series[k], self.held_out.known[k].all(axis=1)
        inputs = self.held_out.inputs[k] * self.held_out.scale
        with np.errstate(all="ignore"):
            error = self._prediction_error(model, p, k, inputs)
            run = self._free_run(model, self.dynamics.first(p, x[:1])[0], k, inputs)
        found = {"prediction_error": error, "loss": error}
        lost = not np.isfinite(run).all() or bool((run.std(axis=0) <= STILL * self.held_out.std).all())
        if lost or known.sum() < LEAST:
            nothing = {"state_space_divergence": math.inf, "spectral_distance": 1.0}
            return {**found, **nothing, "score": 1e6 + min(error, 1e6) if math.isfinite(error) else 2e6}
        real = (x * self.held_out.std + self.held_out.mean)[known][:FREE]
        D = float(state_space_divergence(real, run, convention=self.conventions[0]))
        D = D if math.isfinite(D) else 1e3
        if not self.held_out.is_even:
            return {**found, "state_space_divergence": D, "spectral_distance": math.nan, "score": D}
        H = float(spectral_distance(real, run, convention=self.conventions[1]))
        return {**found, "state_space_divergence": D, "spectral_distance": H, "score": D + H}

    def _free_run(self, model: System, z0: Array, k: int, inputs: Array) -> Array:
        """Outputs `(T, N)` of as many samples as were held out, after a long run where no inputs drive it."""
        steps = min(len(self.held_out.series[k]), FREE)
        if not self.held_out.is_even:
            steps = max(steps, SMOOTH)
        if inputs.shape[1]:
            steps = min(steps, len(inputs))
            return _run(model, z0, self.held_out.times[k][:steps], inputs[: steps - 1], steps)
        before = LONG if isinstance(model.time, Discrete) else steps
        times = np.arange(before + steps) * self.held_out.dt
        return _run(model, z0, times, None, steps)

    def _prediction_error(self, model: System, p: Parameters, k: int, inputs: Array) -> float:
        """Root mean square, `HORIZON` samples ahead of states that were forced for as many, in standard deviations of the data."""
        x, known, times = self.held_out.series[k], self.held_out.known[k], self.held_out.times[k]
        starts = np.arange(0, len(x) - 2 * HORIZON - 1, max(len(x) // 200, 1))
        if len(starts) == 0:
            return math.nan
        z = self.dynamics.first(p, x[starts])
        for j in range(2 * HORIZON):
            if 0 < j < HORIZON:
                seen = np.where(known[starts + j], x[starts + j], self._standardized(model, z))
                z = self.dynamics.forced(p, z, seen)
            z = self.dynamics.advance(model, z, inputs[starts + j], times[starts + j + 1] - times[starts + j])
        errors = (self._standardized(model, z) - x[starts + 2 * HORIZON]) ** 2
        return float(np.sqrt(errors[known[starts + 2 * HORIZON]].mean()))

    def _standardized(self, model: System, z: Array) -> Array:
        return (model.outputs(z) - self.held_out.mean) / self.held_out.std


def _run(model: System, z0: Array, times: Array, inputs: Any, keep: int) -> Array:
    """The last outputs, from sample to sample of a map or at the times of a flow; NaN where the run ended early."""
    horizon: Any = {"steps": len(times) - 1} if isinstance(model.time, Discrete) else {"times": times}
    run = simulate(model, z0, inputs=inputs, **horizon)
    outputs = np.asarray(run.outputs)[-keep:]
    return outputs if run.status == "completed" else np.full_like(outputs, np.nan)
