"""Gauss-Newton steps of a field's fit in which the outer weights are solved for, whatever the inner ones are (variable projection).

Errors of one step, drawn back to the middle of the step, are r = R - outer dP - sum_j W1_j (inner_j . dV_j): a linear problem with the
same matrix for every state variable, so that nothing of the size of all parameters is ever formed for the outer weights, and for the
inner ones H = (W1' W1)_ij times a block of q k columns: docs/theory/autonomous.md. Source: golub1973.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.learn.autonomous.field import Field, chunks

RIDGE = 1e-9  # of the outer weights, relative to the diagonal
HOLDING_BACK = (RIDGE, 1e-7, 1e-5, 1e-3, 1e-1, 10.0)  # ridges of the outer weights alone
OUTER = 1e-5  # of the damping, for the outer weights
MOST_DAMPING = 1e8  # no smaller step is tried
LEAST_DAMPING = 1e-8  # smaller is Gauss and Newton's step


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of the map to be followed: x `(b, k)`, ends `(b, n)`, weights `(b,)` of their squared errors."""

    x: Array
    ends: Array
    weights: Array

    @property
    def moved(self) -> Array:
        """How far each step goes `(b, n)`."""
        return self.ends - self.x[:, : self.ends.shape[1]]

    def of(self, chosen: Array) -> Steps:
        """Some of them."""
        return Steps(self.x[chosen], self.ends[chosen], self.weights[chosen])


class Equations:
    """Normal equations of a field's fit at one place."""

    def __init__(self, field: Field, steps: Steps, with_inner: bool = True) -> None:
        self.field, self.steps = field, steps
        n, k, q = field.sizes
        size, p = k + q, q * k if with_inner else 0
        self.G, self.R = np.zeros((size, size)), np.zeros((size, n))
        self.mixed, self.square, self.slope = np.zeros((size, p)), np.zeros((p, p)), np.zeros(p)
        self.cost, backs = 0.0, []
        parts = zip(chunks(steps.x), chunks(steps.ends), chunks(np.sqrt(steps.weights)), strict=True)
        for x, ends, weight in parts:
            at = field.linearized(x)
            backs.append(at.back * weight[:, None, None])
            r, T = drawn(backs[-1], ends - at.end), at.outer * weight[:, None]
            self.cost += float((r * r).sum())
            self.G += T.T @ T
            self.R += T.T @ r
            if with_inner:
                S = (at.inner * weight[:, None, None]).reshape(len(x), -1)
                self.mixed += T.T @ S
                self.square += S.T @ S
                self.slope += ((r @ field.W1).repeat(k, axis=1) * S).sum(axis=0)
        self.back = np.concatenate(backs)

    def _factored(self, ridge: float) -> Any:
        """Of the outer weights, with a ridge relative to the diagonal."""
        diagonal = np.diagonal(self.G)
        return cho_factor(self.G + np.diag(ridge * diagonal + 1e-14 * diagonal.max()))

    def cost_of(self, field: Field) -> float:
        """The cost of a field near by, its errors drawn back alike; infinite where it blows up or is too fast."""
        if not field.is_slow:
            return float("inf")
        with np.errstate(over="ignore", invalid="ignore"):
            r = drawn(self.back, self.steps.ends - field.after(self.steps.x))
            cost = float((r * r).sum())
        return cost if np.isfinite(cost) else float("inf")

    def outer_step(self) -> Field:
        """With the outer weights that fit best, the planes as they are; held back where the flow with them does not follow better."""
        for ridge in HOLDING_BACK:
            field = self.field.moved(cho_solve(self._factored(ridge), self.R))
            if self.cost_of(field) < self.cost:
                return field
        return self.field

    def reduced(self, ridge: float = RIDGE) -> Reduced:
        """The inner weights' equations, the outer ones eliminated."""
        W1, k = self.field.W1, self.field.sizes[1]
        gram, factor = (W1.T @ W1).repeat(k, axis=0).repeat(k, axis=1), self._factored(ridge)
        left = cho_solve(factor, self.mixed)
        right = self.slope - ((left.T @ self.R) * W1.T.repeat(k, axis=0)).sum(axis=1)
        scale = np.diagonal(gram) * np.diagonal(self.square)
        H = gram * (self.square - self.mixed.T @ left)
        return Reduced(H, right, scale + 1e-9 * scale.max(initial=0.0), factor)

    def step(self, inner: Array, factor: Any) -> Field:
        """With inner weights moved by `(q k,)`, and the outer ones that then fit best."""
        k = self.field.sizes[1]
        left = self.R - self.mixed @ (self.field.W1.T.repeat(k, axis=0) * inner[:, None])
        return self.field.moved(cho_solve(factor, left), inner.reshape(-1, k))


class Reduced(NamedTuple):
    """Matrix, right-hand side and scale of the inner weights' step, and the factor of the outer weights' matrix."""

    H: Array
    right: Array
    scale: Array
    factor: Any


def drawn(back: Array, errors: Array) -> Array:
    """Errors `(b, n)` drawn back."""
    return np.einsum("bij,bj->bi", back, errors)


def solve_outer(field: Field, steps: Steps, times: int = 2) -> Field:
    """The planes as they are, the outer weights that fit best."""
    for _ in range(times):
        field = Equations(field, steps, with_inner=False).outer_step()
    return field


def levenberg_marquardt(
    field: Field, steps: Steps, patience: Patience, *, most: int, enough: float, seen: Callable[[Any], None]
) -> Field:
    """Move planes and weights until a step gains less than the share `enough` of the cost, or `most` steps were taken."""
    damping, small = 1e-2, 0
    for _ in range(most):
        patience.check()
        at = Equations(field, steps)
        found, damping = _damped(at, damping)
        if found is None:
            break
        gain = 1.0 - found[1] / at.cost
        field, damping = found[0], max(damping / 4.0, LEAST_DAMPING)
        seen(field)
        small = small + 1 if gain < enough else 0
        if small == 2:
            break
    return field


def _damped(at: Equations, damping: float) -> tuple[Any, float]:
    """The first step, with more and more damping of inner and outer weights, that lowers the cost; None for none."""
    while damping <= MOST_DAMPING:
        try:
            reduced = at.reduced(max(RIDGE, OUTER * damping))
            inner = cho_solve(cho_factor(reduced.H + np.diag(damping * reduced.scale)), reduced.right)
        except LinAlgError:
            damping *= 10.0
            continue
        field = at.step(inner, reduced.factor)
        cost = at.cost_of(field)
        if cost < at.cost:
            return (field, cost), damping
        damping *= 5.0
    return None, damping
