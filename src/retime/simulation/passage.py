"""How an orbit passes the boundaries of its regions, and how its end moves with its start; what it follows along a boundary.

Source: filippov1988; docs/theory/flows.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retime.core.arrays import Array
from retime.simulation import saltation
from retime.simulation.arrays import form_arrays
from retime.simulation.boundaries import set_side
from retime.simulation.motion import Motion, motion_of
from retime.simulation.trajectories import simulate
from retime.simulation.variational import SAMPLES, Flown, SmoothFlow

AT_ONCE = 1e-9  # share of a time within which an orbit that begins on a boundary begins to slide


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


class Mode(NamedTuple):
    """What the orbit follows: the region with this pattern, or the boundary of the unit `slider` between its two sides."""

    bits: Array
    slider: int


def derived(motion: Motion, s: Array) -> StateSwitchedFlow | SmoothFlow | None:
    """The flow of a motion under a constant input `(m,)` together with its derivative, by which orbits are closed; None of steps."""
    if motion.is_solved:
        return SmoothFlow(motion.model, s)
    return StateSwitchedFlow(motion.model, s) if motion.is_event_driven else None


class StateSwitchedFlow:
    """The flow of a piecewise-affine system whose region follows the state, with a constant input s `(m,)`, and its derivative."""

    def __init__(self, model: Any, s: Array) -> None:
        self.model, self.s = model, s
        self.arrays = form_arrays(model.canonical)
        self.motion: Any = motion_of(model, "state")

    def run(self, z: Array, length: float, samples: int = 1) -> Any:
        """The simulated orbit from z, at its end, or at so many samples."""
        held, rule = self.motion.held_input(self.s, 1), self.motion.switching
        return simulate(self.model, z, inputs=held, switching=rule, **self.motion.span(0, length, samples))

    def orbit(self, z: Array, duration: float, *, sign: float = 1.0, tolerance: float | None = None) -> Array:
        """States `(SAMPLES + 1, n)` of the orbit from z `(n,)`, exact and forwards; NaN from where it ends early."""
        return self.run(z, duration, SAMPLES).states

    def after(self, z: Array, duration: float) -> Flown | None:
        """The orbit from z `(n,)` with its derivative; None where it ends early."""
        p = self.passage(z, duration)
        return None if p is None else Flown(self.orbit(z, duration), p.derivative, p.rate)

    def rate(self, z: Array) -> Array:
        """dz/dt at states `(..., n)`."""
        return self.motion.right(z, self.s)

    def jacobian(self, z: Array) -> Array:
        """The matrix `(n, n)` of the region that holds z, auxiliary states apart."""
        return self.motion.jacobian(z, self.s)

    def passage(self, z: Array, length: float, unit: int = -1) -> Passage | None:
        """Follow the flow and its derivative; None where it ends early, or touches a boundary without crossing it.

        From a state on the boundary of `unit` to the same boundary: the switch at the beginning counts, that at the end does not.
        """
        path = self.run(z, length)
        if not np.isfinite(path.states).all():
            return None
        n, q = len(z), self.model.num_units
        begins = {float(x[0]): int(x[2]) for x in path.sliding}
        ends = {float(x[1]) for x in path.sliding if x[1] < length}
        at, units = np.asarray(path.switch_times), np.asarray(path.switch_units, dtype=int)
        flips = np.vstack([path.patterns[:1], np.eye(q, dtype=bool)[units]])
        entered = np.logical_xor.accumulate(flips, axis=0)
        mode, y, V, now = Mode(entered[0], -1), z.copy(), np.eye(n), 0.0
        first = mode
        seen: list[tuple[float, int, Array, Mode]] = []
        for t, code in turns(self.model.canonical, at, units, begins, ends, set(), -1)[0]:
            new, normal = Mode(entered[code[saltation.MINUS]], code[saltation.SLIDER]), code[saltation.NORMAL]
            if t <= AT_ONCE * length and new.slider >= 0 and not seen:
                first = mode = new
                continue
            if unit >= 0 and t >= (1.0 - AT_ONCE) * length:
                break
            y, V = self.piece(mode, y, V, t - now)
            crossed = self._across(mode, new, normal, y, V)
            if crossed is None:
                return None
            y, V = crossed
            seen.append((t, normal if normal >= 0 else mode.slider, y[:n], new))
            mode, now = new, t
        y, V = self.piece(mode, y, V, length - now)
        if not (np.isfinite(y).all() and np.isfinite(V).all()):
            return None
        if unit >= 0:
            seen.insert(0, (0.0, unit, z, first))
        return Passage(
            y[:n], V[:n], self._rate(mode, y)[:n], np.array([x[0] for x in seen]), np.array([x[1] for x in seen], dtype=int),
            np.array([x[2] for x in seen]).reshape(-1, n), np.array([x[3].bits for x in seen], dtype=bool).reshape(-1, q),
            np.array([x[3].slider for x in seen], dtype=int),
        )  # fmt: skip

    def _across(self, mode: Mode, new: Mode, normal: int, y: Array, V: Array) -> tuple[Array, Array] | None:
        """State and derivative behind a switch, S = I + (f+ - f-) n^T / (n^T f-); None when the boundary is only touched."""
        n, W2 = self.model.num_states, self.model.canonical.W2
        before = self._rate(mode, y)[:n]
        y, V = y[:n], V[:n]
        after = self._rate(new, y)
        if normal < 0 and (mode.slider < 0 or new.slider >= 0):
            return y, V
        # sliding ends by itself where the side that is entered no longer pushes back; the field goes on without a jump
        gradient = W2[normal] if normal >= 0 else W2[mode.slider] @ self.motion.generator(new.bits, self.s)[0][:n, :n]
        speed = gradient @ before
        if speed == 0.0:
            return None
        share = (gradient @ V) / speed  # how much earlier a start beside this one arrives
        jump = after[:n] - before if normal >= 0 else np.zeros(n)
        # auxiliary states begin at 0 when the switch is reached: a later start has moved by their rate
        return y, np.vstack([V + np.outer(jump, share), np.outer(after[n:], share)])

    def _sides(self, mode: Mode) -> Sides:
        """W and h, without auxiliary states, of the two sides of the boundary along which a mode slides."""
        n, found = self.model.num_states, []
        for on in (False, True):
            bits = mode.bits.copy()
            set_side(self.arrays, np.array([self.s, 0.0 * self.s]), bits[None], mode.slider, on=on)
            W, h = self.motion.generator(bits, self.s)
            found += [W[:n, :n], h[:n]]
        return Sides(*found)

    def size(self, mode: Mode) -> int:
        """Number of states, auxiliary ones included."""
        return self.model.num_states if mode.slider >= 0 else len(self.motion.generator(mode.bits, self.s)[0])

    def _rate(self, mode: Mode, y: Array) -> Array:
        if mode.slider >= 0:
            return filippov(self._sides(mode), self.model.canonical.W2[mode.slider], y[: self.model.num_states])[0]
        W, h = self.motion.generator(mode.bits, self.s)
        return W @ np.concatenate([y, np.zeros(len(W) - len(y))]) + h

    def piece(self, mode: Mode, y: Array, V: Array, length: float) -> tuple[Array, Array]:
        """State and derivative after a time inside one region, or of sliding; auxiliary states begin at 0."""
        from scipy.linalg import expm

        if mode.slider >= 0:
            return self._slide(mode, y, V, length)
        W, h = self.motion.generator(mode.bits, self.s)
        N = len(W)
        L = np.zeros((N + 1, N + 1))
        L[:N, :N], L[:N, N] = W, h
        X = expm(length * L)
        grow = N - len(y)
        y, V = np.concatenate([y, np.zeros(grow)]), np.vstack([V, np.zeros((N - len(V), V.shape[1]))])
        return X[:N, :N] @ y + X[:N, N], X[:N, :N] @ V

    def _slide(self, mode: Mode, y: Array, V: Array, length: float) -> tuple[Array, Array]:
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


def turns(
    form: Any, at: Array, unit: Array, begins: dict[float, int], ends: set[float], jumps: set[float], slider: int
) -> tuple[list[tuple[float, tuple[int, int, int, int, int]]], int]:
    """What happens at each instant at which units switch or sliding begins or ends: (time, code); and the unit that slides then.

    Units that switch at one instant with parallel boundaries are one switch; others follow one another. What shares the boundary along
    which the orbit slides goes with it. Units across whose boundary the map does not change make no switch.
    """
    instants = sorted({*map(float, at), *begins, *ends})
    found, k, idle = [], 0, form.idle[0]
    for t in instants:
        group, index = [], []
        while k < len(at) and at[k] == t:
            if not idle[unit[k]]:
                group.append(int(unit[k]))
                index.append(k + 1)
            k += 1
        if not group and t not in begins and t not in ends:
            continue
        was, slider = slider, begins.get(t, -1 if t in ends else slider)
        others = [i for i in group if was < 0 or not _parallel(form.W2[[i, was]])]
        normals = [slider] if slider >= 0 and slider != was else others[:1]
        separate = slider < 0 and was < 0 and len(group) > 1 and not _parallel(form.W2[group])
        if t in jumps:
            normals, separate = [], False
        if separate:
            last = [j + 1 == len(group) or not _parallel(form.W2[group[j : j + 2]]) for j in range(len(group))]
            found += [(t, (saltation.SWITCH, index[j], 0, -1, group[j])) for j in np.flatnonzero(last).tolist()]
        else:
            found.append((t, (saltation.SWITCH, k, 0, slider, normals[0] if normals else -1)))
    return found, slider


def _parallel(rows: Array) -> bool:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return bool((np.abs(np.abs(unit @ unit[0]) - 1) < 1e-12).all())


class Sides(NamedTuple):
    """The fields of the two sides of a boundary, without auxiliary states: W `(n, n)`, h `(n,)` where the unit is off and on."""

    W_off: Array
    h_off: Array
    W_on: Array
    h_on: Array


def filippov(sides: Sides, normal: Array, z: Array) -> tuple[Array, Array]:
    """The field alpha f+ + (1 - alpha) f- `(n,)` at z, alpha = a- / (a- - a+), a the speed along `normal`, and its derivative `(n, n)`."""
    off, on = sides.W_off @ z + sides.h_off, sides.W_on @ z + sides.h_on
    below, above = normal @ off, normal @ on
    alpha = below / (below - above)
    change = ((1.0 - alpha) * (normal @ sides.W_off) + alpha * (normal @ sides.W_on)) / (below - above)
    return off + alpha * (on - off), sides.W_off + alpha * (sides.W_on - sides.W_off) + np.outer(on - off, change)
