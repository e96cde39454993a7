"""Matrices of low rank, kept as their factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array, matrix
from retime.core.errors import ShapeError


@dataclass(frozen=True, eq=False, repr=False)
class LowRank:
    """A matrix of low rank as its factors.

    W = left right^T

    W x costs 2 n r operations, not n^2. It stands for W wherever an array is wanted (`numpy.asarray(W)`, `W @ x`). Networks of low rank
    (Mastrogiuseppe and Ostojic 2018) have W = m n^T / N: `LowRank(m / N, n)`.

    Args:
        left, right: `(n, r)`.

    Raises:
        ShapeError: sizes disagree. ValueError: an entry is not finite.

    Source: mastrogiuseppe2018, dubreuil2022.
    """

    left: Any
    right: Any

    def __post_init__(self) -> None:
        left = matrix("left", self.left, (None, None), " (units, rank)")
        object.__setattr__(self, "left", left)
        object.__setattr__(self, "right", matrix("right", self.right, (None, left.shape[1]), " (units, rank)"))
        if left.shape != self.right.shape:
            raise ShapeError(
                f"`left` has shape {left.shape} and `right` {self.right.shape}; both must be (units, rank)."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return len(self.left), len(self.right)

    @property
    def rank(self) -> int:
        """r, the number of columns of the factors."""
        return self.left.shape[1]

    @property
    def is_cheaper(self) -> bool:
        """Whether the factors have fewer entries than the matrix."""
        return 2 * self.rank < len(self.left)

    def __len__(self) -> int:
        return len(self.left)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.left @ self.right.T, dtype=dtype)

    def __matmul__(self, x: Any) -> Any:
        return self.left @ (self.right.T @ x)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LowRank):
            return NotImplemented
        return np.array_equal(self.left, other.left) and np.array_equal(self.right, other.right)

    def __hash__(self) -> int:
        return hash(self.left.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return LowRank, (self.left, self.right)

    def __repr__(self) -> str:
        return f"LowRank({len(self.left)} units, rank {self.rank})"


def weights(W: Any) -> Any:
    """The parameters of an equation that stand for W: an array, or the factors."""
    return {"left": W.left, "right": W.right} if isinstance(W, LowRank) else W


def product(W: Any, x: Any) -> Any:
    """W x, for W from `weights`."""
    return W["left"] @ (W["right"].T @ x) if isinstance(W, dict) else W @ x
