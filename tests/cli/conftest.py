"""The command line, called in process."""

from __future__ import annotations

import sys

import pytest

from retime import cli


@pytest.fixture
def run(capsys, monkeypatch):
    """run(*args) -> exit code, stdout, stderr of `retime args`."""

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["retime", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call
