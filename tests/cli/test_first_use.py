"""What a first user of the command line meets: versions, tables of their own, pipes, options of reading."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retime as rt
from retime.cli.commands import equations

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def leaky(tmp_path, rng):
    """Weights of a leaky or rate network without its leak, time constant and form."""
    path = tmp_path / "rate.npz"
    np.savez(path, W_rec=rng.normal(size=(3, 3)), W_in=rng.normal(size=(3, 2)), b=rng.normal(size=3))
    return path


def test_version_and_short_help(run):
    assert run("--version") == (0, f"retime {rt.__version__}\n", "")
    code, out, _ = run("-h")
    assert code == 0
    assert "cite" in out
    code, text, _ = run("analyze", "-h")
    assert code == 0
    assert "--tau" in text


def test_the_list_of_commands_is_not_cut_short(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    listed = run("-h")[1].split("Commands:")[1].strip().splitlines()
    assert len(listed) >= 10
    assert not [line for line in listed if line.endswith("...")]


def test_steps_are_those_asked_for_or_one_per_row_of_inputs(run, leaky, tmp_path):
    table = tmp_path / "drive.csv"
    table.write_text("a,b\n1,2\n3,4\n5,6\n")
    given = ("simulate", leaky, "--family", "rate_rnn", "--tau", "0.5", "--inputs", table, "--json")
    assert len(json.loads(run(*given)[1])["times"]) == 4
    assert len(json.loads(run(*given, "--steps", 2)[1])["times"]) == 3
    code, out, err = run(*given, "--steps", 5)
    assert (code, out) == (2, "")
    assert "--steps is 5, but" in err
    assert "has 3 rows" in err
    table.write_text("1\n2\n")
    code, _, err = run(*given)
    assert code == 2
    assert "has 1 columns; the model has 2 inputs" in err


def test_names_of_arrays_are_an_option(run, tmp_path, rng):
    W, U, c = rng.normal(size=(3, 3)) / 3, rng.normal(size=(2, 3)), rng.normal(size=3)
    np.savez(tmp_path / "theirs.npz", rec=W, drive=U, c=c, begin=np.ones(3))
    names = "W_rec=rec,W_in=drive.T,b=c,z0=begin"
    code, out, _ = run(
        "simulate", tmp_path / "theirs.npz", "--family", "tanh_rnn", "--names", names, "--steps", 2, "--json"
    )
    assert code == 0
    z = np.ones(3)
    for _ in range(2):
        z = np.tanh(W @ z + c)
    np.testing.assert_allclose(json.loads(out)["states"][-1], z, rtol=0, atol=1e-13)
    code, _, err = run("info", tmp_path / "theirs.npz", "--family", "tanh_rnn", "--names", "W_rec=wrong")
    assert code == 2
    assert "which is not in the file; it holds `rec` 3x3" in err
    assert run("info", tmp_path / "theirs.npz", "--names", "W_rec")[0] == 2


def test_one_of_several_networks_is_named_by_its_prefix(run, tmp_path, rng):
    theirs = {f"{name}.{key}": rng.normal(size=size) / 3
              for name in ("ema", "model") for key, size in (("A", 2), ("W", (2, 2)), ("h", 2), ("z0", 2))}  # fmt: skip
    np.savez(tmp_path / "two.npz", **theirs)
    assert run("info", tmp_path / "two.npz")[0] == 2
    code, out, _ = run("simulate", tmp_path / "two.npz", "--prefix", "model", "--steps", 1, "--json")
    assert code == 0
    z = theirs["model.z0"]
    wanted = theirs["model.A"] * z + theirs["model.W"] @ np.maximum(z, 0) + theirs["model.h"]
    np.testing.assert_allclose(json.loads(out)["states"], [z, wanted], rtol=0, atol=1e-13)


def test_tau_alpha_form_and_activation_are_options(run, leaky):
    code, out, _ = run("info", leaky, "--family", "rate_rnn", "--tau", "0.5", "--form", "rate", "--activation", "relu")
    assert code == 0
    assert "RateRNN(3 states, relu, rate" in out
    assert "tau dz/dt = -z + f(W_rec z + W_in s + b)" in out
    assert 'form="current"' not in out
    code, out, _ = run(
        "simulate", leaky, "--family", "leaky_rnn", "--alpha", "0.1,0.2,0.3", "--steps", 4, "--z0", "1,0,0", "--json"
    )
    assert code == 0
    with np.load(leaky) as w:
        model = rt.LeakyRNN(w["W_rec"], w["W_in"], w["b"], alpha=[0.1, 0.2, 0.3])
    assert model.form == "current"
    np.testing.assert_allclose(
        json.loads(out)["states"], rt.simulate(model, [1.0, 0, 0], steps=4).states, rtol=0, atol=1e-14
    )
    code, _, err = run("info", leaky, "--family", "rate_rnn", "--tau", "fast")
    assert (code, err) == (
        2,
        "retime: --tau is 'fast'; it must be numbers separated by commas, or a .csv or .npy file.\n",
    )


TABLES = {
    "comma, header": "in1,in2\n0.5,1\n-1,2e-1\n",
    "semicolon, decimal comma, header": "in1;in2\n0,5;1\n-1;0,2\n",
    "tabs": "0.5\t1\n-1\t0.2\n",
    "blanks, comment": "# pulses\n0.5 1\n-1 0.2\n",
    "quoted header, byte order mark": '\ufeff"in1","in2"\r\n0.5,1\r\n-1,0.2\r\n',
    "times first": "time,in1,in2\n0,0.5,1\n0.1,-1,0.2\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_inputs_are_read_as_people_write_them(run, leaky, tmp_path, kind):
    (tmp_path / "s.csv").write_text(TABLES[kind], encoding="utf-8")
    given = ["simulate", leaky, "--family", "leaky_rnn", "--alpha", 0.5, "--z0", "1,0,0", "--json"]
    code, out, err = run(*given, "--inputs", tmp_path / "s.csv")
    with np.load(leaky) as w:
        model = rt.LeakyRNN(w["W_rec"], w["W_in"], w["b"], alpha=0.5)
    want = rt.simulate(model, [1.0, 0, 0], steps=2, inputs=[[0.5, 1], [-1, 0.2]]).states
    assert code == 0
    np.testing.assert_allclose(json.loads(out)["states"], want, rtol=0, atol=1e-14)
    assert ("is not an input" in err) == (kind == "times first")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 of .* has 1 numbers, others have 2"),
        ("a,b\n1,2\n3,x\n", "line 3 of .* holds 'x', which is no number"),
        ("a,b\n1,nan\n", "entries that are no finite real numbers"),
        ("a,b\n", "holds no rows"),
        ("a,b,c\n1,2\n", "names 3 columns, the rows have 2"),
    ],
)
def test_a_table_that_is_none_is_refused_by_its_line(run, tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    code, _, err = run("simulate", "zoo:addition", "--inputs", tmp_path / "s.csv")
    assert code == 2
    assert re.search(message, err)


def test_a_state_is_read_from_the_columns_of_an_orbit(run, tmp_path):
    code, out, _ = run("simulate", "zoo:lorenz", "--steps", 3, "-o", "-")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.startswith("time,z1,z2")
    assert len(rows) == 4
    (tmp_path / "last.csv").write_text(f"{header}\n{rows[-1]}\n")
    code, out, _ = run("simulate", "zoo:lorenz", "--steps", 2, "--z0", tmp_path / "last.csv", "--json")
    entry = rt.zoo.entry("lorenz")
    want = rt.simulate(entry.model, entry.z0, steps=5).states[3:]
    np.testing.assert_allclose(json.loads(out)["states"], want, rtol=0, atol=1e-12)
    (tmp_path / "all.csv").write_text("\n".join([header, *rows]))
    code, _, err = run("simulate", "zoo:lorenz", "--z0", tmp_path / "all.csv")
    assert code == 2
    assert "holds 4 rows; keep the one that is meant" in err


def test_standard_output_takes_text_and_refuses_networks(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("compare", "zoo:vanderpol", "--steps", 5, "-o", "-")
    assert code == 0
    assert out.splitlines()[0] == "clock_one_step_error,clock_orbit_error,state_one_step_error,state_orbit_error"
    for args in (["convert", "zoo:vanderpol"], ["rescale", "zoo:vanderpol", "--factor", 2], ["zoo", "lorenz"]):
        code, out, err = run(*args, "-o", "-")
        assert (code, out) == (2, "")
        assert "-o - is standard output, which takes text" in err
    code, _, err = run("simulate", "zoo:lorenz", "-o", "-", "--json")
    assert code == 2
    assert "choose one" in err
    assert list(tmp_path.iterdir()) == []


def test_info_prints_every_line_of_an_equation(run, tmp_path, rng):
    n = 2
    gru = rt.GRU(rng.normal(size=(3 * n, n)), rng.normal(size=(3 * n, 1)), np.zeros(3 * n), np.zeros(3 * n))
    rt.save(gru, tmp_path / "gru.npz")
    code, out, _ = run("info", tmp_path / "gru.npz")
    assert code == 0
    for line in ("reset gate", "update gate", "reset_after=True", "z_{k+1} = (1 - u) * n + u * z_k"):
        assert line in out
    assert "reset_after=False" not in out
    shallow = rt.ShallowPLRNN([0.5], [[1.0]], [[1.0]], [0.0], [0.0], clipped=True)
    assert [x for x in equations(shallow) if "clipped" in x] == equations(shallow)
    assert len(equations(rt.PLRNN([0.5], [[0.0]], [0.0]))) == 1


def test_tables_of_the_command_line_fit_sixty_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    for args in (
        ["convert", "zoo:vanderpol", "--steps", 50],
        ["compare", "zoo:vanderpol", "--steps", 5],
        ["zoo"],
        ["info", "zoo:lorenz"],
    ):
        code, out, _ = run(*args)
        assert code == 0
        wide = [line for line in out.splitlines() if len(line) > 60]
        assert [line for line in wide if not line.startswith(("PLRNN(", "Equation:"))] == []


def test_what_to_cite_is_what_the_documents_say(run):
    code, out, _ = run("cite")
    assert code == 0
    bibliography = (ROOT / "docs" / "refs.bib").read_text(encoding="utf-8")
    for key in ("monfared2020", "caruso2023"):
        title = re.search(rf"{key},.*?title = {{(.*?)}},\n", bibliography, re.DOTALL)
        assert title[1] in out
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r'^title: "(.*)"', cff, re.M)[1] in out
    assert f"version = {{{rt.__version__}}}" in out
    assert set(json.loads(run("cite", "--json")[1])) == {"retime", "monfared2020", "caruso2023"}


def test_a_closed_pipe_ends_quietly():
    code = "import sys; sys.argv = ['retime', 'simulate', 'zoo:lorenz', '--steps', '3000', '-o', '-']; from retime.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    assert process.stdout.readline().startswith(b"time,z1")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.parametrize(("option", "value"), [("--time-limit", "-1"), ("--max-period", "-1"), ("--steps", "0")])
def test_errors_name_the_option_that_was_typed(run, option, value):
    status, _, error = run("analyze", "zoo:vanderpol", option, value)
    assert status == 2
    assert f"{option} is {value}" in error
    assert "`" not in error


def test_orbits_that_do_not_part_never_do(run):
    _, out, _ = run("compare", "zoo:vanderpol", "--steps", 20)
    row = next(line for line in out.splitlines() if line.startswith("first step apart"))
    assert row.split()[3] == "never"


def test_info_says_which_equation_a_map_steps_and_how_much_room_its_modes_have(run):
    code, text, _ = run("info", "zoo:vanderpol", "--json")
    steps = json.loads(text)["steps"]
    assert code == 0
    assert steps["Steps"].startswith("ZeroOrderHold() of PiecewiseAffineFlow, n = 1, t = 1, found")
    model = rt.zoo.load("vanderpol")
    z = [np.random.default_rng(0).normal(size=model.num_states)]
    for _ in range(19):
        z.append(model.step(z[-1]))
    largest = np.abs(np.linalg.eigvals(model.jacobian(np.array(z)))).max()
    assert steps["margin"] == pytest.approx(1 - largest)
