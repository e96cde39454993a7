"""Bounds of the states of smooth families against long orbits; searches confined to them."""

import numpy as np
import pytest

import retime as rt
from retime.core.reachability import Box, relaxed


def networks(rng):
    """Maps and flows with bounds, of 4 units and 2 inputs, by name."""
    W, U, b = 2 * rng.normal(size=(4, 4)), rng.normal(size=(4, 2)), rng.normal(size=4)

    def gates(k):
        return (
            2 * rng.normal(size=(4 * k, 4)),
            rng.normal(size=(4 * k, 2)),
            rng.normal(size=4 * k),
            rng.normal(size=4 * k),
        )

    lstm, gru = rt.LSTM(*gates(4)), rt.GRU(*gates(3))
    above = rt.LSTM(2 * rng.normal(size=(12, 3)), rng.normal(size=(12, 4)), rng.normal(size=12), np.zeros(12))
    return {
        "tanh": rt.TanhRNN(W, U, b),
        "gru": gru,
        "gru_before": rt.GRU(*gates(3), reset_after=False),
        "lstm": lstm,
        "leaky_rate": rt.LeakyRNN(W, U, b, alpha=0.3, form="rate"),
        "leaky_current": rt.LeakyRNN(W, U, b, alpha=[0.2, 0.5, 1.0, 1.6], form="current"),
        "leaky_overshooting": rt.LeakyRNN(W, U, b, alpha=1.9, activation="logistic", form="rate"),
        "leaky_softplus": rt.LeakyRNN(W, U, b - 5.0, alpha=0.5, activation="softplus", form="rate"),
        "rate": rt.RateRNN(W, U, b, tau=[0.5, 1.0, 2.0, 3.0], form="rate", activation="logistic"),
        "current": rt.RateRNN(W, U, b, tau=0.7),
        "hopfield": rt.HopfieldNetwork(W, b, U, resistance=[0.5, 1.0, 2.0, 3.0], gain=4.0),
        "stacked": rt.StackedRNN([lstm, above]),
    }  # fmt: skip


NAMES, FLOWS = list(networks(np.random.default_rng(0))), ["rate", "current", "hopfield"]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FLOWS])
def test_late_states_of_maps_lie_between_the_bounds(rng, name):
    model, s = networks(rng)[name], rng.normal(size=2)
    far = (
        1.0 if name.startswith("gru") else 30.0
    )  # far outside the gates of a GRU shut, and it does not move in double precision
    z = far * rng.uniform(-1.0, 1.0, (16, model.num_states))
    for _ in range(250):
        z = model.step(z, s)
    box = model.reachable(Box.at(s))
    for _ in range(50):
        z = model.step(z, s)
        assert box.contains(z).all()


@pytest.mark.parametrize("name", FLOWS)
def test_fields_of_flows_point_into_the_bounds(rng, name):
    model, s = networks(rng)[name], rng.normal(size=2)
    box = model.reachable(Box.at(s))
    z = rng.uniform(box.low - 10.0, box.high + 10.0, (64, 4))
    rate = model.field(z, s)
    assert (rate[z > box.high] < 0).all()
    assert (rate[z < box.low] > 0).all()
    assert (z > box.high).any()
    assert (z < box.low).any()


@pytest.mark.parametrize("name", ["tanh", "gru", "leaky_rate", "rate"])
def test_bounds_are_those_of_the_nonlinearity(rng, name):
    model = networks(rng)[name]
    box = model.reachable(Box.at(np.zeros(2)))
    np.testing.assert_array_equal(box.high, np.ones(4))
    np.testing.assert_array_equal(box.low, np.full(4, 0.0 if name == "rate" else -1.0))


