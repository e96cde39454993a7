"""model -> Trajectory: iterated maps, clock-held flows, event-driven flows."""

from retime.simulation.trajectories import simulate

__all__ = ["simulate"]
