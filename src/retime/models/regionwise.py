"""A piecewise-affine flow sampled with its region held: the map of zero-order hold, region by region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import AffineRegions, PiecewiseAffineForm
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.system import OfRegions
from retime.core.time import Discrete
from retime.models.flow import PiecewiseAffineFlow


@dataclass(frozen=True)
class OwnRegions:
    """The regions of a network that is in continuous time already: nothing is converted."""

    def regions(self, maps: AffineRegions, dt: float) -> list[RegionFlow]:
        """dz/dt = M z + c + E s of every region, held for dt."""
        rotations = np.abs(np.linalg.eigvals(maps.M).imag).max(axis=1, initial=0.0) * dt
        return [
            RegionFlow(M, c, E, RegionStatus.PRINCIPAL, 0, 0.0, float("inf"), float(r), 0.0, dt)
            for M, c, E, r in zip(maps.M, maps.c, maps.E, rotations, strict=True)
        ]


@dataclass(frozen=True, eq=False, repr=False)
class RegionwiseMap(OfRegions):
    """The map of a piecewise-affine flow whose region and input are read at each sample and held for one step.

    z_{k+1} = exp(W_d dt) z_k + integral_0^dt exp(W_d t) dt (h_d + E_d s_k),   d the region of (z_k, s_k)

    Exact for the flow on every step that stays in its region. Auxiliary states of raised regions begin each step at 0.

    Args:
        flow: the flow whose regions are held; its own `dt` is the step.
        time, readout: taken from the flow.
    """

    family: ClassVar[str] = "regionwise"

    flow: PiecewiseAffineFlow

    def __post_init__(self) -> None:
        self._set(time=Discrete(self.flow.dt), readout=self.flow.readout)

    @property
    def canonical(self) -> PiecewiseAffineForm:
        """The form whose patterns name the regions (not the map's own)."""
        return self.flow.canonical

    def pattern(self, z: Array, s: Array | None = None) -> Array:
        """Bits `(..., q)` of the regions of states `(..., n)`."""
        return self.flow.pattern(z, s)

    def apply(self, z: Array, s: Array | None = None) -> Array:
        """z_{k+1} for states `(..., n)` and inputs `(..., m)`."""
        T, z, s = self._transitions(z, s)
        n = self.num_states
        return (
            T[..., 0]
            + np.einsum("...ij,...j->...i", T[..., 1 : 1 + n], z)
            + np.einsum("...ij,...j->...i", T[..., 1 + n :], s)
        )

    def jacobian(self, z: Array, s: Array | None = None) -> Array:
        """exp(W_d dt) of the regions of states `(..., n)`: `(..., n, n)`."""
        return self._transitions(z, s)[0][..., 1 : 1 + self.num_states]

    def input_jacobian(self, z: Array, s: Array | None = None) -> Array:
        """Input matrices of the held regions of states `(..., n)`: `(..., n, m)`."""
        return self._transitions(z, s)[0][..., 1 + self.num_states :]

    def _transitions(self, z: Array, s: Array | None) -> tuple[Array, Array, Array]:
        z, s = self._states(z), self._input(s)
        lead = np.broadcast_shapes(z.shape[:-1], s.shape[:-1])
        z, s = np.broadcast_to(z, (*lead, z.shape[-1])), np.broadcast_to(s, (*lead, s.shape[-1]))
        patterns = self.pattern(z, s).reshape(math.prod(lead), self.num_units)
        T = np.array([r.transition for r in self.flow.convert(patterns)])
        return T.reshape(*lead, *T.shape[1:]), z, s

    def __reduce__(self) -> tuple[Any, ...]:
        return RegionwiseMap, (self.flow,)

    def _details(self) -> list[str]:
        return [f"regions of {type(self.flow.map).__name__} held"]
