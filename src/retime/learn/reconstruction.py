"""Reconstruct a dynamical system from a recording of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retime.analysis.reconstruction.conventions import convention_of
from retime.core.arguments import amount, is_number, seconds, seed_of, whole
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.equation import double_precision
from retime.core.quiet import one_blas_thread
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.checkpoint import Checkpoint
from retime.learn.descent import Clipped, FromOptax, Packing, RAdam
from retime.learn.dynamics import Dynamics, Setting
from retime.learn.families import Parameters
from retime.learn.fitted import FITTED, LINEAR
from retime.learn.forcing import AdaptiveForcing, Forcing, GeneralizedForcing
from retime.learn.given import ask_for_units, in_its_units, options_of, start_from
from retime.learn.judging import Judge, judged_by
from retime.learn.loop import Loop, dtype_of, ending
from retime.learn.recordings import EVEN, Recording, recording
from retime.learn.regularization import ManifoldAttractor
from retime.learn.result import Fit
from retime.learn.windows import Cutter

CHECKS = 40  # of a training, by default
ALPHA = (0.2, 0.1)  # strength of the forcing by default, first and last; what it reaches: docs/theory/learning.md


def fit(
    series: Any,
    *,
    family: str | System,
    num_states: int | None = None,
    epochs: int = 2000,
    batches: int = 50,
    batch_size: int = 16,
    sequence: int = 200,
    forcing: Forcing | AdaptiveForcing | None = None,
    regularization: ManifoldAttractor | None = None,
    observation: str = "identity",
    noise: float = 0.0,
    learning_rate: float | tuple[float, float] = (2e-3, 1e-5),
    optimizer: Any = None,
    clip: float = math.inf,
    inputs: Any = None,
    times: Any = None,
    dt: float | None = None,
    standardize: bool = True,
    missing: bool = False,
    held_out: float = 0.1,
    convention: str | None = None,
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
    the mean squared error of the observations, one step ahead, along windows from random places of the recording.

    Args:
        series: `(T, N)`, a list of such recordings, a DataFrame or DataArray, or a file (.npy, .csv with or without a header, .mat).
        family: alrnn (with `num_relu`), plrnn, shallow_plrnn (with `num_hidden`, `clipped`), dendritic_plrnn (with `num_bases`), gru; in
            continuous time continuous_plrnn (with `num_relu`, None: all units) through its exact flow, and rate_rnn (with `tau`, where its
            time constants start, `activation`, `form`) solved by Diffrax. Or a model of one of these, from whose weights the fit goes on, in
            the units of its readout; it is checked before the first update, so that it is what comes back where nothing better was found.
        num_states: n >= N; a model has its own. epochs: of `batches` updates each, with `batch_size` windows of `sequence` steps.
        forcing: `learn.SparseForcing(every)`, `learn.GeneralizedForcing(alpha)` or `learn.AdaptiveForcing()`; None: the second, (0.2, 0.1).
        regularization: `learn.ManifoldAttractor(strength, share)`, or None.
        observation: "identity", or "linear": x = B z + b is learned, and forcing moves z by the pseudoinverse of B.
        noise: standard deviation of noise added to the data that forces, in standard deviations of the data.
        learning_rate: first and last, falling exponentially. optimizer: an Optax transformation of the vector of all parameters; None for
            rectified Adam. clip: the largest norm of a gradient, to which longer ones are shortened; math.inf for any.
        inputs: external inputs, known at every sample, `(T, m)` or in the ways of `series`; row k acts from sample k to k + 1.
        times: `(T,)` or a list, model time of the samples; equally far apart but for families in continuous time. dt: instead of `times`,
            the time between two samples, 1 by default or that of a model that is given; the time of one step of the model.
        standardize: give each channel mean 0 and standard deviation 1 for training; undone in the model's readout.
        missing: NaN in `series` are values that were not recorded: neither forced nor scored, never filled in.
        held_out: share of each recording, at its end, that is not trained on and judges the free runs. every: epochs between two such checks.
            Where fewer than 32 samples at irregular times are held out, the whole recording judges.
        convention: whose bins and spectra judge, see `state_space_divergence`; None for retime's own.
        seed: of the start and of all batches. dtype: "float32" or "float64", of the training; the model has 64 bits.
        patience: checks without a better one after which to stop. time_limit: seconds of work. checkpoint, resume: as for `train`.

    Returns:
        A Fit whose `metrics` are of the longest held-out part: `state_space_divergence` and `spectral_distance` of a free run of up to
        100,000 steps (from 32 samples on), whose sum chooses; `prediction_error`, the root mean squared error `prediction_horizon` samples
        ahead in standard deviations of the data; `epoch`, the one that was kept. `history` holds them for every check.

    Raises:
        ValueError: an argument is out of range, NaN without `missing`, a constant channel, too few samples. ShapeError: other shapes.
        RetimeError: `checkpoint` belongs to another run. OSError: it, or the file, cannot be read or written.

    Source: brenner2022, hess2023, brenner2024, mikhaeil2022; docs/theory/learning.md.

    Examples:
        >>> import numpy as np, retime as rt
        >>> series = np.sin(0.1 * np.arange(400))[:, None]
        >>> found = rt.fit(series, family="plrnn", num_states=3, dt=0.1, epochs=1, batches=2)
        >>> found.model
        PLRNN(3 states, 3 ReLU units, 1 outputs, Discrete(dt=0.1))
    """
    counts = {"epochs": epochs, "batches": batches, "batch_size": batch_size, "sequence": sequence}
    _check_recipe(counts, {"every": every, "patience": patience}, forcing, regularization, held_out)
    dtype_of(dtype)
    amount("noise", noise)
    seed, limit = seed_of(seed), seconds(time_limit)
    rule = _rule(optimizer, learning_rate, clip, epochs * batches)
    given = family if isinstance(family, System) else None
    data = _recorded(series, inputs, times, dt, missing, standardize, given)
    above = None
    if given is not None and observation == "identity":
        data, above = in_its_units(given, data)
    dynamics = _dynamics(family, num_states, data, dtype, observation, options, above)
    judge = Judge(dynamics, judged_by(data.split(held_out)[1], data), _conventions(convention))
    known = data.split(held_out)[0]
    if known.shortest < 3:
        raise ValueError(f"`series` leaves {known.shortest} samples to learn from; it is too short.")
    steps = min(sequence, known.shortest - 1)
    cutter = Cutter(known, steps, batch_size, float(noise), seed, dtype)
    begun = work_seconds()
    first = None if given is None else start_from(given, dynamics, data, cutter)
    job = _Job(
        dynamics, cutter, judge, forcing or GeneralizedForcing(ALPHA), regularization, rule, epochs * batches, first
    )
    with double_precision(), one_blas_thread():
        if first is not None:
            ask_for_units(judge.prediction_error(first), judge.horizon)
        rates = f"{'optax' if optimizer is not None else repr(learning_rate)}, clip {clip!r}"
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), {**job.identity, "rates": rates})
        between = batches * (every or max(epochs // CHECKS, 1))
        loop = Loop(
            job.update, job.check, job.updates, between, patience, kept, resume, limit, f"fitting {dynamics.net.family}"
        )
        start = job.start()
        progress, status = loop.run(start, (rule.init(start), np.ones(1)))
        best = job.packing.unpack(np.asarray(progress.best))
        metrics = {k: v for k, v in judge.check(best, -math.inf).items() if k not in ("score", "loss")}
        model = judge.model(best)
    history = [{**record, "epoch": record["step"] / batches} for record in progress.history]
    chosen = min(history, key=lambda record: record["score"])["epoch"]
    message = ending(status, progress.step, job.updates)
    return Fit(model, tuple(history), {**metrics, "epoch": chosen}, status, message, work_seconds() - begun)


def _check_recipe(
    counts: dict[str, Any], optional: dict[str, Any], forcing: Any, regularization: Any, held_out: Any
) -> None:
    for name, value in (counts | {k: v for k, v in optional.items() if v is not None}).items():
        whole(name, value, 1)
    if not is_number(held_out) or not 0.0 < held_out < 1.0:
        raise ValueError(f"`held_out` is {held_out!r}; it must be a share of the recording, between 0 and 1.")
    if forcing is not None and not hasattr(forcing, "strength") and not isinstance(forcing, AdaptiveForcing):
        raise TypeError(
            f"`forcing` is {forcing!r}; it must be SparseForcing(every), GeneralizedForcing(alpha), AdaptiveForcing() or None."
        )
    if regularization is not None and not isinstance(regularization, ManifoldAttractor):
        raise TypeError(f"`regularization` is {regularization!r}; it must be ManifoldAttractor(strength) or None.")


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


def _recorded(
    series: Any, inputs: Any, times: Any, dt: Any, missing: bool, standardize: bool, given: System | None
) -> Recording:
    if times is not None and dt is not None:
        raise ValueError("`times` and `dt` were both given; the time between samples is told by one of them.")
    own = given.time.dt if given is not None and isinstance(given.time, Discrete) else None
    step = own or 1.0 if dt is None else positive("dt", dt)
    data = recording(series, missing=missing, standardize=standardize, inputs=inputs, times=times, dt=step)
    if own is not None and abs(data.dt - own) > EVEN * own:
        raise ValueError(
            f"`family` is {given!r}, whose step is {own:g}; the samples are {data.dt:g} apart. Use retime_to(model, {data.dt:g}) first."
        )
    return data


def _conventions(name: Any) -> tuple[str | None, str | None]:
    """Of D_stsp, and of D_H where the program has one."""
    found = convention_of(name, "D_stsp")
    return name, None if found is None or found.spectrum is None else name


def _dynamics(
    family: Any,
    num_states: Any,
    data: Recording,
    dtype: str,
    observation: Any,
    options: Mapping[str, Any],
    above: tuple[float, ...] | None = None,
) -> Dynamics:
    """The family with its sizes, and how its gradient is made; `above`: of a model that is given."""
    is_given = isinstance(family, System)
    if is_given:
        num_states = _states_of(family, num_states)
        family, options = family.family, options_of(family, options)
    elif num_states is None:
        raise ValueError(
            f"`num_states` is None; {family} by name needs it: the number of units, {data.num_channels} at least."
        )
    if not isinstance(family, str) or family not in FITTED:
        raise ValueError(
            f"`family` is {family!r}; recordings are fitted by one of {', '.join(FITTED)}: it must be one of them."
        )
    if not isinstance(observation, str) or observation not in ("identity", "linear"):
        raise ValueError(f'`observation` is {observation!r}; it must be "identity" (the first states) or "linear".')
    if whole("num_states", num_states, 1) < data.num_channels:
        raise ValueError(
            f"`num_states` is {num_states}; it must be at least {data.num_channels}, the channels of `series`."
        )
    if observation == "linear" and family not in LINEAR:
        raise ValueError(f'`observation` is "linear"; {family} needs "identity". Linear: {", ".join(LINEAR)}.')
    kind = (LINEAR if observation == "linear" else FITTED)[family]
    if data.num_inputs and not kind.takes_inputs:
        raise ValueError(f"`inputs` were given, but {family} takes none here. Leave them out, or take another family.")
    if kind.needs_equal_times and not data.is_even:
        raise ValueError(
            f"`times` are not equally far apart; {family} takes equal steps. Interpolate the recording, or fit a family in continuous time."
        )
    net = kind.network(family, num_states, data.num_inputs, data.num_channels, options)
    above = above if is_given or observation == "linear" else kind.above(net, data)
    return kind(Setting(net, dtype, data.dt, observation, above))


def _states_of(model: System, num_states: Any) -> int:
    if num_states not in (None, model.num_states):
        raise ValueError(
            f"`num_states` is {num_states}; `family` is a {type(model).__name__} of {model.num_states} states. Drop it."
        )
    return model.num_states


@dataclass(frozen=True)
class _Job:
    """One fit: its updates and checks, on one flat vector of parameters."""

    dynamics: Dynamics
    cutter: Cutter
    judge: Judge
    forcing: Forcing | AdaptiveForcing
    regularization: ManifoldAttractor | None
    rule: Any
    updates: int
    given: Parameters | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the run; of the data their sizes and sums."""
        numbers = ("steps", "size", "noise", "seed", "dtype")
        sums = [[len(x), float(np.abs(x).sum())] for x in (*self.cutter.data.series, *self.cutter.data.inputs)]
        own = {"network": repr(self.dynamics.setting), "forcing": repr(self.forcing), "data": sums}
        own["regularization"] = repr(self.regularization)
        if self.given is not None:
            own["start"] = {k: float(np.abs(v).sum()) for k, v in self.given.items()}
        return {**own, "updates": self.updates, **{k: getattr(self.cutter, k) for k in numbers}}

    @cached_property
    def _initial(self) -> Parameters:
        return self.given or self.dynamics.parameters(np.random.default_rng([self.cutter.seed, 0]))

    @cached_property
    def packing(self) -> Packing:
        """Places in the vector."""
        return Packing({k: np.shape(v) for k, v in self._initial.items()}, self.cutter.dtype)

    def start(self) -> Array:
        """Where the run starts.

        Raises:
            ValueError: the penalty is none of this family.
        """
        if self.regularization is not None and not self.regularization.applies(self._initial):
            family = self.dynamics.net.family
            raise ValueError(
                f"`regularization` is {self.regularization!r}; it is of families with A, W and h: {family} has none. Leave it out."
            )
        return self.packing.pack(self._initial)

    def update(self, state: Any, number: int) -> tuple[Any, float]:
        """One gradient step; the state is the vector, that of the optimizer, and alpha of an adaptive forcing."""
        vector, (rule_state, alpha) = np.asarray(state[0]), state[1]
        parameters, forcing = self.packing.unpack(vector), self.forcing
        if isinstance(forcing, AdaptiveForcing):
            if number % forcing.every == 0:
                everywhere = self.cutter.cut(number, np.ones(self.cutter.steps + 1))
                alpha = np.array([forcing.next(float(alpha[0]), self.dynamics.stretch(parameters, everywhere))])
            forcing = GeneralizedForcing(float(alpha[0]))
        windows = self.cutter.cut(number, forcing.strength(self.cutter.steps + 1, number / self.updates))
        loss, found = self.dynamics.gradient(parameters, windows)
        if self.regularization is not None:
            penalty, pull = self.regularization.gradient(parameters)
            loss, found = loss + penalty, {k: v + pull[k] if k in pull else v for k, v in found.items()}
        vector, rule_state = self.rule.apply(vector, rule_state, self.packing.pack(found), number)
        return (vector, (rule_state, alpha)), loss

    def check(self, vector: Any, best: float) -> dict[str, float]:
        """A free run against what was held out; NaN of parameters that are no numbers."""
        if not np.isfinite(np.asarray(vector)).all():
            return dict.fromkeys(("prediction_error", "loss", "score"), math.nan)
        return self.judge.check(self.packing.unpack(np.asarray(vector)), best)
