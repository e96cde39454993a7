"""What a training comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from retime.core.certificate import Certificate
from retime.core.result import Result
from retime.core.sketch import series_sketch
from retime.core.status import TrainingStatus
from retime.core.system import System


@dataclass(frozen=True, repr=False)
class Fit(Result):
    """A trained network.

    Attributes:
        model: an ordinary model; the best one of the checks.
        history: one record per check: `step` (updates done), `loss` (mean of the updates since the last check), `score`, and what else
            was measured.
        metrics: of `model` on held-out trials or data.
        status: see `TrainingStatus`. message: why it ended, where it is not completed. seconds: of work.
        initial: the network before training, where `train` made it; None of `fit`.
        certificate: what a `constraint` of the training makes certain of `model`; None without one.
    """

    model: System
    history: Sequence[dict[str, float]]
    metrics: dict[str, float]
    status: TrainingStatus
    message: str = ""
    seconds: float = field(default=0.0, compare=False)
    initial: System | None = field(default=None, compare=False)
    certificate: Certificate | None = field(default=None, compare=False)

    _plot: ClassVar[str] = "training"

    def _title(self) -> str:
        done = f"{self.history[-1]['step'] if self.history else 0} updates"
        return ", ".join([repr(self.model), str(self.status), self.message or done])

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        return ("held out", "value"), [[k.replace("_", " "), f"{v:.4g}"] for k, v in self.metrics.items()]

    def _data(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "model": repr(self.model),
            "status": str(self.status),
            "message": self.message,
            "seconds": self.seconds,
        }
        if self.certificate is not None:
            own |= {"certificate": self.certificate}
        return {**own, "metrics": self.metrics, "history": list(self.history)}

    def _sketch(self) -> str:
        known = [(row["step"], row["loss"]) for row in self.history if row.get("loss", 0.0) > 0.0]
        steps, loss = np.array(known).reshape(-1, 2).T
        return series_sketch(steps, np.log10(loss)[:, None], ["log L"])

    def records(self) -> list[dict[str, Any]]:
        """The history."""
        return list(self.history)
