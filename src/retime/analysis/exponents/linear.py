"""Exponents of linear systems, from their eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.exponents.result import History, LyapunovSpectrum
from retime.analysis.exponents.statistics import dimension_of
from retime.core.arrays import Array
from retime.core.status import TrajectoryStatus
from retime.simulation import simulate
from retime.simulation.horizon import Horizon


def is_linear(model: Any) -> bool:
    """Whether the system has one region, whatever its class."""
    return getattr(model, "num_units", None) == 0


def linear_spectrum(motion: Any, z: Array, num: int, horizon: Horizon, inputs: Any) -> LyapunovSpectrum:
    """From the eigenvalues: real parts, or logarithms of the moduli over dt."""
    n = len(z)
    A, time = motion.step_matrix(np.zeros(0, dtype=bool))
    if time.step is None:
        exponents, total = np.linalg.eigvals(A).real, float(np.trace(A))
    else:
        exponents = np.append(np.log(np.abs(_lasting(A))), np.full(n, -np.inf))[:n] / time.step
        total = float(np.linalg.slogdet(A)[1]) / time.step
    exponents = np.sort(exponents)[::-1]
    error = abs(float(exponents.sum()) - total) if num == n and np.isfinite(exponents).all() else None
    end, note = _linear_end(motion, z, horizon, inputs)
    exponents, length = exponents[:num], float(horizon.times[-1] - horizon.times[0])
    dimension, is_bound = (np.nan, False) if note else dimension_of(exponents, np.zeros(num), n)
    history = History(np.array([length]), exponents[None])
    message = "The exponents are those of the matrix: in a linear system they do not depend on the orbit." + note
    how = (error, history, TrajectoryStatus.COMPLETED, message, length, 0.0, end)
    return LyapunovSpectrum(exponents, np.zeros(num), dimension, is_bound, *how)


def _lasting(A: Array) -> Array:
    """The eigenvalues of A that are not zero: those of A on the image that its powers leave."""
    basis = np.eye(len(A))
    for _ in range(len(A)):
        image, sizes, _ = np.linalg.svd(A @ basis, full_matrices=False)
        new = image[:, sizes > len(A) * 2.0**-52 * np.linalg.norm(A, 2)]
        if new.shape[1] == basis.shape[1] or new.shape[1] == 0:
            basis = new
            break
        basis = new
    return np.linalg.eigvals(basis.T @ A @ basis) if basis.shape[1] else np.zeros(0)


def _linear_end(motion: Any, z: Array, horizon: Horizon, inputs: Any) -> tuple[Array, str]:
    """The state at the end of the horizon, or the last one that is finite, and a sentence then."""
    options: dict[str, Any] = {"steps": horizon.steps} if horizon.steps else {"times": horizon.times}
    path = simulate(motion.model, z, inputs=inputs, switching=motion.switching, **options)
    note = f" The orbit itself ended at t = {path.status_time:.6g}: {path.message}."
    return path.states[np.isfinite(path.states).all(axis=1)][-1], "" if path.status == "completed" else note
