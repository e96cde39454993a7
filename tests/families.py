"""One random model of every family, with the family's own equation written out in NumPy (no canonical form)."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np

import retime as rt

relu = lambda x: np.maximum(x, 0.0)  # noqa: E731


def _core(rng, n, m):
    """A, W, h, C with spectra that give negative, complex and positive eigenvalues, and bounded orbits."""
    A, W = rng.uniform(0.2, 0.7, n), rng.normal(size=(n, n)) * 0.25 / np.sqrt(n)
    return A, W, rng.normal(size=n), rng.normal(size=(n, m))


def _plrnn(rng, n, m, **common):
    A, W, h, C = _core(rng, n, m)
    return rt.PLRNN(A, W, h, C, **common), lambda z, s: A * z + W @ relu(z) + h + C @ s


def _shallow(rng, n, m, **common):
    A, _, h1, C = _core(rng, n, m)
    W1, W2, h2 = rng.normal(size=(n, 6)) * 0.2, rng.normal(size=(6, n)) * 0.5, rng.normal(size=6)
    return rt.ShallowPLRNN(A, W1, W2, h1, h2, C, **common), lambda z, s: A * z + W1 @ relu(W2 @ z + h2) + h1 + C @ s


def _clipped(rng, n, m, **common):
    A, _, h1, C = _core(rng, n, m)
    W1, W2, h2 = rng.normal(size=(n, 5)) * 0.3, rng.normal(size=(5, n)) * 0.5, rng.normal(size=5)

    def equation(z, s):
        return A * z + W1 @ (relu(W2 @ z + h2) - relu(W2 @ z)) + h1 + C @ s

    return rt.ShallowPLRNN(A, W1, W2, h1, h2, C, clipped=True, **common), equation


def _almost_linear(rng, n, m, **common):
    A, W, h, C = _core(rng, n, m)
    P = n // 2

    def equation(z, s):
        return A * z + W @ np.concatenate([z[: n - P], relu(z[n - P :])]) + h + C @ s

    return rt.AlmostLinearRNN(A, W, h, C, num_relu=P, **common), equation


def _dendritic(rng, n, m, **common):
    A, W, h, C = _core(rng, n, m)
    slopes, thresholds = rng.normal(size=3), rng.normal(size=(3, n))

    def equation(z, s):
        phi = sum(a * relu(z - t) for a, t in zip(slopes, thresholds, strict=True))
        return A * z + W @ phi + h + C @ s

    return rt.DendriticPLRNN(A, W, h, slopes, thresholds, C, **common), equation


def _relu(rng, n, m, **common):
    W, U, b = rng.normal(size=(n, n)) * 0.8 / np.sqrt(n), rng.normal(size=(n, m)), rng.normal(size=n)
    return rt.ReluRNN(W, U, b, **common), lambda z, s: relu(W @ z + U @ s + b)


def _linear(rng, n, m, **common):
    A, b, E = rng.normal(size=(n, n)) * 0.6 / np.sqrt(n), rng.normal(size=n), rng.normal(size=(n, m))
    return rt.LinearSystem(A, b, E, **common), lambda z, s: A @ z + b + E @ s


def _continuous(rng, n, m, **common):
    A, W, h, C = _core(rng, n, m)
    return rt.ContinuousPLRNN(-A, W, h, C, **common), lambda z, s: -A * z + W @ relu(z) + h + C @ s


def _continuous_almost_linear(rng, n, m, **common):
    A, W, h, C = _core(rng, n, m)

    def equation(z, s):
        return -A * z + W @ np.concatenate([z[: n - 1], relu(z[n - 1 :])]) + h + C @ s

    return rt.ContinuousPLRNN(-A, W, h, C, num_relu=1, **common), equation


def _piecewise_affine(rng, n, m, **common):
    A, _, h1, C1 = _core(rng, n, m)
    W1, W2, h2 = rng.normal(size=(n, 5)) * 0.3, rng.normal(size=(5, n)) * 0.5, rng.normal(size=5)
    C2 = rng.normal(size=(5, m))

    def equation(z, s):
        return A * z + W1 @ relu(W2 @ z + C2 @ s + h2) + C1 @ s + h1

    return rt.PiecewiseAffineRNN(A, W1, W2, h1, h2, C1, C2, **common), equation


MAPS: dict[str, Callable] = {
    "plrnn": _plrnn,
    "shallow": _shallow,
    "clipped": _clipped,
    "almost_linear": _almost_linear,
    "dendritic": _dendritic,
    "relu": _relu,
    "linear": _linear,
    "piecewise_affine": _piecewise_affine,
}
FLOWS_ONLY = {"continuous_plrnn": _continuous, "continuous_almost_linear": _continuous_almost_linear}

MAP_NAMES = sorted(MAPS)
FLOW_NAMES = sorted(MAPS | FLOWS_ONLY)
CASES = [(name, "map") for name in MAP_NAMES] + [(name, "flow") for name in FLOW_NAMES]


def make(name, rng, *, base="map", n=4, m=2, dt=0.3, readout=False):
    """(model, equation) of a family in discrete (`base="map"`) or continuous time."""
    common = {"readout": (rng.normal(size=(3, n)), rng.normal(size=3))} if readout else {}
    common["time"] = rt.Discrete(dt) if base == "map" else rt.Continuous()
    if name in FLOWS_ONLY:
        del common["time"]
    return (MAPS | FLOWS_ONLY)[name](rng, n, m, **common)


def stable(name, rng, *, n=4, m=2):
    """A continuous system whose orbits stay bounded: the family's equation with leak."""
    model, _ = make(name, rng, base="flow", n=n, m=m)
    if name in FLOWS_ONLY:
        return model
    from dataclasses import replace

    if name == "relu":
        return replace(model, W_rec=model.W_rec * 0.3 - np.eye(n), b=model.b)
    return replace(model, A=model.A - 1.5 * np.eye(n))


