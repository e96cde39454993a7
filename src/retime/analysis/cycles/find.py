"""`find_cycles`: k-cycles of maps, of piecewise-affine ones proven complete for small k; limit cycles of flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.cycles.hunt import GIVEN, Hunt
from retime.analysis.cycles.limit_cycles import SwitchedSearch
from retime.analysis.cycles.method import Shooting
from retime.analysis.cycles.result import Cycles
from retime.analysis.cycles.smooth_flows import SmoothSearch
from retime.analysis.fixed_points.find import real_starts
from retime.analysis.fixed_points.method import Multistart
from retime.analysis.view import affine_view, constant_input
from retime.core.arguments import amount, is_number, seconds, seed_of, switching_of, system, whole
from retime.core.arrays import positive
from retime.core.method import method_of
from retime.core.patience import Patience
from retime.core.quiet import one_blas_thread
from retime.core.searched import Searched
from retime.core.system import System
from retime.simulation.motion import motion_of
from retime.simulation.passage import derived


def find_cycles(
    model: System,
    max_period: float,
    *,
    inputs: Any = None,
    time_limit: float | None = 60.0,
    node_limit: float = 200_000,
    starts: Any = None,
    num_starts: int = 1024,
    seed: int | None = 0,
    switching: str | None = None,
    multistart: Multistart | None = None,
    shooting: Shooting | None = None,
) -> Cycles:
    """Find the cycles of a map up to a period, or the limit cycles of a flow, under a constant input.

    Maps, and converted flows with a sample clock (whose cycles are those of the map, with period k dt): for k = 1, 2, ... the cycles of k
    steps (k = 1: fixed points), each once, not once per phase, and not as a multiple of a shorter one. Of piecewise-affine ones, as
    long as it is cheap, all are found by branch and bound over the k q signs (`complete_up_to`). Beyond, virtual cycles: the cycle of a
    sequence of regions is solved for, and the search goes on in the regions it really visits, from many starts, from neighboring
    sequences of the cycles found, and from doubled ones. Smooth maps: Newton's method on all k points at once, from pieces of orbits that
    nearly return, other pieces, random states and doubled cycles; stable and unstable ones, nothing proven.

    Flows whose region follows the state (continuous piecewise-affine networks; converted flows with `switching="state"`) and smooth flows:
    orbits are simulated from several states, and where one returns, Newton steps with the exact derivative of the return close it,
    stretches of sliding included. Of smooth flows some orbits are followed backwards, too, which end on cycles that repel everything.

    Args:
        model: a map, a converted flow, or a system in continuous time.
        max_period: largest period: steps of a map, model time of a flow.
        inputs: `(m,)`, held for ever; None for zero.
        time_limit: seconds of work, None for no limit. node_limit: nodes of the search for proofs, per period.
        starts: `(k, n)` states to start from besides the search's own, a Trajectory (states of it), or points of results.
        num_starts: of maps: starts per period that must pass without a new cycle before the next period. seed: of the random numbers.
        switching: for converted flows: "clock" (default) or "state".
        multistart: of smooth maps: the thresholds of the search; None for those of `Multistart()`.
        shooting: of flows: the thresholds of the search, `Shooting(starts=100)` say; None for those of `Shooting()`.

    Returns:
        Cycles, a sequence of `Cycle`.

    Raises:
        TypeError: not a model, or one whose steps are no network's. ValueError: max_period < 1 step, or a negative budget. ShapeError:
        inputs of the wrong size.

    Cost: of a smooth map, per start some ten solutions of k n equations; of a smooth flow, per start 23 longest periods of an orbit, and per
    cycle some ten periods of n + 1 of them.
    Backend: NumPy float64 and Numba, all cores; JAX in 64 bits and Diffrax for smooth systems. Source: eisenmann2023; viswanath2003;
    docs/theory/analysis.md.

    Examples:
        >>> import retime as rt
        >>> tent = rt.PLRNN([1.999], [[-3.998]], [0.999])  # a tent map
        >>> cycles = rt.find_cycles(tent, 4)
        >>> cycles.counts, cycles.complete_up_to
        ({1: 2, 2: 1, 3: 2, 4: 3}, 4)
    """
    model, seed, time_limit = system("find_cycles", model), seed_of(seed), seconds(time_limit)
    node_limit, num_starts = amount("node_limit", node_limit), whole("num_starts", num_starts, 1)
    switching = switching_of(model, switching)
    s = constant_input(model, inputs)
    motion, view = motion_of(model, switching), affine_view(model)
    flow, searched = derived(motion, s), Searched(model, s)
    z = real_starts(starts, model.num_states, GIVEN[flow is not None])
    rng, patience = np.random.default_rng(seed), Patience.lasting(time_limit)
    rule, closing = method_of("multistart", multistart, Multistart), method_of("shooting", shooting, Shooting)
    kind = "flow" if flow is not None else "smooth map" if view is None else "piecewise-affine map"
    for name, value, of in (("multistart", multistart, "smooth map"), ("shooting", shooting, "flow")):
        if value is not None and of != kind:
            cure = ', or give switching="state"' if of == "flow" and motion.has_choice else ""
            text = f"`{name}` is {value!r}, for a {of}; {type(model).__name__} is searched as a {kind}. Leave it out{cure}."
            raise ValueError(text)
    if flow is not None:
        longest = positive("max_period", max_period, "model time")
        search = SmoothSearch if motion.is_solved else SwitchedSearch
        return search(flow, longest, patience, closing).run(z, rng).of(searched)
    if view is not None and not view.is_iterated:
        raise TypeError(
            f"`model` is a {type(model).__name__} that holds regions for another step than the map they come from: its steps are affine in each "
            "region, but no ReLU network. Search the cycles of the map it was made from, or see find_basins for those it ends on."
        )
    largest = _steps(max_period, 1 if view is None else view.unit)
    with one_blas_thread():
        if view is None:
            from retime.analysis.cycles.smooth_maps import SmoothMapSearch

            found = SmoothMapSearch(model, s, z, rng, patience, num_starts, seed, rule).run(largest)
        else:
            found = Hunt(view, s, rng, patience, time_limit, num_starts, z).run(largest, node_limit)
        return found.of(searched)


def _steps(max_period: Any, unit: float) -> int:
    """The largest period in steps of the map: given as a number of them (`unit` is 1), or in model time."""
    counts = isinstance(unit, int)
    largest = max_period * (1.0 if counts else (1 + 1e-9) / unit) if is_number(max_period) else float("nan")
    if not 1 <= largest < float("inf") or (counts and largest != int(largest)):
        raise ValueError(
            f"`max_period` is {max_period!r}; it must be at least one step of {float(unit)}, a whole number of steps for maps."
        )
    return int(largest)
