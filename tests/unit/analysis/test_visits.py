"""Symbolic dynamics: against plain loops over patterns, closed forms and chains of known entropy."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest

import retime as rt
from relays import relay
from retime.analysis.regions.boundaries import boundary_distance
from retime.analysis.regions.visits import visited_regions
from retime.core.trajectory import Trajectory


@pytest.fixture(scope="module")
def oscillator(data):
    return rt.load(data / "vanderpol_plrnn.mat", dt=0.1, family="plrnn")


def rotor(level):
    """(cos t, sin t) with a unit that is on while cos t > level."""
    return rt.ShallowPLRNN([[0.0, -1], [1, 0]], np.zeros((2, 1)), [[1.0, 0]], [0, 0], [-level], time=rt.Continuous())


def path_of(patterns, dt=1.0):
    """A map's trajectory with given patterns `(T, q)` or `(T, b, q)`."""
    patterns = np.asarray(patterns, dtype=bool)
    times = dt * np.arange(len(patterns))
    batch = patterns if patterns.ndim == 3 else patterns[:, None]
    found = [np.nonzero(batch[1:, k] != batch[:-1, k]) for k in range(batch.shape[1])]
    switches = ([times[at + 1] for at, _ in found], [units for _, units in found])
    sliding = np.zeros((0, 3)) if patterns.ndim == 2 else (np.zeros((0, 3)),) * batch.shape[1]
    return Trajectory(times, np.zeros((*patterns.shape[:-1], 1)), None, patterns, switches, sliding)


def words(patterns):
    return ["".join("01"[int(x)] for x in d) for d in patterns]


def test_counts_and_transitions_are_those_of_a_loop(oscillator):
    path = rt.simulate(oscillator, np.ones(10), steps=500)
    got, seen = visited_regions(path), words(path.patterns)
    names = words(got.patterns)
    assert [names[i] for i in got.sequence] == seen
    assert dict(zip(names, got.counts, strict=True)) == Counter(seen)
    assert (np.diff(got.counts) <= 0).all()
    want = Counter(pairwise(seen))
    at = got.transitions.tocoo()
    assert {(names[i], names[j]): n for i, j, n in zip(*at.coords, at.data, strict=True)} == want
    changes = Counter(pair for pair in want.elements() if pair[0] != pair[1])
    at = got.jumps.tocoo()
    assert {(names[i], names[j]): n for i, j, n in zip(*at.coords, at.data, strict=True)} == changes


