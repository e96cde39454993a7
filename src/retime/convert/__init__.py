"""model -> Conversion: to_continuous and its methods."""

from retime.convert.matrix_log import MatrixLog
from retime.convert.to_continuous import to_continuous

__all__ = ["MatrixLog", "to_continuous"]
