"""Which test notices a tolerance that is ten times or a tenth of what it is: writes docs/tolerances.csv.

    python benchmarks/tolerances.py [PART ...]

Every tolerance (see docs/theory/tolerances.md) of the files whose name begins with a PART (all by default) is changed in the checkout, the tests
of its part run until one fails, and the file is put back, also at Ctrl-C. Hours for all; what the table holds already is not measured again,
so that it goes on where it was ended. Kernels are compiled into a folder of their own.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TABLE = ROOT / "src" / "retime", ROOT / "docs" / "tolerances.csv"
COLUMNS = ("file", "name", "value", "ten_times", "a_tenth")
UNIT = "tests/unit/analysis/test_"
TESTS = {
    "analysis/basins": [f"{UNIT}basins.py", f"{UNIT}interlaced_basins.py"],
    "analysis/branches": [f"{UNIT}scan.py", f"{UNIT}scan_parameters.py", f"{UNIT}stability_map.py"],
    "analysis/comparison": [f"{UNIT}side_by_side.py", f"{UNIT}compare.py"],
    "analysis/cycles": [f"{UNIT}cycles.py", f"{UNIT}limit_cycles.py"],
    "analysis/exponents": [f"{UNIT}lyapunov.py", f"{UNIT}lyapunov_results.py", f"{UNIT}averages.py", "tests/oracles/test_exponents.py"],
    "analysis/fixed_points": [
        f"{UNIT}fixed_points.py", f"{UNIT}newton.py", f"{UNIT}resting_points.py", f"{UNIT}dust.py", f"{UNIT}reachable_states.py",
        "tests/oracles/test_high_gains.py", "tests/laws/test_fixed_points_of_families.py", "tests/oracles/test_complete_search.py",
    ],
    "analysis/reconstruction": [f"{UNIT}quality.py", f"{UNIT}conventions.py"],
    "analysis/regions": [f"{UNIT}visits.py", f"{UNIT}enumeration.py"],
    "analysis/": [f"{UNIT}analyze.py", f"{UNIT}lyapunov.py", f"{UNIT}scan.py", f"{UNIT}fixed_points.py", f"{UNIT}dust.py"],
    "convert/": ["tests/unit/convert", "tests/oracles/test_region_logarithms.py", "tests/oracles/test_ill_scaled_conversion.py"],
    "simulation/": [
        "tests/unit/simulation", "tests/oracles/test_state_flow.py", "tests/oracles/test_sliding.py", "tests/oracles/test_shared_boundaries.py",
        f"{UNIT}lyapunov.py", f"{UNIT}limit_cycles.py", "tests/oracles/test_smooth_flows.py",
    ],
    "": [
        "tests/unit/core", "tests/oracles/test_shared_boundaries.py", "tests/laws/test_models.py", "tests/unit/convert",
        f"{UNIT}fixed_points.py",
    ],
}  # fmt: skip


def main(parts: list[str]) -> None:
    """Measure what is not in the table yet."""
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import tolerances  # the list of the page

    known = {(r["file"], r["name"], r["value"]): r for r in csv.DictReader(TABLE.open())} if TABLE.exists() else {}
    table = []
    for file, name, value, _ in tolerances(SOURCE):
        row = known.get((file, name, value)) or {
            "file": file,
            "name": name,
            "value": value,
            "ten_times": "",
            "a_tenth": "",
        }
        table.append(row)
    for row in table:
        if not row["ten_times"] and any(row["file"].startswith(p) for p in parts or [""]):
            row["ten_times"], row["a_tenth"] = (noticed_by(row["file"], row["name"], factor) for factor in (10.0, 0.1))
            write(table)
            print(*(row[c] for c in COLUMNS), sep="  ", flush=True)
    write(table)


def noticed_by(file: str, name: str, factor: float) -> str:
    """The first test that fails with a tolerance of another size, "no test" where none does."""
    path = SOURCE / file
    text = path.read_text(encoding="utf-8")
    node, target = definition(ast.parse(text), name)
    lines = text.splitlines(keepends=True)
    lines[node.lineno - 1 : node.end_lineno] = [f"{target} = ({ast.unparse(node.value)}) * {factor}\n"]
    tests = next(t for part, t in TESTS.items() if file.startswith(part))
    cache = Path(tempfile.gettempdir()) / "retime-tolerances"
    path.write_text("".join(lines), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "NUMBA_CACHE_DIR": str(cache)}, capture_output=True, text=True
        )
    finally:
        path.write_text(text, encoding="utf-8")
    found = re.search(r"^(?:FAILED|ERROR) \S*::(\w+)", done.stdout, re.MULTILINE)
    return found[1] if found else "no test" if done.returncode == 0 else f"pytest ended with {done.returncode}"


def definition(tree: ast.Module, name: str) -> tuple[Any, str]:
    """Where a tolerance is set, and what stands before the "=": a name at the top of a file, or Class.field of a method object."""
    method, _, field = name.rpartition(".")
    if not method:
        return next(n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name), name
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
