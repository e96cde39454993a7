"""Orbits that stay bounded and come back: gathered by the states they visit, told apart by what they do on average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.analysis.basins.dynamics import QUARTERS, SAMPLES, Dynamics
from retime.analysis.basins.endings import Known, extent
from retime.analysis.basins.interlaced import Averages, Groups, is_drifting
from retime.analysis.basins.settling import Settling
from retime.core.arrays import Array

REFERENCE = 2000  # states kept of a bounded set
FOLLOWED = 4 * QUARTERS  # quarters of the horizon for which some orbits are followed for longer on every bounded set
SKIPPED = QUARTERS  # ... of which so many are left out of averages
LEVELS = (1, 3)  # quarters in a block of averages; whole numbers of them are in those that are not left out
ROUNDS = 3  # times that orbits unlike all others are followed


@dataclass(eq=False)
class Family:
    """Bounded sets that share cells: states, orbits that were followed, and the sets they were found to be.

    Confirmed: orbits were followed for longer. Void: they ended elsewhere, or went on: a transient, a part of something larger, or a drift.
    """

    points: Array
    tree: Any = None
    radius: float = 0.0  # distance from a sample within which a state belongs to the family
    is_confirmed: bool = False
    is_void: bool = False
    orbits: list[Array] = field(default_factory=list)  # of those that stayed, each `(quarters, w, n)`
    names: list[int] = field(default_factory=list)  # the known attractor of each orbit; -1 before it was sorted
    averages: Any = None
    level: int = 1
    groups: Any = None
    of_orbit: Any = None  # the group `(orbits,)` of each orbit; -1: still on its way to one
    of_group: Any = None  # the known attractor `(groups,)` of each group

    def overlap(self, x: Array) -> float:
        """The part of the states `(k, n)` that lie within the family's radius of its samples."""
        return float((self.tree.query(x)[0] <= self.radius).mean())

    def enlarge(self, x: Array) -> None:
        """Add an orbit's states to the samples, up to a limit."""
        from scipy.spatial import KDTree

        if len(self.points) >= REFERENCE:
            return
        if len(x) > SAMPLES + 1:  # many orbits tell more than many states of one
            x = x[np.sort(np.random.default_rng(0).permutation(len(x))[: SAMPLES + 1])]
        self.points = np.concatenate([self.points, x])
        half = KDTree(self.points[::2])
        apart = half.query(self.points[1::2])[0]
        self.tree, self.radius = KDTree(self.points), 2.0 * float(np.quantile(apart, 0.9)) + 0.02 * extent(self.points)

    def numbers(self, quarters: Array, level: int) -> Array:
        """Averages over the blocks of orbits: `(k, blocks, f)` from the last states `(quarters, w, k, n)` of every quarter."""
        blocks = [np.concatenate(list(quarters[k : k + level])) for k in range(0, len(quarters), level)]
        return np.stack([self.averages.of(x) for x in blocks], axis=1)

    def group(self, rule: Settling) -> None:
        """Sort the orbits that were followed into sets."""
        quarters = np.stack(self.orbits, axis=2)
        self.averages = Averages.over(quarters.reshape(-1, quarters.shape[-1]))
        numbers = [self.numbers(quarters, level) for level in LEVELS]
        moving = is_drifting(numbers[0], numbers[-1], rule)
        moving &= not moving.all()  # where all are still on their way, nothing tells sets apart
        found = [Groups.of(x[~moving], rule) for x in numbers]
        best = int(np.argmax([len(g) for g in found]))
        self.level, self.groups = LEVELS[best], found[best]
        self.of_orbit = np.zeros(len(moving), dtype=int)
        self.of_orbit[~moving] = self.groups.of_orbit
        if moving.any():
            groups, is_sure = self.groups.compare(numbers[best][moving, -1])
            self.of_orbit[moving] = np.where(is_sure, groups, -1)

    def add(self, quarters: Array) -> None:
        """Add orbits that stayed, by their last states `(quarters, w, b, n)`."""
        self.orbits += [quarters[SKIPPED:, :, k] for k in range(quarters.shape[2])]
        self.names += [-1] * quarters.shape[2]
        self.groups = None

    def compare(self, blocks: Array, fine: Array) -> tuple[Array, Array]:
        """The group of each orbit, and whether (bool) it is like the orbits of that group."""
        groups, is_sure = np.zeros(len(fine), dtype=int), np.zeros(len(fine), dtype=bool)
        if fine.any():
            groups[fine], is_sure[fine] = self.groups.compare(self.averages.of(blocks[:, fine]))
        return groups, is_sure


