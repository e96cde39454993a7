"""retime: move recurrent networks between discrete and continuous time, with a certificate on every move."""

import sys
from types import ModuleType

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in `__init__.pyi`


class _Package(ModuleType):
    """A package in which the module `retime.report`, once imported, does not hide the verb `retime.report`."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "report" and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
