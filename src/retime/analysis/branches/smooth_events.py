"""What happens along a branch of a smooth system: folds, flips, Hopf points, crossings of branches. Why so: docs/theory/continuation.md."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from retime.analysis.branches.curve import Curve, hermite, matched, point_between, root_of
from retime.analysis.branches.pieces import (
    CROSSING,
    DEGENERATE,
    MARGIN,
    SADDLE_NODE,
    Found,
    Piece,
    Sample,
    closest,
    named,
)
from retime.analysis.branches.smooth_equation import Spot
from retime.core.tolerances import EPS


class SmoothEvents:
    """The events found along the branches of an equation."""

    def __init__(self, curve: Curve) -> None:
        self.curve, self.equation = curve, curve.equation
        self.found: list[Found] = []

    def crossed(self, p: Spot, q: Spot, piece: Piece) -> None:
        """The events between two close spots: of each multiplier that crosses, or of a branch that does."""
        equation = self.equation
        groups: dict[tuple[str, str], list[int]] = {}
        p, q = self.curve.widened(p, q)
        around = self.curve.around(p, q)
        order = matched(p.w, q.w)
        before, after = equation.off(p.w), equation.off(q.w[order])
        for i in np.flatnonzero((before > MARGIN) != (after > MARGIN)):
            w = complex(p.w[i]) if abs(before[i]) < abs(after[i]) else complex(q.w[order][i])
            real = 10 * equation.real(p.w)
            is_real = min(abs(p.w[i].imag), abs(q.w[order][i].imag)) <= real
            if is_real or w.imag > 0:
                groups.setdefault(named(complex(w.real) if is_real else w, equation.time, real), []).append(int(i))
        crossing = named(equation.target, equation.time, 0.0)
        if crossing not in groups and p.side != q.side:
            groups[crossing] = [int(np.argmin(np.abs(p.w - equation.target)))]
        for (kind, message), indices in groups.items():
            if kind == CROSSING and len(indices) == 1 and p.side == q.side:
                continue  # it comes to 1 (rate 0) and turns back, as beside a pitchfork
            i = indices[int(np.argmin(np.abs(before[indices])))]
            share, off = root_of(around, lambda s, i=i: float(equation.off(s.w[matched(p.w, s.w)])[i]))
            w = complex((1 - share) * p.w[i] + share * q.w[order][i])
            if kind == CROSSING and len(indices) > 1:
                kind, message = (
                    DEGENERATE,
                    f"{len(indices)} {equation.time.eigenvalue}s are {equation.time.neutral:g} at once",
                )
            elif len(indices) > 1:
                message += f"; {len(indices)} at once"
            self._add(around, share, off, kind, message, w, piece)

    def folded(self, p: Spot, q: Spot, piece: Piece) -> tuple[Found, Sample]:
        """The event where the parameter turns between two close spots, and the sample there.

        A saddle-node, or a branch that crosses where det (E, tangent) changes its sign.
        """
        equation = self.equation
        p, q = self.curve.widened(p, q)
        around = self.curve.around(p, q)
        share, off = root_of(around, lambda s: float(s.tangent[-1]))
        kind = SADDLE_NODE if p.side == q.side else CROSSING
        if kind == CROSSING:
            crossed, crossed_off = root_of(around, lambda s: s.side * s.least)
            off = max(off, crossed_off, abs(crossed - share))
        order = matched(p.w, q.w)
        i = int(np.argmin(np.abs(p.w - equation.target) + np.abs(q.w[order] - equation.target)))
        message = f"{named(equation.target, equation.time, 0.0)[1]} where the parameter turns; "
        if kind == CROSSING:
            message += "another branch crosses there"
        else:
            message += f"the smallest singular value of (dG/dz, dG/d parameter) is {min(p.least, q.least):.1e}"
        w = complex(((1 - share) * p.w[i] + share * q.w[order][i]).real)
        event = self._add(around, share, off, kind, message, w, piece)
        u, along = point_between(around, share), hermite(p, q, share)[1]
        k = int(np.argmin(np.abs(equation.x - u[-1])))
        if abs(equation.x[k] - u[-1]) <= max(
            equation.method.on_value * equation.longest, event.error / equation.unit * (kind == CROSSING)
        ):
            u[-1] = equation.x[k]
        s = equation.spot(u, along)
        w_at = s.w.copy()
        w_at[np.argmin(np.abs(w_at - equation.target))] = equation.target
        return event, equation.sample(s._replace(w=w_at), True)

    def is_critical_end(self, x: Spot, y: Spot) -> bool:
        """Whether a multiplier is on the unit circle at x, at an end of the range, and not at y."""
        off, is_end = self.equation.off, x.u[-1] in (self.equation.x[0], self.equation.x[-1])
        return bool(is_end and np.abs(off(x.w)).min() <= MARGIN < np.abs(off(y.w)).min())

    def ended(self, x: Spot, y: Spot, piece: Piece) -> None:
        """The event of a multiplier on the unit circle at an end of the range."""
        equation = self.equation
        w = closest(x.w, equation.time)
        kind, message = named(w, equation.time, equation.real(x.w))
        E = equation.extended(x.u)
        if kind == CROSSING:
            U, sizes, _ = np.linalg.svd(E[:, :-1])
            is_regular = abs(float(U[:, -1] @ E[:, -1])) > equation.method.regular * max(1.0, float(sizes[0]))
            kind = SADDLE_NODE if is_regular else kind
        at_x, at_y = (float(np.abs(equation.off(s.w)).min()) for s in (x, y))
        noise = (math.sqrt(EPS) if kind in (CROSSING, SADDLE_NODE) else 16 * EPS) * (1.0 + float(np.linalg.norm(E)))
        share = (at_x + noise) / max(abs(at_y - at_x), 1e-300)
        error = (4 * EPS * (1.0 + abs(x.u[-1])) + min(share, 1.0) * abs(float(y.u[-1] - x.u[-1]))) * equation.unit
        s = equation.sample(x, False)
        self.found.append(Found(kind, False, s.value, error, s.z, None, w, [piece], 1, message))

    def _add(
        self,
        around: list[tuple[float, Spot]],
        share: float,
        off: float,
        kind: str,
        message: str,
        w: complex,
        piece: Piece,
    ) -> Found:
        """Book an event at a share of the way between two spots that may be `off` by as much of it."""
        equation = self.equation
        p, q = around[0][1], around[1][1]
        u, along = point_between(around, share), hermite(p, q, share)[1]
        u[-1] = min(max(u[-1], equation.x[0]), equation.x[-1])
        s = equation.sample(equation.spot(u, along), False)
        length = float(np.linalg.norm(q.u - p.u))
        steep = max(abs(float(p.tangent[-1])), abs(float(q.tangent[-1])))
        noise = equation.noise(u) / max(abs(equation.smallest(p)), abs(equation.smallest(q)), 1e-300)
        error = 4 * EPS * (1.0 + abs(u[-1])) + steep * min(off, 1.0) * length
        if kind == SADDLE_NODE:
            error += equation.fold_noise(u)
        else:
            error += min(noise, length)
        error += abs(s.value / equation.unit - u[-1])
        found = Found(
            kind, False, s.value, error * equation.unit, s.z, None, complex(w.real, abs(w.imag)), [piece], 1, message
        )
        self.found.append(found)
        return found

    def audit(self, pieces: list[Piece]) -> None:
        """Add an event between neighboring listed points of a piece of which one is stable and the other is not, where none is booked.

        Multipliers within rounding of the unit circle at both points (a center) do not count.
        """
        equation = self.equation
        for piece in pieces:
            shown = {x.value: x for part in piece.segments for x in part if x.shown}
            events = [e for e in self.found if any(p is piece for p in e.pieces)]
            for a, b in pairwise(shown[value] for value in sorted(shown)):
                order = matched(a.w, b.w)
                before, after = equation.off(a.w), equation.off(b.w[order])
                changed = np.flatnonzero(((before >= 0) != (after >= 0)) & (np.abs(before) + np.abs(after) > MARGIN))
                is_change = bool((before < 0).all()) != bool((after < 0).all())
                slack = equation.method.on_value * equation.longest * equation.unit
                known = any(a.value - e.error - slack <= e.value <= b.value + e.error + slack for e in events)
                if not is_change or known or not len(changed):
                    continue
                i = int(changed[np.argmin(np.abs(before[changed]))])
                share = float(before[i] / (before[i] - after[i]))
                w = complex((1 - share) * a.w[i] + share * b.w[order][i])
                kind, message = named(w, equation.time, 10 * equation.real(a.w))
                message += "; seen by the points at both sides and not located"
                value, error, z = 0.5 * (a.value + b.value), 0.5 * (b.value - a.value), (1 - share) * a.z + share * b.z
                w = complex(w.real, abs(w.imag))
                self.found.append(Found(kind, False, value, error, z, None, w, [piece], 1, message))
