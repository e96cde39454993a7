"""`to_continuous`: a map in, its flow and certificate out."""
from retime.convert.matrix_log import MatrixLog
from retime.models import PiecewiseAffineFlow, LinearSystem
def to_continuous(model, *, method=None, throw=True):
    from retime.core.conversion import Conversion
    return Conversion(PiecewiseAffineFlow(model, MatrixLog(), throw), None)
