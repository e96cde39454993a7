"""Compiled loops: one decorator for every kernel, with a cache on disk that is an advantage and never a condition.

Numba keeps compiled code beside the source file, or else under the user's cache folder. Where neither can be written (a container
without a home, a package installed by root) or the disk is full, kernels are compiled anew in each process, which one line on the
logger "retime" says; what is damaged is replaced. The environment variable NUMBA_CACHE_DIR names another folder.
"""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from numba import njit
from numba._dynfunc import make_function
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.event import Event, Listener, register
from numba.core.types import unliteral

from retime.core.clock import CLOCK
from retime.core.notice import notify

_SAID: list[str] = []  # one line a process, whatever else fails


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, at its first call, for arrays and numbers: no fast mathematics, the interpreter's lock released."""
    dispatcher = _compiled(function, _KernelCompiler)
    try:
        dispatcher._cache = _KernelCache(function)
    except (OSError, RuntimeError) as error:  # no folder can be written; RuntimeError is Numba's
        _say_once(error)
    return dispatcher


def subroutine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call, and Python does not, as `kernel` does.

    It is optimized and made machine code within those kernels, once each, and has neither an entry nor a cache of its own:
    compiled on its own as well, and within each subroutine that calls it, all of them take twice as long.
    """
    return _compiled(function, _SubroutineCompiler, no_cpython_wrapper=True)


def _compiled(function: Callable[..., Any], compiler: Any, **options: Any) -> Any:
    options |= {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "pipeline_class": compiler}
    dispatcher: Any = njit(**options)(function)
    dispatcher.get_call_template = partial(_typed_by_kind, type(dispatcher).get_call_template, dispatcher)
    return dispatcher


def _typed_by_kind(template: Any, dispatcher: Any, args: Any, options: Any) -> Any:
    """Types of a call between kernels: a constant is an int or a bool as any other; a program of its own for each takes twice as long."""
    return template(dispatcher, [unliteral(a) for a in args], {k: unliteral(v) for k, v in options.items()})


class _Compilation(Listener):
    """Limits of time do not count what Numba takes to compile a kernel or to load a compiled one.

    Python collects no garbage meanwhile: the compiler makes millions of objects that stay, and looking through them takes a tenth of it.
    """

    def __init__(self) -> None:
        self._running, self._collects, self._lock = 0, False, threading.Lock()

    def on_start(self, event: Event) -> None:
        CLOCK.begin_compiling()
        with self._lock:
            if self._running == 0 and gc.isenabled():
                gc.disable()
                self._collects = True
            self._running += 1

    def on_end(self, event: Event) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0 and self._collects:
                gc.enable()
                self._collects = False
        CLOCK.end_compiling()


register("numba:compile", _Compilation())


class _KernelCompiler(CompilerBase):
    """Numba's own passes; the parts of a kernel get the environments that only they know."""

    def define_pipelines(self) -> list[Any]:
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]

    def _compile_core(self) -> Any:
        result = super()._compile_core()
        for environment in result._find_referenced_environments():
            result.codegen.set_env(environment.env_name, environment)
        return result


class _SubroutineCompiler(CompilerBase):
    """Numba's own passes up to code that can be linked: machine code is made of the whole kernel only."""

    def define_pipelines(self) -> list[Any]:
        self.state.flags.no_compile = True
        self.state.library = _Subroutine(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]

    def _compile_core(self) -> Any:
        result = super()._compile_core()
        code, library = result.fndesc, result.library
        name = make_function(
            code.lookup_module(), code.qualname, "", 0, result.environment, (library,)
        )  # what kernels know it by
        result.target_context.insert_user_function(name, code, [library])
        return result._replace(entry_point=name)


class _Subroutine(JITCodeLibrary):
    """Code of a kernel's part: with what it calls linked in, and neither optimized as a whole nor made machine code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


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
        if b"@kernel" in source or b"@subroutine" in source:
            digest.update(source)
    return digest.hexdigest()


def _say_once(error: Exception) -> None:
    if _SAID:
        return
    _SAID.append(str(error))
    why = " ".join(str(error).split())[:200]
    notify(
        f"Compiled code cannot be kept ({why}): it is compiled anew in each process, 10 to 30 seconds each time. "
        "Set NUMBA_CACHE_DIR to a folder that can be written."
    )
