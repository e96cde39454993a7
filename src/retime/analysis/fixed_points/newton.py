"""Fixed points of any system by Newton's method from many starts: no proof of completeness, every point verified."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from retime.analysis.fixed_points.angles import turned
from retime.analysis.fixed_points.method import Multistart
from retime.core.arrays import Array
from retime.core.clock import work_seconds
from retime.core.equation import evaluate
from retime.core.reachability import Box
from retime.core.system import System
from retime.core.time import TimeBase
from retime.core.tolerances import RUNAWAY, SAME_FOUND, size_of, sizes_of

MEMORY = 3e7  # bytes of Jacobians held at a time
ROUNDING = 1e-17  # a residual below this, in the units of the tolerance, cannot be improved
CONVERGED, AT_MINIMUM, STALLED, DIVERGED, UNFINISHED = 1, 2, 3, 4, 0
NAMES = {
    CONVERGED: "converged",
    AT_MINIMUM: "minimum",
    STALLED: "stalled",
    DIVERGED: "diverged",
    UNFINISHED: "unfinished",
}


class Solutions(NamedTuple):
    """Solutions z `(k, n)` with residuals `(k,)`, smallest `(k,)` and largest `(k,)` singular values of dG/dz."""

    z: Array
    residuals: Array
    gaps: Array
    sizes: Array

    def take(self, rows: Any) -> Solutions:
        """Some of them."""
        return Solutions(*[x[rows] for x in self])


class Equations(Protocol):
    """G(z) = 0 on stacks of states `(b, n)`: what Newton's method from many starts asks of a problem."""

    rate: float  # size of the Jacobian
    block: int  # states at a time

    def residual(self, z: Array) -> Array:
        """G `(b, n)`; NaN where it is not defined."""
        ...

    def jacobian(self, z: Array) -> Array:
        """dG/dz `(b, n, n)`."""
        ...


def solutions(problem: Equations, z: Array) -> Solutions:
    """Residuals `(k,)` and the extreme singular values of the Jacobian at states `(k, n)`."""
    residuals = np.abs(problem.residual(z)).max(axis=1, initial=0.0)
    values = [np.linalg.svd(problem.jacobian(z[k : k + 1])[0], compute_uv=False) for k in range(len(z))]
    spectrum = np.array(values).reshape(z.shape)
    return Solutions(z, residuals, spectrum.min(axis=1, initial=np.inf), spectrum.max(axis=1, initial=0.0))


def distinct(z: Array, known: Array | None = None, radius: float = SAME_FOUND) -> Array:
    """The rows of `z` `(b, n)` that are farther than radius (1 + max|z|) from those of `known` and from each other."""
    seen = np.empty((len(z) + (0 if known is None else len(known)), z.shape[1]))
    count = 0 if known is None else len(known)
    first = count
    if known is not None:
        seen[:count] = known
    for x in z:
        limit = radius * size_of(x)
        if not (np.abs(seen[:count] - x).max(axis=1, initial=0.0) <= limit).any():
            seen[count] = x
            count += 1
    return seen[first:count]


