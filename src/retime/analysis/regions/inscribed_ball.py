"""The largest ball within a region: a linear program, kept warm from region to region."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retime.core.arrays import Array

FEASIBLE = 1e-10  # tolerance of the linear programs, in parts of the box


class InscribedBall:
    """The largest ball in the box and on the given sides of units, by one linear program that is kept and restarted.

    maximize r  subject to  |u_j| + r <= half_j,  sign_i (w_i u + g_i) >= r  for the units whose sign is fixed  (|w_i| = 1)

    r may become negative, so that the program always has a solution.
    """

    def __init__(self, rows: Array, offsets: Array, half: Array) -> None:
        import highspy

        q, n = rows.shape
        self.rows, self.offsets, self.half, self.infinity = rows, offsets, half, highspy.kHighsInf
        self.signs, self.solved, self.optimal = np.zeros(q, dtype=np.int8), 0, highspy.HighsModelStatus.kOptimal
        one = np.ones((max(n, q), 1))
        A = np.block([[np.eye(n), -one[:n]], [np.eye(n), one[:n]], [rows, -one[:q]], [rows, one[:q]]])
        free = np.full(n + 2 * q, self.infinity)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n + 1, len(A)
        lp.sense_, lp.col_cost_ = highspy.ObjSense.kMaximize, np.append(np.zeros(n), 1.0)
        reach = 2.0 * (np.abs(offsets).max(initial=0.0) + math.sqrt(n) + 1.0)
        lp.col_lower_, lp.col_upper_ = np.append(-half, -reach), np.append(half, reach)
        lp.row_lower_, lp.row_upper_ = np.concatenate([-half, -free]), np.concatenate([free[:n], half, free[: 2 * q]])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        at, column = np.nonzero(A)
        lp.a_matrix_.start_ = np.searchsorted(at, np.arange(len(A) + 1))
        lp.a_matrix_.index_, lp.a_matrix_.value_ = column, A[at, column]
        self.highs: Any = _silent_solver()
        options = {"output_flag": False, "presolve": "off", "solver": "simplex", "threads": 1}
        for name, value in options.items():
            self.highs.setOptionValue(name, value)
        for name in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            self.highs.setOptionValue(name, FEASIBLE)
        self.highs.passModel(lp)

    def largest(self, signs: Array) -> tuple[Array, float]:
        """Center `(n,)` and radius; the radius is measured at the center."""
        n, q = len(self.half), len(signs)
        changed = np.flatnonzero(signs != self.signs)
        on, off, g = signs[changed] > 0, signs[changed] < 0, self.offsets[changed]
        index = np.concatenate([2 * n + changed, 2 * n + q + changed]).astype(np.int32)
        lower = np.concatenate([np.where(on, -g, -self.infinity), np.full(len(changed), -self.infinity)])
        upper = np.concatenate([np.full(len(changed), self.infinity), np.where(off, -g, self.infinity)])
        self.highs.changeRowsBounds(len(index), index, lower, upper)
        self.signs = signs
        self._run()
        u = np.array(self.highs.getSolution().col_value[:n])
        heights = signs * (self.rows @ u + self.offsets)
        return u, float(min((self.half - np.abs(u)).min(), heights[signs != 0].min(initial=np.inf)))

    def _run(self) -> None:
        self.solved += 1
        self.highs.run()
        if self.highs.getModelStatus() == self.optimal:
            return
        self.highs.clearSolver()  # a basis gone bad: start anew
        self.highs.run()
        if self.highs.getModelStatus() != self.optimal:
            raise RuntimeError(
                f"HiGHS stopped with {self.highs.getModelStatus()} on a linear program that has a solution; rescale the states so "
                "that the box and the rows of W2 are of moderate size."
            )


def _silent_solver() -> Any:
    """HiGHS that prints nothing: its constructor registers callbacks, which prints a banner unless output is off by then."""
    import highspy

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> None:
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    return Silent()
