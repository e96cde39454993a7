"""Reconstruct a dynamical system from a recording of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arguments import amount, is_number, seconds, seed_of, whole
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.equation import double_precision
from retime.core.quiet import one_blas_thread
from retime.learn.checkpoint import Checkpoint
from retime.learn.descent import Clipped, FromOptax, Packing, RAdam
from retime.learn.dynamics import Dynamics, Setting
from retime.learn.fitted import FITTED
from retime.learn.forcing import Forcing, SparseForcing
from retime.learn.judging import Judge, judged_by
from retime.learn.loop import Loop, dtype_of, ending
from retime.learn.networks import Parameters
from retime.learn.recordings import Recording, recording
from retime.learn.result import Fit
from retime.learn.windows import Cutter

CHECKS = 40  # of a training, by default


def fit(
    series: Any,
    *,
    family: str,
    num_states: int,
    epochs: int = 2000,
    batches: int = 50,
    batch_size: int = 16,
    sequence: int = 200,
    forcing: Forcing | None = None,
    noise: float = 0.05,
    learning_rate: float | tuple[float, float] = (1e-3, 1e-5),
    optimizer: Any = None,
    clip: float = math.inf,
    inputs: Any = None,
    times: Any = None,
    dt: float | None = None,
    standardize: bool = True,
    missing: bool = False,
    held_out: float = 0.1,
    every: int | None = None,
    seed: int | None = 0,
    dtype: str = "float32",
    patience: int | None = None,
    time_limit: float | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **options: Any,
) -> Fit:
    """Fit a network to a recording by teacher forcing, and keep the epoch whose free run is most like what was held out.

    The first N states are the (standardized) observations; the others start at a learned linear function of the first sample. The loss is
    the mean squared error of the observed states, one step ahead, along sequences from random places of the recording.

    Args:
        series: `(T, N)`, a list of such recordings, a DataFrame or DataArray, or a file (.npy, .csv with or without a header, .mat).
        family: alrnn (with `num_relu`), plrnn, shallow_plrnn (with `num_hidden`, `clipped`), dendritic_plrnn (with `num_bases`); in
            continuous time continuous_plrnn (with `num_relu`, None: all units) through its exact flow, and rate_rnn (with `tau`, where its
            time constants start, `activation`, `form`) solved by Diffrax.
        num_states: n >= N. epochs: of `batches` updates each, with `batch_size` sequences of `sequence` steps.
        forcing: `learn.SparseForcing(every)`, by default every 16 steps, or `learn.GeneralizedForcing(alpha)`.
        noise: standard deviation of noise added to the data that forces, in standard deviations of the data.
        learning_rate: first and last, falling exponentially. optimizer: an Optax transformation; None for RAdam.
        clip: the largest norm of a gradient, to which longer ones are shortened; math.inf for any.
        inputs: `(T, m)`, one row per sample, held until the next; a list for several recordings.
        times: `(T,)` of the samples, model time, increasing; a list for several recordings. Irregular ones are for families in continuous time.
        dt: time between two samples, model time; the time of one step of a map.
        standardize: give each channel mean 0 and standard deviation 1 for training; undone in the model's readout.
        missing: NaN in `series` are values that were not recorded: neither forced nor scored, never filled in.
        held_out: share of each recording, at its end, that is not trained on and judges the free runs. every: epochs between two such checks.
            Where that is less than 32 samples, the whole recording judges.
        seed: of the start and of all batches. dtype: "float32" or "float64", of the training; the model has 64 bits.
        patience: checks without a better one after which to stop. time_limit: seconds of work. checkpoint, resume: as for `train`.

    Returns:
        A Fit whose `metrics` are of the held-out part: `state_space_divergence`, `spectral_distance`, and `prediction_error`, the root mean
        squared error 10 steps ahead in standard deviations of the data; `history` holds them for every check.

    Raises:
        ValueError: an argument is out of range, NaN without `missing`, a constant channel, too few samples. ShapeError: other shapes.
        RetimeError: `checkpoint` belongs to another run. OSError: it, or the file, cannot be read or written.

    Source: brenner2022, hess2023, brenner2024, mikhaeil2022.
    """
    _check_recipe(
        {"epochs": epochs, "batches": batches, "batch_size": batch_size, "sequence": sequence},
        {"every": every, "patience": patience},
        forcing,
        held_out,
    )
    dtype_of(dtype)
    amount("noise", noise)
    seed, limit = seed_of(seed), seconds(time_limit)
    rule = _rule(optimizer, learning_rate, clip, epochs * batches)
    data = _recorded(series, inputs, times, dt, missing, standardize)
    dynamics = _dynamics(family, num_states, data, dtype, options)
    known, judged = data.split(held_out)
    if known.shortest < 3:
        raise ValueError(f"`series` leaves {known.shortest} samples to learn from; it is too short.")
    steps = min(sequence, known.shortest - 1)
    cutter = Cutter(known, steps, batch_size, float(noise), seed, dtype)
    job = _Job(
        dynamics, cutter, Judge(dynamics, judged_by(judged, data)), forcing or SparseForcing(), rule, epochs * batches
    )
    begun = work_seconds()
    with double_precision(), one_blas_thread():
        rates = f"{'optax' if optimizer is not None else repr(learning_rate)}, clip {clip!r}"
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), {**job.identity, "rates": rates})
        between = batches * (every or max(epochs // CHECKS, 1))
        loop = Loop(job.update, job.check, job.updates, between, patience, kept, resume, limit, f"fitting {family}")
        start = job.start()
        progress, status = loop.run(start, rule.init(start))
        best = job.packing.unpack(np.asarray(progress.best))
        metrics = {k: v for k, v in job.judge.check(best).items() if k not in ("score", "loss")}
        model = job.judge.model(best)
    message = ending(status, progress.step, job.updates)
    return Fit(model, tuple(progress.history), metrics, status, message, work_seconds() - begun)


def _check_recipe(counts: dict[str, Any], optional: dict[str, Any], forcing: Any, held_out: Any) -> None:
    for name, value in (counts | {k: v for k, v in optional.items() if v is not None}).items():
        whole(name, value, 1)
    if not is_number(held_out) or not 0.0 < held_out < 1.0:
        raise ValueError(f"`held_out` is {held_out!r}; it must be a share of the recording, between 0 and 1.")
    if forcing is not None and not hasattr(forcing, "strength"):
        raise TypeError(
            f"`forcing` is {forcing!r}; it must be SparseForcing(every), GeneralizedForcing(alpha) or None."
        )


def _rule(optimizer: Any, learning_rate: Any, clip: Any, updates: int) -> Any:
    """What makes a step of a gradient."""
    pair = (
        learning_rate if isinstance(learning_rate, (tuple, list)) and len(learning_rate) == 2 else [learning_rate] * 2
    )
    first, last = (positive("learning_rate", x, "per update, or two of them: first and last") for x in pair)
    rule = RAdam(lambda k: first * (last / first) ** (k / updates)) if optimizer is None else FromOptax(optimizer)
    if isinstance(clip, float) and clip == math.inf:
        return rule
    return Clipped(rule, positive("clip", clip, "the largest norm of a gradient; math.inf for any"))


def _recorded(series: Any, inputs: Any, times: Any, dt: Any, missing: bool, standardize: bool) -> Recording:
    if times is not None and dt is not None:
        raise ValueError("`times` and `dt` were both given; the time between samples is told by one of them.")
    step = 1.0 if dt is None else positive("dt", dt)
    return recording(series, missing=missing, standardize=standardize, inputs=inputs, times=times, dt=step)


def _dynamics(family: Any, num_states: Any, data: Recording, dtype: str, options: Mapping[str, Any]) -> Dynamics:
    """The family with its sizes, and how its gradient is made."""
    if not isinstance(family, str) or family not in FITTED:
        raise ValueError(
            f"`family` is {family!r}; recordings are fitted by one of {', '.join(FITTED)}: it must be one of them."
        )
    if whole("num_states", num_states, 1) < data.num_channels:
        raise ValueError(
            f"`num_states` is {num_states}; it must be at least {data.num_channels}, the channels of `series`."
        )
    kind = FITTED[family]
    net = kind.network(family, num_states, data.num_inputs, data.num_channels, options)
    if kind.needs_equal_times and not data.is_even:
        raise ValueError(
            f"`times` are not equally far apart; {family} takes equal steps. Interpolate the recording, or fit a family in continuous time."
        )
    return kind(Setting(net, dtype, data.dt))


@dataclass(frozen=True)
class _Job:
    """One fit: its updates and checks, on one flat vector of parameters."""

    dynamics: Dynamics
    cutter: Cutter
    judge: Judge
    forcing: Forcing
    rule: Any
    updates: int

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the run; of the data their sizes and sums."""
        numbers = ("steps", "size", "noise", "seed", "dtype")
        sums = [[len(x), float(np.abs(x).sum())] for x in (*self.cutter.data.series, *self.cutter.data.inputs)]
        own = {"network": repr(self.dynamics.setting), "forcing": repr(self.forcing), "data": sums}
        return {**own, "updates": self.updates, **{k: getattr(self.cutter, k) for k in numbers}}

    @cached_property
    def _initial(self) -> Parameters:
        return self.dynamics.parameters(np.random.default_rng([self.cutter.seed, 0]))

    @cached_property
    def packing(self) -> Packing:
        """Places in the vector."""
        return Packing({k: np.shape(v) for k, v in self._initial.items()}, self.cutter.dtype)

    def start(self) -> Array:
        """Where the run starts."""
        return self.packing.pack(self._initial)

    def update(self, state: Any, number: int) -> tuple[Any, float]:
        """One gradient step."""
        f = self.forcing.strength(self.cutter.steps + 1, number / max(self.updates, 1))
        vector = np.asarray(state[0])
        loss, found = self.dynamics.gradient(self.packing.unpack(vector), self.cutter.cut(number, f))
        return self.rule.apply(vector, state[1], self.packing.pack(found), number), loss

    def check(self, vector: Any) -> dict[str, float]:
        """A free run against what was held out."""
        return self.judge.check(self.packing.unpack(np.asarray(vector)))
