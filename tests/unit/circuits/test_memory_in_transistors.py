"""The flip-flop of the zoo as a circuit of parts that can be bought: it keeps its memories."""

import shutil

import numpy as np
import pytest

import retime as rt


def memories(model):
    found = rt.find_fixed_points(model, complete=False)
    return found.points[found.stable]


def bits(model, states):
    return np.sign(model.outputs(states))


@pytest.fixture(scope="module")
def built():
    """The network, its memories, and its circuit of transistors."""
    model = rt.zoo.load("flip_flop_rate")
    points = memories(model)
    return model, points, rt.to_circuit(model, level="transistor", states=points)


@pytest.mark.slow
def test_it_has_the_eight_corners_of_a_cube(built):
    model, points, _ = built
    assert len({tuple(row) for row in bits(model, points)}) == len(points) == 8
    assert np.abs(np.abs(model.outputs(points)) - 1).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "celsius", "allowed"), [("opamp", 27.0, 1e-3), ("transistor", -40.0, 1e-2), ("transistor", 85.0, 1e-2)]
)
def test_circuits_of_e96_parts_keep_all_memories_and_stay_with_the_equation(built, level, celsius, allowed):
    model, points, circuit = built
    if level == "opamp":
        circuit = rt.to_circuit(model, level=level, states=points)
    points = points if level == "opamp" else points[::3]
    times, starts = np.linspace(0, 200 * model.tau, 21), points + 0.3
    want = rt.simulate(model, starts, times=times).states
    got = circuit.at_temperature(celsius).simulate(starts, times, backend="kirchhoff").states
    assert np.abs(got - want).max() <= allowed * np.ptp(points)
    assert (bits(model, got[-1]) == bits(model, points)).all()


@pytest.mark.slow
def test_samples_at_one_percent_and_three_millivolts_keep_a_memory(built):
    model, points, circuit = built
    start = points[0] + 0.3
    found = circuit.monte_carlo(
        200, tolerance=0.01, offset=3e-3, z0=start, times=np.linspace(0, 200 * model.tau, 21), points=points,
        check=lambda z: bool((bits(model, z[-1]) == bits(model, points[0])).all()),
    )  # fmt: skip
    assert found.num_survived >= 198
    assert np.isfinite(found.fixed_points).all()
    assert found.stable.all()


@pytest.mark.slow
def test_memories_are_kept_from_minus_forty_to_eighty_five_degrees(built):
    model, points, circuit = built
    for celsius in (-40.0, 27.0, 85.0):
        kept = memories(circuit.at_temperature(celsius).model)
        assert {tuple(r) for r in bits(model, kept)} == {tuple(r) for r in bits(model, points)}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ngspice"), reason="needs ngspice (apt-get install ngspice)")
def test_a_pulse_writes_a_memory_into_heated_transistors(built):
    model, points, circuit = built
    before, after = points[0], np.array(bits(model, points[0]))
    after[1] *= -1
    drive = rt.Inputs([0.0, 20.0, 50.0], [[0.0] * 3, [0.0, after[1], 0.0], [0.0] * 3])
    times = np.linspace(0, 300, 61)
    got = circuit.at_temperature(85.0).simulate(before, times, inputs=drive, backend="ngspice", timeout=300)
    want = rt.simulate(model, before, times=times, inputs=drive)
    assert (np.sign(got.outputs[-1]) == after).all()
    assert np.abs(got.states - want.states).max() <= 2e-2 * np.ptp(points)
