"""Windows cut from a recording at random places: what one update learns from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.learn.recordings import Recording


@dataclass(frozen=True)
class Windows:
    """b windows of T steps; the windows come last, so that one instruction acts on several.

    Attributes:
        forced: data that force, with noise `(N, T + 1, b)`. wanted: the same without. weight: of their squared errors, sum 1 over the times
            after the first, 0 where nothing was recorded. strength: of the forcing, 0 where nothing was recorded. Each of that shape.
        inputs: `(m, T + 1, b)`. times: `(T + 1, b)`, of the samples.
    """

    forced: Array
    wanted: Array
    weight: Array
    strength: Array
    inputs: Array
    times: Array

    @property
    def steps(self) -> int:
        """T."""
        return self.forced.shape[1] - 1


@dataclass(frozen=True)
class Cutter:
    """Cuts windows; those of an update depend on the seed and its number alone.

    Args:
        data: what is cut. steps: T. size: windows of an update. noise: standard deviation. dtype: "float32" or "float64".
    """

    data: Recording
    steps: int
    size: int
    noise: float
    seed: int
    dtype: str

    def cut(self, number: int, f: Array) -> Windows:
        """The windows of an update; f `(T + 1,)`: strength of the forcing."""
        rng = np.random.default_rng([self.seed, 1, number])
        start = self._starts[rng.integers(0, len(self._starts), size=self.size)]
        rows = start[None, :] + np.arange(self.steps + 1)[:, None]
        x, known, inputs = (a[:, rows] for a in self._joined)
        forced = x
        if self.noise:
            kind: Any = np.dtype(self.dtype).type
            forced = x + kind(self.noise) * rng.standard_normal(x.shape, dtype=kind)
        weight = known / max(float(known[:, 1:].sum()), 1.0)
        return Windows(forced, x, weight, known * f.astype(self.dtype)[None, :, None], inputs, self._times[rows])

    @cached_property
    def _starts(self) -> Array:
        """First samples of all windows that stay within one series."""
        ends = np.cumsum([len(x) for x in self.data.series])
        return np.concatenate(
            [np.arange(e - len(x), e - self.steps) for e, x in zip(ends, self.data.series, strict=True)]
        )

    @cached_property
    def _joined(self) -> tuple[Array, Array, Array]:
        parts = self.data.series, self.data.known, self.data.inputs
        x, known, inputs = (np.ascontiguousarray(np.concatenate(p).T, dtype=self.dtype) for p in parts)
        return x, known, inputs

    @cached_property
    def _times(self) -> Array:
        return np.concatenate(self.data.times)
