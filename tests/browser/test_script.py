"""The page's script without a browser: its units by Node's test runner against numbers of the library, its types, its assembly."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

import retime as rt
from retime.report import packing
from retime.report.findings import Findings, collect
from retime.report.live import live
from retime.report.page import MODULES, policy, script
from retime.report.views import Coordinates, drawn_rows

from .conftest import HERE

SOURCE = HERE.parents[1] / "src" / "retime" / "report" / "browser"


def networks():
    """One network of every family that is live, with inputs and a readout where that is something else."""
    g = np.random.default_rng(5)

    def some(*shape):
        return g.normal(size=shape) * 0.7

    n, m, hold = 4, 2, {"readout": (some(2, 4), some(2))}
    A, W, h, C = some(n), some(n, n), some(n), some(n, m)
    np.fill_diagonal(W, 0.0)
    yield rt.PLRNN(A, W, h, C, time=rt.Discrete(0.1), **hold)
    yield rt.ShallowPLRNN(A, some(n, 7), some(7, n), h, some(7), C)
    yield rt.ShallowPLRNN(A, some(n, 7), some(7, n), h, some(7), clipped=True)
    yield rt.AlmostLinearRNN(A, W, h, C, num_relu=2)
    yield rt.DendriticPLRNN(A, W, h, some(3), some(3, n))
    yield rt.ReluRNN(some(n, n), C, h)
    yield rt.TanhRNN(
        some(n, n), C, h, readout=rt.Readout(some(3, n), some(3), activation="softmax", rate="tanh", threshold=some(n))
    )
    yield rt.LeakyRNN(some(n, n), C, h, alpha=0.3, activation="softplus")
    yield rt.LeakyRNN(some(n, n), C, h, alpha=[0.1, 0.2, 0.3, 0.4], form="rate", activation="logistic")
    yield rt.RateRNN(some(n, n), C, h, tau=[1.0, 2.0, 3.0, 0.5])
    yield rt.RateRNN(some(n, n), C, h, tau=2.0, form="rate", activation="relu")
    yield rt.HopfieldNetwork(some(n, n), h, C, resistance=2.0, capacitance=0.5, gain=1.5)
    yield rt.GRU(some(12, n), some(12, m), some(12), some(12))
    yield rt.GRU(some(12, n), some(12, m), some(12), some(12), reset_after=False)
    yield rt.LSTM(some(8, 2), some(8, m), some(8), some(8))
    yield rt.LinearSystem(0.3 * some(n, n), h, C, D=some(2, m), time=rt.Discrete(0.1), **hold)
    yield rt.LinearSystem(some(n, n), h, C, time=rt.Continuous())
    yield rt.ContinuousPLRNN(A, W, h, C)


def prepared(model, z0, steps=30, inputs=None):
    """What the page holds of a network and its orbit."""
    s = np.full(model.num_inputs, 0.25) if inputs is None else inputs
    rows = np.tile(s, (steps, 1))
    given = rows if len(s) else None
    if isinstance(model.time, rt.Continuous):
        times = 0.01 * np.arange(steps + 1)
        held = rt.Inputs(times, np.vstack([rows, s]), hold="zero") if len(s) else None
        orbit = rt.simulate(model, z0, times=times, inputs=held)
    else:
        orbit = rt.simulate(model, z0, steps=steps, inputs=given)
    found = Findings()
    collect([model, orbit], found)
    found.__class__ = type("Held", (Findings,), {"inputs": s})  # under a constant input that is not zero
    kept = drawn_rows(orbit)
    frame = Coordinates(found, np.asarray(orbit.states)[kept], None)
    return found, live(found, frame, kept), orbit, s


def network_case(model):
    z0 = np.random.default_rng(1).normal(size=model.num_states)
    _, data, orbit, s = prepared(model, z0)
    given = s if len(s) else None
    states = orbit.states
    if isinstance(model.time, rt.Continuous):
        states = np.stack([states, [model.field(z, given) for z in states]], axis=1)
    held = np.zeros((0,)) if given is None else given
    return {
        "name": type(model).__name__, "live": data, "z0": z0, "states": states,
        "outputs": model.outputs(z0, held) if model.readout is not None else None,
        "pattern": "".join("01"[int(b)] for b in model.pattern(z0, given)) if "W1" in data["arrays"] else None,
        "jacobian": np.ravel(model.jacobian(z0, given)),
    }  # fmt: skip


def flow_case():
    model = rt.zoo.load("vanderpol")
    z0 = rt.zoo.entry("vanderpol").z0
    found = Findings()
    collect([rt.conversion_report(model, z0, steps=40), rt.simulate(model, z0, steps=40)], found)
    kept = drawn_rows(found.orbit)
    data = live(found, Coordinates(found, found.orbit.states, None), kept)
    return {"live": data, "z0": z0, "next": model.step(z0)}


def anchored_case():
    """A long orbit of a chaotic map whose states are kept now and then."""
    model = rt.zoo.load("lorenz")
    orbit = rt.simulate(model, rt.zoo.entry("lorenz").z0, steps=4000)
    found = Findings()
    collect([model, orbit], found)
    data = live(found, Coordinates(found, orbit.states, None), drawn_rows(orbit))
    return {"live": data, "every": 1, "orbit": [{"index": k, "state": orbit.states[k]} for k in (0, 1, 777, 3999)]}


def fixed_case():
    model = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2])
    point = rt.find_fixed_points(model)[0]
    _, data, _, _ = prepared(model, point.state + 0.1)
    zeros = np.zeros((2, 2))
    return {
        "live": data, "near": point.state + 0.3, "state": point.state, "stable": point.stable,
        "identity": packing.array(np.eye(2)), "zero": packing.array(zeros),
    }  # fmt: skip


def cases():
    g = np.random.default_rng(2)
    values = [g.normal(size=101), np.array([1e308, -1e308, 0.0]), np.array([3.0]), np.array([1e-300, 2e-300])]
    columns = [
        {"packed": packing.column(x, bits), "values": x, "off": 4.0 / 2**bits * np.ptp(x / 2) + 1e-15 * np.abs(x).max()}
        for x in values
        for bits in (12, 40)
    ]
    matrices = [g.normal(size=(n, n)) for n in (1, 2, 3, 8, 24, 40)]
    matrices += [
        np.zeros((3, 3)),
        np.eye(4),
        np.diag([1.0, 2.0], 1)[:3, :3],
        np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    ]
    return {
        "columns": columns,
        "arrays": [{"packed": packing.array(x), "values": np.ravel(x)} for x in (g.normal(size=(3, 2)), np.ones(4), np.zeros((2, 0)))],
        "spectra": [{"matrix": np.ravel(M), "n": len(M), "values": np.linalg.eigvals(M).astype(complex)} for M in matrices],
        "networks": [network_case(model) for model in networks()],
        "anchored": anchored_case(), "flow": flow_case(), "fixed": fixed_case(),
    }  # fmt: skip


@pytest.mark.slow
def test_units_by_nodes_own_test_runner(node, tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(rt.core.rendering.plain(cases())))
    run = subprocess.run(
        [node, "--test", str(HERE / "units.test.js")],
        capture_output=True,
        text=True,
        env={**os.environ, "RETIME_CASES": str(path)},
    )
    assert run.returncode == 0, run.stdout[-6000:]
    assert int(re.search(r"# pass (\d+)", run.stdout)[1]) == 12


@pytest.mark.slow
def test_types_are_checked(node, modules):
    run = subprocess.run(
        [node, str(modules / "typescript" / "bin" / "tsc"), "-p", str(HERE / "tsconfig.json")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[:4000]


def test_the_script_is_every_module_in_an_order_that_its_imports_allow():
    """And no name is defined twice, for all of them share one scope."""
    assert {p.stem for p in SOURCE.glob("*.js")} == {*MODULES}
    seen = set()
    for name in MODULES:
        text = (SOURCE / f"{name}.js").read_text(encoding="utf-8")
        assert {*re.findall(r'from "\./(\w+)\.js"', text)} <= seen, name
        seen.add(name)
    names = re.findall(r"^(?:const|let|class|function) (\w+)", script(), re.M)
    assert len(names) > 40
    assert len(names) == len({*names})
    assert not re.search(r"^(import|export) ", script(), re.M)


def test_the_script_cannot_run_text_or_fetch_anything():
    text = script().replace("http://www.w3.org/2000/svg", "")
    for name in (
        "eval(",
        "new Function",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "fetch(",
        "XMLHttp",
        "WebSocket",
    ):
        assert name not in text
    assert not re.search("https?:", text)
    assert "unsafe" not in policy()
    assert policy().startswith("default-src 'none';")
