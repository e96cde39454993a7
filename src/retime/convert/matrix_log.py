"""Region by region, the linear flow that reaches an affine map in one step: the matrix logarithm, for every spectrum."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from retime.convert.eigen_log import Candidate, logs_by_eigenvectors
from retime.convert.exact import ExactStep
from retime.convert.generator import EPSILON, Generator, exact_inputs, exact_step, inputs_of, residuals
from retime.convert.schur_log import log_by_schur
from retime.core.arrays import Array
from retime.core.balance import balancing, reachable
from retime.core.canonical import AffineRegions
from retime.core.errors import CertificateError
from retime.core.progress import progress
from retime.core.quiet import one_blas_thread
from retime.core.readout import Readout
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus
from retime.core.threads import cores
from retime.core.time import CONTINUOUS
from retime.models import LinearSystem, PiecewiseAffineFlow

MEASURED = 5e-13  # what double precision measures above this is measured again exactly
_CHUNK = 256
_CHUNK_ENTRIES = 2**18  # entries of the augmented matrices of one chunk: bounds the memory of its temporaries


@dataclass(frozen=True)
class MatrixLog:
    """Exact conversion of affine maps by the matrix logarithm.

    log [[M, c, E], [0, 1, 0], [0, 0, I]] = dt [[W, h, E~], [0, 0, 0], [0, 0, 0]]

    for invertible M without negative eigenvalues (`principal`); a real logarithm that rotates equal pairs of negative
    Jordan blocks by pi (`real`); one auxiliary state for each unpaired negative eigenvalue (`raised`); semisimple zero
    eigenvalues replaced by 2^-53 (`regularized`); a nilpotent part of index > 1 interpolated in time (`time_varying`).

    Two routes: eigenvectors in bulk, accepted where the measured residual is at rounding level; otherwise ordered Schur
    forms, rank decisions and SciPy's inverse scaling and squaring, which need no eigenvectors.

    Args:
        tolerance: residual above which the next, more careful way is tried; the best is kept and reported.

    Source: monfared2020; culver1966; higham2008; docs/theory/conversion.md.
    """

    tolerance: float = 1e-13

    def regions(self, maps: AffineRegions, dt: float) -> list[RegionFlow]:
        """One `RegionFlow` per map M `(r, n, n)`, c `(r, n)`, E `(r, n, m)` for a step `dt`.

        Cost: O(n^3) per region; about 0.1 ms for n = 10 by the first route, 10 to 50 times that by the second.
        """
        M, F = maps.M, np.concatenate([maps.c[:, :, None], maps.E], axis=2)
        size = max(1, min(_CHUNK, _CHUNK_ENTRIES // (M.shape[1] + F.shape[2]) ** 2))
        chunks = [slice(i, i + size) for i in range(0, len(M), size)]
        with one_blas_thread(), progress("converting regions", len(M)) as advance:

            def one(chunk: slice) -> list[RegionFlow]:
                flows = self._chunk(M[chunk], F[chunk], dt)
                advance(len(flows))
                return flows

            if len(chunks) == 1:
                return one(chunks[0])
            with ThreadPoolExecutor(cores()) as pool:
                return [flow for flows in pool.map(one, chunks) for flow in flows]

    def _chunk(self, M: Array, F: Array, dt: float) -> list[RegionFlow]:
        with np.errstate(all="ignore"):
            weights = balancing(M)
            B, G = M * (weights[:, None, :] / weights[:, :, None]), F / weights[:, :, None]
            keep = None if (B != 0).all() else reachable(B)
            found = logs_by_eigenvectors(B, G, weights, keep)
            for k, log in enumerate(found):
                if log is None or max(log.of_map, log.of_inputs) > self.tolerance:
                    found[k] = self._careful(log, B[k], G[k], weights[k], None if keep is None else keep[k])
            plain = (weights == 1).all(axis=1).tolist()
            return [_region(log, B[k], G[k], weights[k], plain[k], dt) for k, log in enumerate(found)]

    def _careful(
        self, log: Candidate | None, M: Array, F: Array, weights: Array, keep: Array | None
    ) -> Candidate | None:
        """The better of the fast result and the careful one; the inputs follow once the map's logarithm is settled."""
        if log is not None and log.of_map <= self.tolerance:
            return min(log, _with_inputs(log.generator, log.of_map, F, weights, keep), key=lambda x: x.of_inputs)
        found = log_by_schur(M, weights, keep, self.tolerance, None if log is None else log.generator)
        return None if found is None else _with_inputs(found.generator, found.residual, F, weights, keep, found.step)


