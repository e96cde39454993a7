"""Branches and events of a scan put together: each once."""

from __future__ import annotations

import numpy as np

from retime.analysis.branches.pieces import CROSSING, DEGENERATE, Found, Piece, is_same
from retime.analysis.branches.result import Branch, Event
from retime.core.time import TimeBase
from retime.core.tolerances import SAME_FOLLOWED, size_of

TWIN = 1e-9  # of the range: a branch no longer than this has no length
MERGED = 1e-6  # of the range: events of one kind this close, at one point, are one event


def branch(piece: Piece, time: TimeBase, parameter: str) -> Branch | None:
    """The samples of a piece in order of their values, those for results only; None when there is none."""
    order = sorted((x for x in piece.segments if x), key=lambda seg: sum(s.value for s in seg) / len(seg))
    samples = [s for seg in order for s in sorted(seg, key=lambda s: s.value) if s.shown]
    kept = [s for k, s in enumerate(samples) if k == 0 or s.value > samples[k - 1].value]
    if not kept:
        return None
    w, z = np.array([s.w for s in kept]), np.array([s.z for s in kept])
    return Branch(
        piece.period,
        np.array([s.value for s in kept]),
        z,
        w,
        time.is_stable(w),
        np.array([s.bits for s in kept], dtype=bool),
        parameter,
    )


def without_twins(
    made: list[tuple[Piece, Branch]], span: float
) -> tuple[list[tuple[Piece, Branch]], list[tuple[Piece, Piece]]]:
    """Pieces without those of no length that repeat the end of a longer one (as at a pitchfork on the last value), and which repeats which."""
    kept, twins = [], []
    for p, b in made:
        longer = None
        if b.values[-1] - b.values[0] <= TWIN * span:
            longer = next(
                (q for q, c in made if q is not p and c.values[-1] - c.values[0] > TWIN * span and _holds(c, b)), None
            )
        if longer is None:
            kept.append((p, b))
        else:
            twins.append((p, longer))
    return kept, twins


def _holds(long: Branch, short: Branch) -> bool:
    """Whether the first point of one branch is on another, as precisely as points of crossing branches are known."""
    if long.period != short.period:
        return False
    k = int(np.argmin(np.abs(long.values - short.values[0])))
    size = size_of(short.points[0])
    gap = np.abs(long.points[k] - short.points[0]).max()
    reach = SAME_FOLLOWED if short.patterns.size else 1e-3
    return bool(abs(long.values[k] - short.values[0]) <= 1e-9 * (1.0 + abs(short.values[0])) and gap <= reach * size)


def event(e: Found, index: dict[int, int]) -> Event:
    """What was found as a part of the result; `index`: the number of the branch of each piece."""
    branches = tuple(dict.fromkeys(index[id(p)] for p in e.pieces if id(p) in index))
    return Event(
        e.kind, e.border, e.value, e.error, e.point, e.unit, e.multiplier, branches, e.period, e.message, e.predicted
    )


def merged(events: list[Found], span: float) -> list[Found]:
    """Each event once, with all branches that come to it; cycles that shrink to a point on a border belong to the point's event."""
    kept: list[Found] = []
    for e in sorted(events, key=lambda e: (e.collapsed, e.error, e.value)):
        known = next((x for x in kept if _is_one(x, e, span)), None)
        if known is None:
            kept.append(e)
            continue
        known.pieces = list({id(p): p for p in [*known.pieces, *e.pieces]}.values())
        if e.collapsed and not known.collapsed:
            known.message += f"; {e.period}-cycles end here"
    return kept


def _is_one(a: Found, b: Found, span: float) -> bool:
    if abs(a.value - b.value) > MERGED * span:
        return False
    size = size_of(a.point)
    if b.collapsed and a.period < b.period:
        gap = np.abs(a.point[:, None] - b.point[None]).max(axis=2).min(axis=0)
        return a.border and bool((gap <= 1e-5 * size).all())
    if a.kind != b.kind or a.period != b.period or a.point.shape != b.point.shape:
        return False
    if a.kind == CROSSING:
        return bool(np.abs(a.point - b.point).max() <= 1e-3 * size)
    return (
        abs(a.value - b.value) <= 1e-9 * span
        and is_same(a.point, b.point)
        and (a.kind == DEGENERATE or a.unit == b.unit)
    )
