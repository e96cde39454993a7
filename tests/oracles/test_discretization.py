"""Linear systems: analysis, discretization and order raising against SciPy, python-control and published numbers."""

import control
import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov, solve_discrete_lyapunov
from scipy.signal import cont2discrete, lsim

import retime as rt

A2, E2 = np.array([[-5.0, -3.0], [2.0, -9.0]]), np.diag([1.0, 2.0])
SIZES = [(1, 1, 1), (3, 2, 2), (5, 1, 3)]


def matrices(rng, n, m, p):
    A = rng.normal(size=(n, n)) - 1.5 * np.sqrt(n) * np.eye(n)
    return A, rng.normal(size=(n, m)), rng.normal(size=(p, n)), rng.normal(size=(p, m))


def system(A, B, C, D, b=None):
    b = np.zeros(len(A)) if b is None else b
    return rt.LinearSystem(A, b, B, time=rt.Continuous(), readout=(C, np.zeros(len(C))), D=D)


def assert_same(model, want, atol=1e-12):
    Ad, Bd, Cd, Dd = want[:4]
    for got, value in ((model.A, Ad), (model.E, Bd), (model.readout.B, Cd), (model.D, Dd)):
        np.testing.assert_allclose(got, value, rtol=0, atol=atol)


# --- published numbers ------------------------------------------------------------------------------------------------


def test_published_zero_order_hold_numbers():
    model = rt.LinearSystem(A2, np.zeros(2), E2, time=rt.Continuous())
    held = rt.to_discrete(model, 0.01, method=rt.ZeroOrderHold()).model
    Ad = [[0.9509478368863918, -0.027970882212682433], [0.018647254808454958, 0.9136533272694819]]
    np.testing.assert_allclose(held.A, Ad, rtol=0, atol=1e-15)  # 16 digits printed
    np.testing.assert_allclose(held.E, np.linalg.solve(A2, (np.array(Ad) - np.eye(2)) @ E2), rtol=0, atol=1e-14)
    back = rt.to_continuous(held).model
    np.testing.assert_allclose(back.A, A2, rtol=0, atol=1e-11)  # the figure
    np.testing.assert_allclose(back.E, E2, rtol=0, atol=1e-11)


def test_published_order_raising_of_a_negative_pole():
    discrete = rt.LinearSystem([[-0.5]], [0.0], [[1.0]], time=rt.Discrete(0.1), readout=[[1.0]])
    c = rt.to_continuous(discrete).model
    assert (c.num_states, c.auxiliary) == (2, 1)
    numerator, denominator = control.tf(control.ss(c.A, c.E, c.readout.B, np.zeros((1, 1)))).num[0][0], np.poly(c.A)
    gain, zero = numerator[-2], numerator[-1] / numerator[-2]
    np.testing.assert_allclose(gain, 4.621, rtol=0, atol=5e-4)  # half a unit of the last digit printed
    np.testing.assert_allclose(zero, 149.3, rtol=0, atol=0.05)
    np.testing.assert_allclose(denominator[1], 13.86, rtol=0, atol=5e-3)
    np.testing.assert_allclose(denominator[2], 1035, rtol=0, atol=0.5)
    again = rt.to_discrete(c, 0.1, method=rt.ZeroOrderHold()).model  # and its samples are those of the map
    path = rt.simulate(again, [1.0], steps=8)
    np.testing.assert_allclose(path.states[:, 0], (-0.5) ** np.arange(9), rtol=0, atol=1e-13)


# --- SciPy and python-control -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("method", "name", "control_name"),
    [(rt.ZeroOrderHold(), "zoh", "zoh"), (rt.Tustin(), "bilinear", "tustin"), (rt.FirstOrderHold(), "foh", "foh")],
)
def test_discretization_is_that_of_scipy(method, name, control_name, size, rng):
    parts = matrices(rng, *size)
    model = rt.to_discrete(system(*parts), 0.3, method=method).model
    assert_same(model, cont2discrete(parts, 0.3, method=name))
    sampled = control.sample_system(control.ss(*parts), 0.3, method=control_name)
    z = np.exp(1j * np.linspace(0.1, 3.0, 7))
    for point in z:  # states differ by a change of basis, the frequency response does not
        response = model.readout.B @ np.linalg.solve(point * np.eye(size[0]) - model.A, model.E) + model.D
        np.testing.assert_allclose(response, sampled(point, squeeze=False), rtol=0, atol=1e-11)


