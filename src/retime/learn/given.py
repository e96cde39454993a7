"""A model that a fit goes on from: its sizes, its observation in the units of the training, and where its hidden states start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.core.notice import notify
from retime.core.system import System
from retime.core.time import Discrete
from retime.learn.dynamics import Dynamics
from retime.learn.families import Parameters
from retime.learn.fitted import FITTED
from retime.learn.held_above import observes_relu
from retime.learn.recordings import Recording
from retime.learn.windows import Cutter
from retime.models import PLRNN, AlmostLinearRNN, ContinuousPLRNN

SETTLED = 50  # forced samples after which the hidden states are those that belong to the data
PLACES = 16  # updates whose windows show them
OPTIONS = ("num_relu", "clipped", "num_bases", "activation", "form")


def options_of(model: System, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of the family by name, as the model has them.

    Raises:
        ValueError: one is given, or no recording is fitted by such a model.
    """
    name = type(model).__name__
    if given := [k for k, v in options.items() if v is not None]:
        raise ValueError(f"`{given[0]}` is an option of a family by name; the {name} that is given has its own.")
    maps, flows = ([k for k, v in FITTED.items() if v.needs_equal_times == b] for b in (True, False))
    if model.family not in (maps if isinstance(model.time, Discrete) else flows):
        raise ValueError(
            f"`family` is {model!r}; a fit goes on from a map of {', '.join(maps)}, or from a flow of {', '.join(flows)}."
        )
    found = {k: getattr(model, k) for k in OPTIONS if hasattr(model, k)}
    return {k: v for k, v in found.items() if not (k == "num_relu" and model.family == "plrnn")}


def in_its_units(model: Any, data: Recording) -> tuple[Recording, tuple[float, ...] | None]:
    """The recording, standardized as the model's readout has it: its outputs are the first states, each times a number, plus another.

    Where the observed units are ReLU units and the data above their boundaries, they are held there (`HeldAbove`): standardized with the mean of
    the recording, and how far above.

    Raises:
        ShapeError: another number of outputs or inputs. ValueError: another readout, or another time between samples.
    """
    N, name = data.num_channels, type(model).__name__
    B, b = _observed(model, N, data.num_inputs)
    std = np.diagonal(B)
    if np.any(np.eye(N, B.shape[1]) * std[:, None] != B) or not (std > 0.0).all():
        raise ValueError(
            f'`family` is a {name} whose outputs mix its states; give observation="linear", or a model whose outputs are its first '
            f"{N} states, each times a number > 0, plus a number."
        )
    above, n = (data.mean - b) / std, model.num_states
    data = data.standardized(data.mean, std)
    lowest = np.min([x.min(axis=0) for x in data.series], axis=0)
    P = model.num_units if isinstance(model, (PLRNN, AlmostLinearRNN, ContinuousPLRNN)) else 0
    if observes_relu(n, P, N) and (lowest + above > 0.0).all():
        return data, tuple(above.tolist())
    return data.standardized(b, std), None


def _observed(model: Any, N: int, m: int) -> tuple[Array, Array]:
    """B `(N, n)` and b `(N,)` of the model's outputs; without a readout they are the first states.

    Raises:
        ShapeError: another number of outputs or inputs than the recording's, or outputs that are not linear.
    """
    name = type(model).__name__
    if model.num_inputs != m:
        raise ShapeError(f"`family` is a {name} of {model.num_inputs} inputs; the recording has {m} (`inputs`).")
    if model.readout is None:
        return np.eye(N, model.num_states), np.zeros(N)
    if not model.readout.is_linear or model.num_outputs != N:
        raise ShapeError(f"`family` is a {name} with {model.readout!r}; `series` has {N} channels, x = B z + b.")
    return np.asarray(model.readout.B), np.asarray(model.readout.b)


def start_from(model: Any, dynamics: Dynamics, data: Recording, cutter: Cutter) -> Parameters:
    """The parameters of the model, and the `lift` with which hidden states follow from the first sample as they do after many that force."""
    own = dict(dynamics.weights_of(model))
    own |= {k: own[k] * data.scale for k in ("C", "W_in") if k in own}
    n, N, is_linear = dynamics.net.num_states, data.num_channels, dynamics.setting.observation == "linear"
    if is_linear:
        B, b = _observed(model, N, data.num_inputs)
        own |= {"observed_B": B / data.std[:, None], "observed_b": (b - data.mean) / data.std}
    own["lift"] = np.zeros((n if is_linear else n - N, N))
    return own | {"lift": _lift(dynamics, own, replace(cutter, noise=0.0))}


def _lift(dynamics: Dynamics, p: Parameters, cutter: Cutter) -> Array:
    """The linear function of a sample nearest to the hidden states after `SETTLED` samples that force; 0 where they are no numbers."""
    windows = [cutter.cut(k, np.ones(cutter.steps + 1)) for k in range(PLACES)]
    parts = [dynamics.settled(p, w, SETTLED) for w in windows]
    z, x = (np.concatenate(part) for part in zip(*parts, strict=True))
    z = z[:, z.shape[1] - len(p["lift"]) :]
    good = np.isfinite(z).all(axis=1)
    return np.linalg.lstsq(x[good], z[good], rcond=None)[0].T if good.any() else np.asarray(p["lift"])


def ask_for_units(error: float, horizon: int) -> None:
    """Ask whether the recording is in the units of the model, when that is off by as much as the recording varies, or more."""
    if not error < 1.0:
        notify(
            f"The model that is given is off by {error:.2g} standard deviations of `series` {horizon} samples ahead, as much as their mean or "
            "more: are they in the units of its outputs, and as far apart as its steps?"
        )
