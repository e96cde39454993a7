"""`retime circuit`, and netlists in place of weights files."""

import json

import numpy as np

import retime as rt


def test_a_circuit_is_printed_written_and_read_back(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rt.save(rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], time=rt.Discrete(0.1)), "net.npz")
    code, out, _ = run(
        "circuit", "net.npz", "-o", "net.cir", "--simulate", "kirchhoff", "--monte-carlo", 5, "--tolerance", "1%"
    )
    assert code == 0
    for text in (
        "Each step of the clock is one step of the map",
        "BillOfMaterials",
        "largest error",
        "5 samples",
        "Written: net.cir",
    ):
        assert text in out
    code, out, _ = run("info", "net.cir", "--json")
    assert code == 0
    assert (json.loads(out)["family"], json.loads(out)["states"]) == ("plrnn", 2)
    code, out, _ = run("circuit", "net.npz", "--json", "--simulate", "kirchhoff")
    assert json.loads(out)["simulation"]["relative_to_range"] < 1e-5
    np.testing.assert_array_equal(json.loads(out)["topology"], "sampled")


def test_parts_and_drawings_are_files_and_stdout_is_the_netlist(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("circuit", "zoo:chua_network", "-o", "parts.csv", "--level", "opamp", "--series", "E24")
    assert code == 0
    assert "op-amp" in (tmp_path / "parts.csv").read_text()
    code, out, _ = run("circuit", "zoo:chua_network", "-o", "-")
    assert out.startswith("* retime:")
    assert out.endswith(".end\n")


def test_wrong_use_says_what_to_do(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.cir").write_text("* t\nC1 a 0 1n\n.include /etc/passwd\n.end\n")
    assert run("analyze", "bad.cir")[0] == 2
    assert "line 3" in run("analyze", "bad.cir")[2]
    assert "drop --dt" in run("info", "bad.cir", "--dt", 1)[2]
    assert "--tolerance" in run("circuit", "zoo:relu", "--tolerance", "much")[2]
    assert run("circuit", "zoo:henon")[0] == 2
