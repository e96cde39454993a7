"""`retime train` and `retime fit`: the network of the library, on disk; options by the names that were typed; runs that go on."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import retime as rt
from retime.cli import learning

SMALL = ("--num-bits", 1, "--steps", 30, "--num-states", 8, "--batch-size", 4, "--held-out", 8)


def trained(updates, **options):
    task = rt.learn.FlipFlop(num_bits=1, steps=30)
    return rt.train(task, num_states=8, updates=updates, batch_size=4, held_out=8, **options).model


def test_train_writes_the_network_that_the_library_trains(run, tmp_path):
    out = tmp_path / "net.npz"
    code, text, _ = run("train", "flipflop", *SMALL, "--updates", 5, "--gap", "5,9", "-o", out, "--json")
    assert code == 0
    found = json.loads(text)
    assert (found["status"], found["checkpoint"], found["history"][-1]["step"]) == ("completed", None, 5)
    task = rt.learn.FlipFlop(num_bits=1, steps=30, gap=(5, 9))
    assert rt.load(out) == rt.train(task, num_states=8, updates=5, batch_size=4, held_out=8).model
    assert list(tmp_path.iterdir()) == [out]  # a run that is done leaves no checkpoint


def test_a_run_whose_time_ended_keeps_its_checkpoint_and_goes_on(run, tmp_path):
    out = tmp_path / "net.npz"
    code, text, _ = run("train", "flipflop", *SMALL, "--updates", 5, "-o", out, "--time-limit", 1e-9)
    assert code == 1
    assert "--resume goes on from" in text
    code, _, _ = run("train", "flipflop", *SMALL, "--updates", 5, "-o", out, "--resume")
    assert code == 0
    assert rt.load(out) == trained(5)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("logic", ("--gate", "or", "--steps", 60)),
        ("timed", ("--interval", 3, "--pulse", 2, "--answer", 2, "--steps", 20)),
        ("adding", ("--steps", 8)),
        ("copy", ("--length", 2, "--pause", 3, "--num-symbols", 3)),
        ("digits", ("--rows",)),
    ],
)
def test_every_task_can_be_trained(run, tmp_path, task, options):
    pytest.importorskip("sklearn", reason="scikit-learn holds the digits")
    settings = (
        "--num-states",
        6,
        "--updates",
        1,
        "--batch-size",
        4,
        "--held-out",
        4,
        "--family",
        "alrnn",
        "--num-relu",
        2,
    )
    code, text, _ = run("train", task, *options, *settings, "-o", tmp_path / "net.npz")
    assert (code, "completed, 1 updates" in " ".join(text.split())) == (0, True)


def test_fit_writes_the_network_of_the_library(run, tmp_path):
    series = np.cumsum(np.random.default_rng(0).normal(size=(400, 2)), axis=0)
    np.save(tmp_path / "data.npy", series)
    settings = ("--epochs", 1, "--batches", 2, "--sequence", 20, "--learning-rate", "1e-3,1e-4", "--forcing-every", 4)
    sizes = ("--family", "alrnn", "--num-states", 4, "--num-relu", 2)
    code, text, _ = run("fit", tmp_path / "data.npy", *sizes, *settings, "-o", tmp_path / "net.npz", "--json")
    assert code == 0
    assert "state_space_divergence" in json.loads(text)["metrics"]
    fit = rt.fit(series, family="alrnn", num_states=4, num_relu=2, epochs=1, batches=2, sequence=20, learning_rate=(1e-3, 1e-4),
                 forcing=rt.learn.SparseForcing(4))  # fmt: skip
    assert rt.load(tmp_path / "net.npz") == fit.model
    on = ("--family", tmp_path / "net.npz", "--forcing-alpha", "0.3,0.1", "--clip", 1, *settings[:-2])
    code, _, _ = run("fit", tmp_path / "data.npy", *on, "-o", tmp_path / "on.npz", "--json")
    again = rt.fit(series, family=fit.model, epochs=1, batches=2, sequence=20, learning_rate=(1e-3, 1e-4), clip=1.0,
                   forcing=rt.learn.GeneralizedForcing((0.3, 0.1)))  # fmt: skip
    assert (code, rt.load(tmp_path / "on.npz")) == (0, again.model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "flipflop", "--num-bits", 0), "--num-bits is 0; it must be a whole number >= 1"),
        (("train", "adding", "--num-bits", 2), "--num-bits is not an option of adding"),
        (("train", "flipflop", "--gap", "3"), "--gap is '3'; it must be two whole numbers"),
        (("train", "flipflop", "--family", "alrnn"), "alrnn needs --num-relu, a whole number from 0 to 100"),
        (("train", "flipflop", "--updates", 0), "--updates is 0"),
        (("fit", "{data}", "--family", "alrnn", "--num-states", 1, "--num-relu", 1), "--num-states is 1; it must be at least 2"),
        (("fit", "{data}", "--family", "plrnn", "--num-states", 2, "--learning-rate", "x"), "--learning-rate is 'x'"),
        (("fit", "{data}", "--family", "plrnn"), "--num-states is None"),
        (("fit", "{data}", "--family", "plrnn", "--num-states", 2, "--forcing-every", 2, "--forcing-alpha", 0.1), "choose one"),
    ],
)  # fmt: skip
def test_errors_name_the_options(run, tmp_path, arguments, message):
    np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(50, 2)))
    given = [str(a).format(data=tmp_path / "data.npy") for a in arguments]
    code, _, err = run(*given, "-o", tmp_path / "net.npz")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "net.npz").exists()


def test_an_output_that_cannot_be_written_is_refused_before_training(run, tmp_path):
    for path, message in ((tmp_path / "no" / "net.npz", "does not exist"), (tmp_path / "net.pt", "is written as .npz")):
        code, _, err = run("train", "flipflop", "-o", path)
        assert (code, message in err) == (2, True)


def test_every_argument_of_train_is_an_option():
    own = set(inspect.signature(learning.train).parameters)
    for task in ("FlipFlop", "PulseLogic", "TimedPulse", "AddingProblem", "CopyMemory"):
        assert set(inspect.signature(getattr(rt.learn, task)).parameters) <= own
    in_python_only = {"optimizer", "signs", "constraint", "options"}
    assert set(inspect.signature(rt.train).parameters) - in_python_only <= own


def test_every_argument_of_fit_is_an_option():
    own = set(inspect.signature(learning.fit).parameters)
    in_python_only = {"optimizer", "regularization", "forcing", "options"}
    assert set(inspect.signature(rt.fit).parameters) - in_python_only <= own


@pytest.mark.slow
def test_ctrl_c_writes_the_best_network_and_the_run_goes_on_from_there(tmp_path):
    out = tmp_path / "net.npz"
    soon = "import retime.core.progress as shown; shown.FIRST_LINE = 0.5; from retime.cli import main; main()"
    command = [sys.executable, "-c", soon, "train", "flipflop", *map(str, SMALL), "--every", "5", "-o", str(out)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*command, "--updates", "100000000"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()  # training goes on: the first line of progress
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate()
    assert "training tanh_rnn" in line
    assert process.returncode == 1
    assert "Ctrl-C, after" in " ".join(text.split())
    assert rt.load(out).num_states == 8
    assert (tmp_path / "net.npz.checkpoint").exists()
