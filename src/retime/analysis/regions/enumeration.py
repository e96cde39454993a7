"""`enumerate_regions`: every region of a piecewise-affine system inside a box, each with a point in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from retime.analysis.regions.inscribed_ball import InscribedBall
from retime.analysis.view import constant_input
from retime.core.arguments import box_of, seconds, system, whole
from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.rendering import numbered
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.status import SearchStatus
from retime.core.system import System

THIN = 1e-9  # a region counts as empty when its ball is smaller than this part of half the box's largest width


@dataclass(frozen=True, eq=False, repr=False)
class Regions(Result):
    """The regions that meet a box, widest first.

    Attributes:
        patterns: bool `(r, q)`, which ReLU units are on.
        points: `(r, n)`, a point inside each region and the box: the center of the largest ball found there.
        radii: `(r,)`, its radius (Euclidean): the measured distance from the point to the nearest boundary or wall.
        box: `(n, 2)`, lower and upper end per state.
        status: `complete`, `node_limit`, `time_limit` or `interrupted`.
        remaining: branches of the search that were not looked into; when every unit reads one state only, the exact number of
            regions that are not listed.
        linear_programs: how many were solved.
        message: what is missing, in words; empty when complete.
        searched: the system and its input, for pictures; not part of `to_dict`.
    """

    _plot: ClassVar[str] = "region_map"

    patterns: Array
    points: Array
    radii: Array
    box: Array
    status: SearchStatus
    remaining: int
    linear_programs: int
    message: str
    searched: Searched | None = field(default=None, compare=False)

    @property
    def complete(self) -> bool:
        """Whether every region of the box is listed (those thinner than 1e-9 of it apart)."""
        return self.status is SearchStatus.COMPLETE

    def __len__(self) -> int:
        return len(self.patterns)

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per region: its bits, the radius of its ball and the center z1, z2, ..."""
        return [
            {"pattern": "".join("01"[int(x)] for x in d), "radius": float(r), **numbered("z", z)}
            for d, r, z in zip(self.patterns, self.radii, self.points, strict=True)
        ]

    def _title(self) -> str:
        found = f"{len(self)} region{'s' * (len(self) != 1)} in the box"
        return f"{found}, all there are" if self.complete else f"{found}, {self.status}: {self.message}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            ["".join("01"[int(x)] for x in d), f"{r:.3g}", " ".join(f"{x:.3g}" for x in z)]
            for d, r, z in zip(self.patterns[:8], self.radii[:8], self.points[:8], strict=True)
        ]
        return ["pattern", "radius", "a point in it"], rows + [["...", "", ""]] * (len(self) > 8)

    def _data(self) -> dict[str, Any]:
        return super()._data() | {"patterns": self.patterns.astype(int), "complete": self.complete}


