"""Limit cycles of flows whose region follows the state: located on a simulated orbit, closed by Newton steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.analysis.cycles.result import Cycle, Cycles
from retime.analysis.fixed_points.find import ordered
from retime.analysis.fixed_points.resting import Sides, filippov
from retime.core.arrays import Array, positive
from retime.core.clock import work_seconds
from retime.core.inputs import Inputs
from retime.core.progress import progress
from retime.core.status import SearchStatus, TrajectoryStatus
from retime.core.time import Discrete
from retime.models import PiecewiseAffineFlow
from retime.simulation import saltation, simulate
from retime.simulation.arrays import form_arrays
from retime.simulation.boundaries import set_side
from retime.simulation.passage import turns

STARTS = 12  # orbits that are followed
SETTLE = 20.0  # longest periods that an orbit is given to settle
WINDOW = 3.0  # longest periods in which a return is looked for
CANDIDATES = 6  # closest returns of one orbit that are tried
NEWTON = 25
CLOSED = 1e-10  # largest distance, relative to 1 + |z|, of a closed cycle from its start after one period
SAME = 1e-6
FAR = 1e9  # states this many times larger than 1 + |z0| have diverged
AT_ONCE = 1e-9  # share of the longest period within which an orbit that begins on a boundary begins to slide
ALONG = 1e-6  # how far the multiplier along the orbit may be from 1, relative to the largest one


@dataclass(frozen=True)
class Passage:
    """The flow from a state over a time, followed from switch to switch.

    Attributes:
        end `(n,)`. derivative `(n, n)`: of the end with respect to the start, saltation at switches included.
        rate `(n,)`: the field at the end. times `(k,)`, units `(k,)`, states `(k, n)`, patterns `(k, q)`: of the switches and of where
            sliding begins and ends, patterns those entered. sliders `(k,)`: the unit along whose boundary the orbit slides from
            there on, -1 for none.
    """

    end: Array
    derivative: Array
    rate: Array
    times: Array
    units: Array
    states: Array
    patterns: Array
    sliders: Array


class _Mode(NamedTuple):
    """What the orbit follows: the region with this pattern, or the boundary of the unit `slider` between its two sides."""

    bits: Array
    slider: int


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
    deadline, status = work_seconds() + time_limit, SearchStatus.HEURISTIC
    search = _Search(model, s, longest, switching, np.random.default_rng(seed), deadline)
    starts = search.starts(given)
    try:
        with progress("searching limit cycles", len(starts)) as advance:
            for k, z in enumerate(starts):
                if work_seconds() >= deadline:
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
        A, self.arrays = model.canonical.A, form_arrays(model.canonical)
        norm = float(np.abs(A).sum(axis=1).max(initial=0.0))
        self.short = 100.0 * (model.dt if isinstance(model, PiecewiseAffineFlow) else 1.0 / max(norm, 1e-9))
        self.pace = 0.0  # seconds per model time of a simulation, as last measured
        self.is_late = False
        self.options: dict[str, Any] = {"switching": switching} if isinstance(model, PiecewiseAffineFlow) else {}
        self.found: list[Cycle] = []
        self.tried = self.lost = self.resting = self.open = 0

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
        passage, end = None, settled.states[-1]
        has_left = not np.abs(end).max() <= FAR * (1.0 + np.abs(z).max())
        if not has_left and settled.status in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE):
            passage = self.passage(end, self._affordable())
        if passage is None:
            self.lost += 1
        elif not (passage.times > AT_ONCE * self.longest).any() and np.abs(passage.rate).max() <= 1e-6 * (
            1.0 + np.abs(passage.end).max()
        ):
            self.resting += 1
        elif not self._close_returns(passage):
            self.open += 1

    def _settled(self, z: Array) -> Any:
        """The end of an orbit that was given time to settle, in pieces that double, as far as the clock allows."""
        left, piece = SETTLE * self.longest, min(self.longest / 64.0, self.short)
        while True:
            piece = min(piece, left)
            began = work_seconds()
            path = self._run(z, piece)
            self.pace = (work_seconds() - began) / piece
            left -= piece
            z = path.states[-1]
            fine = path.status in (TrajectoryStatus.COMPLETED, TrajectoryStatus.NONUNIQUE)
            if not fine or left <= 1e-9 * self.longest:
                return path
            piece *= 2.0
            if work_seconds() + self.pace * min(piece, left) > self.deadline:
                self.is_late = True
                return path

    def _affordable(self) -> float:
        """The time over which a return is looked for: three longest periods, less when the clock does not allow it."""
        seconds = max(self.deadline - work_seconds(), 0.0)
        allowed = (
            seconds / (20.0 * self.pace) if self.pace else float("inf")
        )  # the derivative costs more than the orbit
        if allowed < WINDOW * self.longest:
            self.is_late = True
        return float(np.clip(allowed, 1e-3 * self.longest, WINDOW * self.longest))

    def _close_returns(self, p: Passage) -> bool:
        """Whether one of the closest returns closes to a cycle."""
        return len(p.times) > 0 and any(self._close(*start) for start in self._returns(p))

    def _run(self, z: Array, length: float) -> Any:
        held = Inputs(np.zeros(1), self.s[None]) if len(self.s) else None
        return simulate(self.model, z, times=[0.0, length], inputs=held, **self.options)

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
        pairs.sort(key=lambda x: (x[0] > 1e-4, x[1] if x[0] <= 1e-4 else x[0]))
        return [(*self._start(p, i, k), T) for gap, T, i, k in pairs[:CANDIDATES] if gap < 0.3]

    def _start(self, p: Passage, first: int, last: int) -> tuple[Array, int]:
        """A state between two switches to close the cycle at, and -1: in the middle of the longest stretch without sliding and without
        auxiliary states, which would be cut off there. When there is none: a switch and its unit; auxiliary states begin there."""
        spans = np.diff(p.times[first : last + 1])
        modes = [_Mode(p.patterns[first + j], int(p.sliders[first + j])) for j in range(len(spans))]
        plain = np.array([m.slider < 0 and self._size(m) == len(p.end) for m in modes])
        k = int(np.argmax(np.where(plain, spans, -1.0)))
        if plain[k] and spans[k] > 0.0:
            return self._piece(modes[k], p.states[first + k], np.eye(len(p.end)), 0.5 * spans[k])[0], -1
        before = np.append(p.sliders[last - 1], p.sliders[first : last - 1])
        crossed = before != p.units[first:last]  # not the end of sliding along that boundary
        k = int(np.argmax(np.where(crossed, spans, -1.0)))
        return p.states[first + k], int(p.units[first + k])

    def passage(self, z: Array, length: float, unit: int = -1) -> Passage | None:
        """Follow the flow and its derivative; None where it ends early, or touches a boundary without crossing it.

        From a state on the boundary of `unit` to the same boundary: the switch at the beginning counts, that at the end does not.
        """
        path = self._run(z, length)
        if not np.isfinite(path.states).all():
            return None
        n, q = len(z), self.model.num_units
        begins = {float(x[0]): int(x[2]) for x in path.sliding}
        ends = {float(x[1]) for x in path.sliding if x[1] < length}
        at, units = np.asarray(path.switch_times), np.asarray(path.switch_units, dtype=int)
        flips = np.vstack([path.patterns[:1], np.eye(q, dtype=bool)[units]])
        entered = np.logical_xor.accumulate(flips, axis=0)
        mode, y, V, now = _Mode(entered[0], -1), z.copy(), np.eye(n), 0.0
        first = mode
        seen: list[tuple[float, int, Array, _Mode]] = []
        for t, code in turns(self.model.canonical, at, units, begins, ends, set(), -1)[0]:
            new, normal = _Mode(entered[code[saltation.MINUS]], code[saltation.SLIDER]), code[saltation.NORMAL]
            if t <= AT_ONCE * length and new.slider >= 0 and not seen:
                first = mode = new
                continue
            if unit >= 0 and t >= (1.0 - AT_ONCE) * length:
                break
            y, V = self._piece(mode, y, V, t - now)
            crossed = self._across(mode, new, normal, y, V)
            if crossed is None:
                return None
            y, V = crossed
            seen.append((t, normal if normal >= 0 else mode.slider, y[:n], new))
            mode, now = new, t
        y, V = self._piece(mode, y, V, length - now)
        if not (np.isfinite(y).all() and np.isfinite(V).all()):
            return None
        if unit >= 0:
            seen.insert(0, (0.0, unit, z, first))
        return Passage(
            y[:n], V[:n], self._rate(mode, y)[:n], np.array([x[0] for x in seen]), np.array([x[1] for x in seen], dtype=int),
            np.array([x[2] for x in seen]).reshape(-1, n), np.array([x[3].bits for x in seen], dtype=bool).reshape(-1, q),
            np.array([x[3].slider for x in seen], dtype=int),
        )  # fmt: skip

    def _across(self, mode: _Mode, new: _Mode, normal: int, y: Array, V: Array) -> tuple[Array, Array] | None:
        """State and derivative behind a switch, S = I + (f+ - f-) n^T / (n^T f-); None when the boundary is only touched."""
        n, W2 = self.model.num_states, self.model.canonical.W2
        before = self._rate(mode, y)[:n]
        y, V = y[:n], V[:n]
        after = self._rate(new, y)
        if normal < 0 and (mode.slider < 0 or new.slider >= 0):
            return y, V
        # sliding ends by itself where the side that is entered no longer pushes back; the field goes on without a jump
        gradient = W2[normal] if normal >= 0 else W2[mode.slider] @ self._generator(new.bits)[0][:n, :n]
        speed = gradient @ before
        if speed == 0.0:
            return None
        share = (gradient @ V) / speed  # how much earlier a start beside this one arrives
        jump = after[:n] - before if normal >= 0 else np.zeros(n)
        # auxiliary states begin at 0 when the switch is reached: a later start has moved by their rate
        return y, np.vstack([V + np.outer(jump, share), np.outer(after[n:], share)])

    def _generator(self, bits: Array) -> tuple[Array, Array]:
        if isinstance(self.model, PiecewiseAffineFlow):
            r = self.model.region(bits)
            return r.W, r.h + r.E @ self.s
        M, c, E = self.model.canonical.regions(bits[None])
        return M[0], c[0] + E[0] @ self.s

    def _sides(self, mode: _Mode) -> Sides:
        """W and h, without auxiliary states, of the two sides of the boundary along which a mode slides."""
        n, found = self.model.num_states, []
        for on in (False, True):
            bits = mode.bits.copy()
            set_side(self.arrays, np.array([self.s, 0.0 * self.s]), bits[None], mode.slider, on=on)
            W, h = self._generator(bits)
            found += [W[:n, :n], h[:n]]
        return Sides(*found)

    def _size(self, mode: _Mode) -> int:
        """Number of states, auxiliary ones included."""
        return self.model.num_states if mode.slider >= 0 else len(self._generator(mode.bits)[0])

    def _rate(self, mode: _Mode, y: Array) -> Array:
        if mode.slider >= 0:
            return filippov(self._sides(mode), self.model.canonical.W2[mode.slider], y[: self.model.num_states])[0]
        W, h = self._generator(mode.bits)
        return W @ np.concatenate([y, np.zeros(len(W) - len(y))]) + h

    def _piece(self, mode: _Mode, y: Array, V: Array, length: float) -> tuple[Array, Array]:
        """State and derivative after a time inside one region, or of sliding; auxiliary states begin at 0."""
        from scipy.linalg import expm

        if mode.slider >= 0:
            return self._slide(mode, y, V, length)
        W, h = self._generator(mode.bits)
        N = len(W)
        L = np.zeros((N + 1, N + 1))
        L[:N, :N], L[:N, N] = W, h
        X = expm(length * L)
        grow = N - len(y)
        y, V = np.concatenate([y, np.zeros(grow)]), np.vstack([V, np.zeros((N - len(V), V.shape[1]))])
        return X[:N, :N] @ y + X[:N, N], X[:N, :N] @ V

    def _slide(self, mode: _Mode, y: Array, V: Array, length: float) -> tuple[Array, Array]:
        """Filippov's solution and its derivative, integrated."""
        from scipy.integrate import solve_ivp

        n, sides, normal = len(y), self._sides(mode), self.model.canonical.W2[mode.slider]

        def rates(t: float, x: Array) -> Array:
            f, J = filippov(sides, normal, x[:n])
            return np.concatenate([f, (J @ x[n:].reshape(n, -1)).ravel()])

        x = np.concatenate([y, V.ravel()])
        solved = solve_ivp(rates, (0.0, length), x, method="DOP853", rtol=1e-13, atol=1e-15 * np.abs(x).max())
        end = solved.y[:, -1] if solved.success else np.full(len(x), np.nan)
        return end[:n], end[n:].reshape(n, -1)

    def _close(self, z: Array, unit: int, T: float) -> bool:
        """Newton steps for flow(z, T) = z, z on a plane across the flow, which is the boundary of `unit` if there is one; whether a
        cycle was found (known or new)."""
        n, form, normal, level = len(z), self.model.canonical, None, 0.0
        for _ in range(NEWTON):
            if work_seconds() > self.deadline or not 1e-6 * self.longest < T:
                return False
            p = self.passage(z, T, unit)
            if p is None:
                return False
            if unit >= 0:
                normal, level = form.W2[unit], float(form.W2[unit] @ z + form.h2[unit] + form.C2[unit] @ self.s)
            elif normal is None:
                normal = p.rate / (np.linalg.norm(p.rate) or 1.0)
            gap = p.end - z
            J = np.zeros((n + 1, n + 1))
            J[:n, :n], J[:n, n], J[n, :n] = p.derivative - np.eye(n), p.rate, normal
            step = np.linalg.lstsq(J, -np.append(gap, level), rcond=1e-13)[0]
            size = 1.0 + np.abs(z).max()
            if np.abs(gap).max() <= CLOSED * size and np.abs(step[:n]).max() <= 1e-9 * size:
                return self._book(z, unit, T, p)
            if not np.isfinite(step).all() or not 0 < T + step[n] <= 2 * self.longest:
                return False
            z, T = z + step[:n], T + step[n]
        return False

    def _multipliers(self, unit: int, p: Passage) -> Array | None:
        """Floquet multipliers, the 1 along the orbit included; None when there is no such 1: no cycle of the flow.

        Between boundaries they are the eigenvalues of the derivative. From a boundary to itself, of the return map on it: auxiliary
        states begin there, for starts on the boundary only.
        """
        if unit < 0:
            w = np.linalg.eigvals(p.derivative).astype(complex)
            along = float(np.abs(w - 1.0).min())
            return w if along <= ALONG * max(1.0, float(np.abs(w).max())) else None
        normal = self.model.canonical.W2[unit]
        if normal @ p.rate == 0.0:
            return None
        back = p.derivative - np.outer(p.rate, normal @ p.derivative) / (normal @ p.rate)
        plane = np.linalg.svd(normal[None])[2][1:].T
        return np.append(np.linalg.eigvals(plane.T @ back @ plane), 1.0).astype(complex)

    def _book(self, z: Array, unit: int, T: float, p: Passage) -> bool:
        """Note a closed cycle once, with its least period, beginning at its smallest switch point."""
        if not len(p.times) or self.longest * (1 + 1e-9) < T:
            return False
        size = 1.0 + np.abs(p.states).max()
        again = np.abs(p.states[1:] - p.states[0]).max(axis=1, initial=0.0) <= SAME * size
        if again.any():  # the same switch comes earlier than after a period: it was several periods
            return self._close(z, unit, float(p.times[1 + int(np.argmax(again))] - p.times[0]))
        k = int(np.lexsort(np.round(p.states / (1e-8 * size)).T[::-1])[0])
        if any(
            abs(c.period - T) <= SAME * T and np.abs(c.points - p.states[k]).max(axis=1).min() <= SAME * size
            for c in self.found
        ):
            return True
        w = self._multipliers(unit, p)
        if w is None:
            return False
        w = ordered(w, Discrete())
        others = np.delete(w, int(np.argmin(np.abs(w - 1.0))))
        residual = float(np.abs(p.end - z).max() / size)
        times, sliders = np.roll((p.times - p.times[k]) % T, -k), np.roll(p.sliders, -k)
        self.found.append(
            Cycle(
                float(T), np.roll(p.states, -k, axis=0), w, bool(Discrete().is_stable(others)), np.roll(p.patterns, -k, axis=0), residual, False,
                float(T), times, np.roll(p.units, -k), _slides(times, sliders, T),
            )
        )  # fmt: skip
        return True

    def message(self, status: SearchStatus, count: int) -> str:
        """What became of the orbits."""
        parts = [f"from {self.tried} of {count} starts, no proof that there are no others"]
        reasons = {"rested": self.resting, "ended early or diverged": self.lost, "did not return": self.open}  # fmt: skip
        parts += [f"{n} {why}" for why, n in reasons.items() if n]
        end = {SearchStatus.TIME_LIMIT: "time ended", SearchStatus.INTERRUPTED: "interrupted"}.get(status)
        return "; ".join(([end] if end else []) + parts)


def _slides(times: Array, sliders: Array, period: float) -> Array:
    """Begin, end and unit of each stretch of sliding `(j, 3)`; switch k is at times[k], from which sliders[k] holds."""
    ends = np.append(times[1:], period)
    return np.array([(times[k], ends[k], sliders[k]) for k in np.flatnonzero(sliders >= 0)]).reshape(-1, 3)
