"""What the first use costs: size of a fresh environment, and processor seconds to the first results in it.

    python benchmarks/first_use.py [REF ...]

For each revision (HEAD by default) the repository is cloned, installed into a fresh virtual environment as the README does, and
`convert` and `analyze` run on a network of the zoo, each twice: the first time kernels are compiled.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERBS = ("convert", "analyze", "convert", "analyze")
CLAIM = "What you may claim"  # the line of `convert` that says whether the claim holds


def measure(ref: str, folder: Path) -> None:
    """Clone, install and run one revision."""
    clone, environment = folder / "clone", folder / "environment"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["git", "checkout", "--quiet", ref], cwd=clone, check=True)
    began, before = time.monotonic(), spent()
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", str(clone)], check=True)
    print(f"{ref}: install {time.monotonic() - began:.0f} s ({spent() - before:.0f} CPU s), {size(environment):.0f} MB")
    for verb in VERBS:
        before = spent()
        first = run([str(environment / "bin" / "retime"), verb, "zoo:vanderpol"], folder)
        text = "" if first is None else f", to the claim {first:.1f}"
        print(f"{ref}: retime {verb}: {spent() - before:.1f} CPU s{text}")


def run(command: list[str], folder: Path) -> float | None:
    """Run a command; CPU seconds until it prints its claim, None where it prints none or the system does not tell."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    first = None
    with process:
        for line in process.stdout or ():
            if first is None and line.startswith(CLAIM):
                first = processor_time(process.pid)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return first


def processor_time(pid: int) -> float | None:
    """CPU seconds of a running process (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size(folder: Path) -> float:
    """Megabytes of the files below."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 1e6


if __name__ == "__main__":
    for ref in sys.argv[1:] or ["HEAD"]:
        with tempfile.TemporaryDirectory() as folder:
            measure(ref, Path(folder))
