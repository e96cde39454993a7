"""From the growth of vectors to exponents, their standard errors and the Kaplan-Yorke dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.exponents.averages import standard_errors
from retime.analysis.exponents.growth import Growth
from retime.analysis.exponents.result import History, LyapunovSpectrum
from retime.core.arrays import Array
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.simulation.horizon import Horizon

APART = 3.0  # standard errors of their difference, within which exponents are not told apart
SHOWN = 256  # rows of the history


def spectrum_of(model: Any, growth: Growth, horizon: Horizon) -> LyapunovSpectrum:
    """Exponents, errors, dimension and check from the growth of vectors."""
    n, num, skipped = model.num_states, growth.logs.shape[1], horizon.transient * (model.dt if horizon.steps else 1.0)
    measured = float(growth.durations.sum())
    status = growth.ended or growth.status
    if growth.ended is not None:
        skipped = min(skipped, growth.reached)
    if measured == 0:
        empty = np.full(num, np.nan)
        message = reason_of(growth, horizon) + _nothing(skipped)
        history = History(np.zeros(0), np.zeros((0, num)))
        return LyapunovSpectrum(empty, empty, np.nan, False, None, history, status, message, 0.0, skipped, growth.end)
    sums, elapsed = np.cumsum(growth.logs, axis=0), np.cumsum(growth.durations)
    order = np.argsort(-sums[-1], kind="stable")
    exponents = (sums[-1] / measured)[order]
    errors, settled = errors_of(growth)
    errors = _shared(exponents, errors[order])
    shown = np.unique(np.linspace(0, len(sums) - 1, min(SHOWN, len(sums))).astype(int))
    history = History(elapsed[shown], (sums[shown] / elapsed[shown, None])[:, order])
    dimension, is_bound = dimension_of(exponents, errors, n)
    if status is TrajectoryStatus.DIVERGED:
        dimension, is_bound = np.nan, False
    checked = num == n and np.isfinite(growth.volume) and np.isfinite(exponents).all()
    error = abs(float(exponents.sum()) - growth.volume / measured) if checked else None
    parts = [reason_of(growth, horizon)]
    if np.isneginf(exponents).any():
        parts.append(f"{int(np.isneginf(exponents).sum())} directions are taken to zero: exponent -inf.")
    if not settled.all():
        parts.append(_unsettled(np.flatnonzero(~settled[order])))
    message = " ".join(filter(None, parts))
    return LyapunovSpectrum(
        exponents, errors, dimension, is_bound, error, history, status, message, measured, skipped, growth.end, bool(settled.all())
    )  # fmt: skip


def reason_of(growth: Growth, horizon: Horizon) -> str:
    """Why the orbit ended early, or what is to be known of it; empty when it did not."""
    if growth.ended is not None:
        why = "Interrupted by Ctrl-C" if growth.ended is SearchStatus.INTERRUPTED else "The time limit was reached"
        return f"{why} at t = {growth.reached + horizon.start:.6g}: what was measured until then is given."
    if not growth.message:
        return ""
    at = growth.status_time + (horizon.start if horizon.steps else 0.0)
    if growth.status is TrajectoryStatus.NONUNIQUE:
        return f"At t = {at:.6g} {growth.message}."
    return f"The orbit ended at t = {at:.6g}: {growth.message}."


def _nothing(skipped: float) -> str:
    inside = f" within the transient of {skipped:.6g}; measure from the beginning with transient=0" if skipped else ""
    return f" Nothing was measured: it ended{inside}."


def _unsettled(which: Array) -> str:
    """The sentence about errors that are not settled."""
    names = f"exponent {which[0] + 1}" if len(which) == 1 else f"exponents {', '.join(str(k + 1) for k in which)}"
    return (
        f"Standard errors of {names} are not settled: they are larger from windows of 1/8 than of 1/64 of the orbit, so it is short compared "
        "with its slowest change and the error may be larger still; follow it longer."
    )


def errors_of(growth: Growth) -> tuple[Array, Array]:
    """Standard errors `(p,)` and whether they are settled; exact zeros for vectors that have died."""
    dead = np.isneginf(growth.logs).any(axis=0)
    logs = np.where(dead, 0.0, growth.logs)
    errors, settled = standard_errors(growth.durations, logs)
    return np.where(dead, 0.0, errors + growth.noise), settled


def _shared(exponents: Array, errors: Array) -> Array:
    """Neighboring exponents that their errors cannot tell apart share the larger error.

    Their vectors take each other's place for long stretches, and one of them may look steady meanwhile.
    """
    with np.errstate(invalid="ignore"):
        near = exponents[:-1] - exponents[1:] <= APART * np.hypot(errors[:-1], errors[1:])
    larger = np.where(near, np.maximum(errors[:-1], errors[1:]), 0.0)
    return np.maximum(errors, np.maximum(np.append(larger, 0.0), np.append(0.0, larger)))


def dimension_of(exponents: Array, errors: Array, n: int) -> tuple[float, bool]:
    """Kaplan-Yorke dimension, and whether it is only a lower bound."""
    near = np.isfinite(errors) & (np.abs(exponents) <= 3 * errors)
    values = np.where(near, 0.0, exponents)
    sums = np.cumsum(values)
    j = int(np.argmax(sums < 0)) if (sums < 0).any() else len(sums)
    if j == len(sums):
        return float(j), j < n
    before = float(sums[j - 1]) if j else 0.0
    return j + before / abs(float(values[j])), False
