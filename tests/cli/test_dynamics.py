"""`retime analyze`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import retime as rt


@pytest.fixture
def file(tmp_path):
    """A network of one unit with a stable 2-cycle around an unstable fixed point."""
    return rt.save(rt.PLRNN([-0.5], [[-0.7]], [0.3], time=rt.Discrete(0.5)), tmp_path / "net.npz")


def test_analyze_prints_every_part_and_a_summary(run, file):
    code, text, _ = run("analyze", file, "--steps", 500, "--basins", 50)
    assert code == 0
    for part in (
        "FixedPoints: 1 fixed point, 0 stable",
        "Cycles: 2 found (1 of them fixed), 1 stable",
        "LyapunovSpectrum",
        "Basins",
        "Regions: 2",
    ):
        assert part in text
    assert "it ends on a cycle of 2 steps" in " ".join(text.split())


def test_analyze_gives_all_numbers_as_json(run, file):
    code, text, _ = run("analyze", file, "--steps", 500, "--json")
    data = json.loads(text)
    assert code == 0
    model = rt.load(file)
    assert data["fixed_points"]["points"] == rt.find_fixed_points(model).points.tolist()
    assert [c["period"] for c in data["cycles"]["cycles"]] == [1, 2]
    assert data["cycles"]["complete_up_to"] == 4
    want = np.log(0.6) / 2 / 0.5  # slopes -0.5 and -1.2, dt 0.5
    assert data["exponents"]["exponents"][0] == pytest.approx(want, abs=1e-9)


def test_analyze_of_the_flow_reports_rates(run, file):
    code, text, _ = run("analyze", file, "--switching", "clock", "--steps", 100, "--json")
    data = json.loads(text)
    assert code == 0
    assert [c["period"] for c in data["cycles"]["cycles"]] == [0.5, 1.0]
    assert data["fixed_points"]["eigenvalues"][0][0][0] == pytest.approx(np.log(1.2) / 0.5)


def test_analyze_writes_fixed_points_as_a_table(run, file, tmp_path):
    out = tmp_path / "points.csv"
    code, text, _ = run("analyze", file, "--steps", 20, "--max-period", 0, "-o", out)
    header, row = out.read_text().splitlines()
    assert code == 0
    assert f"Written: {out}" in text
    point = rt.find_fixed_points(rt.load(file)).points[0]
    assert [
        float(dict(zip(header.split(","), row.split(","), strict=True))[f"z{k + 1}"]) for k in range(len(point))
    ] == point.tolist()


@pytest.mark.parametrize("suffix", [".json", ".png"])
def test_analyze_writes_numbers_or_a_picture(run, file, tmp_path, suffix):
    out = tmp_path / f"analysis{suffix}"
    code, text, _ = run("analyze", file, "--steps", 200, "-o", out)
    assert code == 0
    assert f"Written: {out}" in text
    head = out.read_bytes()[:8]
    assert head == b"\x89PNG\r\n\x1a\n" if suffix == ".png" else json.loads(out.read_text())["behavior"]


def test_analyze_exits_with_1_when_the_proof_did_not_finish(run, file):
    code, text, _ = run("analyze", file, "--time-limit", "1e-9")
    assert code == 1
    assert "not complete: time ended" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--time-limit", -1), "--time-limit is -1.0; it must be a number of seconds > 0"),
        (("--inputs", "1,2"), "--inputs has 2 numbers; the model has 0 inputs"),
        (("--steps", 0), "--steps is 0"),
        (("-o", "analysis.txt"), "it is written as .json or .csv or .png or .pdf or .svg"),
    ],
)
def test_analyze_refuses_with_a_reason(run, file, arguments, message):
    code, _, err = run("analyze", file, *arguments)
    assert code == 2
    assert message in " ".join(err.split())
