"""How good a network is that runs freely: against what was held out of its training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.analysis.reconstruction.spectral import spectral_distance
from retime.core.arrays import Array
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.dynamics import Dynamics
from retime.learn.families import Parameters
from retime.learn.recordings import Recording
from retime.simulation import simulate

HORIZON = 10  # samples ahead of the prediction error, at most
FREE = 10_000  # held-out samples that a free run is compared with, at most
LONG, LONGER = (
    100_000,
    100,
)  # samples of a run, at most, and for each one held out: what collapses later is no reconstruction
STARTS, LASTING = (
    128,
    8,
)  # runs from other samples before a network is kept, and those that go on: the ones farthest from the data


class Lengths(NamedTuple):
    """Samples of the runs before a network is kept: of all, of those that go on (as many as LONGER allows), and pieces that fit into memory."""

    short: int
    last: int
    pieces: int


MAPS = Lengths(10_000, 1_000_000, 10)  # chaos may be a transient of 100,000 steps and more
FLOWS = Lengths(2_500, 100_000, 2)  # take longer
QUIET = 1e-3  # a spread below this part of the data's, in the last half of the short runs, is an approach to rest
STRETCHES = 10  # of such a run whose spectra are compared, at most
LOST = 1e6  # score from which on a free run left or came to rest
LEAST = 32  # samples below which distributions and spectra say nothing
SMOOTH = (
    1_000  # samples of a free run that irregular ones are compared with, at least: its own distribution is then smooth
)
STILL = 1e-6  # a spread below this part of the data's is rest


def judged_by(held_out: Recording, whole: Recording) -> Recording:
    """What is held out, or of samples at irregular times the whole recording where that is too little to have a distribution."""
    return held_out if whole.is_even or max(map(len, held_out.series)) >= LEAST else whole


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

    def check(self, p: Parameters, best: float = math.inf) -> dict[str, float]:
        """The record of a check; `score`, smaller is better, is the geometric mean of both distances, or `LOST` and more; for few
        samples the error. Only what beats `best`, the smallest score so far, is run for long.

        Samples at irregular times have no spectrum: `spectral_distance` is NaN, and the score the divergence alone.
        """
        model, (k, inputs) = self.model(p), self._longest
        x, known = self.held_out.series[k], self.held_out.known[k].all(axis=1)
        error = self.prediction_error(p)
        with np.errstate(all="ignore"):
            run = self._free_run(model, self.dynamics.first(p, x[:1])[0], k, inputs)
        found = {"prediction_error": error, "prediction_horizon": self.horizon, "loss": error}
        score = min(error, LOST) if math.isfinite(error) else LOST
        lost = not np.isfinite(run).all() or bool((run[-len(x) :].std(axis=0) <= STILL * self.held_out.std).all())
        if known.sum() < LEAST:
            return {**found, "score": score + LOST * lost}
        if lost:
            return {**found, "state_space_divergence": math.inf, "spectral_distance": 1.0, "score": score + LOST}
        real = (x * self.held_out.std + self.held_out.mean)[known][:FREE]
        D, H = self._distances(real, run)
        if not self.held_out.is_even:
            return {**found, "state_space_divergence": D, "spectral_distance": math.nan, "score": D}
        score = float(
            np.sqrt(D * H)
        )  # a sum would be decided by D, which varies more from run to run than between networks
        if score < best and not inputs.shape[1]:
            score = max(score, self._lasting(model, p, x, real))
        if score >= LOST:
            return {**found, "state_space_divergence": math.inf, "spectral_distance": 1.0, "score": score}
        return {**found, "state_space_divergence": D, "spectral_distance": H, "score": score}

    def _lasting(self, model: System, p: Parameters, x: Array, real: Array) -> float:
        """The largest score at the end of long runs of a network that is about to be kept; `LOST` where one ends early or at rest.

        They start at the smallest states that are observed as held-out samples, where a user would start (hidden states at 0): a point or a
        cycle may attract a few of them beside the attractor, and all of them after a long transient. The runs that are farthest from the data
        after a while go on, in pieces that fit into memory.
        """
        if not self.dynamics.runs_long:
            return 0.0
        first = x[np.linspace(0, len(x) - 1, STARTS).astype(int)]
        z = self.dynamics.forced(p, np.zeros((len(first), model.num_states)), first)
        most = MAPS if isinstance(model.time, Discrete) else FLOWS
        piece, last = max(min(most.last, LONGER * len(x)) // most.pieces, 1), np.zeros((0, *first.shape))
        lengths = [min(most.short, piece)] + [piece] * most.pieces
        for k, (steps, quiet) in enumerate(zip(lengths, [QUIET] + [STILL] * most.pieces, strict=True)):
            run = simulate(model, z, **_samples(model, steps, self.held_out.dt))
            last = np.asarray(run.outputs)[steps // 2 if k == 0 else 0 :]
            if run.status != "completed" or not np.isfinite(last).all():
                return LOST
            if (last.std(axis=0) <= quiet * self.held_out.std).all(axis=-1).any():
                return LOST
            z = run.states[-1] if k > 0 else run.states[-1][np.argsort(self._scores(real, last))[-LASTING:]]
        return float(self._scores(real, last).max())

    def _scores(self, real: Array, runs: Array) -> Array:
        """The geometric mean of the distances of each of runs `(T, b, N)`: `(b,)`."""
        found = [self._distances(real, np.ascontiguousarray(run)) for run in runs.swapaxes(0, 1)]
        return np.sqrt(np.prod(found, axis=1))

    def _distances(self, real: Array, run: Array) -> tuple[float, float]:
        """D_stsp from the whole run, D_H as the mean over stretches of it that are as long as what was held out."""
        D = float(state_space_divergence(real, run, convention=self.conventions[0]))
        stretches = [run[k : k + len(real)] for k in range(0, len(run) - len(real) + 1, len(real))] or [run]
        H = [float(spectral_distance(real, part, convention=self.conventions[1])) for part in stretches[-STRETCHES:]]
        return D if math.isfinite(D) else 1e3, float(np.mean(H))

    def _free_run(self, model: System, z0: Array, k: int, inputs: Array) -> Array:
        """Outputs `(T, N)`: under the inputs of the held-out part, or of a long run without any after its first tenth."""
        steps = min(len(self.held_out.series[k]), FREE)
        if not self.held_out.is_even:
            steps = max(steps, SMOOTH)
        if inputs.shape[1]:
            steps = min(steps, len(inputs))
            return _run(model, z0, self.held_out.times[k][:steps], inputs[: steps - 1], steps)
        total = min(LONG, LONGER * steps) if self.dynamics.runs_long and self.held_out.is_even else 2 * steps
        return _run(model, z0, np.arange(total) * self.held_out.dt, None, max(total - total // 10, steps))

    @property
    def _longest(self) -> tuple[int, Array]:
        """The number of the longest held-out part, and its inputs."""
        k = max(range(len(self.held_out.series)), key=lambda k: len(self.held_out.series[k]))
        return k, self.held_out.inputs[k] * self.held_out.scale

    @property
    def horizon(self) -> int:
        """How many samples ahead `prediction_error` looks."""
        return max(1, min(HORIZON, (max(map(len, self.held_out.series)) - 1) // 3))

    def prediction_error(self, p: Parameters) -> float:
        """Root mean square, `horizon` samples ahead of states that were forced for as many, in standard deviations of the data."""
        with np.errstate(all="ignore"):
            return self._off(self.model(p), p, *self._longest)

    def _off(self, model: System, p: Parameters, k: int, inputs: Array) -> float:
        x, known, times = self.held_out.series[k], self.held_out.known[k], self.held_out.times[k]
        ahead = self.horizon
        starts = np.arange(0, max(len(x) - 2 * ahead, 1), max(len(x) // 200, 1))
        z = self.dynamics.first(p, x[starts])
        for j in range(2 * ahead - 1):
            if 0 < j < ahead:
                seen = np.where(known[starts + j], x[starts + j], self._standardized(model, z))
                z = self.dynamics.forced(p, z, seen)
            z = self.dynamics.advance(model, z, inputs[starts + j], times[starts + j + 1] - times[starts + j])
        end = starts + 2 * ahead - 1
        errors = (self._standardized(model, z) - x[end]) ** 2
        return float(np.sqrt(errors[known[end]].mean())) if known[end].any() else math.nan

    def _standardized(self, model: System, z: Array) -> Array:
        return (model.outputs(z) - self.held_out.mean) / self.held_out.std


def _samples(model: System, steps: int, dt: float) -> dict[str, Any]:
    """How long `simulate` is to run for so many samples."""
    return {"steps": steps} if isinstance(model.time, Discrete) else {"times": dt * np.arange(steps + 1)}


def _run(model: System, z0: Array, times: Array, inputs: Any, keep: int) -> Array:
    """The last outputs, from sample to sample of a map or at the times of a flow; NaN where the run ended early."""
    horizon: Any = {"steps": len(times) - 1} if isinstance(model.time, Discrete) else {"times": times}
    run = simulate(model, z0, inputs=inputs, **horizon)
    outputs = np.asarray(run.outputs)[-keep:]
    return outputs if run.status == "completed" else np.full_like(outputs, np.nan)