@dataclass
class BoundedSets:
    """The bounded sets of one system.

    Attributes:
        dynamics: the system in a box. known: all attractors; those found here are added.
        settled: labels of orbits, from their last states `(w, b, n)`, that end at a point or cycle or diverge; -1 for others.
        same: attractors that turned out to be an earlier one.
    """

    dynamics: Dynamics
    known: list[Known]
    settled: Callable[[Array], Array]
    families: list[Family] = field(default_factory=list)
    same: dict[int, int] = field(default_factory=dict)
    has_left_out: bool = False
    has_transients: bool = False

    def label(self, recent: Array, window: Array) -> Array:
        """Index into `known` for orbits on a bounded set, -1 for others; from states `(w, b, n)` of the last quarters and of the last one."""
        member = self._gather(recent)
        self._confirm(window[-1], member)
        self._join(member)
        labels = np.full(len(member), -1)
        for j in np.unique(member[member >= 0]):
            rows = np.flatnonzero(member == j)
            labels[rows] = self._sorted(self.families[j], window[:, rows])
        return labels

    def final(self, labels: Array) -> Array:
        """Labels with the sets joined that turned out to be one when more of their states were known."""
        self._join(np.zeros(0, dtype=int))
        names = np.arange(len(self.known))
        for k in names:
            while int(names[k]) in self.same:
                names[k] = self.same[int(names[k])]
        return names[labels]

    def _gather(self, window: Array) -> Array:
        """The family of each orbit; a new one for those that keep coming back to where they were; -1 for the others."""
        member = np.full(window.shape[1], -1)
        for k in range(window.shape[1]):
            if self.dynamics.patience.is_over():
                break
            x = window[:, k]
            sample = x[:: max(1, len(x) // 32)]
            own = [j for j, a in enumerate(self.families) if not a.is_void and a.overlap(sample) >= self._shared]
            if own:
                member[k] = own[0]
                self.families[own[0]].enlarge(x)
            elif comes_back(x, self.dynamics.width):
                member[k] = self._begin(x)
        return member

    def _begin(self, x: Array) -> int:
        if sum(not a.is_void for a in self.families) >= self.dynamics.settling.most_sets:
            self.has_left_out = True
            return -1
        self.families.append(Family(np.zeros((0, x.shape[1]))))
        self.families[-1].enlarge(x)
        return len(self.families) - 1

    def _confirm(self, z: Array, member: Array) -> None:
        """Follow some orbits of every new family for four horizons more."""
        for j, a in enumerate(self.families):
            rows = np.flatnonzero(member == j)
            if a.is_confirmed or len(rows) == 0:
                continue
            quarters, ended = self._follow(z[rows[: self._most(z.shape[1])]])
            if quarters is None:
                member[rows] = -1
                return
            last, a.is_confirmed = quarters[-1], True
            a.is_void = bool(ended.all()) or any(a.overlap(last[:, k]) < 0.5 for k in np.flatnonzero(~ended))
            if a.is_void:
                member[rows] = -1
                self.has_transients |= bool(ended.all())
                continue
            a.add(quarters[:, :, ~ended])
            self._group(a)
            self._note_leaks(a, np.concatenate(list(quarters[: a.level]))[:, ended])

    def _note_leaks(self, a: Family, blocks: Array) -> None:
        """Note the sets on which orbits were, in their states `(w, b, n)`, that ended elsewhere: transients, not attractors."""
        groups, is_sure = a.compare(blocks, np.asarray(np.isfinite(blocks).all(axis=(0, 2))))
        for group in np.unique(groups[is_sure]):
            self.known[a.of_group[group]].is_left = True

    def _most(self, n: int) -> int:
        """Orbits that are followed together: fewer of large systems, whose states are kept."""
        most = self.dynamics.settling.orbits // self.dynamics.motion.density
        return max(4, min(most, int(1e7 // (FOLLOWED * SAMPLES * n))))

    @property
    def _shared(self) -> float:
        return self.dynamics.settling.shared

    def _follow(self, z: Array) -> tuple[Array | None, Array]:
        """Last states `(quarters, w, b, n)` of every quarter of four horizons from z, NaN from where one ended elsewhere, and which (bool)
        did; None when the time was up."""
        quarters, ended = [], np.zeros(len(z), dtype=bool)
        while len(quarters) < FOLLOWED and not ended.all():
            alive = np.flatnonzero(~ended)
            window, stopped, late = self.dynamics.advance(z[alive])
            if late.any():
                return None, ended
            quarters.append(np.full((len(window), *z.shape), np.nan))
            quarters[-1][:, alive] = window
            z = quarters[-1][-1]
            ended[alive] = stopped
            ended[alive[~stopped]] = self.settled(window[:, ~stopped]) >= 0
        return np.stack(quarters), ended

    def _join(self, member: Array) -> None:
        """Join families that turned out to share cells when more of their states were known."""
        fine = [j for j, a in enumerate(self.families) if a.is_confirmed and not a.is_void]
        for n, j in enumerate(fine):
            for k in fine[:n]:
                a, b = self.families[k], self.families[j]
                if max(a.overlap(b.points), b.overlap(a.points)) >= self._shared:
                    larger = b if len(b.points) > len(a.points) else a
                    a.points, a.tree, a.radius = larger.points, larger.tree, max(a.radius, b.radius)
                    a.orbits, a.names, a.groups = a.orbits + b.orbits, a.names + b.names, None
                    b.is_void, b.orbits = True, []
                    member[member == j] = k
                    self._group(a)
                    break

    def _group(self, a: Family) -> None:
        """Sort the orbits of a family into sets, which keep the names that they had."""
        a.group(self.dynamics.settling)
        a.of_group = np.full(len(a.groups), -1)
        names = np.array(a.names)
        for name in np.unique(names[names >= 0]):
            groups = a.of_orbit[(names == name) & (a.of_orbit >= 0)]
            group = int(np.bincount(groups).argmax()) if len(groups) else 0
            if a.of_group[group] >= 0:
                self.same[int(name)] = int(a.of_group[group])
                self.known[a.of_group[group]].is_left |= self.known[name].is_left
            else:
                a.of_group[group] = name
        for group in np.flatnonzero(a.of_group < 0):
            self.known.append(Known("bounded", np.zeros((0, a.points.shape[1]))))
            a.of_group[group] = len(self.known) - 1
        a.names = np.where(a.of_orbit >= 0, a.of_group[a.of_orbit], -1).tolist()
        for group, name in enumerate(a.of_group):
            self._describe(self.known[name], [a.orbits[k][-1] for k in np.flatnonzero(a.of_orbit == group)])

    @staticmethod
    def _describe(known: Known, windows: list[Array]) -> None:
        """Note the last states `(w, n)` of the orbits on a set."""
        states = np.concatenate(windows)
        known.points = states[:: -(-len(states) // REFERENCE)]
        known.orbits = None if known.loop is not None else np.stack(windows, axis=1)

    def _sorted(self, a: Family, window: Array) -> Array:
        """Names of the sets on which orbits with these last states `(w, b, n)` are; -1 for those that did not stay on one or cannot be told.

        Those unlike all others are followed for longer: they may be on a set of which no orbit was known, or still on their way.
        """
        blocks, fine = self._blocks(a, window)
        orbit = np.full(window.shape[1], -1)  # of those that were followed
        groups, is_sure = a.compare(blocks, fine)
        for _ in range(ROUNDS):
            rows = np.flatnonzero(fine & ~is_sure & (orbit < 0))[: self._most(window.shape[2])]
            if len(rows) == 0 or self.dynamics.patience.is_over():
                break
            quarters, ended = self._follow(window[-1, rows])
            if quarters is None:
                break
            fine[rows[ended]] = False
            if not ended.all():
                orbit[rows[~ended]] = len(a.orbits) + np.arange((~ended).sum())
                a.add(quarters[:, :, ~ended])
                self._group(a)
            groups, is_sure = a.compare(blocks, fine)
        names = np.where(is_sure, a.of_group[groups], -1)
        names[orbit >= 0] = np.array(a.names)[orbit[orbit >= 0]]
        is_left = np.array([name >= 0 and self.known[name].is_left for name in names], dtype=bool)
        self.has_transients |= bool(is_left.any())
        return np.where(is_left, -1, names)

    def _blocks(self, a: Family, window: Array) -> tuple[Array, Array]:
        """States `(w, b, n)` to take averages over, and for which orbits (bool) there are enough of them."""
        blocks, fine = [window], np.ones(window.shape[1], dtype=bool)
        while len(blocks) < a.level and fine.any():
            window, stopped, late = self.dynamics.advance(window[-1])
            fine &= ~(stopped | late)
            blocks.append(window)
        blocks = np.concatenate(blocks)
        return blocks, fine & np.isfinite(blocks).all(axis=(0, 2))


def comes_back(x: Array, width: float) -> bool:
    """Whether the last quarter of an orbit `(w, n)` lies where its first half was, which drifting or shrinking orbits do not."""
    w = len(x)
    first, second, last = x[: w // 2], x[w // 2 :], x[-(w // 4) :]
    if w < 16 or extent(last) <= 1e-6 * width:
        return False
    sizes = [f(first) for f in (extent, _bulk) if 0.5 * f(first) <= f(second) <= 2 * f(first)]
    if not sizes:
        return False
    from scipy.spatial import KDTree

    distance = KDTree(first).query(last)[0]
    return bool(np.median(distance) <= 0.1 * max(sizes) and distance.mean() <= 0.15 * max(sizes))


def drifts(x: Array) -> bool:
    """Whether an orbit `(w, n)` shrinks, or grows, from each quarter to the next."""
    sizes = np.array([np.linalg.norm(part.std(axis=0)) for part in np.array_split(x, 4)])
    changes = np.diff(sizes)
    return bool((changes < 0).all() or (changes > 0).all()) and abs(sizes[-1] - sizes[0]) > 1e-2 * sizes[0]


def _bulk(x: Array) -> float:
    """The spread without the rarest states, such as the jumps of a relaxation oscillation."""
    low, high = np.quantile(x, [0.05, 0.95], axis=0)
    return float(np.linalg.norm(high - low))
