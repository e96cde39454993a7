"""What ships with retime: networks trained by this project or defined in a line, reference systems in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.time import Continuous, Discrete
from retime.models import GRU, PLRNN, AlmostLinearRNN, ContinuousPLRNN, RateRNN, ReluRNN, TanhRNN
from retime.zoo import systems


@dataclass(frozen=True, eq=False)
class ZooEntry:
    """A shipped network.

    Attributes:
        name: for `zoo.load` and, on the command line, `zoo:NAME`.
        model: the network.
        z0: a start `(n,)`.
        description: what it shows.
        source: where it comes from.
    """

    name: str
    model: Any
    z0: Array
    description: str
    source: str


def names() -> list[str]:
    """The shipped networks, sorted."""
    return sorted(_ENTRIES)


def load(name: str) -> Any:
    """A shipped network by name.

    Raises:
        ValueError: no such name; the message lists them.
    """
    return entry(name).model


@cache
def entry(name: str) -> ZooEntry:
    """A shipped network with its start, description and source.

    Raises:
        ValueError: no such name; the message lists them.
    """
    if name not in _ENTRIES:
        raise ValueError(f"There is no zoo network {name!r}; there are {', '.join(names())}.")
    make, description, source = _ENTRIES[name]
    model, z0 = make()
    return ZooEntry(name, model, z0, description, source)


def addition_inputs(steps: int, first: int, second: int, seed: int = 0) -> Array:
    """Inputs `(steps, 2)` of the addition problem: uniform numbers in [0, 1), and 1 at the two steps to be added."""
    s = np.zeros((steps, 2))
    s[:, 0] = np.random.default_rng(seed).random(steps)
    s[[first, second], 1] = 1.0
    return s


def _stored(name: str) -> tuple[Any, Array]:
    """A network that scripts/train_zoo.py wrote: every field of its family, its readout, and a start."""
    with files("retime.zoo").joinpath("weights", f"{name}.npz").open("rb") as stream, np.load(stream) as w:
        cls: Any = {c.family: c for c in (GRU, PLRNN, AlmostLinearRNN, ContinuousPLRNN, ReluRNN, TanhRNN)}[
            str(w["family"])
        ]
        about = ("family", "dt", "z0", "record", "readout_B", "readout_b")
        own = {k: w[k][()] for k in w.files if k not in about}
        readout = (w["readout_B"], w["readout_b"])
        own |= {k: v.item() for k, v in own.items() if np.ndim(v) == 0}  # counts and switches
        return cls(**own, time=Discrete(float(w["dt"])) if "dt" in w else Continuous(), readout=readout), w["z0"]


def _trained(name: str) -> tuple[PLRNN, Array]:
    with files("retime.zoo").joinpath("weights", f"{name}.npz").open("rb") as stream, np.load(stream) as w:
        model = PLRNN(w["A"], w["W"], w["h"], time=Discrete(float(w["dt"])), readout=(w["B"], w["b"]))
        return model, w["z0"]


def _flip_flop_rate() -> tuple[RateRNN, Array]:
    with files("retime.zoo").joinpath("weights", "flip_flop_rate.npz").open("rb") as stream, np.load(stream) as w:
        readout = (w["B"], w["b_out"])
        return RateRNN(w["W_rec"], w["W_in"], w["b"], tau=float(w["tau"]), readout=readout), np.zeros(len(w["b"]))


def _addition() -> tuple[PLRNN, Array]:
    model = PLRNN(
        [1.0, 0.01],
        [[0, 1], [0, 0]],
        [0, -0.995],
        C=[[0, 0], [1, 1]],
        readout=([[1.0, 0.0]], [0.0]),
        time=Discrete(1.0),
    )
    return model, np.array([0.0, -0.995])


def _sliding() -> tuple[AlmostLinearRNN, Array]:
    model = AlmostLinearRNN([0.1, 0.3], [[0.0, -1.1], [0.9, 0.6]], [-0.8, 0.2], num_relu=1, time=Discrete(1.0))
    return model, np.array([-0.3, -0.3])


def _relu() -> tuple[ReluRNN, Array]:
    g = np.random.default_rng(7)
    n = 16
    W = g.normal(size=(n, n)) * 1.2 / np.sqrt(n)
    model = ReluRNN(W, g.normal(size=(n, 1)), g.normal(size=n) * 0.5, time=Discrete(1.0))
    return model, np.abs(g.normal(size=n))


_ENTRIES = {
    "adding": (
        lambda: _stored("adding"),
        "GRU of 32 units that adds the two marked numbers of a sequence of 50.",
        "Trained by this project: scripts/train_zoo.py adding.",
    ),
    "chua": (
        systems.chua_system,
        "Chua's circuit (15.6, 28, -1.142857, -0.71429) as a vector field. Chaotic, piecewise linear.",
        "Chua, Komuro & Matsumoto 1986.",
    ),
    "chua_network": (
        systems.chua_network,
        "Chua's circuit as a piecewise-affine network of two ReLU units in continuous time: followed exactly.",
        "Chua, Komuro & Matsumoto 1986; written with ReLUs by this project.",
    ),
    "henon": (systems.henon_map, "The Henon map (1.4, 0.3). Chaotic.", "Henon 1976."),
    "lorenz63": (
        systems.lorenz63_system,
        "The Lorenz system (10, 28, 8/3) as a vector field. Chaotic.",
        "Lorenz 1963.",
    ),
    "roessler": (
        systems.roessler_system,
        "The Roessler system (0.2, 0.2, 5.7) as a vector field. Chaotic.",
        "Roessler 1976.",
    ),
    "addition": (
        _addition,
        "Two units solve the addition problem: a line attractor sums the marked inputs.",
        "Weights as in Monfared & Durstewitz 2020.",
    ),
    "flip_flop": (
        lambda: _stored("flip_flop"),
        "100 tanh units that keep three bits: eight stable points, outputs at the corners of a cube.",
        "Trained by this project: scripts/train_zoo.py flip_flop.",
    ),
    "flip_flop_relu": (
        lambda: _stored("flip_flop_relu"),
        "100 ReLU units that keep three bits: pairs of rival groups, of which the one that is on keeps the other off.",
        "Trained by this project: scripts/train_zoo.py flip_flop_relu.",
    ),
    "flip_flop_rate": (
        _flip_flop_rate,
        "Rate network of 12 tanh units in continuous time with three memories of one bit: 8 stable states, switched by pulses.",
        "Trained by this project: scripts/train_flip_flop.py --seed 0.",
    ),
    "vanderpol_alrnn": (
        lambda: _stored("vanderpol_alrnn"),
        "Almost-linear network of 12 units, 6 of them ReLU, fitted to the van der Pol oscillator (mu = 2), dt = 0.1. Limit cycle.",
        "Trained by this project: scripts/train_zoo.py vanderpol_alrnn.",
    ),
    "lorenz": (
        lambda: _trained("lorenz"),
        "PLRNN of 24 units trained on the Lorenz-63 system (10, 28, 8/3), dt = 0.04; outputs are x, y, z. Chaotic.",
        "Trained by this project before `retime.fit` was; its script is in the history of the repository.",
    ),
    "lorenz_alrnn": (
        lambda: _stored("lorenz_alrnn"),
        "Almost-linear network of 20 units, 10 of them ReLU, fitted to noisy samples of the Lorenz-63 system, dt = 0.01. Chaotic.",
        "Trained by this project: scripts/train_zoo.py lorenz_alrnn.",
    ),
    "lorenz_continuous": (
        lambda: _stored("lorenz_continuous"),
        "Continuous-time network of 20 units, 10 of them ReLU, fitted to noisy samples of the Lorenz-63 system by its exact flow. Chaotic.",
        "Trained by this project: scripts/train_zoo.py lorenz_continuous.",
    ),
    "lorenz_plrnn": (
        lambda: _stored("lorenz_plrnn"),
        "PLRNN of 20 units fitted to noisy samples of the Lorenz-63 system, dt = 0.01; its observed units stay above their boundaries. Chaotic.",
        "Trained by this project: scripts/train_zoo.py lorenz_plrnn.",
    ),
    "relu": (
        _relu,
        "Elman network of 16 ReLU units with one input; every region with a silent unit is singular.",
        "Random weights, numpy.random.default_rng(7), by this project.",
    ),
    "sliding": (
        _sliding,
        "Two units whose state-switched flow slides along the boundary of its ReLU unit (Filippov).",
        "Defined by this project.",
    ),
    "vanderpol": (
        lambda: _trained("vanderpol"),
        "PLRNN of 12 units trained on the van der Pol oscillator (mu = 2), dt = 0.1; outputs are x and dx/dt. Limit cycle.",
        "Trained by this project before `retime.fit` was; its script is in the history of the repository.",
    ),
}

__all__ = ["ZooEntry", "addition_inputs", "entry", "load", "names"]
