"""Compiled loops: one decorator for every kernel, with a cache on disk that is an advantage and never a condition.

Numba keeps compiled code beside the source file, or else under the user's cache folder. Where neither can be written (a container
without a home, a package installed by root) or the disk is full, kernels are compiled anew in each process, which one line on the
logger "retime" says; what is damaged is replaced. The environment variable NUMBA_CACHE_DIR names another folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.types import unliteral

_log = logging.getLogger("retime")
_SAID: list[str] = []  # one line a process, whatever else fails


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, for arrays and numbers: no fast mathematics, the interpreter's lock released.

    One with a private name is called by other kernels only: without an entry for Python it compiles a third faster.
    """
    inner = function.__name__.startswith("_")
    options: dict[str, Any] = {"no_cpython_wrapper": inner, "no_cfunc_wrapper": inner}
    dispatcher: Any = njit(nogil=True, error_model="numpy", **options)(function)
    dispatcher.get_call_template = partial(_typed_by_kind, type(dispatcher).get_call_template, dispatcher)
    try:
        dispatcher._cache = _KernelCache(function)
    except (OSError, RuntimeError) as error:  # no folder can be written; RuntimeError is Numba's
        _say_once(error)
    return dispatcher


def _typed_by_kind(template: Any, dispatcher: Any, args: Any, options: Any) -> Any:
    """Types of a call between kernels: a constant is an int or a bool as any other; a program of its own for each takes twice as long."""
    return template(dispatcher, [unliteral(a) for a in args], {k: unliteral(v) for k, v in options.items()})


class _KernelCache(FunctionCache):
    """Numba's cache, which knows that kernels call each other across files, and that a disk may be full or damaged."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), _sources())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code, or None where there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file raises whatever its bytes spell; saving replaces it or says that it cannot
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code where that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say_once(error)
        except Exception:  # the index is damaged
            self._begin_anew(sig, data)

    def _begin_anew(self, sig: Any, data: Any) -> None:
        try:
            self.flush()
            super().save_overload(sig, data)
        except Exception as error:
            _say_once(error)


@cache
def _sources() -> str:
    """A digest of every file that may hold a kernel: code that calls a changed kernel is compiled anew."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        if b"@kernel" in source:
            digest.update(source)
    return digest.hexdigest()


def _say_once(error: Exception) -> None:
    if _SAID:
        return
    _SAID.append(str(error))
    _log.warning(
        "Compiled code cannot be kept (%s): it is compiled anew in each process, 10 to 30 seconds each time. "
        "Set NUMBA_CACHE_DIR to a folder that can be written.",
        " ".join(str(error).split())[:200],
    )
