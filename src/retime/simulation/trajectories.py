"""`simulate`: a model and a horizon in, a Trajectory out."""

from __future__ import annotations

from typing import Any, Literal

from retime.core.arguments import switching_of, system
from retime.core.arrays import Array
from retime.core.status import TrajectoryStatus
from retime.core.system import System
from retime.core.trajectory import Trajectory
from retime.simulation.horizon import started
from retime.simulation.motion import motion_of
from retime.simulation.run import Runs


def simulate(
    model: System,
    z0: Any,
    *,
    steps: int | None = None,
    times: Any = None,
    inputs: Any = None,
    switching: Literal["clock", "state"] | None = None,
    tolerance: float | None = None,
    solver: Any = None,
) -> Trajectory:
    """Run a model from z0.

    A map takes `steps`. A flow takes `times`; z0 is the state at times[0]. A converted flow takes either (`steps` means
    the sample times k dt) and holds the region from sample to sample with `switching="clock"`, the default, which
    equals the map at the sample times; `switching="state"` reads the region from the current state, locates every
    switch, and slides along a boundary where both fields point at it (Filippov). The sample clock starts at times[0].

    Piecewise-affine systems are followed exactly (Numba kernels). Smooth maps run as one compiled loop (JAX), smooth flows through
    Diffrax with an error per step below `tolerance`; both are compiled at first use, again for another size.

    Args:
        model: any retime model.
        z0: `(n,)`, or a batch `(b, n)`; batches use all cores. A multistep method, or a system with auxiliary states, completes
            the state of the system it was made from.
        steps: number of steps >= 0.
        times: increasing `(T,)`, model time, irregular allowed.
        inputs: `(steps, m)`, row k acts from sample k to k + 1 (for a flow without a sample clock, `(T - 1, m)`: from
            times[k] to times[k + 1]); `(steps, b, m)` gives each member of a batch its own. `Inputs(times, values,
            hold)` for flows without a sample clock; for smooth flows also a function of time that returns `(m,)`. None:
            zero. The last row is held for outputs and patterns at the last time.
        switching: for converted flows only, see above.
        tolerance: for smooth flows only: relative and absolute error per step, 1e-9 by default; the orbit's error is larger.
        solver: for smooth flows only: a Diffrax solver, `Dopri8()` by default; for stiff systems `diffrax.Kvaerno5()`.

    Returns:
        Trajectory: always as long as the horizon; `status` says whether and when it stopped early.

    Raises:
        ShapeError: z0 or inputs of the wrong size.
        ValueError: a missing or superfluous horizon, times that do not increase, an unknown `switching`.
        CertificateError: a region without an autonomous flow, when the conversion was made with `throw=True`.
        TypeError: not a model. MemoryError: the states would not fit into memory.
        RetimeError: a smooth system in a process forked after JAX had started; docs/guides/choose.md, several processes.

    Cost: a piecewise-affine map O(steps (n + active units) n), its flow about 24 products with W per piece of length about
    2 / ||W|| (infinity norm, balanced).
    Backend: NumPy float64 and Numba; JAX in 64 bits and Diffrax for smooth systems. Source: kidger2022; docs/theory/flows.md.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.9, 0.8], [[0.0, -0.6], [0.7, 0.0]], [0.5, -0.3], time=rt.Discrete(0.1))
        >>> rt.simulate(model, [1.0, 0.5], steps=100).states.shape
        (101, 2)
        >>> rt.simulate(rt.to_continuous(model), [1.0, 0.5], times=[0.0, 0.05, 0.1]).states.shape
        (3, 2)
    """
    model = system("simulate", model)
    motion = motion_of(model, switching_of(model, switching))
    if (tolerance is not None or solver is not None) and not motion.is_solved:
        raise ValueError(
            f"`tolerance` and `solver` are for smooth flows; {type(model).__name__} needs none. Drop them."
        )
    z = started(model, z0, inputs)
    batch = z if z.ndim == 2 else z[None]
    times, runs, held = motion.follow(batch, steps, times, inputs, **motion.accuracy(tolerance, solver))
    return _trajectory(model, times, runs, held, z.ndim == 2, motion.accuracy(tolerance, solver).get("tolerance"))


def _trajectory(
    model: Any, times: Array, runs: Runs, held: Array, is_batch: bool, tolerance: float | None
) -> Trajectory:
    states, patterns = runs.states, runs.patterns
    outputs = model.outputs(states, held if held.shape[-1] else None)
    worst = max(range(len(runs.statuses)), key=lambda k: list(TrajectoryStatus).index(runs.statuses[k]))
    message = runs.messages[worst]
    if is_batch and message:
        message = f"initial state {worst}: {message}"
    if not is_batch:
        states, patterns = states[:, 0], patterns[:, 0]
        outputs = None if outputs is None else outputs[:, 0]
    return Trajectory(
        times,
        states,
        outputs,
        patterns,
        runs.switches,
        tuple(runs.sliding) if is_batch else runs.sliding[0],
        runs.statuses[worst],
        float(runs.status_times[worst]),
        message,
        tuple(runs.statuses),
        float("nan") if tolerance is None else tolerance,
    )
