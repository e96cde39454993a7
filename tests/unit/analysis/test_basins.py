"""Basins whose boundaries are known in closed form, and orbits that must not be taken for what they are not."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.analysis.basins import dynamics, find
from retime.analysis.basins.bounded_sets import Family, drifts
from retime.analysis.basins.endings import Known
from retime.analysis.basins.find import find_basins
from retime.analysis.basins.result import Plane
from retime.analysis.basins.settling import Settling
from retime.core.errors import ShapeError
from retime.core.patience import Patience


def scalar_plrnn(A, W, h):
    """z' = A z + W relu(z) + h."""
    return rt.PLRNN([A], [[W]], [h])


def bistable():
    """z' = 0.5 z - 1 for z <= 0, 2.5 z - 1 on [0, 1], 0.5 z + 1 for z >= 1: stable -2 and 2, boundary at 2 / 3."""
    return rt.ShallowPLRNN([0.5], [[2.0, -2.0]], [[1.0], [1.0]], [-1.0], [0.0, -1.0])


def kinds(found):
    return [a.kind for a in found.attractors]


def test_a_contracting_map_attracts_everything_to_its_fixed_point(rng):
    A = 0.5 * np.linalg.qr(rng.normal(size=(3, 3)))[0]
    b = rng.normal(size=3)
    found = find_basins(rt.LinearSystem(A, b, np.zeros((3, 0))), (-5, 5), num=200)
    assert kinds(found) == ["fixed_point"]
    one = found.attractors[0]
    assert (one.fraction, one.standard_error, one.count, one.period) == (1.0, 0.0, 200, 1)
    assert np.abs(one.points[0] - np.linalg.solve(np.eye(3) - A, b)).max() <= 1e-12
    assert abs(one.largest - 0.5) <= 1e-12
    assert one.interval[0] == pytest.approx(200 / (200 + 1.959964**2), abs=1e-6)


def test_an_expanding_map_diverges_from_everywhere():
    found = find_basins(rt.LinearSystem([1.1, 2.0], [0.3, 0.0], np.zeros((2, 0))), (-1, 1), num=100)
    assert kinds(found) == ["diverged"]
    assert found.attractors[0].fraction == 1.0
    assert found.attractors[0].points.shape == (0, 2)


def test_a_slow_expansion_is_not_bounded():
    found = find_basins(rt.LinearSystem([1.002], [0.0], np.zeros((1, 0))), (-1, 1), num=50)
    assert kinds(found) == ["diverged"]


def test_every_start_is_on_its_side_of_the_boundary_of_a_bistable_map():
    found = find_basins(bistable(), (-4, 4), num=1000)
    stable = np.array([a.points[0, 0] for a in found.attractors])
    assert sorted(np.round(stable, 12)) == [-2.0, 2.0]
    assert np.array_equal(stable[found.labels], np.where(found.starts[:, 0] > 2 / 3, 2.0, -2.0))
    want = (2 / 3 + 4) / 8
    lower = found.attractors[int(np.argmin(stable))]
    assert abs(lower.fraction - want) <= 4 * lower.standard_error
    assert lower.interval[0] < want < lower.interval[1]


def test_standard_errors_are_the_scatter_over_seeds():
    fractions, errors = [], []
    for seed in range(60):
        found = find_basins(bistable(), (-4, 4), num=100, steps=100, seed=seed)
        lower = min(found.attractors, key=lambda a: a.points[0, 0])
        fractions.append(lower.fraction)
        errors.append(lower.standard_error)
    # the scatter of 60 runs is known to 1 / sqrt(120) = 9 %
    assert np.std(fractions, ddof=1) == pytest.approx(np.mean(errors), rel=0.3)


