"""Bounded sets that share cells, told apart by what their orbits do on average.

Two attractors are disjoint, but they may be interlaced more finely than the states that were seen resolve: a limit cycle between the sheets
of a chaotic set, one chaotic set inside the gaps of another. The averages of functions along an orbit tell them apart, because on one
attractor they do not depend on the start (Birkhoff), and because enough functions determine the distribution: here cosines and sines along
random directions, at three scales. The weights of an average fall off smoothly at both ends of its block, which makes it converge faster
than any power for cycles and quasi-periodic orbits, so that how much the averages of the two halves of a block differ tells regular
from chaotic orbits.

Groups of orbits are different sets when, in one of these numbers, all blocks of the orbits of one group lie on one side of a gap and all
blocks of the other group on the other side, the gap exceeds the scatter within orbits, and the means differ by more than chance allows.

Source: das2017 (weights), rahimi2007 (random cosines), levnajic2010 (averages along orbits as a means to partition the state space).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from retime.analysis.basins.settling import Settling
from retime.core.arrays import Array
from retime.core.tolerances import sizes_of

DIRECTIONS = 12  # random directions at every scale
SCALES = (2.0, 6.0, 18.0)  # radians over the spread of the set, in the root mean square
COORDINATES = 16  # states, at most, whose own cosines are averaged too
REGULAR = 10**-2.5  # a difference of the halves of a block that counts as none
DECADES = 15.0  # decades of that difference that count as much as 1 in an average
MONOTONE = 0.9  # Kendall's tau of a number over 12 blocks, which is seen by chance once in a million times
GROUP = 64  # orbits whose cosines are held at a time


# --- averages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Averages:
    """Functions of a state whose averages along an orbit are compared.

    Attributes:
        center, scale: `(n,)`, middle and spread of the states that were seen.
        waves: `(f, n)`, wave vectors for (z - center) / scale.
    """

    center: Array
    scale: Array
    waves: Array

    @classmethod
    def over(cls, points: Array) -> Averages:
        """For a set with states `(k, n)`."""
        low, high = points.min(axis=0), points.max(axis=0)
        n, spread = points.shape[1], high - low
        rng = np.random.default_rng(0)
        drawn = [s * rng.normal(size=(DIRECTIONS, n)) / np.sqrt(n) for s in SCALES]
        own = np.concatenate([np.pi * np.eye(n)[:COORDINATES], 2 * np.pi * np.eye(n)[:COORDINATES]])
        still = spread <= 1e-12 * sizes_of(points, 0)
        return cls((low + high) / 2, np.where(still, np.inf, spread), np.concatenate([*drawn, own]))

    def of(self, blocks: Array) -> Array:
        """The numbers `(b, 2 f + 1)` of blocks `(w, b, n)` of consecutive states: averages, and the logarithm of the difference of halves."""
        return np.concatenate([self._of(blocks[:, k : k + GROUP]) for k in range(0, blocks.shape[1], GROUP)])

    def _of(self, blocks: Array) -> Array:
        phase = (((blocks - self.center) / self.scale) @ self.waves.T).astype(
            np.float32
        )  # compared to 3e-3; twice as fast
        waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=2)
        whole, first, second = np.tensordot(_weights(len(blocks)).astype(np.float32), waves, axes=1)
        apart = np.sqrt(((first - second) ** 2).mean(axis=1))
        return np.column_stack([whole, np.log10(np.maximum(apart, REGULAR)) / DECADES])


def _weights(w: int) -> Array:
    """Smooth weights `(3, w)` over w samples, over their first half, and over their second."""
    half, rows = w // 2, np.zeros((3, w))
    for row, first, last in ((0, 0, w), (1, 0, half), (2, half, w)):
        t = (np.arange(last - first) + 0.5) / (last - first)
        bump = np.exp(-1.0 / (t * (1 - t)))
        rows[row, first:last] = bump / bump.sum()
    return rows


# --- groups ------------------------------------------------------------------------------------------------------------


class Gap(NamedTuple):
    """A number whose values leave a gap between two groups; below and above it is another gap, or the index of a group."""

    number: int
    low: float
    high: float
    below: Gap | int
    above: Gap | int


@dataclass(frozen=True)
class Groups:
    """Orbits sorted into sets.

    Attributes:
        root: the first gap, or 0 where there is one group.
        of_orbit: `(k,)`, the group of each orbit.
        middle, reach: `(groups, f)`, mean of the numbers of a group and their largest deviation from it.
        gap: between averages, that counts.
    """

    root: Gap | int
    of_orbit: Array
    middle: Array
    reach: Array
    gap: float

    @classmethod
    def of(cls, numbers: Array, rule: Settling) -> Groups:
        """From the numbers `(k, blocks, f)` of the blocks of k orbits."""
        groups: list[Array] = []
        root = _divide(numbers, np.arange(len(numbers)), groups, rule)
        if len(groups) > max(3, len(numbers) // 2):  # every orbit a set of its own: a continuum
            groups, root = [np.arange(len(numbers))], 0
        of_orbit = np.zeros(len(numbers), dtype=int)
        for k, rows in enumerate(groups):
            of_orbit[rows] = k
        blocks = [numbers[rows].reshape(-1, numbers.shape[2]) for rows in groups]
        middle = np.array([x.mean(axis=0) for x in blocks])
        reach = np.array([np.abs(x - m).max(axis=0) for x, m in zip(blocks, middle, strict=True)])
        return cls(root, of_orbit, middle, reach, rule.gap)

    def __len__(self) -> int:
        return len(self.middle)

    def compare(self, numbers: Array) -> tuple[Array, Array]:
        """The group of each block with these numbers `(b, f)`, and whether (bool) it is sure: not in the middle third of a gap, and without
        numbers that the orbits of the group never had, far from it."""
        groups = np.full(len(numbers), -1)
        _descend(self.root, numbers, np.arange(len(numbers)), groups)
        apart = np.abs(numbers - self.middle[groups])
        is_strange = (apart > 2.0 * self.reach[groups] + 2.0 * self.gap).any(axis=1)
        return groups, (groups >= 0) & ~is_strange


def is_drifting(numbers: Array, longer: Array, rule: Settling) -> Array:
    """Whether (bool) orbits with the numbers `(k, blocks, f)` are still on their way: one of the numbers goes up, or down, from nearly every
    block to every later one (Kendall's tau), and so it does in longer blocks `(k, fewer, f)`. A cycle whose period fits almost a whole number
    of times into a block has numbers that move as slowly, but hardly in longer blocks."""
    first, second = np.triu_indices(numbers.shape[1], 1)
    tau = np.sign(numbers[:, second] - numbers[:, first]).mean(axis=1)
    moved, lasting = (np.abs(x[:, -1] - x[:, 0]) for x in (numbers, longer))
    return ((np.abs(tau) >= MONOTONE) & (lasting > np.maximum(rule.gap, 0.5 * moved))).any(axis=1)


def _divide(numbers: Array, rows: Array, groups: list[Array], rule: Settling) -> Gap | int:
    """Divide the orbits `rows` at their clearest gap, and both parts again; adds the groups."""
    found = _clearest(numbers[rows], rule) if len(rows) > 1 else None
    if found is None:
        groups.append(rows)
        return len(groups) - 1
    number, low, high = found
    below = numbers[rows, :, number].max(axis=1) <= low
    first = _divide(numbers, rows[below], groups, rule)
    return Gap(number, low, high, first, _divide(numbers, rows[~below], groups, rule))


def _clearest(numbers: Array, rule: Settling) -> tuple[int, float, float] | None:
    """The number `(number, low, high)` with the clearest gap between the blocks of some orbits and those of the others."""
    from scipy.special import stdtrit

    k, blocks, f = numbers.shape
    low, high = numbers.min(axis=1), numbers.max(axis=1)
    scatter = np.sqrt(numbers.var(axis=1, ddof=1).mean(axis=0))
    order = np.argsort(low, axis=0)
    reached = np.maximum.accumulate(np.take_along_axis(high, order, axis=0), axis=0)[:-1]
    begins = np.take_along_axis(low, order, axis=0)[1:]
    gaps = begins - reached
    at, columns = np.argmax(gaps, axis=0), np.arange(f)
    gap = gaps[at, columns]
    means = np.take_along_axis(numbers.mean(axis=1), order, axis=0)
    total = np.cumsum(means, axis=0)
    left = total[at, columns] / (at + 1)
    right = (total[-1] - total[at, columns]) / (k - at - 1)
    error = scatter * np.sqrt(1.0 / (blocks * (at + 1)) + 1.0 / (blocks * (k - at - 1)))
    least = -stdtrit(k * (blocks - 1), rule.chance)  # of Student's t
    valid = (gap > np.maximum(rule.gap, scatter)) & (right - left > least * error)
    if not valid.any():
        return None
    best = int(np.argmax(np.where(valid, gap / (scatter + rule.gap), -np.inf)))
    return best, float(reached[at[best], best]), float(begins[at[best], best])


def _descend(node: Gap | int, numbers: Array, rows: Array, found: Array) -> None:
    if not isinstance(node, Gap):
        found[rows] = node
        return
    x, third = numbers[rows, node.number], (node.high - node.low) / 3
    _descend(node.below, numbers, rows[x < node.low + third], found)
    _descend(node.above, numbers, rows[x > node.high - third], found)
