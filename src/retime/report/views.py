"""The numbers behind the views: an orbit as columns, fixed points and cycles in the same coordinates, regions, exponents, errors.

The page holds them as one JSON object (docs/api/report.md lists its entries); a part that is not known is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.states import finite_rows
from retime.core.time import time_of
from retime.core.trajectory import Trajectory
from retime.plots.coordinates import components, in_view
from retime.report import packing
from retime.report.findings import Findings
from retime.simulation import simulate

MOST_STATES = 12_000  # that are drawn; of longer orbits every second, third, ...
LONG = 10_001  # states above which columns may take more room
ROOM, MORE_ROOM = 430_000, 1_100_000  # characters for columns
AS_NUMBERS = 8  # outputs, or states where there are none, that are kept as exact numbers
MOST_EIGENVALUES = 4000
SHOWN_REGIONS = 200  # whose bits are listed
BETWEEN = 8  # points of a flow between two samples
FOLLOWED = 64  # states up to which the page follows fixed points
FIRST = 200  # steps of which the flow is drawn between samples


@dataclass(frozen=True)
class Axis:
    """A coordinate of states: name, kind ("output", "state", "component"), index, and values of states `(k, n)`."""

    name: str
    kind: str
    index: int

    def data(self) -> dict[str, Any]:
        """For the page."""
        return {"name": self.name, "kind": self.kind, "index": self.index}


class Coordinates:
    """The coordinates a page draws states in: outputs, principal components of the orbit, and the states that vary most.

    Args:
        found: what is known; its model says the outputs. states: `(k, n)`, what is drawn. labels: names of outputs, else of states.
    """

    def __init__(self, found: Findings, states: Array, labels: Sequence[str] | None) -> None:
        self.model, self.inputs, self.states = found.model, found.inputs, states
        n = states.shape[1]
        p = 0 if self.model is None else self.model.num_outputs
        known = checked_labels(labels, p or n, "output" if p else "state")
        names = {"output": known if p else [], "state": [] if p else known}
        self.outputs = [
            Axis(names["output"][k] if names["output"] else f"x{k + 1}", "output", k) for k in range(min(p, AS_NUMBERS))
        ]
        self.principal = components(states, 3) if n > 3 else None
        parts = () if self.principal is None else self.principal.labels
        self.components = [Axis(x.replace(" of variance", ""), "component", k) for k, x in enumerate(parts)]
        varying = np.argsort(-np.ptp(states, axis=0), kind="stable") if len(states) else np.arange(n)
        self.all_states = [Axis(names["state"][k] if names["state"] else f"z{k + 1}", "state", int(k)) for k in varying]
        self.num_states = n

    def of(self, axis: Axis, states: Array) -> Array:
        """The coordinate of states `(k, n)`."""
        if axis.kind == "state":
            return states[:, axis.index]
        if axis.kind == "component":
            return self.principal.of(states)[:, axis.index]  # type: ignore[union-attr]
        s = np.broadcast_to(self.inputs, (len(states), len(self.inputs)))
        return np.asarray(self.model.outputs(states, s if len(self.inputs) else None))[:, axis.index]

    def along(self, axis: Axis, orbit: Trajectory, rows: Any) -> Array:
        """The coordinate of an orbit, whose own outputs may depend on inputs."""
        if axis.kind == "output" and orbit.outputs is not None:
            return np.asarray(orbit.outputs)[rows, axis.index]
        return self.of(axis, np.asarray(orbit.states)[rows])

    def chosen(self, count: int) -> list[tuple[Axis, int]]:
        """The axes that there is room for, each with its bits; `count` states are drawn."""
        room = ROOM if count <= LONG else MORE_ROOM
        few = self.num_states <= AS_NUMBERS
        exact = self.outputs + (self.all_states if few else [])
        if not self.outputs and not few:
            exact = self.all_states[:3]
        kept = [(x, packing.EXACT) for x in exact] + [(x, packing.DRAWN) for x in self.components]
        left = room - sum(bits * count // 6 for _, bits in kept)
        more = [x for x in self.all_states if x not in exact]
        return kept + [(x, packing.DRAWN) for x in more[: max(left // (packing.DRAWN * count // 6 + 1), 0)]]

    def first(self, axes: Sequence[Axis]) -> list[int]:
        """Which three (or fewer) axes are drawn at first."""
        kinds = [x.kind for x in axes]
        for kind, least in (("output", 2), ("component", 2), ("state", 1), ("output", 1)):
            chosen = [k for k, x in enumerate(kinds) if x == kind]
            if len(chosen) >= least:
                chosen = sorted(chosen, key=lambda k: axes[k].index) if kind == "state" else chosen
                return chosen[:3]
        return [0]


def checked_labels(labels: Any, wanted: int, what: str) -> list[str]:
    """Names given for outputs or states, none for None.

    Raises:
        ValueError: not one text for each.
    """
    if labels is None:
        return []
    given = list(labels) if isinstance(labels, (list, tuple, np.ndarray)) else []
    if len(given) != wanted or not all(isinstance(x, str) for x in given):
        raise ValueError(f"`labels` is {labels!r}; it must be {wanted} names, one for each {what}.")
    return given


def views(found: Findings, labels: Sequence[str] | None) -> dict[str, Any]:
    """Everything that is drawn, plain data for JSON; what there is no result for is None."""
    data: dict[str, Any] = {
        "time": _time(found),
        "orbit": None, "points": None, "cycles": None, "exponents": None, "regions": None, "comparison": None,
    }  # fmt: skip
    frame, rows = _orbit(found, data, labels)
    if frame is not None:
        axes = (
            [x for x, _ in frame.chosen(len(rows))]
            if found.orbit is not None
            else frame.outputs + frame.components + frame.all_states[:20]
        )
        data["axes"], data["first"] = [x.data() for x in axes], frame.first(axes)
        data["points"] = _points(found, frame, axes)
        data["cycles"] = _cycles(found, frame, axes)
        data["comparison"] = _comparison(found, frame, axes)
    data["regions"] = _regions(found, rows)
    e = found.exponents
    if e is not None:
        data["exponents"] = {
            "values": e.exponents, "errors": e.standard_errors, "kaplanYorke": e.kaplan_yorke, "settled": bool(e.settled), "time": e.time,
        }  # fmt: skip
    return data


def _time(found: Findings) -> dict[str, Any] | None:
    """The time base: that of the network, else of its fixed points."""
    if found.model is None and found.points is None:
        return None
    time = time_of(found.points.dt) if found.model is None else found.model.time  # type: ignore[union-attr]
    return {name: getattr(time, name) for name in ("name", "eigenvalue", "neutral", "rest")} | {"dt": time.step}


def drawn_rows(orbit: Trajectory) -> Array:
    """The indices of the states that are drawn: all that are finite and in view, of a long orbit every second, third, ..."""
    shown = in_view(orbit)
    finite = np.asarray((np.abs(shown.states) < 1e150).all(axis=1))
    count = len(finite) if finite.all() else int(np.argmin(finite))
    return np.arange(0, count, max(-(-count // MOST_STATES), 1))


def _orbit(found: Findings, data: dict[str, Any], labels: Sequence[str] | None) -> tuple[Coordinates | None, Array]:
    """The orbit's columns, into `data`; the coordinates, and the indices of the states that are drawn."""
    orbit, rows = found.orbit, np.zeros(0, dtype=int)
    if orbit is None:
        others = [] if found.points is None else [found.points.as_states()]
        others += [] if found.cycles is None else [c.points for c in found.cycles]
        states = np.concatenate(others) if others else np.zeros((0, 0))
        return (Coordinates(found, finite_rows(states), labels) if len(states) else None), rows
    rows = drawn_rows(orbit)
    frame = Coordinates(found, np.asarray(orbit.states)[rows], labels)
    chosen = frame.chosen(len(rows))
    columns = [packing.column(frame.along(x, orbit, rows), bits) for x, bits in chosen]
    left = frame.num_states - sum(x.kind == "state" for x, _ in chosen)
    times = np.asarray(orbit.times)
    every = int(rows[1] - rows[0]) if len(rows) > 1 else 1
    step = float(times[every] - times[0]) if len(times) > every else 1.0
    even = np.allclose(np.diff(times), times[1] - times[0], rtol=1e-6) if len(times) > 1 else True
    data["orbit"] = {
        "count": len(times), "drawn": len(rows), "every": every, "left": left,
        "start": float(times[0]), "step": step, "times": None if even else packing.column(times[rows], packing.EXACT),
        "columns": columns, "ending": orbit.ending, "cut": len(times) - 1 > int(rows[-1]) + every if len(rows) else True,
        "states": frame.num_states,
    }  # fmt: skip
    return frame, rows


