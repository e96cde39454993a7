"""`lyapunov_spectrum`: horizons, transients, statistics, early ends, singular steps, messages."""

import json
from dataclasses import replace

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from interrupts import interrupt
from retime.analysis.exponents import growth, maps, switched
from retime.analysis.exponents.lyapunov import LyapunovSpectrum, lyapunov_spectrum, max_exponent
from retime.analysis.exponents.statistics import dimension_of
from retime.models import PiecewiseAffineFlow


@pytest.fixture
def network():
    """A chaotic network and a start."""
    entry = rt.zoo.entry("lorenz")
    return entry.model, entry.z0


@pytest.fixture
def growing():
    """One unit that grows tenfold per step."""
    return rt.PLRNN([10.0], [[0.0]], [0.1])


def linear(A, **options):
    A = np.asarray(A, float)
    return rt.LinearSystem(A, np.zeros(len(A)), np.zeros((len(A), 0)), **options)


# --- linear systems


@pytest.mark.parametrize("z0", [[1.0, 1.0], [1e100, -1.0]])
def test_linear_flow_has_the_real_parts_of_its_eigenvalues(z0):
    r = lyapunov_spectrum(linear([[0.5, 2.0], [-2.0, 0.5]], time=rt.Continuous()), z0, times=[0, 1000.0])
    np.testing.assert_allclose(r.exponents, [0.5, 0.5], rtol=0, atol=1e-12)
    assert r.status == "completed"
    assert "The orbit itself ended" in r.message
    assert np.isfinite(r.end).all()


def test_linear_map_has_the_logarithms_of_its_moduli():
    r = lyapunov_spectrum(linear([[0.9, 5.0], [0.0, 0.5]], time=rt.Discrete(2.0)), np.ones(2), steps=3)
    np.testing.assert_allclose(r.exponents, np.log([0.9, 0.5]) / 2, rtol=0, atol=1e-12)
    assert r.sum_error <= 1e-12


def test_nilpotent_linear_map_takes_every_direction_to_zero(rng):
    X = rng.normal(size=(3, 3))
    A = X @ np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0.5]]) @ np.linalg.inv(X)
    r = lyapunov_spectrum(linear(A), np.ones(3), steps=10)
    assert abs(r.exponents[0] - np.log(0.5)) <= 1e-10
    assert r.exponents[1:].tolist() == [-np.inf, -np.inf]


def test_converted_linear_map_keeps_its_exponents():
    model = linear([[0.9, 0.2], [0.0, -0.5]], time=rt.Discrete(0.5))
    flow = rt.to_continuous(model).model
    want = np.log([0.9, 0.5, 0.5]) / 0.5  # the plane of the negative eigenvalue has an auxiliary state
    np.testing.assert_allclose(lyapunov_spectrum(flow, [1.0, 1.0], times=[0, 5.0]).exponents, want, rtol=0, atol=1e-10)


# --- orbits


@pytest.mark.slow
def test_fixed_point_of_a_network_has_the_exponents_of_its_matrix():
    r = lyapunov_spectrum(rt.PLRNN([0.5, 0.9], np.zeros((2, 2)), [0.1, 0.1]), [1.0, 1.0], steps=500)
    np.testing.assert_allclose(r.exponents, np.log([0.9, 0.5]), rtol=0, atol=1e-10)
    assert r.kaplan_yorke == 0


def test_a_flow_that_contracts_fast_has_its_rates_over_any_time():
    """Vectors that fall below the solver's tolerance within an interval grow by nothing that is known: intervals end before."""
    network = rt.RateRNN(0.1 * np.eye(2), None, np.zeros(2), tau=0.01)
    found = rt.lyapunov_spectrum(network, np.ones(2), times=[0.0, 100.0])
    np.testing.assert_allclose(found.exponents, [-90.0, -90.0], rtol=1e-8)
    assert (np.abs(found.exponents + 90.0) <= 4 * found.standard_errors).all()


@pytest.mark.slow
@pytest.mark.parametrize("num", [1, 2])
def test_rates_far_apart_are_found_with_one_vector_and_with_all(num):
    rates = jnp.array([-300.0, -2000.0])
    found = rt.lyapunov_spectrum(rt.VectorField(lambda z: rates * z, 2), np.ones(2), times=[0.0, 20.0], num=num)
    np.testing.assert_allclose(found.exponents, rates[:num], rtol=1e-7)


