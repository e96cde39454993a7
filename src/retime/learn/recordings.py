"""Recordings: several series of one system, standardized, with what is missing masked and never filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import ShapeError

CONSTANT = 1e-12  # a spread below this part of the values is rounding: such a channel says nothing


@dataclass(frozen=True)
class Recording:
    """What a network is fitted to.

    Attributes:
        series: standardized, each `(T, N)`, zeros where nothing was recorded. known: where something was, each `(T, N)`.
        mean, std: `(N,)` of the recorded values, before.
    """

    series: tuple[Array, ...]
    known: tuple[Array, ...]
    mean: Array
    std: Array

    @property
    def num_channels(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def shortest(self) -> int:
        """Samples of the shortest series."""
        return min(map(len, self.series))

    def split(self, share: float) -> tuple[Recording, Recording]:
        """The first part of each series, and its last `share`."""
        at = [len(x) - max(round(share * len(x)), 2) for x in self.series]
        return self._cut([slice(0, k) for k in at]), self._cut([slice(k, None) for k in at])

    def _cut(self, parts: Sequence[slice]) -> Recording:
        pairs = [(x[p], known[p]) for x, known, p in zip(self.series, self.known, parts, strict=True)]
        return Recording(tuple(x for x, _ in pairs), tuple(k for _, k in pairs), self.mean, self.std)


def recording(series: Any, *, missing: bool, standardize: bool) -> Recording:
    """A recording of an array `(T, N)` or `(T,)`, a list of such arrays, a DataFrame or DataArray, or a file (.npy, .csv, .txt, .mat).

    Raises:
        ShapeError: other shapes, or different numbers of channels. ValueError: NaN without `missing`, infinite values, a constant channel,
            fewer than two samples. OSError: the file cannot be read.
    """
    several = (
        isinstance(series, (list, tuple))
        and len(series) > 0
        and isinstance(series[0], np.ndarray)
        and series[0].ndim > 0
    )
    parts = [_one(x) for x in (series if several else [series])]
    counts = {x.shape[1] for x in parts}
    if len(counts) > 1:
        raise ShapeError(f"`series` has parts with {sorted(counts)} channels; all must have the same.")
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
    mean, std = np.nanmean(every, axis=0), np.nanstd(every, axis=0)
    constant = std <= CONSTANT * np.maximum(np.abs(mean), 1e-300)
    if constant.any():
        raise ValueError(
            f"`series` is constant in channel {int(constant.argmax())} ({mean[constant][0]:g}); leave it out."
        )
    if not standardize:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    known = tuple(~np.isnan(x) for x in parts)
    return Recording(
        tuple(np.where(k, (x - mean) / std, 0.0) for x, k in zip(parts, known, strict=True)), known, mean, std
    )


def _one(value: Any) -> Array:
    if isinstance(value, (str, Path)):
        value = _from_file(Path(value))
    array = np.asarray(getattr(value, "values", value))
    if array.dtype.kind not in "fiu":
        raise ValueError(f"`series` has entries of type {array.dtype}; they must be real numbers.")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or 0 in array.shape:
        raise ShapeError(
            f"`series` has shape {array.shape}; it must be (T, N), one row per sample, or a list of such arrays."
        )
    return array.astype(np.float64)


def _from_file(path: Path) -> Any:
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
            raise ValueError(f"{path} holds {sorted(arrays) or 'no matrix'}; give the one to fit as an array.")
        return next(iter(arrays.values()))
    raise ValueError(
        f"`series` is {str(path)!r}, which must be a .npy, .csv, .txt or .mat file; read it and give the array."
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
