"""The cycles of a piecewise-affine map that were found, each once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retime.analysis.cycles.phase import first_phase, in_order, is_same_cycle, least_period
from retime.analysis.cycles.result import Cycle
from retime.analysis.dust import tidy, without_dust
from retime.analysis.fixed_points.find import ordered
from retime.analysis.fixed_points.leaves import TOLERANCE, Solution
from retime.analysis.view import AffineView
from retime.core.arrays import Array
from retime.core.time import Discrete
from retime.core.tolerances import SAME_FOLLOWED, size_of, sizes_of


@dataclass
class Found:
    """A cycle in the making: points `(k, n)`, bits `(k, q)`, whether a point is on a boundary."""

    points: Array
    bits: Array
    near: bool


class Book:
    """The cycles of one map that were found, by their period in steps."""

    def __init__(self, view: AffineView, s: Array) -> None:
        self.view, self.s = view, s
        self.found: dict[int, list[Found]] = {}
        self.unclear = 0  # sequences of regions whose cycle double precision cannot tell
        self._known: set[bytes] = set()  # of cycles that are listed

    def cycles(self) -> tuple[Cycle, ...]:
        """All, the shortest first."""
        return tuple(self._cycle(k, f) for k, f in in_order(self.found))

    def add(self, k: int, x: Solution) -> bool:
        """Book a solution of k steps, unless its period is shorter or it is known; whether it was new."""
        n, q = self.view.form.num_states, self.view.form.num_units
        z, bits = x.z.reshape(k, n), x.bits.reshape(k, q)
        size = size_of(z)
        if least_period(z, SAME_FOLLOWED * size) < k:
            return False
        if not self._rests(z[None])[0] <= TOLERANCE:
            self.unclear += 1
            return False
        turn = first_phase(z)
        z, bits = np.roll(z, -turn, axis=0), np.roll(bits, -turn, axis=0)
        known = self.found.setdefault(k, [])
        near, key = bool(x.near.any()), turn_key(bits)
        if key in self._known or (
            near and any(f.near and is_same_cycle(z, f.points, SAME_FOLLOWED * size) for f in known)
        ):
            return False
        self._known.add(key)
        known.append(Found(z, bits, near))
        return True

    def _rests(self, z: Array) -> Array:
        """Largest distances `(c,)`, relative to 1 + |z|, between images of points and the next ones, of cycles z `(c, k, n)` (or flat ones)."""
        rows = z.reshape(len(z), -1, self.view.form.num_states)
        with np.errstate(all="ignore"):
            moved = np.abs(self.view.form.apply(rows, self.s) - np.roll(rows, -1, axis=1)).max(axis=(1, 2))
            return moved / sizes_of(rows, (1, 2))

    def _cycle(self, k: int, f: Found) -> Cycle:
        view = self.view
        M = view.form.regions(f.bits).M
        product = np.eye(M.shape[1])
        for one in M:
            product = one @ product
        w = ordered(tidy(np.linalg.eigvals(product)), Discrete())
        points = without_dust(f.points.reshape(1, -1), self._rests).reshape(f.points.shape)
        residual = self._rests(points[None])[0]
        time = k * float(view.dt or view.unit)
        return Cycle(k * view.unit, points, w, bool(Discrete().is_stable(w)), f.bits, float(residual), f.near, time)


def turn_key(bits: Array) -> bytes:
    """The same for all phases of a cyclic sequence of patterns `(k, q)`."""
    rows = [row.tobytes() for row in np.packbits(bits, axis=1)] if bits.shape[1] else [b""] * len(bits)
    first = min(rows)
    turns = [rows[j:] + rows[:j] for j in range(len(rows)) if rows[j] == first]
    return len(rows).to_bytes(4, "little") + b"".join(min(turns))
