"""Networks that are trained: a family with its sizes, or a model whose training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from retime.core.arguments import whole
from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.core.system import System
from retime.core.time import Continuous
from retime.learn.cell_families import CELLS, orbit, origin
from retime.learn.families import FAMILIES, Family, Parameters, Start, Step, by_equation
from retime.models import RateRNN


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
        given = {} if self.like is None else free_weights(self.like)
        n, p = self.n, self.p
        groups = np.zeros((n, p))
        groups[np.arange(n), np.arange(n) % p] = rng.choice([-1.0, 1.0], size=n)
        groups /= np.maximum(np.linalg.norm(groups, axis=0), 1e-300)
        own = given or FAMILIES[self.family].initial(self, rng, start, groups)
        size, N = np.sqrt(p / n), self.num_states
        B = 1.2 * size * groups.T if start.weights == "memory" and n <= N else rng.normal(size=(p, n)) * size
        B = np.hstack([B, np.zeros((p, N - n))]) if n <= N else B[:, :N]
        return {"readout_B": B, "readout_b": np.zeros(p), **own}

    @property
    def num_states(self) -> int:
        """Length of the state."""
        return self._kind.num_states(self) if self._kind else self.n

    @property
    def step(self) -> Step:
        """z_{k+1} of batches."""
        return self._kind.step(self) if self._kind else by_equation(self.like)

    @property
    def origin(self) -> Array:
        """The state `(N,)` that trials begin in."""
        return self._kind.origin(self) if self._kind else origin(self.like)

    @property
    def orbit(self) -> Step | None:
        """All states of batches at once, where the step is solved in parallel."""
        return self._kind.orbit(self) if self._kind else orbit(self.like)

    @property
    def _kind(self) -> Family | None:
        """What the family does; None for a model of another one, which is trained by its own equation."""
        is_cell = self.like is not None and self.family in CELLS
        return None if is_cell else FAMILIES.get(self.family)

    def model(self, parameters: Parameters, time: Any) -> System:
        """The network as a model, in 64 bits."""
        own = {k: np.asarray(v, dtype=np.float64) for k, v in parameters.items()}
        readout = own.pop("readout_B"), own.pop("readout_b")
        if self.like is not None:
            return replace(self.like.with_weights(own), readout=readout)
        return FAMILIES[self.family].model(self, own, readout=readout, time=time)

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
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"`family` is {family!r}; it must be one of {', '.join(sorted(FAMILIES))}.")
    known = FAMILIES[family].options
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
    if isinstance(model.time, Continuous) and not isinstance(model, RateRNN):
        raise TypeError(f"`family` is a {name} in continuous time; train takes maps, and a RateRNN by its Euler step.")
    if given := [k for k, v in options.items() if v is not None]:
        raise ValueError(f"`{given[0]}` is an option of a family by name; the {name} that is given has its own.")
    if model.num_inputs != m:
        raise ShapeError(f"`family` is a {name} of {model.num_inputs} inputs; the task has {m}.")
    linear = model.readout is None or model.readout.is_linear
    if not linear or model.num_outputs not in (0, p):
        raise ShapeError(f"`family` is a {name} with {model.readout!r}; the task has {p} outputs, x = B z + b.")
    free_weights(model)
    known = FAMILIES[model.family].options if model.family in FAMILIES and model.family not in CELLS else {}
    n = model.num_states // 2 if model.family == "lstm" else model.num_states
    return Network(model.family, n, m, p, {k: getattr(model, k) for k in known if hasattr(model, k)}, model)


def free_weights(model: System) -> Parameters:
    """The weights of a model that are trained, by the names of its fields.

    Raises:
        TypeError: what its equation computes from are not its fields, or A is not diagonal.
    """
    name, own = type(model).__name__, {f.name for f in fields(model)}
    if model.family in (*FAMILIES, "continuous_plrnn") and model.family not in CELLS:
        names = [
            k for k in ("W_rec", "W_in", "b", "b_rec", "b_in", "A", "W", "h", "W1", "W2", "h1", "h2", "C") if k in own
        ]
        names += [k for k in ("slopes", "thresholds") if k in own]
    else:
        names = []
    found = {k: getattr(model, k, None) for k in names} or dict(model.weights)
    if "A" in found:
        A = np.asarray(found["A"])
        diagonal = np.diag(A)
        if np.any(np.diag(diagonal) != A):
            raise TypeError(f"`A` of the {name} is not diagonal; only a diagonal A is trained.")
        found["A"] = diagonal
    if not found or not all(isinstance(v, np.ndarray) for v in found.values()):
        raise TypeError(
            f"`family` is {model!r}, which has no weights to train: its equation must compute from arrays that are its fields."
        )
    if model.readout is not None:
        found |= {"readout_B": model.readout.B, "readout_b": model.readout.b}
    return found
