"""The piecewise-affine canonical form that every ReLU family is translated to; regions between planes whose maps need not join."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ShapeError

MOST_BOUNDARIES = 12  # of a table with all 2^q regions
ROUNDING = 16 * 2.0**-52  # entries this close, relative to their size, are in proportion


class AffineRegions(NamedTuple):
    """z' = M z + c + E s for a stack of regions: M `(r, n, n)`, c `(r, n)`, E `(r, n, m)`."""

    M: Array
    c: Array
    E: Array


@dataclass(frozen=True, eq=False)
class PiecewiseAffineForm:
    """z' = A z + W1 relu(W2 z + C2 s + h2) + C1 s + h1.

    z' is z_{k+1} or dz/dt. The pattern of (z, s) is the bits (W2 z + C2 s + h2) > 0; a value of exactly zero is off.

    Attributes:
        A `(n, n)`, W1 `(n, q)`, W2 `(q, n)`, h1 `(n,)`, h2 `(q,)`, C1 `(n, m)`, C2 `(q, m)`: float64.
    """

    A: Array
    W1: Array
    W2: Array
    h1: Array
    h2: Array
    C1: Array
    C2: Array

    @property
    def num_states(self) -> int:
        """n."""
        return self.W1.shape[0]

    @property
    def num_units(self) -> int:
        """q, the number of ReLU units (bits of a pattern)."""
        return self.W1.shape[1]

    @property
    def num_inputs(self) -> int:
        """m."""
        return self.C1.shape[1]

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether A is diagonal."""
        return bool(np.count_nonzero(self.A - np.diag(np.diagonal(self.A))) == 0)

    @cached_property
    def selection(self) -> Array:
        """Index `(q,)` of the state each unit reads when every row of W2 is a unit vector, else empty `(0,)`."""
        one = (self.W2 == 1.0).sum(axis=1) == 1
        none = np.count_nonzero(self.W2, axis=1) == 1
        if self.num_units and bool((one & none).all()):
            return np.argmax(self.W2 == 1.0, axis=1)
        return np.zeros(0, dtype=np.int64)

    @cached_property
    def parallel(self) -> tuple[Array, Array]:
        """For each unit the first one whose boundary is parallel `(q,)`, -1 where a unit reads no state, and how many times that one's
        row of W2 its own is `(q,)`: rows in proportion within rounding."""
        q, norms = self.num_units, np.linalg.norm(self.W2, axis=1)
        first, ratio = np.where(norms > 0.0, np.arange(q), -1), np.ones(q)
        unit = self.W2 / np.where(norms > 0.0, norms, 1.0)[:, None]
        for i in np.flatnonzero(norms > 0.0):
            if first[i] != i:
                continue
            near = i + 1 + np.flatnonzero(np.abs(np.abs(unit[i + 1 :] @ unit[i]) - 1.0) <= 1e-12)
            for j in near[first[near] == near]:
                share = float(self.W2[j] @ self.W2[i]) / norms[i] ** 2
                if (np.abs(self.W2[j] - share * self.W2[i]) <= ROUNDING * np.abs(self.W2[j])).all():
                    first[j], ratio[j] = i, share
        return first, ratio

    @cached_property
    def idle(self) -> tuple[Array, Array]:
        """Units across whose boundary the map does not change, bool `(q,)`: their columns of W1 are 0, or cancel those of others whose
        row, offset and inputs are in proportion (a clipped unit with threshold 0). And the bits `(q,)` that stand for both sides."""
        first, ratio = self.parallel
        idle, bits = np.logical_not((self.W1 != 0).any(axis=0)), np.zeros(self.num_units, dtype=bool)
        left = {int(i) for i in np.flatnonzero((first >= 0) & ~idle)}
        while left:
            k = min(left)
            share = ratio / ratio[k]
            group = [i for i in sorted(left) if first[i] == first[k] and self._meet(i, k, share[i])]
            left -= set(group)
            kinks = self.W1[:, group] * np.abs(share[group])
            if (np.abs(kinks.sum(axis=1)) <= ROUNDING * np.abs(kinks).sum(axis=1)).all():
                idle[group], bits[group] = True, share[group] < 0.0
        return idle, bits

    def _meet(self, i: int, k: int, share: float) -> bool:
        """Whether the boundary of unit i, parallel to that of unit k, is the same under every input."""
        mine, other = np.append(self.C2[i], self.h2[i]), share * np.append(self.C2[k], self.h2[k])
        return bool((np.abs(mine - other) <= ROUNDING * np.abs(mine)).all())

    def preactivation(self, z: Array, s: Array | None = None) -> Array:
        """W2 z + C2 s + h2 for states `(..., n)` and inputs `(..., m)` (None: zero): `(..., q)`."""
        g = np.asarray(z) @ self.W2.T + self.h2
        return g if s is None else g + np.asarray(s) @ self.C2.T

    def pattern(self, z: Array, s: Array | None = None) -> Array:
        """Bits `(..., q)` of the regions that states `(..., n)` lie in."""
        return self.preactivation(z, s) > 0

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """z' for states `(..., n)` and inputs `(..., m)`."""
        new = np.asarray(z) @ self.A.T + np.maximum(self.preactivation(z, s), 0.0) @ self.W1.T + self.h1
        return new if s is None else new + np.asarray(s) @ self.C1.T

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """M of the regions of states `(..., n)`: `(..., n, n)`."""
        return self.A + (self.W1 * self.pattern(z, s)[..., None, :]) @ self.W2

    def input_jacobian(self, z: Array, s: Array | None = None) -> Array:
        """E of the regions of states `(..., n)`: `(..., n, m)`."""
        return self.C1 + (self.W1 * self.pattern(z, s)[..., None, :]) @ self.C2

    def regions(self, patterns: Array) -> AffineRegions:
        """The affine maps of a stack of patterns `(r, q)`.

        Raises:
            ShapeError: a pattern does not have q bits.
        """
        d = self.check_patterns(patterns)
        W1 = self.W1 * d[:, None, :]
        M = self.A + W1 @ self.W2
        return AffineRegions(M, W1 @ self.h2 + self.h1, W1 @ self.C2 + self.C1)

    def check_patterns(self, patterns: Array) -> Array:
        """`patterns` as bool `(r, q)`."""
        d = np.asarray(patterns)
        if d.ndim != 2 or d.shape[1] != self.num_units:
            raise ShapeError(
                f"`patterns` has shape {d.shape}; it must be (r, {self.num_units}), one bit per ReLU unit."
            )
        return d.astype(bool)


