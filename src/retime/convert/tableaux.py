"""Runge-Kutta methods as data: a tableau checks itself against its order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array, real_array
from retime.core.equation import Equation
from retime.core.errors import ShapeError


@dataclass(frozen=True)
class Tableau:
    """Coefficients of a Runge-Kutta method with r stages, explicit or diagonally implicit.

    k_i = F(z + dt sum_{j <= i} A_ij k_j),   z_{k+1} = z + dt sum_i b_i k_i

    Args:
        name: what messages call it.
        A: `(r, r)`, lower triangular; nonzero diagonal entries make a stage implicit.
        b: `(r,)`, sum 1.
        order: p, 1 to 5; every order condition up to p is checked to 1e-12.

    Raises:
        ShapeError: sizes. ValueError: not lower triangular, or an order condition fails (the message says which).

    Source: hairer1993, section II.2 (order conditions by trees).
    """

    name: str
    A: Any
    b: Any
    order: int

    def __post_init__(self) -> None:
        A, b = real_array("A", self.A), real_array("b", self.b)
        if b.ndim != 1 or A.shape != (len(b), len(b)):
            raise ShapeError(f"`A` has shape {A.shape} and `b` {b.shape}; a tableau of r stages needs (r, r) and (r,).")
        if np.triu(A, 1).any():
            raise ValueError(
                f"Tableau {self.name!r} is not lower triangular: fully implicit methods are not supported. Use a diagonally implicit one."
            )
        if type(self.order) is not int or self.order not in range(1, 6):
            raise ValueError(f"`order` is {self.order!r}; it must be 1 to 5.")
        for name, order, value, wanted in order_conditions(A, b):
            if order <= self.order and abs(value - wanted) > 1e-12:
                raise ValueError(
                    f"Tableau {self.name!r} is not of order {self.order}: {name} is {value:.15g}, it must be {wanted:.15g}."
                )
        object.__setattr__(self, "A", tuple(map(tuple, A.tolist())))
        object.__setattr__(self, "b", tuple(b.tolist()))

    @property
    def num_stages(self) -> int:
        """r."""
        return len(self.b)

    @property
    def is_implicit(self) -> bool:
        """Whether a stage needs an equation to be solved."""
        return any(self.A[i][i] != 0 for i in range(self.num_stages))

    def stability(self, z: Array) -> Array:
        """R(z) = 1 + z b^T (I - z A)^{-1} 1, the factor of one step on dz/dt = lambda z with z = dt lambda (complex)."""
        z = np.asarray(z, dtype=complex)
        k: list[Array] = []
        with np.errstate(all="ignore"):  # a pole of R is inf
            for i, row in enumerate(self.A):
                k.append((1 + z * sum(a * x for a, x in zip(row, k, strict=False))) / (1 - z * row[i]))
            return 1 + z * sum(b * x for b, x in zip(self.b, k, strict=True))

    def rational(self) -> tuple[Array, Array]:
        """R = P / Q as coefficients of P and Q, constant first: Q = prod(1 - a_ii z), P = Q (1 + sum_k b A^(k-1) 1 z^k) to degree r."""
        A, b, r = np.array(self.A), np.array(self.b), self.num_stages
        Q = np.array([1.0])
        for a in np.diagonal(A):
            Q = np.convolve(Q, [1.0, -a])
        series, k = np.zeros(r + 1), np.ones(r)
        series[0] = 1.0
        for j in range(1, r + 1):
            series[j], k = b @ k, A @ k
        return np.convolve(Q, series)[: r + 1], Q


def order_conditions(A: Array, b: Array) -> list[tuple[str, int, float, float]]:
    """(tree, order, value, wanted) of the 17 order conditions up to order 5, c = A 1."""
    c, one = A.sum(axis=1), np.ones(len(b))
    terms: list[tuple[str, int, Array, float]] = [
        ("sum b", 1, one, 1.0),
        ("b c", 2, c, 1 / 2),
        ("b c^2", 3, c**2, 1 / 3),
        ("b A c", 3, A @ c, 1 / 6),
        ("b c^3", 4, c**3, 1 / 4),
        ("b c A c", 4, c * (A @ c), 1 / 8),
        ("b A c^2", 4, A @ c**2, 1 / 12),
        ("b A A c", 4, A @ A @ c, 1 / 24),
        ("b c^4", 5, c**4, 1 / 5),
        ("b c^2 A c", 5, c**2 * (A @ c), 1 / 10),
        ("b (A c)^2", 5, (A @ c) ** 2, 1 / 20),
        ("b c A c^2", 5, c * (A @ c**2), 1 / 15),
        ("b A c^3", 5, A @ c**3, 1 / 20),
        ("b c A A c", 5, c * (A @ A @ c), 1 / 30),
        ("b A (c A c)", 5, A @ (c * (A @ c)), 1 / 40),
        ("b A A c^2", 5, A @ A @ c**2, 1 / 60),
        ("b A A A c", 5, A @ A @ A @ c, 1 / 120),
    ]
    return [(name, order, float(b @ term), wanted) for name, order, term, wanted in terms]


EULER = Tableau("Euler", [[0]], [1], 1)
HEUN = Tableau("Heun", [[0, 0], [1, 0]], [1 / 2, 1 / 2], 2)
MIDPOINT = Tableau("midpoint", [[0, 0], [1 / 2, 0]], [0, 1], 2)
RALSTON = Tableau("Ralston", [[0, 0], [2 / 3, 0]], [1 / 4, 3 / 4], 2)
RK3 = Tableau("RK3", [[0, 0, 0], [1 / 2, 0, 0], [-1, 2, 0]], [1 / 6, 2 / 3, 1 / 6], 3)
RK4 = Tableau("RK4", [[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 0, 1, 0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], 4)
DORMAND_PRINCE = Tableau(
    "Dormand-Prince 5",
    [
        [0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
    ],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    5,
)
IMPLICIT_EULER = Tableau("implicit Euler", [[1]], [1], 1)
IMPLICIT_MIDPOINT = Tableau("implicit midpoint", [[1 / 2]], [1], 2)
TRAPEZOID = Tableau("trapezoid", [[0, 0], [1 / 2, 1 / 2]], [1 / 2, 1 / 2], 2)


@dataclass(frozen=True)
class RungeKuttaStep:
    """One step of a tableau as a right-hand side: parameters {"inner": ..., "dt": ...}."""

    tableau: Tableau
    inner: Callable[[Any, Any, Any, Any], Any]
    stage: int | None = None

    @classmethod
    def of(cls, tableau: Tableau, field: Equation, dt: float, stage: int | None = None) -> Equation:
        """One step dt of a field, or the state of one of its stages."""
        return Equation(cls(tableau, field.function, stage), {"inner": field.parameters, "dt": np.float64(dt)})

    def __call__(self, xp: Any, p: Any, z: Any, s: Any) -> Any:
        """z_{k+1}, or the state of one stage; NaN where an implicit stage has no solution that Newton's method finds."""
        dt, k, given = p["dt"], [], (p["inner"], s)

        def field(y: Any, given: Any = given) -> Any:
            return self.inner(xp, given[0], y, given[1])

        for row, i in zip(self.tableau.A, range(self.tableau.num_stages), strict=True):
            y = z + dt * sum((a * x for a, x in zip(row, k, strict=False) if a), xp.zeros_like(z))
            y = y if row[i] == 0 else solve_stage(field, given, y, row[i] * dt)
            if i == self.stage:
                return y
            k.append(field(y))
        return z + dt * sum(b * x for b, x in zip(self.tableau.b, k, strict=True) if b)


