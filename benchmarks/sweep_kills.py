"""A sweep whose parts are killed (SIGKILL) at random moments, and continued by the same call: nothing finished is lost, nothing counted twice.

    python benchmarks/sweep_kills.py [RUNS] [SEED] [KIND ...]

Each run sweeps 60 cases over a scheduler and two workers, separate processes that speak TCP on the loopback, and kills one of: `process` (a
process in which a case runs), `worker`, `scheduler`, `main` (the process that called `sweep`); what was killed is started again, and the same
call continues, until it is done. The table must be that of a run that nothing disturbed, and the files of cases that were finished at the kill
must be as they were. Exit code 1 where one is not.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES = 60
KINDS = ("process", "worker", "scheduler", "main")
WORK = """
import os, time
import numpy as np

def run(seed, folder):
    with open(os.path.join(folder, "calls"), "a") as file:
        file.write(f"{seed} {os.getpid()}\\n")
    time.sleep(0.05)
    if seed == 7:
        raise ValueError("seven is bad")
    return {"square": seed**2, "noise": float(np.random.default_rng(seed).normal()), "path": np.arange(seed)}
"""
CALL = """
import json, sys
import retime as rt, work
found = rt.sweep(work.run, [{"seed": k, "folder": "."} for k in range(int(sys.argv[2]))], folder="out", client=sys.argv[1] or 0, retries=3)
assert all((x is None) == (k == 7) or len(x["path"]) == k for k, x in enumerate(found.results))
print(json.dumps([{k: v for k, v in row.items() if k not in ("seconds", "attempts")} for row in found.table]))
"""


class Cluster:
    """A scheduler and two workers; whichever died is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scheduler = folder, None
        self.workers: list[Any] = [None, None]

    def start(self) -> str:
        """The address, when all of it answers."""
        file = self.folder / "scheduler.json"
        if self.scheduler is None or self.scheduler.poll() is not None:
            for worker in self.workers:
                if worker is not None:
                    end(worker)
            file.unlink(missing_ok=True)
            self.scheduler = self.dask("scheduler", "--port", "0", "--scheduler-file", str(file))
        self.workers = [
            w if w is not None and w.poll() is None else
            self.dask("worker", "--scheduler-file", str(file), "--nthreads", "1", "--worker-port", "0")
            for w in self.workers
        ]  # fmt: skip
        while not file.exists():
            time.sleep(0.05)
        while True:  # the file is not written at once
            try:
                return json.loads(file.read_text())["address"]
            except ValueError:
                time.sleep(0.05)

    def dask(self, what: str, *given: str) -> subprocess.Popen[bytes]:
        """A process of Dask's command line, which leads a group of its own."""
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{what}",
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            *given,
        ]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            if process is not None:
                end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and its group: a worker with its nanny."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def call(folder: Path, address: str) -> subprocess.Popen[str]:
    """The sweep, in a process of its own."""
    command = [sys.executable, "-c", CALL, address, str(CASES)]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Files of finished cases: when they were written, and what they hold."""
    return {x.name: (x.stat().st_mtime_ns, x.read_bytes()) for x in (folder / "out" / "cases").glob("[!.]*.json")}


def kill(kind: str, cluster: Cluster, main: subprocess.Popen[str], folder: Path, rng: random.Random) -> str:
    """Do it, and say to whom."""
    if kind == "process":
        lines = (folder / "calls").read_text().splitlines()
        pid = int(lines[-1].split()[1])
        os.kill(pid, signal.SIGKILL)
        return f"process {pid}"
    target = {"worker": rng.choice(cluster.workers), "scheduler": cluster.scheduler, "main": main}[kind]
    end(target) if kind != "main" else target.kill()
    return f"{kind} {target.pid}"


def one(kind: str, rng: random.Random, wanted: list[dict[str, Any]]) -> bool:
    """One run; whether it came out as it must."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work.py").write_text(WORK)
        cluster = Cluster(folder)
        try:
            main = call(folder, cluster.start())
            moment = rng.randint(1, CASES - 2)
            while len(finished(folder)) < moment and main.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.05))
            before, killed = finished(folder), kill(kind, cluster, main, folder, rng)
            calls, (out, errors) = 1, main.communicate()
            while main.returncode != 0 and calls < 5:
                before = before if calls == 1 else finished(folder)
                main = call(folder, cluster.start())
                calls, (out, errors) = calls + 1, main.communicate()
            table = json.loads(out.splitlines()[-1]) if main.returncode == 0 else errors[-2000:]
            kept = finished(folder)
        finally:
            cluster.stop()
        runs = len((folder / "calls").read_text().splitlines())
        good = table == wanted and len(kept) == CASES and all(kept[k] == v for k, v in before.items())
        told = f"{killed} killed with {len(before)} cases finished; {calls} calls, {runs} runs of {CASES} cases"
        print(f"{told}: {'as it must be' if good else table}", flush=True)
        return good


def main(runs: int, seed: int, kinds: list[str]) -> bool:
    """All runs."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "work.py").write_text(WORK)
        undisturbed = call(Path(name), "")
        wanted = json.loads(undisturbed.communicate()[0].splitlines()[-1])
    good = [one(kinds[k % len(kinds)], rng, wanted) for k in range(runs)]
    print(
        f"{sum(good)} of {runs} runs ended in the table of the run that nothing disturbed, with every finished case kept as it was"
    )
    return all(good)


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(not main(int(given[0]) if given else 20, int(given[1]) if len(given) > 1 else 0, given[2:] or [*KINDS]))