# --- smooth families ---------------------------------------------------------------------------------------------------

logistic = lambda x: 1.0 / (1.0 + np.exp(-x))  # noqa: E731
softplus = lambda x: np.log(1.0 + np.exp(x))  # noqa: E731
ACTIVATIONS = {"tanh": np.tanh, "relu": relu, "softplus": softplus, "logistic": logistic, "linear": lambda x: x}


def _elman(rng, n, m):
    return rng.normal(size=(n, n)) * 1.2 / np.sqrt(n), rng.normal(size=(n, m)), 0.5 * rng.normal(size=n)


def _tanh(rng, n, m, **common):
    W, U, b = _elman(rng, n, m)
    return rt.TanhRNN(W, U, b, **common), lambda z, s: np.tanh(W @ z + U @ s + b)


def _leaky(rng, n, m, *, f="tanh", form="rate", **common):
    W, U, b = _elman(rng, n, m)
    alpha, g = rng.uniform(0.1, 0.9, n), ACTIVATIONS[f]

    def equation(z, s):
        drive = g(W @ z + U @ s + b) if form == "rate" else W @ g(z) + U @ s + b
        return (1 - alpha) * z + alpha * drive

    return rt.LeakyRNN(W, U, b, alpha=alpha, activation=f, form=form, **common), equation


def _rate(rng, n, m, *, f="tanh", form="rate", **common):
    W, U, b = _elman(rng, n, m)
    tau, g = rng.uniform(0.6, 1.8, n), ACTIVATIONS[f]

    def equation(z, s):
        drive = g(W @ z + U @ s + b) if form == "rate" else W @ g(z) + U @ s + b
        return (drive - z) / tau

    return rt.RateRNN(W, U, b, tau=tau, activation=f, form=form, **common), equation


def _gates(rng, n, m, gates):
    return (
        rng.normal(size=(gates * n, n)) / np.sqrt(n),
        rng.normal(size=(gates * n, m)),
        rng.normal(size=gates * n),
        rng.normal(size=gates * n),
    )


def _gru(rng, n, m, *, reset_after=True, **common):
    """PyTorch's equations, gate by gate."""
    parts = _gates(rng, n, m, 3)
    (R_r, R_u, R_n), (W_r, W_u, W_n), (p_r, p_u, p_n), (q_r, q_u, q_n) = (np.split(x, 3) for x in parts)

    def equation(z, s):
        r = logistic(W_r @ s + q_r + R_r @ z + p_r)
        u = logistic(W_u @ s + q_u + R_u @ z + p_u)
        inner = r * (R_n @ z + p_n) if reset_after else R_n @ (r * z) + p_n
        return (1 - u) * np.tanh(W_n @ s + q_n + inner) + u * z

    return rt.GRU(*parts, reset_after=reset_after, **common), equation


