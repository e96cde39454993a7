"""One plain line, where the person looks."""

import logging
import os
import sys
import types

import pytest

from retime.core import notice
from retime.core.notice import notify

KERNEL = types.SimpleNamespace(kernel=1)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(notice, "_said", set())


@pytest.mark.parametrize(
    ("shell", "has_handlers", "level", "out", "err", "logged"),
    [
        (None, False, logging.NOTSET, "", "hello\n", []),
        (types.SimpleNamespace(), False, logging.NOTSET, "", "hello\n", []),
        (KERNEL, False, logging.NOTSET, "hello\n", "", []),
        (KERNEL, True, logging.NOTSET, "", "", ["hello"]),
        (KERNEL, False, logging.ERROR, "", "", []),
    ],
    ids=["script", "IPython in a terminal", "notebook", "logging is configured", "silenced"],
)
def test_the_line_goes_to_stderr_and_in_a_notebook_to_its_output(
    shell, has_handlers, level, out, err, logged, monkeypatch, capsys, caplog
):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    logger = logging.getLogger("retime")
    monkeypatch.setattr(logger, "hasHandlers", lambda: has_handlers)
    logger.setLevel(level)
    try:
        notify("hello")
    finally:
        logger.setLevel(logging.NOTSET)
    assert tuple(capsys.readouterr()) == (out, err)
    assert caplog.messages == logged


def test_the_same_is_said_once_of_a_file_until_it_changes(tmp_path, caplog):
    path = tmp_path / "a"
    path.write_text("1")
    for _ in range(3):
        notify("hello", path)
    notify("hello", tmp_path / "other")
    notify("other words", path)
    os.utime(path, (1, 1))
    notify("hello", path)
    assert caplog.messages == ["hello", "hello", "other words", "hello"]


def test_a_message_that_was_silenced_is_said_when_it_can_be(caplog):
    logger = logging.getLogger("retime")
    logger.setLevel(logging.ERROR)
    try:
        notify("hello")
    finally:
        logger.setLevel(logging.NOTSET)
    notify("hello")
    assert caplog.messages == ["hello"]
