"""The stages of a fit: a linear field, then units placed and moved in rounds, until the tolerance is met on states that were not fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.patience import Patience
from retime.core.progress import progress
from retime.core.system import System
from retime.learn.autonomous.field import Field
from retime.learn.autonomous.planes import chosen_planes
from retime.learn.autonomous.projection import Steps, levenberg_marquardt, solve_outer
from retime.learn.autonomous.ramps import Crossings, with_ramps
from retime.learn.autonomous.samples import Kind, Sample, Units, Windows
from retime.learn.autonomous.shooting import shoot, timed

ROUNDS = (10, 20, 40, 70, 100, 130, 190, 270, 400)  # units, where nobody says how many
SMOOTH = 40  # units; more of them are better spent on ramps where the map bends
BRIEF, LONG = 15, 60  # Gauss-Newton steps of a round on the way, and of the last one
DRAWS = 5  # of the first planes, to which later rounds add: the best of several is much better than one
SOME = 1000  # states for them
CLOSE = 1.4  # times the tolerance: a round that comes as close goes on before units are added
BALANCES, BALANCE = 10, 4  # rounds with weights that grow with the errors, and their Gauss-Newton steps
SHOTS = 6  # Gauss-Newton steps on several steps at once
WORSE = 1.02  # times the error of a step that several steps at once may cost; else they are only timed
ENOUGH = 1e-3  # share of the cost that a step must gain, or the next one, for the round to go on


@dataclass(frozen=True)
class Errors:
    """Errors of one step, relative to the usual length of a step on the orbits: root of the mean square, and largest."""

    rms: float
    largest: float


@dataclass(eq=False)
class Search:
    """What is known on the way: the field, and its errors after every round.

    Attributes:
        model: the map. units: of the fit. fitted, checked: states that are fitted, and others by which rounds are judged. windows: of the
            map's orbits, for several steps at once.
    """

    model: System
    units: Units
    fitted: Sample
    checked: Sample
    windows: Windows
    rng: Any
    patience: Patience
    rounds: list[dict[str, float]] = field(default_factory=list)

    def run(self, counts: tuple[int, ...], tolerance: float, grows: bool) -> Field:
        """The field of the last round, or of the first one that meets the tolerance where it `grows`."""
        steps = self.fitted.steps(self.units)
        now = self._linear(steps)
        best, rms = now, self._judge(now).rms
        total = (DRAWS - 1 + len(counts)) * BRIEF + LONG + BALANCES * BALANCE + SHOTS
        with self.patience, progress("fitting a field", total) as advance:

            def seen(found: Field) -> None:
                nonlocal best
                best = found
                advance(1, f"{best.sizes[2]} units, error {100.0 * rms:.2g} % of a step")

            for count in counts:
                is_first = count == counts[0]
                now = self._drawn(now, steps, count, tolerance, seen) if is_first else self._enlarged(now, steps, count)
                seen(now)
                rms = self._rms(now)
                for most in (BRIEF, LONG):
                    found = levenberg_marquardt(now, steps, self.patience, most=most, enough=ENOUGH, seen=seen)
                    if (reached := self._judge(found).rms) <= rms:  # else it only learned the states that are fitted
                        now, rms = found, reached
                    is_met, is_close = grows and rms <= tolerance, grows and rms <= CLOSE * tolerance
                    if is_met or (count < counts[-1] and not is_close):
                        break
                if not is_met and (is_close or count == counts[-1]):
                    now, rms = self._balanced(now, steps, seen)
                    is_met = grows and rms <= tolerance
                if is_met:
                    break
            found = shoot(now, steps, self.windows, self.patience, most=SHOTS, enough=ENOUGH, seen=lambda _: advance(1))
            best = timed(found if self._judge(found).rms <= WORSE * rms else now, self.windows)
            self._judge(best)
        return best

    def _linear(self, steps: Steps) -> Field:
        """The linear field whose flow fits best."""
        L = np.linalg.lstsq(steps.x, steps.moved, rcond=None)[0].T
        return solve_outer(Field.linear(L), steps, 3)

    def _drawn(self, now: Field, steps: Steps, count: int, tolerance: float, seen: Callable[[Field], None]) -> Field:
        """With its first units: the best of several draws of them, or the first that meets the tolerance."""
        some, found = steps.of(np.unique(np.linspace(0, len(steps.x) - 1, SOME).astype(int))), []
        for _ in range(DRAWS):
            drawn = self._enlarged(now, some, count)
            drawn = levenberg_marquardt(drawn, some, self.patience, most=BRIEF, enough=ENOUGH, seen=seen)
            found.append((self._rms(drawn), drawn))
            if found[-1][0] <= tolerance:
                break
        return solve_outer(min(found, key=lambda pair: pair[0])[1], steps)

    def _balanced(self, now: Field, steps: Steps, seen: Callable[[Field], None]) -> tuple[Field, float]:
        """Weights that grow with the errors e, w <- sqrt(w (1 + e^2 / mean e^2)) on the orbits and beside them alike, which lowers the largest
        errors; the field that is best on the states that were not fitted, by the product of rms and largest error, and its rms.

        Where the rounds end, squares so weighted are about fourth powers; the root keeps them from swinging.
        """
        best, least, weights = now, self._judge(now), steps.weights.copy()
        kinds = [self.fitted.kinds == kind for kind in (Kind.OWN, Kind.BESIDE)]
        for _ in range(BALANCES):
            square = ((now.after(steps.x) - steps.ends) ** 2).sum(axis=1)
            for at in kinds:
                given, mean = steps.weights[at], square[at].mean() if at.any() else 0.0
                if mean > 0.0:
                    weights[at] = np.sqrt(weights[at] * given * (1.0 + square[at] / mean))
                    weights[at] *= given.sum() / weights[at].sum()
            weighted = Steps(steps.x, steps.ends, weights)
            now = levenberg_marquardt(now, weighted, self.patience, most=BALANCE, enough=ENOUGH, seen=seen)
            found = errors_of(now, self.units, self.checked, self.checked.own)
            if found.rms * found.largest < least.rms * least.largest:
                best, least = now, found
        return best, least.rms

    def _enlarged(self, now: Field, steps: Steps, count: int) -> Field:
        """With as many units, the new ones where they explain most."""
        if now.sizes[2] >= SMOOTH:
            now = with_ramps(self.crossings, now, self.own, count)
        if now.sizes[2] < count:
            now = now.with_planes(chosen_planes(self.model, self.units, now, steps, count - now.sizes[2], self.rng))
        return solve_outer(now, steps)

    @cached_property
    def own(self) -> Steps:
        """Of the map's own orbits alone."""
        return self.fitted.steps(self.units).of(self.fitted.own)

    @cached_property
    def crossings(self) -> Crossings:
        """Where those orbits cross boundaries of the map."""
        return Crossings.of(self.model, self.units, self.own)

    def _rms(self, now: Field) -> float:
        return errors_of(now, self.units, self.checked, self.checked.own).rms

    def _judge(self, now: Field) -> Errors:
        found = errors_of(now, self.units, self.checked, self.checked.own)
        self.rounds.append({"num_relu": now.sizes[2], "rms": found.rms, "largest": found.largest})
        return found


def errors_of(now: Field, units: Units, sample: Sample, chosen: Array) -> Errors:
    """Errors of one step on some states of a sample."""
    x = units.rows(sample.z[chosen], sample.s[chosen])
    off = (
        np.linalg.norm(now.after(x, substeps=32) - units.states(sample.ends[chosen]), axis=1)
        * units.scale
        / sample.step
    )
    return Errors(float(np.sqrt((off**2).mean())), float(off.max())) if len(off) else Errors(float("nan"), float("nan"))
