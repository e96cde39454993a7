"""The result of `lyapunov_spectrum`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retime.core.arrays import Array
from retime.core.result import Result
from retime.core.status import SearchStatus, TrajectoryStatus


@dataclass(frozen=True, eq=False, repr=False)
class History(Result):
    """Running estimates: times `(k,)` since measuring began, exponents `(k, num)` measured up to then."""

    times: Array
    exponents: Array

    def __iter__(self) -> Iterator[Array]:
        return iter((self.times, self.exponents))

    def _title(self) -> str:
        return f"{len(self.times)} running estimates" + (f" up to t = {self.times[-1]:.6g}" if len(self.times) else "")


@dataclass(frozen=True, eq=False, repr=False)
class LyapunovSpectrum(Result):
    """Lyapunov exponents of one orbit.

    Attributes:
        exponents: `(num,)`, 1 / model time, largest first; -inf for directions that a singular step takes to zero. NaN only when
            nothing could be measured: `status` and `message` then say why.
        standard_errors: `(num,)`, 1 / model time: of the mean over the orbit, from sums over windows of 1/64 to 1/8 of it; what the
            solver's tolerance and rounding add is in there; exponents closer than three errors share the larger one.
            0 where the exponent is exact (linear systems) or -inf; inf where the orbit was too short for two records.
        kaplan_yorke: Kaplan-Yorke dimension j + (l_1 + ... + l_j) / |l_{j+1}|, j the largest number of leading exponents whose sum is
            not negative; 0 when all are negative, n when the sum of all is not. Exponents within three standard errors of 0
            count as 0. NaN when nothing was measured and when the orbit diverged: there is no attractor then.
        kaplan_yorke_is_bound: the dimension is only known to be at least that, for fewer than n exponents were computed and their
            sum is not negative.
        sum_error: 1 / model time, difference between the sum of all exponents and the mean of log|det J| / dt (of the divergence,
            for flows) along the same orbit, which is found without the vectors. None when fewer than n exponents were computed,
            when one is -inf, or with auxiliary states.
        history: `History(times (k,), exponents (k, num))`, running estimates.
        status: how the orbit ended (`completed`, `diverged`, ...), or `interrupted`, or `time_limit`; what was measured until
            then is kept.
        message: the reason in words.
        time: model time that was measured.
        transient: model time before it that was followed without measuring.
        end: `(n,)`, the last state, to go on from (auxiliary states of a state-switched flow are not kept).
        settled: whether errors from short and from long windows agree. False: the orbit is short compared with its memory or its slowest
            change, its exponents may be further off than the errors say, and `message` says so.
    """

    _plot: ClassVar[str] = "exponents"

    exponents: Array
    standard_errors: Array
    kaplan_yorke: float
    kaplan_yorke_is_bound: bool
    sum_error: float | None
    history: History
    status: TrajectoryStatus | SearchStatus
    message: str
    time: float
    transient: float
    end: Array
    settled: bool = True

    def as_state(self) -> Array:
        """The last state `(n,)` of the orbit, to go on from."""
        return self.end

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary per exponent."""
        return [
            {"index": k + 1, "exponent": float(x), "standard_error": float(e)}
            for k, (x, e) in enumerate(zip(self.exponents, self.standard_errors, strict=True))
        ]

    def _title(self) -> str:
        bound = ">= " if self.kaplan_yorke_is_bound else ""
        known = f"Kaplan-Yorke dimension {bound}{self.kaplan_yorke:.4g}"
        text = "no Kaplan-Yorke dimension" if np.isnan(self.kaplan_yorke) else known
        text += f", measured over {self.time:.6g} of model time"
        text += "" if self.status == "completed" else f", {self.status}"
        return text + (f". {self.message}" if self.message else "")

    def _table(self) -> tuple[list[str], list[list[str]]]:
        if self.time == 0 and np.isnan(self.exponents).all():
            return [], []  # nothing was measured, which the title says
        rows = [
            [str(k + 1), f"{x:.6g}", f"{e:.1g}"]
            for k, (x, e) in enumerate(zip(self.exponents, self.standard_errors, strict=True))
        ]
        return ["", "exponent", "standard error"], rows
