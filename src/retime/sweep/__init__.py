"""Many runs of one function on Dask, one folder of results."""

from retime.sweep.analyses import WeightsFile, analyze_file, weights_in
from retime.sweep.cases import grid
from retime.sweep.plan import Plan, read_plan
from retime.sweep.result import Results, Sweep, read_sweep
from retime.sweep.run import sweep
