"""The command line, in process and as a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import retime as rt


def test_every_command_explains_itself(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("info", "convert", "simulate", "compare", "zoo"):
        assert command in out
        code, text, _ = run(command, "--help")
        assert code == 0
        assert "--json" in text


def test_convert_says_what_may_be_claimed(run):
    code, out, _ = run("convert", "zoo:vanderpol", "--steps", 500)
    assert code == 0
    words = " ".join(out.split())
    assert "there is no real ODE of the same dimension (12)" in words
    assert "What you may claim. Clock" in words
    assert "Claim it per step, not for whole orbits" in words


def test_convert_tells_of_the_fifth_of_lorenz_steps_without_an_ode(run, data):
    code, out, _ = run("convert", data / "lorenz_plrnn.mat", "--dt", 0.1, "--json")
    assert code == 0
    found = json.loads(out)
    assert 0.19 < found["steps_without_real_ode_of_same_dimension"] / found["steps"] < 0.23
    assert set(found["statuses"]) == {"principal", "raised"}
    assert found["clock"]["max_one_step_error_relative"] < 1e-12
    assert "no real ODE of the same dimension (10)" in " ".join(found["words"].split())


def test_convert_exits_with_one_where_part_of_the_state_has_no_ode(run, tmp_path):
    rt.save(rt.PLRNN([[0.0, 1], [0, 0]], np.zeros((2, 2)), np.ones(2)), tmp_path / "nilpotent.npz")
    code, out, _ = run("convert", tmp_path / "nilpotent.npz", "--steps", 5)
    assert code == 1
    assert "no autonomous linear ODE exists" in " ".join(out.split())


SMALL = [n for n in rt.zoo.names() if rt.zoo.load(n).num_states <= 50]  # each region is converted: 100 units take long
NETWORKS = [n for n in SMALL if rt.zoo.load(n).family in ("plrnn", "alrnn", "relu_rnn")]


def test_there_are_piecewise_linear_networks_in_the_zoo():
    assert {"addition", "lorenz", "relu", "sliding", "vanderpol"} <= set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_zoo_network_converts_with_json(run, name):
    code, out, _ = run("convert", f"zoo:{name}", "--steps", 200, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["holds"] is True
    assert found["clock"]["max_one_step_error_relative"] < 1e-11


def test_converted_flow_is_written_and_runs_again(run, tmp_path):
    code, _, _ = run("convert", "zoo:vanderpol", "--steps", 300, "-o", tmp_path / "flow.npz")
    assert code == 0
    code, out, _ = run("simulate", tmp_path / "flow.npz", "--steps", 20, "--switching", "state", "--json")
    assert code == 0
    assert json.loads(out)["status"] == "completed"


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_simulate_writes_what_the_library_computes(run, tmp_path, suffix):
    path = tmp_path / f"orbit.{suffix}"
    code, _, _ = run("simulate", "zoo:lorenz", "--steps", 30, "-o", path)
    assert code == 0
    entry = rt.zoo.entry("lorenz")
    want = rt.simulate(entry.model, entry.z0, steps=30)
    if suffix == "npz":
        with np.load(path) as found:
            assert np.array_equal(found["states"], want.states)
            assert np.array_equal(found["outputs"], want.outputs)
    else:
        table = np.genfromtxt(path, delimiter=",", names=True)
        assert np.array_equal(table["z1"], want.states[:, 0])
        assert np.array_equal(table["x3"], want.outputs[:, 2])


def test_simulate_samples_a_flow_between_steps(run):
    code, out, _ = run("simulate", "zoo:vanderpol", "--steps", 10, "--switching", "clock", "--per-step", 4, "--json")
    assert code == 0
    assert len(json.loads(out)["times"]) == 41


def test_simulate_runs_a_continuous_network_from_a_file(run, tmp_path):
    rt.save(rt.ContinuousPLRNN([-1.0, -2.0], [[0, 1], [-1, 0]], [0.1, 0.2]), tmp_path / "c.npz")
    code, out, _ = run("simulate", tmp_path / "c.npz", "--steps", 10, "--every", 0.5, "--z0", "1,-1", "--json")
    assert code == 0
    assert json.loads(out)["times"][-1] == 5.0


def test_inputs_are_read_from_a_file(run, tmp_path):
    s = rt.zoo.addition_inputs(40, 5, 20)
    np.savetxt(tmp_path / "s.csv", s, delimiter=",")
    code, out, _ = run("simulate", "zoo:addition", "--inputs", tmp_path / "s.csv", "--json")
    want = rt.simulate(rt.zoo.load("addition"), rt.zoo.entry("addition").z0, steps=40, inputs=s)
    assert code == 0
    # text with 18 digits in between
    assert np.abs(np.array(json.loads(out)["states"]) - want.states).max() < 1e-14


def test_compare_prints_both_rules_and_its_verdict(run):
    code, out, _ = run("compare", "zoo:vanderpol", "--steps", 200)
    assert code == 0
    assert "clock" in out
    assert "state" in out
    assert "equals the map" in out
    code, _, _ = run("compare", "zoo:vanderpol", "--steps", 200, "--tolerance", 1e-18)
    assert code == 1


def test_info_names_the_family_and_the_other_that_fits(run, data):
    code, out, _ = run("info", data / "lorenz_alrnn_m20_p2.pt")
    assert code == 0
    assert 'family="alrnn" (needs num_relu=...)' in out
    code, out, _ = run("info", data / "lorenz_alrnn_m20_p2.pt", "--family", "alrnn", "--num-relu", 2)
    assert "AlmostLinearRNN(20 states, 2 ReLU units" in out


def test_zoo_lists_and_writes(run, tmp_path):
    code, out, _ = run("zoo")
    assert code == 0
    assert all(name in out for name in rt.zoo.names())
    code, _, _ = run("zoo", "sliding", "-o", tmp_path / "s.npz")
    assert code == 0
    assert rt.load(tmp_path / "s.npz") == rt.zoo.load("sliding")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["convert", "nowhere.mat"], "nowhere.mat"),
        (["convert", "zoo:nothing"], "There is no zoo network 'nothing'"),
        (["convert", "zoo:lorenz", "--dt", "0.1"], "drop --dt"),
        (["convert", "zoo:lorenz", "--z0", "1,2"], "2 numbers; the model has 24 states"),
        (["convert", "zoo:lorenz", "--z0", "a,b"], "numbers separated by commas"),
        (["simulate", "zoo:lorenz", "--steps", "-1"], "whole number >= 0"),
        (["simulate", "zoo:lorenz", "-o", "orbit.txt"], ".npz or .csv"),
        (["simulate", "zoo:addition", "--inputs", "none.npy"], "none.npy"),
        (["simulate", "zoo:lorenz", "--switching", "sometimes"], "sometimes"),
        (["zoo", "lorenz"], "-o FILE.npz"),
        (["simulate", "zoo:lorenz", "--switching", "clock", "--per-step", "0"], "--per-step"),
        (["convert", "zoo:lorenz", "--steps", "0"], "at least one step"),
        (["compare", "zoo:lorenz", "--steps", "0"], "at least one step"),
        (["convert", "zoo:lorenz", "-o", "nowhere/x.npz"], "create it first"),
        (["convert", "zoo:lorenz", "-o", "x.mat"], ".npz"),
    ],
)
def test_wrong_use_ends_with_two_and_one_clear_line(run, args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*args)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_interrupting_leaves_no_file_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "retime", "convert", "zoo:lorenz", "--steps", "300000", "-o", "x.npz"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ,
        text=True,
    )
    time.sleep(4.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_heavy_library():
    code = "import sys; sys.argv = ['retime', '--help']\ntry:\n    import retime.cli; retime.cli.main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('numba', 'scipy', 'matplotlib', 'h5py') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
