"""Families that can be trained: their free parameters, where these start, the step in them, and the model that they make.

A step acts on batches: z `(b, n)`, s `(b, m)`; weights are those of the family's docstring, in the column convention.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from retime.core.arguments import whole
from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.core.system import SmoothSystem, System
from retime.core.time import Continuous
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


@dataclass(frozen=True)
class Network:
    """A family with its sizes.

    Args:
        family: its name, as in `load(family=...)`. n, m, p: states, inputs, outputs.
        options: `num_relu`, `num_hidden`, `num_bases`, `clipped`, `alpha`, `tau`, `activation`, `form`, as the family has them.
        like: a model of the family, whose weights are where it starts and whose other fields stay; None for new weights.
    """

    family: str
    n: int
    m: int
    p: int
    options: Mapping[str, Any] = field(default_factory=dict)
    like: System | None = None

    def initial(self, rng: np.random.Generator, start: Start) -> Parameters:
        """The free parameters, and the readout B `(p, n)`, b `(p,)`: those of `like` where there is one."""
        given = {} if self.like is None else _weights(self.like)
        n, p = self.n, self.p
        groups = np.zeros((n, p))
        groups[np.arange(n), np.arange(n) % p] = rng.choice([-1.0, 1.0], size=n)
        groups /= np.maximum(np.linalg.norm(groups, axis=0), 1e-300)
        own = given or _FAMILIES[self.family].initial(self, rng, start, groups)
        size = np.sqrt(p / n)
        remembers = start.weights == "memory"
        B = 1.2 * size * groups.T if remembers else rng.normal(size=(p, n)) * size
        if self.family == "lstm":
            B = np.hstack([B, np.zeros((p, n))])
        return {"readout_B": B, "readout_b": np.zeros(p), **own}

    @property
    def num_states(self) -> int:
        """Length of the state."""
        return 2 * self.n if self.family == "lstm" else self.n

    @property
    def step(self) -> Step:
        """z_{k+1} of batches."""
        return _FAMILIES[self.family].step(self) if self.family in _FAMILIES else _by_equation(self.like)

    def model(self, parameters: Parameters, time: Any) -> System:
        """The network as a model, in 64 bits."""
        own = {k: np.asarray(v, dtype=np.float64) for k, v in parameters.items()}
        readout = own.pop("readout_B"), own.pop("readout_b")
        if self.like is not None:
            return replace(self.like, **own, readout=readout)
        return _FAMILIES[self.family].model(self, own, readout=readout, time=time)

    def outputs(self, parameters: Parameters, z: Any) -> Any:
        """x = B z + b of states `(..., n)`."""
        return z @ parameters["readout_B"].T + parameters["readout_b"]


def network(family: Any, num_states: int, m: int, p: int, options: Mapping[str, Any]) -> Network:
    """The family by name, or a model whose training goes on, with checked options.

    Raises:
        ValueError: an unknown family, an option that it does not take, or one that it needs. ShapeError: a model of other sizes than the task.
        TypeError: a model that cannot be trained.
    """
    if isinstance(family, System):
        return _network_like(family, m, p, options)
    if not isinstance(family, str) or family not in _FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(_FAMILIES))}.")
    known = _FAMILIES[family].options
    given = {k: v for k, v in options.items() if v is not None}
    if unknown := sorted(set(given) - set(known)):
        takes = ", ".join(f"`{k}`" for k in known) or "none"
        raise ValueError(f"`{unknown[0]}` is not an option of {family}; it takes {takes}.")
    whole("num_states", num_states, 1)
    P = given.get("num_relu")
    if P is not None and (isinstance(P, bool) or not isinstance(P, (int, np.integer)) or not 0 <= P <= num_states):
        raise ValueError(f"`num_relu` is {P!r}; it must be a whole number from 0 to {num_states}, the number of units.")
    if family == "alrnn" and P is None:
        raise ValueError(
            f"alrnn needs `num_relu`, a whole number from 0 to {num_states}: how many units pass the ReLU."
        )
    return Network(family, int(num_states), m, p, {**known, **given})


def _network_like(model: System, m: int, p: int, options: Mapping[str, Any]) -> Network:
    name = type(model).__name__
    if given := [k for k, v in options.items() if v is not None]:
        raise ValueError(f"`{given[0]}` is an option of a family by name; the {name} that is given has its own.")
    if model.num_inputs != m:
        raise ShapeError(f"`family` is a {name} of {model.num_inputs} inputs; the task has {m}.")
    linear = model.readout is None or model.readout.is_linear
    if not linear or model.num_outputs not in (0, p):
        raise ShapeError(f"`family` is a {name} with {model.readout!r}; the task has {p} outputs, x = B z + b.")
    _weights(model)
    known = _FAMILIES[model.family].options if model.family in _FAMILIES else {}
    n = model.num_states // 2 if model.family == "lstm" else model.num_states
    return Network(model.family, n, m, p, {k: getattr(model, k) for k in known if hasattr(model, k)}, model)


def _weights(model: System) -> Parameters:
    """The weights of a model that are trained, by the names of its fields.

    Raises:
        TypeError: it is a flow (but for a RateRNN, trained as its Euler step), or what its equation computes from are not its fields.
    """
    name, own = type(model).__name__, {f.name for f in fields(model)}
    if isinstance(model.time, Continuous) and not isinstance(model, RateRNN):
        raise TypeError(f"`family` is a {name} in continuous time; train takes maps, and a RateRNN by its Euler step.")
    if model.family in _FAMILIES:
        names = [
            k for k in ("W_rec", "W_in", "b", "b_rec", "b_in", "A", "W", "h", "W1", "W2", "h1", "h2", "C") if k in own
        ]
        names += [k for k in ("slopes", "thresholds") if k in own]
    else:
        names = list(model.equation.parameters) if isinstance(model, SmoothSystem) else []
    found = {k: getattr(model, k, None) for k in names}
    if "A" in found:
        A = np.asarray(found["A"])
        diagonal = np.diag(A)
        if np.any(np.diag(diagonal) != A):
            raise TypeError(f"`A` of the {name} is not diagonal; train takes a diagonal A.")
        found["A"] = diagonal
    if not found or not all(isinstance(v, np.ndarray) for v in found.values()):
        raise TypeError(
            f"`family` is {model!r}, which has no weights to train: its equation must compute from arrays that are its fields."
        )
    if model.readout is not None:
        found |= {"readout_B": model.readout.B, "readout_b": model.readout.b}
    return found


def _by_equation(like: Any) -> Step:
    import jax
    import jax.numpy as jnp

    function = like.equation.function
    return lambda p, z, s: jax.vmap(lambda z, s: function(jnp, p, z, s))(z, s)


class _Family(ABC):
    """A family: default options, start, step and model."""

    options: Mapping[str, Any] = {}

    @abstractmethod
    def initial(self, net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        """The free parameters at the start."""

    @abstractmethod
    def step(self, net: Network) -> Step:
        """z_{k+1} of batches."""

    @abstractmethod
    def model(self, net: Network, own: Parameters, **common: Any) -> System:
        """The network as a model."""


def _inputs(net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Array:
    if start.weights == "memory" and net.m == net.p:
        return groups + 0.1 * rng.normal(size=(net.n, net.m))
    return rng.normal(size=(net.n, net.m)) / np.sqrt(max(net.m, 1))


class _Elman(_Family):
    """TanhRNN and ReluRNN, LeakyRNN and RateRNN: W_rec, W_in, b."""

    def __init__(self, cls: Any, **options: Any) -> None:
        self.cls, self.options = cls, options

    def initial(self, net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        W, b = start.recurrent(rng, net.n, groups), np.zeros(net.n)
        if self.cls is ReluRNN and start.weights == "memory":
            W, b = _rivals(rng, groups, start.gain)
        return {"W_rec": W, "W_in": _inputs(net, rng, start, groups), "b": b}

    def step(self, net: Network) -> Step:
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

    def model(self, net: Network, own: Parameters, **common: Any) -> System:
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


class _Gated(_Family):
    """GRU and LSTM, with the forget gate open at first."""

    def __init__(self, cls: Any, gates: int) -> None:
        self.cls, self.gates = cls, gates

    def initial(self, net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        rows, n = self.gates * net.n, net.n
        b_in = np.zeros(rows)
        if self.cls is LSTM:
            b_in[n : 2 * n] = 1.0
        gate = Start("normal", start.gain) if start.weights == "memory" else start  # gates remember by themselves
        W = np.vstack([gate.recurrent(rng, n, groups) for _ in range(self.gates)])
        W_in = rng.normal(size=(rows, net.m)) / np.sqrt(max(net.m, 1))
        return {"W_rec": W, "W_in": W_in, "b_rec": np.zeros(rows), "b_in": b_in}

    def step(self, net: Network) -> Step:
        import jax
        import jax.numpy as jnp

        n, m, rows = net.n, net.m, self.gates * net.n
        blank = net.like or self.cls(np.zeros((rows, n)), np.zeros((rows, m)), np.zeros(rows), np.zeros(rows))
        function, names = blank.equation.function, blank.equation.parameters.keys()

        def step(p: Parameters, z: Any, s: Any) -> Any:
            q = {k: p["b_rec"] + p["b_in"] if k == "b" else p[k] for k in names}
            return jax.vmap(lambda z, s: function(jnp, q, z, s))(z, s)

        return step

    def model(self, net: Network, own: Parameters, **common: Any) -> System:
        return self.cls(**own, **common)


class _PiecewiseLinear(_Family):
    """PLRNN, almost-linear and dendritic: diagonal A, W, h, C."""

    def __init__(self, cls: Any, **options: Any) -> None:
        self.cls, self.options = cls, options

    def initial(self, net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
        n, m = net.n, net.m
        A = rng.uniform(0.5, 0.9, size=n)
        W = rng.normal(size=(n, n)) / np.sqrt(n) * (0.1 if start.weights == "memory" else 1.0)
        own = {"A": A, "W": W, "h": np.zeros(n), "C": rng.normal(size=(n, m)) / np.sqrt(max(m, 1))}
        if self.cls is DendriticPLRNN:
            bases = net.options["num_bases"]
            own |= {"slopes": np.full(bases, 1.0 / bases), "thresholds": rng.normal(size=(bases, n))}
        return own

    def step(self, net: Network) -> Step:
        import jax.numpy as jnp

        n, P = net.n, net.options.get("num_relu", net.n)

        def phi(p: Parameters, z: Any) -> Any:
            if self.cls is DendriticPLRNN:
                above = jnp.maximum(z[..., None, :] - p["thresholds"], 0.0)
                return (p["slopes"][:, None] * above).sum(axis=-2)
            return z if P == 0 else jnp.concatenate([z[..., : n - P], jnp.maximum(z[..., n - P :], 0.0)], axis=-1)

        return lambda p, z, s: p["A"] * z + phi(p, z) @ p["W"].T + s @ p["C"].T + p["h"]

    def model(self, net: Network, own: Parameters, **common: Any) -> System:
        options = {k: v for k, v in net.options.items() if k == "num_relu"}
        return self.cls(**own, **options, **common)


class _Shallow(_Family):
    """ShallowPLRNN, plain or clipped."""

    options: Mapping[str, Any] = {"num_hidden": None, "clipped": True}

    def initial(self, net: Network, rng: np.random.Generator, start: Start, groups: Array) -> Parameters:
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

    def step(self, net: Network) -> Step:
        import jax.numpy as jnp

        def step(p: Parameters, z: Any, s: Any) -> Any:
            a = z @ p["W2"].T
            on = jnp.maximum(a + p["h2"], 0.0) - (jnp.maximum(a, 0.0) if net.options["clipped"] else 0.0)
            return p["A"] * z + on @ p["W1"].T + s @ p["C"].T + p["h1"]

        return step

    def model(self, net: Network, own: Parameters, **common: Any) -> System:
        return ShallowPLRNN(**own, clipped=net.options["clipped"], **common)


_LEAKY = {"activation": "tanh", "form": "current"}
_FAMILIES: dict[str, _Family] = {
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