def test_euler_and_implicit_euler_are_those_of_scipy(rng):
    A, B, C, D = matrices(rng, 3, 2, 2)
    euler = rt.to_discrete(system(A, B, C, D), 0.1, method=rt.Euler()).model
    assert_same(euler, cont2discrete((A, B, C, D), 0.1, method="euler"))
    implicit = rt.to_discrete(system(A, B, C, D), 0.1, method=rt.RungeKutta(rt.IMPLICIT_EULER)).model
    Ad, Bd = cont2discrete((A, B, C, D), 0.1, method="backward_diff")[:2]
    np.testing.assert_allclose(implicit.A, Ad, rtol=0, atol=1e-12)
    np.testing.assert_allclose(implicit.E, Bd, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [rt.ZeroOrderHold(), rt.Tustin(), rt.FirstOrderHold()], ids=repr)
def test_an_offset_acts_like_a_constant_input(method, rng):
    """b is one more input that is always 1: discretize the wider system with SciPy and compare outputs."""
    A, B, C, D = matrices(rng, 3, 2, 2)
    b, s = rng.normal(size=3), rng.normal(size=(40, 2))
    model = rt.to_discrete(system(A, B, C, D, b), 0.2, method=method).model
    name = {"ZeroOrderHold()": "zoh", "Tustin()": "bilinear", "FirstOrderHold()": "foh"}[repr(method)]
    wide = (A, np.hstack([B, b[:, None]]), C, np.hstack([D, np.zeros((2, 1))]))
    Ad, Bd, Cd, Dd, _ = cont2discrete(wide, 0.2, method=name)
    u = np.hstack([s, np.ones((40, 1))])
    # the same state z = 0 in SciPy's coordinates and in ours; they differ where the offset shifts the state
    rest = np.linalg.solve(np.eye(3) - Ad, Bd[:, 2])
    ours = np.linalg.solve(np.eye(3) - model.A, model.b)
    w, want = rest.copy(), []
    for row in u:
        want.append(Cd @ w + Dd @ row)
        w = Ad @ w + Bd @ row
    path = rt.simulate(model, ours, steps=40, inputs=s)
    np.testing.assert_allclose(path.outputs[:-1], want, rtol=0, atol=1e-11)


def test_first_order_hold_simulates_what_lsim_does(rng):
    """lsim interpolates its input linearly; the sampled state is z - G2 s, and D holds B G2."""
    A, B, C, D = matrices(rng, 4, 2, 3)
    t, s, z0 = 0.25 * np.arange(41), rng.normal(size=(41, 2)), rng.normal(size=4)
    _, want, _ = lsim((A, B, C, D), s, t, X0=z0, interp=True)
    model = rt.to_discrete(system(A, B, C, D), 0.25, method=rt.FirstOrderHold()).model
    plain = rt.to_discrete(rt.LinearSystem(A, np.zeros(4), B, time=rt.Continuous()), 0.25, method=rt.FirstOrderHold())
    G2 = plain.model.D  # without a readout the output is the state, z = w + G2 s
    start = z0 - G2 @ s[0]
    got = rt.simulate(model, start, steps=40, inputs=s[:40])
    np.testing.assert_allclose(got.outputs[:40], want[:40], rtol=0, atol=1e-12)
    states = rt.simulate(plain.model, start, steps=40, inputs=s[:40]).outputs
    np.testing.assert_allclose(states[0], z0, rtol=0, atol=1e-14)


def test_flow_with_linear_inputs_is_the_first_order_hold(rng):
    A, B, C, D = matrices(rng, 4, 2, 3)
    b, t, s, z0 = rng.normal(size=4), 0.25 * np.arange(21), rng.normal(size=(21, 2)), rng.normal(size=4)
    flow = system(A, B, C, D, b)
    want = rt.simulate(flow, z0, times=t, inputs=rt.Inputs(t, s, "linear")).outputs
    map_ = rt.to_discrete(flow, 0.25, method=rt.FirstOrderHold()).model
    plain = rt.to_discrete(rt.LinearSystem(A, b, B, time=rt.Continuous()), 0.25, method=rt.FirstOrderHold()).model
    got = rt.simulate(map_, z0 - plain.D @ s[0], steps=20, inputs=s[:20]).outputs
    np.testing.assert_allclose(got[:20], want[:20], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0])
