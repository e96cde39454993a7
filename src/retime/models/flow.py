"""The flow that a piecewise-affine map was converted to, region by region."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from retime.core.arrays import Array
from retime.core.canonical import AffineRegions, PiecewiseAffineForm
from retime.core.certificate import Certificate, Condition
from retime.core.equation import Equation
from retime.core.errors import CertificateError
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.system import OfRegions, PiecewiseAffineSystem
from retime.core.time import Continuous


class RegionMethod(Protocol):
    """A method that turns affine maps into flows."""

    def regions(self, maps: AffineRegions, dt: float) -> list[RegionFlow]:
        """One `RegionFlow` per stacked map, for a step `dt`."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class PiecewiseAffineFlow(OfRegions):
    """dz/dt = W_d z + h_d + E_d s, d the pattern of the region; each region is converted on demand and once.

    The region is read at the sample times and held for one step (`switching="clock"`: equals the map at k dt, for every
    initial state and input), or read from the current state (`switching="state"`: an autonomous ODE whose field
    jumps at boundaries; equal to the map over steps in which no boundary is crossed).

    Args:
        map: the discrete system that was converted; boundaries, patterns and the readout are its own.
        method: what converts a region, e.g. `MatrixLog()`.
        throw: raise where a region has no autonomous linear flow (`time_varying`) instead of interpolating, and where its flow
            does not reproduce its map within `RegionFlow.limit`.
    """

    family: ClassVar[str] = "flow"
    takes_switching: ClassVar[bool] = True

    map: PiecewiseAffineSystem
    method: Any
    throw: bool = True
    _regions: dict[bytes, RegionFlow] = field(default_factory=dict, init=False, compare=False)
    _tables: dict[str, Any] = field(default_factory=dict, init=False, compare=False)  # kept by simulations, bounded
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, compare=False)

    def __post_init__(self) -> None:
        self._set(time=Continuous(), readout=self.map.readout)

    @property
    def canonical(self) -> PiecewiseAffineForm:
        """The canonical form of the map, whose patterns name the regions."""
        return self.map.canonical

    @property
    def dt(self) -> float:
        """The step of the map, and the sample clock of `switching="clock"`."""
        return self.map.dt

    @property
    def converted(self) -> dict[bytes, RegionFlow]:
        """The regions converted up to now; keys are `pattern.tobytes()` of the bool pattern."""
        return dict(self._regions)

    @property
    def num_raised(self) -> int:
        """How many of these have auxiliary states."""
        return sum(r.auxiliary > 0 for r in self._regions.values())

    @property
    def equation(self) -> Equation:  # type: ignore[override]
        """None of the state alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "A converted flow has one field per region and no field of the state alone, which the method needs. Use ZeroOrderHold()."
        )

    def is_at_rest(self, z: Array, inputs: Array | None = None) -> bool:
        """Whether z `(n,)` is a fixed point of the map under every row of `inputs`."""
        return self.map.is_at_rest(z, inputs)

    def pattern(self, z: Array, s: Array | None = None) -> Array:
        """Bits `(..., q)` of the regions of states `(..., n)`."""
        return self.map.pattern(z, s)

    def region(self, pattern: Array) -> RegionFlow:
        """The flow of one region; `pattern` `(q,)`.

        Raises:
            ShapeError: not q bits. CertificateError: with `throw`, the region is `time_varying`, or its flow does not
            reproduce its map.
        """
        return self.convert(np.asarray(pattern)[None])[0]

    def convert(self, patterns: Array) -> Sequence[RegionFlow]:
        """The flows of many regions, `patterns` `(r, q)`; those not yet converted are converted in bulk. Patterns that differ only in units
        across whose boundary the map does not change are one region.

        Raises:
            ShapeError: not q bits. CertificateError: with `throw`, a region is `time_varying`, or its flow does not reproduce
                its map.
        """
        d = self.canonical.check_patterns(patterns)
        idle, bits = self.canonical.idle
        d = np.where(idle, bits, d) if idle.any() else d  # one region, and one set of auxiliary states, on both sides
        keys = [row.tobytes() for row in d]
        with self._lock:
            new = {key: row for key, row in zip(keys, d, strict=True) if key not in self._regions}
            if new:
                flows = self.method.regions(self.canonical.regions(np.array(list(new.values()))), self.dt)
                self._regions.update(zip(new, flows, strict=True))
            found = [self._regions[key] for key in keys]
        if self.throw:
            _refuse_time_varying(found, d)
            _refuse_unreached(found, d)
        return found

    def field(self, z: Array, s: Array | None = None) -> Array:
        """dz/dt under state switching at states `(..., n)` with auxiliary states 0: `(..., n)`.

        Raises:
            CertificateError: a region is `time_varying` and has no field.
        """
        z = np.asarray(z, dtype=np.float64)
        flat = z.reshape(-1, self.num_states)
        inputs = None if s is None else np.broadcast_to(s, (*z.shape[:-1], self.num_inputs)).reshape(len(flat), -1)
        patterns = self.pattern(flat, inputs)
        flows = self.convert(patterns)
        _refuse_time_varying(flows, patterns)
        rows = [
            r.field(x, None if inputs is None else inputs[k]) for k, (r, x) in enumerate(zip(flows, flat, strict=True))
        ]
        return np.array(rows).reshape(z.shape)

    def outputs(self, states: Array, inputs: Array | None = None) -> Array | None:
        """The map's readout."""
        return self.map.outputs(states, inputs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles convert their regions anew."""
        return PiecewiseAffineFlow, (self.map, self.method, self.throw)

    def __repr__(self) -> str:
        return f"PiecewiseAffineFlow(of {self.map!r}, {len(self._regions)} regions converted)"


_NILPOTENT = (
    "has a nilpotent part of index > 1 (a zero eigenvalue that is not semisimple, as far as double precision can tell)"
)
_UNKNOWN = "has no logarithm that double precision can compute (entries too large, or too different in size)"
_NO_FLOW = Condition("zero eigenvalues are semisimple", False, -1.0, "minus the number of regions where they are not")


def _refuse_time_varying(flows: Sequence[RegionFlow], patterns: Array) -> None:
    for flow, d in zip(flows, patterns, strict=True):
        if flow.status is RegionStatus.TIME_VARYING:
            raise CertificateError(
                f"{_named(d)} {_NILPOTENT if np.isfinite(flow.margin) else _UNKNOWN}: no autonomous linear ODE reaches its map. "
                "Convert with to_continuous(model, throw=False) to interpolate that part in time; the flow then still equals the "
                "map at the sample times.",
                Certificate("the region has an autonomous linear flow", _named(d), (_NO_FLOW,)),
            )


def _refuse_unreached(flows: Sequence[RegionFlow], patterns: Array) -> None:
    for flow, d in zip(flows, patterns, strict=True):
        if not flow.reproduces:
            claim, detail = (
                "the region's flow reproduces its map",
                f"{flow.limit:.0e} minus the residual {flow.residual:.1e}",
            )
            raise CertificateError(
                f"{_named(d)}: one step of the flow that was found ({flow.status}) is {flow.residual:.1e} of the map away from it, more "
                f"than {flow.limit:.0e}: the logarithm is too ill-conditioned for double precision (nearly defective or nearly "
                "singular matrix, or states measured in very different units). Sample with a smaller dt, or convert with "
                "to_continuous(model, throw=False) and read the residual in the certificate.",
                Certificate(claim, _named(d), (Condition.of(claim, flow.limit - flow.residual, detail),)),
            )


def _named(pattern: Array) -> str:
    return f"Region {''.join('01'[int(x)] for x in pattern)}" if len(pattern) else "The matrix"
