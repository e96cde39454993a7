"""A training that is killed again and again, at random moments, ends in the network of the run that never was."""

import subprocess
import sys

import pytest

KILLS = 2  # a run of 20 is recorded in docs/benchmarks.md
SCRIPT = """
import os, random, signal, sys, time
import jax, optax
import retime as rt
from retime.learn import FlipFlop, loop, train

loop.SAVED = 0.0  # a checkpoint after every update: kills come while it is written, too
folder, kills = sys.argv[1], int(sys.argv[2])

def run(name, resume):
    fit = train(FlipFlop(num_bits=1, steps=20), num_states=8, updates=800, batch_size=4, held_out=8, every=40, state_noise=0.05,
                checkpoint=f"{folder}/{name}", resume=resume)
    rt.save(fit.model, f"{folder}/{name}.npz")

def child(name, resume):  # forked before JAX has started, so that each begins like a new process, without its imports
    pid = os.fork()
    if pid == 0:
        run(name, resume)
        os._exit(0)
    return pid

def stamp():
    return os.stat(f"{folder}/cut").st_mtime_ns if os.path.exists(f"{folder}/cut") else None

moments = random.Random(0)
os.waitpid(child("whole", False), 0)
killed = 0
for _ in range(kills):
    before, pid = stamp(), child("cut", True)
    ended = 0
    while not ended and stamp() == before:  # it has begun to go on
        ended, _ = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.05))
    if not ended:
        os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
os.waitpid(child("cut", True), 0)
print(killed, rt.load(f"{folder}/whole.npz") == rt.load(f"{folder}/cut.npz"))
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_network(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path, str(KILLS)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(KILLS), "True"]