def _points(found: Findings, frame: Coordinates, axes: Sequence[Axis]) -> list[dict[str, Any]] | None:
    points = found.points
    if points is None:
        return None
    index = (
        {}
        if found.regions is None
        else {p.tobytes(): k for k, p in enumerate(np.asarray(found.regions.patterns, dtype=bool))}
    )
    most = max(MOST_EIGENVALUES // max(len(points), 1), 1)
    at = np.array([frame.of(x, points.points) for x in axes]) if len(points) else np.zeros((len(axes), 0))
    return [
        {
            "kind": p.kind, "stable": p.stable, "unstable": p.num_unstable, "pace": p.pace, "frequency": p.frequency, "residual": p.residual,
            "boundary": p.on_boundary, "at": at[:, k], "region": index.get(np.asarray(p.pattern, dtype=bool).tobytes(), -1),
            "eigenvalues": _shortened(p.eigenvalues[:most]), "all": len(p.eigenvalues),
            "state": p.state if len(p.state) <= FOLLOWED else None,
        }
        for k, p in enumerate(points)
    ]  # fmt: skip


def _cycles(found: Findings, frame: Coordinates, axes: Sequence[Axis]) -> list[dict[str, Any]] | None:
    if found.cycles is None:
        return None
    longer = [c for c in found.cycles if len(c.points) > 1]
    return [
        {
            "period": c.period, "time": c.time, "kind": c.kind, "stable": c.stable, "largest": c.largest, "flow": c.is_limit_cycle,
            "eigenvalues": _shortened(c.multipliers[: MOST_EIGENVALUES // len(longer)]),
            "at": [_rounded(frame.of(x, c.points)) for x in axes],
        }
        for c in longer[:100]
    ]  # fmt: skip


def _regions(found: Findings, rows: Array) -> dict[str, Any] | None:
    r = found.regions
    if r is None or not len(r):
        return None
    jumps = r.jumps.tocoo()
    order = np.argsort(-jumps.data, kind="stable")[:2000]
    sequence = np.asarray(r.sequence)
    own = found.orbit is not None and sequence.ndim == 1 and len(sequence) == len(found.orbit.times)
    listed = len(r) if r.patterns.shape[1] <= 64 else 0
    return {
        "count": len(r), "units": int(r.patterns.shape[1]),
        "bits": ["".join("01"[int(b)] for b in x) for x in r.patterns[: min(SHOWN_REGIONS, listed)]],
        "shares": _rounded(r.fractions), "visits": r.visits, "dwell": _rounded(r.mean_dwell_times),
        "jumps": np.column_stack([jumps.row[order], jumps.col[order], jumps.data[order]]).astype(int),
        "sequence": packing.integers(np.maximum(sequence[rows], 0)) if own else None,
    }  # fmt: skip


def _comparison(found: Findings, frame: Coordinates, axes: Sequence[Axis]) -> dict[str, Any] | None:
    """Map and flow over the same steps: coordinates of both, and the errors of each switching rule."""
    c = found.conversion
    rules = (
        {"clock": c.clock, "state": c.state}
        if c is not None
        else {x.switching or "other": x for x in found.comparisons}
    )
    if not rules:
        return None
    reference = next(iter(rules.values())).reference
    kept = [k for k, x in enumerate(axes) if x.kind != "state"][:6] or list(range(min(len(axes), 6)))
    data: dict[str, Any] = {
        "steps": len(reference.times) - 1, "dt": float(reference.times[1] - reference.times[0]), "axes": kept,
        "map": [_column(frame.along(axes[k], reference, slice(None))) for k in kept],
        "aligned": found.orbit is not None and np.array_equal(found.orbit.states[0], reference.states[0]),
        "rules": {}, "between": None,
    }  # fmt: skip
    for name, x in rules.items():
        other = np.asarray(x.other.states)[:, : frame.num_states]
        data["rules"][name] = {
            "one": _rounded(x.one_step_error, 4), "orbit": _rounded(x.orbit_error, 4), "message": x.message,
            "path": [_column(frame.of(axes[k], other)) for k in kept], "crossing": x.crossing_steps,
        }  # fmt: skip
    if c is not None:
        data["between"] = _between(c, frame, [axes[k] for k in kept])
    return data


def _between(c: Any, frame: Coordinates, axes: Sequence[Axis]) -> dict[str, Any]:
    """The clock-held flow between samples, over the first steps."""
    steps = min(FIRST, c.steps)
    times = c.model.dt / BETWEEN * np.arange(steps * BETWEEN + 1)
    rows = None if c.inputs is None else c.inputs[:steps]
    path = simulate(c.flow, c.clock.reference.states[0], times=times, inputs=rows, switching="clock")
    states = np.asarray(path.states)[:, : frame.num_states]
    return {"per": BETWEEN, "path": [_column(frame.of(x, states)) for x in axes]}


def _column(values: Array) -> dict[str, Any]:
    """Values in 32 bits, up to the first that these cannot hold: small and huge ones keep their digits."""
    good = np.abs(values) < 1e38
    return packing.array(values[: len(good) if good.all() else int(np.argmin(good))], np.float32)


def _shortened(w: Array) -> list[list[float]]:
    """Complex numbers with 9 digits."""
    return [[float(f"{x.real:.9g}"), float(f"{x.imag:.9g}")] for x in np.asarray(w, dtype=complex)]


def _rounded(values: Any, digits: int = 6) -> list[float]:
    """Numbers with so many digits, for pictures."""
    return [float(f"{x:.{digits}g}") for x in np.asarray(values, dtype=float)]
