"""Families that can be trained: where their free parameters start, the step in them, and the model that they make.

A step acts on batches: z `(b, n)`, s `(b, m)`; weights are those of the family's docstring, in the column convention.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.system import System
from retime.learn.cell_families import CELLS, Build, orbit, origin
from retime.models import (
    GRU,
    LSTM,
    PLRNN,
    AlmostLinearRNN,
    DendriticPLRNN,
    LeakyRNN,
    RateRNN,
    ReluRNN,
    ShallowPLRNN,
    TanhRNN,
)

Parameters = dict[str, Any]
Step = Callable[[Parameters, Any, Any], Any]


@dataclass(frozen=True)
class Start:
    """Where recurrent weights start.

    Args:
        weights: "memory": units in one group per output, each of which excites itself (the identity on as many directions as there are
            outputs), beside small random weights; where there are as many inputs as outputs, a group reads its own input. "orthogonal":
            a random rotation. "normal": independent entries of variance 1/n. "identity".
        gain: factor of all of them.
    """

    weights: str = "memory"
    gain: float = 1.0

    def recurrent(self, rng: np.random.Generator, n: int, groups: Array) -> Array:
        """W `(n, n)`; groups `(n, p)` has a unit column of disjoint support per output."""
        normal = rng.normal(size=(n, n)) / np.sqrt(n)
        if self.weights == "memory":
            return self.gain * groups @ groups.T + 0.1 * normal
        if self.weights == "orthogonal":
            Q, R = np.linalg.qr(normal)
            return self.gain * Q * np.sign(np.diag(R))
        return self.gain * (np.eye(n) if self.weights == "identity" else normal)

    def __post_init__(self) -> None:
        known = ("memory", "orthogonal", "normal", "identity")
        if self.weights not in known:
            raise ValueError(f"`initial` is {self.weights!r}; it must be one of {', '.join(known)}.")


class Family(ABC):
    """A family: default options, start, step and model."""

    options: Mapping[str, Any] = {}

    @abstractmethod
    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        """The free parameters at the start."""

    @abstractmethod
    def step(self, net: Any) -> Step:
        """z_{k+1} of batches."""

    @abstractmethod
    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        """The network as a model."""

    def num_states(self, net: Any) -> int:
        """Length of the state, as a rule the number of units."""
        return net.n

    def origin(self, net: Any) -> Array:
        """The state that trials begin in."""
        return np.zeros(self.num_states(net))

    def orbit(self, net: Any) -> Step | None:
        """All states `(T, b, N)` after inputs `(T, b, m)` from states `(b, N)` at once, for families whose step is solved in parallel."""
        return None


def _inputs(net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Array:
    if start.weights == "memory" and net.m == net.p:
        return groups + 0.1 * rng.normal(size=(net.n, net.m))
    return rng.normal(size=(net.n, net.m)) / np.sqrt(max(net.m, 1))


class _Elman(Family):
    """TanhRNN and ReluRNN, LeakyRNN and RateRNN: W_rec, W_in, b."""

    def __init__(self, cls: Any, **options: Any) -> None:
        self.cls, self.options = cls, options

    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        W, b = start.recurrent(rng, net.n, groups), np.zeros(net.n)
        if self.cls is ReluRNN and start.weights == "memory":
            W, b = _rivals(rng, groups, start.gain)
        return {"W_rec": W, "W_in": _inputs(net, rng, start, groups), "b": b}

    def step(self, net: Any) -> Step:
        import jax

        relu, options = self.cls is ReluRNN, dict(net.options)
        f = jax.nn.relu if relu else jax.numpy.tanh
        if not options:
            return lambda p, z, s: f(z @ p["W_rec"].T + s @ p["W_in"].T + p["b"])
        leak = np.asarray(options["alpha"] if "alpha" in options else 1.0 / np.asarray(options["tau"]))
        f = _activation(options["activation"])

        def step(p: Parameters, z: Any, s: Any) -> Any:
            alpha = leak.astype(z.dtype)
            if options["form"] == "rate":
                return (1 - alpha) * z + alpha * f(z @ p["W_rec"].T + s @ p["W_in"].T + p["b"])
            return (1 - alpha) * z + alpha * (f(z) @ p["W_rec"].T + s @ p["W_in"].T + p["b"])

        return step

    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        if self.cls is RateRNN:
            common.pop("time")
        return self.cls(**own, **net.options, **common)


def _rivals(rng: np.random.Generator, groups: Array, gain: float) -> tuple[Array, Array]:
    """W and b of ReLU units, which cannot change sign: each group is two rivals, of which the one that is on keeps the other off.

    u = relu(0.8 u - v + 0.2), v = relu(0.8 v - u + 0.2) has the stable points (1, 0) and (0, 1).
    """
    n = len(groups)
    u, v = (np.maximum(x, 0.0) for x in (groups, -groups))
    parts = [(x, x / np.maximum(np.sum(x > 0, axis=0), 1)) for x in ((u > 0) * 1.0, (v > 0) * 1.0)]
    (u, mean_u), (v, mean_v) = parts
    W = 0.8 * (u @ mean_u.T + v @ mean_v.T) - (u @ mean_v.T + v @ mean_u.T)
    return gain * W + 0.1 * rng.normal(size=(n, n)) / np.sqrt(n), 0.2 * (u + v).sum(axis=1)


def _activation(name: str) -> Callable[[Any], Any]:
    import jax.numpy as jnp

    from retime.core.activation import activation

    found = activation(name, 1)
    return lambda z: found(jnp, z)


class _Gated(Family):
    """GRU and LSTM, with the forget gate open at first."""

    def __init__(self, cls: Any, gates: int) -> None:
        self.cls, self.gates = cls, gates

    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        rows, n = self.gates * net.n, net.n
        b_in = np.zeros(rows)
        if self.cls is LSTM:
            b_in[n : 2 * n] = 1.0
        gate = Start("normal", start.gain) if start.weights == "memory" else start  # gates remember by themselves
        W = np.vstack([gate.recurrent(rng, n, groups) for _ in range(self.gates)])
        W_in = rng.normal(size=(rows, net.m)) / np.sqrt(max(net.m, 1))
        return {"W_rec": W, "W_in": W_in, "b_rec": np.zeros(rows), "b_in": b_in}

    def step(self, net: Any) -> Step:
        import jax
        import jax.numpy as jnp

        n, m, rows = net.n, net.m, self.gates * net.n
        blank = net.like or self.cls(np.zeros((rows, n)), np.zeros((rows, m)), np.zeros(rows), np.zeros(rows))
        function, names = blank.equation.function, blank.equation.parameters.keys()

        def step(p: Parameters, z: Any, s: Any) -> Any:
            q = {k: p["b_rec"] + p["b_in"] if k == "b" else p[k] for k in names}
            return jax.vmap(lambda z, s: function(jnp, q, z, s))(z, s)

        return step

    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        return self.cls(**own, **common)

    def num_states(self, net: Any) -> int:
        """Of an LSTM outputs and cells."""
        return 2 * net.n if self.cls is LSTM else net.n


class _PiecewiseLinear(Family):
    """PLRNN, almost-linear and dendritic: diagonal A, W, h, C."""

    def __init__(self, cls: Any, **options: Any) -> None:
        self.cls, self.options = cls, options

    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        n, m = net.n, net.m
        A = rng.uniform(0.5, 0.9, size=n)
        W = rng.normal(size=(n, n)) / np.sqrt(n) * (0.1 if start.weights == "memory" else 1.0)
        own = {"A": A, "W": W, "h": np.zeros(n), "C": rng.normal(size=(n, m)) / np.sqrt(max(m, 1))}
        if self.cls is DendriticPLRNN:
            bases = net.options["num_bases"]
            own |= {"slopes": np.full(bases, 1.0 / bases), "thresholds": rng.normal(size=(bases, n))}
        return own

    def step(self, net: Any) -> Step:
        import jax.numpy as jnp

        n, P = net.n, net.options.get("num_relu", net.n)

        def phi(p: Parameters, z: Any) -> Any:
            if self.cls is DendriticPLRNN:
                above = jnp.maximum(z[..., None, :] - p["thresholds"], 0.0)
                return (p["slopes"][:, None] * above).sum(axis=-2)
            return z if P == 0 else jnp.concatenate([z[..., : n - P], jnp.maximum(z[..., n - P :], 0.0)], axis=-1)

        return lambda p, z, s: p["A"] * z + phi(p, z) @ p["W"].T + s @ p["C"].T + p["h"]

    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        options = {k: v for k, v in net.options.items() if k == "num_relu"}
        return self.cls(**own, **options, **common)


class _Shallow(Family):
    """ShallowPLRNN, plain or clipped."""

    options: Mapping[str, Any] = {"num_hidden": None, "clipped": True}

    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        n, m, q = net.n, net.m, net.options["num_hidden"] or 5 * net.n
        W1, W2 = rng.normal(size=(n, q)) / np.sqrt(q), rng.normal(size=(q, n)) / np.sqrt(n)
        C = rng.normal(size=(n, m)) / np.sqrt(max(m, 1))
        return {
            "A": rng.uniform(0.5, 0.9, size=n),
            "W1": W1,
            "W2": W2,
            "h1": np.zeros(n),
            "h2": rng.normal(size=q),
            "C": C,
        }

    def step(self, net: Any) -> Step:
        import jax.numpy as jnp

        def step(p: Parameters, z: Any, s: Any) -> Any:
            a = z @ p["W2"].T
            on = jnp.maximum(a + p["h2"], 0.0) - (jnp.maximum(a, 0.0) if net.options["clipped"] else 0.0)
            return p["A"] * z + on @ p["W1"].T + s @ p["C"].T + p["h1"]

        return step

    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        return ShallowPLRNN(**own, clipped=net.options["clipped"], **common)


class Cell(Family):
    """A cell from a differential equation, trained by its own equation: weights are what `System.weights` says."""

    def __init__(self, build: Build, options: Mapping[str, Any]) -> None:
        self.build, self.options = build, options

    def template(self, net: Any) -> System:
        """A cell of the sizes."""
        return self.build(np.random.default_rng(0), net.n, net.m, net.options)

    def initial(self, net: Any, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        """The weights of a cell that is drawn."""
        return dict(self.build(rng, net.n, net.m, net.options).weights)

    def step(self, net: Any) -> Step:
        """By its own equation."""
        return by_equation(self.template(net))

    def model(self, net: Any, own: Parameters, **common: Any) -> System:
        """The cell with these weights and the readout."""
        return replace(self.template(net).with_weights(own), readout=common["readout"])

    def num_states(self, net: Any) -> int:
        """That of the cell."""
        return self.template(net).num_states

    def origin(self, net: Any) -> Array:
        """0, but for a QUNN, whose vectors have norm 1."""
        return origin(self.template(net))

    def orbit(self, net: Any) -> Step | None:
        """Gates that do not read the state, and diagonal linear cells, by an associative scan."""
        return orbit(self.template(net))


def by_equation(like: Any) -> Step:
    """The step of a system as a function of its weights."""
    import jax
    import jax.numpy as jnp

    function, known = like.equation

    def step(p: Parameters, z: Any, s: Any) -> Any:
        weights = {k: v for k, v in p.items() if not k.startswith("readout_")}
        cast = jax.tree.map(lambda x: jnp.asarray(x, z.dtype), known)
        q = like.substituted(cast, weights)
        return jax.vmap(lambda z, s: function(jnp, q, z, s))(z, s).astype(z.dtype)

    return step


_LEAKY = {"activation": "tanh", "form": "current"}
FAMILIES: dict[str, Family] = {name: Cell(*cell) for name, cell in CELLS.items()} | {
    "tanh_rnn": _Elman(TanhRNN),
    "relu_rnn": _Elman(ReluRNN),
    "leaky_rnn": _Elman(LeakyRNN, alpha=0.1, **_LEAKY),
    "rate_rnn": _Elman(RateRNN, tau=10.0, **_LEAKY),
    "gru": _Gated(GRU, 3),
    "lstm": _Gated(LSTM, 4),
    "plrnn": _PiecewiseLinear(PLRNN),
    "alrnn": _PiecewiseLinear(AlmostLinearRNN, num_relu=None),
    "dendritic_plrnn": _PiecewiseLinear(DendriticPLRNN, num_bases=5),
    "shallow_plrnn": _Shallow(),
}
"""The families that can be trained, by name."""
