"""Methods that do not enlarge distances where the field does not, and bounds of a field's Jacobian that hold everywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retime.convert import Euler
from retime.convert.tableaux import EULER, Tableau
from retime.core.arrays import Array
from retime.core.system import PiecewiseAffineSystem, System
from retime.core.time import Continuous
from retime.models import AntisymmetricRNN, DeltaRule, LeakyRNN, MinGRU, RateRNN, TanhRNN, UnitaryRNN

NORMS = ("1", "2", "inf")


def log_norm(J: Array, norm: str = "2") -> float:
    """The logarithmic norm lim (|1 + h J| - 1) / h, h -> 0, of `(n, n)`: distances grow at most at this rate.

    2: the largest eigenvalue of (J + J^T) / 2; inf (1): the largest sum over a row (column) of the diagonal entry and the sizes of the others.

    Raises:
        ValueError: a norm other than "1", "2", "inf".

    Source: soderlind2006.
    """
    _check(norm)
    if norm == "2":
        return float(np.linalg.eigvalsh((J + J.T) / 2.0).max())
    J = J if norm == "inf" else J.T
    sizes = np.abs(J)
    np.fill_diagonal(sizes, np.diag(J))
    return float(sizes.sum(axis=1).max())


def contractivity_radius(method: Any, norm: str = "2") -> float:
    """The largest r such that |1 + (dt / r) J| <= 1 in the norm makes one step contract: |z' - y'| <= |z - y|.

    2-norm: circle contractivity, r = -1 / (smallest eigenvalue of Q relative to B), Q = B A + A^T B - b b^T, B = diag(b) > 0; inf where
    Q has no negative one. 1- and inf-norm: the radius of absolute monotonicity of the tableau. 0 where no r will do (RK4 in the inf-norm).

    Args:
        method: `RungeKutta(tableau)` or `Euler()`.

    Raises:
        TypeError: another method. ValueError: a norm other than "1", "2", "inf".

    Source: dahlquist1979 (circles); kraaijevanger1991 (absolute monotonicity).
    """
    _check(norm)
    tableau = EULER if isinstance(method, Euler) else getattr(method, "tableau", None)
    if not isinstance(tableau, Tableau):
        raise TypeError(f"`method` is {method!r}; contractivity is known of RungeKutta(tableau) and Euler().")
    A, b = np.array(tableau.A), np.array(tableau.b)
    return _circle(A, b) if norm == "2" else _monotone(A, b)


def _circle(A: Array, b: Array) -> float:
    if (b <= 0).any():
        return 0.0
    root = np.sqrt(b)
    Q = (np.diag(b) @ A + A.T @ np.diag(b) - np.outer(b, b)) / np.outer(root, root)
    least = float(np.linalg.eigvalsh(Q).min())
    return np.inf if least >= -1e-14 else -1.0 / least


def _monotone(A: Array, b: Array) -> float:
    def holds(r: float) -> bool:
        M = np.eye(len(b)) + r * A
        if np.linalg.cond(M) > 1e12:
            return False
        inverse = np.linalg.inv(M)
        one = np.ones(len(b))
        parts = (A @ inverse, b @ inverse, inverse @ one, np.atleast_1d(1.0 - r * b @ inverse @ one))
        return all((part >= -1e-12).all() for part in parts)

    if not holds(1e-6):
        return 0.0
    low, high = 1e-6, 1e3
    if holds(high):
        return np.inf
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return float(round(low, 9))


def _check(norm: str) -> None:
    if norm not in NORMS:
        raise ValueError(f'`norm` is {norm!r}; it must be "1", "2" or "inf".')


class Slopes(NamedTuple):
    """All Jacobians of a system: L + P diag(d) Q with slopes d between low and high, whatever the state and the input."""

    L: Array
    P: Array
    Q: Array
    low: float
    high: float


_LIMITS = {
    "tanh": (0.0, 1.0),
    "relu": (0.0, 1.0),
    "softplus": (0.0, 1.0),
    "logistic": (0.0, 0.25),
    "linear": (1.0, 1.0),
}


def slopes(model: System) -> Slopes | None:
    """L, P, Q of a family whose units have bounded slopes, else None."""
    if isinstance(model, PiecewiseAffineSystem):
        f = model.canonical
        return Slopes(f.A, f.W1, f.W2, 0.0, 1.0)
    if isinstance(model, TanhRNN):
        return Slopes(np.zeros_like(_dense(model.W_rec)), np.eye(model.num_states), _dense(model.W_rec), 0.0, 1.0)
    if isinstance(model, AntisymmetricRNN):
        n, step = model.num_states, 1.0 if isinstance(model.time, Continuous) else model.dt
        start = np.zeros((n, n)) if isinstance(model.time, Continuous) else np.eye(n)
        return Slopes(start, step * np.eye(n), model.generator, 0.0, 1.0)
    if isinstance(model, (RateRNN, LeakyRNN)) and model.activation in _LIMITS:
        n, W = model.num_states, _dense(model.W_rec)
        rate = np.diag(np.broadcast_to(model.alpha if isinstance(model, LeakyRNN) else 1.0 / np.asarray(model.tau), n))
        left = np.eye(n) - rate if isinstance(model, LeakyRNN) else -rate
        P, Q = (rate, W) if model.form == "rate" else (rate @ W, np.eye(n))
        return Slopes(left, P, Q, *_LIMITS[model.activation])
    return None


def never_grows(model: System) -> tuple[float, str] | None:
    """(1, norm) of families whose step enlarges no distance, whatever their input, in that norm; else None."""
    if isinstance(model, MinGRU):
        return 1.0, "inf"  # every unit moves towards a target that does not depend on the state
    if isinstance(model, DeltaRule) and model.method != "euler":
        return 1.0, "2"  # S shrinks along the key
    is_rotation = isinstance(model, UnitaryRNN) and not (model.b > 0).any()  # then modReLU enlarges no distance
    return (1.0, "2") if is_rotation else None


def _dense(W: Any) -> Array:
    return W if isinstance(W, np.ndarray) else np.asarray(W.left) @ np.asarray(W.right).T


def norm_bound(s: Slopes, norm: str) -> float:
    """A number that the norm of no L + P diag(d) Q exceeds.

    1 and inf: where P (or Q) is diagonal, every row (column) has one slope, and the largest is at an end; else by intervals. 2: from the middle
    slopes and the largest deviation.
    """
    _check(norm)
    middle, half = (s.low + s.high) / 2.0, (s.high - s.low) / 2.0
    center = s.L + middle * s.P @ s.Q
    if norm == "2":
        spread = half * np.linalg.norm(s.P, 2) * np.linalg.norm(s.Q, 2) if s.P.size else 0.0
        return float(np.linalg.norm(center, 2) + spread)
    one, two = (s.L + d * s.P @ s.Q for d in (s.low, s.high))
    axis = 1 if norm == "inf" else 0
    own_slope = _is_diagonal(s.P) if norm == "inf" else _is_diagonal(s.Q)
    if own_slope:
        return float(max(np.abs(one).sum(axis=axis).max(), np.abs(two).sum(axis=axis).max()))
    return float((np.abs(center) + half * np.abs(s.P) @ np.abs(s.Q)).sum(axis=axis).max())


def _is_diagonal(M: Array) -> bool:
    return M.shape[0] == M.shape[1] and np.count_nonzero(M - np.diag(np.diagonal(M))) == 0
