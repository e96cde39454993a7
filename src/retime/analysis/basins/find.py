"""`find_basins`: which fraction of a box of initial states ends on which attractor."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from retime.analysis.basins.census import PROBES, Census
from retime.analysis.basins.dynamics import drawn, dynamics_of
from retime.analysis.basins.endings import Known
from retime.analysis.basins.result import Attractor, Basins, Plane
from retime.analysis.basins.settling import Settling
from retime.analysis.view import constant_input
from retime.core.arguments import box_of, seconds, seed_of, switching_of, system, whole
from retime.core.arrays import Array, vector
from retime.core.patience import Patience
from retime.core.searched import Searched
from retime.core.states import one_state
from retime.core.status import SearchStatus
from retime.core.system import System


def find_basins(
    model: System,
    box: Any,
    *,
    num: int = 2000,
    steps: int | None = None,
    duration: float | None = None,
    inputs: Any = None,
    max_period: int = 32,
    slice: Any = None,
    resolution: int | tuple[int, int] = 200,
    switching: Literal["clock", "state"] | None = None,
    seed: int | None = 0,
    time_limit: float | None = None,
    settling: Settling | None = None,
) -> Basins:
    """Measure which fraction of a box of initial states ends on which attractor.

    Initial states drawn uniformly are simulated together. A fixed point or k-cycle counts as an attractor when it was solved
    for (Newton; exact where the system is affine), its multipliers are inside the unit circle (its eigenvalues have
    negative real parts), and a start counts for it when its orbit arrived there: so a slow passage is no attractor.
    Orbits that stay bounded and come back to where they were are gathered by the states they visit; some of every gathering are
    followed for four horizons more, and told apart by averages along them, so that sets which share cells are sets of their own. Where one
    of them leaves a set, the set is a transient and its orbits go on. A limit cycle of a flow is solved for by shooting (Newton), and
    counts as one when its multipliers are inside the unit circle. Starts that have not settled get four, then sixteen times the horizon
    more, and are then "undecided".

    Args:
        model: a map or a flow. A converted flow that holds its regions for a step is followed from sample to sample.
        box: `(n, 2)`, lowest and highest value of each state, or two numbers (low, high) for all of them; a Trajectory, or points of
            results: around their states, twice as wide as they spread.
        num: initial states >= 1; the standard error of a fraction p is sqrt(p (1 - p) / num).
        steps: for maps, the steps each start is given, 1000 by default.
        duration: for flows, the model time each start is given; by default 1,000 steps of a converted flow, else 200 over the
            size of the Jacobian in the box, doubled until most of 16 orbits rest or come back to where they were within
            a quarter of it (at most 1,024 times as long).
        inputs: `(m,)`, a constant input; None for zero.
        max_period: longest cycle of a map that is recognized as one; longer ones are "bounded".
        slice: two indices (i, j) for the plane of states i and j through the middle of the box, or a `Plane`; adds `image`.
        resolution: of the image, one number or (rows, columns).
        switching: for converted flows, as in `simulate`.
        seed: of the initial states.
        time_limit: seconds of work; None for no limit.
        settling: the thresholds by which an orbit counts as settled; None for those of `Settling()`.

    Returns:
        Basins.

    Raises:
        ShapeError: a box, input or plane of another size. ValueError: an empty box, num < 1, a missing or superfluous horizon.
        TypeError: not a model, or no `Settling`.

    Valid when: the input is constant. Fractions have a sampling error (given); that a start went to an attractor is decided
    by simulation in float64, which near a basin's boundary may differ from the exact orbit.
    Cost: num + pixels simulations; 100,000 starts of a 10-unit PLRNN that settles within 100 steps take 1.6 s on two cores.
    Backend: that of `simulate`. Source: datseris2022 (attractors that were found serve the starts that follow); das2017, rahimi2007
    (averages that tell sets apart); wilson1927; docs/theory/basins.md.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0])  # stable at (2, -2) and (-2, 2)
        >>> found = rt.find_basins(model, (-4.0, 4.0), num=100)
        >>> [attractor.kind for attractor in found.attractors]
        ['fixed_point', 'fixed_point']
    """
    model, seed, time_limit = system("find_basins", model), seed_of(seed), seconds(time_limit)
    switching = switching_of(model, switching)
    bounds = box_of(box, model.num_states, may_be_flat=True)
    count, longest = whole("num", num, 1), whole("max_period", max_period, 1)
    plane, shape = _plane(slice, bounds), _resolution(resolution)
    settling = Settling() if settling is None else settling
    if not isinstance(settling, Settling):
        raise TypeError(f"`settling` is {settling!r}; it must be a Settling(...), or None for the usual thresholds.")
    with np.errstate(all="ignore"):
        patience = Patience.lasting(time_limit)
        dynamics = dynamics_of(model, bounds, steps, duration, inputs, switching, longest, settling, patience)
        census = Census(dynamics)
        if duration is None and not dynamics.motion.clock.dt:
            quarter = dynamics.quarter
            patience.insist(lambda: census.lengthen(quarter, drawn(bounds, PROBES[0], 0)))
        starts = patience.insist(lambda: drawn(bounds, count, seed))
        found = census.label(starts, "following initial states")
        rank = patience.insist(lambda: census.ranked(found))
        labels = rank[found]
        image = None if plane is None else _image(census, plane, shape, rank)
        attractors = patience.insist(lambda: _attractors(census, labels))
    about, status = Searched(model, constant_input(model, inputs)), patience.ended or SearchStatus.HEURISTIC
    return Basins(
        attractors, starts, labels, bounds, image, plane, dynamics.horizon, status, census.message(), settling, about
    )


def _resolution(value: Any) -> tuple[int, int]:
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"`resolution` is {value!r}; it must be one number or (rows, columns).")
    return whole("resolution", pair[0], 1), whole("resolution", pair[1], 1)


def _plane(value: Any, box: Array) -> Plane | None:
    n = len(box)
    if value is None or isinstance(value, Plane):
        if value is None:
            return None
        parts = [vector(f"slice {k}", one_state(getattr(value, k)), n) for k in ("base", "first", "second")]
        extent = box_of(value.extent, 2, name="slice extent", may_be_flat=True)
        return Plane(parts[0], parts[1], parts[2], extent, value.names)
    try:
        i, j = (int(k) for k in value)
    except (TypeError, ValueError):
        raise ValueError(f"`slice` is {value!r}; it must be two indices (i, j) of states, or a Plane.") from None
    if i == j or not (0 <= i < n and 0 <= j < n):
        raise ValueError(f"`slice` is {value!r}; it must be two different indices of states, from 0 to {n - 1}.")
    base = box.mean(axis=1)
    base[[i, j]] = 0.0
    axes = np.eye(n)
    return Plane(base, axes[i], axes[j], box[[i, j]], (f"z{i}", f"z{j}"))


def _image(census: Census, plane: Plane, shape: tuple[int, int], rank: Array) -> Array:
    insist = census.patience.insist
    labels = census.label(insist(lambda: plane.states(shape)), "drawing the slice")
    return insist(lambda: census.append(labels, rank)).reshape(shape)


def _attractors(census: Census, labels: Array) -> tuple[Attractor, ...]:
    number = type(census.dynamics.motion.rest_period)
    return tuple(_attractor(known, count, len(labels), number) for known, count in census.counted(labels))


def _attractor(known: Known, count: int, num: int, number: type) -> Attractor:
    from scipy.stats import binomtest

    p, test = count / num, binomtest(count, num)
    interval = test.proportion_ci(method="wilson")
    kind, points = (known.kind, known.points) if known.loop is None else ("cycle", known.loop.fine[:-1:8])
    ends = float(interval.low), float(interval.high)
    return Attractor(kind, number(known.period), points, count, p, math.sqrt(p * (1 - p) / num), ends, known.largest)
