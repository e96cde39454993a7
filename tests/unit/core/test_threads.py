"""Loops take the cores that a process may use, or as many as are asked for."""

import os
from pathlib import Path

import pytest

from retime.core.threads import cores

SOURCE = Path(__file__).resolve().parents[3] / "src"


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("7", 7)])
def test_as_many_as_are_asked_for(given, expected, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", given)
    assert cores() == expected


@pytest.mark.parametrize("given", [None, "", "0", "-2", "many"])
def test_else_those_that_the_process_may_use(given, monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores() == 3


def test_nothing_else_counts_the_cores_of_the_machine():
    found = [p.name for p in SOURCE.rglob("*.py") if "cpu_count" in p.read_text(encoding="utf-8")]
    assert found == ["threads.py"]
