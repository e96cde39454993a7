"""Outcomes as string enumerations: `status == "raised"` works."""

from __future__ import annotations

from enum import StrEnum


class RegionStatus(StrEnum):
    """What stood in the way of a region's ODE, mildest first; where several apply, the last one names the region.

    principal: the principal matrix logarithm, real, same dimension.
    real: a real logarithm that is not principal (negative eigenvalues in equal pairs), same dimension.
    raised: unpaired negative eigenvalues; one auxiliary state each, zero at every sample time.
    regularized: a semisimple zero eigenvalue, replaced by 2^-53.
    time_varying: a nilpotent part of index > 1; no autonomous linear ODE reaches it, that part is interpolated.
    """

    PRINCIPAL = "principal"
    REAL = "real"
    RAISED = "raised"
    REGULARIZED = "regularized"
    TIME_VARYING = "time_varying"

    @property
    def severity(self) -> int:
        """Position in the table, 0 (principal) to 4 (time_varying)."""
        return list(RegionStatus).index(self)


class TrajectoryStatus(StrEnum):
    """How a simulation ended.

    completed: every requested time was reached.
    nonunique: completed, but at `status_time` more than one continuation was consistent (both fields leave the
        boundary); the one named in `message` was followed.
    diverged: a state exceeded 1e150 at `status_time`; later rows are NaN.
    sliding_undefined: at `status_time` Filippov's solution is not defined (several boundaries attract at once);
        later rows are NaN.
    no_flow: at `status_time` a region without an autonomous field was entered (`time_varying`); later rows are NaN.
    not_converged: the equation of an implicit step was not solved at `status_time`; later rows are NaN.
    steps_exceeded: the solver of a smooth flow needed too many steps; later rows are NaN.
    switches_accumulate: more than the allowed number of switches before the next sample; later rows are NaN.
    """

    COMPLETED = "completed"
    NONUNIQUE = "nonunique"
    DIVERGED = "diverged"
    SLIDING_UNDEFINED = "sliding_undefined"
    NO_FLOW = "no_flow"
    NOT_CONVERGED = "not_converged"
    STEPS_EXCEEDED = "steps_exceeded"
    SWITCHES_ACCUMULATE = "switches_accumulate"


class SearchStatus(StrEnum):
    """How a search or a long measurement ended; in each case what was found up to then is returned.

    complete: it is proven that nothing was missed.
    heuristic: the search ended as planned, without a proof that nothing was missed.
    diverged: every orbit that was to be followed left for infinity, or stopped, before anything could be measured.
    node_limit: the budget of nodes (or starts) ended first.
    time_limit: the budget of time ended first.
    interrupted: Ctrl-C.
    """

    COMPLETE = "complete"
    HEURISTIC = "heuristic"
    DIVERGED = "diverged"
    NODE_LIMIT = "node_limit"
    TIME_LIMIT = "time_limit"
    INTERRUPTED = "interrupted"


class TrainingStatus(StrEnum):
    """How a training ended; in each case the best network so far is returned.

    completed: all updates were made.
    stopped_early: the held-out trials had not become better for `patience` checks.
    diverged: the loss became infinite or no number; the network is the last good one.
    time_limit: the budget of time ended first.
    interrupted: Ctrl-C.
    """

    COMPLETED = "completed"
    STOPPED_EARLY = "stopped_early"
    DIVERGED = "diverged"
    TIME_LIMIT = "time_limit"
    INTERRUPTED = "interrupted"
