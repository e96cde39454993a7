"""`compare_dynamics`: what must agree does, what need not is measured."""

import json

import numpy as np
import pytest

import retime as rt


@pytest.fixture(scope="module")
def oscillator():
    """The shipped van der Pol network on its limit cycle, both sides."""
    model = rt.zoo.load("vanderpol")
    z0 = rt.simulate(model, np.zeros(model.num_states), steps=1000).states[-1]
    return model, rt.compare_dynamics(model, rt.to_continuous(model), z0, steps=2000, max_period=2, num=1)


def row(result, start):
    return next(r for r in result.rows if r.quantity.startswith(start))


@pytest.mark.slow
def test_the_clock_flow_agrees_in_everything_measured(oscillator):
    _, result = oscillator
    assert result.holds
    assert all(r.agrees for r in result.rows)


def test_the_state_flow_is_measured_to_be_slower_by_less_than_a_percent(oscillator):
    _, result = oscillator
    returns = row(result, "mean time between")
    assert 0 < returns.state_difference / returns.map < 0.01


def test_fixed_points_are_at_rest_under_both_rules(oscillator):
    model, result = oscillator
    drift = row(result, "largest drift")
    assert max(drift.clock, drift.state) < 1e-12
    np.testing.assert_array_equal(result.fixed_points[0].points, rt.find_fixed_points(model).points)


def test_a_cycle_closes_after_as_many_steps_of_the_clock_flow():
    model = rt.PLRNN([-0.5], [[-0.7]], [0.3], time=rt.Discrete(0.25))  # its 2-cycle is stable: slopes -0.5 and -1.2
    result = rt.compare_dynamics(model, rt.to_continuous(model), steps=200, max_period=2, num=1)
    assert [c.period for c in result.cycles] == [1, 2]
    cycle = row(result, "2-cycle")
    assert cycle.clock < 1e-12
    assert cycle.state > 1e-3  # it crosses the boundary within every step


@pytest.mark.slow
def test_a_flow_of_other_weights_does_not_pass(oscillator):
    """The same map with a flow whose regions were converted for slightly other weights: the check can fail."""
    model, _ = oscillator
    other = rt.PLRNN(model.A * 0.99, model.W, model.h, time=model.time, readout=model.readout)
    flow, stale = rt.to_continuous(model).model, rt.to_continuous(other).model
    patterns = np.unique(rt.simulate(model, np.zeros(model.num_states), steps=300).patterns, axis=0)
    flow._regions.update(zip((p.tobytes() for p in patterns), stale.convert(patterns), strict=True))
    result = rt.compare_dynamics(model, flow, steps=300, max_period=1, num=1)
    assert not result.holds


def test_basins_of_map_and_clock_flow_are_the_same():
    model = rt.PLRNN([1.5], [[-1.2]], [0.1])  # left of -0.2 to minus infinity, right of it to a stable point
    result = rt.compare_dynamics(model, rt.to_continuous(model), steps=50, max_period=1, num=1, basins=100, box=(-1, 1))
    assert row(result, "share of starts").clock == 1.0
    assert len(result.basins) == 3


def test_the_result_is_plain_data(oscillator):
    _, result = oscillator
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["holds"] is True
    assert "clock switching agrees" in repr(result)
    assert "<table>" in result._repr_html_()


def test_a_diverging_orbit_is_noted_and_errors_are_relative():
    model = rt.PLRNN([0.5], [[1.0]], [1.0])  # slope 1.5 for positive states: to infinity
    result = rt.compare_dynamics(model, rt.to_continuous(model), [0.3], steps=2000, max_period=1, num=1)
    assert "the map's orbit diverged" in result.message
    assert row(result, "largest error of one step").clock < 1e-12
    assert not [r for r in result.rows if r.quantity.startswith("mean time")]


def test_other_arguments_are_refused(oscillator):
    with pytest.raises(ValueError, match="compare_dynamics follows one orbit"):
        rt.compare_dynamics(oscillator[0], rt.to_continuous(oscillator[0]), np.zeros((2, 12)))
    model, _ = oscillator
    flow = rt.to_continuous(model).model
    with pytest.raises(TypeError, match="takes a piecewise-affine map first"):
        rt.compare_dynamics(flow, flow)
    with pytest.raises(TypeError, match="not a flow of this map"):
        rt.compare_dynamics(rt.PLRNN([0.5], [[0.1]], [0.0]), flow)


def test_state_switching_may_rest_where_the_map_does_not():
    model = rt.PLRNN([0.5, 0.2], [[1.1, -1.5], [-0.8, -0.9]], [0.1, -0.3])
    found = rt.compare_dynamics(model, rt.to_continuous(model), steps=50, max_period=1)
    row = next(r for r in found.rows if r.quantity == "fixed points")
    assert (row.map, row.clock, row.state) == (0, 0, 1)
    assert row.agrees
    assert "by sliding" in row.state_should


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("scale", "seed"), [(0.5, 0), (1.2, 3)])
def test_singular_regions_do_not_count_as_disagreement(scale, seed):
    """The map of a ReLU network takes directions to zero in one step, its regularized flow shrinks them by 2^-53."""
    g = np.random.default_rng(seed)
    W, b = g.normal(size=(4, 4)) * scale, g.normal(size=4)
    model = rt.ReluRNN(W, np.zeros((4, 0)), b)
    found = rt.compare_dynamics(model, rt.to_continuous(model), steps=500, num=4)
    assert found.holds
    dead = [r for r in found.rows if r.quantity.startswith("exponent") and np.isneginf(r.map)]
    assert dead
    assert all(np.isfinite(r.clock) and r.clock_should.startswith("finite") for r in dead)


def test_starts_that_are_not_decided_are_left_out_and_said():
    model = rt.PLRNN([0.5], [[-2.0]], [1.0], time=rt.Discrete(0.1))
    found = rt.compare_dynamics(
        model, rt.to_continuous(model), [0.3], steps=100, basins=10, box=[[-1.0, 2.0]], time_limit=1e-9
    )
    row = found.rows[-1]
    assert row.quantity == "share of starts on the same attractor"
    assert np.isnan(row.clock)
    assert row.agrees is None
    assert found.message.count("left out") == 3