def test_published_network_visits_as_many_regions_as_measured_before(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn")
    assert len(visited_regions(rt.simulate(model, np.zeros(10), steps=10000))) == 49


def test_dwell_times_of_a_map_are_runs_of_samples(oscillator):
    path = rt.simulate(oscillator, np.ones(10), steps=500)
    got = visited_regions(path)
    runs = [(k, len(list(run))) for k, run in groupby(got.sequence.tolist())]
    assert not got.located
    for i in range(len(got)):
        np.testing.assert_allclose(got.dwell_times[i], [0.1 * n for k, n in runs if k == i], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.fractions, got.counts / 501, rtol=0, atol=1e-12)
    assert got.cut_visits.sum() == 2
    assert got.visits.sum() == len(runs)


def test_entropy_rate_is_that_of_the_frequencies():
    # 0 is followed by 0, 1, 0, 1 ..., 1 always by 0: 0 0 1 0 0 1 ...
    got = visited_regions(path_of(np.array([[0], [0], [1]] * 10)))
    # 29 transitions: 10 from 0 to 0, 10 from 0 to 1, 9 from 1 to 0
    assert float(got.entropy_rate) == pytest.approx(20 / 29, abs=1e-15)
    assert got.entropy_rate.correction == pytest.approx((3 - 2) / (2 * 29 * np.log(2)), abs=1e-15)
    assert got.jump_entropy_rate.value == 0.0


def test_entropy_rate_of_a_markov_chain_is_within_its_error(rng):
    P = np.array([[0.9, 0.1], [0.3, 0.7]])
    chain = [0]
    for u in rng.random(20000):
        chain.append(int(u < P[chain[-1], 1]))
    want = -(np.array([0.75, 0.25]) @ (P * np.log2(P)).sum(axis=1))
    got = visited_regions(path_of(np.array(chain)[:, None])).entropy_rate
    assert 0 < got.standard_error < 0.02
    assert abs(got.value - want) < 4 * got.standard_error


def test_standard_error_is_the_spread_over_independent_orbits(rng):
    orbits = [visited_regions(path_of(rng.random((1000, 2)) < 0.3)).entropy_rate for _ in range(60)]
    spread, errors = np.std([h.value for h in orbits]), np.median([h.standard_error for h in orbits])
    assert 0.6 < errors / spread < 1.6  # 60 orbits and 10 blocks leave an uncertainty of a quarter


def test_no_transition_leads_from_one_member_of_a_batch_to_another():
    got = visited_regions(path_of(np.stack([np.zeros((5, 1)), np.ones((5, 1))], axis=1)))
    assert got.sequence.tolist() == [[0, 1]] * 5
    assert got.transitions.toarray().tolist() == [[4, 0], [0, 4]]
    assert got.jumps.sum() == 0
    assert got.cut_visits.tolist() == [1, 1]


def test_rows_lost_after_divergence_belong_to_no_region():
    path = rt.simulate(rt.PLRNN([-3.0], [[0.0]], [1.0]), [1.0], steps=400)
    got = visited_regions(path)
    kept = int(np.isfinite(path.states).sum())
    assert path.status == "diverged"
    assert (got.sequence[kept:] == -1).all()
    assert got.counts.sum() == kept
    assert got.transitions.sum() == kept - 1


def test_single_sample_is_one_visit():
    got = visited_regions(path_of([[1, 0]]))
    assert (got.visits.tolist(), got.fractions.tolist(), got.transitions.sum()) == ([1], [1.0], 0)


@pytest.mark.parametrize("step", [0.01, 0.5, 9.0])
def test_dwell_times_of_a_flow_do_not_depend_on_the_samples(step):
    path = rt.simulate(rotor(0.3), [0.0, 1], times=np.arange(0, 100, step))
    got = visited_regions(path)
    on = got.dwell_times[int(np.flatnonzero(got.patterns[:, 0])[0])]
    assert got.located
    np.testing.assert_allclose(on[:-1], 2 * np.arccos(0.3), rtol=0, atol=1e-11)  # the last one may be cut
    assert np.concatenate(got.dwell_times).sum() == pytest.approx(path.times[-1], abs=1e-10)
    assert got.message == ""


def test_visit_much_shorter_than_a_step_counts():
    delta = 1e-8
    path = rt.simulate(rotor(1 - delta), [0.0, -1], times=[0, 3.0])
    got = visited_regions(path)
    assert got.counts.tolist() == [2, 0]
    assert got.visits.tolist() == [2, 1]
    # the height delta of the bump is known to 2^-52 / delta
    np.testing.assert_allclose(got.dwell_times[1], 2 * np.sqrt(2 * delta), rtol=1e-7, atol=0)


def test_samples_alone_miss_it_when_asked_to():
    path = rt.simulate(rotor(1 - 1e-8), [0.0, -1], times=[0, 3.0])
    assert len(visited_regions(path, located=False)) == 1


def test_units_that_switch_at_once_make_one_jump():
    both = rt.ShallowPLRNN(
        [[0.0, -1], [1, 0]], np.zeros((2, 2)), [[1.0, 0], [-1, 0]], [0, 0], [0, 0], time=rt.Continuous()
    )
    got = visited_regions(rt.simulate(both, [1.0, 0], times=[0, 5, 12]))
    assert sorted(words(got.patterns)) == ["01", "10"]
    assert got.jumps.sum() == 4  # at pi/2, 3 pi/2, 5 pi/2, 7 pi/2


def test_switches_of_a_converted_flow_agree_with_its_samples(oscillator):
    flow = rt.to_continuous(oscillator).model
    fine = rt.simulate(flow, np.ones(10), times=np.arange(0, 30, 0.002), switching="state")
    got, sampled = visited_regions(fine), visited_regions(fine, located=False)
    assert got.located
    assert got.message == ""
    by_name = dict(zip(words(sampled.patterns), sampled.fractions, strict=True))
    for name, fraction, visits in zip(words(got.patterns), got.fractions, got.visits, strict=True):
        assert abs(by_name.get(name, 0.0) - fraction) < visits * 0.002 / 30  # every visit is known to one step


def test_clock_flow_between_samples_has_the_visits_of_its_map(oscillator):
    flow = rt.to_continuous(oscillator).model
    path = rt.simulate(flow, np.ones(10), times=np.arange(0, 30.01, 0.03), switching="clock")
    got, want = visited_regions(path), visited_regions(rt.simulate(oscillator, np.ones(10), steps=300))
    assert dict(zip(words(got.patterns), got.visits, strict=True)) == dict(
        zip(words(want.patterns), want.visits, strict=True)
    )


def test_sliding_is_booked_and_reported():
    flow = relay([[1.0, 1.0], [-1.0, 1.0]], [0])  # both fields point at z1 = 0
    got = visited_regions(rt.simulate(flow, [-1.0, 0.0], times=np.linspace(0, 3, 7), switching="state"))
    assert got.sliding_time == pytest.approx(2.0, abs=1e-12)
    assert got.fractions.sum() == pytest.approx(1.0, abs=1e-15)
    assert got.message == ""


def test_switches_that_contradict_the_samples_are_reported():
    path = path_of([[0], [0], [1], [1]])
    wrong = Trajectory(path.times, path.states, None, path.patterns, ([np.array([0.5])], [np.array([0])]), path.sliding)
    assert "1 of 4 samples are in another region" in visited_regions(wrong).message


def test_result_prints_and_becomes_plain_data(oscillator):
    got = visited_regions(rt.simulate(oscillator, np.ones(10), steps=300))
    assert "bits per sample" in repr(got)
    assert sum(got.to_dict()["transitions"]["count"]) == 300


def test_systems_without_regions_are_refused():
    smooth = rt.simulate(rt.TanhRNN(np.eye(2), np.zeros((2, 0)), np.zeros(2)), [1.0, 1.0], steps=2)
    with pytest.raises(ValueError, match="its system has no ReLU units"):
        visited_regions(smooth)
    with pytest.raises(TypeError, match="`trajectory` is ndarray"):
        visited_regions(np.zeros(3))


# --- boundary_distance -------------------------------------------------------------------------------------------------


def test_distance_is_that_of_the_projection_on_the_nearest_boundary(rng):
    model = rt.ShallowPLRNN(
        [0.5] * 3, rng.normal(size=(3, 5)), rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=5)
    )
    path = rt.simulate(model, rng.normal(size=(4, 3)), steps=6)
    got = boundary_distance(model, path)
    assert got.distances.shape == (7, 4)
    W, h = model.canonical.W2, model.canonical.h2
    for at in np.ndindex(7, 4):
        z, w, g = path.states[at], W[got.units[at]], h[got.units[at]]
        foot = z - (w @ z + g) / (w @ w) * w
        assert abs(w @ foot + g) < 1e-13
        assert np.linalg.norm(z - foot) == pytest.approx(got.distances[at], abs=1e-13)
        assert all(abs(W[i] @ z + h[i]) / np.linalg.norm(W[i]) >= got.distances[at] - 1e-13 for i in range(5))
    assert got.smallest == got.distances.min() == got.distances[got.where]
    assert "smallest" in repr(got)


