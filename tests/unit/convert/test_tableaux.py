"""Tableaux check themselves; a wrong one is refused with the condition that fails."""

import mpmath
import numpy as np
import pytest

import retime as rt
from retime.convert.tableaux import EULER, order_conditions

KNOWN = [
    EULER,
    rt.HEUN,
    rt.MIDPOINT,
    rt.RALSTON,
    rt.RK3,
    rt.RK4,
    rt.DORMAND_PRINCE,
    rt.IMPLICIT_EULER,
    rt.IMPLICIT_MIDPOINT,
    rt.TRAPEZOID,
]


@pytest.mark.parametrize("tableau", KNOWN, ids=lambda t: t.name)
def test_known_tableau_is_of_its_order_and_no_higher(tableau):
    with pytest.raises(ValueError, match=f"is not of order {tableau.order + 1}|`order` is 6"):
        rt.Tableau(tableau.name, tableau.A, tableau.b, tableau.order + 1)


@pytest.mark.parametrize("tableau", KNOWN, ids=lambda t: t.name)
def test_stability_function_is_the_exponential_to_its_order(tableau):
    for z in (0.02, 0.02j, -0.01 + 0.02j):
        error = abs(complex(tableau.stability(z)) - complex(mpmath.exp(z)))
        assert error <= abs(z) ** (tableau.order + 1)
    np.testing.assert_array_equal(tableau.stability(np.zeros(3)), np.ones(3))


def test_stability_function_is_that_of_linear_algebra(rng):
    for tableau in KNOWN:
        A, b = np.array(tableau.A), np.array(tableau.b)
        for z in rng.normal(size=4) + 1j * rng.normal(size=4):
            want = 1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * A, np.ones(len(b)))
            np.testing.assert_allclose(tableau.stability(z), want, rtol=0, atol=1e-12)


def test_pole_of_an_implicit_method_is_infinite():
    assert np.isinf(np.abs(rt.IMPLICIT_EULER.stability(1.0))) or np.isnan(rt.IMPLICIT_EULER.stability(1.0))


def test_number_of_order_conditions_is_that_of_rooted_trees():
    orders = [order for _, order, _, _ in order_conditions(np.zeros((1, 1)), np.ones(1))]
    assert [orders.count(p) for p in range(1, 6)] == [1, 1, 2, 4, 9]


def test_order_conditions_hold_for_the_gauss_method_of_order_four():
    """Two stages at the Gauss points: of order 4, and not of order 5."""
    r = np.sqrt(3) / 6
    conditions = order_conditions(np.array([[1 / 4, 1 / 4 - r], [1 / 4 + r, 1 / 4]]), np.array([1 / 2, 1 / 2]))
    for name, order, value, wanted in conditions:
        if order <= 4:
            assert abs(value - wanted) <= 1e-15, name
    assert max(abs(value - wanted) for _, order, value, wanted in conditions if order == 5) > 1e-3


def test_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ValueError, match=r"Tableau 'mine' is not of order 1: sum b is 0\.9, it must be 1"):
        rt.Tableau("mine", [[0]], [0.9], 1)


def test_wrong_nodes_are_refused_with_the_condition():
    with pytest.raises(ValueError, match=r"is not of order 2: b c is 0\.25, it must be 0\.5"):
        rt.Tableau("mine", [[0, 0], [0.5, 0]], [0.5, 0.5], 2)
    with pytest.raises(ValueError, match=r"is not of order 3: b c\^2 is 0\.25, it must be 0\.3333"):
        rt.Tableau("midpoint", [[0, 0], [0.5, 0]], [0, 1], 3)
    A = np.array(rt.RK4.A)
    A[2] = [0.25, 0.25, 0, 0]  # the nodes stay right
    with pytest.raises(ValueError, match=r"is not of order 4: b A c is|is not of order 4: b c A c is"):
        rt.Tableau("mine", A, rt.RK4.b, 4)


def test_perturbed_coefficient_of_every_known_tableau_is_refused():
    for tableau in KNOWN:
        b = np.array(tableau.b)
        b[0] += 1e-9
        with pytest.raises(ValueError, match="is not of order"):
            rt.Tableau(tableau.name, tableau.A, b, tableau.order)


def test_fully_implicit_tableau_is_refused():
    with pytest.raises(ValueError, match="is not lower triangular: fully implicit methods are not supported"):
        rt.Tableau("Gauss", [[0.25, -0.04], [0.54, 0.25]], [0.5, 0.5], 4)


@pytest.mark.parametrize("order", [0, 6, 1.5, "4"])
def test_order_out_of_range_is_refused(order):
    with pytest.raises(ValueError, match=r"`order` is .*; it must be 1 to 5"):
        rt.Tableau("mine", [[0]], [1], order)


def test_sizes_that_disagree_are_refused():
    with pytest.raises(rt.ShapeError, match=r"`A` has shape \(1, 1\) and `b` \(2,\)"):
        rt.Tableau("mine", [[0]], [0.5, 0.5], 1)


def test_own_tableau_is_a_method(rng):
    """The 3/8 rule."""
    A = [[0, 0, 0, 0], [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]]
    rule = rt.Tableau("3/8", A, [1 / 8, 3 / 8, 3 / 8, 1 / 8], 4)
    assert rule.num_stages == 4
    assert not rule.is_implicit
    assert rule == rt.Tableau("3/8", A, [1 / 8, 3 / 8, 3 / 8, 1 / 8], 4)
    method = rt.RungeKutta(rule)
    assert repr(method) == "RungeKutta(3/8)"
    assert method.order == 4
    region = rt.stability_region(method)
    assert abs(region.real_limit - 2.785293563405) <= 1e-9  # every method of four stages and order 4


def test_diagonally_implicit_tableau_of_two_stages_solves_both():
    """Crouzeix, order 3, with the stability function of its coefficients."""
    g = 0.5 + np.sqrt(3) / 6
    tableau = rt.Tableau("Crouzeix", [[g, 0], [1 - 2 * g, g]], [0.5, 0.5], 3)
    assert tableau.is_implicit
    step = rt.to_discrete(rt.VectorField(lambda z: -3.0 * z, 1), 0.5, method=rt.RungeKutta(tableau)).model
    want = complex(tableau.stability(-1.5)).real
    np.testing.assert_allclose(step.step([1.0]), [want], rtol=0, atol=1e-12)
