"""Results computed from a run that ended early say at which step their numbers stop, and why."""

import matplotlib
import numpy as np
import pytest

import retime as rt

matplotlib.use("Agg")
START = [0.727, -0.795]


@pytest.fixture(scope="module")
def accumulating():
    """A map whose state-switched flow enters and leaves a raised region ever faster, after less than one unit of time."""
    model = rt.AlmostLinearRNN(
        [-0.247, -0.421], [[0.337, 0.146], [0.561, -0.304]], [0.057, 0.338], num_relu=1, time=rt.Discrete(0.1)
    )
    return model, rt.to_continuous(model).model


@pytest.fixture(scope="module")
def stopped(accumulating):
    return rt.compare(*accumulating, START, steps=30, switching="state")


@pytest.fixture
def growing():
    """z' = 1.5 z: beyond 1e150 after 852 steps from 1."""
    return rt.PLRNN([1.5], [[0.0]], [0.0])


def test_a_comparison_says_when_and_why_its_orbit_errors_stop(stopped):
    assert stopped.status == "switches_accumulate"
    measured = int(np.isfinite(stopped.orbit_error).sum())
    assert measured < 30
    assert f"orbit errors are those of the first {measured} of 30 steps" in stopped.message
    assert (
        f"the other system's orbit ended at t = {stopped.other.status_time:.6g} (switches_accumulate: "
        in stopped.message
    )
    assert stopped.message in repr(stopped)
    assert "switches_accumulate" in stopped._repr_html_()
    assert stopped.to_dict()["message"] == stopped.message


def test_a_comparison_counts_the_steps_that_could_not_be_restarted(stopped):
    lost = np.flatnonzero(np.isnan(stopped.one_step_error))
    assert len(lost) > 0
    assert f"{len(lost)} of 30 steps have no one-step error, the first of them step {lost[0]}" in stopped.message


def test_steps_after_the_end_are_neither_apart_nor_crossings(growing):
    found = rt.compare(growing, rt.to_continuous(growing).model, [1.0], steps=1000, switching="state")
    assert found.status == "diverged"
    assert "the map's orbit ended at t = 852 (diverged" in found.message  # 1.5^852 > 1e150
    assert "first 851 of 1000 steps" in found.message
    assert found.summary()["first_step_apart"] == -1
    assert len(found.crossing_steps) == 0


def test_a_complete_comparison_has_no_message(accumulating):
    found = rt.compare(*accumulating, START, steps=30)
    assert found.message == ""
    assert repr(found).startswith("Comparison(clock, completed)\n")


def test_the_plot_of_errors_marks_the_end(stopped):
    labels = [t.get_text() for t in rt.plots.errors(stopped).get_legend().get_texts()]
    end = int(np.argmax(np.isnan(stopped.orbit_error)))
    assert f"state: ended at step {end} (switches_accumulate)" in labels


def test_dynamics_side_by_side_name_what_was_measured_until_the_end(accumulating):
    model, flow = accumulating
    found = rt.compare_dynamics(model, flow, START, steps=60, max_period=1, num=1, time_limit=5.0)
    assert "steps of the state flow: the other system's orbit ended at t =" in found.message
    assert "exponents of the state flow are those of" in found.message
    assert "switches_accumulate" in found.message


def test_an_analysis_of_an_orbit_that_ends_says_when_and_gives_the_last_state_reached(growing):
    found = rt.analyze(growing, [1.0], steps=2000)
    assert "diverged at t = 852" in found.words
    end = found.to_dict()["orbit"]
    assert end["status_time"] == 852.0
    assert end["end"] == pytest.approx([1.5**851], rel=1e-12)


def test_an_analysis_of_a_flow_that_stops_says_why(accumulating):
    found = rt.analyze(accumulating[1], START, duration=5.0, switching="state", max_period=0)
    assert found.behavior.startswith("it ended at t = ")
    assert "switches_accumulate: " in found.behavior
    assert "regions until it ends" in found.words


def test_the_last_state_of_a_batch_is_that_of_each_member(growing):
    path = rt.simulate(growing, [[1.0], [0.0]], steps=900)
    assert path.last_state[:, 0] == pytest.approx([1.5**851, 0.0], rel=1e-12)
