"""Nothing that a file holds ends the process, runs, takes the memory of another file, or is an error without its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import fuzzing

PROGRAM = Path(__file__).parents[1] / "fuzzing.py"
SAMPLE, ALL, PART = 90, 600, 300  # 10,000 once for each change of a reader: the numbers are the same files


def loaded(first: int, stop: int, folder: Path) -> dict:
    """The counts of a run over files first to stop - 1, in a process that may crash."""
    call = [sys.executable, PROGRAM, str(first), str(stop), folder]
    done = subprocess.run(
        call, capture_output=True, text=True, cwd=folder.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, (
        f"files {first} to {stop}: the process ended with {done.returncode}\n{done.stderr[-2000:]}"
    )
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["large"] == []  # more than twice the memory of the arrays
    assert found["secrets"] == []  # the content of another file
    assert not found["executed"]
    assert found["counts"].get("refused without its name", 0) == 0
    return Counter(found["counts"])


def test_a_sample_of_hostile_files_is_read_or_refused(tmp_path):
    counts = loaded(0, SAMPLE, tmp_path / "files")
    assert counts.total() == SAMPLE
    assert min(counts["read"], counts["refused"]) > 5


@pytest.mark.slow
def test_six_hundred_hostile_files_are_read_or_refused(tmp_path):
    counts = sum((loaded(k, k + PART, tmp_path / f"files{k}") for k in range(0, ALL, PART)), Counter())
    assert counts.total() == ALL
    assert min(counts["read"], counts["refused"]) > 60


def test_the_files_are_the_same_in_every_run(tmp_path):
    good = fuzzing.seeds()
    suffixes = [s for s in good if s not in fuzzing.HDF5]  # HDF5 writes the time
    numbers = [
        k for k in range(60) if list(good)[k % len(good)] in suffixes and "keras" not in list(good)[k % len(good)]
    ]
    first, again = ([fuzzing.hostile(k, good, tmp_path)[0] for k in numbers] for _ in range(2))
    assert first == again
    assert len(numbers) > 20