@pytest.mark.slow
def test_a_flow_with_two_wells_is_halved_and_the_slow_passage_between_is_no_attractor():
    model = rt.VectorField(lambda z: z - z**3, 1)
    found = find_basins(model, (-1.5, 1.5), num=60, duration=40.0)
    assert kinds(found) == ["fixed_point", "fixed_point"]
    right = next(a for a in found.attractors if a.points[0, 0] > 0)
    assert abs(right.fraction - 0.5) <= 3 * right.standard_error
    assert abs(right.points[0, 0] - 1) <= 1e-12
    assert abs(right.largest + 2) <= 1e-12
    assert np.array_equal(
        np.sign(found.starts[:, 0]), np.array([a.points[0, 0] for a in found.attractors]).round()[found.labels]
    )


def test_a_start_on_the_ridge_is_undecided_not_a_fixed_point():
    ridge = find_basins(rt.LinearSystem([2.0], [0.0], np.zeros((1, 0))), [[0, 0]], num=3, steps=20)
    assert kinds(ridge) == ["undecided"]


def test_a_map_with_a_two_cycle():
    # z' = 1 - 1.5 z for z > 0 else 1 + 0.4 z: the fixed point 0.4 repels, the 2-cycle has multiplier -0.6
    found = find_basins(scalar_plrnn(0.4, -1.9, 1.0), (-3, 3), num=300)
    assert kinds(found) == ["cycle"]
    cycle = found.attractors[0]
    assert cycle.period == 2
    assert cycle.fraction == 1.0
    # x > 0 > y: y = 1 - 1.5 x, x = 1 + 0.4 y
    x = 1.4 / 1.6
    assert np.abs(np.sort(cycle.points[:, 0]) - [1 - 1.5 * x, x]).max() <= 1e-12
    assert abs(cycle.largest - 0.6) <= 1e-12


def test_a_two_cycle_beside_a_fixed_point():
    # z' = -g(z) with g odd, steep at 0 and saturating: fixed point of the shifted branch on the right of 5
    def f(z):
        return jnp.where(
            z < 5, jnp.where(jnp.abs(z) < 1, -1.5 * z, -jnp.sign(z) * (1.2 + 0.3 * jnp.abs(z))), 8 + 0.5 * (z - 8)
        )

    found = find_basins(rt.Map(f, 1), (-4.9, 10), num=1000, steps=200)
    assert sorted(kinds(found)) == ["cycle", "fixed_point"]
    cycle = next(a for a in found.attractors if a.kind == "cycle")
    # x = 1.2 + 0.3 x
    assert np.abs(np.abs(cycle.points) - 1.2 / 0.7).max() <= 1e-12
    assert np.array_equal(found.starts[:, 0] < 5, np.array(kinds(found))[found.labels] == "cycle")


def test_chaos_is_one_bounded_attractor_and_the_rest_escapes():
    henon = rt.Map(lambda z: jnp.stack([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]]), 2)
    found = find_basins(henon, (-2, 2), num=150)
    assert sorted(kinds(found)) == ["bounded", "diverged"]
    chaos = next(a for a in found.attractors if a.kind == "bounded")
    assert 0.2 < chaos.fraction < 0.8
    assert np.abs(chaos.points[:, 1]).max() <= 0.386  # 0.3 times the attractor's reach in x, 1.2854


@pytest.mark.slow
def test_a_limit_cycle_is_found_within_the_default_horizon_and_has_its_period():
    # in the corners of the box the Jacobian is ten times as large as on the cycle
    vdp = rt.VectorField(lambda z: jnp.stack([z[1], 3 * (1 - z[0] ** 2) * z[1] - z[0]]), 2)
    found = find_basins(vdp, (-3, 3), num=6)
    assert kinds(found) == ["cycle"]
    cycle = found.attractors[0]
    assert (cycle.fraction, found.message) == (1.0, "")
    assert abs(cycle.period - 8.8590954997) <= 1e-8  # digits given; SciPy at 1e-13 has the same
    assert np.abs(cycle.points[:, 0]).max() == pytest.approx(2.0233, abs=1e-3)  # its amplitude; sampled
    assert "cycle of period 8.8591" in repr(cycle)
    assert "8.8590955" in repr(found)
    assert isinstance(found.to_dict()["attractors"][0]["period"], float)
    # a quarter of this horizon is shorter than the period, the windows of the retries are not
    short = find_basins(vdp, (-3, 3), num=6, duration=30.0)
    assert [a.name for a in short.attractors] == [cycle.name]


