"""Which of rescaling, discretizing and linearizing may be interchanged: every row of the table, measured."""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import root

import retime as rt
from families import FLOW_NAMES, make, make_smooth, stable

N, M, DT, K = 4, 2, 0.2, 3.0
BASE, S = np.array([0.9, -0.4, 0.3, 0.7]), np.array([0.3, -0.2])
ALWAYS = {"euler": rt.Euler(), "adams_2": rt.AdamsBashforth(2), "adams_4": rt.AdamsBashforth(4)}
EQUILIBRIUM = {
    "heun": rt.Heun(),
    "rk4": rt.RungeKutta(rt.RK4),
    "tustin": rt.Tustin(),
}
SMOOTH = ["hopfield", "rate", "rate_current", "vector_field"]


@cache
def flow(name):
    return make_smooth(name, np.random.default_rng(20200713), n=N, m=M)


@cache
def equilibrium(name):
    """A zero of the equation, by SciPy, polished by Newton's method with SciPy's own Jacobian."""
    _, equation = flow(name)
    z = root(lambda z: equation(z, S), np.ones(N), tol=1e-14).x
    assert np.abs(equation(z, S)).max() <= 1e-12
    return z


def commutes(result):
    """To rounding, and said so: the condition of the theory holds."""
    assert result.difference <= 1e-12 * (1 + result.size)
    assert result.commutes
    assert result.condition.holds
    assert result.condition.margin >= 0
    return True


def differs(result):
    assert result.difference > 1e-6
    assert not result.commutes
    assert not result.condition.holds
    assert result.condition.margin < 0
    return True


# --- rescale, discretize ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["euler", "adams_2", "rk4", "tustin"])
@pytest.mark.parametrize("name", ["rate_current", "vector_field"])
@pytest.mark.slow
def test_rescaling_and_discretizing_commute_when_the_step_is_rescaled(name, method):
    method = (ALWAYS | EQUILIBRIUM)[method]
    assert commutes(
        rt.interchange(flow(name)[0], "rescale", "discretize", at=BASE, dt=DT, factor=K, method=method, inputs=S)
    )


@pytest.mark.parametrize("name", ["hopfield", "rate"])
def test_rescaling_and_discretizing_commute_for_exponential_euler(name):
    result = rt.interchange(
        flow(name)[0], "rescale", "discretize", at=BASE, dt=DT, factor=K, method=rt.ExponentialEuler(), inputs=S
    )
    assert commutes(result)


@pytest.mark.parametrize("name", FLOW_NAMES)
def test_rescaling_and_discretizing_commute_for_piecewise_affine_systems(name, rng):
    for method in (rt.Euler(), rt.ExponentialEuler()):
        result = rt.interchange(
            stable(name, rng), "rescale", "discretize", at=BASE, dt=DT, factor=K, method=method, inputs=S
        )
        assert commutes(result)


def test_rescaling_and_exact_discretization_of_a_linear_system_commute(rng):
    for method in (rt.ZeroOrderHold(), rt.FirstOrderHold()):
        assert commutes(
            rt.interchange(stable("linear", rng), "rescale", "discretize", dt=DT, factor=K, method=method, at=BASE)
        )


@pytest.mark.parametrize("method", [rt.Euler(), rt.RungeKutta(rt.RK4)], ids=repr)
def test_a_step_that_is_not_rescaled_differs_to_first_order_in_the_mismatch(method):
    model, differences = flow("rate_current")[0], []
    for mismatch in (1e-3, 5e-4):
        result = rt.interchange(
            model, "rescale", "discretize", at=BASE, dt=DT, factor=K, method=method, dt_rescaled=K * DT * (1 + mismatch)
        )
        assert differs(result)
        np.testing.assert_allclose(result.condition.margin, -mismatch, rtol=0, atol=1e-11)
        differences.append(result.difference)
    assert abs(differences[0] / differences[1] - 2) <= 0.2


# --- rescale, linearize -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
def test_rescaling_and_linearizing_always_commute_for_smooth_flows(name):
    result = rt.interchange(flow(name)[0], "rescale", "linearize", at=BASE, factor=K, inputs=S)
    assert commutes(result)
    np.testing.assert_allclose(result.results[0].A, flow(name)[0].jacobian(BASE, S) / K, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["gru", "lstm", "tanh"])