@pytest.mark.slow
def test_contraction_within_no_time_ends_the_measurement_with_a_reason():
    """A stiff solver would go on where the vector is long lost."""
    found = rt.lyapunov_spectrum(
        rt.VectorField(lambda z: -1e8 * z, 1), np.ones(1), times=[0.0, 1.0], transient=0.0, solver=diffrax.Kvaerno5()
    )
    assert found.status == "steps_exceeded"
    assert "shrinks by more than a factor of 100 within 1e-06 of the time" in found.message
    assert not np.isfinite(found.exponents).any()


@pytest.mark.slow
def test_few_vectors_find_the_leading_exponents_whatever_the_order_of_units():
    r = lyapunov_spectrum(rt.PLRNN([0.5, 0.9], np.zeros((2, 2)), [0.1, 0.1]), [1.0, 1.0], steps=2000, num=1)
    assert abs(r.exponents[0] - np.log(0.9)) <= 1e-10


@pytest.mark.slow
def test_one_core_and_many_give_the_same(network, monkeypatch):
    model, z0 = network
    monkeypatch.setenv("NUMBA_NUM_THREADS", "4")
    many = lyapunov_spectrum(model, z0, steps=20_000)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    one = lyapunov_spectrum(model, z0, steps=20_000)
    np.testing.assert_allclose(many.exponents[:3], one.exponents[:3], rtol=0, atol=1e-9)
    # the sixth and seventh change places for thousands of steps: plain QR from vectors that differ by 1e-15 differs by 1e-6
    np.testing.assert_allclose(many.exponents, one.exponents, rtol=0, atol=2e-5)
    assert max(many.sum_error, one.sum_error) <= 1e-9
    np.testing.assert_array_equal(many.end, one.end)


def test_chunks_do_not_matter(network, monkeypatch):
    model, z0 = network
    whole = lyapunov_spectrum(model, z0, steps=5000, transient=700)
    monkeypatch.setattr(maps, "STEPS", 640)
    parts = lyapunov_spectrum(model, z0, steps=5000, transient=700)
    np.testing.assert_allclose(parts.exponents, whole.exponents, rtol=0, atol=1e-9)
    assert parts.time == pytest.approx(whole.time) == pytest.approx(4300 * model.dt)
    assert parts.transient == pytest.approx(700 * model.dt)


def test_run_goes_on_from_its_end(network):
    model, z0 = network
    first = lyapunov_spectrum(model, z0, steps=1000)
    np.testing.assert_array_equal(
        lyapunov_spectrum(model, first.end, steps=500).end, rt.simulate(model, first.end, steps=500).states[-1]
    )
    assert first.time == pytest.approx(900 * model.dt)


def test_times_of_a_clock_flow_mean_whole_steps(network):
    model, z0 = network
    flow = rt.to_continuous(model).model
    a = lyapunov_spectrum(flow, z0, steps=2000, num=2)
    b = lyapunov_spectrum(flow, z0, times=[3.0, 3.0 + 2000.5 * model.dt], num=2)
    np.testing.assert_allclose(b.exponents, a.exponents, rtol=0, atol=1e-9)


def test_map_with_regions_held_is_measured_as_itself():
    ode, z0 = rt.zoo.load("chua_network"), rt.zoo.entry("chua_network").z0
    held = rt.to_discrete(ode, 0.02, method=rt.ZeroOrderHold()).model
    r = lyapunov_spectrum(held, z0, steps=20_000)
    assert 0.2 < r.exponents[0] < 0.6
    assert r.sum_error <= 1e-6


@pytest.mark.slow
def test_many_states_and_few_vectors_agree_with_matrices(rng, monkeypatch):
    n = 80
    model = rt.TanhRNN(rng.normal(size=(n, n)) * 1.6 / np.sqrt(n), np.zeros((n, 0)), rng.normal(size=n) * 0.1)
    z0 = rng.normal(size=n)
    slim = lyapunov_spectrum(model, z0, steps=300, num=3)
    monkeypatch.setattr(maps, "MANY", 100)
    np.testing.assert_allclose(
        lyapunov_spectrum(model, z0, steps=300, num=3).exponents, slim.exponents, rtol=0, atol=1e-8
    )