@pytest.mark.slow
def test_a_cycle_beside_an_equilibrium_has_its_multiplier_and_its_basin():
    # dr/dt = 0.1 r (r^2 - 1/4) (1 - r^2), dangle/dt = s: stable r = 0 and 1, boundary 1/2, slope -0.15 at 1
    def field(z, s):
        r2 = z @ z
        return 0.1 * (r2 - 0.25) * (1 - r2) * z + s[0] * jnp.stack([-z[1], z[0]])

    found = find_basins(rt.VectorField(field, 2, 1), (-1.5, 1.5), num=40, inputs=[1.0])
    assert kinds(found) == ["cycle", "fixed_point"]
    assert np.array_equal(found.labels == 1, np.linalg.norm(found.starts, axis=1) < 0.5)
    cycle = found.attractors[0]
    assert abs(cycle.period - 2 * np.pi) <= 1e-8
    assert abs(cycle.largest - np.exp(-0.3 * np.pi)) <= 1e-6  # by differences of orbits
    assert np.abs(np.linalg.norm(cycle.points, axis=1) - 1).max() <= 1e-8
    assert isinstance(found.attractors[1].period, float)


def test_a_limit_cycle_of_a_continuous_plrnn_closes_and_two_frequencies_do_not():
    A, W, h = np.array([-1.0, -1.0]), np.array([[2.5, -4.0], [4.0, 0.5]]), np.array([1.0, -1.0])
    model = rt.ContinuousPLRNN(A, W, h)
    found = find_basins(model, (-3, 3), num=10)
    assert kinds(found) == ["cycle"]
    cycle = found.attractors[0]
    end = rt.simulate(model, cycle.points[0], times=[0.0, cycle.period]).states[-1]
    assert np.abs(end - cycle.points[0]).max() <= 1e-9
    q, O = np.sqrt(2), np.zeros((2, 2))
    pair = rt.ContinuousPLRNN(np.append(A, q * A), np.block([[W, O], [O, q * W]]), np.append(h, q * h))
    torus = find_basins(pair, (-3, 3), num=5)
    assert [(a.kind, a.period) for a in torus.attractors] == [("bounded", 0)]


@pytest.mark.slow
def test_the_lorenz_attractor_is_one_bounded_set_and_no_transient():
    def field(z):
        return jnp.stack([10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]])

    model, box = rt.VectorField(field, 3), [[-20, 20], [-30, 30], [0, 50]]
    found = find_basins(model, box, num=3)
    assert (kinds(found), found.message) == (["bounded"], "")
    short = find_basins(model, box, num=2, duration=2.0)
    assert kinds(short)[0] in ("bounded", "undecided")
    assert "transient" not in short.message


def test_what_stays_undecided_is_explained():
    found = find_basins(rt.ContinuousPLRNN([0.0], [[0.0]], [1.0]), (1, 2), num=2)  # dz/dt = 1
    assert kinds(found) == ["undecided"]
    assert "2 undecided neither arrived at an attracting point" in found.message
    assert "the default `duration` is a guess" in found.message
    assert "give a longer `duration` than 200" in found.message


def test_a_continuous_plrnn_is_followed_as_a_flow():
    # dz/dt = -z + 0.5 relu(z) + 1: equilibrium 2, rate -0.5
    found = find_basins(rt.ContinuousPLRNN([-1.0], [[0.5]], [1.0]), (-3, 3), num=50)
    assert kinds(found) == ["fixed_point"]
    assert abs(found.attractors[0].points[0, 0] - 2) <= 1e-12
    assert abs(found.attractors[0].largest + 0.5) <= 1e-12


def test_a_converted_flow_has_the_basins_of_its_map():
    model = bistable()
    flow = rt.to_continuous(model).model
    a, b = (find_basins(x, (-4, 4), num=200, steps=100) for x in (model, flow))
    assert np.array_equal(a.labels, b.labels)
    assert [x.points.tolist() for x in a.attractors] == [x.points.tolist() for x in b.attractors]


