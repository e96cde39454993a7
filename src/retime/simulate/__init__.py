"""model -> Trajectory: iterated maps, clock-held flows, event-driven flows."""

from retime.simulate.verb import simulate

__all__ = ["simulate"]
