"""One random model of every family, with the family's own equation written out in NumPy (no canonical form)."""

from collections.abc import Callable

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


MAPS: dict[str, Callable] = {
    "plrnn": _plrnn,
    "shallow": _shallow,
    "clipped": _clipped,
    "almost_linear": _almost_linear,
    "dendritic": _dendritic,
    "relu": _relu,
    "linear": _linear,
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
