"""More answers that were once wrong, found by using the library in earnest: each test holds what the right one is."""

import copy
import pickle

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt

C = rt.Continuous()


def linear(A, E=None):
    A = np.atleast_2d(np.array(A, dtype=float))
    n = len(A)
    return rt.LinearSystem(A, np.zeros(n), np.zeros((n, 0)) if E is None else E, time=C)


def test_a_parameter_that_a_function_reads_is_taken_anew_by_each_model():
    rates = {"r": 0.0}

    def logistic(z):
        return rates["r"] * z * (1 - z)

    for r in (3.2, 3.9):
        rates["r"] = r
        path = rt.simulate(rt.Map(logistic, 1), [0.3], steps=1)
        assert path.states[-1, 0] == pytest.approx(r * 0.21, abs=1e-15)


IMPLICIT = {
    "tustin": (rt.Tustin(), 2.0),
    "implicit_euler": (rt.RungeKutta(rt.IMPLICIT_EULER), 1.0),
    "implicit_midpoint": (rt.RungeKutta(rt.IMPLICIT_MIDPOINT), 2.0),
}


@pytest.mark.parametrize("name", sorted(IMPLICIT))
def test_an_implicit_step_at_a_pole_has_no_map(name):
    method, pole = IMPLICIT[name]
    with pytest.raises(rt.ConvergenceError, match="is a pole of the method"):
        rt.to_discrete(linear([[pole]]), 1.0, method=method)
    step = rt.to_discrete(rt.VectorField(lambda z: pole * z, 1), 1.0, method=method).model
    with pytest.raises(rt.ConvergenceError, match="found no solution"):
        rt.linearize(step, [1.0])


def test_bilinear_transform_at_a_pole_is_refused():
    system = rt.LinearSystem([[2.0]], [0.0], [[1.0]], time=C, readout=[[1.0]])
    with pytest.raises(rt.ConvergenceError, match="is a pole of the method"):
        rt.to_discrete(system, 1.0, method=rt.Tustin())


def test_a_neutral_mode_does_not_make_every_step_unstable(rng):
    for _ in range(30):
        V = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        system = linear(V @ np.diag([0.0, -1, -2, -4]) @ V.T)
        # Euler: 2 / 4
        assert rt.max_stable_dt(system, rt.Euler(), at=np.zeros(4)) == pytest.approx(0.5, abs=1e-10)


@pytest.mark.parametrize(
    ("A", "dt"),
    [
        (np.diag([-1.0, -1e4]), 0.1),
        (np.diag([-1.0, -1e6]), 0.1),
        ([[-1, 1e3], [-1e3, -1]], 1.0),
        ([[0, 1], [1e4, 0]], 1.0),
    ],
)
def test_certificate_of_an_exact_step_holds_for_stiff_and_fast_systems(A, dt):
    assert rt.to_discrete(linear(A), dt, method=rt.ZeroOrderHold()).certificate.holds


@pytest.mark.slow
def test_one_step_error_of_an_implicit_method_is_measured_on_a_stiff_system():
    field = rt.VectorField(lambda z: jnp.array([-z[0], -1e6 * (z[1] - jnp.cos(z[0]))]), 2)
    conversion = rt.to_discrete(field, 0.1, method=rt.RungeKutta(rt.IMPLICIT_EULER))
    assert conversion.certificate.holds
    assert "one-step error 3." in conversion.certificate.claim


@pytest.mark.parametrize("form", ["current", "rate"])
def test_linearization_on_a_boundary_takes_the_region_with_the_unit_off(form):
    rate = rt.RateRNN([[0.0, 1], [1, 0.0]], None, [0, 0], tau=1.0, activation="relu", form=form)
    assert np.array_equal(rt.linearize(rate, [0, 0]).A, -np.eye(2))
    assert np.array_equal(rt.linearize(rate.piecewise_affine(), [0, 0]).A, -np.eye(2))


DERIVATIVES = {
    "far": (np.sin, 100.0, np.cos(100.0)),
    "steep": (lambda z: np.tanh(50 * z), 0.01, 50 / np.cosh(0.5) ** 2),
    "narrow": (lambda z: z**2 / (1e-6 + z**2), 1e-3, 500.0),
}


@pytest.mark.parametrize("name", sorted(DERIVATIVES))
def test_derivative_of_a_numpy_function_is_right_to_ten_digits(name):
    f, at, want = DERIVATIVES[name]
    function = lambda z: np.array(f(np.asarray(z)))  # noqa: E731
    assert rt.Map(function, 1).jacobian([at])[0, 0] == pytest.approx(want, rel=1e-10)


def test_eigenvalues_and_copies_are_read_only():
    system = linear(np.diag([-1.0, -2]))
    with pytest.raises(ValueError, match="read-only"):
        system.eigenvalues[:] = 0
    network = rt.TanhRNN([[1.0]], None, [0.0])
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copied == network
        assert not copied.W_rec.flags.writeable


def test_models_can_be_pickled_after_use():
    for model in (rt.HopfieldNetwork([[0.0]], [0.0]), rt.RateRNN([[1.0]], None, [0.0], tau=1.0)):
        model.field([0.1])
        assert pickle.loads(pickle.dumps(model)) == model