def _lstm(rng, n, m, **common):
    """n states: n / 2 outputs, then n / 2 cells."""
    H = n // 2
    parts = _gates(rng, H, m, 4)
    (R_i, R_f, R_g, R_o), (W_i, W_f, W_g, W_o), p, q = (np.split(x, 4) for x in parts)
    b_i, b_f, b_g, b_o = (x + y for x, y in zip(p, q, strict=True))

    def equation(z, s):
        h, c = z[:H], z[H:]
        i, f, o = (logistic(W @ s + R @ h + b) for W, R, b in ((W_i, R_i, b_i), (W_f, R_f, b_f), (W_o, R_o, b_o)))
        c = f * c + i * np.tanh(W_g @ s + R_g @ h + b_g)
        return np.concatenate([o * np.tanh(c), c])

    return rt.LSTM(*parts, **common), equation


def _stacked(rng, n, m, **common):
    """An LSTM of two states below an Elman layer of n - 2 units, which reads the LSTM's one output."""
    (low, F), (high, G) = _lstm(rng, 2, m), _tanh(rng, n - 2, 1)

    def equation(z, s):
        below = F(z[:2], s)
        return np.concatenate([below, G(z[2:], below[:1])])

    return rt.StackedRNN([low, high], **common), equation


def _twist(xp, z, s):
    """A map of the plane and more: contraction, rotation through a sine."""
    return 0.5 * xp.sin(xp.roll(z, 1)) + 0.3 * z + 0.1 * s[0] * s[1]


def _pull(xp, z, s):
    return xp.sin(xp.roll(z, 1)) - z * (1 + 0.1 * z * z) + s[0] - 0.5 * s[1] * z


def traced_map(z, s):
    return _twist(jnp, z, s)


def called_map(z, s):
    return _twist(np, np.asarray(z, dtype=float), s)


def traced_field(z, s):
    return _pull(jnp, z, s)


def called_field(z, s):
    return _pull(np, np.asarray(z, dtype=float), s)


def _given(cls, f, reference):
    def build(rng, n, m, **common):
        return cls(f, n, m, **common), lambda z, s: reference(np, z, s)

    return build


def _hopfield(rng, n, m, *, g="tanh", **common):
    T, I, U = rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=n), rng.normal(size=(n, m))
    R, C, gain = rng.uniform(0.8, 1.5, n), rng.uniform(0.8, 1.5, n), 1.3
    f = ACTIVATIONS[g]
    model = rt.HopfieldNetwork(T, I, U, resistance=R, capacitance=C, gain=gain, activation=g, **common)
    return model, lambda u, s: (T @ f(gain * u) - u / R + I + U @ s) / C


SMOOTH_MAPS: dict[str, Callable] = {
    "tanh": _tanh,
    "leaky_rate": _leaky,
    "leaky_current": partial(_leaky, f="softplus", form="current"),
    "gru": _gru,
    "gru_reset_before": partial(_gru, reset_after=False),
    "lstm": _lstm,
    "stacked": _stacked,
    "map": _given(rt.Map, traced_map, _twist),
    "numpy_map": _given(rt.Map, called_map, _twist),
}
SMOOTH_FLOWS: dict[str, Callable] = {
    "tanh_flow": partial(_tanh, time=rt.Continuous()),
    "rate": _rate,
    "rate_current": partial(_rate, form="current"),
    "rate_softplus": partial(_rate, f="softplus"),
    "hopfield": _hopfield,
    "hopfield_logistic": partial(_hopfield, g="logistic"),
    "vector_field": _given(rt.VectorField, traced_field, _pull),
    "numpy_field": _given(rt.VectorField, called_field, _pull),
}
SMOOTH = SMOOTH_MAPS | SMOOTH_FLOWS


def make_smooth(name, rng, *, n=4, m=2, dt=0.3, readout=False, **options):
    """(model, equation) of a smooth family; maps with step dt."""
    if readout:
        options["readout"] = (rng.normal(size=(3, n)), rng.normal(size=3))
    if name in SMOOTH_MAPS:
        options["time"] = rt.Discrete(dt)
    return SMOOTH[name](rng, n, m, **options)
