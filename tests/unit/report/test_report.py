"""The page as a file: what is in it for which results, what is computed, and what goes wrong in which words."""

import html
import json
import re
from importlib import import_module

import numpy as np
import pytest

import retime as rt
from retime.report import Section, collect, findings
from retime.report.extras import table_section
from retime.report.findings import Findings
from retime.report.html import script_data


@pytest.fixture
def model():
    return rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], time=rt.Discrete(0.1))


def read(path):
    """The page's words, and its data."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    body = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", " ", body)), data


def ids(path):
    return re.findall(r'<section class="card wide" id="([\w-]+)"', path.read_text(encoding="utf-8"))


def test_a_network_is_analyzed_and_converted(model, tmp_path):
    path = rt.report(model, tmp_path / "page.html", z0=[0.3, 0.1], steps=60)
    words, data = read(path)
    assert ids(path) == ["points", "exponents", "regions", "conversion", "certificate"]
    found = rt.find_fixed_points(model)
    assert [p["kind"] for p in data["points"]] == list(found.kinds)
    np.testing.assert_allclose(data["points"][0]["state"], found.points[0], rtol=0, atol=1e-15)
    assert data["comparison"]["steps"] == 60
    assert data["live"]["kind"] == "affine"
    assert "Exact at every sample time" in words
    assert "retime 0." in words


def test_results_that_are_there_are_not_computed_again(model, tmp_path, monkeypatch):
    parts = [rt.analyze(model, [0.3, 0.1], steps=60), rt.conversion_report(model, [0.3, 0.1], steps=20)]
    for name in ("analyze", "conversion_report", "to_continuous"):
        monkeypatch.setattr(findings, name, lambda *_, **__: pytest.fail("computed again"))
    _, data = read(rt.report(parts, tmp_path / "page.html"))
    assert data["orbit"]["count"] == 61
    assert data["comparison"]["steps"] == 20


def test_one_result_alone_makes_a_page(model, tmp_path):
    path = tmp_path / "page.html"
    for result, wanted in (
        (rt.find_fixed_points(model), "points"),
        (rt.find_cycles(rt.PLRNN([-1.5], [[0.0]], [0.3]), 2), None),
        (rt.lyapunov_spectrum(model, [0.3, 0.1], steps=60), "exponents"),
        (rt.to_continuous(model).certificate, "certificate"),
        (rt.simulate(model, [0.3, 0.1], steps=60), "regions"),
        (rt.compare(model, rt.to_continuous(model).model, [0.3, 0.1], steps=9), "comparison"),
        (rt.scan(model, "A[0, 0]", [0.3, 0.4]), "scan"),
        (rt.ode_form(model), "odeform"),
    ):
        rt.report(result, path)
        assert wanted is None or wanted in [x.replace("-", "") for x in ids(path)], (wanted, ids(path))


@pytest.mark.slow
def test_a_training_and_a_circuit_bring_their_network_and_a_section_of_their_own(tmp_path):
    series = rt.simulate(rt.zoo.load("vanderpol"), rt.zoo.entry("vanderpol").z0, steps=60).outputs
    fit = rt.fit(series, family="plrnn", num_states=3, epochs=1, batches=2, batch_size=2, sequence=10)
    words, data = read(
        rt.report(
            [fit, rt.to_circuit(rt.TanhRNN([[0.5]], None, [0.1]))], tmp_path / "page.html", steps=40, time_limit=5
        )
    )
    assert data["sections"]["fit"]["curves"]["x"] == [row["step"] for row in fit.history]
    assert data["sections"]["circuit"]["netlist"].startswith("*")
    assert "held out" in words
    assert "Netlist" in words
    assert data["live"]["kind"] == "affine"


def test_a_table_of_runs_is_a_section_and_a_kind_can_be_registered(model, tmp_path):
    class Runs(rt.core.result.Result):
        table = ({"seed": 1, "loss": 0.5, "status": "done"}, {"seed": 2, "error": "<b>"})

    collect.register(Runs, lambda runs, found: found.add(table_section("runs", "Runs", runs.table)))
    path = rt.report([model, Runs(), Runs()], tmp_path / "page.html", steps=20, z0=[0.3, 0.1])
    assert ids(path)[-3:] == ["runs", "runs-2", "certificate"]
    text = path.read_text(encoding="utf-8")
    assert "&lt;b&gt;" in text
    assert read(path)[1]["sections"]["runs"]["rows"][0] == {"seed": 1, "loss": 0.5, "status": "done"}


@pytest.mark.slow
def test_a_smooth_map_says_that_no_equation_is_claimed(tmp_path):
    words, data = read(rt.report(rt.TanhRNN([[0.5]], None, [0.1]), tmp_path / "page.html", steps=9, time_limit=1))
    assert "no differential equation of its size" in words
    assert data["comparison"] is None


def test_a_linear_map_is_converted_as_a_whole(tmp_path):
    model = rt.LinearSystem([[0.5, -0.2], [0.2, 0.5]], [0.1, 0.0], np.zeros((2, 0)), time=rt.Discrete(0.1))
    assert "Conversion:" in read(rt.report(model, tmp_path / "page.html", steps=40, z0=[1.0, 0.0]))[0]


def test_a_family_that_the_page_cannot_step_says_so(tmp_path):
    half = rt.Map(lambda z: 0.5 * z, 2)
    orbit = rt.simulate(half, [1.0, 2.0], steps=3)
    _, data = read(rt.report([half, orbit], tmp_path / "page.html"))
    assert data["live"] == {"reason": "the page's script has no equation for the family Map"}


def test_weights_that_are_large_are_left_out_unless_asked_for(tmp_path):
    g = np.random.default_rng(0)
    model = rt.TanhRNN(g.normal(size=(200, 200)) / 30, None, np.zeros(200))
    orbit = rt.simulate(model, g.normal(size=200), steps=5)
    path = tmp_path / "page.html"
    assert "live=True puts them in" in read(rt.report([model, orbit], path))[1]["live"]["reason"]
    assert read(rt.report([model, orbit], path, live=True))[1]["live"]["kind"] == "rate"
    assert read(rt.report([model, orbit], path, live=False))[1]["live"]["reason"] == "live=False left its weights out"


def test_a_page_is_the_same_for_the_same_results_but_for_times_of_work(model, tmp_path):
    parts = [model, rt.simulate(model, [0.3, 0.1], steps=60), rt.find_fixed_points(model)]
    first = rt.report(parts, tmp_path / "a.html").read_bytes()
    assert first == rt.report(parts, tmp_path / "b.html").read_bytes()


def test_an_orbit_that_diverges_is_drawn_as_far_as_it_can_be(tmp_path):
    words, data = read(rt.report(rt.PLRNN([3.0], [[0.0]], [1.0]), tmp_path / "page.html", z0=[1.0], steps=2000))
    assert "diverged" in words
    assert 2 < data["orbit"]["drawn"] < 400
    assert data["orbit"]["cut"]


def test_huge_weights_make_a_page_without_what_is_no_number(tmp_path):
    path = rt.report(rt.PLRNN([0.5], [[1e300]], [1e300]), tmp_path / "page.html", z0=[1.0], time_limit=5)
    text = re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)[1]
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_nothing_is_left_of_a_page_that_could_not_be_made(model, tmp_path, monkeypatch):
    (tmp_path / "page.html").write_text("before")
    monkeypatch.setattr(import_module("retime.report.write"), "page", lambda *_, **__: "\ud800")  # cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        rt.report(rt.find_fixed_points(model), tmp_path / "page.html")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("page.html", "before")]


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [("no/page.html", OSError, "folder"), ("page.pdf", ValueError, "`path` is .*written as .html")],
)
def test_where_it_cannot_be_written_is_told_before_the_work(path, error, words, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "analyze", lambda *_, **__: pytest.fail("worked"))
    with pytest.raises(error, match=words):
        rt.report(rt.PLRNN([0.5], [[0.0]], [0.1]), tmp_path / path)


def test_json_in_a_script_element_cannot_end_it():
    text = script_data({"a": "</script><!-- & \u2028\u2029", "b": [float("nan"), float("inf"), 1e300]})
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028\u2029", "b": [None, None, 1e300]}


def test_a_section_escapes_its_title():
    assert "<b>" not in Section('a"b', "<b>", "").html


def test_the_module_does_not_hide_the_verb():
    import retime.report

    assert retime.report is rt.report
    assert callable(rt.report)
    assert isinstance(Findings(), Findings)
