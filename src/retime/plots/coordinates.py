"""Which coordinates of a state are drawn: outputs where there is a readout, few states as they are, else principal components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retime.analysis.view import constant_input
from retime.core.arguments import system
from retime.core.arrays import Array
from retime.core.searched import Searched
from retime.core.states import finite_rows
from retime.core.status import TrajectoryStatus
from retime.core.trajectory import Trajectory

NONE = 1e-9  # share of the variance that rounding makes
LEAVES = 10.0  # times as far as in the first half of what is shown: an orbit that diverges has left
THIRD = 0.01  # share of the variance below which a third principal component is left out


@dataclass(frozen=True)
class Coordinates:
    """Coordinates `(k, d)` of states `(k, n)`, and a label for each.

    Attributes:
        of: states -> coordinates. labels: one per coordinate. shown: indices of the outputs drawn, None where states are.
        axes: `(n, d)`, directions of the states that are drawn, None where outputs are. base: `(n,)`, the state that is the origin.
    """

    of: Callable[[Array], Array]
    labels: tuple[str, ...]
    shown: tuple[int, ...] | None = None
    axes: Array | None = None
    base: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def along(self, path: Trajectory) -> Array:
        """The coordinates `(T, d)` of a trajectory: of the outputs it has, which may depend on inputs, else of its states."""
        single(path)
        if self.shown is not None and path.outputs is not None:
            return np.asarray(path.outputs)[:, list(self.shown)]
        return self.of(np.asarray(path.states))


def coordinates(
    num_states: int,
    *,
    most: int,
    units: Any = None,
    outputs: bool | None = None,
    readout: Callable[[Array], Array | None] | None = None,
    num_outputs: int = 0,
    least: int = 2,
    cloud: Array | None = None,
) -> Coordinates:
    """Choose what is drawn.

    Args:
        num_states: n. most: how many coordinates there is room for.
        units: indices that the caller asks for, of states, or of outputs with `outputs`.
        outputs: True: the outputs; False: never; None: where nothing is asked for and there are at least `least` of them.
        readout: states -> outputs, None where it is not known. num_outputs: p.
        cloud: states `(k, n)` whose principal components are taken where there are more than three states and nothing is asked for.

    Raises:
        ValueError: indices that do not exist, or outputs that are not known.
    """
    if outputs or (outputs is None and units is None and readout is not None and num_outputs >= least):
        if readout is None or not num_outputs:
            raise ValueError("The model has no readout, so there are no outputs to draw; leave out `outputs`.")
        chosen = indices(units, num_outputs, most)
        return Coordinates(
            lambda z: np.asarray(readout(z)).reshape(len(z), num_outputs)[:, chosen],
            tuple(f"output $x_{{{k + 1}}}$" for k in chosen),
            tuple(chosen),
        )
    if units is None and num_states > 3 and cloud is not None:
        found = components(cloud, most)
        if found is not None:
            return found
    chosen = indices(units, num_states, most)
    names = tuple(f"state $z_{{{k + 1}}}$" for k in chosen)
    return Coordinates(
        lambda z: np.asarray(z)[:, chosen], names, axes=np.eye(num_states)[:, chosen], base=np.zeros(num_states)
    )


def components(states: Array, most: int) -> Coordinates | None:
    """The first principal components of states `(k, n)`, with their shares of the variance; None where the states do not spread.

    The sign of each is such that the largest entry of its direction is positive.
    """
    z = finite_rows(states)
    if len(z) < 2:
        return None
    middle = z.mean(axis=0)
    variance, axes = np.linalg.eigh((z - middle).T @ (z - middle) / len(z))
    variance, axes = np.maximum(variance[::-1], 0.0), axes[:, ::-1]
    if not 0.0 < variance.sum() < np.inf:
        return None
    share = variance / variance.sum()
    kept = min(most, max(int((share > NONE).sum()), 1))
    kept = 2 if kept == 3 and share[2] < THIRD else kept
    V = axes[:, :kept] * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])[:kept]
    unit = "%" if kept == 3 else "% of variance"  # the label of an axis in space has little room
    names = tuple(f"PC {k + 1} ({100 * x:{'.0f' if x >= 0.1 else '.1f'}} {unit})" for k, x in enumerate(share[:kept]))
    return Coordinates(lambda x: (np.asarray(x) - middle) @ V, names, axes=V, base=middle)


def subject(verb: str, searched: Searched | None, model: Any, inputs: Any) -> Searched | None:
    """The system of a result, and its input: those given, a `Conversion` standing for its model, else those that the result holds."""
    if model is None:
        return searched
    model = system(verb, model)
    return Searched(model, constant_input(model, inputs))


def known(about: Searched | None) -> dict[str, Any]:
    """What `coordinates` is to be told of a system's outputs."""
    return {} if about is None else {"readout": about.outputs, "num_outputs": about.num_outputs}


