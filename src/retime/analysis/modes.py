"""How eigenvalues read: the kind of a point, e-folding times and frequencies, in numbers and in words."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.time import NEUTRAL, TimeBase, time_of


def kind_of(w: Array, time: TimeBase) -> str:
    """ "stable node", "unstable focus", "saddle", ... of a point with eigenvalues `(n,)`; "neutral" where a mode neither grows nor decays."""
    growth = time.sizes(w) - time.neutral
    if (np.abs(growth) < NEUTRAL).any():
        return "neutral"
    turning = "focus" if np.abs(np.imag(w)[np.argmax(np.abs(growth) > 0)]) > 0 else "node"
    if (growth < 0).all():
        return f"stable {turning}"
    return f"unstable {turning}" if (growth > 0).all() else "saddle"


def growth_rates(w: Array, dt: float | None) -> Array:
    """Growth of modes, 1 / model time: log|w| / dt of multipliers per step dt, the real part of rates (dt None)."""
    return time_of(dt).growth_rates(w)


def frequencies(w: Array, dt: float | None) -> Array:
    """Frequencies of modes >= 0, 1 / model time: |angle| / (2 pi dt) of multipliers (1 / (2 dt) of one that flips), |imaginary part| / (2 pi)
    of rates."""
    return time_of(dt).frequencies(w)


def leading(w: Array, dt: float | None) -> int:
    """Index of the mode that decides in the long run: the fastest to grow, else the slowest to decay."""
    return int(np.argmax(growth_rates(w, dt)))


def pace(growth: float, unit: str) -> str:
    """A growth rate in words: "decays e-fold in 3.5 steps".

    Args:
        growth: per unit of time. unit: its name in the plural, "steps", or "of model time".
    """
    if abs(growth) < NEUTRAL:
        return "neither grows nor decays"
    if np.isinf(growth):
        return "leaves at once" if growth > 0 else "gone in finite time" if unit != "steps" else "gone in one step"
    time = f"{1.0 / abs(growth):.3g}"
    return (
        f"{'grows' if growth > 0 else 'decays'} e-fold in {time} {'step' if (time, unit) == ('1', 'steps') else unit}"
    )


def mode_words(w: Array, dt: float | None) -> tuple[str, str]:
    """The leading mode of eigenvalues `(n,)`: its pace in words, and its frequency, per step (maps) or per model time, "" for none."""
    if not len(w):
        return "", ""
    k = leading(w, dt)
    step, unit = (1.0, "of model time") if dt is None else (dt, "steps")
    frequency = float(frequencies(w, dt)[k]) * step
    return pace(float(growth_rates(w, dt)[k]) * step, unit), f"{frequency:.3g}" if frequency else ""
