"""`find_basins`: which fraction of a box of initial states ends on which attractor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from retime.core.arrays import Array, positive, real_array, vector
from retime.core.errors import ConvergenceError, ShapeError
from retime.core.inputs import Inputs
from retime.core.progress import progress
from retime.core.result import Result
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.core.system import SmoothSystem, System
from retime.core.time import Discrete
from retime.core.trajectory import Trajectory
from retime.models import PiecewiseAffineFlow, RegionwiseMap
from retime.simulation import simulate

MEMORY = 2e8  # bytes of states that are simulated at a time
CHUNKS = (4, 16, 64)  # quarters of the horizon: the horizon itself, and twice more for those that have not settled
SAMPLES = 256  # of a flow in a quarter of the horizon, and states of a map that are looked at
MATCH = 1e-6  # distance to an attractor, relative to the size of the box, that counts as arrived
CONTRACTING = 1e-4  # ... that does when it shrank over the last quarter of the horizon
RETURN = 1e-3  # displacement after k steps, relative to the size of the box, from which a k-cycle is solved for
ATTEMPTS = 16  # solutions for fixed points and cycles per quarter of the horizon
NEUTRAL = (
    1e-9  # distance of a multiplier from modulus 1, or of an exponent from 0 relative to the rate, that counts as none
)
REST = 1e-10  # displacement that counts as none
FAR = 1e6  # states this many times larger than the box have diverged
REFERENCE = 2000  # states kept of a bounded attractor
CONFIRMED = 64  # orbits of a map (a quarter as many of a flow) that are followed for longer on every bounded set
PIECE = 0.25  # seconds that one simulation of an event-driven flow is meant to take, for the clock to be looked at
GROUP = (8, 256)  # orbits of such a flow in one simulation: at first, and at most
PROBES = (16, 4)  # orbits by which the default horizon of a flow is measured: at first, and after half of the doublings
DOUBLINGS = 10  # of that horizon, at most
RETURNS = 8  # returns of an orbit of a flow near its start that are tried as the period of a limit cycle
WIDEST = 32  # states of a flow, at most, for limit cycles to be solved for
MOST_SETS = 64  # more bounded attractors than this are taken for a continuum of orbits
_LAST = ("diverged", "undecided")


@dataclass(frozen=True, eq=False, repr=False)
class Attractor:
    """What orbits end on, and how many.

    Attributes:
        kind: "fixed_point", "cycle" (of a map, or the limit cycle of a flow), "bounded" (torus, chaos, and cycles that were not
            solved for), "neutral" (at rest or periodic, but neither attracting nor repelling: line attractors, centers),
            "diverged" or "undecided". A cycle of a converted flow that is switched by its state is "bounded".
        period: of a cycle; for maps a whole number of steps, 1 for fixed points; for flows model time, solved for to a relative
            error near 1e-8; 0 otherwise.
        points: `(k, n)`: the point, the points of the cycle in their order (of a flow, at equal steps of time over one period),
            or samples of the set; `(0, n)` when there are none.
        count: how many initial states of the box end here.
        fraction: count / num.
        standard_error: sqrt(fraction (1 - fraction) / num), binomial; 0 at fractions 0 and 1, where `interval` tells more.
        interval: (low, high), Wilson's 95 % interval of the fraction.
        largest: modulus of the largest multiplier of a fixed point or cycle of a map, or of a limit cycle apart from the 1
            along it; largest real part of the eigenvalues (1 / model time) at an equilibrium of a flow; NaN otherwise.
    """

    kind: str
    period: float
    points: Array
    count: int
    fraction: float
    standard_error: float
    interval: tuple[float, float]
    largest: float

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"Attractor({self.name}, {self.fraction:.4g} +- {self.standard_error:.2g})"

    @property
    def name(self) -> str:
        """The kind, of a cycle with its period."""
        if self.kind != "cycle":
            return self.kind
        return f"cycle of period {self.period:.6g}" if isinstance(self.period, float) else f"{self.period}-cycle"


class Plane(NamedTuple):
    """The states base + x first + y second, for x in extent[0] and y in extent[1].

    Attributes:
        base: `(n,)`. first, second: `(n,)` directions.
        extent: `(2, 2)`, lowest and highest x, lowest and highest y.
        names: labels of the two axes.
    """

    base: Any
    first: Any
    second: Any
    extent: Any
    names: tuple[str, str] = ("first", "second")

    def states(self, resolution: tuple[int, int]) -> Array:
        """States `(rows * columns, n)` of an image of `resolution` (rows, columns), y along rows, at the middle of its pixels."""
        (x0, x1), (y0, y1) = self.extent
        y, x = [(np.arange(k) + 0.5) / k for k in resolution]
        Y, X = np.meshgrid(y0 + (y1 - y0) * y, x0 + (x1 - x0) * x, indexing="ij")
        return self.base + X.reshape(-1, 1) * self.first + Y.reshape(-1, 1) * self.second


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Result):
    """Attractors and the fractions of a box of initial states that they attract.

    Attributes:
        attractors: the largest first; "diverged" and "undecided" last, then those that only the image shows.
        starts: `(num, n)`, the initial states, uniform in the box.
        labels: `(num,)`, index into `attractors` of each.
        box: `(n, 2)`, lowest and highest value of each state.
        image: `(rows, columns)`, index into `attractors` for each pixel of the plane; None without a slice.
        plane: the `Plane` of the image, or None.
        horizon: the steps (maps) or model time (flows) each start was given at first; slow ones got up to 21 times as much.
        status: `heuristic`, `time_limit` or `interrupted` (what was not reached is undecided).
        message: remarks in words.
    """

    attractors: tuple[Attractor, ...]
    starts: Array
    labels: Array
    box: Array
    image: Array | None
    plane: Plane | None
    horizon: float
    status: SearchStatus
    message: str

    _plot: ClassVar[str] = "basins"

    def _title(self) -> str:
        kinds = sum(a.kind not in _LAST for a in self.attractors)
        text = f"{kinds} attractor{'s' * (kinds != 1)} from {len(self.starts)} initial states, {self.status}"
        return f"{text}. {self.message}" if self.message else text

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        header = ["", "kind", "period", "fraction", "95 % interval", "largest"]
        return header, [_row(k, a) for k, a in enumerate(self.attractors)]

    def _data(self) -> dict[str, Any]:
        return {
            "attractors": [a.to_dict() for a in self.attractors],
            "starts": self.starts,
            "labels": self.labels,
            "box": self.box,
            "image": self.image,
            "plane": None if self.plane is None else self.plane._asdict(),
            "horizon": self.horizon,
            "status": str(self.status),
            "message": self.message,
        }


def _row(k: int, a: Attractor) -> list[str]:
    low, high = a.interval
    period = f"{a.period:.8g}" if a.period else ""
    largest = "" if math.isnan(a.largest) else f"{a.largest:.4g}"
    return [str(k), a.kind, period, f"{a.fraction:.4f} +- {a.standard_error:.4f}", f"{low:.4f} to {high:.4f}", largest]


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
    seed: int = 0,
    time_limit: float | None = None,
) -> Basins:
    """Measure which fraction of a box of initial states ends on which attractor.

    Initial states drawn uniformly are simulated together. A fixed point or k-cycle counts as an attractor when it was solved
    for (Newton; exact where the system is affine), its multipliers are inside the unit circle (its eigenvalues have
    negative real parts), and a start counts for it when its orbit arrived there: so a slow passage is no attractor.
    Orbits that stay bounded and come back to where they were are grouped by the states they visit; some of every group are
    followed for four horizons more, and where one of them leaves, the group is a transient and goes on. A limit cycle of a
    flow is solved for by shooting (Newton), and counts as one when its multipliers are inside the unit circle. Starts that
    have not settled get four, then sixteen times the horizon more, and are then "undecided".

    Args:
        model: a map or a flow. A converted flow that holds its regions for a step is followed from sample to sample.
        box: `(n, 2)`, lowest and highest value of each state, or two numbers (low, high) for all of them.
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
        time_limit: seconds; None for no limit.

    Returns:
        Basins.

    Raises:
        ShapeError: a box, input or plane of another size. ValueError: an empty box, num < 1, a missing or superfluous horizon.
        TypeError: not a model.

    Valid when: the input is constant. Fractions have a sampling error (given); that a start went to an attractor is decided
    by simulation in float64, which near a basin's boundary may differ from the exact orbit.
    Cost: num + pixels simulations; 100,000 starts of a 10-unit PLRNN that settles within 100 steps take 1.6 s on two cores.
    Backend: that of `simulate`. Source: datseris2022 (attractors that were found serve the starts that follow); wilson1927.
    """
    if not isinstance(model, System):
        raise TypeError(f"`model` is {type(model).__name__}; find_basins takes a retime model or a converted flow.")
    bounds = _box(box, model.num_states)
    count = _whole("num", num, 1)
    plane, shape = _plane(slice, bounds), _resolution(resolution)
    with np.errstate(all="ignore"):
        limit = math.inf if time_limit is None else time.monotonic() + time_limit
        dynamics = _dynamics(model, bounds, steps, duration, inputs, switching, _whole("max_period", max_period, 1))
        size = _Size.of(bounds)
        dynamics.far = size.far
        census = _Census(dynamics, size, limit)
        if not dynamics.is_map and duration is None and not isinstance(dynamics.model, PiecewiseAffineFlow):
            quarter = dynamics.quarter
            census.anyway(lambda: census.lengthen(quarter, _drawn(bounds, PROBES[0], 0)))
        starts = census.anyway(lambda: _drawn(bounds, count, seed))
        found = census.label(starts, "following initial states")
        rank = census.anyway(lambda: census.ranked(found))
        labels = rank[found]
        image = None if plane is None else _image(census, plane, shape, rank)
        attractors = census.anyway(lambda: census.counted(labels))
    return Basins(attractors, starts, labels, bounds, image, plane, dynamics.horizon, census.status, census.message())


def _drawn(box: Array, count: int, seed: int) -> Array:
    return box[:, 0] + (box[:, 1] - box[:, 0]) * np.random.default_rng(seed).random((count, len(box)))


# --- arguments -------------------------------------------------------------------------------------------------------


def _box(value: Any, n: int) -> Array:
    box = real_array("box", value)
    if box.shape == (2,):
        box = np.tile(box, (n, 1))
    if box.shape != (n, 2):
        raise ShapeError(
            f"`box` has shape {box.shape}; it must be ({n}, 2), lowest and highest value of each state, or two numbers (low, high)."
        )
    if (box[:, 0] > box[:, 1]).any():
        k = int(np.argmax(box[:, 0] > box[:, 1]))
        raise ValueError(f"`box` is empty: state {k} goes from {box[k, 0]} down to {box[k, 1]}. Give (low, high).")
    return box


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"`{name}` is {value!r}; it must be a whole number >= {least}.")
    return int(value)


def _resolution(value: Any) -> tuple[int, int]:
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"`resolution` is {value!r}; it must be one number or (rows, columns).")
    return _whole("resolution", pair[0], 1), _whole("resolution", pair[1], 1)


def _plane(value: Any, box: Array) -> Plane | None:
    n = len(box)
    if value is None or isinstance(value, Plane):
        if value is None:
            return None
        parts = [vector(f"slice {k}", getattr(value, k), n) for k in ("base", "first", "second")]
        extent = _box(value.extent, 2)
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


def _dynamics(
    model: Any, box: Array, steps: Any, duration: Any, inputs: Any, switching: Any, max_period: int
) -> _Dynamics:
    if isinstance(model, PiecewiseAffineFlow):
        if switching not in (None, "clock", "state"):
            raise ValueError(f'`switching` is {switching!r}; it must be "clock" or "state".')
        if switching != "state":
            model, switching = RegionwiseMap(model), None
    elif switching is not None:
        raise ValueError(f"`switching` is {switching!r}, but {type(model).__name__} has no choice. Drop it.")
    s = np.zeros(model.num_inputs) if inputs is None else vector("inputs", inputs, model.num_inputs)
    is_map = isinstance(model.time, Discrete)
    if (duration if is_map else steps) is not None:
        wrong, right = ("duration", "steps") if is_map else ("steps", "duration")
        raise ValueError(
            f"`{wrong}` was given, but {type(model).__name__} {'is a map' if is_map else 'flows'}: give `{right}`."
        )
    if is_map:
        quarter = -(-_whole("steps", 1000 if steps is None else steps, 1) // CHUNKS[0])
        return _Dynamics(model, s, True, quarter, 1.0, None, min(max_period, max(quarter - 1, 1)))
    flow = _Dynamics(model, s, False, 1.0, 1.0, switching, 1)
    flow.rate = _rate(flow, box)
    longest = 1000 * model.dt if isinstance(model, PiecewiseAffineFlow) else 200.0 / flow.rate
    total = longest if duration is None else positive("duration", duration, "model time")
    flow.quarter = total / CHUNKS[0]
    return flow


def _rate(flow: _Dynamics, box: Array) -> float:
    z = box[:, 0] + (box[:, 1] - box[:, 0]) * np.random.default_rng(0).random((8, len(box)))
    sizes = np.array([np.linalg.norm(flow.jacobian(x), 2) for x in z])
    fine = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.median(fine)) if len(fine) else 1.0


# --- the system, advanced by a quarter of the horizon -----------------------------------------------------------------


@dataclass
class _Dynamics:
    """A model with constant input."""

    model: Any
    s: Array
    is_map: bool
    quarter: Any  # steps, or model time
    rate: float
    switching: Any
    max_period: int
    far: float = math.inf  # states beyond it have diverged
    is_interrupted: bool = False

    @property
    def horizon(self) -> float:
        """Steps or model time that every start is given."""
        return float(self.quarter * CHUNKS[0])

    def advance(self, z: Array, deadline: float) -> tuple[Array, Array, Array]:
        """The last states `(w, b, n)` of a quarter of the horizon, which members (bool) stopped for another reason than
        divergence, and which were not finished before the deadline or Ctrl-C."""
        length = min(int(self.quarter), SAMPLES) if self.is_map else SAMPLES
        window = np.full((length + 1, *z.shape), np.nan)
        window[0] = z
        stopped, late = np.zeros(len(z), dtype=bool), np.ones(len(z), dtype=bool)
        try:
            if self.is_map or isinstance(self.model, SmoothSystem):
                self._blocks(window, stopped, late, deadline)
            else:
                self._groups(window, stopped, late, deadline)
        except KeyboardInterrupt:
            self.is_interrupted = True
        return window, stopped, late

    def _blocks(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill the window, a block of members at a time for the memory's sake."""
        z = window[0].copy()
        block = max(1, int(MEMORY // (8 * z.shape[1] * ((self.quarter if self.is_map else SAMPLES) + 1))))
        block = min(block, 1 << (len(z) - 1).bit_length())
        for k in range(0, len(z), block):
            if k and time.monotonic() > deadline:
                return
            some = slice(k, min(k + block, len(z)))
            window[:, some], stopped[some] = self._advance(z[some], block)
            late[some] = False

    def _advance(self, z: Array, block: int) -> tuple[Array, Array]:
        count = len(z)
        if self.is_map and isinstance(self.model, SmoothSystem):  # compiled once per size of the block
            z = z[np.minimum(np.arange(block), count - 1)]
        if self.is_map:
            path = simulate(self.model, z, steps=int(self.quarter), inputs=np.tile(self.s, (int(self.quarter), 1)))
        else:
            path = self._flown(z, np.linspace(0.0, self.quarter, SAMPLES + 1))
        return path.states[-SAMPLES - 1 :, :count], _lost(path)[:count]

    def _flown(self, z: Array, times: Array, tolerance: float = 1e-8) -> Trajectory:
        inputs = np.tile(self.s, (len(times) - 1, 1))
        options: dict[str, Any] = {"tolerance": tolerance} if isinstance(self.model, SmoothSystem) else {}
        return simulate(self.model, z, times=times, inputs=self._held(inputs), switching=self.switching, **options)

    def _groups(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill the window of an event-driven flow, a group of members at a time: one that switches thousands of times per
        unit of time must not keep the others waiting for a clock that nobody looks at."""
        first, size = 0, GROUP[0]
        while first < len(late) and time.monotonic() <= deadline:
            some, began = slice(first, min(first + size, len(late))), time.monotonic()
            self._group(window[:, some], stopped[some], late[some], deadline)
            quick = time.monotonic() - began < PIECE
            first, size = some.stop, min(2 * size, GROUP[1]) if quick else max(1, size // 2)

    def _group(self, window: Array, stopped: Array, late: Array, deadline: float) -> None:
        """Fill a window from its first row in pieces of the horizon, each sized by the time that the one before took.

        Pieces end at sample times, where the auxiliary states of a raised region are zero. Members that are far away end
        there; the NaN that remain say so.
        """
        grid = np.linspace(0.0, self.quarter, SAMPLES + 1)
        tick = self.model.dt if isinstance(self.model, PiecewiseAffineFlow) else grid[1]
        count = max(1, math.ceil(self.quarter / tick - 1e-9))
        z, at, reach = window[0].copy(), 0, max(1, count // 64)
        while late.any() and time.monotonic() <= deadline:
            began, alive, end = time.monotonic(), np.flatnonzero(late), min(at + reach, count)
            low, high = at * tick, self.quarter if end == count else end * tick
            rows = np.flatnonzero((grid > low) & (grid <= high))
            path = self._flown(z[alive], np.unique([low, *grid[rows], high]) - low)
            window[np.ix_(rows, alive)] = path.states[1 : 1 + len(rows)]
            z[alive], stopped[alive] = path.states[-1], _lost(path)
            late[alive] = (end < count) & ~stopped[alive] & (np.abs(z[alive]) < self.far).all(axis=1)
            at, spent = end, time.monotonic() - began
            reach = max(1, int(reach * min(4.0, PIECE / max(spent, 1e-6))))

    def _held(self, rows: Array) -> Any:
        if not self.model.num_inputs:
            return None
        if self.switching == "state" or (isinstance(self.model, SmoothSystem) and not self.is_map):
            return Inputs(np.zeros(1), self.s[None])  # one piece: no step ends at a sample for the input's sake
        return rows

    def path(self, z: Array, duration: float, pieces: int = 1) -> tuple[Array, Array]:
        """Times `(k,)` and accurate states `(k, b, n)` of a flow from z `(b, n)`, SAMPLES in each of equal pieces of a duration;
        always as many, so that one program is compiled."""
        times, parts = np.linspace(0.0, duration, pieces * SAMPLES + 1), [z[None]]
        for _ in range(pieces):
            parts.append(self._flown(parts[-1][-1], times[: SAMPLES + 1], 1e-12).states[1:])
        return times, np.concatenate(parts)

    def right(self, z: Array) -> Array:
        """F at one state `(n,)`."""
        return self.model.step(z, self.s) if self.is_map else self.model.field(z, self.s)

    def jacobian(self, z: Array) -> Array:
        """dF/dz at one state `(n, n)`; for a state-switched flow the generator of the region, auxiliary states apart."""
        if isinstance(self.model, PiecewiseAffineFlow):
            return self.model.region(self.model.pattern(z, self.s)).W[: len(z), : len(z)]
        return self.model.jacobian(z, self.s)

    def around(self, z: Array, period: int) -> tuple[Array, Array, Array]:
        """Residual `(n,)` and Jacobian of F^k(z) - z (maps) or F (flows), and the orbit `(k, n)`."""
        if not self.is_map:
            return self.right(z), self.jacobian(z), z[None]
        orbit, M, x = [], np.eye(len(z)), z
        for _ in range(period):
            orbit.append(x)
            M = self.jacobian(x) @ M
            x = self.right(x)
        return x - z, M - np.eye(len(z)), np.array(orbit)

    def largest(self, J: Array) -> float:
        """How attracting, from the Jacobian of `around`: largest modulus of a multiplier, or largest real part."""
        if not self.is_map:
            return float(np.linalg.eigvals(J).real.max())
        return float(np.abs(np.linalg.eigvals(J + np.eye(len(J)))).max())

    def excess(self, largest: float) -> float:
        """Below 0 where attracting, in units of NEUTRAL."""
        return (largest - 1.0 if self.is_map else largest / self.rate) / NEUTRAL


def _lost(path: Trajectory) -> Array:
    """Which members (bool) stopped for another reason than divergence."""
    fine = (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE, TrajectoryStatus.DIVERGED)
    return np.array([s not in fine for s in path.statuses])


# --- attractors that are known ---------------------------------------------------------------------------------------


class _Size(NamedTuple):
    """Lengths that distances are compared with: the box, and beyond which states have diverged."""

    width: float
    far: float

    @classmethod
    def of(cls, box: Array) -> _Size:
        """From the box `(n, 2)`."""
        reach = float(np.abs(box).max())
        width = float((box[:, 1] - box[:, 0]).max()) or 1e-3 * reach or 1.0
        return cls(width, FAR * (width + reach))


@dataclass
class _Known:
    """An attractor that was found: its points, or samples of the set with the distance within which a state belongs to it."""

    kind: str
    points: Array
    period: float = 0
    largest: float = math.nan
    radius: float = 0.0
    tree: Any = None
    is_confirmed: bool = False  # of a bounded set: orbits were followed for longer
    is_left: bool = False  # ... and ended elsewhere
    is_void: bool = False  # ... and did not stay within it, but went on: it was a part of something larger, or drifts
    orbits: Any = None  # ... or stayed: the last states `(w, b, n)` of these orbits
    loop: Any = None  # of a limit cycle, its states over one period

    def distance(self, z: Array) -> Array:
        """From states `(b, n)` to the nearest point."""
        if self.kind not in ("fixed_point", "cycle"):
            return np.full(len(z), np.inf)
        return np.min([np.abs(z - p).max(axis=1) for p in self.points], axis=0)


@dataclass
class _Census:
    """Starts followed to their ends, and the attractors known so far."""

    dynamics: _Dynamics
    size: _Size
    deadline: float
    known: list[_Known] = field(default_factory=list)
    status: SearchStatus = SearchStatus.HEURISTIC
    lost: int = 0
    has_left_out_sets: bool = False
    has_transients: bool = False
    slow: int = 0  # starts that were followed to the end of their time and are undecided
    tried: float = 0.0  # longest window in which trial orbits neither rest nor come back; 0 when they do
    order: list[int] = field(default_factory=list)

    def anyway(self, work: Callable[[], Any]) -> Any:
        """The value of short work that can be done twice: after Ctrl-C it is done again, and nothing else is begun."""
        while True:
            try:
                return work()
            except KeyboardInterrupt:
                self._interrupt()

    def _interrupt(self) -> None:
        self.status, self.deadline = SearchStatus.INTERRUPTED, -math.inf

    def lengthen(self, quarter: float, z: Array) -> None:
        """Double the quarter of the horizon until most orbits from z `(b, n)` end within it: rest, diverge or come back."""
        share = 1.0 / len(z)  # that one orbit stands for
        for k in range(DOUBLINGS + 1):
            self.dynamics.quarter = self.tried = quarter * 2.0**k
            if self._is_over():
                break
            window, stopped, late = self.dynamics.advance(z, self.deadline)
            if stopped.any() or late.any():
                break
            gone = ~(np.abs(window[-1]) < self.size.far).all(axis=1)
            z = window[-1, ~gone & ~self._is_at_an_end(window)]
            if len(z) * share <= 0.1:
                self.tried = 0.0
                return
            if k >= DOUBLINGS // 2:
                z, share = z[: PROBES[1]], share * max(1.0, len(z) / PROBES[1])
        self.dynamics.quarter = quarter

    def _is_at_an_end(self, window: Array) -> Array:
        """Whether (bool) orbits settle at a point, or come back to where they were and neither shrink nor grow."""
        quarters, unit = np.array_split(window, 4), self.size.width
        earlier, later = (np.ptp(x, axis=0).max(axis=1) for x in quarters[2:])
        ends = (later <= 1e-2 * unit) & ((later < 0.5 * earlier) | (later <= REST * unit))
        for k in np.flatnonzero(~ends):
            ends[k] = _comes_back(window[:, k], unit) and not _drifts(window[:, k])
        return ends

    def label(self, starts: Array, what: str) -> Array:
        """Index into `known` of the attractor of each start."""
        labels = np.full(len(starts), -1)
        self.anyway(lambda: self._follow_all(starts, labels, what))
        self.slow += int((labels < 0).sum())
        labels[labels < 0] = self._special("undecided")
        labels = self.anyway(lambda: self._joined(labels))
        self.anyway(lambda: self._close(labels))
        return labels

    def _follow_all(self, starts: Array, labels: Array, what: str) -> None:
        if self.status is SearchStatus.INTERRUPTED:
            return
        group = max(1, int(MEMORY // (8 * starts.shape[1] * (SAMPLES + 1))))
        with progress(what, len(starts)) as advance:
            for k in range(0, len(starts), group):
                z, left = starts[k : k + group], np.arange(k, min(k + group, len(starts)))
                for quarters in CHUNKS:
                    z, left = self._follow(z, left, labels, quarters, advance)

    def _is_over(self) -> bool:
        """Whether the time is up; notes why."""
        if self.dynamics.is_interrupted:
            self._interrupt()
        if time.monotonic() <= self.deadline:
            return False
        if self.status is SearchStatus.HEURISTIC:
            self.status = SearchStatus.TIME_LIMIT
        return True

    def _follow(
        self, z: Array, left: Array, labels: Array, quarters: int, advance: Callable[[int], None]
    ) -> tuple[Array, Array]:
        """Advance the starts `left`, now at z, by quarters of the horizon; those that settle get their label. Whether the
        others come back is seen in the last fourth of these quarters."""
        window, recent = z[None], []
        thin = max(1, quarters // CHUNKS[1]) if not self.dynamics.is_map else 1
        most = quarters // 4 if not self.dynamics.is_map else min(quarters // 4, 4)
        for _ in range(quarters):
            if len(left) == 0 or self._is_over():
                return z, left
            window, stopped, late = self.dynamics.advance(z, self.deadline)
            self.lost += int(stopped.sum())
            if late.any():
                self._is_over()
            found = np.full(len(z), -1)
            if not late.all():
                found[~late] = self._settled(window[:, ~late])
            if (stopped | late).any():
                found[stopped | late] = self._special("undecided")
            labels[left] = found
            advance(int((found >= 0).sum()))
            z, left, window = window[-1, found < 0], left[found < 0], window[:, found < 0]
            most = min(most, max(1, int(2 * MEMORY // max(window.nbytes, 1))))
            recent = [*(x[:, found < 0] for x in recent), window[::-1][::thin][::-1]][-most:]
        found = self._recurrent(np.concatenate(recent))
        self._confirm(window[-1], found)
        labels[left] = found
        advance(int((found >= 0).sum()))
        return z[found < 0], left[found < 0]

    def _special(self, kind: str) -> int:
        for k, a in enumerate(self.known):
            if a.kind == kind:
                return k
        self.known.append(_Known(kind, np.zeros((0, len(self._probe)))))
        return len(self.known) - 1

    @property
    def _probe(self) -> Array:
        return np.zeros(self.dynamics.model.num_states)

    def _settled(self, window: Array) -> Array:
        """Labels `(b,)` of those that diverged or arrived at a known or new fixed point or cycle; -1 for the others."""
        z = window[-1]
        labels = np.full(z.shape[0], -1)
        gone = ~(np.abs(z) < self.size.far).all(axis=1)
        if gone.any():
            labels[gone] = self._special("diverged")
        periods, moved = _returns(window, self.dynamics.max_period)
        self._arrived(window, labels)
        candidates = _is_settling(window, periods, moved, self.size.width)
        for _ in range(ATTEMPTS):
            near = np.min([np.full(len(z), np.inf), *[a.distance(z) for a in self.known]], axis=0)
            coming = (near <= 1e-2 * self.size.width) & (moved > REST * self.size.width)
            open_ = np.flatnonzero(candidates & (labels < 0) & ~coming)
            if len(open_) == 0:
                break
            k = open_[np.argmin(moved[open_])]
            candidates[k] = False
            if self._solve(z[k], int(periods[k])):
                self._arrived(window, labels)
        self._neutral(window, labels, periods, moved)
        return labels

    def _arrived(self, window: Array, labels: Array) -> None:
        """Label those that have come close to a known attractor, or closer than before when they are near."""
        for k, a in enumerate(self.known):
            open_ = np.flatnonzero(labels < 0)
            now = a.distance(window[-1, open_])
            if not np.isfinite(now).any():
                continue
            before = a.distance(window[max(-1 - SAMPLES // 2, -len(window)), open_])
            unit = self.size.width
            there = (now <= MATCH * unit + 1e-12 * np.abs(a.points).max()) | (
                (now <= CONTRACTING * unit) & (now < 0.9 * before)
            )
            labels[open_[there]] = k

    def _solve(self, z: Array, period: int) -> bool:
        """Solve for the fixed point or cycle near z; whether a new attracting one was found."""
        p = _newton(self.dynamics, z, period)
        if (p is None or np.abs(p - z).max() > RETURN * self.size.width) and self._resting(z):
            return True
        if p is None:
            return False
        _, J, orbit = self.dynamics.around(p, period)
        largest = self.dynamics.largest(J)
        if not self.dynamics.excess(largest) < -1:
            return False
        period = _least_period(orbit, MATCH * self.size.width)
        if period < len(orbit):
            largest = self.dynamics.largest(self.dynamics.around(p, period)[1])
        known = _Known(
            "fixed_point" if period == 1 else "cycle", orbit[:period], period if self.dynamics.is_map else 0, largest
        )
        if min([a.distance(p[None])[0] for a in self.known], default=np.inf) <= 0.1 * MATCH * self.size.width:
            return False
        self.known.append(known)
        return True

    def _resting(self, z: Array) -> bool:
        """A state at rest without a vanishing field: Filippov's flow can rest on a boundary."""
        if not isinstance(self.dynamics.model, PiecewiseAffineFlow):
            return False
        window, _, _ = self.dynamics.advance(z[None], self.deadline)
        if not np.abs(window[:, 0] - window[-1, 0]).max() <= REST * self.size.width:
            return False
        self.known.append(_Known("fixed_point", window[-1]))
        return True

    def _neutral(self, window: Array, labels: Array, periods: Array, moved: Array) -> None:
        """Label those that rest, or return, where nothing attracts and nothing repels."""
        for k in np.flatnonzero((labels < 0) & (moved <= REST * self.size.width)):
            excess = self.dynamics.excess(
                self.dynamics.largest(self.dynamics.around(window[-1, k], int(periods[k]))[1])
            )
            if -1 <= excess <= 1:
                labels[k] = self._special("neutral")
                a = self.known[labels[k]]
                if len(a.points) < REFERENCE:
                    a.points = np.concatenate([a.points, window[-1:, k]])

    def _recurrent(self, window: Array) -> Array:
        """Labels of those on a known bounded set, or that keep coming back to where they were; -1 for the others."""
        labels = np.full(window.shape[1], -1)
        for k in range(window.shape[1]):
            if self._is_over():
                break
            x = window[:, k]
            sets = [j for j, a in enumerate(self.known) if a.kind == "bounded" and not a.is_void]
            sample = x[:: max(1, len(x) // 32)]
            own = [j for j in sets if _overlap(self.known[j], sample) >= 0.9]
            stays = [j for j in own if not self.known[j].is_left]
            if stays:
                labels[k] = stays[0]
                _enlarge(self.known[stays[0]], x)
            elif own:
                self.has_transients = True
            elif _comes_back(x, self.size.width) and len(sets) < MOST_SETS:
                self.known.append(_Known("bounded", np.zeros((0, x.shape[1]))))
                labels[k] = len(self.known) - 1
                _enlarge(self.known[-1], x)
            elif len(sets) >= MOST_SETS:
                self.has_left_out_sets = True
        return labels

    def _confirm(self, z: Array, labels: Array) -> None:
        """Follow some orbits of every new bounded set for four horizons more: a set that they leave is a transient."""
        for j, a in enumerate(self.known):
            rows = np.flatnonzero(labels == j)
            if a.kind != "bounded" or a.is_confirmed or len(rows) == 0:
                continue
            window, chosen = z[None], z[rows[: CONFIRMED if self.dynamics.is_map else CONFIRMED // 4]]
            for _ in range(CHUNKS[1]):
                window, stopped, late = self.dynamics.advance(chosen, self.deadline)
                if late.any():
                    self._is_over()
                    labels[rows] = -1
                    return
                chosen = window[-1]
                a.is_left = bool(stopped.any() or (self._settled(window) >= 0).any())
                if a.is_left:
                    break
            a.is_void = not a.is_left and any(_overlap(a, window[:, k]) < 0.5 for k in range(len(chosen)))
            labels[rows] = -1 if a.is_left or a.is_void else j
            a.is_confirmed = True
            a.orbits = None if a.is_left or a.is_void else window

    def _close(self, labels: Array) -> None:
        """Note period and states of those bounded sets of a flow that are limit cycles."""
        flow = self.dynamics
        if flow.is_map or isinstance(flow.model, PiecewiseAffineFlow) or len(self._probe) > WIDEST:
            return
        for a in [self.known[k] for k in np.unique(labels)]:
            if a.orbits is not None:
                self._solve_cycle(a, a.orbits)
                a.orbits = None

    def _solve_cycle(self, a: _Known, orbits: Array) -> None:
        """Note period and states of one bounded set, with `orbits` on it, if it is a limit cycle."""
        found = _limit_cycle(self.dynamics, orbits[-1, 0], self.deadline)
        if found is None:
            return
        from scipy.spatial import KDTree

        period, largest, loop = found
        apart = KDTree(loop).query(orbits.reshape(-1, loop.shape[1]))[0]
        if np.quantile(apart, 0.95) <= 0.02 * _spread(loop):  # jumps may be too quick for the samples of the loop
            a.period, a.largest, a.loop = period, largest, loop[:-1:8]

    def _joined(self, labels: Array) -> Array:
        """Labels with the bounded sets joined that turned out to be one when more of their states were known."""
        sets = [k for k, a in enumerate(self.known) if a.kind == "bounded" and not (a.is_left or a.is_void)]
        for n, j in enumerate(sets):
            for k in sets[:n]:
                if (
                    max(_overlap(self.known[k], self.known[j].points), _overlap(self.known[j], self.known[k].points))
                    >= 0.9
                ):
                    labels = np.where(labels == j, k, labels)
        return labels

    def ranked(self, labels: Array) -> Array:
        """New index of each known attractor: by count, the diverged and undecided last; fixes the order."""
        counts = np.bincount(labels, minlength=len(self.known))
        self.order = sorted(
            np.flatnonzero(counts).tolist(),
            key=lambda k: (self.known[k].kind in _LAST, self.known[k].kind == "undecided", -counts[k], k),
        )
        rank = np.full(len(self.known), -1)
        rank[self.order] = np.arange(len(self.order))
        return rank

    def append(self, labels: Array, rank: Array) -> Array:
        """Labels of an image in the order of `ranked`, attractors that are new there appended."""
        self.order = self.order[: int((rank >= 0).sum())]
        rank = np.concatenate([rank, np.full(len(self.known) - len(rank), -1)])
        for k in np.unique(labels):
            if rank[k] < 0:
                rank[k] = len(self.order)
                self.order.append(int(k))
        return rank[labels]

    def counted(self, labels: Array) -> tuple[Attractor, ...]:
        """The attractors that were reached, with how many of the labels in the order of `ranked` are theirs."""
        counts = np.bincount(labels, minlength=len(self.order))
        number = int if self.dynamics.is_map else float
        return tuple(
            _attractor(self.known[k], int(c), len(labels), number) for k, c in zip(self.order, counts, strict=True)
        )

    def message(self) -> str:
        """Remarks for the result."""
        parts = []
        if self.lost:
            parts.append(f"{self.lost} simulations stopped early (see `simulate`) and are undecided.")
        if self.has_left_out_sets:
            parts.append(f"More than {MOST_SETS} different bounded sets: orbits seem to fill a continuum.")
        if self.has_transients and "undecided" in [self.known[k].kind for k in self.order]:
            parts.append("Some of the undecided still wander on a set that others have left (a chaotic transient).")
        if self.status is SearchStatus.HEURISTIC and self.slow and not self.has_left_out_sets:
            parts.append(self._why_undecided())
        return " ".join(parts)

    def _why_undecided(self) -> str:
        flow = self.dynamics
        unit, name = ("steps", "steps") if flow.is_map else ("units of time", "duration")
        text = (
            f"Within {flow.horizon * sum(CHUNKS) / CHUNKS[0]:.4g} {unit}, {self.slow} undecided neither arrived at an attracting point or "
            "cycle nor came back to where they had been"
        )
        if self.tried:
            text += f"; nor did trial orbits in windows up to {self.tried:.4g}, so the default `duration` is a guess"
        return f"{text}. If they are slow, give a longer `{name}` than {flow.horizon:.4g}."


def _image(census: _Census, plane: Plane, shape: tuple[int, int], rank: Array) -> Array:
    labels = census.label(census.anyway(lambda: plane.states(shape)), "drawing the slice")
    return census.anyway(lambda: census.append(labels, rank)).reshape(shape)


def _attractor(known: _Known, count: int, num: int, number: Callable[[float], float]) -> Attractor:
    p = count / num
    error = math.sqrt(p * (1 - p) / num)
    kind, points = (known.kind, known.points) if known.loop is None else ("cycle", known.loop)
    return Attractor(kind, number(known.period), points, count, p, error, wilson(count, num), known.largest)


def wilson(count: int, num: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval (low, high) of a fraction of which `count` of `num` were seen; z standard deviations wide.

    Source: wilson1927.
    """
    p = count / num
    middle = (p + z * z / (2 * num)) / (1 + z * z / num)
    half = z / (1 + z * z / num) * math.sqrt(p * (1 - p) / num + z * z / (4 * num * num))
    return max(0.0, middle - half), min(1.0, middle + half)


# --- how orbits end --------------------------------------------------------------------------------------------------


def _returns(window: Array, max_period: int) -> tuple[Array, Array]:
    """The k <= max_period with the smallest displacement after k samples (the least k among equals), and that displacement."""
    periods, moved = np.ones(window.shape[1], dtype=int), np.full(window.shape[1], np.inf)
    for k in range(1, min(max_period, len(window) - 1) + 1):
        d = np.abs(window[-1] - window[-1 - k]).max(axis=1)
        better = d < 0.5 * moved
        periods[better], moved[better] = k, d[better]
    return periods, moved


def _is_settling(window: Array, periods: Array, moved: Array, width: float) -> Array:
    """Whether (bool) the displacement after a period is small, was so half a window ago, and shrinks: chaos seldom does that."""
    half = len(window) // 2
    rows = np.arange(window.shape[1])
    back = np.maximum(half - periods, 0)
    before = np.abs(window[half] - window[back, rows]).max(axis=1)
    shrinks = (moved < before) | (moved <= REST * width)
    return (moved <= RETURN * width) & (before <= 10 * RETURN * width) & shrinks


def _newton(dynamics: _Dynamics, z: Array, period: int) -> Array | None:
    """The fixed point or cycle that Newton's method reaches from z, or None."""
    x = z
    for _ in range(20):
        try:
            G, J, _ = dynamics.around(x, period)
            step = np.linalg.solve(J, G)
        except (np.linalg.LinAlgError, ConvergenceError):
            return None
        if not np.isfinite(step).all():
            return None
        x = x - step
        if np.abs(step).max() <= 1e-13 * (1.0 + np.abs(x).max()):
            break
    G = dynamics.around(x, period)[0]
    return x if np.abs(G).max() <= 1e-9 * dynamics.rate * (1.0 + np.abs(x).max()) else None


def _least_period(orbit: Array, tolerance: float) -> int:
    k = len(orbit)
    for d in range(1, k):
        if k % d == 0 and np.abs(np.roll(orbit, -d, axis=0) - orbit).max() <= tolerance:
            return d
    return k


def _limit_cycle(flow: _Dynamics, z: Array, deadline: float) -> tuple[float, float, Array] | None:
    """Period, largest multiplier and states `(16 SAMPLES + 1, n)` of an attracting limit cycle near z, or None."""
    if time.monotonic() > deadline:
        return None
    times, states = flow.path(z[None], 2 * flow.quarter, 24)
    orbit = states[:, 0]
    if not np.isfinite(orbit).all():
        return None
    spread, side, away = _spread(orbit), (orbit - z) @ flow.right(z), np.linalg.norm(orbit - z, axis=1)
    passes = np.flatnonzero((side[:-1] < 0) & (side[1:] >= 0) & (np.minimum(away[:-1], away[1:]) <= 0.1 * spread))
    for k in passes[:RETURNS]:
        part = -side[k] / (side[k + 1] - side[k])
        found = _shoot(flow, z, float(times[k] + part * (times[k + 1] - times[k])), spread)
        if found is not None or time.monotonic() > deadline:
            return found
    return None


def _shoot(flow: _Dynamics, z: Array, period: float, spread: float) -> tuple[float, float, Array] | None:
    """The attracting limit cycle that Newton's method on (state, period) reaches, as `_limit_cycle` gives it."""
    n, x, T, step, largest = len(z), z, period, 1e-4 * spread, math.inf
    for k in range(10):
        around = np.concatenate([x[None], x + step * np.eye(n), x - step * np.eye(n)])
        ends = flow.path(around, T)[1][-1]
        if not np.isfinite(ends).all():
            return None
        M = (ends[1 : n + 1] - ends[n + 1 :]).T / (2 * step)
        largest = _transverse(M)
        A = np.block([[M - np.eye(n), flow.right(ends[0])[:, None]], [flow.right(x)[None], np.zeros((1, 1))]])
        change = np.linalg.lstsq(A, np.append(x - ends[0], 0.0))[0]
        x, T = x + change[:n], T + float(change[n])
        if not (0.5 * period < T < 2 * period and np.linalg.norm(x - z) <= 0.1 * spread) or (k > 0 and largest > 2):
            return None
        if np.linalg.norm(change[:n]) <= 1e-9 * spread and abs(change[n]) <= 1e-9 * T:
            break
    else:
        return None
    # multipliers are differences of orbits, known to about 1e-7
    return (T, largest, flow.path(x[None], T, 16)[1][:, 0]) if largest < 1 - 1e-5 else None


def _transverse(M: Array) -> float:
    """The largest modulus of the multipliers without the one next to 1, which belongs to the direction of the flow."""
    multipliers = np.linalg.eigvals(M)
    return float(np.abs(np.delete(multipliers, np.argmin(np.abs(multipliers - 1)))).max(initial=0.0))


def _comes_back(x: Array, width: float) -> bool:
    """Whether the last quarter of an orbit `(w, n)` lies where its first half was, which drifting or shrinking orbits do not."""
    w = len(x)
    first, second, last = x[: w // 2], x[w // 2 :], x[-(w // 4) :]
    if w < 16 or _spread(last) <= 1e-6 * width:
        return False
    sizes = [f(first) for f in (_spread, _bulk) if 0.5 * f(first) <= f(second) <= 2 * f(first)]
    if not sizes:
        return False
    from scipy.spatial import KDTree

    distance = KDTree(first).query(last)[0]
    return bool(np.median(distance) <= 0.1 * max(sizes) and distance.mean() <= 0.15 * max(sizes))


def _drifts(x: Array) -> bool:
    """Whether an orbit `(w, n)` shrinks, or grows, from each quarter to the next."""
    sizes = np.array([np.linalg.norm(part.std(axis=0)) for part in np.array_split(x, 4)])
    changes = np.diff(sizes)
    return bool((changes < 0).all() or (changes > 0).all()) and abs(sizes[-1] - sizes[0]) > 1e-2 * sizes[0]


def _spread(x: Array) -> float:
    return float(np.linalg.norm(x.max(axis=0) - x.min(axis=0)))


def _bulk(x: Array) -> float:
    """The spread without the rarest states, such as the jumps of a relaxation oscillation."""
    low, high = np.quantile(x, [0.05, 0.95], axis=0)
    return float(np.linalg.norm(high - low))


def _overlap(a: _Known, x: Array) -> float:
    """The part of the states `(k, n)` that lie within the set's radius of its samples."""
    return float((a.tree.query(x)[0] <= a.radius).mean())


def _enlarge(a: _Known, x: Array) -> None:
    """Add an orbit's states to the samples of a bounded attractor, up to a limit."""
    from scipy.spatial import KDTree

    if len(a.points) >= REFERENCE:
        return
    if len(x) > SAMPLES + 1:  # many orbits tell more than many states of one
        x = x[np.sort(np.random.default_rng(0).permutation(len(x))[: SAMPLES + 1])]
    a.points = np.concatenate([a.points, x])
    half = KDTree(a.points[::2])
    apart = half.query(a.points[1::2])[0]
    a.tree, a.radius = KDTree(a.points), 2.0 * float(np.quantile(apart, 0.9)) + 0.02 * _spread(a.points)
