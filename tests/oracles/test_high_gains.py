"""Proven lists at weights that multiply to 1 ... 1e14, against exact rational arithmetic over all sign patterns."""

import numpy as np
import pytest

import retime as rt
from exact_points import ExactMap, gained, missing, rows_of

KINDS = ["shallow", "plrnn", "dyadic"]


def searched(model):
    """The list, and the exact points whose preactivations are within the scope that the list states; None where a region is singular."""
    exact = ExactMap(model.canonical)
    points = exact.fixed_points()
    if points is None:
        return None
    found = rt.find_fixed_points(model)
    within = [z for z in points if max(abs(a) for a in exact.preactivations(z)) <= found.reach]
    assert all(exact.residual(z) <= 1e-8 for z in found.points)
    return found, rows_of(within, exact.n), rows_of(points, exact.n)


def check(rng, kind, gain, number):
    """No list that says complete holds a false point or misses one; returns how many said so."""
    complete = 0
    for _ in range(number):
        answer = searched(gained(rng, kind, gain))
        if answer is None:
            continue
        found, within, every = answer
        if found.continua:
            continue  # singular but for the rounding of its decimals
        if found.complete:
            complete += 1
            assert found.certificate.holds
            assert missing(found.points, every) == 0
            assert missing(within, found.points) == 0
        else:
            assert "unclear" in found.message
    return complete


@pytest.mark.parametrize("gain", [1.0, 1e6, 1e8, 1e10, 1e12, 1e14])
@pytest.mark.parametrize("kind", KINDS)
def test_a_complete_list_has_no_false_point_and_misses_none(rng, kind, gain):
    assert check(rng, kind, gain, 8) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("gain", [10.0**k for k in range(15)])
@pytest.mark.parametrize("kind", KINDS)
def test_complete_lists_of_many_networks_have_no_false_point_and_miss_none(rng, kind, gain):
    assert check(rng, kind, gain, 40) >= 5


def test_a_network_without_fixed_points_lists_none_at_a_gain_of_1e8():
    model = rt.ShallowPLRNN(
        [0.4, 0.3], [[-1.4e8, 8e7], [-7e7, -1.1e8]], [[0.1, -0.2], [0.2, -1.6]], [1.8, -0.6], [-1.5, 0.6]
    )
    assert ExactMap(model.canonical).fixed_points() == set()
    found = rt.find_fixed_points(model)
    assert len(found) == 0
    assert found.complete


def test_points_beside_boundaries_are_found_at_a_gain_of_1e14():
    model = rt.PLRNN([0.7, 0.3], [[1.1e14, 2e13], [-7e13, -1.3e14]], [-1.3, -0.9])
    want = rows_of(ExactMap(model.canonical).fixed_points(), 2)
    found = rt.find_fixed_points(model)
    assert found.complete
    assert len(want) == len(found) == 2
    assert missing(want, found.points) == 0


def test_a_point_that_no_double_can_hold_is_unclear_and_nothing_is_complete():
    model = rt.ShallowPLRNN([0.5], [[-1e14]], [[1.0]], [1.0], [-0.3])  # 1e14 (z - 0.3) = 0.85: z is between two doubles
    exact = ExactMap(model.canonical)
    (point,) = exact.fixed_points()
    assert exact.residual([float(x) for x in point]) > 1e-8
    found = rt.find_fixed_points(model)
    assert len(found) == 0
    assert not found.complete
    assert "1 region unclear" in found.message


def test_the_message_and_the_certificate_print_the_scope(rng):
    model = rt.PLRNN(rng.uniform(-0.9, 0.9, 4), rng.normal(size=(4, 4)), rng.normal(size=4))
    found = rt.find_fixed_points(model)
    assert found.complete
    assert found.reach >= 1e8 * np.abs(model.h).max() / 4
    assert f"for preactivations up to {found.reach:.2g}" in found.message
    assert f"preactivations up to {found.reach:.2g}" in found.certificate.scope