def test_interchange_does_not_depend_on_the_unit_of_time():
    fast = linear([[-0.1, 40], [-40, -0.1]])
    for factor in (1.0, 1e11, 1e-9):
        system = rt.rescale_time(fast, factor)
        result = rt.interchange(system, "discretize", "to_continuous", dt=0.1 * factor)
        assert not result.commutes
        assert not result.condition.holds
    rate = rt.rescale_time(rt.RateRNN([[0.5, -1], [1, 0.2]], None, [0.1, 0], tau=1.0), 1e9)
    result = rt.interchange(rate, "linearize", "discretize", at=[0.3, -0.2], dt=1e8, method=rt.RungeKutta(rt.RK4))
    assert not result.commutes
    assert not result.condition.holds


def test_there_and_back_by_first_order_hold_is_not_the_same_system():
    system = linear([[-0.1, 4], [-4, -0.1]], np.ones((2, 1)))
    result = rt.interchange(system, "discretize", "to_continuous", dt=0.1, method=rt.FirstOrderHold())
    assert not result.commutes
    assert not result.condition.holds


@pytest.mark.slow
def test_a_map_that_leads_away_is_still_measured_somewhere():
    conversion = rt.to_continuous(rt.Map(lambda z: jnp.exp(z) + 1, 1), method=rt.EulerField())
    assert "the origin and 16 standard normal draws, because" in conversion.certificate.claim


def test_exponential_euler_says_what_it_needs_for_a_stable_step():
    field = rt.VectorField(lambda z: -z, 2)
    with pytest.raises(ValueError, match="needs the linear part of VectorField"):
        rt.max_stable_dt(field, rt.ExponentialEuler(), at=[0, 0])
    with pytest.raises(rt.ShapeError, match=r"`linear` has shape \(3, 3\); it must be \(2, 2\)"):
        rt.max_stable_dt(field, rt.ExponentialEuler([-1.0, -2, -3]), at=[0, 0])


def test_imaginary_parts_are_refused_not_dropped():
    with pytest.raises(ValueError, match="`z` is complex"):
        rt.TanhRNN([[1.0]], None, [0.0]).step(np.array([1 + 2j]))
    with pytest.raises(ValueError, match="`f` returns complex numbers"):
        rt.Map(lambda z: jnp.linalg.eigvals(jnp.array([[0, z[0]], [-z[1], 0]])), 2)


def test_undamped_modes_stay_within_the_certificate_of_tustin(rng):
    for _ in range(20):
        S = rng.normal(size=(6, 6))
        assert rt.to_discrete(linear(S - S.T), 0.1, method=rt.Tustin()).certificate.holds


def test_synonyms_of_activations_are_the_activations():
    rate = rt.RateRNN([[0.5]], None, [0.1], tau=1.0, activation="identity")
    assert rate.activation == "linear"
    assert rate.piecewise_affine().num_units == 0
    assert rt.HopfieldNetwork([[0.0]], [0.0], activation="sigmoid").activation == "logistic"


@pytest.mark.slow
def test_status_time_of_a_blow_up_is_when_it_happens():
    path = rt.simulate(rt.VectorField(lambda z: z * z, 1), [1.0], times=[0, 100.0])
    assert path.status == "diverged"
    assert path.status_time == pytest.approx(1.0, abs=1e-6)


def test_functions_that_jax_cannot_trace_are_called_in_python():
    model = rt.Map(lambda z: z * 0 + z[z > 0].sum(), 2)
    assert np.array_equal(model.step([1.0, -2.0]), [1.0, 1.0])


def test_a_function_that_fails_is_reported_with_its_error():
    with pytest.raises(ValueError, match=r"`f` fails on ones of shape .*: KeyError"):
        rt.Map(lambda z: {}["missing"], 2)


def test_wrong_solvers_and_tolerances_are_refused():
    rate = rt.RateRNN([[1.0]], None, [0.0], tau=1.0)
    for solver in ("RK45", diffrax.Kvaerno5, diffrax.Euler()):
        with pytest.raises(TypeError, match="must be a Diffrax solver that estimates its error"):
            rt.simulate(rate, [0.0], times=[0, 1], solver=solver)
    with pytest.raises(ValueError, match=r"must be at most 0\.1"):
        rt.simulate(rate, [0.0], times=[0, 1], tolerance=1e3)


def test_a_step_beyond_the_range_of_numbers_is_refused_with_its_cause():
    with pytest.raises(ValueError, match="one step grows beyond the range of numbers"):
        rt.to_discrete(linear([[1.0]]), 1e3, method=rt.ZeroOrderHold())


def test_a_member_that_cannot_be_followed_backward_leaves_the_others_alone():
    field = rt.VectorField(lambda z: -(z**3), 1)
    step = rt.to_discrete(field, 0.2, method=rt.AdamsBashforth(3)).model
    both, alone = step.start(np.array([[1e80], [0.5]])), step.start(np.array([0.5]))
    assert np.isfinite(both[1]).all()
    assert np.array_equal(both[1], alone)
