"""The certificate of a piecewise-affine conversion, from the regions converted so far."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array
from retime.core.balance import balancing
from retime.core.certificate import Certificate, Condition
from retime.core.region import STRICT, RegionFlow
from retime.core.start import own_start
from retime.core.status import RegionStatus
from retime.models import PiecewiseAffineFlow
from retime.models.regionwise import OwnRegions

_PAIRS = 500


def certify_regions(flow: PiecewiseAffineFlow) -> Certificate:
    """What may be claimed of a converted flow, with the margins of the regions converted up to now.

    With no region converted yet, those on a 1,000-step orbit of the map are converted first (from zeros, or from a random state where
    zeros are a fixed point; input zero).
    """
    if not flow.converted:
        _convert_orbit(flow)
    found = flow.converted
    flows = list(found.values())
    without = sum(r.status is RegionStatus.TIME_VARYING for r in flows)
    scope = (
        "clock: global, every initial state and every input held over each step; state: per step. "
        f"Measured on the {len(flows)} of 2^{flow.num_units} regions converted so far"
    )
    conditions = [reproduces(flows), _autonomous(without, len(flows)), _same_dimension(flows), _below_nyquist(flows)]
    if not isinstance(flow.method, OwnRegions):
        conditions.append(decided(flow, found))
    if flow.num_units:
        conditions.append(_continuous(flow, found))
    return Certificate(_claim(flows, without), scope, tuple(conditions), _SOURCE, _headline(flows))


_SOURCE = (
    "principal logarithm: Monfared & Durstewitz 2020; real logarithm: Culver 1966; raised order, regularization, clock and "
    "state: this project"
)


def _headline(flows: list[RegionFlow]) -> str:
    worst = max(r.residual for r in flows)
    return (
        f"Exact at every sample time when the region is held from sample to sample: one step is off by at most {worst:.1e} "
        f"({len(flows)} region{'s' * (len(flows) != 1)} measured)."
    )


def _claim(flows: list[RegionFlow], without: int) -> str:
    """The claim, with what regularized and time-varying regions take away from it."""
    text = (
        "With the region held from sample to sample (clock), the flow equals the map at every sample time k dt, to the "
        "residual below. With the region read from the state, it does so on every step that crosses no boundary."
    )
    bound = max(r.bound for r in flows)
    if bound > 0:
        text += f" In regularized regions a step is off by at most {bound:.1e} of the state."
    if without:
        text += f" In {without} time-varying regions part of the state is interpolated, not the solution of an ODE."
    return text


def _convert_orbit(flow: PiecewiseAffineFlow, steps: int = 1000) -> None:
    form, z = flow.canonical, own_start(flow.map)[0]
    seen: dict[bytes, Array] = {}
    for _ in range(steps):
        d = form.pattern(z)
        seen.setdefault(d.tobytes(), d)
        z = form.apply(z)
        if not np.abs(z).max() < 1e100:
            break
    PiecewiseAffineFlow.convert(_quiet(flow), np.array(list(seen.values())))


def _quiet(flow: PiecewiseAffineFlow) -> PiecewiseAffineFlow:
    """The same flow (same store of regions) that does not raise: the certificate reports instead."""
    quiet = PiecewiseAffineFlow(flow.map, flow.method, throw=False)
    quiet._set(_regions=flow._regions, _lock=flow._lock)
    return quiet


def reproduces(flows: list[RegionFlow], name: str = "each region's flow reproduces its map") -> Condition:
    """Whether the residual of every region is within its limit, by the one that is worst beside its limit."""
    worst = max(flows, key=lambda r: r.residual / r.limit)
    detail = f"{worst.limit:.0e} minus the worst residual {worst.residual:.1e}"
    if worst.limit > STRICT:
        detail += "; rounding W, h and E to double precision moves a step by about an eighth of that limit"
    return Condition(name, worst.reproduces, worst.limit - worst.residual, detail)


def _autonomous(without: int, total: int) -> Condition:
    detail = f"{total - without} regions have an autonomous linear flow, {without} have none (time_varying)"
    return Condition.of("each region has an autonomous linear flow", -without or total, detail)


def _same_dimension(flows: list[RegionFlow]) -> Condition:
    ordinary = (RegionStatus.PRINCIPAL, RegionStatus.REAL)
    others = sum(r.status not in ordinary for r in flows)
    margin = min((r.margin for r in flows if r.status is not RegionStatus.REAL), default=float("inf"))
    detail = (
        "distance of the spectra to (-inf, 0], minus the modulus of what lies on it unpaired; "
        f"{others} of {len(flows)} regions are raised, regularized or time-varying"
    )
    return Condition("a real ODE of the same dimension exists", others == 0, margin, detail, required=False)


def decided(flow: PiecewiseAffineFlow, found: dict[bytes, RegionFlow], draws: int = 3) -> Condition:
    """Whether matrices within rounding of a region's have as many negative eigenvalues as it has (random draws, seed 0).

    Regions with zero eigenvalues are left out: that they are zero is what their status and their bound say.
    """
    keys = [key for key, r in found.items() if r.status.severity < RegionStatus.REGULARIZED.severity]
    patterns = np.array([np.frombuffer(key, dtype=bool) for key in keys]).reshape(len(keys), flow.num_units)
    M, rng = flow.canonical.regions(patterns).M, np.random.default_rng(0)
    with np.errstate(all="ignore"):
        w = balancing(M)
        M = M * (w[:, None, :] / w[:, :, None])
        size = np.linalg.norm(M, axis=(1, 2))[:, None, None]
        others = [_negative(M + _ROUNDING * size * rng.normal(size=M.shape)) for _ in range(draws)]
    undecided = int(np.any([x != others[0] for x in [_negative(M), *others]], axis=0).sum())
    detail = (
        "minus the number of regions with multiple, or nearly multiple, eigenvalues on or beside the negative axis: a matrix within "
        "rounding of theirs belongs to another row of the table"
    )
    return Condition.of("each status is decided beyond rounding", -undecided, detail, required=False)


_ROUNDING = 2.0**-52  # of a product of two numbers


def _negative(M: Array) -> Array:
    """Number of eigenvalues on the negative axis, zero left out, of a stack `(r, n, n)`."""
    w = np.linalg.eigvals(M)
    is_zero = np.abs(w) <= 1e-14 * np.linalg.norm(M, axis=(1, 2))[:, None]
    return ((np.imag(w) == 0) & (np.real(w) < 0) & ~is_zero).sum(axis=1)


def _below_nyquist(flows: list[RegionFlow]) -> Condition:
    margin = float(np.pi - max(r.rotation for r in flows))
    detail = "pi minus the largest rotation per step (rad); higher frequencies would fit the same samples"
    return Condition("all frequencies are below the Nyquist rate", margin > 0, margin, detail, required=False)


def _continuous(flow: PiecewiseAffineFlow, found: dict[bytes, RegionFlow]) -> Condition:
    """Largest relative jump of the field across a boundary between two converted neighbours."""
    jumps, name = [], "state: the field is continuous across boundaries"
    for key, r in found.items():
        bits = np.frombuffer(key, dtype=bool)
        for i in np.flatnonzero(~bits):
            other = bits.copy()
            other[i] = True
            if other.tobytes() in found and len(jumps) < _PAIRS:
                jumps.append(_jump(r, found[other.tobytes()], flow.canonical.W2[i], flow.canonical.h2[i]))
    if not jumps:
        return Condition(name, False, float("nan"), "no two converted regions are neighbours", required=False)
    detail = (
        f"minus the largest relative jump over {len(jumps)} pairs of neighbours; state switching deviates at crossings"
    )
    return Condition(name, max(jumps) <= 1e-12, -max(jumps), detail, required=False)


def _jump(a: RegionFlow, b: RegionFlow, w: Array, offset: float) -> float:
    """||difference of the fields on the boundary w z + offset = 0|| / ||field||, in the coordinates (z, 1)."""
    n = a.num_states
    fa, fb = (np.column_stack([r.W[:n, :n], r.h[:n]]) for r in (a, b))
    normal = np.append(w, offset)
    length = float(np.linalg.norm(normal))
    if length == 0:
        return 0.0
    difference = (fb - fa) - np.outer((fb - fa) @ normal, normal) / length**2
    return float(np.linalg.norm(difference) / max(np.linalg.norm(fa), 1e-300))
