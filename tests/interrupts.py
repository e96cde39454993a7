"""Ctrl-C in the middle of work: in a process of its own, where a signal at the wrong moment ends a child and not the tests."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HEAD = """
import json, signal, sys
def answer(**found):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one Ctrl-C per piece of work
    print(json.dumps(found), flush=True)
def ready():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("ready", flush=True)
"""


def interrupt(code, seconds=0.4):
    """Run `code`, press Ctrl-C in each piece of its work and return what it answers, one dict per piece.

    Args:
        code: Python source; each piece of work calls `ready()` when everything is compiled, then works for hours, then calls
            `answer(name=value, ...)` with what JSON can hold.
        seconds: of processor time that a piece works before Ctrl-C; no measure of speed, the work is endless.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    answers = []
    with process:
        for line in process.stdout:
            if line.strip() == "ready":
                _wait(process, seconds)
                process.send_signal(signal.SIGINT)
            else:
                answers.append(json.loads(line))
        error = process.stderr.read()
    if process.returncode != 0:
        raise AssertionError(f"The process ended with {process.returncode}:\n{error}")
    return answers


def _wait(process, seconds):
    end = _processor_time(process) + seconds
    while _processor_time(process) < end and process.poll() is None:
        time.sleep(0.02)


def _processor_time(process):
    """Seconds that the process and its threads have worked; the time on the wall where the system does not tell."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.perf_counter()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
