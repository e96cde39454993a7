"""The network itself in the page: its equation as a kind that the page's script knows, its weights, and states to start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import singledispatch
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.distinct import distinct_rows
from retime.core.system import PiecewiseAffineSystem
from retime.models import GRU, LSTM, HopfieldNetwork, LeakyRNN, RateRNN, TanhRNN
from retime.report import packing
from retime.report.findings import Findings
from retime.report.views import BETWEEN, Coordinates
from retime.simulation.motion import motion_of

ROOM = 300_000  # characters for weights
ANCHORS = 60_000  # characters for states along the orbit
FLOWS = 60_000  # characters for the regions of the converted flow

Equation = dict[str, Any]


def live(found: Findings, frame: Coordinates | None, rows: Array, *, room: int = ROOM) -> dict[str, Any]:
    """What the page needs to step the network: `{"kind", "arrays", ...}`, or `{"reason"}` why it does not.

    Args:
        found: what is known. frame: the coordinates of the page. rows: indices of the states of the orbit that are drawn.
        room: characters that the weights may take.
    """
    model = found.model
    if model is None:
        return {"reason": "the network itself was not given, only results about it"}
    if frame is None or found.orbit is None:
        return {"reason": "there is no orbit to start from"}
    equation = equation_of(model)
    if equation is None:
        return {"reason": f"the page's script has no equation for the family {type(model).__name__}"}
    arrays = {name: packing.array(x) for name, x in equation.pop("arrays").items()}
    size = sum(map(packing.size, arrays.values()))
    if size > room:
        return {"reason": f"its weights would add {size / 1e6:.2g} MB to the page; live=True puts them in"}
    every = _interval(found, rows)
    anchors = np.asarray(found.orbit.states)[rows[::every]]
    return {
        **equation, "arrays": arrays, "continuous": bool(motion_of(model).clock.times), "dt": model.time.step or _step(found),
        "inputs": found.inputs, "every": every, "anchors": packing.array(anchors), "readout": _readout(found),
        "components": _components(frame),
        "flow": _flow(found), "names": {name: _own_name(model, name, equation, arrays) for name in arrays},
    }  # fmt: skip


@singledispatch
def equation_of(model: Any) -> Equation | None:
    """The equation as a kind known to browser/network.js, with its arrays; None for families that it does not know."""
    return None


@equation_of.register
def _(model: PiecewiseAffineSystem) -> Equation:
    f = model.canonical
    return {"kind": "affine", "arrays": {k: getattr(f, k) for k in ("A", "W1", "W2", "h1", "h2", "C1", "C2")}}


def _rate(
    model: Any, W: Any, U: Any, b: Any, keep: Any, gain: Any, f: Any, form: str, slope: float = 1.0
) -> Equation | None:
    """z' = keep z + gain G, G = f(W z + U s + b) (rate) or W f(slope z) + U s + b (current)."""
    if not isinstance(f, str):
        return None  # a function of the user
    n = model.num_states
    arrays = {"W": np.asarray(W), "U": U, "b": b, "keep": np.broadcast_to(keep, n), "gain": np.broadcast_to(gain, n)}
    return {"kind": "rate", "activation": f, "form": form, "slope": slope, "arrays": arrays}


@equation_of.register
def _(model: TanhRNN) -> Equation | None:
    return _rate(model, model.W_rec, model.W_in, model.b, 0.0, 1.0, "tanh", "rate")


@equation_of.register
def _(model: LeakyRNN) -> Equation | None:
    alpha = np.asarray(model.alpha)
    return _rate(model, model.W_rec, model.W_in, model.b, 1.0 - alpha, alpha, model.activation, model.form)


@equation_of.register
def _(model: RateRNN) -> Equation | None:
    rate = 1.0 / np.asarray(model.tau)
    return _rate(model, model.W_rec, model.W_in, model.b, -rate, rate, model.activation, model.form)


@equation_of.register
def _(model: HopfieldNetwork) -> Equation | None:
    C, R = np.asarray(model.capacitance), np.asarray(model.resistance)
    return _rate(
        model, model.T, model.W_in, model.I, -1.0 / (R * C), 1.0 / C, model.activation, "current", float(model.gain)
    )


@equation_of.register
def _(model: GRU) -> Equation:
    arrays = {"W": model.W_rec, "U": model.W_in, "b": model.b_rec, "c": model.b_in}
    return {"kind": "gru", "after": bool(model.reset_after), "arrays": arrays}


@equation_of.register
def _(model: LSTM) -> Equation:
    return {"kind": "lstm", "arrays": {"W": model.W_rec, "U": model.W_in, "b": model.b_rec + model.b_in}}


def _own_name(model: Any, name: str, equation: Equation, arrays: dict[str, Any]) -> str | None:
    """What the family calls an array of the page's equation; None where it has none that equals it, so that it is no weight of its own."""
    kept: Callable[[Any], bool] = lambda x: packing.array(x) == arrays[name]  # noqa: E731
    own = [
        f.name for f in fields(model) if isinstance(getattr(model, f.name), np.ndarray) and getattr(model, f.name).size
    ]
    return next((x for x in own if kept(getattr(model, x))), None)


def _components(frame: Coordinates) -> dict[str, Any] | None:
    """The directions and the origin of the principal components."""
    x = frame.principal
    return None if x is None else {"axes": packing.array(x.axes), "base": packing.array(x.base)}


def _step(found: Findings) -> float:
    """The time between samples of the orbit of a flow."""
    times = found.orbit.times if found.orbit is not None else np.zeros(0)
    return float(times[1] - times[0]) if len(times) > 1 else 0.01


def _interval(found: Findings, rows: Array) -> int:
    """Every how many of the drawn states the whole state is kept."""
    n = found.orbit.states.shape[1] if found.orbit is not None else 1
    return max(-(-len(rows) * n * 11 // ANCHORS), 1)


def _readout(found: Findings) -> dict[str, Any] | None:
    """The outputs as a function of the state, under the constant input, and the change of state that changes each output."""
    readout, m = found.model.readout, found.model.num_inputs
    if readout is None:
        return None
    D = getattr(found.model, "D", None)
    b = readout.b + (0.0 if D is None or not m else D @ found.inputs)
    return {
        "B": packing.array(readout.B), "b": packing.array(b), "activation": readout.activation, "rate": readout.rate,
        "threshold": None if readout.threshold is None else packing.array(readout.threshold),
        "lift": packing.array(np.linalg.pinv(readout.B)),
    }  # fmt: skip


def _flow(found: Findings) -> dict[str, Any] | None:
    """An eighth of a step of the clock-held flow in each region, most visited first, as many as there is room for: matrices on (z, aux, 1)."""
    c = found.conversion
    if c is None or found.model is not c.model:
        return None
    from scipy.linalg import expm

    s, regions, used = found.inputs, {}, 0
    patterns = np.asarray(c.clock.reference.patterns)[: c.steps]
    patterns = patterns[distinct_rows(patterns).first]
    for k in np.argsort(-np.asarray(c.visits), kind="stable"):
        region = c.regions[k]
        N = len(region.h)
        used += (N + 1) ** 2 * 16 // 3
        if used > FLOWS:
            break
        G = np.zeros((N + 1, N + 1))
        G[:N, :N], G[:N, N] = region.W, region.h + (region.E @ s if len(s) else 0.0)
        if region.ramp is None:
            regions["".join("01"[int(x)] for x in patterns[k])] = packing.array(
                expm(G * c.model.dt / BETWEEN), np.float32
            )
    return {"per": BETWEEN, "regions": regions, "of": len(c.regions)}