def test_a_state_switched_flow_rests_where_its_map_does():
    flow = rt.to_continuous(scalar_plrnn(0.5, 0.2, 1.0)).model
    found = find_basins(flow, (0.5, 6), num=20, switching="state", duration=100.0)
    assert kinds(found) == ["fixed_point"]
    assert abs(found.attractors[0].points[0, 0] - 1 / 0.3) <= 1e-9


def test_a_state_switched_flow_rests_on_a_boundary_where_its_regions_push_against_each_other():
    # -1.5 z + 1 has the repelling 0.4, to which Newton goes from the 0 where the flow rests
    flow = rt.to_continuous(scalar_plrnn(0.5, -2.0, 1.0)).model
    found = find_basins(flow, (-2, 2), num=10, switching="state")
    assert kinds(found) == ["fixed_point"]
    assert abs(found.attractors[0].points[0, 0]) <= 1e-12


def test_a_constant_input_moves_the_boundary():
    shallow = rt.ShallowPLRNN([0.5], [[2.0, -2.0]], [[1.0], [1.0]], [-1.0], [0.0, -1.0], [[1.0]])
    found = find_basins(shallow, (-4, 4), num=300, inputs=[0.3])
    stable = np.array([a.points[0, 0] for a in found.attractors])
    # 2.5 z - 0.7 = z
    assert np.array_equal(stable[found.labels] > 0, found.starts[:, 0] > 0.7 / 1.5)


def test_points_that_rest_without_attracting_are_neutral():
    found = find_basins(rt.LinearSystem(np.eye(2), np.zeros(2), np.zeros((2, 0))), (-1, 1), num=40, steps=20)
    assert kinds(found) == ["neutral"]
    assert np.abs(np.sort(found.attractors[0].points, axis=0) - np.sort(found.starts, axis=0)).max() <= 1e-15
    quarter_turn = rt.LinearSystem([[0.0, -1.0], [1.0, 0.0]], np.zeros(2), np.zeros((2, 0)))
    assert kinds(find_basins(quarter_turn, (-1, 1), num=40, steps=20)) == ["neutral"]


def test_the_image_agrees_with_the_boundary_and_with_the_numbering():
    model = rt.ShallowPLRNN([0.5, 0.3], [[2.0, -2.0], [0, 0]], [[1.0, 0], [1.0, 0]], [-1.0, 0], [0.0, -1.0])
    found = find_basins(model, (-4, 4), num=200, slice=(0, 1), resolution=(3, 80), steps=100)
    assert found.image.shape == (3, 80)
    x = -4 + 8 * (np.arange(80) + 0.5) / 80
    upper = np.array([a.points[0, 0] > 0 for a in found.attractors])
    assert np.array_equal(upper[found.image], np.tile(x > 2 / 3, (3, 1)))


def test_a_plane_of_its_own_may_show_attractors_that_the_box_does_not():
    plane = Plane(np.zeros(1), [1.0], [0.0], [[-4, 4], [0, 1]])
    found = find_basins(bistable(), (-4, 0), num=50, slice=plane, resolution=(1, 8), steps=100)
    assert [a.count for a in found.attractors] == [50, 0]
    assert found.image.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]  # pixel centers -3.5, ..., 0.5 | 1.5, ...
    assert found.attractors[1].points[0, 0] == pytest.approx(2, abs=1e-12)


def test_the_chaotic_transient_of_the_published_shallow_plrnn_is_no_attractor(data):
    p = np.load(data / "shallow_plrnn_cycles.npz")
    model = rt.ShallowPLRNN(p["A"], p["W1"], p["W2"], p["h1"], p["h2"])
    found = find_basins(model, (-60, 60), num=80, steps=500)
    z = found.starts.copy()
    bounded = []
    for _ in range(8000):
        z = p["A"] * z + np.maximum(z @ p["W2"].T + p["h2"], 0) @ p["W1"].T + p["h1"]
        bounded.append((np.abs(z).max(axis=1) < 1e6).sum())
        if bounded[-1] == 0:
            break
    assert bounded[499] > 12  # many wander for longer than the horizon,
    assert bounded[-1] == 0  # and all leave
    assert kinds(found) == ["diverged"]


