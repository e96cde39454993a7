"""Train a recurrent network on a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arguments import amount, seconds, seed_of, whole
from retime.core.arrays import Array, positive, real_array
from retime.core.clock import work_seconds
from retime.core.equation import double_precision
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.checkpoint import Checkpoint
from retime.learn.constraints import Constraint
from retime.learn.descent import shortened
from retime.learn.families import Parameters, Start
from retime.learn.loop import Loop, dtype_of, ending
from retime.learn.networks import Network, network
from retime.learn.result import Fit
from retime.learn.tasks import Task

HELD_OUT = 2**31  # seeds of held-out trials begin here


def train(
    task: Task,
    *,
    family: Any = "tanh_rnn",
    num_states: int | None = None,
    updates: int = 1000,
    batch_size: int = 64,
    seed: int | None = 0,
    optimizer: Any = None,
    learning_rate: Any = None,
    clip: float = 1.0,
    initial: str = "memory",
    gain: float = 1.0,
    signs: Any = None,
    constraint: Any = None,
    state_noise: float = 0.0,
    weight_decay: float = 0.0,
    rate_penalty: float = 0.0,
    dtype: str = "float32",
    held_out: int = 256,
    every: int = 50,
    patience: int | None = None,
    time_limit: float | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **options: Any,
) -> Fit:
    """Train a network by gradients through time on trials that are made on the fly.

    The loss is the mean squared error of the outputs x = B z + b where the targets count, from the state 0:

    L = sum mask (x - target)^2 / sum mask + weight_decay sum W_rec^2 + rate_penalty mean z^2

    Args:
        task: a task of `retime.learn`, or any object with `batch(num, seed)`, `num_inputs` and `num_outputs`.
        family: tanh_rnn, relu_rnn, leaky_rnn, rate_rnn, gru, lstm, plrnn, alrnn, shallow_plrnn, dendritic_plrnn. A RateRNN is trained as
            what Euler's method makes of it, with a step of 1 (`tau`, in steps). Or a model, whose training goes on from its weights: of these
            families, or of any whose `equation` computes from arrays that are its fields.
        num_states: units, 100 by default; a model has its own.
        updates: gradient steps. batch_size: trials of each. seed: of the start and of all trials.
        optimizer: an Optax transformation; None for Adam with `learning_rate`, the gradient's norm clipped at `clip`.
        learning_rate: a number or an Optax schedule; None for 3e-4, and 1e-3 of the gated families.
        initial: "memory", "orthogonal", "normal" or "identity" recurrent weights, times `gain`; see `learn.Start`.
        signs: `(n,)` of +1 and -1: all weights *from* a unit keep its sign (Dale's law); Elman and rate families.
        constraint: `learn.Antisymmetric`, `learn.SpectralNorm`, `learn.LogNorm` or `learn.StableStep`: holds at the end to rounding, with
            `Fit.certificate` to show it.
        state_noise: standard deviation of noise added to the state at every step of training.
        weight_decay, rate_penalty: as above.
        dtype: "float32" or "float64", of the training; the model has 64 bits.
        held_out: trials, never trained on, on which the network is judged every `every` updates; the best one is returned.
        patience: checks without a better one after which training stops; None for never.
        time_limit: seconds of work; None for no limit.
        checkpoint: file where the state of the run is kept. resume: go on from it, bit for bit as if it had not been interrupted.
        options: of the family: `num_relu`, `num_hidden`, `num_bases`, `clipped`, `alpha`, `tau`, `activation`, `form`.

    Raises:
        ValueError: an argument is out of range. ShapeError: the task's arrays disagree. RetimeError: `checkpoint` belongs to another run.
        OSError: it cannot be written. MissingDependencyError: JAX or Optax is not installed.

    Source: jarne2020, pascanu2013.

    Examples:
        >>> import retime as rt
        >>> task = rt.learn.FlipFlop(num_bits=1, steps=60, pulse=5, delay=5, gap=(5, 15))
        >>> found = rt.train(task, family="tanh_rnn", num_states=4, updates=2)
        >>> found.model
        TanhRNN(4 states, 1 inputs, 1 outputs, Discrete(dt=1.0))
    """
    if not hasattr(task, "batch"):
        raise TypeError(
            f"`task` is {type(task).__name__}; train takes a task of `retime.learn`, or an object with `batch(num, seed)`."
        )
    counts = {"updates": updates, "batch_size": batch_size, "held_out": held_out, "every": every}
    for name, value in (counts if patience is None else counts | {"patience": patience}).items():
        whole(name, value, 1)
    dtype_of(dtype)
    rate = {} if callable(learning_rate) or learning_rate is None else {"learning_rate": learning_rate}
    for name, value in {**rate, "clip": clip, "gain": gain}.items():
        positive(name, value, "see the docstring")
    for name, value in {"state_noise": state_noise, "weight_decay": weight_decay, "rate_penalty": rate_penalty}.items():
        amount(name, value)
    seed, limit = seed_of(seed), seconds(time_limit)
    net = network(family, _units(family, num_states), task.num_inputs, task.num_outputs, options)
    job = _Job(task, net, Start(initial, gain), batch_size, seed, dtype, optimizer, _rate(learning_rate, net), clip, _signs(signs, net),
               float(state_noise), float(weight_decay), float(rate_penalty), held_out, _constraint(constraint, net, signs))  # fmt: skip
    begun = work_seconds()
    with double_precision():
        kept = None if checkpoint is None else Checkpoint(Path(checkpoint), job.identity)
        loop = Loop(job.update, job.check, updates, every, patience, kept, resume, limit, f"training {net.family}")
        parameters = job.parameters()
        progress, status = loop.run(parameters, job.rule.init(parameters))
        metrics = job.check(progress.best)
        model, first = job.model(progress.best), job.model(parameters)
    metrics.pop("score")
    return Fit(
        model,
        tuple(progress.history),
        metrics,
        status,
        ending(status, progress.step, updates),
        work_seconds() - begun,
        first,
        None if constraint is None else constraint.certificate(model),
    )


def _constraint(constraint: Any, net: Network, signs: Any) -> Constraint | None:
    if constraint is None:
        return None
    if not isinstance(constraint, Constraint):
        raise TypeError(f"`constraint` is {constraint!r}; it must be one of `retime.learn`, such as SpectralNorm(0.9).")
    if signs is not None:
        raise ValueError("`constraint` and `signs` are both given; weights follow one of them.")
    constraint.check(net.initial(np.random.default_rng(0), Start()))
    return constraint


def _rate(learning_rate: Any, net: Network) -> Any:
    gated = net.family in ("gru", "lstm")
    return learning_rate if learning_rate is not None else 1e-3 if gated else 3e-4


def _units(family: Any, num_states: int | None) -> int:
    if not isinstance(family, System):
        return 100 if num_states is None else num_states
    if num_states not in (None, family.num_states):
        raise ValueError(
            f"`num_states` is {num_states}; `family` is a {type(family).__name__} of {family.num_states} states. Drop it."
        )
    return family.num_states


def _signs(signs: Any, net: Network) -> Array | None:
    if signs is None:
        return None
    found = real_array("signs", signs)
    if found.shape != (net.n,) or not np.isin(found, (-1.0, 1.0)).all():
        raise ValueError(f"`signs` has shape {found.shape}; it must be {net.n} numbers +1 or -1, one per unit.")
    if net.family not in ("tanh_rnn", "relu_rnn", "leaky_rnn", "rate_rnn"):
        raise ValueError(f"`signs` are for Elman and rate networks; `family` is {net.family!r}.")
    return found


@dataclass(frozen=True)
class _Job:
    """One training: its loss, its updates, its checks."""

    task: Task
    net: Network
    start: Start
    batch_size: int
    seed: int
    dtype: str
    optimizer: Any
    learning_rate: Any
    clip: float
    signs: Array | None
    state_noise: float
    weight_decay: float
    rate_penalty: float
    held_out: int
    constraint: Constraint | None = None

    def constrained(self, parameters: Parameters) -> Parameters:
        """The parameters that satisfy the constraint, of free ones."""
        import jax.numpy as jnp

        return parameters if self.constraint is None else self.constraint.apply(jnp, parameters)

    def model(self, parameters: Parameters) -> System:
        """The network as a model, in 64 bits, in which the constraint holds to rounding."""
        wide = {k: np.asarray(v, dtype=np.float64) for k, v in parameters.items()}
        found = self.net.model({k: np.asarray(v) for k, v in self.constrained(wide).items()}, Discrete(1.0))
        return found if self.constraint is None else self.constraint.cut(found)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the run."""
        numbers = (
            "batch_size",
            "seed",
            "dtype",
            "clip",
            "state_noise",
            "weight_decay",
            "rate_penalty",
            "held_out",
        )
        signs = None if self.signs is None else self.signs.tolist()
        own = {"task": repr(self.task), "network": repr(self.net), "start": repr(self.start), "signs": signs}
        if self.constraint is not None:
            own["constraint"] = repr(self.constraint)
        if self.net.like is not None:
            own["weights"] = [float(np.abs(v).sum()) for v in self.parameters().values()]
        rate = "a schedule" if callable(self.learning_rate) else self.learning_rate
        return {
            **own,
            "optimizer": self.optimizer is None,
            **{k: getattr(self, k) for k in numbers},
            "learning_rate": rate,
        }

    @cached_property
    def rule(self) -> Any:
        """The Optax transformation."""
        import optax

        if self.optimizer is not None:
            return self.optimizer
        return optax.chain(shortened(self.clip), optax.adam(self.learning_rate))

    def parameters(self) -> Parameters:
        """Where the run starts."""
        import jax.numpy as jnp

        found = self.net.initial(np.random.default_rng([self.seed, 0]), self.start)
        if self.signs is not None:
            found["W_rec"] = np.abs(found["W_rec"]) * self.signs
        return {k: jnp.asarray(v, self.dtype) for k, v in found.items()}

    def trials(self, num: int, seed: Any) -> tuple[Any, Any, Any]:
        """Inputs and targets with time first, and the mask `(T, b, 1)` or `(T, b, p)`."""
        s, x, mask = (np.asarray(a) for a in self.task.batch(num, seed))
        if (
            s.ndim != 3
            or x.shape != (*s.shape[:2], self.net.p)
            or s.shape[2] != self.net.m
            or mask.shape[:2] != s.shape[:2]
        ):
            raise ShapeError(
                f"a batch of `task` has inputs {s.shape}, targets {x.shape}, mask {mask.shape}; they must be (b, T, {self.net.m}), "
                f"(b, T, {self.net.p}), and (b, T) or (b, T, {self.net.p})."
            )
        weights = mask[:, :, None] if mask.ndim == 2 else mask
        return tuple(a.swapaxes(0, 1).astype(self.dtype) for a in (s, x, weights))  # type: ignore[return-value]

    def update(self, state: Any, number: int) -> tuple[Any, Any]:
        """One gradient step."""
        return self._compiled[0](state, self.trials(self.batch_size, [self.seed, 1, number]), number)

    def check(self, parameters: Parameters, _: float = 0.0) -> dict[str, float]:
        """Loss and accuracies on the held-out trials; `score` decides which network is the best."""
        found = {k: float(v) for k, v in self._compiled[1](parameters, self._held_out).items()}
        return {**found, "score": found["loss"]}

    @cached_property
    def _held_out(self) -> Any:
        return self.trials(self.held_out, [self.seed, 2, HELD_OUT])

    @cached_property
    def _compiled(self) -> tuple[Any, Any]:
        import jax
        import jax.numpy as jnp
        import optax

        net, step, parallel, bound = self.net, self.net.step, self.net.orbit, self.constrained

        def run(p: Parameters, s: Any, noise: Any) -> Any:
            def go(z: Any, at: Any) -> Any:
                z = step(p, z, at[0])
                z = z if noise is None else z + at[1]
                return z, z

            z0 = jnp.broadcast_to(jnp.asarray(net.origin, s.dtype), (s.shape[1], net.num_states))
            return parallel(p, z0, s) if parallel and noise is None else jax.lax.scan(go, z0, (s, noise))[1]

        def error(p: Parameters, z: Any, x: Any, mask: Any) -> Any:
            weights = jnp.broadcast_to(mask, x.shape)
            return (weights * (net.outputs(p, z) - x) ** 2).sum() / jnp.maximum(weights.sum(), 1e-30)

        def loss(p: Parameters, trials: Any, number: Any) -> Any:
            s, x, mask = trials
            p, noise = bound(p), None
            if self.state_noise:
                key = jax.random.fold_in(jax.random.key(self.seed), number)
                noise = self.state_noise * jax.random.normal(key, (*s.shape[:2], net.num_states), s.dtype)
            z = run(p, s, noise)
            found = error(p, z, x, mask)
            if self.weight_decay:
                found += self.weight_decay * sum((p[k] ** 2).sum() for k in ("W_rec", "W", "W1", "W2") if k in p)
            return found + self.rate_penalty * (z**2).mean() if self.rate_penalty else found

        def update(state: Any, trials: Any, number: Any) -> Any:
            rule_state: Any
            p: Any
            p, rule_state = state
            value, gradient = jax.value_and_grad(loss)(p, trials, number)
            change, rule_state = self.rule.update(gradient, rule_state, p)
            p = optax.apply_updates(p, change)
            if self.signs is not None:
                signs = jnp.asarray(self.signs, p["W_rec"].dtype)
                p = {**p, "W_rec": jnp.maximum(p["W_rec"] * signs, 0.0) * signs}
            return (p, rule_state), value

        def check(p: Parameters, trials: Any) -> Any:
            s, x, mask = trials
            p = bound(p)
            z = run(p, s, None)
            y, weights = net.outputs(p, z), jnp.broadcast_to(mask, x.shape)
            counted = (weights > 0) & (jnp.abs(x) > 0.5)
            right = (counted & (jnp.sign(y) == jnp.sign(x))).sum() / jnp.maximum(counted.sum(), 1)
            return {"loss": error(p, z, x, mask), "sign_accuracy": right}

        return jax.jit(update), jax.jit(check)
