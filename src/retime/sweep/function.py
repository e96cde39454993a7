"""The function of a sweep: its name, a digest of its code by which a changed one is noticed, and itself as bytes for other processes."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from types import CodeType
from typing import Any

from retime.sweep.cases import described


@dataclass(frozen=True)
class Identity:
    """What a folder remembers of the function.

    Attributes:
        name: module and name; of a script its file's name. code: digest of what it does (comments, docstring and layout do not count),
            and of what it was made with (a partial's arguments, values that a closure holds). python: whose digests compare.
    """

    name: str
    code: str
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"

    @classmethod
    def of(cls, function: Any) -> Identity:
        """That of a function, a partial, or an object that can be called.

        Raises:
            TypeError: it cannot be called.
        """
        if not callable(function):
            raise TypeError(
                f"`function` is {function!r}; it must be a function that takes the arguments of a case by name."
            )
        inner = _innermost(function)
        text = repr([*_parts(function)])
        return cls(_name(inner), hashlib.sha256(text.encode()).hexdigest()[:16])


def as_bytes(function: Any) -> bytes:
    """The function for another process: by its name where it is in a module, whole where it is of the running script or notebook.

    Raises:
        TypeError: it holds what cannot leave this process.
    """
    import cloudpickle

    try:
        return cloudpickle.dumps(function)
    except (TypeError, pickle.PicklingError, AttributeError) as error:
        raise TypeError(
            f"`function` ({Identity.of(function).name}) cannot be sent to other processes: {error}. It must not hold open files, locks or "
            "connections: make them inside the function, or run in this process with client=0."
        ) from error


def named(text: str, folder: Path) -> Any:
    """The function that a plan names: `module:name`, or `file.py:name` relative to the folder of the plan.

    Raises:
        ValueError: no such module, file or function.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(
            f"`function` is {text!r}; it must be a module or a file and a name: 'work.py:run' or 'retime:fit'."
        )
    if place.endswith(".py"):
        path = (folder / place).resolve()
        if not path.is_file():
            raise ValueError(f"`function` is {text!r}, but there is no file {path}; give a file relative to the plan.")
        if str(path.parent) not in sys.path:  # the processes of the cases look there too
            sys.path.insert(0, str(path.parent))
        place = path.stem
    try:
        return resolve_name(f"{place}:{name}")
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"`function` is {text!r}, which was not found ({error}); give a file beside the plan, or a module that can be imported."
        ) from error


def _innermost(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function)


def _name(function: Any) -> str:
    own = function if hasattr(function, "__qualname__") else type(function)
    module = own.__module__
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        module = Path(file).stem if file else module
    return f"{module}.{own.__qualname__}"


def _parts(function: Any) -> Iterator[Any]:
    if isinstance(function, partial):
        yield [_plainly(x) for x in function.args], {k: _plainly(v) for k, v in sorted(function.keywords.items())}
        yield from _parts(function.func)
        return
    function = inspect.unwrap(function)
    function = getattr(function, "py_func", function)  # of Numba
    if not hasattr(function, "__code__"):
        yield _plainly(function)
        function = type(function).__call__
    if hasattr(function, "__code__"):
        yield [*_code(function.__code__, function.__doc__)]
        yield _plainly(function.__defaults__), _plainly(function.__kwdefaults__)
        yield [_plainly(cell.cell_contents) for cell in function.__closure__ or ()]


def _plainly(value: Any) -> Any:
    try:
        return described(value)
    except TypeError as error:
        return str(error)  # its type


def _code(code: CodeType, doc: str | None = None) -> Iterator[Any]:
    yield code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars
    yield [[*_code(x)] if isinstance(x, CodeType) else repr(x) for x in code.co_consts if x is None or x != doc]
