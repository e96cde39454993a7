"""After the table of pytest-benchmark: per group, how many times faster retime is than what a user would pick instead."""

from __future__ import annotations

import os
import platform

os.environ.setdefault("OMP_NUM_THREADS", "2")


def pytest_terminal_summary(terminalreporter, config) -> None:
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    groups: dict[str, dict[str, float]] = {}
    for bench in session.benchmarks:
        if bench.stats.rounds:
            groups.setdefault(bench.group, {})[bench.extra_info.get("who", bench.name)] = bench.stats.median
    write = terminalreporter.write_line
    write("")
    write(f"medians, {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for group, medians in groups.items():
        ours = medians.pop("retime", None)
        for who, seconds in medians.items():
            if ours:
                write(
                    f"{group}: retime {ours * 1e3:.3g} ms, {who} {seconds * 1e3:.4g} ms: {seconds / ours:.1f} times as fast"
                )