def test_inputs_act_on_the_orbit(rng):
    model = rt.ReluRNN(rng.normal(size=(3, 3)), rng.normal(size=(3, 1)), np.full(3, 0.5))
    s = rng.normal(size=(400, 1))
    path = rt.simulate(model, np.ones(3), steps=400, inputs=s)
    got = lyapunov_spectrum(model, np.ones(3), steps=400, inputs=s, num=1, transient=0)
    v = growth.starting_vectors(3, 1)[:, 0]
    total = 0.0
    for z, x in zip(path.states[:-1], s, strict=True):
        v = model.jacobian(z, x) @ v
        total += np.log(np.linalg.norm(v)) if v.any() else -np.inf
        v = v / (np.linalg.norm(v) or 1.0)
    assert got.exponents[0] == pytest.approx(total / 400, abs=1e-9) or got.exponents[0] == total


@pytest.mark.slow
def test_input_of_a_smooth_flow_is_held_piecewise():
    field = rt.VectorField(lambda z, s: -z * (1 + s), 1, num_inputs=1)
    r = lyapunov_spectrum(field, [1.0], times=[0, 1.0, 4.0], inputs=[[1.0], [0.5]], transient=0)
    assert abs(r.exponents[0] + (2 * 1 + 1.5 * 3) / 4) <= 1e-7
    assert r.sum_error <= 1e-7


# --- statistics


@pytest.mark.slow
def test_standard_errors_cover_independent_steps(rng):
    """A map whose slope is drawn by its input: the mean of 4,000 independent logarithms."""
    tent = rt.PiecewiseAffineRNN([[0.5]], [[1.5]], [[0.0]], [0.0], [0.0], C2=[[1.0]], time=rt.Discrete(1.0))
    two = rt.PiecewiseAffineRNN([[0.0]], [[1.0]], [[1.0]], [0.0], [5.0], time=rt.Discrete(1.0))
    assert lyapunov_spectrum(two, [0.0], steps=10).exponents[0] == pytest.approx(0.0, abs=1e-12)
    assert tent.num_units == 1
    field = rt.Map(lambda z, s: z * s, 1, num_inputs=1)
    s = np.exp(rng.normal(size=(4000, 1)) * 0.1)
    r = lyapunov_spectrum(field, [1e-3], steps=4000, inputs=s, transient=0)
    assert abs(r.exponents[0] - np.log(s).mean()) <= 1e-12
    assert 0.5 < r.standard_errors[0] / (0.1 / np.sqrt(4000)) < 2


def test_too_short_an_orbit_has_no_standard_error():
    r = lyapunov_spectrum(rt.PLRNN([0.5], [[0.0]], [0.1]), [1.0], steps=1)
    assert r.standard_errors.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("exponents", "n", "dimension", "is_bound"),
    [
        ([0.9, 0.0, -14.5], 3, 2 + 0.9 / 14.5, False),
        ([-0.1, -0.2], 2, 0.0, False),
        ([0.3, -0.1], 2, 2.0, False),
        ([0.3, -0.1], 3, 2.0, True),
        ([0.5, -np.inf], 2, 1.0, False),
        ([0.0, -1.0], 2, 1.0, False),
    ],
)
def test_kaplan_yorke_dimension(exponents, n, dimension, is_bound):
    got = dimension_of(np.array(exponents), np.zeros(len(exponents)), n)
    assert got == (pytest.approx(dimension), is_bound)


def test_exponents_within_their_error_of_zero_count_as_zero():
    assert dimension_of(np.array([-1e-4, -1.0]), np.array([1e-3, 1e-3]), 2) == (1.0, False)
    for error, dimension in ((0.01, 2.6), (0.03, 2.6), (0.04, 2.5)):  # 0.1 is 10, 3.3 and 2.5 errors from zero
        got = dimension_of(np.array([0.5, 0.1, -1.0]), np.array([0.0, error, 0.0]), 3)
        assert got == (pytest.approx(dimension), False)