@dataclass
class Problem:
    """G and its Jacobian on stacks of states, in blocks of one size so that each is compiled once."""

    model: System
    s: Array
    time: TimeBase
    rate: float  # the size of dF/dz of a flow; 1 for a map
    wide: int  # rows of a block for F
    block: int  # ... and for its Jacobian
    is_called_back: bool  # whether F is Python code, some hundred times slower than compiled code
    box: Box  # where states can be in the long run
    period: Array | None = None  # of angles, inf for other states
    method: Multistart = field(default_factory=Multistart)

    @classmethod
    def of(
        cls, model: System, s: Array, rng: np.random.Generator, period: Array | None = None, method: Any = None
    ) -> Problem:
        """The problem of a model with constant input; the rate of a flow is measured at random states."""
        n = model.num_states
        function = getattr(model, "_function", None)  # of a Map or VectorField
        called_back = not getattr(function, "is_traceable", True)
        most = 2 if called_back else 6  # a function in Python is called for every row of a block
        block = 1 << max(0, min(most, int(math.log2(max(1.0, MEMORY / (8 * n * n))))))
        wide = 1 << most
        problem = cls(
            model,
            s,
            model.time,
            1.0,
            wide,
            block,
            called_back,
            model.reachable(Box.at(s)),
            period,
            method or Multistart(),
        )

        def measured() -> float:
            sizes = np.linalg.norm(problem.jacobian(rng.normal(size=(8, n))), axis=(1, 2)) / math.sqrt(n)
            fine = sizes[np.isfinite(sizes) & (sizes > 0)]
            return float(np.median(fine)) if len(fine) else 1.0

        problem.rate = model.time.scale(measured)
        return problem

    def right(self, z: Array, s: Array | None = None) -> Array:
        """F at states `(b, n)`; NaN where it is not defined."""
        s = self.s if s is None else s
        rows = np.broadcast_to(s, (len(z), s.shape[-1]))
        return self._in_blocks(lambda z, s: evaluate(self.model.equation, z, s), z, rows, self.wide)

    def residual(self, z: Array) -> Array:
        """G `(b, n)`: of a map F(z) - z, where angles may have gone around."""
        return self.time.wrapped(self.time.motion(self.right(z), z), self.turned)

    def turned(self, z: Array) -> Array:
        """States `(b, n)` with their angles in one period around 0; those that have diverged as they are."""
        return z if self.period is None else turned(z, self.period)

    def jacobian(self, z: Array) -> Array:
        """dG/dz `(b, n, n)`."""
        rows = np.broadcast_to(self.s, (len(z), self.s.shape[-1]))
        return self.time.motion_jacobian(self._in_blocks(self.model.jacobian, z, rows, self.block))

    def _in_blocks(self, f: Callable[[Array, Array], Array], z: Array, s: Array, block: int) -> Array:
        parts = []
        for k in range(0, len(z), block):
            rows = np.minimum(np.arange(k, k + block), len(z) - 1)  # the last block repeats its last row
            parts.append(f(z[rows], s[rows])[: len(z) - k])
        return np.concatenate(parts) if parts else np.zeros((0, z.shape[1]))


@dataclass
class _Stack:
    """Starts on their way: states, residuals, damping, and how each one ended."""

    z: Array
    G: Array
    size: Array  # |G|, 2-norm
    bound: Array  # states larger than this have diverged
    damping: Array
    ending: Array


def follow(problem: Equations, starts: Array, method: Multistart, deadline: float = math.inf) -> tuple[Array, Array]:
    """Iterate from starts `(b, n)` until each ends: final states `(b, n)` and codes `(b,)`."""
    z = np.array(starts)
    G = problem.residual(z)
    b = len(z)
    bound = RUNAWAY * sizes_of(z)
    stack = _Stack(z, G, np.linalg.norm(G, axis=1), bound, np.full(b, 1e-3), np.zeros(b, dtype=np.int64))
    stack.ending[~np.isfinite(G).all(axis=1)] = DIVERGED
    for _ in range(method.iterations):
        active = np.flatnonzero(stack.ending == UNFINISHED)
        if len(active) == 0 or work_seconds() > deadline:
            return stack.z, stack.ending
        for k in range(0, len(active), problem.block):
            _advance(problem, stack, active[k : k + problem.block], method)
    stack.ending[stack.ending == UNFINISHED] = STALLED
    return stack.z, stack.ending


def is_small(problem: Equations, z: Array, G: Array, tolerance: float) -> Array:
    """Whether residuals G `(k, n)` are within the tolerance of states `(k, n)`, per state."""
    limit = tolerance * problem.rate * sizes_of(z)
    return np.abs(G).max(axis=1, initial=0.0) <= limit