def test_a_linear_system_is_complete_without_a_scope():
    found = rt.find_fixed_points(rt.LinearSystem([[0.5, 0.1], [0.0, 0.2]], [1.0, 1.0], np.zeros((2, 0))))
    assert found.complete
    assert found.reach == np.inf
    assert "preactivations" not in found.message


@pytest.mark.parametrize("rate", [1e-9, 1.0, 1e9])
def test_points_of_a_flow_do_not_depend_on_its_unit_of_time(rng, rate):
    A, W, h = -rng.uniform(0.5, 1.5, 4), rng.normal(size=(4, 4)), rng.normal(size=4)
    want = rt.find_fixed_points(rt.ContinuousPLRNN(A, W, h))
    found = rt.find_fixed_points(rt.ContinuousPLRNN(rate * A, rate * W, rate * h))
    assert found.complete
    assert found.certificate.holds
    np.testing.assert_allclose(found.points, want.points, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gain", [1.0, 1e6, 1e8, 1e11, 1e14])
def test_points_of_flows_are_those_of_maps_with_the_same_equation(rng, gain):
    for _ in range(6):
        A, W, h = (
            np.round(rng.uniform(-0.9, 0.9, 2), 1),
            np.round(rng.normal(size=(2, 2)), 1) * gain,
            rng.normal(size=2),
        )
        exact = ExactMap(rt.PLRNN(A, W, h).canonical)
        points = exact.fixed_points()
        found = rt.find_fixed_points(rt.ContinuousPLRNN(A - 1.0, W, h))
        if points is not None and found.complete:
            assert missing(rows_of(points, 2), found.points) == 0
            assert missing(found.points, rows_of(points, 2)) == 0


def cycles_checked(rng, kind, gain, number):
    """How many searches for cycles of period 2 were complete; those hold no false point and miss none."""
    complete = 0
    for _ in range(number):
        model = gained(rng, kind, gain)
        exact = ExactMap(model.canonical)
        if exact.q > 3 or (want := exact.two_cycles()) is None:
            continue
        found = rt.find_cycles(model, 2, num_starts=64, time_limit=20.0)
        every = [c for c in found if c.period == 2]
        points = np.array([z for c in every for z in c.points]).reshape(-1, exact.n)
        for c in found:
            assert c.residual <= 1e-8
        if found.degenerate:
            continue  # slopes of -1 but for the rounding of their decimals
        if found.complete_up_to == 2:
            complete += 1
            within = [z for z in want if max(abs(a) for a in exact.preactivations(z)) <= found.reach]
            within = [z for z in within if max(abs(a) for a in exact.preactivations(exact.step(z))) <= found.reach]
            assert missing(points, rows_of(want, exact.n)) == 0
            assert missing(rows_of(within, exact.n), points) == 0
        else:
            assert "unclear" in found.message or found.status == "time_limit"
    return complete


@pytest.mark.parametrize("gain", [1.0, 1e8, 1e12])
def test_cycles_proven_complete_are_those_of_exact_arithmetic(rng, gain):
    assert cycles_checked(rng, "plrnn", gain, 4) + cycles_checked(rng, "shallow", gain, 4) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("gain", [10.0**k for k in range(0, 15, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_cycles_of_many_networks_proven_complete_are_those_of_exact_arithmetic(rng, kind, gain):
    assert cycles_checked(rng, kind, gain, 12) >= 1


def test_a_point_within_the_scope_is_not_excluded_by_a_region_that_is_singular_within_rounding():
    """Rows (1, 1) and (1, 1 + 2^-52) of I - M: their difference, which rounding makes 0, puts the fixed point at 262144."""
    W = np.array([[0.0, -1.0], [0.0, -0.5 - 2.0**-52]])
    model = rt.PLRNN([[0.0, 0.0], [-1.0, 0.5]], W, [1.0, 1.0 + 2.0**-34])
    want = rows_of(ExactMap(model.canonical).fixed_points(), 2)
    assert want.tolist() == [[-262143, 262144]]
    found = rt.find_fixed_points(model)
    assert found.reach > 262144
    assert found.complete
    assert missing(want, found.points) == 0