def test_rescaling_and_linearizing_always_commute_for_smooth_maps(name, rng):
    model, _ = make_smooth(name, rng)
    result = rt.interchange(model, "linearize", "rescale", at=BASE, factor=K, inputs=S)
    assert commutes(result)
    assert [system.dt for system in result.results] == [model.dt * K] * 2


@pytest.mark.parametrize("base", ["map", "flow"])
@pytest.mark.parametrize("name", FLOW_NAMES)
def test_rescaling_and_linearizing_always_commute_for_piecewise_affine_systems(name, base, rng):
    if base == "map" and name.startswith("continuous"):
        base = "flow"
    model, _ = make(name, rng, base=base)
    assert commutes(rt.interchange(model, "rescale", "linearize", at=BASE, factor=K, inputs=S))


# --- discretize, linearize --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("method", ALWAYS)
@pytest.mark.slow
def test_methods_affine_in_the_field_and_linearizing_commute_at_any_base_point(name, method):
    result = rt.interchange(flow(name)[0], "linearize", "discretize", at=BASE, dt=DT, method=ALWAYS[method], inputs=S)
    assert commutes(result)
    assert result.condition.margin == np.inf


@pytest.mark.parametrize("method", EQUILIBRIUM)
@pytest.mark.slow
def test_nonlinear_methods_and_linearizing_commute_at_equilibria_only(method):
    model, method = flow("rate_current")[0], EQUILIBRIUM[method]
    z = equilibrium("rate_current")
    at_rest = rt.interchange(model, "linearize", "discretize", at=z, dt=DT, method=method, inputs=S)
    assert at_rest.difference <= 1e-11  # |F| <= 1e-12 at the base point, and Newton's method to 1e-12
    assert at_rest.commutes
    assert at_rest.condition.holds
    assert differs(rt.interchange(model, "discretize", "linearize", at=BASE, dt=DT, method=method, inputs=S))


@pytest.mark.parametrize("name", ["hopfield", "rate", "vector_field"])
def test_runge_kutta_and_linearizing_commute_at_equilibria_only(name):
    model, method = flow(name)[0], rt.RungeKutta(rt.RK4)
    at_rest = rt.interchange(model, "linearize", "discretize", at=equilibrium(name), dt=DT, method=method, inputs=S)
    assert at_rest.difference <= 1e-11
    assert at_rest.condition.holds
    assert differs(rt.interchange(model, "linearize", "discretize", at=BASE, dt=DT, method=method, inputs=S))


def test_difference_grows_with_the_field_at_the_base_point():
    """O(|F|): ten times as far from an equilibrium, ten times the difference."""
    model, z = flow("rate_current")[0], equilibrium("rate_current")
    near, far = (
        rt.interchange(
            model, "linearize", "discretize", at=z + d * BASE, dt=DT, method=rt.RungeKutta(rt.RK4), inputs=S
        ).difference
        for d in (1e-4, 1e-3)
    )
    assert abs(far / near - 10) <= 1


@pytest.mark.parametrize("name", ["hopfield", "rate_current"])
def test_exponential_euler_and_linearizing_commute_with_a_linear_part_of_its_own(name):
    model = flow(name)[0]
    own = rt.ExponentialEuler(model.linear_part)
    assert commutes(rt.interchange(model, "linearize", "discretize", at=BASE, dt=DT, method=own, inputs=S))
    assert differs(
        rt.interchange(model, "linearize", "discretize", at=BASE, dt=DT, method=rt.ExponentialEuler(), inputs=S)
    )


@pytest.mark.parametrize("name", FLOW_NAMES)
def test_the_exact_step_and_linearizing_commute_within_one_region(name, rng):
    model, dt = stable(name, rng), 0.01
    result = rt.interchange(model, "linearize", "discretize", at=BASE, dt=dt, method=rt.ZeroOrderHold(), inputs=S)
    assert result.difference <= 1e-12 * (1 + result.size)
    assert result.commutes