def test_history_ends_at_the_result(network):
    model, z0 = network
    r = lyapunov_spectrum(model, z0, steps=3000, num=3)
    times, running = r.history
    assert times.shape == running[:, 0].shape
    assert times[-1] == pytest.approx(r.time)
    np.testing.assert_allclose(running[-1], r.exponents, rtol=0, atol=1e-12)
    assert (np.diff(times) > 0).all()


def test_result_reads_well_and_is_plain_data():
    r = lyapunov_spectrum(rt.zoo.load("relu"), rt.zoo.entry("relu").z0, steps=300)
    assert "exponent" in repr(r)
    assert "<table>" in r._repr_html_()
    assert json.loads(json.dumps(r.to_dict(), allow_nan=False))["status"] == "completed"


# --- singular steps, early ends


def test_silent_units_take_directions_to_zero():
    r = lyapunov_spectrum(rt.zoo.load("relu"), rt.zoo.entry("relu").z0, steps=1000)
    ranks = [
        np.linalg.matrix_rank(M)
        for M in rt.zoo.load("relu").jacobian(
            rt.simulate(rt.zoo.load("relu"), rt.zoo.entry("relu").z0, steps=999).states
        )
    ]
    assert np.isneginf(r.exponents).sum() >= 16 - min(ranks)
    assert not np.isnan(r.exponents).any()
    assert "directions are taken to zero" in r.message
    assert r.sum_error is None


def test_small_singular_values_are_not_zeros():
    r = lyapunov_spectrum(rt.PLRNN([0.5, 1e-10], np.zeros((2, 2)), [0.1, 0.1]), [1.0, 1.0], steps=50)
    np.testing.assert_allclose(r.exponents, np.log([0.5, 1e-10]), rtol=0, atol=1e-6)


def test_divergence_leaves_what_was_measured(growing):
    r = lyapunov_spectrum(growing, [1.0], steps=1000, transient=20)
    assert r.status == "diverged"
    assert abs(r.exponents[0] - np.log(10)) <= 1e-12
    assert 100 < r.time < 150
    assert "a state exceeded 1e150" in r.message


def test_divergence_within_the_transient_is_said(growing):
    r = lyapunov_spectrum(growing, [1.0], steps=10_000)
    assert r.status == "diverged"
    assert np.isnan(r.exponents).all()
    assert "Nothing was measured" in r.message
    assert "transient=0" in r.message
    json.dumps(r.to_dict(), allow_nan=False)


def test_flow_that_leaves_for_infinity_is_measured_until_then():
    r = lyapunov_spectrum(rt.VectorField(lambda z: z * z, 1), [1.0], times=[0, 2.0], transient=0)
    assert r.status == "diverged"
    assert 0.9 < r.time <= 1.0  # the pole
    assert r.exponents[0] > 1


def test_interruption_leaves_what_was_measured(network, monkeypatch):
    model, z0 = network
    monkeypatch.setattr(maps, "STEPS", 640)
    take, count = maps._MapOrbit.take, []

    def interrupted(self, steps):
        count.append(steps)
        if len(count) == 4:
            raise KeyboardInterrupt
        return take(self, steps)

    monkeypatch.setattr(maps._MapOrbit, "take", interrupted)
    r = lyapunov_spectrum(model, z0, steps=5000, transient=0, num=2)
    assert r.status == "interrupted"
    assert 0 < r.time < 4000 * model.dt
    assert "Ctrl-C" in r.message


# --- orbits of flows that read the region from the state, in parts


