"""model -> results about its dynamics and about differences between models."""

from retime.analysis.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