MAX_NEWTON = 50


def solve_stage(field: Callable[..., Any], given: Any, known: Any, h: Any) -> Any:
    """y with y = known + h F(y), by Newton's method from `known`; NaN where it does not converge. Backend: Optimistix.

    F(y) = field(y, given). Solved for u = (y - known) / size with the residual divided by 1 + |h dF/dz|, so that a stiff F does not
    hide the rest: the last step of Newton's method is below 1e-10 of the state, its error then below rounding.
    """
    import jax
    import jax.numpy as jnp
    import optimistix as optx

    fixed, start, step = jax.lax.stop_gradient((given, known, h))

    def residual(u: Any, _: Any) -> Any:
        return (u - step * field(start + size * u, fixed) / size) / stiffness

    stiffness = 1.0 + jnp.abs(step * jax.jacfwd(field)(start, fixed)).sum(axis=1).max()
    size = jnp.maximum(jnp.abs(start).max(), jnp.abs(step * field(start, fixed)).max() / stiffness)
    size = jnp.where(size > 0, size, 1.0)
    newton = optx.Newton(rtol=1e-10, atol=1e-10)
    solution = optx.root_find(residual, newton, jnp.zeros_like(start), max_steps=MAX_NEWTON, throw=False)
    y = start + size * solution.value
    # one more step, written out: its derivative is that of the solution, and not a number where the equation has none
    M = jnp.eye(len(y)) - step * jax.jacfwd(field)(y, fixed)
    y = y - jnp.linalg.solve(M, y - known - h * field(y, given))
    return jnp.where(solution.result == optx.RESULTS.successful, y, jnp.nan)
