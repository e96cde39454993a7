"""What is saved is loaded bit for bit."""

import numpy as np
import pytest

import retime as rt
from families import CASES, MAP_NAMES, make


@pytest.mark.parametrize("readout", [False, True])
@pytest.mark.parametrize(("name", "base"), CASES)
def test_saved_model_loads_as_itself(name, base, readout, rng, tmp_path):
    model, _ = make(name, rng, base=base, readout=readout, dt=0.1 + 0.2)
    again = rt.load(rt.save(model, tmp_path / "model.npz"))
    assert type(again) is type(model)
    assert again == model
    assert again.time == model.time
    assert (again.readout is None) == (not readout)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_saved_flow_loads_as_itself_and_moves_alike(name, rng, tmp_path):
    model, _ = make(name, rng, readout=True)
    flow = rt.PiecewiseAffineFlow(model, rt.MatrixLog(), throw=False)
    z, s = rng.normal(size=4), rng.normal(size=(10, 2))
    want = rt.simulate(flow, z, steps=10, inputs=s)
    again = rt.load(rt.save(flow, tmp_path / "flow.npz"))
    assert again == flow
    got = rt.simulate(again, z, steps=10, inputs=s)
    np.testing.assert_array_equal(got.states, want.states)
    np.testing.assert_array_equal(got.outputs, want.outputs)


def test_tolerance_of_the_conversion_method_is_saved(rng, tmp_path):
    flow = rt.to_continuous(make("plrnn", rng)[0], method=rt.MatrixLog(tolerance=1e-9)).model
    assert rt.load(rt.save(flow, tmp_path / "flow.npz")).method == rt.MatrixLog(tolerance=1e-9)


def test_feedthrough_of_a_linear_system_is_saved(rng, tmp_path):
    model = rt.LinearSystem([0.5], [1.0], [[2.0]], readout=[[1.0]], D=[[3.0]])
    assert rt.load(rt.save(model, tmp_path / "m.npz")) == model


def test_extreme_numbers_survive_the_file(tmp_path):
    values = np.array([5e-324, -0.0, np.nextafter(1, 2), 1.7e308])
    model = rt.PLRNN(values, np.zeros((4, 4)), values, time=rt.Discrete(np.nextafter(0.1, 1)))
    again = rt.load(rt.save(model, tmp_path / "m.npz"))
    assert again.h.tobytes() == values.tobytes()
    assert again.dt == np.nextafter(0.1, 1)
