"""How many threads loops are divided among."""

from __future__ import annotations

import os


def cores() -> int:
    """NUMBA_NUM_THREADS where it is set, else the cores that this process may use: of a container or a batch job, not of the machine.

    Examples:
        >>> cores() >= 1
        True
    """
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