@dataclass(frozen=True, eq=False)
class SwitchedForm(PiecewiseAffineForm):
    """The boundaries W2 z + C2 s + h2 = 0 of a canonical form, and `region`: bits `(q,)` -> M `(n, n)`, c `(n,)`, E `(n, m)`."""

    region: Callable[[Array], tuple[Array, Array, Array]] = field(kw_only=True)

    @classmethod
    def of(cls, W2: Array, h2: Array, C2: Array, region: Callable[[Array], tuple[Array, Array, Array]]) -> SwitchedForm:
        """The form of planes and regions.

        Raises:
            ShapeError: planes that do not fit together.
        """
        q = len(h2)
        if W2.ndim != 2 or C2.ndim != 2 or len(W2) != q or len(C2) != q:
            raise ShapeError(
                f"The boundaries have shapes W2 {W2.shape}, h2 {h2.shape}, C2 {C2.shape}; they must be (q, n), (q,), (q, m)."
            )
        n, m = W2.shape[1], C2.shape[1]
        return cls(np.zeros((n, n)), np.zeros((n, q)), W2, np.zeros(n), h2, np.zeros((n, m)), C2, region=region)

    @cached_property
    def idle(self) -> tuple[Array, Array]:
        """No boundary is taken to be one that nothing changes at."""
        return np.zeros(self.num_units, dtype=bool), np.zeros(self.num_units, dtype=bool)

    def regions(self, patterns: Array) -> AffineRegions:
        """The affine maps of regions `(r, q)`."""
        n, m = self.num_states, self.num_inputs
        found = [self.region(d) for d in self.check_patterns(patterns)]
        shapes = (n, n), (n,), (n, m)
        return AffineRegions(*(np.array([f[k] for f in found]).reshape(len(found), *shapes[k]) for k in range(3)))

    def regions_at(self, z: Array, s: Array | None = None) -> AffineRegions:
        """The affine maps of the regions of states `(..., n)` with inputs `(..., m)`."""
        bits = self.pattern(z, s)
        found = self.regions(bits.reshape(-1, self.num_units))
        return AffineRegions(*(x.reshape(*bits.shape[:-1], *x.shape[1:]) for x in found))

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """M z + c + E s of the region of each state."""
        M, c, E = self.regions_at(z, s)
        new = np.einsum("...ij,...j->...i", M, np.asarray(z)) + c
        return new if s is None else new + np.einsum("...ij,...j->...i", E, np.asarray(s))

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """M of the regions of states `(..., n)`: `(..., n, n)`."""
        return self.regions_at(z, s).M

    def input_jacobian(self, z: Array, s: Array | None = None) -> Array:
        """E of the regions of states `(..., n)`: `(..., n, m)`."""
        return self.regions_at(z, s).E


def every_pattern(q: int) -> Array:
    """All 2^q patterns, in the order of the binary numbers that their bits write."""
    return np.array(list(product([False, True], repeat=q)), dtype=bool).reshape(2**q, q)