def test_zero_order_hold_and_the_logarithm_undo_each_other(dt, rng):
    A, B, C, D = matrices(rng, 4, 2, 3)
    model = system(A, B, C, D, rng.normal(size=4))
    assert np.abs(model.eigenvalues.imag).max() < np.pi / dt
    back = rt.to_continuous(rt.to_discrete(model, dt, method=rt.ZeroOrderHold()).model).model
    atol = 1e-11 if dt > 1e-2 else 1e-14 * 100 / dt  # rounding of exp(A dt) divided by dt
    for name in ("A", "b", "E", "D"):
        np.testing.assert_allclose(getattr(back, name), getattr(model, name), rtol=0, atol=atol)
    np.testing.assert_array_equal(back.readout.B, C)


def test_zero_order_hold_is_exact_for_singular_and_defective_matrices():
    A = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    model = rt.LinearSystem(A, [0.0, 0.0, 1.0], np.eye(3)[:, 2:], time=rt.Continuous())
    held = rt.to_discrete(model, 2.0, method=rt.ZeroOrderHold()).model
    np.testing.assert_allclose(held.A, [[1, 2, 2], [0, 1, 2], [0, 0, 1]], rtol=0, atol=1e-14)
    np.testing.assert_allclose(held.b, [8 / 6, 2, 2], rtol=0, atol=1e-14)
    np.testing.assert_allclose(held.E[:, 0], [8 / 6, 2, 2], rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", [rt.ZeroOrderHold(), rt.Tustin(), rt.FirstOrderHold(), rt.Euler()], ids=repr)
def test_certificate_of_a_linear_discretization_holds(method, rng):
    conversion = rt.to_discrete(system(*matrices(rng, 3, 2, 2)), 0.05, method=method)
    assert conversion.certificate.holds


# --- analysis ---------------------------------------------------------------------------------------------------------


def test_modes_of_a_flow_and_of_its_samples_are_the_same():
    A = np.array([[-0.5, -2.0, 0.0], [2.0, -0.5, 0.0], [0.0, 0.0, -4.0]])
    model = rt.LinearSystem(A, np.zeros(3), np.zeros((3, 1)), time=rt.Continuous())
    sampled = rt.to_discrete(model, 0.1, method=rt.ZeroOrderHold()).model
    for system_ in (model, sampled):
        np.testing.assert_allclose(system_.time_constants, [2, 2, 0.25], rtol=0, atol=1e-12)
        np.testing.assert_allclose(system_.frequencies, [1 / np.pi, 1 / np.pi, 0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.sort(system_.exponents.imag), [-2, 0, 2], rtol=0, atol=1e-12)
        assert system_.is_stable
    np.testing.assert_allclose(np.abs(sampled.eigenvalues), np.exp([-0.05, -0.05, -0.4]), rtol=0, atol=1e-13)
    damping = control.damp(control.ss(A, np.zeros((3, 1)), np.zeros((1, 3)), 0), doprint=False)
    np.testing.assert_allclose(np.sort_complex(model.eigenvalues), np.sort_complex(damping[2]), rtol=0, atol=1e-12)


def test_time_constants_of_growing_and_of_standing_modes():
    model = rt.LinearSystem([0.5, 0.0, -0.25], np.zeros(3), np.zeros((3, 0)), time=rt.Continuous())
    np.testing.assert_array_equal(model.time_constants, [-2, np.inf, 4])
    assert not model.is_stable
    map_ = rt.LinearSystem([2.0, 1.0, -0.5], np.zeros(3), np.zeros((3, 0)), time=rt.Discrete(0.5))
    np.testing.assert_allclose(map_.time_constants, [-0.5 / np.log(2), np.inf, 0.5 / np.log(2)], rtol=0, atol=1e-14)
    np.testing.assert_allclose(map_.frequencies, [0, 0, 1.0], rtol=0, atol=1e-14)  # Nyquist: 1 / (2 dt)


@pytest.mark.parametrize("size", SIZES)
def test_ranks_are_those_of_kalmans_matrices(size, rng):
    A, B, C, D = matrices(rng, *size)
    model = system(A, B, C, D)
    assert model.controllability_rank() == np.linalg.matrix_rank(control.ctrb(A, B))
    assert model.observability_rank() == np.linalg.matrix_rank(control.obsv(A, C))


@pytest.mark.parametrize("reached", [0, 1, 7, 29, 30])
@pytest.mark.parametrize("base", [rt.Continuous(), rt.Discrete(0.1)], ids=repr)
def test_ranks_of_large_systems_are_those_they_were_built_with(reached, base, rng):
    """Blocks (reached, not reached) in a random orthogonal basis; powers of A would lose the rank in rounding."""
    n = 30
    A = rng.normal(size=(n, n)) / np.sqrt(n)
    A[reached:, :reached] = 0.0
    E = np.zeros((n, 2))
    E[:reached] = rng.normal(size=(reached, 2))
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    model = rt.LinearSystem(Q @ A @ Q.T, np.zeros(n), Q @ E, time=base)
    assert model.controllability_rank() == reached
    dual = rt.LinearSystem(Q @ A.T @ Q.T, np.zeros(n), np.zeros((n, 1)), time=base, readout=(Q @ E).T)
    assert dual.observability_rank() == reached


def test_a_system_without_inputs_reaches_nothing_and_without_a_readout_shows_all(rng):
    model = rt.LinearSystem(rng.normal(size=(3, 3)), np.zeros(3), np.zeros((3, 0)))
    assert model.controllability_rank() == 0
    assert model.observability_rank() == 3


@pytest.mark.parametrize("base", [rt.Continuous(), rt.Discrete(0.1)], ids=repr)
def test_gramians_solve_lyapunovs_equations(base, rng):
    A, B, C, D = matrices(rng, 4, 2, 3)
    is_map = isinstance(base, rt.Discrete)
    A = expm(0.1 * A) if is_map else A
    model = rt.LinearSystem(A, np.zeros(4), B, time=base, readout=(C, np.zeros(3)), D=D)
    P, Q = model.controllability_gramian(), model.observability_gramian()
    if is_map:
        want = solve_discrete_lyapunov(A, B @ B.T), solve_discrete_lyapunov(A.T, C.T @ C)
        residuals = A @ P @ A.T - P + B @ B.T, A.T @ Q @ A - Q + C.T @ C
    else:
        want = solve_continuous_lyapunov(A, -B @ B.T), solve_continuous_lyapunov(A.T, -C.T @ C)
        residuals = A @ P + P @ A.T + B @ B.T, A.T @ Q + Q @ A + C.T @ C
    for got, expected, residual in zip((P, Q), want, residuals, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)
        np.testing.assert_allclose(residual, 0, rtol=0, atol=1e-11)
        np.testing.assert_array_equal(got, got.T)
        assert np.linalg.eigvalsh(got).min() > 0


def test_gramian_of_one_mode_is_its_closed_form():
    flow = rt.LinearSystem([-2.0], [0.0], [[3.0]], time=rt.Continuous())
    np.testing.assert_allclose(flow.controllability_gramian(), [[9 / 4]], rtol=0, atol=1e-15)
    map_ = rt.LinearSystem([0.5], [0.0], [[3.0]])
    np.testing.assert_allclose(map_.controllability_gramian(), [[9 / 0.75]], rtol=0, atol=1e-14)


@pytest.mark.parametrize("base", [rt.Continuous(), rt.Discrete(1.0)], ids=repr)
def test_gramian_of_a_system_with_a_mode_that_stays_is_refused(base):
    A = [0.0, -0.5] if isinstance(base, rt.Continuous) else [1.0, 0.5]
    model = rt.LinearSystem(A, np.zeros(2), np.ones((2, 1)), time=base)
    for gramian in (model.controllability_gramian, model.observability_gramian):
        with pytest.raises(ValueError, match="has a mode that does not decay, so its Gramian is infinite"):
            gramian()
