"""What tolerances of components do: many circuits at once, by their own networks or by SPICE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from scipy.integrate import solve_ivp

from retime.circuits.backends import BACKENDS, chosen
from retime.circuits.expressions import NAMED_FUNCTIONS
from retime.circuits.form import NetworkForm
from retime.circuits.runs import Run, run_to_compare
from retime.circuits.samples import SampledForms, sampled_netlist, spread_of
from retime.core.arguments import amount, seed_of, whole
from retime.core.arrays import Array, real_array
from retime.core.errors import ShapeError, SimulatorError
from retime.core.progress import progress
from retime.core.result import Result
from retime.core.status import SearchStatus
from retime.core.time import Discrete

CLOSE = 0.05  # of the range: how near orbits of a sample by network and by SPICE must be to agree
TOLERANCE = 1e-6  # of a solver, relative and absolute: deviations are per cents


@dataclass(frozen=True, eq=False, repr=False)
class MonteCarlo(Result):
    """Circuits with components that deviate.

    Attributes:
        tolerance: of values, relative; offset: of op-amps and transistor stages, volts. method: network or spice.
        errors: `(num,)` largest distance of each sample's orbit from the model's, relative to the range of the model's.
        survived: `(num,)` verdicts of the check; all True without one that was given.
        fixed_points: `(num, k, n)` where the k given points are in each sample, NaN where it has none near. stable: `(num, k)`.
        periods: `(num,)` model time, NaN where an orbit does not return often enough.
        shares: which part of the variance of the orbits is due to which component, largest first, by name (linear share); components whose
            share chance alone may give with so few samples are not among them.
        agreement: share of the SPICE subsample that agrees with the network's samples; NaN without one.
        num_spice: size of that subsample. states: `(T, num, n)` of the samples. times: `(T,)`.
    """

    tolerance: float
    offset: float
    method: str
    errors: Array
    survived: Array
    fixed_points: Array
    stable: Array
    periods: Array
    shares: dict[str, float]
    agreement: float
    num_spice: int
    states: Array
    times: Array
    status: SearchStatus = SearchStatus.COMPLETE

    _plot: ClassVar[str] = "monte_carlo"

    @property
    def num(self) -> int:
        """Number of samples."""
        return len(self.errors)

    @property
    def num_survived(self) -> int:
        """How many passed the check."""
        return int(self.survived.sum())

    def _data(self) -> dict[str, Any]:
        return {
            "num": self.num, "tolerance": self.tolerance, "offset": self.offset, "method": self.method, "errors": self.errors,
            "survived": self.num_survived, "fixed_points": self.fixed_points, "stable": self.stable.astype(float), "periods": self.periods,
            "shares": self.shares, "agreement": self.agreement, "num_spice": self.num_spice, "status": str(self.status),
        }  # fmt: skip

    def _title(self) -> str:
        return (
            f"{self.num} samples by {self.method}, tolerance {100 * self.tolerance:g} %, {self.num_survived} survived"
        )

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        q = np.quantile(self.errors, [0.5, 0.95, 1.0])
        rows = [
            ["error of the orbit, median", f"{q[0]:.3g} of the range"],
            ["95 %", f"{q[1]:.3g}"],
            ["largest", f"{q[2]:.3g}"],
            ["survived the check", f"{self.num_survived} of {self.num}"],
        ]
        if self.fixed_points.shape[1]:
            kept = np.isfinite(self.fixed_points).all(axis=2)
            rows.append(["fixed points kept", f"{100 * kept.mean():.1f} %, stable {100 * self.stable.mean():.1f} %"])
        if np.isfinite(self.periods).any():
            p = self.periods[np.isfinite(self.periods)]
            rows.append(["period", f"{p.mean():.6g} +- {p.std():.2g}"])
        rows += [
            [f"due to {name}", f"{100 * share:.0f} % of the variance"] for name, share in [*self.shares.items()][:3]
        ]
        if self.num_spice:
            rows.append(["SPICE agrees", f"{100 * self.agreement:.0f} % of {self.num_spice}"])
        return ["", "value"], rows


def monte_carlo(
    circuit: Any,
    num: int,
    *,
    tolerance: float = 0.01,
    offset: float = 0.0,
    seed: int | None = 0,
    z0: Any = None,
    times: Any = None,
    inputs: Any = None,
    points: Any = None,
    method: str = "network",
    check: Callable[[Array], bool] | None = None,
    num_spice: int = 0,
    backend: str | None = None,
) -> MonteCarlo:
    """Circuits whose components deviate, each uniformly within its tolerance.

    Args:
        circuit: the circuit whose method this is.
        num: samples >= 1. tolerance: of values, relative, < 1. offset: of op-amps and transistor pairs, volts.
        seed: of the deviations.
        z0, times, inputs: the orbit that is compared, as for `simulate`; None: from a random state, over 20 time constants or 100 steps.
        points: `(k, n)` fixed points of the model, to be followed into each sample.
        method: "network" (the samples' own equations, all at once) or "spice" (a simulator for each).
        check: function of a sample's states `(T, n)` that says whether it still works; None: all do.
        num_spice: with "network", so many samples are simulated by SPICE too and compared.
        backend: which SPICE; None: ngspice, else neospice.

    Returns:
        MonteCarlo: errors, survival, fixed points, periods, and which component matters most.

    Raises:
        ValueError, ShapeError: arguments. SimulatorError: no SPICE where one is needed.
    """
    num, num_spice = whole("num", num, 1), whole("num_spice", num_spice, 0)
    tolerance, offset, seed = amount("tolerance", tolerance), amount("offset", offset), seed_of(seed)
    if not tolerance < 1.0:
        raise ValueError(f"`tolerance` is {tolerance!r}; it must be below 1, e.g. 0.01 for 1 %.")
    if method not in ("network", "spice"):
        raise ValueError(f'`method` is {method!r}; it must be "network" (the samples\' own equations) or "spice".')
    run = run_to_compare(circuit, z0, times, inputs)
    spread = spread_of(circuit.elements)
    rows = spread.draw(num, tolerance, offset, seed)
    forms = SampledForms(circuit.elements, spread)
    networks = _stacked([forms.form(row) for row in rows])
    known = {**{k: v[None] for k, v in _arrays(circuit.form).items()}}
    nominal = _orbits(known, circuit.form, run)[:, 0]
    spice = _Spice(circuit, spread, rows, run, backend)
    states = _orbits(networks, circuit.form, run) if method == "network" else spice.states(num)
    size = max(float(np.ptp(nominal, axis=0).max()), float(np.abs(nominal).max()), 1e-300)
    verdict = np.array([_verdict(check, states[:, k]) for k in range(num)])
    subsample = spice.states(min(num_spice, num)) if method == "network" and num_spice else states[:, :0]
    same = [_agree(states[:, k], subsample[:, k], verdict[k], check, size) for k in range(subsample.shape[1])]
    at, stable = _fixed_points(networks, circuit.form, points, run)
    return MonteCarlo(
        tolerance, offset, method, np.abs(states - nominal[:, None]).max(axis=(0, 2)) / size, verdict, at, stable, _periods(states, run.times),
        _shares(spread.names, rows, (states - nominal[:, None]).mean(axis=0)), float(np.mean(same)) if same else float("nan"), len(same), states,
        run.times,
    )  # fmt: skip


def _arrays(form: NetworkForm) -> dict[str, Array]:
    return {name: getattr(form, name) for name in ("A", "W1", "W2", "h1", "h2", "C1", "C2")}


def _stacked(forms: list[NetworkForm]) -> dict[str, Array]:
    parts = [_arrays(f) for f in forms]
    return {name: np.stack([p[name] for p in parts]) for name in parts[0]}


def _right(p: dict[str, Array], f: Callable[[Array], Array], z: Array, s: Array) -> Array:
    """F of each sample at its state `(num, n)`."""
    a = np.einsum("kqn,kn->kq", p["W2"], z) + p["C2"] @ s + p["h2"]
    return np.einsum("kij,kj->ki", p["A"], z) + np.einsum("kiq,kq->ki", p["W1"], f(a)) + p["C1"] @ s + p["h1"]


def _orbits(p: dict[str, Array], form: NetworkForm, run: Run) -> Array:
    """Orbits `(T, num, n)` of all samples, together."""
    f, num = NAMED_FUNCTIONS[form.activation], len(p["A"])
    z = np.repeat(run.z0, num, axis=0)
    found = np.empty((len(run.times), *z.shape))
    none = np.zeros(form.num_inputs)
    if isinstance(form.time, Discrete):
        steps = np.round((run.times - run.times[0]) / form.time.dt).astype(int)
        kept = 0
        for k in range(steps[-1] + 1):
            while kept < len(steps) and steps[kept] == k:
                found[kept], kept = z, kept + 1
            z = _right(p, f, z, run.inputs(float(run.times[0] + k * form.time.dt)) if len(none) else none)
        return found
    found[0] = z
    edges = np.unique(
        [run.times[0], run.times[-1], *(t for t in run.inputs.times if len(none) and run.times[0] < t < run.times[-1])]
    )
    for a, b in pairwise(edges.tolist()):
        held = run.inputs.hold == "zero"
        level = run.inputs(0.5 * (a + b)) if len(none) else none

        def rate(t: float, x: Array, held: bool = held, level: Array = level) -> Array:
            return _right(p, f, x.reshape(num, -1), level if held or not len(none) else run.inputs(t)).ravel()

        inside = np.flatnonzero((run.times > a) & (run.times <= b))
        wanted = np.unique(np.append(run.times[inside], b))
        done = solve_ivp(rate, (a, b), z.ravel(), t_eval=wanted, rtol=TOLERANCE, atol=TOLERANCE)
        values = done.y.T.reshape(-1, *z.shape)
        found[inside] = values[np.searchsorted(wanted, run.times[inside])]
        z = values[-1]
    return found


class _Spice:
    """Samples by SPICE."""

    def __init__(self, circuit: Any, spread: Any, rows: Array, run: Run, backend: str | None) -> None:
        self.circuit, self.spread, self.rows, self.run, self.backend = circuit, spread, rows, run, backend

    def states(self, num: int) -> Array:
        """Orbits `(T, num, n)` of the first samples.

        Raises:
            SimulatorError: none is installed.
        """
        name = chosen(self.backend, 1)
        if name == "kirchhoff":
            raise SimulatorError(
                "SPICE samples need ngspice (apt-get install ngspice) or neospice (pip install neospice)."
            )
        found = []
        with progress("samples by SPICE", num) as advance:
            for row in self.rows[:num]:
                netlist = sampled_netlist(self.circuit.elements, self.spread, row)
                found.append(BACKENDS[name].solve(replace(self.circuit, elements=netlist), self.run)[:, 0])
                advance(1)
        return np.stack(found, axis=1)


def _verdict(check: Callable[[Array], bool] | None, states: Array) -> bool:
    return True if check is None else bool(check(states))


def _agree(network: Array, spice: Array, verdict: bool, check: Any, size: float) -> bool:
    """The same verdict, and without a check orbits within 5 % of the range."""
    if check is not None:
        return _verdict(check, spice) == verdict
    return float(np.abs(network - spice).max()) <= CLOSE * size


def _fixed_points(p: dict[str, Array], form: NetworkForm, points: Any, run: Run) -> tuple[Array, Array]:
    """Where given points `(k, n)` go in each sample, by Newton's method, and whether they are stable."""
    num, n = len(p["A"]), form.num_states
    start = np.zeros((0, n)) if points is None else np.atleast_2d(real_array("points", points))
    if start.shape[1] != n:
        raise ShapeError(f"`points` has shape {start.shape}; it must be (k, {n}), fixed points of the model.")
    f, discrete = NAMED_FUNCTIONS[form.activation], isinstance(form.time, Discrete)
    found, stable = np.full((num, len(start), n), np.nan), np.zeros((num, len(start)), dtype=bool)
    s = run.inputs(float(run.times[-1])) if form.num_inputs else np.zeros(0)
    for k, point in enumerate(start):
        z = np.tile(point, (num, 1))
        for _ in range(30):
            F, J = _right(p, f, z, s) - (z if discrete else 0.0), _slopes(p, f, z, s) - (np.eye(n) if discrete else 0.0)
            z = z - np.linalg.solve(J + 1e-14 * np.eye(n), F[..., None])[..., 0]
        scale = 1.0 + np.abs(point).max()
        rest = np.abs(_right(p, f, z, s) - (z if discrete else 0.0)).max(axis=1)
        kept = (rest <= 1e-7 * scale * np.abs(p["A"]).max(axis=(1, 2)).clip(1.0)) & (
            np.abs(z - point).max(axis=1) <= 0.5 * scale
        )
        w = np.linalg.eigvals(_slopes(p, f, z, s))
        found[kept, k] = z[kept]
        stable[:, k] = kept & ((np.abs(w) < 1).all(axis=1) if discrete else (w.real < 0).all(axis=1))
    return found, stable


def _slopes(p: dict[str, Array], f: Callable[[Array], Array], z: Array, s: Array) -> Array:
    a = np.einsum("kqn,kn->kq", p["W2"], z) + p["C2"] @ s + p["h2"]
    h = 1e-6 * (1.0 + np.abs(a))
    slope = (f(a + h) - f(a - h)) / (2 * h)
    return p["A"] + np.einsum("kiq,kq,kqn->kin", p["W1"], slope, p["W2"])


def _periods(states: Array, times: Array) -> Array:
    """The mean time between upward crossings of the mean, of the state that varies most in the second half; NaN below three."""
    half = states[len(states) // 2 :]
    t = times[len(states) // 2 :]
    found = np.full(states.shape[1], np.nan)
    for k in range(states.shape[1]):
        x = half[:, k, int(np.argmax(half[:, k].std(axis=0)))]
        x = x - x.mean()
        up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
        if len(up) >= 3 and np.ptp(x) > 1e-3 * (1.0 + np.abs(half).max()):
            at = t[up] - x[up] * (t[up + 1] - t[up]) / (x[up + 1] - x[up])
            found[k] = float(np.diff(at).mean())
    return found


def _shares(names: list[str], rows: Array, deviations: Array) -> dict[str, float]:
    """First-order shares of the variance of the mean deviation `(num, n)`, largest first; those that chance alone may give are left out.

    Of P components without influence the largest share among num samples is about 2 ln(P) / num.
    """
    if len(rows) < 3 or not np.isfinite(deviations).all():
        return {}
    x, y = rows - rows.mean(axis=0), deviations - deviations.mean(axis=0)
    total, spread = (y**2).sum(), (x**2).sum(axis=0)
    if total == 0.0:
        return {}
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(spread > 0, ((x.T @ y) ** 2).sum(axis=1) / spread, 0.0) / total
    order = np.argsort(-share)[:20]
    chance = 2.0 * np.log(len(names)) / len(rows)
    return {names[k]: float(share[k]) for k in order if share[k] > chance}
