"""Nonlinearities of units, by name or as a function of one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.function import UserFunction
from retime.core.reachability import Box

ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda xp, x: xp.tanh(x),
    "relu": lambda xp, x: xp.where(x > 0, x, 0.0),
    "softplus": lambda xp, x: xp.logaddexp(x, 0.0),
    "logistic": lambda xp, x: 0.5 * (1.0 + xp.tanh(0.5 * x)),
    "linear": lambda xp, x: x,
}
"""tanh x; max(x, 0), with slope 0 at 0; log(1 + e^x); 1 / (1 + e^-x); x."""

LIMITS = {"tanh": (-1.0, 1.0), "logistic": (0.0, 1.0), "relu": (0.0, np.inf), "softplus": (0.0, np.inf)}
"""Smallest and largest values; of the others none is known."""

SYNONYMS = {"sigmoid": "logistic", "identity": "linear"}


@dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity f: a name of `ACTIVATIONS`, or a function of an array (jax.numpy or NumPy)."""

    f: str | UserFunction

    def __call__(self, xp: Any, x: Any) -> Any:
        """f(x), elementwise."""
        return ACTIVATIONS[self.f](xp, x) if isinstance(self.f, str) else self.f(x)

    def limits(self, size: int) -> Box:
        """Between which values f stays, for `size` units."""
        return Box.of(*LIMITS.get(self.f if isinstance(self.f, str) else "", (-np.inf, np.inf)), size)


def activation(f: Any, size: int) -> Activation:
    """The nonlinearity of `size` units, checked.

    Raises:
        ValueError: an unknown name. TypeError: neither a name nor a function. ShapeError: not elementwise.
    """
    if callable(f):
        if isinstance(f, np.ufunc):  # the function of jax.numpy with the same name, where there is one
            import jax.numpy as jnp

            f = getattr(jnp, f.__name__, f)
        return Activation(UserFunction(f, (size,), (size,), "activation"))
    if not isinstance(f, str):
        raise TypeError(f"`activation` is {f!r}; it must be a name ({', '.join(ACTIVATIONS)}) or a function.")
    name = SYNONYMS.get(f, f)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"`activation` is {f!r}; it must be one of {', '.join(ACTIVATIONS)}, or a function of an array (jax.numpy or NumPy)."
        )
    return Activation(name)
