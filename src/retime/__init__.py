"""retime: move recurrent networks between discrete and continuous time, with a certificate on every move."""

from importlib import import_module as _import_module
from typing import Any as _Any

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in `__init__.pyi`


def __reduce_ex__(protocol: _Any) -> tuple[_Any, tuple[str]]:
    """In pickles (of functions of a notebook that use it) this module is its name; lazy_loader makes it no plain module, whose class says so."""
    return _import_module, (__name__,)