def of_trajectory(path: Trajectory, *, most: int, units: Any, outputs: bool | None, least: int = 2) -> Coordinates:
    """The coordinates that a trajectory is drawn in; its own outputs, which may depend on inputs, where outputs are.

    Raises:
        ValueError: a batch, indices that do not exist, or no outputs.
    """
    single(path)
    p = 0 if path.outputs is None else path.outputs.shape[-1]
    given = {"readout": None if path.outputs is None else lambda z: None, "num_outputs": p, "least": least}
    return coordinates(path.states.shape[1], most=most, units=units, outputs=outputs, cloud=path.states, **given)


def in_view(path: Trajectory) -> Trajectory:
    """Of an orbit that diverges the part that a picture can show: before its states are many times as large as they were; else all of it."""
    if path.is_batch or path.status is not TrajectoryStatus.DIVERGED:
        return path
    size = np.abs(finite_rows(path.states)).max(axis=1)
    half = len(size)
    while half > 2 and size[:half].max() > LEAVES * size[: half // 2].max():
        half //= 2
    gone = np.flatnonzero(size > LEAVES * size[:half].max())
    end = max(int(gone[0]), 2) if len(gone) else len(size)
    cut = {name: getattr(path, name)[:end] for name in ("times", "states", "patterns")}
    outputs = None if path.outputs is None else path.outputs[:end]
    kept = path.switch_times <= path.times[end - 1]
    return replace(path, **cut, outputs=outputs, switches=([path.switch_times[kept]], [path.switch_units[kept]]))


def leaving(shown: Trajectory, path: Trajectory) -> str:
    """A title that says where `in_view` ends; "" where it shows all."""
    return "" if shown is path else f"until t = {shown.times[-1]:.3g}, then it diverges"


def indices(units: Any, count: int, most: int) -> list[int]:
    """The indices given, checked, or the first ones.

    Raises:
        ValueError: one that does not exist.
    """
    chosen = list(range(min(count, most))) if units is None else [int(k) for k in units]
    if any(not 0 <= k < count for k in chosen):
        raise ValueError(f"`units` is {chosen}; indices run from 0 to {count - 1}.")
    return chosen


def single(path: Trajectory) -> Trajectory:
    """The trajectory, which is no batch.

    Raises:
        ValueError: it is one.
    """
    if path.is_batch:
        raise ValueError("The trajectory is a batch; draw its members one by one: simulate one initial state.")
    return path


def slice_name(base: Array, axes: Array, what: str) -> str:
    """A title for a plane of states through `base` `(n,)` along the columns of `axes` `(n, 2)`; "" where it is all there is.

    Up to three other states are written out, else it is said what the state is that the plane goes through.
    """
    n = len(base)
    if n <= 2:
        return ""
    other = np.flatnonzero(~np.asarray(axes).any(axis=1))
    if len(other) == n - 2 <= 3:
        return "slice at " + ", ".join(f"$z_{{{k + 1}}}$ = {base[k]:.3g}" for k in other)
    return f"slice through {what}"
