"""Ctrl-C during imports, in compilers, and in code that does not return to Python."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SENTENCE = "retime: interrupted; files that were to be written are as they were.\n"
HEAD = """
import sys, types
from retime.cli import interrupts
from retime.cli.endings import reported
def ready():
    print("ready", flush=True)
def work(function):
    with interrupts.listening():
        reported(function)()
"""
IMPORT = (
    HEAD
    + """
import importlib.util, pathlib, tempfile
folder = tempfile.mkdtemp()
pathlib.Path(folder, "endless_module.py").write_text(
    "import sys\\nprint('ready', flush=True)\\nwhile True:\\n    try:\\n        while True: pass\\n    except BaseException: pass\\n")
sys.path.insert(0, folder)
def command():
    import endless_module
work(command)
"""
)
COMPILER = (
    HEAD
    + """
fake = types.ModuleType("numba.fake")
exec('''
def compile():
    while True:
        try:
            while True: pass
        except BaseException: pass
''', fake.__dict__)
def command():
    ready()
    fake.compile()
work(command)
"""
)
C_CODE = (
    HEAD
    + """
import numpy as np, ctypes
def command():
    ready()
    import time
    libc = ctypes.CDLL(None)
    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def never(a, b): return 0
    libc.qsort.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    zeros = np.zeros(2 * 10**8, dtype=np.int8)
    compare = ctypes.cast(libc.strcmp, ctypes.c_void_p)  # equal strings: sorted without a word of Python
    while True:
        libc.qsort(zeros.ctypes.data, len(zeros) - 1, 1, compare)
work(command)
"""
)
FINALIZER = (
    HEAD
    + """
class Endless:
    def __del__(self):
        ready()
        while True: pass
def command():
    Endless()
    while True: pass
work(command)
"""
)
OUTSIDE = (
    HEAD
    + """
with interrupts.listening():
    ready()
    while True: pass
"""
)
WRITING = (
    HEAD
    + """
from retime.core.files import replace_atomically
fake = types.ModuleType("llvmlite.fake")
exec('def compile():\\n    while True: pass', fake.__dict__)
def command():
    with replace_atomically("result.npz") as temporary:
        temporary.write_text("half")
        ready()
        fake.compile()
work(command)
"""
)


@pytest.mark.parametrize(
    "code",
    [IMPORT, COMPILER, C_CODE, FINALIZER, OUTSIDE, WRITING],
    ids=["import", "compiler", "C", "finalizer", "outside", "writing"],
)
def test_ctrl_c_ends_with_one_line(code, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "ready\n"
        before = worked(process)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            assert worked(process) - before < 2.0
            time.sleep(0.01)
        assert process.returncode == 130
        assert process.stderr.read() == SENTENCE
    assert list(tmp_path.iterdir()) == []


def worked(process):
    """Seconds of processor time; 0 where the system does not tell, or the process has ended."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_everything_is_as_before_after_a_command_line():
    from retime.cli.interrupts import listening

    before = (signal.getsignal(signal.SIGINT), sys.unraisablehook)
    with listening():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    assert signal.set_wakeup_fd(-1) == -1
