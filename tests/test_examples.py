"""Examples and README commands run."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_papers_examples_draw_their_figures(tmp_path):
    r = subprocess.run(
        [sys.executable, ROOT / "examples" / "icml2020.py", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"vanderpol.png", "addition.png", "lorenz.png"}
    assert "van der Pol state" in r.stdout


@pytest.mark.slow
def test_the_papers_examples_draw_given_files(tmp_path, data):
    args = [
        "--vanderpol",
        data / "vanderpol_plrnn.mat",
        "--lorenz",
        data / "lorenz_plrnn.mat",
        "--dt",
        "0.1",
        "--out",
        tmp_path,
    ]
    r = subprocess.run(
        [sys.executable, ROOT / "examples" / "icml2020.py", *args], capture_output=True, text=True, check=False
    )
    assert r.returncode == 0, r.stderr
    assert len(list(tmp_path.iterdir())) == 3


def test_continuous_integration_runs_the_readmes_test_command():
    commands = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[1].endswith(".venv/bin/pytest -n 2 --dist loadfile")
    pattern = "pip install -e '.[test]'"
    assert pattern in commands[1]
    assert f'grep -F "{pattern}" README.md' in (ROOT / ".ci" / "run").read_text()
    assert commands[0].endswith("retime convert zoo:vanderpol")


@pytest.mark.slow
def test_the_time_algebra_example_draws_its_picture(tmp_path):
    r = subprocess.run(
        [sys.executable, ROOT / "examples" / "time_algebra.py", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"time.png"}


@pytest.mark.slow
def test_the_dynamics_example_draws_its_picture(tmp_path):
    r = subprocess.run(
        [sys.executable, ROOT / "examples" / "dynamics.py", "--out", tmp_path, "--steps", "2000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"dynamics.png"}
    assert "3 fixed points, 0 stable; complete" in r.stdout


@pytest.mark.slow
def test_the_circuit_example_writes_three_bits(tmp_path):
    r = subprocess.run(
        [sys.executable, ROOT / "examples" / "circuits.py", "--out", tmp_path, "--backend", "kirchhoff"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"flipflop.png", "neuron.svg", "chua_circuit.png"}
    assert "three pulses: [ 1. -1. -1.] -> [-1.  1.  1.]" in r.stdout


@pytest.mark.slow
def test_the_flip_flop_example_trains_and_draws(tmp_path):
    r = subprocess.run(
        [
            sys.executable,
            ROOT / "examples" / "flip_flop.py",
            "--out",
            tmp_path,
            "--weights",
            tmp_path,
            "--updates",
            "2",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"flip_flop_activity.png", "flip_flop_weights.png", "flip_flop.npz"}
    assert "not held" in r.stdout  # two updates hold no corner within 0.1, which is said
