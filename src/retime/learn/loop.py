"""The loop that every training shares: updates, held-out checks, checkpoints, Ctrl-C, and the best parameters so far.

An update depends on its number alone (its batch and its noise are made from the seed and the number), so a run that goes on from a
checkpoint is bit for bit the run that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retime.core.clock import work_seconds
from retime.core.progress import progress
from retime.core.status import TrainingStatus
from retime.learn.checkpoint import Checkpoint

SAVED = 5.0  # seconds between two checkpoints


@dataclass
class Progress:
    """State of a run.

    Attributes:
        state: parameters and the optimizer's state, any tree of arrays. best: the parameters of the best check.
        step: updates done. history: one record per check. losses: of the updates since the last one.
        score: of the best check, smaller is better. since: checks since then.
    """

    state: Any
    best: Any
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    score: float = math.inf
    since: int = 0


@dataclass(frozen=True)
class Loop:
    """How long and how often.

    Args:
        update: (state, number) -> (state, loss): one update.
        check: (parameters, smallest score so far) -> record with `score`, smaller is better; every `every` updates and at the end.
        updates: how many. patience: checks without a better score after which to stop, None for never.
        checkpoint: where the state is kept, None for nowhere. resume: go on from there. time_limit: seconds of work.
        label: of the progress bar.
    """

    update: Callable[[Any, int], tuple[Any, Any]]
    check: Callable[[Any, float], dict[str, float]]
    updates: int
    every: int
    patience: int | None = None
    checkpoint: Checkpoint | None = None
    resume: bool = False
    time_limit: float = math.inf
    label: str = "training"

    def run(self, parameters: Any, optimizer_state: Any) -> tuple[Progress, TrainingStatus]:
        """Train from there, or from the checkpoint; the status says how it ended.

        Raises:
            ValueError: to go on, but no checkpoint. OSError: it cannot be written; the last one stays.
        """
        if self.resume and self.checkpoint is None:
            raise ValueError("`resume` is True, but there is no `checkpoint` to go on from; give its file.")
        p = self._begin(Progress((parameters, optimizer_state), parameters))
        if p.step == 0 and not p.history:
            self._check(p)
        self._save(p)  # says before the work starts when it cannot be written
        status = TrainingStatus.COMPLETED
        deadline = work_seconds() + self.time_limit
        saved, note = time.monotonic(), _note(p)
        try:
            with progress(self.label, self.updates - p.step) as advance:
                while p.step < self.updates:
                    if deadline < math.inf and work_seconds() >= deadline:
                        status = TrainingStatus.TIME_LIMIT
                        break
                    state, loss = self.update(p.state, p.step)
                    p.state, p.step = state, p.step + 1
                    p.losses.append(loss)
                    if p.step % self.every == 0 or p.step == self.updates:
                        if not self._check(p):
                            status = TrainingStatus.DIVERGED
                            break
                        if self.patience is not None and p.since >= self.patience:
                            status = TrainingStatus.STOPPED_EARLY
                            break
                        note = _note(p)
                    if self.checkpoint is not None and time.monotonic() - saved >= SAVED:
                        self._save(p)
                        saved = time.monotonic()
                    advance(1, note)
        except KeyboardInterrupt:
            status = TrainingStatus.INTERRUPTED
        self._save(p)
        return p, status

    def _check(self, p: Progress) -> bool:
        """Write a record; False when the loss or the check is no number."""
        record = self.check(p.state[0], p.score)
        losses, p.losses = [float(x) for x in p.losses], []
        loss = float(np.mean(losses)) if losses else record["loss"]
        p.history.append({"step": p.step, **record, "loss": loss})
        score = record["score"]
        if not (math.isfinite(score) and math.isfinite(loss)):
            return False
        p.since += 1
        if score < p.score:
            p.score, p.best, p.since = score, p.state[0], 0
        return True

    def _begin(self, fresh: Progress) -> Progress:
        import jax

        if self.checkpoint is None or not self.resume:
            return fresh
        leaves, tree = jax.tree.flatten((fresh.state, fresh.best))
        found = self.checkpoint.read(leaves)
        if found is None:
            return fresh
        state, best = jax.tree.unflatten(tree, [jax.numpy.asarray(x) for x in found[0]])
        record = found[1]
        return Progress(
            state, best, record["step"], record["history"], record["losses"], record["score"], record["since"]
        )

    def _save(self, p: Progress) -> None:
        import jax

        if self.checkpoint is not None:
            record = {
                "step": p.step,
                "history": p.history,
                "losses": [float(x) for x in p.losses],
                "score": p.score,
                "since": p.since,
            }
            self.checkpoint.write(jax.tree.leaves((p.state, p.best)), record)


def _note(p: Progress) -> str:
    return f"loss {p.history[-1]['loss']:.3g}"


def ending(status: TrainingStatus, step: int, updates: int) -> str:
    """Why a run ended before all its updates, in words; "" where it did not."""
    words = {
        TrainingStatus.DIVERGED: "the loss was no number: take a smaller `learning_rate`",
        TrainingStatus.TIME_LIMIT: "the time ended",
        TrainingStatus.INTERRUPTED: "Ctrl-C",
        TrainingStatus.STOPPED_EARLY: "no better on what was held out for a while",
    }
    return f"{words[status]}, after {step} of {updates} updates" if status in words else ""


def dtype_of(value: Any) -> None:
    """Refuse what is not the name of a precision of training.

    Raises:
        ValueError: neither "float32" nor "float64".
    """
    if value not in ("float32", "float64"):
        raise ValueError(f'`dtype` is {value!r}; it must be "float32" or "float64".')