@pytest.fixture
def switching():
    """A converted flow with auxiliary states, sliding and a moving boundary among its orbits, and horizons for it."""
    entry, other = rt.zoo.entry("vanderpol"), rt.zoo.entry("sliding")
    return [
        (rt.to_continuous(entry.model).model, entry.z0, {"times": [0, 20.0], "switching": "state"}),
        (rt.to_continuous(other.model).model, other.z0, {"times": [0, 0.45], "transient": 0, "switching": "state"}),
        (
            rt.PiecewiseAffineRNN(
                [[-0.5, 1.0], [-1.0, -0.2]], [[1.0], [-2.0]], [[1.0, 0.0]], [0.0, 0.1], [0.0], C1=[[0.3], [0.0]], C2=[[1.0]],
                time=rt.Continuous(),
            ),
            [0.5, 0.5],
            {"times": np.arange(0, 30, 0.3), "inputs": np.random.default_rng(0).normal(size=(99, 1))},
        ),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_pause_after_every_piece_does_not_matter(switching, monkeypatch):
    whole = [lyapunov_spectrum(model, z0, **options) for model, z0, options in switching]
    calls, follow = [], switched._SwitchedVectors.follow
    monkeypatch.setattr("retime.simulation.run.PIECES", 1)
    monkeypatch.setattr(switched._SwitchedVectors, "follow", lambda *given: (calls.append(1), follow(*given)))
    for (model, z0, options), one in zip(switching, whole, strict=True):
        calls.clear()
        parts = lyapunov_spectrum(model, z0, **options)
        assert len(calls) > 5
        np.testing.assert_array_equal(parts.exponents, one.exponents)
        np.testing.assert_array_equal(parts.end, one.end)
        assert parts.sum_error == one.sum_error


# --- limits of time


def every_kind(steps):
    """Systems whose exponents are found in different ways, with a start and a horizon of very many steps."""
    entry = rt.zoo.entry("vanderpol")
    flow, many = rt.to_continuous(entry.model).model, np.random.default_rng(0)
    W, b = many.normal(size=(80, 80)) * 2 / np.sqrt(80), many.normal(size=80)
    return {
        "map": (entry.model, entry.z0, {"steps": steps}),
        "clock": (flow, entry.z0, {"steps": steps}),
        "state": (flow, entry.z0, {"times": [0, 0.1 * steps], "switching": "state"}),
        "one vector": (rt.TanhRNN(W, None, b), np.zeros(80), {"steps": steps, "num": 1}),
        "smooth flow": (rt.RateRNN(W[:3, :3], None, b[:3], tau=1.0), np.zeros(3), {"times": [0, 0.1 * steps]}),
    }


KINDS = ["map", "clock", "state", "one vector", "smooth flow"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_time_limit_leaves_what_was_measured(kind, no_hang):
    model, z0, options = every_kind(10**7)[kind]
    lyapunov_spectrum(model, z0, transient=0, time_limit=1e-9, **options)  # compiles
    r = lyapunov_spectrum(model, z0, transient=0, time_limit=0.3, **options)
    assert r.status == "time_limit"
    assert 0 < r.time < 1e6
    assert np.isfinite(r.exponents).all()
    assert "The time limit was reached at t = " in r.message


def test_ctrl_c_leaves_what_was_measured_in_every_kind_of_system():
    code = """
from retime.analysis.exponents.lyapunov import lyapunov_spectrum
from test_lyapunov import KINDS, every_kind
for kind in KINDS:
    model, z0, options = every_kind(10**6 if kind == "state" else 10**7)[kind]  # laid out sample by sample for "state"
    lyapunov_spectrum(model, z0, transient=0, time_limit=1e-9, **options)
    ready()
    r = lyapunov_spectrum(model, z0, transient=0, **options)
    answer(kind=kind, status=r.status, time=r.time, exponents=list(r.exponents), message=r.message)
"""
    check_interrupted(interrupt(code, seconds=2.0), KINDS)  # laying out ten million steps takes up to one


def test_ctrl_c_leaves_what_was_measured_of_a_map():
    code = """
from retime.analysis.exponents.lyapunov import lyapunov_spectrum
from test_lyapunov import every_kind
model, z0, options = every_kind(10**7)["one vector"]
lyapunov_spectrum(model, z0, transient=0, time_limit=1e-9, **options)
ready()
r = lyapunov_spectrum(model, z0, transient=0, **options)
answer(kind="one vector", status=r.status, time=r.time, exponents=list(r.exponents), message=r.message)
"""
    check_interrupted(interrupt(code, seconds=1.0), ["one vector"])


def check_interrupted(answers, kinds):
    """Every piece of work was interrupted and gives what it had measured."""
    assert [a["kind"] for a in answers] == kinds
    for a in answers:
        assert a["status"] == "interrupted"
        assert 0 < a["time"] < 1e8
        assert np.isfinite(a["exponents"]).all()
        assert "Interrupted by Ctrl-C at t = " in a["message"]


@pytest.mark.slow
def test_what_is_measured_in_time_is_what_a_shorter_horizon_measures(switching):
    model, z0, _ = switching[0]
    r = lyapunov_spectrum(model, z0, times=[0, 1e5], switching="state", transient=0, time_limit=0.5)
    again = lyapunov_spectrum(model, z0, times=[0, r.time], switching="state", transient=0)
    np.testing.assert_allclose(again.exponents, r.exponents, rtol=0, atol=1e-2)


def test_time_that_ends_within_the_transient_is_said(network):
    model, z0 = network
    r = lyapunov_spectrum(model, z0, steps=10**7, time_limit=1e-9)
    assert (r.status, r.time) == ("time_limit", 0)
    assert 0 < r.transient < 10**6 * model.dt
    assert np.isnan(r.exponents).all()
    assert "Nothing was measured: it ended within the transient" in r.message


# --- arguments


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"num": 25}, "`num` is 25; it must be a whole number from 1 to 24"),
        ({"num": 0}, "`num` is 0"),
        ({"steps": 0}, "`steps` is 0"),
        ({"steps": None}, "is a map: give `steps`"),
        ({"times": [0, 1.0]}, "is a map: give `steps`"),
        ({"z0": np.zeros((2, 24))}, "exponents belong to one orbit"),
        ({"z0": np.zeros(3)}, r"`z0` has shape \(3,\)"),
        ({"transient": 50}, "`transient` is 50; it must be less than the horizon, 50"),
        ({"transient": 2.5}, "whole number of steps"),
        ({"transient": -1}, "`transient` is -1"),
        ({"switching": "state"}, "only converted flows have a choice"),
        ({"tolerance": 1e-6}, "are for smooth flows"),
        ({"inputs": np.zeros((50, 2))}, "`inputs` has shape"),
        ({"time_limit": -1}, "`time_limit` is -1; it must be a number of seconds > 0"),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(network, change, match):
    model, z0 = network
    options = {"z0": z0, "steps": 50} | change
    with pytest.raises(ValueError, match=match):
        lyapunov_spectrum(model, options.pop("z0"), **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "Give either `times` or `steps`"),
        ({"steps": 5, "times": [0, 1.0]}, "Give either `times` or `steps`"),
        ({"times": [0.0]}, "`times` holds one time"),
        ({"times": [0.0, 0.01]}, "at least one must be left"),
        ({"steps": 5, "switching": "stat"}, "`switching` is 'stat'"),
    ],
)
def test_wrong_horizon_of_a_flow_is_refused(network, options, match):
    model, z0 = network
    with pytest.raises(ValueError, match=match):
        lyapunov_spectrum(rt.to_continuous(model).model, z0, **options)


