"""Where an orbit begins when nobody says, and how many states of a sample are different ones."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.distinct import first_of_cells
from retime.core.system import System
from retime.core.tolerances import size_of

RESOLUTION = 1e-6  # distance of states, relative to their size, that counts as none
"""States closer than this, per 1 + largest entry, count as one: an orbit that has settled visits one state, not thousands."""


def own_start(model: System, inputs: Array | None = None, *, seed: int = 0) -> tuple[Array, str]:
    """Zeros, or a standard normal draw where zeros are at rest: that orbit would show nothing else.

    Args:
        model: any system.
        inputs: the constant input `(m,)`, or its rows `(k, m)`; zeros count as at rest only if they are under every row. None: zero.
        seed: of the draw.

    Returns:
        The state `(n,)`, and what was chosen in words.
    """
    z = model.start(np.zeros(model.num_states))
    if not model.is_at_rest(z, inputs):
        return z, "zeros"
    draw = np.random.default_rng(seed).normal(size=len(z))
    return draw, f"a random state (seed {seed}), because zeros are a fixed point"


def distinct(states: Array) -> Array:
    """Indices of the states `(k, n)` that differ from all earlier ones of the result by more than `RESOLUTION`.

    Entries that are not finite are left out. Cost: k times the number found.
    """
    z = np.asarray(states, dtype=np.float64)
    kept: list[int] = []
    for k in np.flatnonzero(np.isfinite(z).all(axis=1)):
        near = np.abs(z[kept] - z[k]).max(axis=1, initial=0.0) <= RESOLUTION * size_of(z[k])
        if not near.any():
            kept.append(int(k))
    return np.array(kept, dtype=int)


def spread(states: Array, most: int) -> Array:
    """Indices of at most `most` distinct states of an orbit `(k, n)`, evenly spread over those that it visits."""
    z = np.asarray(states, dtype=np.float64)
    finite = np.flatnonzero(np.isfinite(z).all(axis=1))
    if len(finite) == 0:
        return finite
    size = RESOLUTION * size_of(z[finite])
    cells = np.floor(z[finite] / size)
    candidates = finite[first_of_cells(cells)]
    chosen = candidates[np.linspace(0, len(candidates) - 1, min(len(candidates), most)).astype(int)]
    return chosen[distinct(z[chosen])]