def _advance(problem: Equations, stack: _Stack, rows: Array, method: Multistart) -> None:
    """One step of the starts `rows`."""
    J = problem.jacobian(stack.z[rows])
    fine = np.isfinite(J).all(axis=(1, 2))
    stack.ending[rows[~fine]] = DIVERGED
    rows, J = rows[fine], J[fine]
    small = is_small(problem, stack.z[rows], stack.G[rows], method.tolerance)
    tiny = is_small(problem, stack.z[rows], stack.G[rows], ROUNDING)
    before = stack.size[rows]
    todo = _newton(problem, stack, rows, J, small)
    exact = small & (todo | tiny | (stack.size[rows] > 0.5 * before))  # nothing more to gain
    stack.ending[rows[exact]] = CONVERGED
    todo &= ~small
    flat = todo & _at_minimum(J, stack.G[rows], problem.rate, method.gradient)
    stack.ending[rows[flat]] = AT_MINIMUM
    todo &= ~flat
    if todo.any():
        _marquardt(problem, stack, rows[todo], J[todo])
    stack.ending[rows[np.abs(stack.z[rows]).max(axis=1, initial=0.0) > stack.bound[rows]]] = DIVERGED


def _newton(problem: Equations, stack: _Stack, rows: Array, J: Array, small: Array) -> Array:
    """Newton steps of length 1, 1/2, 1/4, 1/8 until |G| falls enough; which rows (bool) found none."""
    step = -solve_stack(J, stack.G[rows])
    todo = np.asarray(np.isfinite(step).all(axis=1))
    failed = np.asarray(~todo)
    for t in (1.0, 0.5, 0.25, 0.125):
        at = np.flatnonzero(todo)
        if len(at) == 0:
            break
        better = _try(problem, stack, rows[at], step[at] * t, 1.0 - 0.2 * t)
        todo[at[better]] = False
        todo &= ~small  # near a solution only whole steps are of use
        failed[at[~better]] = True
        failed[at[better]] = False
    return failed


def _try(problem: Equations, stack: _Stack, rows: Array, step: Array, factor: float) -> Array:
    """Take the steps that lower |G| below `factor` times its value; which ones (bool)."""
    z = stack.z[rows] + step
    G = problem.residual(z)
    size = np.linalg.norm(G, axis=1)
    better = size < factor * stack.size[rows]
    taken = rows[better]
    stack.z[taken], stack.G[taken], stack.size[taken] = z[better], G[better], size[better]
    return better


def _at_minimum(J: Array, G: Array, rate: float, flat: float) -> Array:
    """Whether |G| has a vanishing gradient J^T G / |G|, relative to the columns of J or to the usual size of J."""
    gradient = np.abs(np.einsum("bij,bi->bj", J, G))
    columns = np.linalg.norm(J, axis=1) * np.linalg.norm(G, axis=1)[:, None]
    usual = rate * np.linalg.norm(G, axis=1)[:, None]
    return (gradient <= flat * np.maximum(columns, usual)).all(axis=1)


def _marquardt(problem: Equations, stack: _Stack, rows: Array, J: Array) -> None:
    """A Levenberg-Marquardt step of each row; the damping follows its success."""
    JT = J.transpose(0, 2, 1)
    H, gradient = JT @ J, np.einsum("bij,bi->bj", J, stack.G[rows])
    n = H.shape[1]
    scale = np.trace(H, axis1=1, axis2=2) / n
    todo = np.arange(len(rows))
    for _ in range(4):
        A = H[todo]
        A[:, np.arange(n), np.arange(n)] += (stack.damping[rows[todo]] * scale[todo])[:, None]
        step = -solve_stack(A, gradient[todo])
        better = _try(problem, stack, rows[todo], step, 1.0)
        stack.damping[rows[todo[better]]] *= 0.2
        stack.damping[rows[todo[~better]]] *= 10.0
        todo = todo[~better]
        if len(todo) == 0:
            break
    lost = rows[todo][stack.damping[rows[todo]] > 1e8]
    stack.ending[lost] = STALLED


def solve_stack(A: Array, b: Array) -> Array:
    """x of A x = b for stacks `(k, n, n)` and `(k, n)`; NaN where A is exactly singular."""
    try:
        return np.linalg.solve(A, b[..., None])[..., 0]
    except np.linalg.LinAlgError:
        if len(A) == 1:
            return np.full_like(b, np.nan)
        half = len(A) // 2
        return np.concatenate([solve_stack(A[:half], b[:half]), solve_stack(A[half:], b[half:])])