def test_continuous_systems_take_times():
    with pytest.raises(ValueError, match="give `times`, not `steps`"):
        lyapunov_spectrum(rt.zoo.load("chua_network"), np.zeros(3), steps=5)


def test_something_else_is_not_a_model():
    with pytest.raises(TypeError, match="takes a retime model"):
        lyapunov_spectrum(3, [0.0], steps=5)


def test_one_exponent_takes_no_number(network):
    model, z0 = network
    assert isinstance(max_exponent(model, z0, steps=100), LyapunovSpectrum)
    with pytest.raises(TypeError, match="computes one exponent"):
        max_exponent(model, z0, steps=100, num=2)


class Moved:
    """Regions whose steps are off by -1e-4: those of the logarithm, with another offset."""

    def regions(self, maps, dt):
        found = rt.MatrixLog().regions(maps, dt)
        return [replace(r, h=r.h - 1e-4 * r.W[0, 0] / (r.transition[0, 1] - 1)) for r in found]


def test_a_flow_that_is_not_its_map_has_the_exponents_of_its_own_orbit():
    """0.8 z + 2e-5 rests at 1e-4 on one side of the boundary, 0.5 z + 2e-5 - 1e-4 at -1.6e-4 on the other."""
    map_ = rt.PLRNN([0.5], [[0.3]], [2e-5])
    exact, moved = rt.to_continuous(map_).model, PiecewiseAffineFlow(map_, Moved())
    for model, slope in ((map_, 0.8), (exact, 0.8), (moved, 0.5)):
        found = lyapunov_spectrum(model, [1e-4], steps=200)
        np.testing.assert_allclose(found.exponents, np.log(slope), rtol=0, atol=1e-12)
