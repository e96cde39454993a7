"""`retime sweep`: a plan, a folder of weights files, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import retime as rt
from retime.sweep import read_sweep


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "cli_work.py").write_text(
        "import time\ndef run(seed):\n    if seed == 1: raise ValueError('one is bad')\n    time.sleep(seed // 10)\n    return 2 * seed\n"
    )
    (tmp_path / "plan.toml").write_text('function = "cli_work.py:run"\nfolder = "out"\n[grid]\nseed = [0, 1, 2]\n')
    return tmp_path / "plan.toml"


def test_a_plan_is_run_and_a_failed_case_is_exit_code_1(run, plan, tmp_path):
    code, text, _ = run("sweep", plan, "--workers", 0, "-o", tmp_path / "table.csv")
    assert code == 1
    assert "cli_work.run, 2 of 3 cases completed, 1 failed; seed=1: ValueError: one is bad" in " ".join(text.split())
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == "seed,status,seconds,value,error"
    code, text, _ = run("sweep", plan, "--workers", 0, "--json")
    assert [row.get("value") for row in json.loads(text)["table"]] == [0, None, 4]


def test_a_folder_of_weights_files_is_one_table_and_what_changes_is_done_again(run, tmp_path):
    nets = tmp_path / "nets"
    (nets / "deep").mkdir(parents=True)
    rt.save(rt.PLRNN([0.5], [[-1.0]], [0.5]), nets / "tent.npz")
    rt.save(rt.PLRNN([0.5], [[0.0]], [0.0]), nets / "deep" / "decay.npz")
    (nets / "junk.npz").write_bytes(b"junk")
    given = ("sweep", "--analyze", nets, "--workers", 0, "--steps", 50, "--json")
    code, text, _ = run(*given)
    rows = {os.path.basename(row["file"]): row for row in json.loads(text)["table"]}
    assert code == 1
    assert "expected one of the supported formats" in rows["junk.npz"]["error"]
    (found,) = rt.find_fixed_points(rt.load(nets / "tent.npz")).points
    assert np.isclose(found, 0.5 / 1.5).all()
    tent = rows["tent.npz"]
    assert (tent["fixed_points"], tent["stable_points"], tent["proven"]) == (1, 1, True)
    assert rows["decay.npz"]["largest_exponent"] == pytest.approx(np.log(0.5))
    seconds = rows["decay.npz"]["seconds"]
    rt.save(rt.PLRNN([0.25], [[-1.0]], [0.5]), nets / "tent.npz")
    (nets / "junk.npz").unlink()
    code, text, _ = run(*given)
    rows = {os.path.basename(row["file"]): row for row in json.loads(text)["table"]}
    assert code == 0
    assert rows["tent.npz"]["largest_exponent"] == pytest.approx(np.log(0.75))
    assert rows["decay.npz"]["seconds"] == seconds  # it was not run again
    assert (tmp_path / "nets-analyses" / "sweep.json").exists()


def test_wrong_use_is_exit_code_2(run, plan, tmp_path):
    assert run("sweep")[0] == 2
    code, _, text = run("sweep", plan, "--workers", 1, "--scheduler", "tcp://a:1")
    assert (code, "--workers are of this machine" in text) == (2, True)
    code, _, text = run("sweep", "--analyze", tmp_path / "none")
    assert (code, "must be a folder of weights files" in text) == (2, True)


@pytest.mark.slow
def test_ctrl_c_leaves_a_folder_that_the_same_command_goes_on_with(plan, tmp_path):
    pytest.importorskip("distributed")
    plan.write_text('function = "cli_work.py:run"\nfolder = "out"\n[grid]\nseed = [0, 2, 5000, 6000, 7000]\n')
    command = [sys.executable, "-m", "retime", "sweep", str(plan), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len([*(tmp_path / "out" / "cases").glob("*.json")]) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "2 of 5 cases completed, 3 not run yet (interrupted)" in " ".join(out.split())
    assert [row["status"] for row in read_sweep(tmp_path / "out").table] == ["completed"] * 2 + ["pending"] * 3
    plan.write_text('function = "cli_work.py:run"\nfolder = "out"\n[grid]\nseed = [0, 2, 3]\n')
    assert subprocess.run([*command[:-1], "0"], check=False, capture_output=True).returncode == 0
