"""Reconstruct a dynamical system from a recording of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retime.analysis.reconstruction.divergence import state_space_divergence
from retime.analysis.reconstruction.spectral import spectral_distance
from retime.core.arguments import amount, is_number, seconds, seed_of, whole
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.equation import double_precision
from retime.core.quiet import one_blas_thread
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.adjoint import LANES, Adjoint
from retime.learn.checkpoint import Checkpoint
from retime.learn.forcing import Forcing, SparseForcing
from retime.learn.loop import Loop, dtype_of, ending
from retime.learn.networks import Network, Parameters, Start, network
from retime.learn.recordings import Recording, recording
from retime.learn.result import Fit
from retime.simulation import simulate

FAMILIES = ("alrnn", "plrnn", "shallow_plrnn", "dendritic_plrnn")
HORIZON = 10  # steps ahead of the prediction error
FREE = 10_000  # steps of a free run that is judged, at most


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
    dt: float = 1.0,
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
        family: alrnn (with `num_relu`), plrnn, shallow_plrnn (with `num_hidden`, `clipped`), dendritic_plrnn (with `num_bases`).
        num_states: n >= N. epochs: of `batches` updates each, with `batch_size` sequences of `sequence` steps.
        forcing: `learn.SparseForcing(every)`, by default every 16 steps, or `learn.GeneralizedForcing(alpha)`.
        noise: standard deviation of noise added to the data that forces, in standard deviations of the data.
        learning_rate: first and last, falling exponentially. optimizer: an Optax transformation; None for RAdam.
        dt: time between two samples, model time; the time of one step of the model.
        standardize: give each channel mean 0 and standard deviation 1 for training; undone in the model's readout.
        missing: NaN in `series` are values that were not recorded: neither forced nor scored, never filled in.
        held_out: share of each recording, at its end, that is not trained on and judges the free runs. every: epochs between two such checks.
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
    if family not in FAMILIES:
        raise ValueError(
            f"`family` is {family!r}; recordings are fitted by one of {', '.join(FAMILIES)}: it must be one of them."
        )
    counts = {"epochs": epochs, "batches": batches, "batch_size": batch_size, "sequence": sequence}
    _check_counts(counts, {"every": every, "patience": patience})
    dtype_of(dtype)
    if not is_number(held_out) or not 0.0 < held_out < 1.0:
        raise ValueError(f"`held_out` is {held_out!r}; it must be a share of the recording, between 0 and 1.")
    if forcing is not None and not hasattr(forcing, "strength"):
        raise TypeError(
            f"`forcing` is {forcing!r}; it must be SparseForcing(every), GeneralizedForcing(alpha) or None."
        )
    pair = (
        learning_rate if isinstance(learning_rate, (tuple, list)) and len(learning_rate) == 2 else (learning_rate,) * 2
    )
    rates = tuple(positive("learning_rate", x, "per update, or two of them: first and last") for x in pair)
    amount("noise", noise)
    seed, limit, dt = seed_of(seed), seconds(time_limit), positive("dt", dt)
    data = recording(series, missing=missing, standardize=standardize)
    if whole("num_states", num_states, 1) < data.num_channels:
        raise ValueError(
            f"`num_states` is {num_states}; it must be at least {data.num_channels}, the channels of `series`."
        )
    net = network(family, num_states, 0, data.num_channels, options)
    known, judged = data.split(held_out)
    if known.shortest < 3:
        raise ValueError(f"`series` leaves {known.shortest} samples to learn from; it is too short.")
    forcing = SparseForcing() if forcing is None else forcing
    updates = epochs * batches
    steps = min(sequence, known.shortest - 1)
    job = _Job(known, judged, net, forcing, steps, batch_size, noise, rates, optimizer, updates, seed, dtype, dt)
    begun = work_seconds()
    with double_precision(), one_blas_thread():
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), job.identity)
        step = batches * (every or max(epochs // 40, 1))
        loop = Loop(job.update, job.check, updates, step, patience, kept, resume, limit, f"fitting {family}")
        parameters = job.parameters()
        progress, status = loop.run(parameters, job.rule.init(parameters))
        metrics = job.check(progress.best)
        model = job.model(progress.best)
    metrics = {k: v for k, v in metrics.items() if k not in ("score", "loss")}
    return Fit(
        model,
        tuple(progress.history),
        metrics,
        status,
        ending(status, progress.step, updates),
        work_seconds() - begun,
    )


def _check_counts(counts: dict[str, Any], optional: dict[str, Any]) -> None:
    for name, value in (counts | {k: v for k, v in optional.items() if v is not None}).items():
        whole(name, value, 1)


@dataclass(frozen=True)
class _Job:
    """One fit: its batches, updates and checks."""

    data: Recording
    judged: Recording
    net: Network
    forcing: Forcing
    sequence: int
    batch_size: int
    noise: float
    rates: tuple[float, ...]
    optimizer: Any
    updates: int
    seed: int
    dtype: str
    dt: float

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the run; of the data their sizes and sums."""
        numbers = ("sequence", "batch_size", "noise", "updates", "seed", "dtype")
        sums = [[len(x), float(np.abs(x).sum())] for x in self.data.series]
        own = {"network": repr(self.net), "forcing": repr(self.forcing), "rates": list(self.rates), "data": sums}
        return {**own, "optimizer": self.optimizer is None, **{k: getattr(self, k) for k in numbers}}

    @cached_property
    def rule(self) -> Any:
        """The Optax transformation."""
        import optax

        first, last = self.rates
        schedule = optax.exponential_decay(first, max(self.updates, 1), last / first)
        return optax.radam(schedule) if self.optimizer is None else self.optimizer

    def parameters(self) -> Parameters:
        """Where the run starts: the readout is fixed, the hidden states start at L x_0."""
        import jax.numpy as jnp

        rng = np.random.default_rng([self.seed, 0])
        own = self.net.initial(rng, Start("memory"))
        kept = {k: v for k, v in own.items() if not k.startswith("readout") and k != "C"}
        hidden, N = self.net.n - self.net.p, self.net.p
        kept["lift"] = rng.normal(size=(hidden, N)) * 0.1
        return {k: jnp.asarray(v, self.dtype) for k, v in kept.items()}

    def batch(self, number: int) -> tuple[Array, Array, Array]:
        """Data `(N, T + 1, b)` that force, the same without noise, and weights of their squared errors (sum 1)."""
        rng = np.random.default_rng([self.seed, 1, number])
        T, ends = self.sequence, np.cumsum([len(x) - self.sequence for x in self.data.series])
        place = rng.integers(0, ends[-1], size=self.batch_size)
        which = np.searchsorted(ends, place, side="right")
        start = place - np.concatenate([[0], ends])[which]
        parts = [
            (self._by_channel[k][:, a : a + T + 1], self._known[k][:, a : a + T + 1])
            for k, a in zip(which, start, strict=True)
        ]
        x, weight = np.stack([p[0] for p in parts], axis=2), np.stack([p[1] for p in parts], axis=2)
        forced = (
            x + np.asarray(self.noise, self.dtype) * rng.standard_normal(x.shape, dtype=np.dtype(self.dtype).type)
            if self.noise
            else x
        )
        return forced, x, weight / max(float(weight[:, 1:].sum()), 1.0)

    @cached_property
    def _by_channel(self) -> list[Array]:
        return [np.ascontiguousarray(x.T, dtype=self.dtype) for x in self.data.series]

    @cached_property
    def _known(self) -> list[Array]:
        return [np.ascontiguousarray(k.T, dtype=self.dtype) for k in self.data.known]

    def update(self, state: Any, number: int) -> tuple[Any, Any]:
        """One gradient step."""
        forced, x, weight = self.batch(number)
        f = self.forcing.strength(self.sequence + 1, number / max(self.updates, 1)).astype(self.dtype)
        strength = np.where(weight > 0, f[None, :, None], f.dtype.type(0))
        if not self._by_hand:
            return self._compiled(state, forced, x, strength, weight)
        p, rule_state = state
        loss, gradient = self._gradient({k: np.asarray(v) for k, v in p.items()}, forced, x, strength, weight)
        return self._applied(p, rule_state, gradient), loss

    @property
    def _by_hand(self) -> bool:
        return self.net.family in ("alrnn", "plrnn")

    @cached_property
    def _room(self) -> Adjoint:
        P = self.net.options.get("num_relu", self.net.n)
        return Adjoint(self.net.n, P, self.net.p, self.sequence, np.dtype(self.dtype))

    def _gradient(
        self, p: Parameters, forced: Array, x: Array, strength: Array, weight: Array
    ) -> tuple[float, Parameters]:
        """Of sixteen sequences at a time; what is missing to sixteen has no weight."""
        total, sums = 0.0, {k: np.zeros_like(v) for k, v in p.items()}
        for first in range(0, self.batch_size, LANES):
            spare = max(first + LANES - self.batch_size, 0)
            lanes = [_sixteen(a[:, :, first : first + LANES], spare) for a in (forced, x, strength, weight)]
            z0 = np.concatenate([lanes[0][:, 0], p["lift"] @ lanes[0][:, 0]])
            loss, dA, dW, dh, dz0 = self._room.gradient(
                p["A"], p["W"], p["h"], z0, lanes[0], lanes[1], lanes[2], lanes[3]
            )
            total += loss
            for name, part in (("A", dA), ("W", dW), ("h", dh), ("lift", dz0[self.net.p :] @ lanes[0][:, 0].T)):
                sums[name] += part
        return total, sums

    @cached_property
    def _applied(self) -> Any:
        import jax
        import optax

        def apply(p: Parameters, rule_state: Any, gradient: Parameters) -> Any:
            change, rule_state = self.rule.update(gradient, rule_state, p)
            return optax.apply_updates(p, change), rule_state

        return jax.jit(apply)

    @cached_property
    def _compiled(self) -> Any:
        import jax
        import jax.numpy as jnp

        N, step = self.net.p, self.net.step

        def loss(p: Parameters, forced: Any, x: Any, strength: Any, weight: Any) -> Any:
            q = {**p, "C": jnp.zeros((self.net.n, 0), forced.dtype)}
            no_input = jnp.zeros((forced.shape[2], 0), forced.dtype)

            def go(z: Any, at: Any) -> Any:
                given, f, wanted, w = at
                seen = z[:, :N] + f * (given - z[:, :N])
                z = step(q, jnp.concatenate([seen, z[:, N:]], axis=1), no_input)
                return z, (w * (z[:, :N] - wanted) ** 2).sum()

            first = forced[:, 0].T
            z0 = jnp.concatenate([first, first @ p["lift"].T], axis=1)
            rows = [a.transpose(1, 2, 0) for a in (forced, strength, x, weight)]
            return jax.lax.scan(go, z0, (rows[0][:-1], rows[1][:-1], rows[2][1:], rows[3][1:]))[1].sum()

        def update(state: Any, *batch: Any) -> Any:
            value, gradient = jax.value_and_grad(loss)(state[0], *batch)
            return self._applied(state[0], state[1], gradient), value

        return jax.jit(update)

    def model(self, parameters: Parameters) -> System:
        """In the units of the data."""
        N, n = self.net.p, self.net.n
        own = {k: np.asarray(v, dtype=np.float64) for k, v in parameters.items() if k != "lift"}
        B = np.hstack([np.diag(self.data.std), np.zeros((N, n - N))])
        return self.net.model(
            {**own, "C": np.zeros((n, 0)), "readout_B": B, "readout_b": self.data.mean}, Discrete(self.dt)
        )

    def check(self, parameters: Parameters) -> dict[str, float]:
        """A free run against the held-out part; `score` is the sum of both distances, infinite for a run that left or came to rest."""
        lift, model = np.asarray(parameters["lift"], dtype=np.float64), self.model(parameters)
        longest = max(range(len(self.judged.series)), key=lambda k: len(self.judged.series[k]))
        x = self.judged.series[longest]
        real = x[self.judged.known[longest].all(axis=1)] * self.data.std + self.data.mean
        z0 = np.concatenate([x[0], lift @ x[0]])
        steps = min(len(real), FREE)
        run = simulate(model, z0, steps=2 * steps)
        found = {"prediction_error": self._prediction_error(model, x, lift), "loss": math.nan}
        found["loss"] = found["prediction_error"]
        outputs = np.asarray(run.outputs)[-steps:]
        rests = (
            run.status != "completed"
            or not np.isfinite(outputs).all()
            or (outputs.std(axis=0) <= 1e-6 * self.data.std).all()
        )
        if rests or len(real) < 32:
            return {
                **found,
                "state_space_divergence": math.inf,
                "spectral_distance": 1.0,
                "score": 1e6 + min(found["loss"], 1e6),
            }
        D, H = float(state_space_divergence(real, outputs)), float(spectral_distance(real, outputs))
        D = D if math.isfinite(D) else 1e3
        return {**found, "state_space_divergence": D, "spectral_distance": H, "score": D + H}

    def _prediction_error(self, model: System, x: Array, lift: Array) -> float:
        """Root mean square, `HORIZON` steps ahead of states that were forced for as many, in standard deviations of the data."""
        starts = np.arange(0, len(x) - 2 * HORIZON - 1, max(len(x) // 200, 1))
        if len(starts) == 0:
            return math.nan
        z, N = np.hstack([x[starts], x[starts] @ lift.T]), self.net.p
        for k in range(HORIZON):
            z[:, :N] = x[starts + k]
            z = model.step(z)
        for _ in range(HORIZON):
            z = model.step(z)
        with np.errstate(all="ignore"):
            return float(np.sqrt(np.mean((z[:, :N] - x[starts + 2 * HORIZON]) ** 2)))


def _sixteen(a: Array, spare: int) -> Array:
    return np.ascontiguousarray(np.pad(a, ((0, 0), (0, 0), (0, spare))) if spare else a)
