"""Many runs of one function on Dask, one folder of results."""

import sys
from types import ModuleType
from typing import Any

from retime.sweep.cases import grid
from retime.sweep.result import Results, Sweep, read_sweep
from retime.sweep.run import sweep


class _Package(ModuleType):
    """`retime.sweep` is the verb; where this package is imported before the verb is used, Python puts the package in its place."""

    def __call__(self, *args: Any, **options: Any) -> Sweep:
        return sweep(*args, **options)


sys.modules[__name__].__class__ = _Package
