"""Gated cells: GRU and LSTM, with PyTorch's gate order; Keras' and ONNX' variants are fields."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.activation import ACTIVATIONS
from retime.core.arrays import Array, matrix, vector
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.reachability import Box
from retime.core.time import Discrete
from retime.models.units import WithInputs


@dataclass(frozen=True, eq=False, repr=False)
class _Gated(WithInputs):
    """Stacked gates: W_rec `(g H, H)`, W_in `(g H, m)`, b_rec, b_in `(g H,)`; `_gates` is g and how the cell is called."""

    _gates: ClassVar[tuple[int, str]]

    W_rec: Any
    W_in: Any
    b_rec: Any
    b_in: Any

    def __post_init__(self) -> None:
        W_rec, (gates, cell) = matrix("W_rec", self.W_rec, (None, None)), self._gates
        rows, H = W_rec.shape
        if H == 0 or rows != gates * H:
            raise ShapeError(
                f"`W_rec` has shape {W_rec.shape}; {cell} of {H} units needs ({gates * H}, {H}): {gates} gates, stacked as in PyTorch."
            )
        because = f", {gates} gates of {H} units"
        biases = {name: vector(name, getattr(self, name), rows, because) for name in ("b_rec", "b_in")}
        self._set(W_rec=W_rec, W_in=matrix("W_in", self.W_in, (rows, None), because), **biases)
        self._finish()


@dataclass(frozen=True, eq=False, repr=False)
class GRU(_Gated):
    """Gated recurrent unit.

    r = logistic(W_r s + b_in_r + R_r z + b_rec_r)                       reset gate
    u = logistic(W_u s + b_in_u + R_u z + b_rec_u)                       update gate
    n = tanh(W_n s + b_in_n + r * (R_n z + b_rec_n))                     reset_after=True
    n = tanh(W_n s + b_in_n + R_n (r * z) + b_rec_n)                     reset_after=False
    z_{k+1} = (1 - u) * n + u * z_k

    The gates are stacked r, u, n: R = W_rec, W = W_in. PyTorch (whose names are r, z, n): weight_hh_l0, weight_ih_l0,
    bias_hh_l0, bias_ih_l0 as they are, reset_after=True. Keras stacks u, r, n and transposes; its `reset_after` is
    ours (True by default), its bias is (2, 3 H) = (b_in, b_rec) then, and b_in alone otherwise.

    Args:
        W_rec: `(3 H, H)`. W_in: `(3 H, m)`. b_rec, b_in: `(3 H,)`.
        reset_after: whether the reset gate acts after the recurrent product.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: cho2014; PyTorch's and Keras' documentation of their layers.
    """

    family: ClassVar[str] = "gru"
    _gates: ClassVar[tuple[int, str]] = (3, "a GRU")

    _: KW_ONLY
    reset_after: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(reset_after=bool(self.reset_after))

    @property
    def num_states(self) -> int:
        """H, the number of units."""
        return self.W_rec.shape[1]

    def reachable(self, inputs: Box) -> Box:
        """[-1, 1] for a map, whose new state lies between the old one and tanh; no bound for a flow."""
        return Box.of(-1.0, 1.0, self.num_states) if isinstance(self.time, Discrete) else super().reachable(inputs)

    def _equation(self) -> Equation:
        p = {"W_rec": self.W_rec, "W_in": self.W_in, "b_rec": self.b_rec, "b_in": self.b_in}
        return Equation(_gru if self.reset_after else _gru_reset_before, p)


@dataclass(frozen=True, eq=False, repr=False)
class LSTM(_Gated):
    """Long short-term memory. The state is (h, c): the H outputs first, then the H cells.

    i = logistic(W_i s + b_in_i + R_i h + b_rec_i)       input gate
    f = logistic(W_f s + b_in_f + R_f h + b_rec_f)       forget gate
    g = tanh(W_g s + b_in_g + R_g h + b_rec_g)           candidate
    o = logistic(W_o s + b_in_o + R_o h + b_rec_o)       output gate
    c_{k+1} = f * c_k + i * g
    h_{k+1} = o * tanh(c_{k+1})

    The gates are stacked i, f, g, o: R = W_rec, W = W_in. PyTorch: weight_hh_l0, weight_ih_l0, bias_hh_l0, bias_ih_l0 as
    they are. Keras: the same order (it writes c for g), kernels transposed, one bias (b_rec = 0). ONNX stacks i, o, f, g.
    A readout of the outputs has B `(p, 2 H)` with zeros for the cells.

    Args:
        W_rec: `(4 H, H)`. W_in: `(4 H, m)`. b_rec, b_in: `(4 H,)`.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: hochreiter1997; PyTorch's and Keras' documentation of their layers.
    """

    family: ClassVar[str] = "lstm"
    _gates: ClassVar[tuple[int, str]] = (4, "an LSTM")

    @property
    def num_states(self) -> int:
        """2 H: outputs and cells."""
        return 2 * self.W_rec.shape[1]

    def reachable(self, inputs: Box) -> Box:
        """h in [-1, 1], and c in between the limits of i g / (1 - f) for gates that h and the inputs can open; no bound for a flow."""
        if not isinstance(self.time, Discrete):
            return super().reachable(inputs)
        H = self.W_rec.shape[1]
        outputs = Box.of(-1.0, 1.0, H)
        a = outputs.mapped(self.W_rec, self.b_rec + self.b_in).plus(inputs.mapped(self.W_in, np.zeros(4 * H)))
        return outputs.joined(_cell_box(a, H))

    def _equation(self) -> Equation:
        return Equation(_lstm, {"W_rec": self.W_rec, "W_in": self.W_in, "b": self.b_rec + self.b_in})


def _cell_box(a: Box, H: int) -> Box:
    """Where c' = f c + i g ends up, from the box of the gates' arguments `(4 H,)`, gates i, f, g, o."""

    def logistic(x: Array) -> Array:
        return np.asarray(ACTIVATIONS["logistic"](np, x))

    g = np.tanh(a.low[2 * H : 3 * H]), np.tanh(a.high[2 * H : 3 * H])
    i = logistic(a.low[:H]), logistic(a.high[:H])
    kept = logistic(-a.low[H : 2 * H]), logistic(-a.high[H : 2 * H])  # 1 - f where f is smallest, largest
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(g[0] < 0, i[1] * g[0] / kept[1], i[0] * g[0] / kept[0])
        high = np.where(g[1] > 0, i[1] * g[1] / kept[1], i[0] * g[1] / kept[0])
    return Box(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))


def _gru(xp: Any, p: Any, z: Any, s: Any) -> Any:
    logistic, H = ACTIVATIONS["logistic"], z.shape[0]
    recurrent, driven = p["W_rec"] @ z + p["b_rec"], p["W_in"] @ s + p["b_in"]
    gates = logistic(xp, recurrent[: 2 * H] + driven[: 2 * H])
    reset, update = gates[:H], gates[H:]
    candidate = xp.tanh(driven[2 * H :] + reset * recurrent[2 * H :])
    return (1.0 - update) * candidate + update * z


def _gru_reset_before(xp: Any, p: Any, z: Any, s: Any) -> Any:
    logistic, H = ACTIVATIONS["logistic"], z.shape[0]
    driven = p["W_in"] @ s + p["b_in"] + p["b_rec"]
    gates = logistic(xp, p["W_rec"][: 2 * H] @ z + driven[: 2 * H])
    reset, update = gates[:H], gates[H:]
    candidate = xp.tanh(driven[2 * H :] + p["W_rec"][2 * H :] @ (reset * z))
    return (1.0 - update) * candidate + update * z


def _lstm(xp: Any, p: Any, z: Any, s: Any) -> Any:
    logistic, H = ACTIVATIONS["logistic"], z.shape[0] // 2
    a = p["W_rec"] @ z[:H] + p["W_in"] @ s + p["b"]
    into, forget, out = logistic(xp, a[:H]), logistic(xp, a[H : 2 * H]), logistic(xp, a[3 * H :])
    cell = forget * z[H:] + into * xp.tanh(a[2 * H : 3 * H])
    return xp.concatenate([out * xp.tanh(cell), cell])
