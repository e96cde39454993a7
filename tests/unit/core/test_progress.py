"""Progress: a bar, a bar in a notebook, or lines, whichever can be seen."""

import io
import sys
import types

import pytest

from retime.core import progress as module
from retime.core.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_work_that_is_piped_says_a_line_after_ten_seconds_and_then_every_thirty(clock, capsys):
    with progress("searching", 100) as advance:
        for _ in range(70):
            clock[0] += 1.0
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "retime: searching, 10 % after 10 s",
        "retime: searching, 40 % after 40 s",
        "retime: searching, 70 % after 70 s",
    ]


def test_short_work_that_is_piped_says_nothing(clock, capsys):
    with progress("searching", 100) as advance:
        clock[0] += 9.0
        advance(100)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_a_bar_and_removes_it(clock, capsys, monkeypatch):
    shown = []
    handle = types.SimpleNamespace(update=shown.append)

    def display(first, display_id):
        shown.append(first)
        return handle if display_id else None

    jupyter = types.ModuleType("IPython")
    jupyter.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    jupyter.display = types.ModuleType("IPython.display")
    jupyter.display.HTML, jupyter.display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", jupyter)
    monkeypatch.setitem(sys.modules, "IPython.display", jupyter.display)
    with progress("a < b", 8) as advance:
        clock[0] += 0.1
        advance(1)  # too soon for another picture
        clock[0] += 0.2
        advance(3)
    assert [x[-14:] for x in shown] == [" a &lt; b: 0 %", "a &lt; b: 50 %", ""]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_on_stderr(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("searching", 4) as advance:
        advance(2)
    assert "searching" in terminal.getvalue()
