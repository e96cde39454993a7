"""The network that is fitted, as three matrices, and its flow over one step with what the fit needs of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from retime.core.arrays import Array

SUBSTEPS = 8  # of Runge-Kutta's method of order 4 within a step of the map, for the fit; judged by the exact flow
FASTEST = 1e4  # per step: no entry of L or W1 is larger; Runge-Kutta's steps of faster fields are no flow, but may look like the map
CHUNK = 1000  # states at a time
REGULAR = (
    1e-3  # the square of a direction's shrinking over half a step, below which its error is not drawn out any further
)


@dataclass(frozen=True, eq=False)
class Field:
    """dz/dt = L x + W1 relu(V x),   x = (z, s, 1), in units in which the map's step is 1.

    Attributes:
        L: `(n, k)`, k = n + m + 1. W1: `(n, q)`. V: `(q, k)`, the first n entries of each row of length 1.
    """

    L: Array
    W1: Array
    V: Array

    @classmethod
    def linear(cls, L: Array) -> Field:
        """Without units."""
        n, k = L.shape
        return cls(L, np.zeros((n, 0)), np.zeros((0, k)))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """n, k, q."""
        return *self.L.shape, self.W1.shape[1]

    @property
    def is_slow(self) -> bool:
        """Whether no rate is so fast that steps of the fit are no flow any more."""
        return bool(max(np.abs(self.L).max(initial=0.0), np.abs(self.W1).max(initial=0.0)) <= FASTEST)

    def rates(self, x: Array) -> Array:
        """dz/dt `(b, n)` at x `(b, k)`."""
        return x @ self.L.T + np.maximum(x @ self.V.T, 0.0) @ self.W1.T

    def moved(self, outer: Array, inner: Array | None = None) -> Field:
        """With changes of L and W1, `(k + q, n)`, and of V `(q, k)`; rows of V made of length 1 again."""
        _, k, _ = self.sizes
        V = self.V if inner is None else self.V + inner
        lengths = np.linalg.norm(V[:, : self.sizes[0]], axis=1)
        lengths[lengths == 0.0] = 1.0
        return Field(self.L + outer[:k].T, (self.W1 + outer[k:].T) * lengths, V / lengths[:, None])

    def with_planes(self, V: Array) -> Field:
        """With more units `(p, k)`, which have no effect yet."""
        n = self.sizes[0]
        return replace(self, W1=np.hstack([self.W1, np.zeros((n, len(V)))]), V=np.vstack([self.V, V]))

    def after(self, x: Array, steps: float = 1.0, substeps: int = SUBSTEPS) -> Array:
        """States `(b, n)` after some steps of the map from x `(b, k)`; infinite where the field blows up."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([self._run(c, steps, substeps)[0] for c in chunks(x)])

    def _run(self, x: Array, steps: float, substeps: int) -> tuple[Array, list[Array]]:
        """The end, and x in the middle of each substep."""
        n, h, middles = self.sizes[0], steps / substeps, []
        x = x.copy()
        z, f = x[:, :n].copy(), self.rates(x)

        def at(y: Array) -> Array:
            x[:, :n] = y
            return self.rates(x)

        for _ in range(substeps):
            k2 = at(z + h / 2 * f)
            k3 = at(z + h / 2 * k2)
            k4 = at(z + h * k3)
            end = z + h / 6 * (f + 2 * k2 + 2 * k3 + k4)
            slope = at(end)
            x[:, :n] = (z + end) / 2 + h / 8 * (f - slope)
            middles.append(x.copy())
            z, f = end, slope
        return z, middles

    def path(self, x: Array) -> list[Array]:
        """x `(b, k)` in the middle of each substep of a step."""
        return self._run(x, 1.0, SUBSTEPS)[1]

    def linearized(self, x: Array) -> Linearized:
        """The flow over one step from x `(b, k)`, and its derivatives drawn back to the middle of the step."""
        n, k, q = self.sizes
        h, b = 1.0 / SUBSTEPS, len(x)
        end, middles = self._run(x, 1.0, SUBSTEPS)
        outer, inner, on_time = np.zeros((b, k + q)), np.zeros((b, q, k)), np.zeros((b, q))
        for y in middles:
            g = y @ self.V.T
            on = np.where(g > 0.0, h, 0.0)
            outer[:, :k] += h * y
            outer[:, k:] += on * g
            inner += on[:, :, None] * y[:, None, :]
            on_time += on
        J = self.L[:, :n] + (self.W1 * on_time[:, None, :]) @ self.V[:, :n]
        return Linearized(end, outer, inner, _exponential(J / 2))


class Linearized(NamedTuple):
    """One step of the flow and how it depends on the parameters.

    d end = half (outer dP + sum_j W1_j (inner_j . dV_j)),  to second order in the step

    Attributes:
        end: `(b, n)`. outer: `(b, k + q)`, integrals of x and relu(V x). inner: `(b, q, k)`, integrals of x where a unit is on.
        half: `(b, n, n)`, derivative of the end by the state in the middle of the step.
    """

    end: Array
    outer: Array
    inner: Array
    half: Array

    @property
    def back(self) -> Array:
        """The inverse of `half`, held back where the flow shrinks more than can be undone: draws errors back to the middle."""
        turned = np.swapaxes(self.half, 1, 2)
        return np.linalg.solve(turned @ self.half + REGULAR * np.eye(self.half.shape[1]), turned)


def _exponential(X: Array) -> Array:
    """exp of `(b, n, n)`, not large."""
    one = np.eye(X.shape[1])
    X = X / 8.0
    E = one + X @ (one + X @ (one + X / 3) / 2)
    for _ in range(3):
        E = E @ E
    return E


def chunks(x: Array) -> list[Array]:
    """Rows, some at a time."""
    return [x[i : i + CHUNK] for i in range(0, len(x), CHUNK)]
