"""`analyze`: one call, the same answers as the verbs, within its time."""

import importlib
import json

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt


@pytest.fixture(scope="module")
def analysis():
    model = rt.zoo.load("vanderpol")
    return model, rt.analyze(model, rt.zoo.entry("vanderpol").z0, steps=2000, max_period=2, basins=20)


def test_its_parts_are_the_results_of_the_verbs(analysis):
    model, found = analysis
    z0 = rt.zoo.entry("vanderpol").z0
    np.testing.assert_array_equal(found.fixed_points.points, rt.find_fixed_points(model).points)
    assert found.fixed_points.complete
    assert found.cycles.complete_up_to == 2
    want = rt.lyapunov_spectrum(model, z0, steps=2000, num=10)
    np.testing.assert_allclose(found.exponents.exponents, want.exponents, atol=1e-12)
    assert len(found.regions.patterns) == len(np.unique(rt.simulate(model, z0, steps=2000).patterns, axis=0))
    assert sum(a.fraction for a in found.basins.attractors) == pytest.approx(1)


def test_words_say_what_was_found(analysis):
    _, found = analysis
    assert found.words.startswith("1 fixed point, 0 stable: complete")
    assert "It visits" in found.words
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["words"] == found.words


@pytest.mark.parametrize(
    ("model", "behavior"),
    [
        (rt.PLRNN([0.5], [[0.1]], [1.0]), "it came to rest at a fixed point"),
        (rt.PLRNN([-0.5], [[-0.7]], [0.3]), "it ends on a cycle of 2 steps"),
        (rt.PLRNN([1.999], [[-3.998]], [0.999]), "it is chaotic"),
        (rt.PLRNN([2.0], [[0.0]], [1.0]), "it diverged at t ="),
        (rt.ContinuousPLRNN([-1.0], [[0.1]], [1.0]), "it came to rest"),
        (rt.PLRNN([1.02], [[0.0]], [0.1]), "its size still grows"),  # to 1e17, which is no chaos
        (rt.LinearSystem([[1.01]], [0.0], np.zeros((1, 0))), "its size still grows"),
        (rt.PLRNN([1.0], [[0.0]], [0.1]), "its size still grows"),  # a linear drift
        (rt.ContinuousPLRNN([0.1], [[0.0]], [0.1]), "its size still grows"),
    ],
)
def test_the_end_of_an_orbit_is_named(model, behavior):
    assert rt.analyze(model, [0.1], steps=2000).behavior.startswith(behavior)


@pytest.mark.parametrize(("steps", "rests"), [(246, True), (224, False)])
def test_an_orbit_has_come_to_rest_that_moves_less_than_1e_8(steps, rests):
    """z_k = 0.9^k: in the last 64 steps by 5e-9, and by 5e-8."""
    found = rt.analyze(rt.PLRNN([0.9], [[0.0]], [0.0]), [1.0], steps=steps)
    assert found.behavior.startswith("it came to rest") == rests


def test_smooth_networks_and_flows_are_analyzed_too():
    found = rt.analyze(rt.TanhRNN([[2.0]], np.zeros((1, 0)), [0.0]), [0.1], steps=200)
    assert len(found.fixed_points) == 3
    assert found.cycles.counts == {1: 3}
    assert "no proof that there are no others" in found.words


def test_a_converted_flow_is_analyzed_under_its_switching_rule():
    model = rt.zoo.load("vanderpol")
    z0 = rt.zoo.entry("vanderpol").z0
    found = rt.analyze(rt.to_continuous(model).model, z0, switching="state", duration=40.0, max_period=0, time_limit=20)
    assert found.fixed_points.dt is None
    assert found.orbit.times[-1] == 40.0


def test_a_constant_input_acts_on_every_part():
    model = rt.PLRNN([0.5], [[0.1]], [0.0], [[1.0]])
    found = rt.analyze(model, [0.0], steps=100, inputs=[2.0])
    assert found.fixed_points.points[0, 0] == pytest.approx(2.0 / 0.4)
    assert found.orbit.states[-1, 0] == pytest.approx(5.0)


def test_without_time_it_returns_at_once_and_says_what_is_missing(no_hang):
    model = rt.zoo.load("lorenz")
    rt.analyze(model, steps=10, time_limit=1e-9)  # loading kernels is no work, and what is found meanwhile is found
    found = rt.analyze(model, steps=10**6, time_limit=1e-9)
    assert not found.fixed_points.complete
    assert found.status == found.fixed_points.status == "time_limit"
    assert len(found.orbit.times) - 1 == 10**6 // 20  # one stretch
    assert np.isfinite(found.exponents.exponents).all()
    assert "nan" not in repr(found).lower()
    assert any(
        note.startswith(f"The orbit was followed for {found.orbit.times[-1]:.6g} of model time only")
        for note in found.notes
    )
    assert any(
        "early: raise the time limit (1e-09 s of work)" in note and "fixed points" in note for note in found.notes
    )