def test_the_bound_of_a_cell_is_reached_by_a_cell_without_recurrence():
    b = np.array([0.3, 1.2, 0.8, 0.1])  # i, f, g, o
    model = rt.LSTM(np.zeros((4, 1)), np.zeros((4, 1)), b, np.zeros(4))
    i, f, g = 1 / (1 + np.exp(-b[0])), 1 / (1 + np.exp(-b[1])), np.tanh(b[2])
    box = model.reachable(Box.at(np.zeros(1)))
    np.testing.assert_allclose([box.low[1], box.high[1]], i * g / (1 - f), rtol=1e-14)
    np.testing.assert_allclose(rt.find_fixed_points(model).points[0, 1], i * g / (1 - f), rtol=1e-12)


def test_a_leak_between_one_and_two_reaches_its_bound():
    """z' = -0.9 z + 1.9 d, d in [-1, 1], driven by the sign that takes it farthest: z ends at +-19."""
    box = relaxed(Box.of(-1.0, 1.0, 1), np.array([1.9]))
    z = 0.0
    for _ in range(400):
        z = -0.9 * z - 1.9 * np.sign(z if z else 1.0)
    np.testing.assert_allclose([box.high[0], -box.low[0]], abs(z), rtol=1e-12)


@pytest.mark.parametrize("leak", [2.0, 2.5])
def test_a_leak_of_two_or_more_has_no_bound(leak):
    box = relaxed(Box.of(-1.0, 1.0, 1), np.array([leak]))
    assert np.isinf(box.low).all()
    assert np.isinf(box.high).all()


def test_families_without_bounds_say_so(rng):
    for model in (
        rt.TanhRNN(rng.normal(size=(2, 2)), np.zeros((2, 0)), np.zeros(2), time=rt.Continuous()),
        rt.RateRNN(rng.normal(size=(2, 2)), None, np.zeros(2), tau=1.0, activation="linear"),
        rt.Map(lambda z: 0.5 * z, 2),
    ):
        box = model.reachable(Box.at(np.zeros(0)))
        assert np.isinf(np.concatenate(box)).all()


def test_a_box_is_mapped_to_the_box_around_its_corners(rng):
    M, offset, box = rng.normal(size=(3, 2)), rng.normal(size=3), Box(np.array([-1.0, 0.5]), np.array([2.0, 0.7]))
    corners = np.array([[x, y] for x in (-1.0, 2.0) for y in (0.5, 0.7)]) @ M.T + offset
    image = box.mapped(M, offset)
    np.testing.assert_allclose(image.low, corners.min(axis=0), atol=1e-14)
    np.testing.assert_allclose(image.high, corners.max(axis=0), atol=1e-14)


def saturated_gru(rng):
    """A GRU with strong update gates: |F(z) - z| is small far outside [-1, 1], where gates are shut."""
    H = 8
    return rt.GRU(
        2 * rng.normal(size=(3 * H, H)), rng.normal(size=(3 * H, 2)), rng.normal(size=3 * H), rng.normal(size=3 * H)
    )


@pytest.mark.slow
def test_slow_points_of_a_gru_lie_where_its_states_can_be_and_others_are_counted():
    found = [rt.find_fixed_points(saturated_gru(np.random.default_rng(k)), num_starts=60) for k in range(2)]
    assert sum(f.outside for f in found) >= 1
    for f in found:
        assert np.abs(f.slow_points).max(initial=0.0) <= 1.0 + 1e-8
        assert np.abs(f.points).max(initial=0.0) <= 1.0 + 1e-8
        if f.outside:
            assert f"{f.outside} slow point" in f.message
            assert f.to_dict()["outside"] == f.outside


def test_starts_of_the_search_are_confined(monkeypatch):
    from retime.analysis.fixed_points import multistart

    model, seen = saturated_gru(np.random.default_rng(1)), []
    follow = multistart.follow

    def watched(problem, starts, *rest):
        seen.append(np.abs(starts).max())
        return follow(problem, starts, *rest)

    monkeypatch.setattr(multistart, "follow", watched)
    rt.find_fixed_points(model, num_starts=60)
    assert len(seen) >= 1
    assert max(seen) <= 1.0
