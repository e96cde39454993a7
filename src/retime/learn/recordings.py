"""Recordings: several series of one system, standardized, with what is missing masked and never filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array, increasing
from retime.core.errors import ShapeError

EVEN = 1e-6  # times that differ from a grid by less than this part of a step are rounded
CONSTANT = 1e-12  # a spread below this part of the values is rounding: such a channel says nothing


@dataclass(frozen=True)
class Recording:
    """What a network is fitted to.

    Attributes:
        series: standardized, each `(T, N)`, zeros where nothing was recorded. known: where something was, each `(T, N)`.
        inputs: each `(T, m)`, divided by `scale`. times: each `(T,)`, model time.
        mean, std: `(N,)` of the recorded values, before. scale: `(m,)`, root mean square of the inputs.
        dt: median time between two samples.
    """

    series: tuple[Array, ...]
    known: tuple[Array, ...]
    inputs: tuple[Array, ...]
    times: tuple[Array, ...]
    mean: Array
    std: Array
    scale: Array
    dt: float

    @property
    def num_channels(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def num_inputs(self) -> int:
        """m."""
        return len(self.scale)

    @property
    def shortest(self) -> int:
        """Samples of the shortest series."""
        return min(map(len, self.series))

    @property
    def is_even(self) -> bool:
        """Whether all samples are equally far apart."""
        gaps = np.concatenate([np.diff(t) for t in self.times])
        return bool(np.abs(gaps - self.dt).max() <= EVEN * self.dt)

    def standardized(self, mean: Array, std: Array) -> Recording:
        """With another mean and standard deviation of the channels."""
        own = zip(self.series, self.known, strict=True)
        series = tuple(np.where(k, (x * self.std + self.mean - mean) / std, 0.0) for x, k in own)
        return replace(self, series=series, mean=np.array(mean), std=np.array(std))

    def split(self, share: float) -> tuple[Recording, Recording]:
        """The first part of each series, and its last `share`."""
        at = [len(x) - max(round(share * len(x)), 2) for x in self.series]
        return self._cut([slice(0, k) for k in at]), self._cut([slice(k, None) for k in at])

    def _cut(self, parts: Sequence[slice]) -> Recording:
        columns = (self.series, self.known, self.inputs, self.times)
        series, known, inputs, times = (tuple(x[p] for x, p in zip(c, parts, strict=True)) for c in columns)
        return replace(self, series=series, known=known, inputs=inputs, times=times)


def recording(
    series: Any, *, missing: bool, standardize: bool, inputs: Any = None, times: Any = None, dt: float = 1.0
) -> Recording:
    """A recording of an array `(T, N)` or `(T,)`, a list of such, a DataFrame, a DataArray or Dataset, or a file (.npy, .csv, .txt, .mat).

    `inputs` come in the same ways, as many rows; `times` as arrays `(T,)`; None: 0, dt, 2 dt, ...

    Raises:
        ShapeError: other shapes, or different numbers of channels. ValueError: NaN without `missing`, infinite values, a constant channel,
            fewer than two samples, times that do not increase. OSError: the file cannot be read.
    """
    parts = _parts("series", series)
    _check_values(parts, missing)
    every = np.concatenate(parts)
    mean, std = np.nanmean(every, axis=0), np.nanstd(every, axis=0)
    constant = std <= CONSTANT * np.maximum(np.abs(mean), 1e-300)
    if constant.any():
        raise ValueError(
            f"`series` is constant in channel {int(constant.argmax())} ({mean[constant][0]:g}); leave it out."
        )
    if not standardize:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    known = tuple(~np.isnan(x) for x in parts)
    scaled = tuple(np.where(k, (x - mean) / std, 0.0) for x, k in zip(parts, known, strict=True))
    given, scale = _inputs(inputs, parts)
    at = _times(times, parts, dt)
    gap = dt if times is None else float(np.median(np.concatenate([np.diff(t) for t in at])))
    return Recording(scaled, known, given, at, mean, std, scale, gap)


def _parts(name: str, value: Any) -> list[Array]:
    """The arrays `(T, N)` of one recording or several."""
    first: Any = value[0] if isinstance(value, (list, tuple)) and value else 0.0
    is_array = not isinstance(first, (list, tuple)) and np.ndim(getattr(first, "values", first)) > 0
    several = is_array or isinstance(first, Path)
    parts = [_one(name, x) for x in (value if several else [value])]
    counts = {x.shape[1] for x in parts}
    if len(counts) > 1:
        raise ShapeError(f"`{name}` has parts with {sorted(counts)} channels; all must have the same.")
    return parts


def _check_values(parts: Sequence[Array], missing: bool) -> None:
    if min(map(len, parts)) < 2:
        raise ValueError(
            f"`series` has a part of {min(map(len, parts))} sample; at least two are needed, hundreds to learn from."
        )
    every = np.concatenate(parts)
    if np.isinf(every).any():
        raise ValueError(
            "`series` holds infinite values; remove them, or mark them as missing with NaN and missing=True."
        )
    gaps = int(np.isnan(every).any(axis=1).sum())
    if gaps and not missing:
        raise ValueError(
            f"`series` has NaN in {gaps} of {len(every)} rows; with missing=True they are masked (neither forced nor scored), else remove them."
        )
    if np.isnan(every).all(axis=0).any():
        raise ValueError(f"`series` has nothing but NaN in channel {int(np.isnan(every).all(axis=0).argmax())}.")


def _inputs(inputs: Any, parts: Sequence[Array]) -> tuple[tuple[Array, ...], Array]:
    """Each `(T, m)`, divided by their root mean squares `(m,)`."""
    if inputs is None:
        return tuple(np.zeros((len(x), 0)) for x in parts), np.zeros(0)
    given = _parts("inputs", inputs)
    every = np.concatenate(given)
    if not np.isfinite(every).all():
        raise ValueError("`inputs` has NaN or infinite values; what drove the system must be known at every sample.")
    if [len(s) for s in given] != [len(x) for x in parts]:
        raise ShapeError(
            f"`inputs` has {[len(s) for s in given]} rows, `series` {[len(x) for x in parts]}; there must be one row of inputs per sample."
        )
    scale = np.sqrt((every**2).mean(axis=0))
    if (scale == 0).any():
        raise ValueError(f"`inputs` is zero throughout in channel {int((scale == 0).argmax())}; leave it out.")
    return tuple(s / scale for s in given), scale


def _times(times: Any, parts: Sequence[Array], dt: float) -> tuple[Array, ...]:
    if times is None:
        return tuple(dt * np.arange(len(x)) for x in parts)
    several = isinstance(times, (list, tuple)) and len(times) > 0 and np.ndim(times[0]) > 0
    found = tuple(increasing("times", t) for t in (times if several else [times]))
    if [len(t) for t in found] != [len(x) for x in parts]:
        raise ShapeError(
            f"`times` has {[len(t) for t in found]} entries, `series` {[len(x) for x in parts]} samples; there must be one time per sample."
        )
    return found


def _one(name: str, value: Any) -> Array:
    if isinstance(value, (str, Path)):
        value = _from_file(name, Path(value))
    array = _from_table(name, value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` has entries of type {array.dtype}; they must be real numbers.")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or 0 in array.shape:
        raise ShapeError(
            f"`{name}` has shape {array.shape}; it must be (T, N), one row per sample, or a list of such arrays."
        )
    return array.astype(np.float64)


def _from_table(name: str, value: Any) -> Array:
    """The numbers of an array, of a DataFrame (missing ones become NaN), or of a DataArray or Dataset, whose dimension `time` comes first."""
    if hasattr(value, "data_vars"):
        value = value.to_array()
    if "time" in (dims := tuple(getattr(value, "dims", ()))):
        value = value.transpose("time", *(d for d in dims if d != "time"))
    if hasattr(value, "columns"):
        words = [str(c) for c in value.columns if value[c].dtype.kind not in "fiub"]
        if words:
            raise ValueError(f"`{name}` has columns that are no numbers: {', '.join(words)}; leave them out.")
        return value.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(getattr(value, "values", value))


def _from_file(name: str, path: Path) -> Any:
    kind = path.suffix.lower()
    if kind == ".npy":
        return np.load(path, allow_pickle=False)
    if kind in (".csv", ".txt", ".tsv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        separator = next((c for c in ",;\t" if lines and c in lines[0]), None)
        return np.array(
            [_numbers(line.split(separator), path, k) for k, line in enumerate(lines) if _is_row(line, k, separator)]
        )
    if kind == ".mat":
        from scipy.io import loadmat

        arrays = {
            k: v for k, v in loadmat(path).items() if not k.startswith("__") and np.ndim(v) == 2 and np.size(v) > 1
        }
        if len(arrays) != 1:
            raise ValueError(
                f"`{name}`: {path} holds {sorted(arrays) or 'no matrix'}; give the one to fit as an array."
            )
        return next(iter(arrays.values()))
    raise ValueError(
        f"`{name}` is {str(path)!r}; a file must be a .npy, .csv, .txt or .mat file. Read others and give the array."
    )


def _is_row(line: str, number: int, separator: str | None) -> bool:
    """Whether a line holds numbers: neither an empty line nor the header."""
    first = line.split(separator)
    return bool(line.strip()) and not (number == 0 and any(_is_word(x) for x in first))


def _is_word(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return bool(text.strip())
    return False


def _numbers(cells: Sequence[str], path: Path, number: int) -> list[float]:
    try:
        return [float(x) if x.strip() else np.nan for x in cells]
    except ValueError as error:
        raise ValueError(f"{path}, line {number + 1}: {error}.") from None
