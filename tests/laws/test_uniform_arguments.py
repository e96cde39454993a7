"""Every verb answers a bad argument in the same way: which one, what came, what is wanted; and takes a conversion for its model.

The table is made from the signatures of the public verbs: a new verb, or a new argument of one, fails until it is in it.
"""

import re
from functools import cache
from inspect import isfunction, signature
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import retime as rt

WANTED = r"must|takes? |pass |give |needs? |writes |has A, W"


@cache
def things():
    """Small systems of every kind that some verb takes, made once."""
    tent = rt.PLRNN([0.5], [[-1.0]], [0.5], [[1.0]], time=rt.Discrete(0.1))
    pair = rt.PLRNN([0.5, 0.4], [[0.0, -1.0], [0.9, 0.0]], [0.5, -0.2], [[1.0], [0.0]], time=rt.Discrete(0.1))
    decay = rt.LinearSystem([[-1.0]], [0.5], [[1.0]], time=rt.Continuous())
    elman = rt.TanhRNN([[0.5]], [[1.0]], [0.1])
    path = rt.simulate(tent, [0.3], steps=40)
    return {
        "tent": tent, "pair": pair, "decay": decay, "elman": elman, "path": path, "flow": rt.to_continuous(tent),
        "field": rt.VectorField(lambda z: -z, 1),
        "matrices": ([[-1.0]], [[1.0]], [[1.0]], [[0.0]]), "sampled": ([[0.5]], [[1.0]], [[1.0]], [[0.0]], 0.1),
    }  # fmt: skip


@cache
def folder():
    """Where pages are written, made once."""
    made = TemporaryDirectory()
    things()[""] = made  # kept for as long as this module
    return made.name


def calls():
    """A short call of every verb: arguments by name."""
    x = things()
    tent, path = x["tent"], x["path"]
    box, z0, series = (-2.0, 2.0), [0.3], path.states
    return {
        "analyze": {"model": tent, "z0": z0, "steps": 20, "max_period": 1, "basins": 2, "box": box},
        "boundary_distance": {"model": tent, "trajectory": path},
        "c2d": {"system": x["matrices"], "dt": 0.1},
        "cell_stability": {"model": tent},
        "compare": {"model": tent, "other": x["flow"].model, "z0": z0, "steps": 3},
        "compare_dynamics": {"model": tent, "conversion": x["flow"], "z0": z0, "steps": 20, "num": 1, "max_period": 1},
        "conversion_report": {"model": tent, "z0": z0, "steps": 3},
        "d2c": {"system": x["sampled"]},
        "enumerate_regions": {"model": tent, "box": box},
        "fit": {"series": series, "family": "plrnn", "num_states": 1, "epochs": 1, "batches": 1, "batch_size": 2, "sequence": 8},
        "train": {"task": rt.learn.FlipFlop(num_bits=1, steps=6, pulse=1, delay=0, gap=(0, 1)), "num_states": 2, "updates": 1,
                  "batch_size": 2, "held_out": 2},
        "find_basins": {"model": tent, "box": box, "num": 2, "steps": 40},
        "find_cycles": {"model": tent, "max_period": 1, "num_starts": 2},
        "find_fixed_points": {"model": tent},
        "interchange": {"model": x["decay"], "first": "rescale", "second": "discretize", "dt": 0.1, "factor": 2.0, "method": "euler"},
        "linearize": {"model": tent, "at": z0},
        "lyapunov_spectrum": {"model": tent, "z0": z0, "steps": 20},
        "max_exponent": {"model": tent, "z0": z0, "steps": 20},
        "max_stable_dt": {"model": x["decay"], "method": "euler", "at": z0},
        "ode_form": {"model": tent},
        "rescale_time": {"model": tent, "factor": 2.0},
        "report": {"model_or_results": tent, "path": f"{folder()}/page.html", "z0": z0, "steps": 20},
        "retime_to": {"model": tent, "new_dt": 0.2},
        "read_circuit": {"netlist": "* a decay\nR1 a 0 1k\nC1 a 0 1u\n.end\n"},
        "to_circuit": {"model": tent, "level": "opamp"},
        "scan": {"model": tent, "parameter": "h[0]", "values": [0.4, 0.5]},
        "simulate": {"model": tent, "z0": z0, "steps": 3},
        "spectral_distance": {"reference": series, "generated": series[::-1]},
        "stability_map": {"model": x["pair"], "parameters": ("h[0]", "h[1]"), "values": ([0.4, 0.5], [0.1]), "steps": 8},
        "stability_region": {"method": rt.Euler()},
        "state_space_divergence": {"reference": series, "generated": series[::-1]},
        "sweep": {"function": dict, "cases": [{"x": 4.0}], "folder": "out", "client": 0},
        "to_continuous": {"model": tent},
        "to_discrete": {"model": x["decay"], "dt": 0.1, "method": "euler"},
        "to_keras": {"model": x["elman"]},
        "to_torch": {"model": x["elman"]},
        "visited_regions": {"trajectory": path},
        "save": {"model": tent, "path": "tent.npz"},
        "load": {"path": "tent.npz"},
    }  # fmt: skip


