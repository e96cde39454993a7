"""Every result of a verb, and every part of it, is plain data for JSON, a short text, a table for notebooks, a picture or none."""

import json
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import isfunction
from tempfile import TemporaryDirectory
from typing import get_args, get_type_hints

import numpy as np
import pytest

import retime as rt
from retime import plots
from retime.core.result import Result
from retime.core.searched import Searched
from retime.core.system import System
from retime.io.native import methods

LINES = 12
UNDRAWN = {  # what has no picture of its own, and why
    "Agreement": "three numbers beside each other",
    "BillOfMaterials": "a table",
    "Certificate": "sentences",
    "Condition": "a sentence and a number",
    "Conversion": "a model and its certificate: the orbits of both are compared by `compare`",
    "ConversionReport": "a table and words; the orbits of both are compared by `compare`",
    "DynamicsComparison": "a table; its parts are drawn",
    "EntropyRate": "a number",
    "Event": "a point of its scan, which draws it",
    "History": "drawn by the exponents, with history=True",
    "Interchange": "two models and their difference",
    "Multistart": "thresholds",
    "ODEForm": "a table; its field and its cell are systems",
    "Part": "a line of the parts list",
    "Plane": "drawn by the basins on it",
    "RegionFlow": "matrices",
    "Settling": "thresholds",
    "StateSpaceDivergence": "a number",
}


def results():
    """One result of each verb, on networks of two units."""
    h = np.array([0.5, -0.25])
    model = rt.PLRNN(np.array([0.5, 0.4]), np.array([[0.0, -1.0], [0.9, 0.0]]), h, time=rt.Discrete(0.1))
    flow = rt.to_continuous(model)
    z0 = [0.3, 0.1]
    path = rt.simulate(model, z0, steps=60)
    linear = rt.LinearSystem(-np.eye(2), h, np.zeros((2, 0)), time=rt.Continuous())
    yield flow
    yield flow.model.region(np.array([True, False]))
    yield path
    yield rt.compare(model, flow.model, z0, steps=5)
    yield rt.conversion_report(flow, z0, steps=5)
    yield rt.compare_dynamics(model, flow, z0, steps=50, num=1, max_period=1)
    yield rt.analyze(model, z0, steps=60, max_period=2)
    yield rt.find_basins(model, (-2, 2), num=8, slice=(0, 1), resolution=4)
    yield rt.find_cycles(rt.PLRNN(np.array([-1.5]), np.array([[0.0]]), np.array([0.0])), 2)
    yield rt.find_fixed_points(rt.PLRNN(np.ones(1), np.zeros((1, 1)), np.zeros(1)))  # a continuum
    yield rt.find_fixed_points(model)
    yield rt.find_fixed_points(rt.TanhRNN([[0.5]], None, [0.1]), num_starts=4)
    yield rt.lyapunov_spectrum(model, z0, steps=60)
    yield rt.max_exponent(model, z0, steps=60)
    yield rt.scan(model, "A[0, 0]", (-1.5, 0.5), attractor=0)
    yield rt.stability_map(
        model, ("A[0, 0]", "A[1, 1]"), (np.linspace(-1.5, 0.5, 3), np.linspace(-0.5, 0.5, 3)), steps=50
    )
    yield rt.stability_region(rt.Euler())
    yield rt.interchange(linear, "rescale", "discretize", dt=0.1, factor=2.0, method=rt.Euler())
    yield rt.rescale_time(model, 2.0)
    yield rt.visited_regions(path)
    yield rt.boundary_distance(model, path)
    yield rt.enumerate_regions(model, (-2, 2))
    yield rt.state_space_divergence(path.states, path.states[::-1])
    yield rt.spectral_distance(path.states, path.states[::-1])
    quick = {"epochs": 1, "batches": 1, "batch_size": 2, "sequence": 10}
    yield rt.fit(path.states, family="plrnn", num_states=2, **quick)
    yield rt.ode_form(model)
    yield rt.cell_stability(model, states=path.states)
    yield rt.learn.FlipFlop(num_bits=1, steps=20)
    circuit = rt.to_circuit(model)
    yield circuit
    yield circuit.bill_of_materials()
    yield circuit.monte_carlo(4)
    with TemporaryDirectory() as folder:
        yield rt.sweep(dict, [{"x": 4.0}], folder=folder, client=0)


INNER = {"Netlist", "NetworkForm"}  # what a circuit is made of: told as text by `netlist()`, as a model by `model`


def is_part(x):
    is_record = (is_dataclass(x) or hasattr(x, "_fields")) and type(x).__name__ not in INNER
    is_ours = type(x).__module__.startswith("retime.") and type(x) not in methods().values()
    return is_record and is_ours and not isinstance(x, (System, Searched))


def parts(x):
    """A result, its parts, and theirs."""
    if is_part(x):
        yield x
        for name in getattr(x, "_fields", None) or [*(f.name for f in fields(x)), "certificate"]:
            yield from parts(getattr(x, name, None))
    if isinstance(x, (tuple, list)) or (isinstance(x, Result) and hasattr(x, "__getitem__")):
        for y in [*x][:20]:
            yield from parts(y)


@cache
def found():
    """One object of each class."""
    return {type(x).__name__: x for result in results() for x in parts(result)}


def keeps_the_law(x):
    try:
        text = json.dumps(x.to_dict(), allow_nan=False)
        is_told = isinstance(x, Result) and 0 < len(repr(x).splitlines()) <= LINES and x._repr_html_().startswith("<")
    except (AttributeError, TypeError, ValueError):
        return False
    return is_told and len(text) > 2


def test_every_verb_is_here():
    hints = [get_type_hints(getattr(rt, name)).get("return") for name in rt.__all__ if isfunction(getattr(rt, name))]
    classes = {c for hint in hints for c in (*get_args(hint), hint) if isinstance(c, type) and is_dataclass(c)}
    others = (System, *methods().values())
    ours = {c.__name__ for c in classes if not issubclass(c, others) and not c.__module__.startswith("retime.io")}
    assert len(ours) > 15
    assert ours - found().keys() == set()


def test_results_and_their_parts_are_told_in_json_text_and_html():
    assert {name for name, x in found().items() if not keeps_the_law(x)} == set()


def test_results_are_drawn_by_a_function_of_plots_or_say_that_there_is_none():
    kinds = {type(x) for x in found().values() if isinstance(x, Result)}
    assert {c._plot for c in kinds if c._plot} <= set(plots.__all__)
    assert {c.__name__ for c in kinds if not c._plot} == UNDRAWN.keys()
    with pytest.raises(TypeError, match=r"Condition has no picture of its own; see `retime\.plots`"):
        found()["Condition"].plot()


def test_a_value_that_is_not_finite_is_none_in_json():
    assert json.loads(json.dumps(found()["StabilityRegion"].to_dict())) == {
        "method": "Euler()",
        "real_limit": 2.0,
        "imaginary_limit": 0.0,
    }
    assert rt.stability_region(rt.ExponentialEuler()).to_dict()["real_limit"] is None


def test_a_batch_of_trajectories_is_a_table_of_its_members(tmp_path):
    path = rt.simulate(rt.PLRNN(np.array([0.5]), np.zeros((1, 1)), np.zeros(1)), [[1.0], [2.0]], steps=2)
    lines = path.to_csv(tmp_path / "path.csv").read_text().splitlines()
    assert lines == ["time,member,z1", "0.0,0,1.0", "0.0,1,2.0", "1.0,0,0.5", "1.0,1,1.0", "2.0,0,0.25", "2.0,1,0.5"]
