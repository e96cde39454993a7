"""retime: move recurrent networks between discrete and continuous time, with a certificate on every move."""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the names are in `__init__.pyi`
