"""What may be said of a fitted flow: measured by the exact flow on states that were not fitted."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from retime.core.certificate import Certificate, Condition
from retime.core.errors import CertificateError
from retime.core.system import System
from retime.learn.autonomous.samples import Sample
from retime.learn.autonomous.stages import Errors, Search
from retime.simulation import simulate

SOURCE = "docs/theory/autonomous.md"


def refuse(model: System, name: str, why: str) -> NoReturn:
    """Say why there is no flow to be fitted.

    Raises:
        CertificateError: always.
    """
    claim = f"An autonomous flow that follows the {type(model).__name__} was not fitted. {why}"
    raise CertificateError(claim, Certificate(claim, "none", (Condition(name, False, float("nan"), why),), SOURCE))


def certify_flow(model: System, network: System, fresh: Sample, search: Search, method: Any) -> Certificate:
    """Errors of one step, on the orbits and beside them."""
    own, beside = (exact_errors(network, model.dt, fresh, chosen) for chosen in (fresh.is_own, ~fresh.is_own))
    conditions = (
        Condition.of(
            "one step follows the map on its orbits", method.tolerance - own.rms,
            f"tolerance {method.tolerance:.2g} minus the rms error {own.rms:.2e} of a step on fresh states (largest {own.largest:.2e})",
        ),
        Condition.of(
            "one step follows the map beside them", method.tolerance - beside.rms,
            f"rms {beside.rms:.2e}, largest {beside.largest:.2e}, {method.spread:g} standard deviations around", required=False,
        ),
    )  # fmt: skip
    claim = f"One autonomous network whose flow over dt = {model.dt:.6g} follows the map, not exactly."
    headline = f"Autonomous, not exact: one step is off by {100 * own.rms:.2g} % of a step (rms; largest {100 * own.largest:.2g} %)."
    return Certificate(claim, "the states fitted", conditions, SOURCE, headline)


def exact_errors(network: System, dt: float, fresh: Sample, chosen: Any) -> Errors:
    """Errors of the exact flow over one step on some states of a sample."""
    z, s, ends = fresh.z[chosen], fresh.s[chosen], fresh.ends[chosen]
    held = s[None] if s.shape[1] else None
    got = simulate(network, z, times=[0.0, dt], inputs=held).states[-1]
    off = np.linalg.norm(got - ends, axis=1) / fresh.step
    return Errors(float(np.sqrt((off**2).mean())), float(off.max()))
