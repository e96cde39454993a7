"""Processes that were forked after JAX had started: its threads did not come along, and work given to them never ends."""

from __future__ import annotations

import os
import sys
from typing import Any

from retime.core.errors import RetimeError

_STRANDED: list[bool] = []  # one entry in a process whose parent had started JAX before it was forked


def check_not_forked() -> None:
    """Say that JAX cannot work here, where it would wait forever.

    Raises:
        RetimeError: this process was forked from one in which JAX had started.
    """
    if _STRANDED:
        raise RetimeError(
            "This process was forked from one in which JAX had started; JAX's threads were not copied, and smooth systems (their steps, flows, "
            'searches and exponents) would hang here. Start the workers with multiprocessing.get_context("spawn") or "forkserver", or fork '
            "before the first smooth system is evaluated. Piecewise-linear maps and converted flows work in a forked process."
        )


def has_jax_started() -> bool:
    """Whether JAX has started its threads in this process: importing and tracing do not."""
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    return "jax" in sys.modules if started is None else bool(started())


def _after_fork() -> None:
    if has_jax_started():
        _STRANDED.append(True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
