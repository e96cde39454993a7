"""Recorded and simulated series as arrays that can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.reconstruction.spectra import deviations
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError
from retime.core.trajectory import Trajectory

FEW = 16  # samples below which the measures say little


def as_series(name: str, value: Any) -> Array:
    """A series `(T, b, d)`, finite and not empty."""
    if isinstance(value, Trajectory):
        rows = value.states if value.outputs is None else value.outputs
        if np.isnan(rows).any():
            raise ValueError(
                f"`{name}` stopped early ({value.status} at t = {value.status_time:.6g}): its later rows are lost. Simulate for a "
                "shorter time, or pass the rows before that as an array."
            )
        value = rows
    else:
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.ndim and not np.isfinite(array).all():
            bad = int((~np.isfinite(array.reshape(len(array), -1))).any(axis=1).sum())
            raise ValueError(
                f"`{name}` has {bad} of {len(array)} rows with NaN or infinity; drop them (the series then has gaps), or pass the part "
                "before the model diverged."
            )
    x = real_array(name, value)
    x = x[:, None] if x.ndim == 1 else x
    x = x[:, None] if x.ndim == 2 else x
    if x.ndim != 3 or x.size == 0:
        raise ShapeError(
            f"`{name}` has shape {np.shape(value)}; it must be (T, d), one row per time, or (T, b, d); none of them 0."
        )
    return x


def same_dimension(x: Array, y: Array) -> None:
    """Refuse series of different dimensions.

    Raises:
        ShapeError: they differ.
    """
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(
            f"`generated` has {y.shape[-1]} dimensions, `reference` {x.shape[-1]}; compare the same observables (a Trajectory gives its "
            "outputs if the model has a readout)."
        )


def varying(x: Array) -> Array:
    """Standard deviations of the reference.

    Raises:
        ValueError: a dimension is constant.
    """
    sigma = deviations(x)
    if (sigma == 0).any():
        raise ValueError(
            f"`reference` is constant in dimension {int(np.argmin(sigma))}; leave that dimension out: nothing can be compared in it."
        )
    return sigma


def joined(*doubts: str) -> str:
    """The doubts there are, as one text."""
    return "; ".join(doubt for doubt in doubts if doubt)


def few(x: Array, y: Array) -> str:
    """A doubt where there are too few samples, else ""."""
    count = min(len(x), len(y))
    return f"{count} samples are too few to say anything (use at least {FEW}, better thousands)" if count < FEW else ""
