"""Limit cycles of flows whose region follows the state: located on a simulated orbit, closed by Newton steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.cycles.method import Shooting
from retime.analysis.cycles.orbit_search import OrbitSearch
from retime.analysis.cycles.result import Cycle, without_one
from retime.analysis.fixed_points.find import ordered
from retime.core.arrays import Array
from retime.core.newton import Linearized, newton
from retime.core.patience import Patience
from retime.core.time import Discrete
from retime.core.tolerances import SAME_ORBIT, size_of
from retime.simulation.passage import Mode, Passage

CANDIDATES = 6  # closest returns of one orbit that are tried


class SwitchedSearch(OrbitSearch):
    """Limit cycles on which orbits from several states end, or which they pass closely."""

    def __init__(self, flow: Any, longest: float, patience: Patience, rule: Shooting) -> None:
        super().__init__(flow, longest, patience, rule)
        norm = float(np.abs(flow.model.canonical.A).sum(axis=1).max(initial=0.0))
        self.short = 100.0 * (flow.motion.clock.dt or 1.0 / max(norm, 1e-9))

    def starts(self, rng: Any) -> Array:
        """States in several regions, at the scale of the boundaries."""
        f, n = self.flow.model.canonical, self.flow.model.num_states
        norms = np.linalg.norm(f.W2, axis=1)
        offsets = np.abs(f.h2 + f.C2 @ self.flow.s)[norms > 0] / norms[norms > 0]
        scale = 1.0 + float(offsets.max(initial=0.0))
        count = self.rule.starts
        return rng.normal(size=(count, n)) * scale * np.geomspace(0.1, 5.0, count)[:, None]

    def _affordable(self) -> float:
        """The time over which a return is looked for: the window, less when the clock does not allow it."""
        # the derivative costs more than the orbit
        allowed = self.patience.left / (20.0 * self.pace) if self.pace else float("inf")
        self.is_late |= allowed < self.rule.window * self.longest
        return float(np.clip(allowed, 1e-3 * self.longest, self.rule.window * self.longest))

    def close_returns(self, z: Array, before: Array | None, sign: float) -> bool | None:
        """Whether one of the closest returns of the orbit from z closes to a cycle; None where it ends early."""
        p = self.flow.passage(z, self._affordable())
        return None if p is None else len(p.times) > 0 and any(self._close(*start) for start in self._returns(p))

    def _returns(self, p: Passage) -> list[tuple[Array, int, float]]:
        """States to which the orbit returns closely, the unit on whose boundary they lie or -1, and after which time."""
        pairs = []
        spread = 1e-12 + np.abs(p.states - p.states.mean(axis=0)).max()
        for unit in np.unique(p.units):
            for on in (False, True):
                at = np.flatnonzero((p.units == unit) & (p.patterns[:, unit] == on))
                for k in at[1:]:
                    T = p.times[k] - p.times[at[0]]
                    if self.longest * (1 + 1e-9) < T:
                        break
                    gap = np.abs(p.states[k] - p.states[at[0]]).max() / spread
                    pairs.append((gap, T, int(at[0]), int(k)))
        exact = self.rule.returned
        pairs.sort(key=lambda x: (x[0] > exact, x[1] if x[0] <= exact else x[0]))
        return [(*self._start(p, i, k), T) for gap, T, i, k in pairs[:CANDIDATES] if gap < self.rule.near]

    def _start(self, p: Passage, first: int, last: int) -> tuple[Array, int]:
        """A state between two switches to close the cycle at, and -1: in the middle of the longest stretch without sliding and without
        auxiliary states, which would be cut off there. When there is none: a switch and its unit; auxiliary states begin there."""
        spans = np.diff(p.times[first : last + 1])
        modes = [Mode(p.patterns[first + j], int(p.sliders[first + j])) for j in range(len(spans))]
        plain = np.array([m.slider < 0 and self.flow.size(m) == len(p.end) for m in modes])
        k = int(np.argmax(np.where(plain, spans, -1.0)))
        if plain[k] and spans[k] > 0.0:
            return self.flow.piece(modes[k], p.states[first + k], np.eye(len(p.end)), 0.5 * spans[k])[0], -1
        before = np.append(p.sliders[last - 1], p.sliders[first : last - 1])
        crossed = before != p.units[first:last]  # not the end of sliding along that boundary
        k = int(np.argmax(np.where(crossed, spans, -1.0)))
        return p.states[first + k], int(p.units[first + k])

    def _close(self, z: Array, unit: int, T: float) -> bool:
        """Newton steps for flow(z, T) = z, z on a plane across the flow, which is the boundary of `unit` if there is one; whether a
        cycle was found (known or new)."""
        n, form, s = len(z), self.flow.model.canonical, self.flow.s
        normals = [form.W2[unit]] if unit >= 0 else []

        def equations(x: Array) -> Linearized | None:
            z, T = x[:n], float(x[n])
            late = self.patience.is_over() or not 1e-6 * self.longest < T
            p = None if late else self.flow.passage(z, T, unit)
            if p is None:
                return None
            if not normals:
                normals.append(p.rate / (np.linalg.norm(p.rate) or 1.0))
            level = float(form.W2[unit] @ z + form.h2[unit] + form.C2[unit] @ s) if unit >= 0 else 0.0
            J = np.zeros((n + 1, n + 1))
            J[:n, :n], J[:n, n], J[n, :n] = p.derivative - np.eye(n), p.rate, normals[0]
            return Linearized(np.append(p.end - z, level), J, p)

        def is_closed(x: Array, at: Linearized, step: Array) -> bool:
            gap, size = np.abs(at.residual[:n]).max(), size_of(x[:n])
            return bool(gap <= self.rule.closed * size and np.abs(step[:n]).max() <= 1e-9 * size)

        def limited(x: Array, step: Array) -> Array | None:
            return step if 0 < x[n] + step[n] <= 2 * self.longest else None

        root = newton(
            equations, np.append(z, T), is_closed, most=self.rule.iterations - 1, limited=limited, rcond=1e-13
        )
        if root is None or not root.is_solved:
            return False
        return self._book(root.x[:n], unit, float(root.x[n]), root.at.extra)

    def _multipliers(self, unit: int, p: Passage) -> Array | None:
        """Floquet multipliers, the 1 along the orbit included; None when there is no such 1: no cycle of the flow.

        Between boundaries they are the eigenvalues of the derivative. From a boundary to itself, of the return map on it: auxiliary
        states begin there, for starts on the boundary only.
        """
        if unit < 0:
            w = np.linalg.eigvals(p.derivative).astype(complex)
            return w if self.is_limit_cycle(w) else None
        normal = self.flow.model.canonical.W2[unit]
        if normal @ p.rate == 0.0:
            return None
        back = p.derivative - np.outer(p.rate, normal @ p.derivative) / (normal @ p.rate)
        plane = np.linalg.svd(normal[None])[2][1:].T
        return np.append(np.linalg.eigvals(plane.T @ back @ plane), 1.0).astype(complex)

    def _book(self, z: Array, unit: int, T: float, p: Passage) -> bool:
        """Note a closed cycle once, with its least period, beginning at its smallest switch point."""
        if not len(p.times) or self.longest * (1 + 1e-9) < T:
            return False
        size = size_of(p.states)
        again = np.abs(p.states[1:] - p.states[0]).max(axis=1, initial=0.0) <= SAME_ORBIT * size
        if again.any():  # the same switch comes earlier than after a period: it was several periods
            return self._close(z, unit, float(p.times[1 + int(np.argmax(again))] - p.times[0]))
        k = int(np.lexsort(np.round(p.states / (1e-8 * size)).T[::-1])[0])
        if any(
            abs(c.period - T) <= SAME_ORBIT * T
            and np.abs(c.points - p.states[k]).max(axis=1).min() <= SAME_ORBIT * size
            for c in self.found
        ):
            return True
        w = self._multipliers(unit, p)
        if w is None:
            return False
        w = ordered(w, Discrete())
        others = without_one(w)
        residual = float(np.abs(p.end - z).max() / size)
        times, sliders = np.roll((p.times - p.times[k]) % T, -k), np.roll(p.sliders, -k)
        self.found.append(
            Cycle(
                float(T), np.roll(p.states, -k, axis=0), w, bool(Discrete().is_stable(others)), np.roll(p.patterns, -k, axis=0), residual, False,
                float(T), times, np.roll(p.units, -k), _slides(times, sliders, T),
            )
        )  # fmt: skip
        return True


def _slides(times: Array, sliders: Array, period: float) -> Array:
    """Begin, end and unit of each stretch of sliding `(j, 3)`; switch k is at times[k], from which sliders[k] holds."""
    ends = np.append(times[1:], period)
    return np.array([(times[k], ends[k], sliders[k]) for k in np.flatnonzero(sliders >= 0)]).reshape(-1, 3)
