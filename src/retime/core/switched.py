"""Regions between planes, each with an affine map of its own that need not join its neighbors'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import AffineRegions, PiecewiseAffineForm
from retime.core.errors import ShapeError

MOST_BOUNDARIES = 12  # of a table with all 2^q regions


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