NUMBER = ["1", None, float("nan"), -1.0]
COUNT = [-1, 1.5, True, "2"]
BAD = {
    "model_or_results": ["net.mat", None, 3, [3], []],
    "labels": ["x", 3, ["x", "y"], [1.0]],
    "model": ["net.mat", None, 3],
    "other": ["net.mat", 3],
    "conversion": [3, "flow"],
    "system": ["a", 3],
    "trajectory": ["a", [[0.0]]],
    "z0": ["a", ["0.3"], [0.1, 0.2, 0.3], [float("nan")], [1j]],
    "at": ["a", ["0.3"], [0.1, 0.2, 0.3], [float("nan")]],
    "inputs": ["a", ["0.3"], [[[[0.1]]]], [float("nan")]],
    "starts": ["a", [["0.3"]], [[0.1, 0.2, 0.3]], [[float("nan")]]],
    "states": ["a", [["0.3"]], [[0.1, 0.2, 0.3]], [[float("nan")]]],
    "seed": [-1, 1.5, True, "0", np.random.default_rng(0)],
    "time_limit": [0, -1, float("nan"), True, "60"],
    "node_limit": [-1, float("nan"), True, "60"],
    "switching": ["clocked", 1, True],
    "box": [(1.0, -1.0), (0.0, 0.0, 0.0), ("0", "1"), (0.0, float("inf")), "all", 3],
    "steps": COUNT,
    "num": COUNT,
    "basins": COUNT,
    "num_starts": COUNT,
    "max_period": [-1, float("nan"), True, "2"],
    "max_regions": COUNT,
    "attractor": COUNT,
    "bins": COUNT,
    "samples": COUNT,
    "resolution": COUNT,
    "slice": [3, (0, 0), ("a", "b")],
    "settling": ["quickly", 3],
    "shooting": ["quickly", 3],
    "duration": [0.0, -1.0, True, "3"],
    "dt": ["1", float("nan"), -1.0, 0.0],
    "new_dt": [*NUMBER, 0.0],
    "factor": ["2", float("nan"), -1.0, 0.0],
    "dt_rescaled": ["1", float("nan"), -1.0],
    "prewarp_frequency": ["1", float("nan"), -1.0],
    "delay": ["1", float("nan"), -1.0],
    "alpha": ["1", float("nan"), -1.0],
    "bandwidth": NUMBER,
    "tolerance": ["1", float("nan"), -1.0],
    "transient": ["1", float("nan"), -1.0],
    "smoothing": ["1", float("nan"), -1.0],
    "cutoff": ["1", float("nan"), -1.0],
    "times": ["a", [1.0, 0.0], [], [float("nan")]],
    "values": ["a", [1.0, 0.0], ["0.1", "0.2"], []],
    "reference": ["a", [["1"], ["2"]], [[float("nan")]] * 3],
    "generated": ["a", [["1"], ["2"]], [[float("nan")]] * 3],
    "parameter": ["nothing", 3],
    "parameters": ["h[0]", 3],
    "period": ["a", -1.0],
    "first": ["melt", 3],
    "second": ["melt", 3],
    "method": ["guess", 3],
    "multistart": ["guess", 3],
    "continuation": ["guess", 3],
    "integrator": ["guess", 3],
    "convention": ["mine", 3],
    "family": ["Perceptron"],
    "path": [3],
    "dtype": ["int8"],
    "task": ["flipflop", 3],
    "series": ["a", ["b"]],  # and tests/unit/learn; of a circuit: preferred values
    "num_states": [0, *COUNT],
    "updates": [0, *COUNT],
    "epochs": [0, *COUNT],
    "batches": [0, *COUNT],
    "batch_size": [0, *COUNT],
    "sequence": [0, *COUNT],
    "every": [0, *COUNT],
    "patience": [0, *COUNT],
    "held_out": [0, *COUNT],
    "noise": ["1", float("nan"), -1.0],
    "state_noise": ["1", float("nan"), -1.0],
    "weight_decay": ["1", float("nan"), -1.0],
    "rate_penalty": ["1", float("nan"), -1.0],
    "learning_rate": ["1", float("nan"), -1.0, 0.0],
    "clip": [*NUMBER, 0.0],
    "gain": [*NUMBER, 0.0],
    "initial": ["zeros", 3],
    "signs": ["a", [1.0, 0.0, 2.0]],
    "constraint": ["orthogonal", 3],
    "forcing": ["sparse", 3],
    "netlist": [3, "no_such_file.cir"],
    "topology": ["star", 3],
    "level": ["cmos", 3],
    "temperature": ["27", float("nan"), -300.0],
    "volts_per_unit": ["1", float("nan"), -1.0, 0.0],
    "seconds_per_unit": ["1", float("nan"), -1.0, 0.0],
    "capacitor": ["1", float("nan"), -1.0, 0.0],
    "regularization": ["manifold", 3],
    "observation": ["log", 3],
    "function": ["run", 3, None],
    "cases": ["seeds", 3, {"seed": 0}, []],  # and tests/unit/sweep
    "folder": [3, None],
    "client": [-1, 1.5, True],
    "retries": COUNT,
    "timeout": ["1", float("nan"), -1.0, 0.0],
}  # fmt: skip
UNCHECKED = {
    "complete": "a flag",
    "throw": "a flag",
    "located": "a flag",
    "certificate": "a flag",
    "missing": "a flag",
    "resume": "a flag",
    "again": "a flag",
    "standardize": "a flag",
    "optimizer": "an object of Optax",
    "checkpoint": "a path: tests/unit/learn",
    "options": "those of another verb, or of a family, which checks them",
    "solver": "an object of Diffrax, for smooth flows only: tests/unit/simulation",
    "prefix": "a name inside a file: tests/unit/io",
    "names": "names inside a file: tests/unit/io",
    "title": "any text",
    "about": "any text",
    "command": "any text",
    "live": "a flag",
    "check": "outputs to compare with: tests/unit/io",
}
NEEDS = {  # what an argument means something with
    ("c2d", "alpha"): {"method": "gbt"},
    ("d2c", "alpha"): {"method": "gbt"},
    ("c2d", "prewarp_frequency"): {"method": "tustin"},
    ("d2c", "prewarp_frequency"): {"method": "tustin"},
    ("state_space_divergence", "bandwidth"): {"method": "gmm"},
    ("find_basins", "duration"): {"model": "decay", "steps": None},
    ("analyze", "duration"): {"model": "decay"},
    ("find_fixed_points", "period"): {"model": "elman"},
    ("to_continuous", "states"): {"method": "euler-field"},
    ("to_continuous", "inputs"): {"method": "euler-field", "states": [[0.3]]},
    ("to_discrete", "inputs"): {"states": [[0.3]]},
    ("retime_to", "inputs"): {"states": [[0.3]]},
    ("lyapunov_spectrum", "times"): {"model": "decay", "steps": None},
    ("simulate", "times"): {"model": "decay", "steps": None},
    ("compare", "times"): {"model": "decay", "steps": None},
    ("lyapunov_spectrum", "tolerance"): {"model": "field", "steps": None, "times": [0.0, 1.0]},
    ("simulate", "tolerance"): {"model": "field", "steps": None, "times": [0.0, 1.0]},
    ("load", "family"): {"path": "weights.npz"},
}


