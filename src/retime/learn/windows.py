"""Windows cut from a recording at random places: what one update learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ShapeError
from retime.core.kernel import kernel
from retime.learn.recordings import Recording

NOISE = 2**20  # normal numbers that are drawn for all windows
UPDATES = 64  # whose windows are chosen at once


@dataclass(frozen=True)
class Windows:
    """b windows of T steps; the windows come last, so that one instruction acts on several.

    Attributes:
        forced: data that force, with noise `(N, T + 1, b)`. wanted: the same without. weight: of their squared errors, sum 1 over the times
            after the first, 0 where nothing was recorded. strength: of the forcing, 0 where nothing was recorded. Each of that shape.
        inputs: `(m, T + 1, b)`. times: `(T + 1, b)`, of the samples, from anywhere on.
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

    def in_groups(self, size: int) -> Iterator[Windows]:
        """So many windows at a time; what is missing in the last group has no weight."""
        count = self.forced.shape[2]
        if count == size:
            yield self
            return
        for first in range(0, count, size):
            spare = max(first + size - count, 0)
            yield Windows(*(_padded(getattr(self, f.name)[..., first : first + size], spare) for f in fields(self)))


def _padded(a: Array, spare: int) -> Array:
    return np.ascontiguousarray(np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, spare)]) if spare else a)


@kernel
def cut_out(
    x: Array, start: Array, noise: Array, drawn: Array, f: Array, forced: Array, wanted: Array, strength: Array
) -> None:
    """Windows of x `(T, N)` from `start`, and with noise, unless that is empty; drawn `(N, b)`: from where on each window takes it;
    f `(T,)` as the strength of each. One window after the other: then what is read lies in order."""
    N, T, size = wanted.shape
    noisy = noise.size > 0
    for b in range(size):
        for i in range(N):
            at, shift = start[b], drawn[i, b]
            for t in range(T):
                wanted[i, t, b] = x[at + t, i]
                if noisy:
                    forced[i, t, b] = x[at + t, i] + noise[shift + t]
    for i in range(N):
        for t in range(T):
            for b in range(size):
                strength[i, t, b] = f[t]


@kernel
def mask_out(known: Array, start: Array, weight: Array, strength: Array) -> None:
    """Zeros where nothing was recorded, known `(T, N)`; the weights, equal before, have the sum 1 over the times after the first."""
    N, T, size = weight.shape
    count, zero = 0, weight.dtype.type(0)
    for i in range(N):
        for t in range(T):
            for b in range(size):
                if known[start[b] + t, i]:
                    count += t > 0
                else:
                    weight[i, t, b] = strength[i, t, b] = zero
    share = weight.dtype.type(1.0 / max(count, 1))
    for i in range(N):
        for t in range(T):
            for b in range(size):
                weight[i, t, b] *= share


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
        """The windows of an update; f `(T + 1,)`: strength of the forcing.

        Raises:
            ShapeError: f has another shape.
        """
        kind, (x, known, inputs) = np.dtype(self.dtype), self._joined
        start, drawn = self._places(number)
        shape, f = (x.shape[1], self.steps + 1, self.size), np.asarray(f, dtype=np.float64)
        if f.shape != shape[1:2]:
            raise ShapeError(
                f"`strength` of the forcing has shape {f.shape}; it must be ({shape[1]},), one for each time."
            )
        wanted, strength, weight = np.empty(shape, kind), np.empty(shape, kind), self._weight
        forced = np.empty(shape, kind) if len(self._noise) else wanted
        cut_out(x, start, self._noise, drawn, f, forced, wanted, strength)
        if len(known):
            weight = np.ones(shape, kind)
            mask_out(known, start, weight, strength)
        s = np.empty((inputs.shape[1], *shape[1:]), kind)
        for k in range(self.size if s.size else 0):
            s[:, :, k] = inputs[start[k] : start[k] + shape[1]].T
        return Windows(forced, wanted, weight, strength, s, self._times_from(start))

    def _places(self, number: int) -> tuple[Array, Array]:
        """First samples `(b,)`, and first of the noise `(N, b)`: drawn for many updates at once, which takes no longer."""
        block, at = divmod(number, UPDATES)
        if block not in self._drawn:
            rng, size = np.random.default_rng([self.seed, 1, block]), (UPDATES, self.size)
            first = self._starts[rng.integers(0, len(self._starts), size=size)]
            most, channels = max(len(self._noise) - self.steps - 1, 1), self.data.num_channels
            self._drawn.clear()
            self._drawn[block] = first, rng.integers(0, most, size=(UPDATES, channels, self.size))
        first, noise = self._drawn[block]
        return first[at], noise[at]

    @cached_property
    def _drawn(self) -> dict[int, tuple[Array, Array]]:
        """The places of the last block of updates."""
        return {}

    def _times_from(self, start: Array) -> Array:
        """Of samples equally far apart from 0 on."""
        if self._grid is not None:
            return self._grid
        return self._times[start[None, :] + np.arange(self.steps + 1)[:, None]]

    @cached_property
    def _grid(self) -> Array | None:
        grid = np.repeat(self.data.dt * np.arange(self.steps + 1.0)[:, None], self.size, axis=1)
        return grid if self.data.is_even else None

    @cached_property
    def _weight(self) -> Array:
        """Where all was recorded."""
        shape = (self.data.num_channels, self.steps + 1, self.size)
        return np.full(shape, 1.0 / (shape[0] * self.steps * self.size), np.dtype(self.dtype))

    @cached_property
    def _noise(self) -> Array:
        """Normal numbers, of which each window takes a stretch from a random place: drawing them anew takes longer than the gradient."""
        count = max(NOISE, 16 * self.steps) if self.noise else 0
        rng = np.random.default_rng([self.seed, 2])
        return (self.noise * rng.standard_normal(count)).astype(self.dtype)

    @cached_property
    def _starts(self) -> Array:
        """First samples of all windows that stay within one series."""
        ends = np.cumsum([len(x) for x in self.data.series])
        return np.concatenate(
            [np.arange(e - len(x), e - self.steps) for e, x in zip(ends, self.data.series, strict=True)]
        )

    @cached_property
    def _joined(self) -> tuple[Array, Array, Array]:
        """Samples, where they were recorded (empty for everywhere), and inputs."""
        parts = self.data.series, self.data.known, self.data.inputs
        x, known, inputs = (np.concatenate(p) for p in parts)
        return x.astype(self.dtype), known[:0] if known.all() else known, inputs.astype(self.dtype)

    @cached_property
    def _times(self) -> Array:
        return np.concatenate(self.data.times)
