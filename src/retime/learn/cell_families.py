"""Cells from differential equations that can be trained by name: where they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retime.convert import ODERNN, AdamsBashforth, RungeKutta
from retime.convert.tableaux import DORMAND_PRINCE, EULER, HEUN, RK3, RK4
from retime.core.arguments import whole
from retime.core.arrays import Array
from retime.core.system import System
from retime.core.time import Discrete
from retime.models import (
    QUNN,
    AntisymmetricRNN,
    CoupledOscillatoryRNN,
    DeltaRule,
    DiagonalLinearRNN,
    LayeredField,
    MinGRU,
    UnitaryRNN,
)

STAGES = {1: EULER, 2: HEUN, 3: RK3, 4: RK4, 6: DORMAND_PRINCE}
"""The methods of ODERNN by their number of stages."""

Build = Callable[[np.random.Generator, int, int, Mapping[str, Any]], System]


def _input_weights(rng: np.random.Generator, n: int, m: int) -> Any:
    return rng.normal(size=(n, m)) / np.sqrt(max(m, 1))


def antisymmetric(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """K of size 1 over the square root of n; dt 0.1."""
    W = rng.normal(size=(n, n)) / np.sqrt(n)
    return AntisymmetricRNN(
        W, _input_weights(rng, n, m), np.zeros(n), gamma=options["gamma"], time=Discrete(options["dt"])
    )


def oscillators(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """n / 2 oscillators, weights uniform as its authors draw them."""
    q = n // 2
    W, V = rng.uniform(-1, 1, size=(2, q, q)) / np.sqrt(q)
    return CoupledOscillatoryRNN(
        W,
        V,
        rng.uniform(-1, 1, size=(q, m)),
        np.zeros(q),
        gamma=options["gamma"],
        epsilon=options["epsilon"],
        time=Discrete(options["dt"]),
    )


def unitary(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """Rotations by angles up to pi in planes, and small biases of moduli."""
    W = np.zeros((n, n))
    k = np.arange(0, n - 1, 2)
    W[k, k + 1] = rng.uniform(-np.pi, np.pi, size=len(k)) / 2.0
    return UnitaryRNN(W, _input_weights(rng, n, m), np.full(n, -0.01))


def diagonal(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """n / 2 complex multipliers in the ring from `radius` to 1, uniform in area, inputs scaled as by LRU's gamma."""
    N, low = n // 2, options["radius"]
    size = np.sqrt(rng.uniform(low**2, 0.999**2, size=N))
    w = size * np.exp(1j * rng.uniform(0, np.pi / 10, size=N))
    B = (rng.normal(size=(N, m)) + 1j * rng.normal(size=(N, m))) / np.sqrt(2 * max(m, 1))
    return DiagonalLinearRNN(w, np.sqrt(1 - size**2)[:, None] * B)


def min_gru(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """Gates that are nearly closed: units that forget within 7 steps, and within 400."""
    gate = -np.linspace(2.0, 6.0, n)
    return MinGRU(_input_weights(rng, n, m), gate, _input_weights(rng, n, m), np.zeros(n))


def delta_rule(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """Keys and values of equal length, the square root of n."""
    d = max(int(np.sqrt(n)), 1)
    return DeltaRule(
        _input_weights(rng, d, m), _input_weights(rng, max(n // d, 1), m), method=options["method"], normalize=True
    )


def ode_rnn(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """One layer of tanh units with an antisymmetric start, of order t with n / t positions; damped oscillators for t = 2."""
    t, stages, k = options["order"], options["stages"], options["multistep"]
    if k == 0 and stages not in STAGES:
        raise ValueError(
            f"`stages` is {stages!r}; it must be one of {', '.join(map(str, STAGES))}, or `multistep` 1 to 5."
        )
    if whole("order", t, 1) > n:
        raise ValueError(f"`order` is {t}; {n} states hold derivatives up to that order only with one unit each.")
    d = n // t
    method = AdamsBashforth(k) if k else RungeKutta(STAGES[stages])
    W = rng.normal(size=(d, d)) / np.sqrt(d)
    leak = (0.0 if t == 1 else 1.0) if options["leak"] is None else options["leak"]
    layers = (W - W.T) / np.sqrt(2.0), np.eye(d)
    field = LayeredField(layers, (np.zeros(d), np.zeros(d)), _input_weights(rng, d, m), leak=leak)
    return ODERNN(field, method, dt=options["dt"], order=t)


def qunn(rng: np.random.Generator, n: int, m: int, options: Mapping[str, Any]) -> System:
    """As many qubits as fit."""
    t = options["memory"]
    Q = max(int(np.log2(max(n // t, 4))) - 1, 1)
    return QUNN(Q, t, m, gain=options["gain"], seed=int(rng.integers(2**31)))


CELLS: dict[str, tuple[Build, Mapping[str, Any]]] = {
    "antisymmetric_rnn": (antisymmetric, {"gamma": 0.01, "dt": 0.1}),
    "cornn": (oscillators, {"gamma": 2.7, "epsilon": 4.7, "dt": 0.05}),
    "unitary_rnn": (unitary, {}),
    "diagonal_linear": (diagonal, {"radius": 0.9}),
    "min_gru": (min_gru, {}),
    "delta_rule": (delta_rule, {"method": "euler"}),
    "odernn": (ode_rnn, {"stages": 4, "order": 1, "dt": 0.1, "leak": None, "multistep": 0}),
    "qunn": (qunn, {"memory": 1, "gain": 0.1}),
}
"""How each cell starts, and its options with their defaults."""


def origin(model: System) -> Array:
    """The state `(N,)` that trials begin in: 0, but for a QUNN, whose vectors have norm 1."""
    return model.initial_state() if isinstance(model, QUNN) else np.zeros(model.num_states)


def orbit(model: System) -> Any:
    """All states `(T, b, N)` of batches from the weights, states `(b, N)` and inputs `(T, b, m)`, for cells whose step is
    z' = decay * z + push with decay and push functions of the input alone; None for others. Backend: `jax.lax.associative_scan`.
    """
    parts = (
        _mingru_parts
        if isinstance(model, MinGRU)
        else _diagonal_parts
        if isinstance(model, DiagonalLinearRNN)
        else None
    )
    if parts is None:
        return None
    ratio = model.dt / model.tau if isinstance(model, MinGRU) else 1.0

    def run(p: dict[str, Any], z: Any, s: Any) -> Any:
        import jax
        import jax.numpy as jnp

        decay, push = parts(jnp, p, s, ratio)
        first = _joined(jnp, z) if parts is _diagonal_parts else z
        push = push.at[0].add(decay[0] * first)
        states = jax.lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (decay, push))[1]
        return jnp.concatenate([states.real, states.imag], axis=-1) if parts is _diagonal_parts else states

    return run


def _mingru_parts(xp: Any, p: dict[str, Any], s: Any, ratio: float) -> tuple[Any, Any]:
    gate = ratio * xp.logaddexp(s @ p["W_gate"].T + p["b_gate"], 0.0)
    return xp.exp(-gate), -xp.expm1(-gate) * (s @ p["W_in"].T + p["b"])


def _diagonal_parts(xp: Any, p: dict[str, Any], s: Any, ratio: float) -> tuple[Any, Any]:
    w, B = (p[k][..., 0] + 1j * p[k][..., 1] for k in ("eigenvalues", "B"))
    push = s @ B.T
    return xp.broadcast_to(w, push.shape), push


def _joined(xp: Any, z: Any) -> Any:
    N = z.shape[-1] // 2
    return z[..., :N] + 1j * z[..., N:]
