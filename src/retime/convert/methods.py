"""Methods by name: wherever a method object is taken, its name is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retime.convert.bilinear import GeneralizedBilinear, Tustin
from retime.convert.embeddings import EulerField, FormalLog
from retime.convert.holds import FirstOrderHold, ImpulseInvariant, ZeroOrderHold
from retime.convert.integrators import Euler, ExponentialEuler, Heun, Integrator, RungeKutta
from retime.convert.matched import MatchedPoles
from retime.convert.matrix_log import MatrixLog
from retime.convert.multistep import AdamsBashforth
from retime.convert.tableaux import DORMAND_PRINCE, IMPLICIT_EULER, IMPLICIT_MIDPOINT, MIDPOINT, RALSTON, RK3, RK4

INTEGRATORS: dict[str, Callable[[], Integrator]] = {
    "euler": Euler,
    "heun": Heun,
    "midpoint": lambda: RungeKutta(MIDPOINT),
    "ralston": lambda: RungeKutta(RALSTON),
    "rk3": lambda: RungeKutta(RK3),
    "rk4": lambda: RungeKutta(RK4),
    "dormand-prince": lambda: RungeKutta(DORMAND_PRINCE),
    "implicit-euler": lambda: RungeKutta(IMPLICIT_EULER),
    "implicit-midpoint": lambda: RungeKutta(IMPLICIT_MIDPOINT),
    "tustin": Tustin,
    "ab2": lambda: AdamsBashforth(2),
    "ab3": lambda: AdamsBashforth(3),
    "ab4": lambda: AdamsBashforth(4),
    "ab5": lambda: AdamsBashforth(5),
    "exponential-euler": ExponentialEuler,
    "zoh": ZeroOrderHold,
    "foh": FirstOrderHold,
    "impulse": ImpulseInvariant,
    "matched": MatchedPoles,
    "backward-diff": lambda: GeneralizedBilinear(1.0),
}
"""Methods of `to_discrete` by name; besides, "gbt:ALPHA"."""

_SYNONYMS = {
    "bilinear": "tustin",
    "forward-diff": "euler",
    "forward-euler": "euler",
    "dopri5": "dormand-prince",
    "rk45": "dormand-prince",
}
UNDONE = ("zoh", "foh", "tustin", "matched", "impulse", "euler", "backward-diff")


def integrator(method: Any, name: str = "method") -> Integrator:
    """A method of `to_discrete`: the object given, or the one with this name ("_" and "-" are the same, capitals too).

    Raises:
        ValueError: an unknown name. TypeError: neither.
    """
    if isinstance(method, Integrator):
        return method
    if not isinstance(method, str):
        raise TypeError(
            f"`{name}` is {method!r}; it must be a method object such as Euler() or RungeKutta(RK4), or a name such as "
            f'"euler": {", ".join(INTEGRATORS)}, gbt:ALPHA.'
        )
    key = _key(method)
    if key.startswith("gbt:"):
        return GeneralizedBilinear(_number(key.removeprefix("gbt:"), method, name))
    if key not in INTEGRATORS:
        raise ValueError(
            f"{_shown(name)} is {method!r}; it must be one of {', '.join(INTEGRATORS)}, or gbt:ALPHA such as gbt:0.5."
        )
    return INTEGRATORS[key]()


def field_method(method: Any, name: str = "method", *, linear: bool = True) -> Any:
    """A method of `to_continuous`: the object given, or the one with this name; `linear` allows those of control.

    Raises:
        ValueError: an unknown name.
    """
    if not isinstance(method, str):
        return method
    key = _key(method)
    kind, _, order = key.partition(":")
    if key in ("matrix-log", "logm"):
        return MatrixLog()
    if key == "euler-field":
        return EulerField()
    if kind == "formal-log" and order.isdigit():
        return FormalLog(int(order))
    if linear and (key in UNDONE or key.startswith("gbt:")):
        return integrator(method, name)
    others = f"; of a linear system also {', '.join(UNDONE)}, gbt:ALPHA" if linear else ""
    raise ValueError(
        f"{_shown(name)} is {method!r}; it must be matrix-log, euler-field, or formal-log:ORDER such as formal-log:4{others}."
    )


def _key(name: str) -> str:
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    return _SYNONYMS.get(key, key)


def _shown(name: str) -> str:
    return name if name.startswith("-") else f"`{name}`"


def _number(text: str, method: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{_shown(name)} is {method!r}; after gbt: comes a number from 0 to 1, such as gbt:0.5."
        ) from None