def verbs():
    """Public functions by name; `Heun` and the like make a method."""
    return {n: getattr(rt, n) for n in rt.__all__ if isfunction(getattr(rt, n)) and n[0].islower()}


def arguments():
    """Every argument of every verb."""
    return [(verb, name) for verb, f in verbs().items() for name in signature(f).parameters]


def checked():
    """Those that may be wrong."""
    return [(v, n) for v, n in arguments() if n in BAD]


def test_the_table_holds_every_verb_and_every_argument():
    assert calls().keys() == verbs().keys()
    assert {name for _, name in arguments()} == BAD.keys() | UNCHECKED.keys()


def came(value):
    """What a message may say of a value: itself, its type, its shape, or an entry of it."""
    shown = [
        repr(value),
        f"{value}",
        type(value).__name__,
        "shape",
        "nan",
        "inf",
        "complex",
        "type <U",
        "empty",
        "increasing",
    ]
    return "|".join(map(re.escape, shown))


@pytest.mark.parametrize(("verb", "name"), checked())
def test_a_bad_argument_is_named_with_what_came_and_what_is_wanted(verb, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("weights.npz", A=[0.5], W=[[0.0]], h=[0.1])
    given = calls()[verb] | NEEDS.get((verb, name), {})
    if isinstance(given.get("model"), str):
        given["model"] = things()[given["model"]]
    assert BAD[name]
    for value in BAD[name]:
        with pytest.raises((ValueError, TypeError, rt.RetimeError)) as caught:
            verbs()[verb](**given | {name: value})
        text = str(caught.value)
        assert re.search(rf"`{name}\b", text), (value, text)
        assert re.search(came(value), text), (value, text)
        assert re.search(WANTED, text), (value, text)


@pytest.mark.parametrize("verb", [v for v, n in arguments() if n == "model"])
def test_a_conversion_is_taken_wherever_its_model_is(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if verb == "to_torch":
        pytest.importorskip("torch")
    given = calls()[verb]
    held = rt.to_continuous(things()["tent"]).certify
    wrapped = {k: type(things()["flow"])(v, held) for k, v in given.items() if k in ("model", "other")}
    wanted, got = verbs()[verb](**given), verbs()[verb](**given | wrapped)
    assert type(got) is type(wanted)
    told = [x.to_dict() if hasattr(x, "to_dict") else repr(x) for x in (wanted, got)]
    for x in told:
        if isinstance(x, dict):
            x.pop("seconds", None)
    assert told[0] == told[1]


@pytest.mark.parametrize(("verb", "name"), [(v, n) for v, n in arguments() if n in ("seed", "time_limit")])
def test_none_means_no_limit_and_other_random_numbers(verb, name):
    assert verbs()[verb](**calls()[verb] | {name: None}) is not None


def test_a_box_is_two_numbers_or_the_ends_of_every_state():
    model = things()["pair"]
    rows = [[-1.0, 2.0], [-3.0, 4.0]]
    for box in (
        rows,
        np.array(rows),
        ((-1.0, 2.0), (-3.0, 4.0)),
        rt.simulate(model, [[-0.25, -1.25], [1.25, 2.25]], steps=0),
    ):
        np.testing.assert_array_equal(rt.find_basins(model, box, num=2, steps=4).box, rows)
    np.testing.assert_array_equal(rt.find_basins(model, (-1, 2), num=2, steps=4).box, [[-1.0, 2.0]] * 2)
    np.testing.assert_array_equal(
        rt.find_basins(model, ([-1, -3], 4.0), num=2, steps=4).box, [[-1.0, 4.0], [-3.0, 4.0]]
    )
    with pytest.raises(
        ValueError, match=r"`box` is a tuple of two vectors, .*: write \[\[-1.0, 2.0\], \[0.0, 4.0\]\] for the first"
    ):
        rt.find_basins(model, ([-1.0, 2.0], [0.0, 4.0]), num=2, steps=4)
