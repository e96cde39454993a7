"""`simulate`: horizons, statuses, wrong use."""

import json

import numpy as np
import pytest

import retime as rt
from families import make
from interrupts import interrupt

SMALL = rt.PLRNN([0.5, 0.4], [[0.0, 0.1], [0.2, 0.0]], [0.1, -0.2], [[1.0], [0.5]], time=rt.Discrete(0.5))
FLOW = rt.to_continuous(SMALL).model
ODE = rt.ContinuousPLRNN([-1.0, -1.0], [[0.0, 1.0], [-1.0, 0.0]], [0.1, 0.0], [[1.0], [0.0]])


@pytest.mark.parametrize("model", [SMALL, FLOW], ids=["map", "clock"])
def test_zero_steps_give_the_initial_state(model):
    path = rt.simulate(model, [1.0, -1.0], steps=0)
    np.testing.assert_array_equal(path.states, [[1.0, -1.0]])
    np.testing.assert_array_equal(path.patterns, [[True, False]])
    assert path.status == "completed"


@pytest.mark.parametrize(("model", "options"), [(FLOW, {}), (FLOW, {"switching": "state"}), (ODE, {})])
def test_single_time_gives_the_initial_state(model, options):
    path = rt.simulate(model, [1.0, -1.0], times=[3.0], **options)
    np.testing.assert_array_equal(path.states, [[1.0, -1.0]])
    np.testing.assert_array_equal(path.patterns, [[True, False]])
    np.testing.assert_array_equal(path.times, [3.0])


@pytest.mark.parametrize(("model", "options"), [(FLOW, {}), (FLOW, {"switching": "state"}), (ODE, {})])
def test_autonomous_flow_does_not_know_when_it_starts(model, options):
    times = np.linspace(0, 3, 13)
    a, b = (rt.simulate(model, [1.0, -1.0], times=times + t, **options) for t in (0.0, -7.25))
    np.testing.assert_allclose(a.states, b.states, rtol=0, atol=1e-14)
    np.testing.assert_allclose(a.switch_times, b.switch_times + 7.25, rtol=0, atol=1e-14)