def enumerate_regions(
    model: System, box: Any, *, inputs: Any = None, max_regions: int = 100_000, time_limit: float | None = 60.0
) -> Regions:
    """List every region that meets a box, with the largest ball inside each.

    A region is {z : sign(W2 z + C2 s + h2) = pattern}. The search fixes the sign of one unit at a time and follows a branch
    while the largest ball of the box and the signs fixed so far (a linear program) is not smaller than 1e-9 of half the box's
    largest width; thinner regions count as empty.

    Args:
        model: any system with a piecewise-affine canonical form: a network, a converted flow, a `RegionwiseMap`.
        box: `(n, 2)`, lower and upper end per state; or `(low, high)`, two numbers for all states or two vectors `(n,)`. Two rows
            of two numbers are read as the rows of two states. A Trajectory, or points of results: around their states.
        inputs: `(m,)`, a constant input that moves the boundaries; None: zero.
        max_regions: stop after so many.
        time_limit: seconds of work, None for no limit.

    Returns:
        Regions. Stopped by a limit or by Ctrl-C it holds what was found, and `remaining` says how many branches were not
        looked into.

    Raises:
        TypeError: the system has no regions. ShapeError: a box or input of the wrong size. ValueError: an empty or infinite box, or
        limits that are not positive.

    Cost: at most one linear program in n + 1 unknowns per unit and region, 0.2 to 0.4 ms each (measured: 56 regions of 10 units in
        2 states 0.03 s, 1199 of 50 units 7 s); none when every unit reads one
        state only (a `PLRNN`), where there are up to 2^q regions.
    Backend: NumPy float64, HiGHS (simplex, restarted from the last solution). A listed region is certain: the distance of its point
        to every boundary is measured; an empty one is empty to the tolerance of the linear program, 1e-10 of the box.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0])
        >>> len(rt.enumerate_regions(model, (-2.0, 2.0)))  # the four quadrants
        4
    """
    model = system("enumerate_regions", model)
    form = getattr(model, "canonical", None)
    if form is None:
        raise TypeError(
            f"`model` is {type(model).__name__}, which has no regions; enumerate_regions takes a piecewise-affine system."
        )
    ends, max_regions = box_of(box, form.num_states), whole("max_regions", max_regions, 1)
    patience, s = Patience.lasting(seconds(time_limit)), constant_input(model, inputs)
    W, g = form.W2, form.h2 + form.C2 @ s
    is_grid = (np.count_nonzero(W, axis=1) <= 1).all()
    found = _grid(W, g, ends, max_regions) if is_grid else _Search(W, g, ends, max_regions, patience).run()
    order = np.argsort(-found.radii, kind="stable")
    listed: dict[str, Any] = {name: getattr(found, name)[order] for name in ("patterns", "points", "radii")}
    return replace(found, **listed, searched=Searched(model, s))


def _grid(W: Array, g: Array, box: Array, max_regions: int) -> Regions:
    """Regions are products of intervals between the thresholds of each state; no linear program is needed."""
    n, thin = len(box), THIN * (box[:, 1] - box[:, 0]).max()
    middles, halves = [], []
    for j in range(n):
        units = np.flatnonzero(W[:, j])
        cuts = -g[units] / W[units, j]
        inner = cuts[(cuts > box[j, 0]) & (cuts < box[j, 1])]
        edges = np.unique(np.concatenate([box[j], inner]))
        wide = np.diff(edges) > 2 * thin
        middles.append((edges[:-1] + np.diff(edges) / 2)[wide])
        halves.append(np.diff(edges)[wide] / 2)
    sizes = [len(x) for x in middles]
    total = math.prod(sizes)
    listed = min(total, max_regions)
    index, rest = np.empty((listed, n), dtype=np.int64), np.arange(listed)
    for j in reversed(range(n)):
        rest, index[:, j] = np.divmod(rest, sizes[j])
    points = np.stack([middles[j][index[:, j]] for j in range(n)], axis=1)
    radii = np.stack([halves[j][index[:, j]] for j in range(n)], axis=1).min(axis=1)
    reads, weight = np.argmax(W != 0, axis=1), W[np.arange(len(W)), np.argmax(W != 0, axis=1)]
    patterns = points[:, reads] * weight + g > 0
    message = f"{total - listed} further regions are not listed; raise max_regions." if total > listed else ""
    status = SearchStatus.NODE_LIMIT if message else SearchStatus.COMPLETE
    return Regions(patterns, points, radii, box, status, total - listed, 0, message)


class _Branch(NamedTuple):
    """Signs `(q,)` (1 on, -1 off, 0 open), the next open unit, a point inside with its distance to boundaries and walls.

    `is_center`: whether no larger ball fits. `share`: the part of the search below this branch.
    """

    signs: Array
    unit: int
    point: Array
    radius: float
    is_center: bool
    share: float