def test_input_moves_the_boundary():
    model = rt.ReluRNN([[2.0]], [[1.0]], [0.0])
    path = rt.simulate(model, [1.0], steps=2, inputs=[[1.0], [-3.0]])
    want = np.abs(2 * path.states[:, 0] + [1, -3, -3]) / 2
    np.testing.assert_allclose(boundary_distance(model, path, inputs=[[1.0], [-3.0]]).distances, want, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"`inputs` has shape \(5, 1\); it must be \(3, 1\) or \(2, 1\)"):
        boundary_distance(model, path, inputs=np.zeros((5, 1)))


def test_units_that_read_nothing_have_no_boundary():
    model = rt.ShallowPLRNN([0.5, 0.5], np.ones((2, 2)), [[0.0, 0], [3, 4]], [0, 0], [1e-9, 5])
    got = boundary_distance(model, rt.simulate(model, [0.0, 0.0], steps=0))
    assert (got.distances.tolist(), got.units.tolist()) == ([1.0], [1])
    none = rt.ShallowPLRNN([0.5, 0.5], np.ones((2, 1)), [[0.0, 0]], [0, 0], [1.0])
    got = boundary_distance(none, rt.simulate(none, [0.0, 0.0], steps=0))
    assert (got.distances.tolist(), got.units.tolist()) == ([np.inf], [-1])
    assert "no unit has a boundary" in repr(got)


def test_other_things_than_a_model_and_its_orbit_are_refused(rng):
    model = rt.PLRNN([0.5], [[0.1]], [1.0])
    with pytest.raises(TypeError, match="`trajectory` is ndarray; boundary_distance takes"):
        boundary_distance(model, np.zeros(3))
    other = rt.simulate(rt.PLRNN([0.5] * 2, np.eye(2), [1.0, 1]), [1.0, 1], steps=1)
    with pytest.raises(ValueError, match="have 2 entries; those of `model` 1"):
        boundary_distance(model, other)


def test_error_of_the_entropy_rate_is_the_jackknife_over_ten_blocks():
    """A skew tent map: its itinerary, its transitions counted with one tenth of them left out after the other."""
    path = rt.simulate(rt.PLRNN([1.4], [[-3.1]], [1.0]), [0.3], steps=400)
    got = visited_regions(path).entropy_rate
    bits = path.patterns[:, 0].astype(int)
    moves = np.column_stack([bits[:-1], bits[1:]])

    def rate(moves):
        n = np.array([[np.sum((moves == (i, j)).all(axis=1)) for j in (0, 1)] for i in (0, 1)]).astype(float)
        p = n / n.sum(axis=1, keepdims=True)
        return -sum(n[i, j] * np.log2(p[i, j]) for i in (0, 1) for j in (0, 1) if n[i, j]) / n.sum()

    parts = np.array([rate(np.delete(moves, np.s_[40 * k : 40 * (k + 1)], axis=0)) for k in range(10)])
    assert got.value == pytest.approx(rate(moves), abs=1e-12)
    assert got.standard_error == pytest.approx(np.sqrt(0.9 * ((parts - parts.mean()) ** 2).sum()), abs=1e-12)
    assert got.standard_error > 1e-4