def _with_inputs(
    generator: Generator, of_map: float, F: Array, weights: Array, keep: Array | None, step: ExactStep | None = None
) -> Candidate:
    """Offset and inputs of a generator; what double precision does not settle is settled exactly."""
    moved = _moved(generator, F)
    mask = np.ones((len(generator.L), F.shape[1]))
    if keep is not None and not generator.paired:
        mask[: len(F)] = keep @ (moved != 0)
    H = inputs_of(generator.L, moved) * mask
    size = generator.target[None, : len(F), : len(F)]
    found = residuals(generator.L[None], H[None], generator.target[None], moved[None], size, weights[None])
    of_inputs = float(found.inputs[0])
    if of_inputs > MEASURED:
        step = exact_step(generator) if step is None else step
        if step is not None:
            H, of_inputs = exact_inputs(step, generator, moved, weights, mask)
    return Candidate(generator, H, of_map, of_inputs)


def _moved(generator: Generator, F: Array) -> Array:
    """The part of F that the generator has to bring about; the rest of a time-varying region is interpolated."""
    if generator.status is not RegionStatus.TIME_VARYING or generator.null is None:
        return F
    return F - generator.null @ F


def _region(log: Candidate | None, M: Array, F: Array, weights: Array, plain: bool, dt: float) -> RegionFlow:
    """In the units of the network's states (`plain`: these are the balanced ones); auxiliary states keep the balanced ones."""
    generator, H, of_map, of_inputs = _interpolated(M, F) if log is None else log
    n, L = len(M), generator.L
    if not plain:
        units = np.concatenate([weights, np.ones(len(L) - n)])
        L, H = L * (units[:, None] / units), units[:, None] * H
    W, H = L / dt, H / dt
    bound, ramp = 0.0, None
    if generator.null is not None:
        null, target = (X * (weights[:, None] / weights) for X in (generator.null, generator.target[:n, :n]))
        if generator.status is RegionStatus.REGULARIZED:
            bound = EPSILON * float(np.linalg.norm(null, 2))
        else:
            M, F = M * (weights[:, None] / weights), F * weights[:, None]
            ramp = np.hstack([null @ F[:, :1], M - target, null @ F[:, 1:]])
    for array in (W, H):
        array.setflags(write=False)
    return RegionFlow(
        W, H[:, 0], H[:, 1:], generator.status, len(L) - n, max(of_map, of_inputs), generator.margin, generator.rotation,
        bound, dt, ramp,
    )  # fmt: skip


def _interpolated(M: Array, F: Array) -> Candidate:
    """Where no logarithm can be computed: everything is interpolated over the step."""
    n = len(M)
    still = Generator(np.zeros((n, n)), np.eye(n), RegionStatus.TIME_VARYING, -np.inf, np.pi, np.eye(n))
    return Candidate(still, np.zeros_like(F), 0.0, 0.0)


NO_FLOW = (
    "The system has poles at 0 in a Jordan block (a nilpotent part of index > 1, such as a delay of two steps or more): no linear "
    "differential equation of finite order has it as its samples."
)


def logarithm(model: LinearSystem) -> RegionFlow:
    """The linear flow of a linear map, its order raised by one auxiliary state per unpaired negative eigenvalue.

    Raises:
        CertificateError: a nilpotent part of index > 1, or a flow that does not reproduce the map in double precision.
    """
    region = sampled_region(model)
    if region.status is RegionStatus.TIME_VARYING:
        raise CertificateError(NO_FLOW)
    if not region.reproduces:
        PiecewiseAffineFlow(model, MatrixLog()).region(np.zeros(0, dtype=bool))
    return region


def sampled_region(model: LinearSystem, method: MatrixLog | None = None) -> RegionFlow:
    """What `MatrixLog` finds for the one region of a linear map, whatever its status."""
    return PiecewiseAffineFlow(model, method or MatrixLog(), throw=False).region(np.zeros(0, dtype=bool))


def linear_flow(model: LinearSystem, region: RegionFlow, readout: Readout | None = None) -> LinearSystem:
    """A region as a LinearSystem with the readout of the map; without one, the map's own states are the outputs of a raised flow."""
    readout = model.readout if readout is None else readout
    if readout is None and region.auxiliary:
        readout = Readout(np.eye(model.num_states))
    if readout is not None:
        readout = readout.widened(0, region.auxiliary)
    auxiliary = model.auxiliary + region.auxiliary
    return LinearSystem(region.W, region.h, region.E, time=CONTINUOUS, readout=readout, D=model.D, auxiliary=auxiliary)
