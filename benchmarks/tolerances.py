"""Which test notices a tolerance that is ten times or a tenth of what it is: writes docs/tolerances.csv.

    python benchmarks/tolerances.py [PART ...]

The tolerances (see docs/theory/tolerances.md) of a part of the library, of those that begin with a PART (all by default), are changed
together, and all tests of the part run. Where none fails, nothing notices; otherwise each half of them is changed, and only the tests that
failed run, down to single tolerances. (What notices one of them and, beside another that is changed, does not, is not seen.) Files are
changed in the checkout and put back, also at Ctrl-C: use a checkout of its own. What the table holds is not measured again, so that it goes
on where it was ended.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TABLE = ROOT / "src" / "retime", ROOT / "docs" / "tolerances.csv"
COLUMNS: tuple[str, ...] = ("file", "name", "value", "ten_times", "a_tenth", "remark")
FACTORS = {"ten_times": 10.0, "a_tenth": 0.1}
MINUTES = 20  # of a run; one that takes longer counts as if all of its tests failed
UNIT = "tests/unit/analysis/test_"
TESTS = {
    "analysis/basins": [f"{UNIT}thresholds.py", f"{UNIT}basins.py", f"{UNIT}interlaced_basins.py"],
    "analysis/branches": [f"{UNIT}thresholds.py", f"{UNIT}scan.py", f"{UNIT}scan_parameters.py", f"{UNIT}stability_map.py"],
    "analysis/comparison": [f"{UNIT}side_by_side.py", f"{UNIT}compare.py"],
    "analysis/cycles": [f"{UNIT}thresholds.py", f"{UNIT}cycles.py", f"{UNIT}limit_cycles.py", f"{UNIT}smooth_cycles.py"],
    "analysis/exponents": [
        f"{UNIT}thresholds.py", f"{UNIT}lyapunov.py", f"{UNIT}lyapunov_results.py", f"{UNIT}averages.py",
        "tests/oracles/test_exponents.py",
    ],
    "analysis/fixed_points": [
        f"{UNIT}thresholds.py", f"{UNIT}fixed_points.py", f"{UNIT}newton.py", f"{UNIT}resting_points.py", f"{UNIT}dust.py",
        f"{UNIT}reachable_states.py", "tests/oracles/test_high_gains.py", "tests/laws/test_fixed_points_of_families.py",
        "tests/oracles/test_complete_search.py",
    ],
    "analysis/reconstruction": [f"{UNIT}thresholds.py", f"{UNIT}quality.py", f"{UNIT}conventions.py"],
    "analysis/regions": [f"{UNIT}thresholds.py", f"{UNIT}visits.py", f"{UNIT}enumeration.py"],
    "analysis/overview": [f"{UNIT}analyze.py"],
    "analysis/": [f"{UNIT}analyze.py", f"{UNIT}lyapunov.py", f"{UNIT}scan.py", f"{UNIT}fixed_points.py", f"{UNIT}dust.py"],
    "convert/": [
        "tests/unit/convert", "tests/laws/test_certificates.py", "tests/laws/test_interchange.py",
        "tests/oracles/test_region_logarithms.py", "tests/oracles/test_ill_scaled_conversion.py",
    ],
    "cells/": ["tests/unit/cells"],
    "circuits/": ["tests/unit/circuits", "tests/cli/test_circuit_command.py"],
    "learn/autonomous": ["tests/unit/learn/test_autonomous.py"],
    "learn/": ["tests/unit/learn"],
    "simulation/boundaries": ["tests/oracles/test_shared_boundaries.py", "tests/unit/simulation/test_switching.py"],
    "simulation/iterate": ["tests/unit/simulation/test_simulate.py", "tests/laws/test_time_regressions.py"],
    "simulation/horizon": [f"tests/unit/simulation/test_{name}.py" for name in ("far_times", "simulate")] + [f"{UNIT}thresholds.py"],
    "simulation/passage": [f"{UNIT}limit_cycles.py"],
    "simulation/products": [f"{UNIT}lyapunov.py", f"{UNIT}lyapunov_results.py", "tests/oracles/test_exponents.py"],
    "simulation/saltation": [f"{UNIT}thresholds.py", f"{UNIT}lyapunov.py", "tests/oracles/test_exponents.py"],
    "simulation/record": [
        "tests/unit/simulation/test_switching.py", "tests/oracles/test_state_flow.py", "tests/oracles/test_sliding.py",
        "tests/oracles/test_shared_boundaries.py",
    ],
    "simulation/roots": ["tests/unit/simulation/test_roots.py", "tests/oracles/test_state_flow.py"],
    "simulation/s": [f"tests/unit/simulation/test_{name}.py" for name in ("steps", "smooth")] + ["tests/oracles/test_smooth_flows.py"],
    "simulation/taylor": ["tests/unit/simulation/test_taylor.py", "tests/unit/simulation/test_taylor_components.py"],
    "core/": [
        f"{UNIT}thresholds.py", "tests/unit/core", "tests/oracles/test_shared_boundaries.py", "tests/laws/test_models.py", "tests/unit/convert",
        f"{UNIT}fixed_points.py",
    ],
}  # fmt: skip


def main(parts: list[str]) -> None:
    """Measure what is not in the table yet."""
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import tolerances  # the list of the page

    known = {(r["file"], r["name"], r["value"]): r for r in csv.DictReader(TABLE.open(encoding="utf-8"))}
    table = []
    for file, name, value, _ in tolerances(SOURCE):
        row = known.get((file, name, value)) or {"file": file, "name": name, "value": value}
        table.append({column: row.get(column) or "" for column in COLUMNS})
    write(table)
    for part, tests in TESTS.items():
        if any(part.startswith(p) for p in parts or [""]):
            of_part = [row for row in table if part == next(t for t in TESTS if row["file"].startswith(t))]
            todo = {column: [row for row in of_part if not row[column]] for column in FACTORS}
            if any(todo.values()):
                broken = failures([], 1.0, tests)  # by something else: they notice nothing
                for column, rows in todo.items():
                    for _ in measured(rows, column, [*tests, *(f"--deselect={test}" for test in broken)]):
                        write(table)


def measured(rows: list[dict[str, str]], column: str, tests: list[str]) -> Iterator[None]:
    """Fill in which of these tests notices each, a step at each one known."""
    if not rows:
        return
    failed = failures(rows, FACTORS[column], tests)
    print(
        f"{len(failed):4d} of {len(tests):3d} notice {column} {', '.join(r['file'] + ' ' + r['name'] for r in rows)}",
        flush=True,
    )
    if failed and len(rows) > 1:
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            yield from measured(part, column, failed)
    else:
        for row in rows:
            row[column] = failed[0].rpartition("::")[2] if failed else "no test"
        yield


def failures(rows: list[dict[str, str]], factor: float, tests: list[str]) -> list[str]:
    """Tests that fail with these tolerances changed: the first one of a single tolerance, all otherwise."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        *(["-x"] if len(rows) == 1 else []),
        *tests,
    ]
    scratch = Path(tempfile.gettempdir()) / "retime-tolerances"
    has_kernel = any(re.search(r"^@(kernel|subroutine)", (SOURCE / r["file"]).read_text(), re.MULTILINE) for r in rows)
    kernels = tempfile.mkdtemp()  # compiled anew with what they read
    own = {"JAX_COMPILATION_CACHE_DIR": str(scratch / "xla"), "PYTHONPATH": str(ROOT / "src")}
    own |= {"NUMBA_CACHE_DIR": kernels} if has_kernel else {}
    with changed(rows, factor):
        run = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            said, _ = run.communicate(timeout=60 * MINUTES)
        except subprocess.TimeoutExpired:
            return ["::does not end"] if len(rows) == 1 else tests
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            shutil.rmtree(kernels, ignore_errors=True)
    found = list(dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", said, re.MULTILINE)))
    if found or run.returncode == 0:
        return found
    return [f"::pytest ended with {run.returncode}"] if len(rows) == 1 else tests


@contextmanager
def changed(rows: list[dict[str, str]], factor: float) -> Iterator[None]:
    """Tolerances times a factor, in their files; times of files are put back as well, by which Numba knows its kernels."""
    before: dict[Path, tuple[str, os.stat_result]] = {}
    try:
        for row in rows:
            path = SOURCE / row["file"]
            text = path.read_text(encoding="utf-8")
            before.setdefault(path, (text, path.stat()))
            node, target = definition(ast.parse(text), row["name"])
            lines = text.splitlines(keepends=True)
            lines[node.lineno - 1 : node.end_lineno] = [f"{target} = ({ast.unparse(node.value)}) * {factor}\n"]
            path.write_text("".join(lines), encoding="utf-8")
        yield
    finally:
        for path, (text, times) in before.items():
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def definition(tree: ast.Module, name: str) -> tuple[Any, str]:
    """Where a tolerance is set, and what stands before the "=": a name at the top of a file, or Class.field of a method object."""
    method, _, field = name.rpartition(".")
    if not method:
        found = next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name)
        return found, " = ".join(map(ast.unparse, found.targets))
    fields = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == method).body
    return next(
        n for n in fields if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == field
    ), f"    {field}: float"


def write(table: list[dict[str, str]]) -> None:
    """Replace the table as a whole."""
    new = TABLE.with_suffix(".new")
    with new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    new.replace(TABLE)


if __name__ == "__main__":
    main(sys.argv[1:])