class _Search:
    """Depth-first search over signs in coordinates u = (z - middle) / scale, in which the box has width <= 2."""

    def __init__(self, W: Array, g: Array, box: Array, max_regions: int, patience: Patience) -> None:
        self.box, self.max_regions, self.patience = box, max_regions, patience
        self.middle, self.scale = box.mean(axis=1), float((box[:, 1] - box[:, 0]).max() / 2)
        self.half = (box[:, 1] - box[:, 0]) / (2 * self.scale)
        norms = np.linalg.norm(W, axis=1)
        self.cutting = norms > 0  # units that read no state never change sign
        norms = np.where(self.cutting, norms, 1.0)
        self.rows, self.offsets = W / norms[:, None], (g + W @ self.middle) / (norms * self.scale)
        self.ball = InscribedBall(self.rows, self.offsets, self.half)
        self.found: list[_Branch] = []
        self.stack: list[_Branch] = []

    def run(self) -> Regions:
        """Search until nothing is left, or until a limit."""
        status = SearchStatus.COMPLETE
        self.stack.append(self._root())
        with progress("regions", 1000) as advance, self.patience:
            done = shown = 0.0
            while self.stack:
                self.patience.check()
                if len(self.found) == self.max_regions:
                    status = SearchStatus.NODE_LIMIT
                    break
                done += self._advance()
                if done - shown >= 1e-3:
                    advance(int(1000 * (done - shown)))
                    shown = done
        return self._finish(self.patience.ended or status)

    def _root(self) -> _Branch:
        """The box, with the signs of the units that cannot change in it."""
        reach = np.abs(self.rows) @ self.half
        signs = np.zeros(len(self.rows), dtype=np.int8)
        signs[self.offsets >= reach] = 1
        signs[self.offsets <= -reach] = -1
        signs[~self.cutting] = np.where(self.offsets[~self.cutting] > 0, 1, -1)
        radius = float(self.half.min())
        return _Branch(signs, 0, np.zeros(len(self.half)), radius, True, 1.0)

    def _advance(self) -> float:
        """Take one branch to its next open unit; returns the part of the search that this finished."""
        b = self.stack[-1]
        opened = np.flatnonzero(b.signs[b.unit :] == 0)
        if len(opened) == 0:
            if not b.is_center:
                point, radius = self.ball.largest(b.signs)
                b = b._replace(point=point, radius=radius) if radius > b.radius else b
            self.found.append(b)
            self.stack.pop()
            return b.share
        unit = b.unit + int(opened[0])
        height = float(self.rows[unit] @ b.point + self.offsets[unit])
        side = 1 if height > 0 else -1
        other = self._solved(b, unit, -side)
        if abs(height) > THIN:
            is_center = b.is_center and (other is None or abs(height) >= b.radius)  # the ball fits on this side
            radius = min(b.radius, abs(height))
            same = _Branch(_with(b.signs, unit, side), unit + 1, b.point, radius, is_center, b.share)
        else:  # the point is on the boundary: this side needs one of its own
            same = self._solved(b, unit, side)
        children = [x for x in (other, same) if x is not None]
        self.stack[-1:] = [x._replace(share=b.share / len(children)) for x in children]
        return 0.0 if children else b.share

    def _solved(self, b: _Branch, unit: int, sign: int) -> _Branch | None:
        """The branch with the largest ball on that side of the unit, None where there is none."""
        signs = _with(b.signs, unit, sign)
        point, radius = self.ball.largest(signs)
        return _Branch(signs, unit + 1, point, radius, True, b.share) if radius > THIN else None

    def _finish(self, status: SearchStatus) -> Regions:
        left = 0 if status is SearchStatus.COMPLETE else len(self.stack)
        if not left:
            status = SearchStatus.COMPLETE
        cure = {SearchStatus.NODE_LIMIT: "max_regions", SearchStatus.TIME_LIMIT: "time_limit"}.get(status)
        message = f"{left} branches of the search were not looked into" if left else ""
        message += "" if not left else f"; raise {cure}, or take a smaller box." if cure else "."
        q, n = self.rows.shape
        signs = np.array([b.signs for b in self.found]).reshape(-1, q)
        points = np.array([b.point for b in self.found]).reshape(-1, n)
        radii = np.array([b.radius for b in self.found])
        points, radii = self.middle + self.scale * points, self.scale * radii
        return Regions(signs > 0, points, radii, self.box, status, left, self.ball.solved, message)


def _with(signs: Array, unit: int, sign: int) -> Array:
    new = signs.copy()
    new[unit] = sign
    return new