def test_exponents_that_time_ends_in_the_transient_are_of_what_was_reached(monkeypatch):
    """The first measurement ends in its transient; the second one begins at z0 and is as long as the first one came."""
    asked, module = [], importlib.import_module("retime.analysis.overview")

    def measured(model, z0, **options):
        asked.append(options)
        options = options | {"time_limit": 1e-9 if len(asked) == 1 else None}
        return rt.lyapunov_spectrum(model, z0, **options)

    monkeypatch.setattr(module, "lyapunov_spectrum", measured)
    found = rt.analyze(rt.zoo.load("lorenz"), steps=10**5, max_period=0, time_limit=1.0)
    assert [options.get("transient") for options in asked] == [None, 0]
    assert asked[1]["steps"] <= 10**4 < asked[0]["steps"]  # the transient is a tenth
    assert np.isfinite(found.exponents.exponents).all()
    assert any(note.startswith("Exponents are of the first ") for note in found.notes)


def test_parts_share_the_time_and_what_one_leaves_goes_to_those_after_it(monkeypatch):
    module = importlib.import_module("retime.analysis.overview")
    now, asked = [0.0], {}

    def taking(name, verb, seconds):
        def call(*given, time_limit=None, **options):
            asked[name] = time_limit
            now[0] += seconds
            return verb(*given, **options)

        return call

    monkeypatch.setattr(module, "work_seconds", lambda: now[0])
    for name, seconds in {"find_fixed_points": 30.0, "lyapunov_spectrum": 1.0, "find_cycles": 0.0}.items():
        monkeypatch.setattr(module, name, taking(name, getattr(rt, name), seconds))
    rt.analyze(rt.PLRNN([0.5], [[0.1]], [0.2]), steps=100, time_limit=100.0)
    shares = module.SHARES
    later = shares["exponents"] + shares["cycles"]
    assert asked["find_fixed_points"] == pytest.approx(100 * shares["fixed points"] / (shares["fixed points"] + later))
    assert 2 * asked["lyapunov_spectrum"] == pytest.approx(70 * shares["exponents"] / later)
    assert asked["find_cycles"] == pytest.approx(69.0)


def test_a_rotation_is_neutral_and_one_step_is_too_short():
    t = 2 * np.pi / 100
    turn = rt.LinearSystem([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]], [0.0, 0.0], np.zeros((2, 0)))
    assert rt.analyze(turn, [1.0, 0.0], steps=2000).behavior.startswith("it is periodic, quasi-periodic")
    assert rt.analyze(rt.PLRNN([0.5], [[0.0]], [0.1]), [1.0], steps=1).behavior == "it is too short to say more"


def test_an_unstable_fixed_point_is_not_sold_as_rest():
    found = rt.analyze(rt.TanhRNN([[2.0]], None, [0.0]), [0.0], steps=200)
    assert found.behavior.endswith("which is unstable: neighbors leave it")


@pytest.mark.slow
def test_an_orbit_does_not_begin_at_a_fixed_point_unless_told_to():
    oscillator = rt.VectorField(lambda z: jnp.stack([z[1], (1 - z[0] ** 2) * z[1] - z[0]]), 2)
    found = rt.analyze(oscillator, duration=60.0)
    assert "The orbit begins at a random state (seed 0), because zeros are a fixed point." in found.notes
    assert np.ptp(found.orbit.states[-1000:, 0]) > 3.9  # twice an amplitude of 2
    assert rt.analyze(oscillator, np.zeros(2), duration=20.0).behavior.endswith("which is unstable: neighbors leave it")


def test_fixed_points_do_not_count_as_longer_cycles_whatever_the_time_base():
    model = rt.PLRNN([0.5, 0.4], [[0, 0.1], [0.1, 0]], [0.1, 0.2], time=rt.Discrete(0.1))
    for system in (model, rt.to_continuous(model).model):
        assert "0 longer cycles" in rt.analyze(system, steps=200).words
    assert rt.find_cycles(rt.to_continuous(model).model, 0.4).complete_up_to == pytest.approx(0.4)


def test_an_interruption_of_a_part_is_the_status_of_the_whole(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("retime.analysis.fixed_points.find.solve_region", stop)
    found = rt.find_fixed_points(rt.zoo.load("lorenz"), complete=False)
    assert found.status == "interrupted"


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`steps` is 'a'; it must be a whole number >= 1"):
        rt.analyze(rt.zoo.load("lorenz"), steps="a")
    with pytest.raises(ValueError, match="`duration` was given, but PLRNN is a map"):
        rt.analyze(rt.zoo.load("lorenz"), duration=3.0)
    with pytest.raises(ValueError, match="analyze follows one orbit"):
        rt.analyze(rt.zoo.load("lorenz"), np.zeros((2, 24)))
    with pytest.raises(TypeError, match="analyze takes a retime model"):
        rt.analyze("file.mat")
    with pytest.raises(ValueError, match="`time_limit` is -1"):
        rt.analyze(rt.zoo.load("lorenz"), time_limit=-1)


def test_an_orbit_is_not_shortened_because_the_first_call_loads_code(monkeypatch):
    module = importlib.import_module("retime.analysis.overview")
    now = [0.0]

    def simulate(model, z0, *, steps, **options):
        now[0] += 1.0 if now[0] == 0.0 else 1e-3  # a second of loading, then the work itself
        return rt.simulate(model, z0, steps=steps, **options)

    monkeypatch.setattr(module, "work_seconds", lambda: now[0])
    monkeypatch.setattr(module, "simulate", simulate)
    found = rt.analyze(rt.PLRNN([0.5], [[0.1]], [0.2]), steps=100, max_period=0)
    assert len(found.orbit.times) == 101
    assert found.notes == ()
