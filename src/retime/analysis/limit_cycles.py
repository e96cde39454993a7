"""Limit cycles of flows whose region follows the state: located on a simulated orbit, closed by Newton steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.analysis.affine import is_stable
from retime.analysis.cycles import Cycle, Cycles
from retime.analysis.fixed_points import ordered
from retime.core.arrays import Array, positive
from retime.core.inputs import Inputs
from retime.core.progress import progress
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.models import PiecewiseAffineFlow
from retime.simulation import simulate

STARTS = 12  # orbits that are followed
SETTLE = 20.0  # longest periods that an orbit is given to settle
WINDOW = 3.0  # longest periods in which a return is looked for
CANDIDATES = 6  # closest returns of one orbit that are tried
NEWTON = 25
CLOSED = 1e-10  # largest distance, relative to 1 + |z|, of a closed cycle from its start after one period
SAME = 1e-6
ALONG = 1e-6  # how far the multiplier along the orbit may be from 1, relative to the largest one


@dataclass(frozen=True)
class Passage:
    """The flow from a state over a time, followed from switch to switch.

    Attributes:
        end `(n,)`. derivative `(n, n)`: of the end with respect to the start, saltation at switches included.
        rate `(n,)`: the field at the end. times `(k,)`, units `(k,)`, states `(k, n)`, patterns `(k, q)`: of the switches, patterns
            those entered.
    """

    end: Array
    derivative: Array
    rate: Array
    times: Array
    units: Array
    states: Array
    patterns: Array


def find_limit_cycles(
    model: Any,
    max_period: float,
    s: Array,
    given: Array | None,
    *,
    time_limit: float,
    seed: int,
    switching: str | None,
) -> Cycles:
    """Limit cycles on which orbits from several states end, or which they pass closely.

    Returns:
        Cycles with `complete_up_to` 0: there is no proof that there are no others.

    Raises:
        ValueError: max_period is not a positive number.
    """
    longest = positive("max_period", max_period, "model time")
    deadline, status = time.monotonic() + time_limit, SearchStatus.HEURISTIC
    search = _Search(model, s, longest, switching, np.random.default_rng(seed), deadline)
    starts = search.starts(given)
    try:
        with progress("searching limit cycles", len(starts)) as advance:
            for k, z in enumerate(starts):
                if time.monotonic() >= deadline:
                    status = SearchStatus.TIME_LIMIT
                    break
                search.follow(z, is_given=len(starts) - k > STARTS)
                advance(1)
        if search.is_late:
            status = SearchStatus.TIME_LIMIT
    except KeyboardInterrupt:
        status = SearchStatus.INTERRUPTED
    if status is SearchStatus.HEURISTIC and search.lost == len(starts):
        status = SearchStatus.DIVERGED
    found = sorted(search.found, key=lambda c: (c.period, *c.points[0]))
    return Cycles(tuple(found), 0, (), status, search.message(status, len(starts)), search.tried, 0)


class _Search:
    """The limit cycles found up to now, and how orbits ended that showed none."""

    def __init__(
        self, model: Any, s: Array, longest: float, switching: str | None, rng: Any, deadline: float = float("inf")
    ) -> None:
        self.model, self.s, self.longest, self.rng, self.deadline = model, s, longest, rng, deadline
        A = model.canonical.A
        norm = float(np.abs(A).sum(axis=1).max(initial=0.0))
        self.short = 100.0 * (model.dt if isinstance(model, PiecewiseAffineFlow) else 1.0 / max(norm, 1e-9))
        self.pace = 0.0  # seconds per model time of a simulation, as last measured
        self.is_late = False
        self.options: dict[str, Any] = {"switching": switching} if isinstance(model, PiecewiseAffineFlow) else {}
        self.found: list[Cycle] = []
        self.tried = self.lost = self.resting = self.sliding = self.open = self.raised = 0

    def starts(self, given: Array | None) -> Array:
        """States in several regions, at the scale of the boundaries."""
        f, n = self.model.canonical, self.model.num_states
        norms = np.linalg.norm(f.W2, axis=1)
        offsets = np.abs(f.h2 + f.C2 @ self.s)[norms > 0] / norms[norms > 0]
        scale = 1.0 + float(offsets.max(initial=0.0))
        own = self.rng.normal(size=(STARTS, n)) * scale * np.geomspace(0.1, 5.0, STARTS)[:, None]
        return own if given is None else np.concatenate([given, own])

    def follow(self, z: Array, is_given: bool) -> None:
        """Let one orbit settle, look for returns, and close them; from a given state, before it settles, too."""
        self.tried += 1
        passage = self.passage(z, self._affordable()) if is_given else None
        if passage is not None:
            self._close_returns(passage)
        settled = self._settled(z)
        if settled.status in (
            TrajectoryStatus.DIVERGED,
            TrajectoryStatus.NO_FLOW,
            TrajectoryStatus.SWITCHES_ACCUMULATE,
        ):
            self.lost += 1
            return
        if settled.status not in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE):
            self.sliding += 1
            return
        passage = self.passage(settled.states[-1], self._affordable())
        if passage is None:
            self.sliding += 1
        elif not len(passage.times) and np.abs(passage.rate).max() <= 1e-6 * (1.0 + np.abs(passage.end).max()):
            self.resting += 1
        elif not self._close_returns(passage):
            self.open += 1

    def _settled(self, z: Array) -> Any:
        """The end of an orbit that was given time to settle, in pieces that double, as far as the clock allows."""
        left, piece = SETTLE * self.longest, min(self.longest / 64.0, self.short)
        while True:
            piece = min(piece, left)
            began = time.monotonic()
            path = self._run(z, piece)
            self.pace = (time.monotonic() - began) / piece
            left -= piece
            z = path.states[-1]
            fine = path.status in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE)
            if not fine or left <= 1e-9 * self.longest:
                return path
            piece *= 2.0
            if time.monotonic() + self.pace * min(piece, left) > self.deadline:
                self.is_late = True
                return path

    def _affordable(self) -> float:
        """The time over which a return is looked for: three longest periods, less when the clock does not allow it."""
        seconds = max(self.deadline - time.monotonic(), 0.0)
        allowed = (
            seconds / (20.0 * self.pace) if self.pace else float("inf")
        )  # the derivative costs more than the orbit
        if allowed < WINDOW * self.longest:
            self.is_late = True
        return float(np.clip(allowed, 1e-3 * self.longest, WINDOW * self.longest))

    def _close_returns(self, p: Passage) -> bool:
        """Whether one of the closest returns closes to a cycle."""
        return len(p.times) > 0 and any(self._close(z, T) for z, T in self._returns(p))

    def _run(self, z: Array, length: float) -> Any:
        held = Inputs(np.zeros(1), self.s[None]) if len(self.s) else None
        return simulate(self.model, z, times=[0.0, length], inputs=held, **self.options)

    def _returns(self, p: Passage) -> list[tuple[Array, float]]:
        """States between which and a later one the orbit returns closely, and after which time; none of them on a boundary."""
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
        pairs.sort(key=lambda x: (x[0] > 1e-4, x[1] if x[0] <= 1e-4 else x[0]))
        found = [(self._between(p, i, k), T) for gap, T, i, k in pairs[:CANDIDATES] if gap < 0.3]
        return [(z, T) for z, T in found if z is not None]

    def _between(self, p: Passage, first: int, last: int) -> Array | None:
        """The state in the middle of the longest stretch without a switch and without auxiliary states, which would be cut off there;
        None when there is none."""
        spans = np.diff(p.times[first : last + 1])
        plain = [len(self._generator(p.patterns[first + j])[0]) == len(p.end) for j in range(len(spans))]
        if not any(plain):
            self.raised += 1
            return None
        k = first + int(np.argmax(np.where(plain, spans, -1.0)))
        y, _ = self._piece(p.patterns[k], p.states[k], np.eye(len(p.end)), 0.5 * (p.times[k + 1] - p.times[k]))
        return y

    def passage(self, z: Array, length: float) -> Passage | None:
        """Follow the flow and its derivative; None where it slides or ends early."""
        path = self._run(z, length)
        if len(path.sliding) or not np.isfinite(path.states).all():
            return None
        form, n = self.model.canonical, len(z)
        bits, y, V, now = path.patterns[0].copy(), z.copy(), np.eye(n), 0.0
        states, patterns = [], []
        for t, unit in zip(path.switch_times, path.switch_units, strict=True):
            y, V = self._piece(bits, y, V, t - now)
            before = self._rate(bits, y)
            normal = form.W2[unit]
            bits[unit] = not bits[unit]
            y, V = y[:n], V[:n]
            after = self._rate(bits, y)
            speed = normal @ before[:n]
            if speed == 0.0:
                return None
            share = (normal @ V) / speed  # how much earlier a start beside this one arrives
            V = V + np.outer(after[:n] - before[:n], share)
            # auxiliary states begin at 0 when the boundary is reached: a later start has moved by their rate
            V = np.vstack([V, np.outer(after[n:], share)]) if len(after) > n else V
            now = float(t)
            states.append(y.copy())
            patterns.append(bits.copy())
        y, V = self._piece(bits, y, V, length - now)
        return Passage(
            y[:n], V[:n], self._rate(bits, y)[:n], np.array(path.switch_times), np.array(path.switch_units, dtype=int),
            np.array(states).reshape(-1, n), np.array(patterns, dtype=bool).reshape(-1, form.num_units),
        )  # fmt: skip

    def _generator(self, bits: Array) -> tuple[Array, Array]:
        if isinstance(self.model, PiecewiseAffineFlow):
            r = self.model.region(bits)
            return r.W, r.h + r.E @ self.s
        M, c, E = self.model.canonical.regions(bits[None])
        return M[0], c[0] + E[0] @ self.s

    def _rate(self, bits: Array, y: Array) -> Array:
        W, h = self._generator(bits)
        return W @ np.concatenate([y, np.zeros(len(W) - len(y))]) + h

    def _piece(self, bits: Array, y: Array, V: Array, length: float) -> tuple[Array, Array]:
        """State and derivative after a time inside one region; auxiliary states begin at 0."""
        from scipy.linalg import expm

        W, h = self._generator(bits)
        N = len(W)
        L = np.zeros((N + 1, N + 1))
        L[:N, :N], L[:N, N] = W, h
        X = expm(length * L)
        grow = N - len(y)
        y, V = np.concatenate([y, np.zeros(grow)]), np.vstack([V, np.zeros((N - len(V), V.shape[1]))])
        return X[:N, :N] @ y + X[:N, N], X[:N, :N] @ V

    def _close(self, z: Array, T: float) -> bool:
        """Newton steps for flow(z, T) = z on the plane across the flow at z; whether a cycle was found (known or new)."""
        n, section = len(z), None
        for _ in range(NEWTON):
            if time.monotonic() > self.deadline or not 1e-6 * self.longest < T:
                return False
            p = self.passage(z, T)
            if p is None:
                return False
            section = p.rate / (np.linalg.norm(p.rate) or 1.0) if section is None else section
            gap = p.end - z
            J = np.zeros((n + 1, n + 1))
            J[:n, :n], J[:n, n], J[n, :n] = p.derivative - np.eye(n), p.rate, section
            step = np.linalg.lstsq(J, -np.append(gap, 0.0), rcond=1e-13)[0]
            size = 1.0 + np.abs(z).max()
            if np.abs(gap).max() <= CLOSED * size and np.abs(step[:n]).max() <= 1e-9 * size:
                return self._book(z, T, p)
            if not np.isfinite(step).all() or not 0 < T + step[n] <= 2 * self.longest:
                return False
            z, T = z + step[:n], T + step[n]
        return False

    def _book(self, z: Array, T: float, p: Passage) -> bool:
        """Note a closed cycle once, with its least period, beginning at its smallest switch point."""
        if not len(p.times) or self.longest * (1 + 1e-9) < T:
            return False
        size = 1.0 + np.abs(p.states).max()
        again = np.abs(p.states[1:] - p.states[0]).max(axis=1, initial=0.0) <= SAME * size
        if again.any():  # the same switch comes earlier than after a period: it was several periods
            return self._close(z, float(p.times[1 + int(np.argmax(again))] - p.times[0]))
        k = int(np.lexsort(np.round(p.states / (1e-8 * size)).T[::-1])[0])
        if any(
            abs(c.period - T) <= SAME * T and np.abs(c.points - p.states[k]).max(axis=1).min() <= SAME * size
            for c in self.found
        ):
            return True
        w = ordered(np.linalg.eigvals(p.derivative).astype(complex), True)
        along = int(np.argmin(np.abs(w - 1.0)))
        if abs(w[along] - 1.0) > ALONG * max(1.0, float(np.abs(w).max())):
            return False  # the derivative does not leave the direction of the orbit alone: no cycle of the flow
        others = np.delete(w, along)
        residual = float(np.abs(p.end - z).max() / size)
        self.found.append(
            Cycle(
                float(T), np.roll(p.states, -k, axis=0), w, bool(is_stable(others, True)), np.roll(p.patterns, -k, axis=0), residual, False,
                float(T),
                np.roll((p.times - p.times[k]) % T, -k), np.roll(p.units, -k),
            )
        )  # fmt: skip
        return True

    def message(self, status: SearchStatus, count: int) -> str:
        """What became of the orbits."""
        parts = [f"from {self.tried} of {count} starts, no proof that there are no others"]
        reasons = {"rested": self.resting, "ended early or diverged": self.lost, "slid along a boundary": self.sliding,
                   "did not return": self.open, "closed only in raised regions (not followed)": self.raised}  # fmt: skip
        parts += [f"{n} {why}" for why, n in reasons.items() if n]
        end = {SearchStatus.TIME_LIMIT: "time ended", SearchStatus.INTERRUPTED: "interrupted"}.get(status)
        return "; ".join(([end] if end else []) + parts)