def test_clock_switches_are_seen_at_sample_times():
    s = np.cos(np.arange(8.0))[:, None] * 3
    path = rt.simulate(FLOW, [1.0, -1.0], times=np.linspace(2, 6, 33), inputs=s)
    assert len(path.switch_times) > 2
    np.testing.assert_allclose((path.switch_times - 2) % 0.5, 0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("base", ["map", "flow"])
def test_system_without_relu_units_has_empty_patterns(base, rng):
    model, _ = make("linear", rng, base=base)
    path = rt.simulate(model, np.ones(4), **({"steps": 4} if base == "map" else {"times": np.arange(5.0)}))
    assert path.patterns.shape == (5, 0)
    assert path.num_switches == 0


def test_almost_linear_network_without_relu_units_is_linear():
    model = rt.AlmostLinearRNN([0.5, 0.25], [[0.0, 0.1], [0.0, 0.0]], [1.0, 1.0], num_relu=0)
    result = rt.compare(model, rt.to_continuous(model).model, [1.0, -1.0], steps=10)
    assert result.orbit_error.max() <= 1e-14
    assert len(result.switching_steps) == 0


def test_time_varying_region_is_interpolated_between_equal_samples():
    model = rt.PLRNN([[0.0, 1.0], [0.0, 0.0]], [[-0.5, 0.0], [0.0, 0.5]], [1.0, -0.5], [[1.0], [2.0]])
    flow = rt.to_continuous(model, throw=False).model
    s = np.sin(np.arange(12.0))[:, None]
    want = rt.simulate(model, [-1.0, -2.0], steps=12, inputs=s)
    fine = rt.simulate(flow, [-1.0, -2.0], times=np.linspace(0, 12, 12 * 8 + 1), inputs=s)
    assert "time_varying" in {r.status for r in flow.converted.values()}
    np.testing.assert_allclose(fine.states[::8], want.states, rtol=0, atol=1e-13)
    just_before = rt.simulate(flow, [-1.0, -2.0], times=[0, 1 - 1e-8, 1], inputs=s[:1])
    np.testing.assert_allclose(
        just_before.states[1], just_before.states[2], rtol=0, atol=1e-6
    )  # continuous, rates below 40


@pytest.mark.parametrize("kind", ["map", "clock", "state", "own"])
def test_divergence_keeps_the_length_and_says_when(kind):
    growing = rt.PLRNN([10.0], [[0.0]], [0.0])
    count = 400
    if kind == "map":
        path = rt.simulate(growing, [1.0], steps=count)
    elif kind == "own":
        path = rt.simulate(rt.ContinuousPLRNN([np.log(10)], [[0.0]], [0.0]), [1.0], times=np.arange(count + 1.0))
    else:
        path = rt.simulate(rt.to_continuous(growing).model, [1.0], times=np.arange(count + 1.0), switching=kind)
    assert path.status == "diverged"
    assert 149 <= path.status_time <= 152  # 1e150 is the limit
    assert path.states.shape == (count + 1, 1)
    lost = np.isnan(path.states[:, 0])
    assert lost[path.times > path.status_time].all()
    assert not lost[path.times < path.status_time].any()
    assert "exceeded 1e150" in path.message
    assert f"{path.status_time:.6g}" in repr(path)


def test_one_diverging_member_leaves_the_others_alone():
    path = rt.simulate(rt.PLRNN([0.5], [[3.0]], [0.0]), [[-1.0], [1.0], [-2.0]], steps=500)
    assert [str(s) for s in path.statuses] == ["completed", "diverged", "completed"]
    assert path.status == "diverged"
    assert path.message.startswith("initial state 1:")
    assert np.isfinite(path.states[:, [0, 2]]).all()


def test_trajectory_is_plain_data_for_json():
    path = rt.simulate(rt.PLRNN([10.0], [[0.0]], [0.0]), [[1.0], [0.0]], steps=200)
    json.dumps(path.to_dict(), allow_nan=False)


def test_row_k_of_the_inputs_acts_from_sample_k(rng):
    s = np.zeros((4, 1))
    s[2] = 1.0
    path = rt.simulate(SMALL, [0.0, 0.0], steps=4, inputs=s)
    quiet = rt.simulate(SMALL, [0.0, 0.0], steps=4)
    changed = (path.states != quiet.states).any(axis=1)
    assert changed.tolist() == [False, False, False, True, True]


WRONG = {
    "z0 too long": (
        lambda: rt.simulate(SMALL, np.zeros(3), steps=3),
        r"`z0` has shape \(3,\); it must be \(2,\), or \(b, 2\)",
    ),
    "z0 a number": (lambda: rt.simulate(SMALL, 1.0, steps=3), r"`z0` has shape \(\)"),
    "z0 of columns": (lambda: rt.simulate(SMALL, np.zeros((2, 1)), steps=3), r"`z0` has shape \(2, 1\)"),
    "z0 with NaN": (lambda: rt.simulate(SMALL, [0.0, np.nan], steps=3), r"`z0` holds nan at \(1,\)"),
    "z0 complex": (lambda: rt.simulate(SMALL, [0.0, 1j], steps=3), "`z0` is complex"),
    "z0 of text": (lambda: rt.simulate(SMALL, ["a", "b"], steps=3), "`z0` has type <U1; it must hold real numbers"),
    "steps negative": (
        lambda: rt.simulate(SMALL, [0.0, 0.0], steps=-1),
        "`steps` is -1; it must be a whole number >= 0",
    ),
    "steps a float": (lambda: rt.simulate(SMALL, [0.0, 0.0], steps=2.0), r"`steps` is 2\.0; it must be a whole number"),
    "steps a truth value": (lambda: rt.simulate(SMALL, [0.0, 0.0], steps=True), "`steps` is True"),
    "steps missing": (lambda: rt.simulate(SMALL, [0.0, 0.0]), "PLRNN is a map: give `steps`"),
    "times for a map": (lambda: rt.simulate(SMALL, [0.0, 0.0], times=[0, 1]), "is a map: give `steps`.*to_continuous"),
    "steps for a flow": (
        lambda: rt.simulate(ODE, [0.0, 0.0], steps=3),
        "is in continuous time: give `times`, not `steps`",
    ),
    "both horizons": (lambda: rt.simulate(FLOW, [0.0, 0.0], steps=3, times=[0, 1]), "either `times` or `steps`"),
    "no horizon": (lambda: rt.simulate(FLOW, [0.0, 0.0]), "either `times` or `steps`"),
    "times repeat": (
        lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1, 1]),
        r"strictly increasing, but times\[1\] = 1\.0 and times\[2\] = 1\.0",
    ),
    "times fall": (lambda: rt.simulate(FLOW, [0.0, 0.0], times=[1, 0]), "`times` must be strictly increasing"),
    "times empty": (lambda: rt.simulate(ODE, [0.0, 0.0], times=[]), "`times` is empty"),
    "times with NaN": (lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, np.nan]), r"`times` holds nan at \(1,\)"),
    "inputs too short": (
        lambda: rt.simulate(SMALL, [0.0, 0.0], steps=3, inputs=np.zeros((2, 1))),
        r"`inputs` has shape \(2, 1\); it must be \(3, 1\), one row per step",
    ),
    "inputs too wide": (
        lambda: rt.simulate(SMALL, [0.0, 0.0], steps=3, inputs=np.zeros((3, 2))),
        r"`inputs` has shape \(3, 2\); it must be \(3, 1\)",
    ),
    "inputs for a flow too long": (
        lambda: rt.simulate(FLOW, [0.0, 0.0], times=[0, 1.0], inputs=np.zeros((3, 1))),
        r"it must be \(2, 1\), one row per step of dt = 0\.5",
    ),
    "inputs for an ODE too long": (
        lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1.0], inputs=np.zeros((3, 1))),
        r"it must be \(1, 1\), one row per interval of `times`",
    ),
    "inputs with infinity": (
        lambda: rt.simulate(SMALL, [0.0, 0.0], steps=1, inputs=[[np.inf]]),
        r"`inputs` holds inf at \(0, 0\)",
    ),
    "Inputs too wide": (
        lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1], inputs=rt.Inputs([0], [[1.0, 2.0]])),
        "`inputs` has 2 columns; the model has 1 inputs",
    ),
    "Inputs that begin too late": (
        lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1], inputs=rt.Inputs([0.5], [1.0])),
        "before the first input at 0.5",
    ),
    "switching misspelled": (
        lambda: rt.simulate(FLOW, [0.0, 0.0], steps=3, switching="clocked"),
        "`switching` is 'clocked'; it must be \"clock\"",
    ),
    "switching for a map": (
        lambda: rt.simulate(SMALL, [0.0, 0.0], steps=3, switching="state"),
        "only converted flows have a choice: PLRNN has none",
    ),
    "switching for an ODE": (
        lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1], switching="state"),
        "ContinuousPLRNN has none",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_value_is_refused_with_a_reason(name):
    call, match = WRONG[name]
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: rt.simulate(SMALL, [0.0, 0.0], steps=3, inputs=rt.Inputs([0], [1.0])),
            "`inputs` is Inputs; here it must be an array",
        ),
        (lambda: rt.simulate(ODE, [0.0, 0.0], times=[0, 1], inputs=np.sin), r"Inputs\.sample"),
    ],
)
def test_wrong_kind_of_argument_is_refused_with_a_reason(call, match):
    with pytest.raises(TypeError, match=match):
        call()


@pytest.mark.parametrize("name", ["inputs", "z0", "times"])
def test_message_about_nan_outside_weights_does_not_speak_of_training(name):
    arguments = {"z0": [0.0, 0.0], "times": [0.0, 1.0], "inputs": [[0.0]]}
    arguments[name] = np.full(np.shape(arguments[name]), np.nan)
    with pytest.raises(ValueError, match=f"`{name}` holds nan") as caught:
        rt.simulate(ODE, arguments.pop("z0"), **arguments)
    assert "raining" not in str(caught.value)


def test_ctrl_c_ends_a_long_simulation_of_one_and_of_many():
    code = """
import numpy as np
import retime as rt
entry = rt.zoo.entry("vanderpol")
flow = rt.to_continuous(entry.model).model
for z0 in (entry.z0, np.tile(entry.z0, (8, 1))):
    rt.simulate(flow, z0, times=[0, 1.0], switching="state")
    ready()
    try:
        rt.simulate(flow, z0, times=[0, 1e6], switching="state")  # minutes
    except KeyboardInterrupt:
        answer(raised=True)
"""
    assert interrupt(code) == [{"raised": True}] * 2
