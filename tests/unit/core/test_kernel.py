"""Compiled kernels, their subroutines, and kernels where their code cannot be kept: no writable folder, a full disk, a damaged index."""

import os
import subprocess
import sys

import pytest

SOURCE = """
from retime.core.kernel import kernel, subroutine

@subroutine
def twice(x):
    return 2 * x

@kernel
def fourfold(x):
    return twice(twice(x))
"""
RUN = "from kernels import fourfold\nprint(fourfold(3.0), sum(fourfold.stats.cache_hits.values()))\n"

# Root may write anywhere; without CAP_DAC_OVERRIDE it is held to the permissions of files as everybody is.
AS_A_USER = """
import ctypes, os
if os.geteuid() == 0:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    rights = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capget(header, rights):
        raise OSError(ctypes.get_errno(), "capget")
    rights[0] &= ~2
    if libc.capset(header, rights):
        raise OSError(ctypes.get_errno(), "capset")
"""
FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"


@pytest.fixture
def run(tmp_path):
    """run(code, **environment) -> what it prints and the lines on stderr, beside a module `kernels` with a kernel and its subroutine."""
    (tmp_path / "kernels.py").write_text(SOURCE)

    def call(code, **environment):
        path = os.pathsep.join([str(tmp_path), *sys.path])
        done = subprocess.run(
            [sys.executable, "-B", "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split(), done.stderr.strip().splitlines()

    return call


def test_what_was_compiled_once_is_loaded(run):
    assert run(RUN) == (["12.0", "0"], [])
    assert run(RUN) == (["12.0", "1"], [])


def test_a_full_disk_is_one_line_and_no_error(run):
    out, err = run(FULL_DISK + RUN)
    assert out == ["12.0", "0"]
    assert len(err) == 1
    assert "Compiled code cannot be kept" in err[0]
    assert "Set NUMBA_CACHE_DIR to a folder that can be written." in err[0]


def test_no_folder_that_can_be_written_is_one_line_and_no_error(run, tmp_path):
    tmp_path.chmod(0o555)
    try:
        out, err = run(AS_A_USER + RUN, HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "cache"))
    finally:
        tmp_path.chmod(0o755)
    assert out == ["12.0", "0"]
    assert len(err) == 1
    assert "Compiled code cannot be kept (cannot cache function" in err[0]


def test_another_folder_can_be_named(run, tmp_path):
    folder = tmp_path / "elsewhere"
    assert run(RUN, NUMBA_CACHE_DIR=str(folder)) == (["12.0", "0"], [])
    assert list(folder.rglob("*.nbi"))
    assert run(RUN, NUMBA_CACHE_DIR=str(folder)) == (["12.0", "1"], [])


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        ("nbi", b"garbage\n"),
        pytest.param("nbi", b"\x80\x05X\xff\xff\xff\xff", marks=pytest.mark.slow),
        pytest.param("nbc", b"", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_cache_is_replaced(run, tmp_path, suffix, damage):
    run(RUN)
    files = list(tmp_path.rglob(f"*.{suffix}"))
    assert files
    for file in files:
        file.write_bytes(damage)
    assert run(RUN) == (["12.0", "0"], [])
    assert run(RUN) == (["12.0", "1"], [])