@pytest.mark.parametrize("method", [rt.Heun(), rt.RungeKutta(rt.RK4)], ids=repr)
def test_runge_kutta_and_linearizing_commute_within_one_region_and_not_across_a_boundary(method):
    model = rt.ContinuousPLRNN([-1.0, -1.0], [[0.0, 2.0], [0.0, 0.0]], [0.0, -1.0])
    inside = rt.interchange(model, "linearize", "discretize", at=[1.0, 3.0], dt=0.1, method=method)
    assert commutes(inside)
    assert differs(rt.interchange(model, "linearize", "discretize", at=[1.0, 0.02], dt=0.1, method=method))


# --- discretize, to_continuous ----------------------------------------------------------------------------------------


def rotating(frequency):
    """A decaying rotation by `frequency` per unit time, driven in one direction."""
    A = [[-0.5, -frequency], [frequency, -0.5]]
    return rt.LinearSystem(A, np.zeros(2), [[1.0], [0.0]], time=rt.Continuous())


def test_exact_discretization_and_its_inverse_commute_below_the_nyquist_rate():
    for fraction in (0.1, 0.9, 0.99):
        result = rt.interchange(rotating(fraction * np.pi / DT), "discretize", "to_continuous", dt=DT)
        assert result.difference <= 1e-12 * (1 + result.size)
        assert result.commutes
        assert result.condition.holds
        np.testing.assert_allclose(result.condition.margin, (1 - fraction) * np.pi / DT, rtol=0, atol=1e-12)


def test_frequencies_above_the_nyquist_rate_fold():
    result = rt.interchange(rotating(1.25 * np.pi / DT), "discretize", "to_continuous", dt=DT)
    assert differs(result)
    found = np.abs(result.results[0].eigenvalues.imag)
    np.testing.assert_allclose(found, 0.75 * np.pi / DT, rtol=0, atol=1e-12)  # 2 pi / dt - 1.25 pi / dt


def test_euler_is_not_undone_by_the_exact_logarithm():
    result = rt.interchange(rotating(1.0), "discretize", "to_continuous", dt=DT, method=rt.Euler())
    assert result.difference > 1e-2
    assert not result.commutes
    assert not result.condition.holds


def test_linearization_of_a_network_comes_back_from_its_samples():
    result = rt.interchange(flow("rate_current")[0], "discretize", "to_continuous", at=BASE, dt=DT, inputs=S)
    assert result.difference <= 1e-12 * (1 + result.size)
    assert result.condition.holds


def test_pathological_sampling_loses_controllability_and_euler_keeps_it():
    """Two eigenvalues -0.5 +- i pi / dt differ by 2 pi i / dt: both are sampled as -exp(-0.5 dt)."""
    model = rotating(np.pi / DT)
    assert model.controllability_rank() == 2
    held = rt.to_discrete(model, DT, method=rt.ZeroOrderHold()).model
    assert held.controllability_rank() == 1
    stepped = rt.to_discrete(model, DT, method=rt.Euler()).model
    assert stepped.controllability_rank() == 2
    lost = rt.interchange(model, "linearize", "discretize", dt=DT, method=rt.ZeroOrderHold()).controllability
    kept = rt.interchange(model, "linearize", "discretize", dt=DT, method=rt.Euler()).controllability
    assert (lost.holds, lost.margin) == (False, -1)
    assert (kept.holds, kept.margin) == (True, 0)


def test_sampling_at_another_rate_keeps_controllability():
    model = rotating(np.pi / DT)
    held = rt.to_discrete(model, 0.9 * DT, method=rt.ZeroOrderHold()).model
    assert held.controllability_rank() == 2


# --- what comes back --------------------------------------------------------------------------------------------------


def test_results_are_in_the_order_asked_for():
    model = flow("rate_current")[0]
    options = {"at": BASE, "dt": DT, "method": rt.RungeKutta(rt.RK4), "inputs": S}
    one = rt.interchange(model, "linearize", "discretize", **options)
    two = rt.interchange(model, "discretize", "linearize", **options)
    assert one.procedures == two.procedures[::-1]
    assert one.results == two.results[::-1]
    assert one.difference == two.difference
    # linearize first, then the exact polynomial of RK4 in the Jacobian
    z = DT * model.jacobian(BASE, S)
    want = np.eye(N) + z @ (np.eye(N) + z @ (np.eye(N) + z @ (np.eye(N) + z / 4) / 3) / 2)
    np.testing.assert_allclose(one.results[0].A, want, rtol=0, atol=1e-13)
