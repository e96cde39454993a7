"""Elman networks: the state is the nonlinearity of its own weighted sum; with tanh, and with a leak."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from retime.core.activation import Activation, activation
from retime.core.arrays import Array, real_array
from retime.core.equation import Equation
from retime.core.errors import ShapeError
from retime.core.low_rank import product, weights
from retime.core.reachability import Box, relaxed
from retime.core.system import System
from retime.core.time import CONTINUOUS, Continuous, Discrete, TimeBase
from retime.models.piecewise import PiecewiseAffineRNN
from retime.models.relu import ReluRNN, elman_parameters
from retime.models.units import Units

Form = Literal["current", "rate"]


@dataclass(frozen=True, eq=False, repr=False)
class _Units(Units):
    """What all of them share: the weights."""

    W_rec: Any
    W_in: Any
    b: Any

    def __post_init__(self) -> None:
        self._set(**elman_parameters(self.W_rec, self.W_in, self.b))
        self._finish()

    @property
    def _weights(self) -> dict[str, Any]:
        return {"W_rec": weights(self.W_rec), "W_in": self.W_in, "b": self.b}


class _Leaking(_Units):
    """Units with a leak: the state relaxes to a drive."""

    _f: Activation

    activation: Any
    form: Form

    def _check(self, **leak: Any) -> None:
        """The leak, and f under its own name (no synonym) with what it stands for."""
        if self.form not in ("current", "rate"):
            raise ValueError(f'`form` is {self.form!r}; it must be "current" (W f(z)) or "rate" (f(W z)).')
        found = activation(self.activation, self.num_states)
        self._set(activation=found.f if isinstance(found.f, str) else self.activation, _f=found, **leak)

    def _driven(self, inputs: Box) -> Box:
        """The values of f(W z + W_in s + b), or of W f(z) + W_in s + b for all z."""
        limits = self._f.limits(self.num_states)
        if self.form == "rate":
            return limits
        return limits.mapped(np.asarray(self.W_rec), self.b).plus(inputs.mapped(self.W_in, np.zeros(self.num_states)))

    def _details(self) -> list[str]:
        return [str(self.activation), self.form]


@dataclass(frozen=True, eq=False, repr=False)
class TanhRNN(_Units):
    """Elman recurrent network with tanh units.

    z' = tanh(W_rec z + W_in s + b)

    z' is z_{k+1} (Discrete) or dz/dt (Continuous). PyTorch's `nn.RNN` (its default nonlinearity): W_rec = weight_hh_l0,
    W_in = weight_ih_l0, b = bias_ih_l0 + bias_hh_l0. Keras' `SimpleRNN` (its default activation): W_rec =
    recurrent_kernel transposed, W_in = kernel transposed, b = bias. Both report the state after each step.

    Args:
        W_rec: `(n, n)`, or a LowRank. W_in: `(n, m)`. b: `(n,)`.
        time, readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: elman1990.
    """

    family: ClassVar[str] = "tanh_rnn"

    def reachable(self, inputs: Box) -> Box:
        """[-1, 1] for a map; no bound for a flow, which integrates tanh."""
        return Box.of(-1.0, 1.0, self.num_states) if isinstance(self.time, Discrete) else super().reachable(inputs)

    def _equation(self) -> Equation:
        return Equation(_Driven(Activation("tanh"), "rate"), self._weights)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        return _as_rate(self, a, b, time, 1.0, "tanh", "rate")


@dataclass(frozen=True, eq=False, repr=False)
class LeakyRNN(_Leaking):
    """Leaky recurrent network in discrete time: what Euler's method makes of a rate network.

    z_{k+1} = (1 - alpha) z_k + alpha (W_rec f(z_k) + W_in s_k + b)      (form="current": z is the input current, f(z) the rate)
    z_{k+1} = (1 - alpha) z_k + alpha f(W_rec z_k + W_in s_k + b)        (form="rate":    z is the rate)

    With alpha = dt / tau this is Euler's method for `RateRNN` of the same form. alpha = 1 - exp(-dt / tau) is the
    exponential Euler method.

    Args:
        W_rec: `(n, n)`, or a LowRank. W_in: `(n, m)`. b: `(n,)`.
        alpha: leak, a number or `(n,)`, > 0; dimensionless.
        activation: f, one of tanh, relu, softplus, logistic, linear, or a function of an array.
        form: which of the two; "current" by default, as for `RateRNN`.
        time: `Discrete(dt)`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, alpha <= 0, an unknown name, or continuous time.
    """

    family: ClassVar[str] = "leaky_rnn"

    _: KW_ONLY
    alpha: Any
    activation: Any = "tanh"
    form: Form = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(alpha=per_unit("alpha", self.alpha, self.num_states, "the leak, dt / tau"))
        if isinstance(self.time, Continuous):
            raise ValueError("`time` is Continuous(); a LeakyRNN steps. For a differential equation use RateRNN.")

    def reachable(self, inputs: Box) -> Box:
        """Where the drive lies, f(...) or W f(z) + W_in s + b; wider for alpha between 1 and 2, no bound beyond."""
        return relaxed(self._driven(inputs), np.broadcast_to(np.asarray(self.alpha), self.num_states))

    def _equation(self) -> Equation:
        return Equation(_Leaky(self._f, self.form), self._weights | {"alpha": np.array(self.alpha)})

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        return _as_rate(self, a, b, time, self.alpha, self.activation, self.form)


@dataclass(frozen=True, eq=False, repr=False)
class RateRNN(_Leaking):
    """Rate network in continuous time.

    tau dz/dt = -z + W_rec f(z) + W_in s + b        (form="current": z is the input current, f(z) the rate)
    tau dz/dt = -z + f(W_rec z + W_in s + b)        (form="rate":    z is the rate)

    Args:
        W_rec: `(n, n)`. W_in: `(n, m)`; None for no inputs. b: `(n,)`.
        tau: time constant, a number or `(n,)`, > 0, model time.
        activation: f, one of tanh, relu, softplus, logistic, linear, or a function of an array.
        form: which of the two.
        time: `Continuous()`. readout: as for every model.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite, tau <= 0, an unknown name, or discrete time.

    With relu the network is piecewise affine; `piecewise_affine()` is the same network with that capability, whose switches
    are then located exactly. Source: caruso2023.
    """

    family: ClassVar[str] = "rate_rnn"

    _: KW_ONLY
    tau: Any
    activation: Any = "tanh"
    form: Form = "current"
    time: TimeBase = CONTINUOUS

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(tau=per_unit("tau", self.tau, self.num_states, "the time constant"))
        if isinstance(self.time, Discrete):
            raise ValueError(f"`time` is {self.time}; a RateRNN flows. For a map use TanhRNN, LeakyRNN or to_discrete.")

    def reachable(self, inputs: Box) -> Box:
        """Where the drive lies that the state relaxes to, f(...) or W f(z) + W_in s + b."""
        return self._driven(inputs)

    def _equation(self) -> Equation:
        return Equation(_Rate(self._f, self.form), self._weights | {"tau": np.array(self.tau)})

    @property
    def linear_part(self) -> Array | None:
        """The leak, -1 / tau on the diagonal `(n, n)`."""
        return np.diag(np.broadcast_to(-1.0 / np.asarray(self.tau), self.num_states))

    def piecewise_affine(self) -> PiecewiseAffineRNN:
        """The same network with the piecewise-affine capability, for relu and linear activations.

        Raises:
            ValueError: another activation.
        """
        n = self.num_states
        rate = 1.0 / np.broadcast_to(np.asarray(self.tau), n)
        leak, W, U, b = np.diag(-rate), rate[:, None] * np.asarray(self.W_rec), rate[:, None] * self.W_in, rate * self.b
        common = {"time": self.time, "readout": self.readout}
        if self.activation == "linear":
            none = (np.zeros((n, 0)), np.zeros((0, n)), b, np.zeros(0))
            return PiecewiseAffineRNN(leak + W, *none, C1=U, **common)
        if self.activation != "relu":
            raise ValueError(f"`activation` is {self.activation!r}; only relu and linear are piecewise affine.")
        if self.form == "current":
            return PiecewiseAffineRNN(leak, W, np.eye(n), b, np.zeros(n), C1=U, **common)
        return PiecewiseAffineRNN(
            leak, np.diag(rate), np.asarray(self.W_rec), np.zeros(n), self.b, C2=self.W_in, **common
        )

    def stepped(self, alpha: Any, time: Discrete) -> System:
        """The map z_{k+1} = (1 - alpha) z_k + alpha G(z_k), G the right-hand side without its leak.

        A LeakyRNN; for alpha = 1 in the rate form with tanh or relu the Elman network, TanhRNN or ReluRNN.
        """
        alpha = np.asarray(alpha, dtype=np.float64)
        common = {"time": time, "readout": self.readout}
        if self.form == "rate" and np.abs(alpha - 1.0).max() <= 4 * np.finfo(float).eps:
            elman = {"tanh": TanhRNN, "relu": ReluRNN}.get(self._f.f)  # type: ignore[arg-type]
            if elman is not None:
                return elman(self.W_rec, self.W_in, self.b, **common)
            alpha = np.ones_like(alpha)
        kept = {"activation": self.activation, "form": self.form}
        return LeakyRNN(self.W_rec, self.W_in, self.b, alpha=alpha, **kept, **common)

    def _combined(self, a: float, b: float, time: TimeBase) -> System | None:
        if isinstance(time, Continuous):
            return replace(self, tau=np.asarray(self.tau) / b) if a == 0 else None
        return self.stepped(b / np.asarray(self.tau), time) if a == 1 else None


def _as_rate(model: Any, a: float, b: float, time: TimeBase, alpha: Any, f: Any, form: Form) -> RateRNN | None:
    """a z + b F(z) of a leaky map is a rate network when b = -a > 0: -(b alpha) z + b alpha G(z)."""
    if not isinstance(time, Continuous) or isinstance(model.time, Continuous) or a != -b or b <= 0:
        return None
    tau = 1.0 / (b * np.asarray(alpha))
    return RateRNN(model.W_rec, model.W_in, model.b, tau=tau, activation=f, form=form, readout=model.readout)


@dataclass(frozen=True)
class _Driven:
    """G: W f(z) + U s + b, or f(W z + U s + b)."""

    f: Activation
    form: Form

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        if self.form == "rate":
            return self.f(xp, product(p["W_rec"], z) + p["W_in"] @ s + p["b"])
        return product(p["W_rec"], self.f(xp, z)) + p["W_in"] @ s + p["b"]


@dataclass(frozen=True)
class _Leaky(_Driven):
    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return (1.0 - p["alpha"]) * z + p["alpha"] * super().__call__(xp, p, z, s)


@dataclass(frozen=True)
class _Rate(_Driven):
    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        return (super().__call__(xp, p, z, s) - z) / p["tau"]


def per_unit(name: str, value: Any, size: int, meaning: str) -> Any:
    """A positive number, or one per unit `(n,)`.

    Raises:
        ShapeError: neither. ValueError: not positive and finite.
    """
    array = real_array(name, value)
    if array.shape not in ((), (1,), (size,)):
        raise ShapeError(f"`{name}` has shape {array.shape}; it must be a number or ({size},), one per unit.")
    if not (array > 0).all():
        raise ValueError(f"`{name}` holds {array.min()}; {meaning}, must be positive.")
    return float(array.reshape(())) if array.size == 1 and array.shape != (size,) else array