def test_the_published_lorenz_network_has_a_fixed_point_and_a_curve_beside_its_chaos(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn")
    found = find_basins(model, (-3, 3), num=400)
    assert sorted(kinds(found)) == ["bounded", "bounded", "fixed_point"]
    z, low, high = found.starts.copy(), np.full(400, np.inf), np.full(400, -np.inf)
    for k in range(5000):
        z = z @ np.diag(np.diag(model.A)) + np.maximum(z, 0) @ model.W.T + model.h
        if k >= 3000:
            low, high = np.minimum(low, z[:, 1]), np.maximum(high, z[:, 1])
    own = np.where(high - low > 8, "chaos", np.where(high - low > 1, "curve", "point"))  # ranges 13, 3.6 and 0
    for name in ("chaos", "curve", "point"):
        assert len(np.unique(found.labels[own == name])) == 1
    assert len(np.unique(own)) == 3


def test_a_turn_by_an_irrational_angle_is_a_continuum_of_orbits():
    c, s = np.cos(1.0), np.sin(1.0)
    found = find_basins(rt.LinearSystem([[c, -s], [s, c]], np.zeros(2), np.zeros((2, 0))), (-1, 1), num=100, steps=400)
    assert set(kinds(found)) <= {"bounded", "undecided"}


def test_ctrl_c_returns_what_was_decided(monkeypatch):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return rt.simulate(*arguments, **options)

    monkeypatch.setattr(dynamics, "simulate", interrupted)
    monkeypatch.setattr(dynamics, "MEMORY", 8 * (dynamics.SAMPLES + 1) * 10)  # ten starts at a time
    found = find_basins(
        bistable(), (-4, 4), num=20, steps=400, slice=Plane([0], [1], [0], [[-4, 4], [0, 1]]), resolution=2
    )
    assert found.status == "interrupted"
    assert set(kinds(found)) == {"fixed_point", "undecided"}
    assert found.image.shape == (2, 2)


def interrupting(name, first, monkeypatch):
    """Raise KeyboardInterrupt once, the `first` time that a function is called."""
    module = dynamics if name == "simulate" else find
    calls, work = [], getattr(module, name)

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == first:
            raise KeyboardInterrupt
        return work(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize("name", ["drawn", "simulate", "_attractor"])
def test_ctrl_c_at_any_time_returns_a_result(monkeypatch, name):
    interrupting(name, 1, monkeypatch)
    found = find_basins(bistable(), (-4, 4), num=20, steps=40)
    assert found.status == "interrupted"
    assert sum(a.count for a in found.attractors) == 20
    assert (kinds(found) == ["undecided"]) == (name != "_attractor")


def test_ctrl_c_keeps_the_members_that_were_simulated_before(monkeypatch):
    interrupting("simulate", 2, monkeypatch)
    monkeypatch.setattr(dynamics, "MEMORY", 8 * 1001 * 16)  # 16 of the 60 at a time, by the states of a map
    found = find_basins(bistable(), (-4, 4), num=60, steps=4000)
    assert found.status == "interrupted"
    assert sum(a.count for a in found.attractors if a.kind == "fixed_point") == 16


def test_the_clock_is_looked_at_while_a_state_switched_flow_is_followed(monkeypatch, data):
    # one of these orbits grows along a boundary and switches 6,000 times per unit of time: a quarter of the horizon takes minutes
    p = np.load(data / "shallow_plrnn_cycles.npz")
    flow = rt.to_continuous(rt.ShallowPLRNN(p["A"], p["W1"], p["W2"], p["h1"], p["h2"])).model
    switches, ends = [], []

    def counted(*arguments, **options):
        path = rt.simulate(*arguments, **options)
        switches.append(sum(len(x) for x in path.switches[0]))
        ends.append(path.times[-1])
        return path

    monkeypatch.setattr(dynamics, "simulate", counted)
    found = find_basins(flow, (-50, 50), num=30, switching="state", time_limit=0.5)
    assert found.status == "time_limit"
    assert sum(a.count for a in found.attractors) == 30
    assert len(ends) > 1
    assert max(switches) < 100_000
    assert ends[0] < 250  # the first piece is short


def test_pieces_of_the_horizon_join_to_the_whole_orbit():
    flow = rt.to_continuous(scalar_plrnn(0.5, 0.2, 1.0)).model
    box, rules = np.array([[-6.0, 6.0]]), (Settling(), Patience())
    whole_box = dynamics.dynamics_of(flow, box, None, 100.0, None, "state", 1, *rules)
    z = np.linspace(-6, 6, 20)[:, None]
    window, stopped, late = whole_box.advance(z)
    whole = rt.simulate(flow, z, times=np.linspace(0, 25, dynamics.SAMPLES + 1), switching="state")
    assert not stopped.any()
    assert not late.any()
    assert np.abs(window - whole.states).max() <= 1e-12  # rounding of states up to 6


def test_the_same_seed_gives_the_same_labels():
    a, b = (find_basins(bistable(), (-4, 4), num=50, seed=5, steps=50) for _ in range(2))
    assert np.array_equal(a.starts, b.starts)
    assert np.array_equal(a.labels, b.labels)


def test_wilson_has_the_published_value():
    # 15 of 148: the interval of Newcombe (1998), table I, method 3
    known = Known("bounded", np.zeros((0, 1)))
    assert find._attractor(known, 15, 148, int).interval == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert find._attractor(known, 0, 20, int).interval == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_no_time_leaves_everything_undecided():
    found = find_basins(bistable(), (-4, 4), num=20, time_limit=1e-9)
    assert found.status == "time_limit"
    assert kinds(found) == ["undecided"]


def test_the_table_and_the_data_name_every_attractor():
    found = find_basins(bistable(), (-4, 4), num=50, steps=50)
    assert "2 attractors from 50 initial states" in repr(found)
    assert len(found.to_dict()["attractors"]) == 2
    assert "fixed_point" in found._repr_html_()


@pytest.mark.parametrize(
    ("box", "options", "message"),
    [
        ((1, -1), {}, r"`box` is empty: state 0 goes from 1.0 to -1.0"),
        ((0, np.nan), {}, "`box` holds nan"),
        ([[0, 1], [0, 1]], {}, r"`box` has shape \(2, 2\); it must be \(1, 2\)"),
        ((0, 1), {"num": 0}, "`num` is 0; it must be a whole number >= 1"),
        ((0, 1), {"steps": 0}, "`steps` is 0"),
        ((0, 1), {"duration": 3.0}, "`duration` was given, but ShallowPLRNN is a map: give `steps`"),
        ((0, 1), {"inputs": [1.0]}, "`inputs` has shape"),
        ((0, 1), {"slice": (0, 1)}, "two different indices of states, from 0 to 0"),
        ((0, 1), {"slice": 3}, "`slice` is 3"),
        ((0, 1), {"switching": "state"}, "only converted flows have a choice"),
        ((0, 1), {"resolution": (1, 2, 3)}, "`resolution` is"),
    ],
)
def test_bad_arguments_are_named(box, options, message):
    with pytest.raises(ValueError, match=message):
        find_basins(bistable(), box, **options)


def test_only_models_are_taken():
    with pytest.raises(TypeError, match="`model` is list"):
        find_basins([], (0, 1))
    with pytest.raises(ShapeError, match="`slice base` has shape"):
        find_basins(bistable(), (0, 1), slice=Plane([0, 0], [1], [0], (0, 1)))


@pytest.mark.parametrize(("gap", "kind"), [(1e-7, "fixed_point"), (1e-10, "neutral")])
def test_a_multiplier_is_neutral_within_1e_9_of_the_unit_circle(gap, kind):
    found = find_basins(scalar_plrnn(1 - gap, 0.0, gap), [[1, 1]], num=1, steps=20)
    assert kinds(found) == [kind]


def test_a_set_that_some_orbits_have_left_attracts_none():
    """The tent map of slope 2.0002 on [0, 1]: a ten thousandth of what is left leaves in every step."""
    tent = rt.ShallowPLRNN([2.0002], [[-4.0004]], [[1.0]], [0.0], [-0.5])
    found = find_basins(tent, (0.01, 0.99), num=60, steps=200)
    assert {*kinds(found)} == {"diverged", "undecided"}
    assert "a chaotic transient" in found.message


def circling(radii, turns):
    """States `(w, 2)` on circles of the radii, `turns` times around."""
    angle = 2 * np.pi * turns * np.arange(len(radii)) / len(radii)
    return np.array(radii)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def test_an_orbit_drifts_where_it_shrinks_or_grows_from_quarter_to_quarter():
    still, shrinking = np.ones(400), np.linspace(1, 0.9, 400)
    for radii, is_drift in (
        (still, False),
        (shrinking, True),
        (shrinking[::-1], True),
        (0.995 + 0.005 * shrinking, False),
    ):
        assert drifts(circling(radii, 20)) == is_drift
    assert not drifts(circling(np.abs(shrinking - 0.95) + 1, 20))  # shrinks, then grows


def test_an_orbit_on_its_way_to_a_set_is_none_of_its_own():
    far = circling(np.ones(24 * 64), 24 * 10 * np.sqrt(2))
    on_it = [far[k : k + 12 * 64].reshape(12, 64, 2) for k in (0, 100, 200, 300, 500)]
    on_its_way = far[: 12 * 64] * (1 + 0.5 * np.exp(-np.arange(12 * 64) / 600))[:, None]
    family = Family(np.concatenate(on_it[0]))
    family.orbits = [*on_it, on_its_way.reshape(12, 64, 2)]
    family.group(Settling())
    assert len(family.groups) == 1
    assert family.of_orbit.tolist() == [0, 0, 0, 0, 0, -1]


def test_a_place_that_orbits_pass_slowly_is_not_solved_for_as_a_point():
    """z + 0.05 |z| + 1e-7 up to z = 1: Newton's method turns between -2e-6 and 2e-6, where z moves by 2e-7. The only point is 12 / 11."""
    model = rt.ShallowPLRNN([0.95], [[0.1, -0.6]], [[1.0], [1.0]], [1e-7], [0.0, -1.0])
    found = find_basins(model, (-2, 2), num=40, steps=400)
    assert kinds(found) == ["fixed_point"]
    assert found.attractors[0].points[0, 0] == pytest.approx((0.6 + 1e-7) / 0.55, abs=1e-12)


def test_the_rules_of_settling_are_turned_and_kept_in_the_result():
    slow = rt.LinearSystem(
        [0.99], [0.0], np.zeros((1, 0))
    )  # 100 steps leave a third of a distance, 2,100 leave 1e-9 of it
    assert kinds(find_basins(slow, (-1, 1), num=5, steps=100)) == ["fixed_point"]
    found = find_basins(slow, (-1, 1), num=5, steps=100, settling=Settling(extensions=()))
    assert kinds(found) == ["undecided"]
    assert found.to_dict()["settling"] == Settling(extensions=()).to_dict()
    assert "Within 100 steps" in found.message
    still = Settling(rest=1e-5, neutral=1e-5)
    assert kinds(find_basins(rt.LinearSystem([1 - 1e-6], [0.0], np.zeros((1, 0))), (-1, 1), num=5, settling=still)) == [
        "neutral"
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"arrived": -1.0}, {"neutral": "small"}, {"orbits": 1}, {"extensions": (0,)}, {"doublings": 1.5}, {"chance": 1.0}],
)
def test_rules_of_settling_are_checked(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` is .*must be"):
        Settling(**wrong)
