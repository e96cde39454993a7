"""What holds for every method of `to_discrete`: order, fixed points, the factor per step, round trips, rescaling."""

from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import root

import retime as rt
from families import CASES, FLOW_NAMES, SMOOTH_FLOWS, SMOOTH_MAPS, make, make_smooth, stable

N, M = 4, 2
TABLEAUX = {
    "midpoint": rt.MIDPOINT,
    "ralston": rt.RALSTON,
    "rk3": rt.RK3,
    "rk4": rt.RK4,
    "dormand_prince": rt.DORMAND_PRINCE,
    "implicit_euler": rt.IMPLICIT_EULER,
    "implicit_midpoint": rt.IMPLICIT_MIDPOINT,
    "trapezoid": rt.TRAPEZOID,
}
METHODS = (
    {"euler": rt.Euler(), "heun": rt.Heun(), "tustin": rt.Tustin()}
    | {name: rt.RungeKutta(tableau) for name, tableau in TABLEAUX.items()}
    | {f"adams_{k}": rt.AdamsBashforth(k) for k in range(1, 6)}
)
ORDERS = {
    "euler": 1, "heun": 2, "tustin": 2, "midpoint": 2, "ralston": 2, "rk3": 3, "rk4": 4, "dormand_prince": 5,
    "implicit_euler": 1, "implicit_midpoint": 2, "trapezoid": 2,
    "adams_1": 1, "adams_2": 2, "adams_3": 3, "adams_4": 4, "adams_5": 5,
}  # fmt: skip
EXPLICIT_ONE_STEP = ["euler", "heun", "midpoint", "ralston", "rk3", "rk4", "dormand_prince"]
S = np.array([0.3, -0.2])


@cache
def flow(name):
    """One system per family for all tests of this file."""
    return make_smooth(name, np.random.default_rng(20200713), n=N, m=M)


def orders(model, equation, z0, method, horizon, counts):
    """Observed order between consecutive numbers of steps over the horizon, input S held."""
    exact = solve_ivp(lambda t, z: equation(z, S), (0, horizon), z0, method="DOP853", rtol=3e-14, atol=1e-15)
    errors = []
    for count in counts:
        map_ = rt.to_discrete(model, horizon / count, method=method).model
        start = map_.start(z0, S)
        path = rt.simulate(map_, start, steps=counts[-1], inputs=np.tile(S, (counts[-1], 1)))  # one compilation
        errors.append(np.abs(path.states[count, : len(z0)] - exact.y[:, -1]).max())
    return np.log2(np.array(errors[:-1]) / errors[1:])


def steps_for(method):
    """Numbers of steps over a time of 2 whose errors are far from rounding and close to their leading term."""
    return {1: (200, 400, 800), 2: (100, 200, 400), 3: (50, 100, 200), 4: (40, 80, 160), 5: (30, 60, 120)}[
        ORDERS[method]
    ]


def test_every_method_has_an_expected_order():
    assert set(METHODS) == set(ORDERS)
    assert {m.order for m in METHODS.values()} == {1, 2, 3, 4, 5}
    for name, method in METHODS.items():
        assert method.order == ORDERS[name]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.slow
def test_observed_order_on_a_rate_network(name):
    observed = orders(*flow("rate_current"), np.array([1.0, -0.5, 0.3, 0.8]), METHODS[name], 2.0, steps_for(name))
    assert abs(observed[-1] - ORDERS[name]) <= 0.1


@pytest.mark.parametrize("family", ["rate", "rate_softplus", "hopfield", "vector_field"])
@pytest.mark.parametrize("name", ["rk4", "adams_3"])
def test_observed_order_on_other_families(family, name):
    observed = orders(*flow(family), np.array([1.0, -0.5, 0.3, 0.8]), METHODS[name], 2.0, steps_for(name))
    assert abs(observed[-1] - ORDERS[name]) <= 0.1


@pytest.mark.parametrize("name", ["euler", "rk3", "dormand_prince", "adams_4", "tustin"])
def test_observed_order_within_one_region_of_a_piecewise_linear_network(name, rng):
    A, W = np.array([-1.0, -0.7, -1.3, -0.4]), 0.2 * rng.normal(size=(N, N))
    h, C = np.full(N, 2.0), 0.1 * rng.normal(size=(N, M))
    model = rt.ContinuousPLRNN(A, W, h, C)

    def equation(z, s):
        return A * z + W @ z + h + C @ s

    z0 = np.array([1.0, 2.0, 0.5, 1.5])
    path = rt.simulate(model, z0, times=np.linspace(0, 2, 41), inputs=np.tile(S, (40, 1)))
    assert path.patterns.all()
    observed = orders(model, equation, z0, METHODS[name], 2.0, steps_for(name))
    assert abs(observed[-1] - ORDERS[name]) <= 0.1


def test_exponential_euler_is_of_order_one(rng):
    for family, method in (
        ("rate_current", rt.ExponentialEuler()),
        ("vector_field", rt.ExponentialEuler(rng.normal(size=(N, N)) - np.eye(N))),
    ):
        observed = orders(*flow(family), np.array([1.0, -0.5, 0.3, 0.8]), method, 2.0, (200, 400, 800))
        assert abs(observed[-1] - 1) <= 0.1


# --- fixed points -----------------------------------------------------------------------------------------------------


def fixed_point(model, equation):
    z = root(lambda z: equation(z, S), np.ones(model.num_states)).x
    for _ in range(3):  # Newton's method to rounding
        z = z - np.linalg.solve(model.jacobian(z, S), equation(z, S))
    assert np.abs(equation(z, S)).max() <= 1e-13
    return z


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.slow
def test_fixed_points_are_kept_by_every_method(name):
    model, equation = flow("rate_current")
    z = fixed_point(model, equation)
    map_ = rt.to_discrete(model, 0.2, method=METHODS[name]).model
    start = map_.start(z, S)
    np.testing.assert_allclose(map_.step(start, S), start, rtol=0, atol=1e-10)  # the figure


@pytest.mark.parametrize("family", ["hopfield", "vector_field"])
def test_fixed_points_of_other_families_are_kept(family):
    model, equation = flow(family)
    z = fixed_point(model, equation)
    for method in (rt.RungeKutta(rt.RK4), rt.Tustin(), rt.ExponentialEuler(-np.ones(N))):
        map_ = rt.to_discrete(model, 0.2, method=method).model
        np.testing.assert_allclose(map_.step(z, S), z, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", [rt.ExponentialEuler(), rt.ZeroOrderHold()], ids=repr)
@pytest.mark.parametrize("name", sorted(set(FLOW_NAMES) - {"relu"}))  # its fixed points fill a region
def test_fixed_points_of_piecewise_affine_systems_are_kept(name, method, rng):
    model = stable(name, rng)
    z = np.zeros(N)
    for _ in range(200):  # the region of a fixed point gives the fixed point
        M_, c, E = (x[0] for x in model.canonical.regions(model.pattern(z, S)[None]))
        z = 0.5 * z - 0.5 * np.linalg.solve(M_, c + E @ S)
    assert np.abs(model.field(z, S)).max() <= 1e-12
    map_ = rt.to_discrete(model, 0.2, method=method).model
    np.testing.assert_allclose(map_.step(z, S), z, rtol=0, atol=1e-12)


# --- stability functions ----------------------------------------------------------------------------------------------

POLYNOMIALS = {
    "euler": [1, 1],
    "heun": [1, 1, 1 / 2],
    "midpoint": [1, 1, 1 / 2],
    "ralston": [1, 1, 1 / 2],
    "rk3": [1, 1, 1 / 2, 1 / 6],
    "rk4": [1, 1, 1 / 2, 1 / 6, 1 / 24],
    "dormand_prince": [1, 1, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 600],
}
RATIONALS = {
    "implicit_euler": lambda z: 1 / (1 - z),
    "implicit_midpoint": lambda z: (1 + z / 2) / (1 - z / 2),
    "trapezoid": lambda z: (1 + z / 2) / (1 - z / 2),
    "tustin": lambda z: (1 + z / 2) / (1 - z / 2),
}
R = {name: np.polynomial.Polynomial(c) for name, c in POLYNOMIALS.items()} | RATIONALS
BETA = {
    1: [1],
    2: [3 / 2, -1 / 2],
    3: [23 / 12, -4 / 3, 5 / 12],
    4: [55 / 24, -59 / 24, 37 / 24, -3 / 8],
    5: [1901 / 720, -1387 / 360, 109 / 30, -637 / 360, 251 / 720],
}
POINTS = [-0.7, -2.3, 0.4, -0.3 + 1.1j, 1.9j, -1.5 - 0.6j]


def mode(rate):
    """dz/dt = lambda z as a real system of two states, with one idle input."""
    A = [[rate.real, -rate.imag], [rate.imag, rate.real]]
    return rt.LinearSystem(A, np.zeros(2), np.zeros((2, 1)), time=rt.Continuous())


@pytest.mark.parametrize("name", R)
def test_one_step_multiplies_a_mode_by_the_stability_function(name):
    dt = 0.5
    for z in map(complex, POINTS):
        factor = R[name](z)
        step = rt.to_discrete(mode(z / dt), dt, method=METHODS[name]).model
        assert isinstance(step, rt.LinearSystem)
        want = [[factor.real, -factor.imag], [factor.imag, factor.real]]
        np.testing.assert_allclose(step.A, want, rtol=0, atol=1e-13)
        np.testing.assert_allclose(METHODS[name].amplification(z), abs(factor), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", R)
@pytest.mark.slow
def test_a_step_of_the_nonlinear_machinery_has_the_same_stability_function(name):
    """The same modes as a vector field, whose steps are not closed forms."""
    rate = -1.3 + 2.1j
    A = np.array([[rate.real, -rate.imag], [rate.imag, rate.real]])
    step = rt.to_discrete(rt.VectorField(lambda z: A @ z, 2), 0.5, method=METHODS[name]).model
    factor = R[name](0.5 * rate)
    got = step.step([[1.0, 0.0]])[0]
    np.testing.assert_allclose(got, [factor.real, factor.imag], rtol=0, atol=1e-12)  # Newton's method to 1e-12


@pytest.mark.parametrize("steps", range(1, 6))
def test_factor_of_adams_bashforth_solves_its_characteristic_equation(steps):
    for z in map(complex, POINTS):
        coefficients = np.concatenate([[1, -1], np.zeros(steps - 1)]).astype(complex)
        coefficients[1:] -= z * np.array(BETA[steps])
        want = np.abs(np.roots(coefficients)).max()
        np.testing.assert_allclose(rt.AdamsBashforth(steps).amplification(z), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [2, 3])
def test_a_step_of_adams_bashforth_has_the_roots_of_its_characteristic_equation(steps):
    rate, dt = -1.3 + 2.1j, 0.25
    step = rt.to_discrete(mode(rate), dt, method=rt.AdamsBashforth(steps)).model
    got = np.linalg.eigvals(step.jacobian(np.zeros(2 * steps)))
    coefficients = np.concatenate([[1, -1], np.zeros(steps - 1)]).astype(complex)
    coefficients[1:] -= dt * rate * np.array(BETA[steps])
    want = np.concatenate([np.roots(coefficients), np.roots(coefficients).conj()])
    np.testing.assert_allclose(np.sort_complex(got), np.sort_complex(want), rtol=0, atol=1e-12)


def imaginary_limit(coefficients):
    """First y > 0 where |R(iy)|^2 - 1, a polynomial in y, changes sign; 0 when it is positive from the origin on."""
    p = np.polynomial.Polynomial([c * 1j**k for k, c in enumerate(coefficients)])
    q = np.polynomial.Polynomial(p.coef) * np.polynomial.Polynomial(p.coef.conj()) - 1
    c = np.where(np.abs(q.coef.real) < 1e-15, 0.0, q.coef.real)  # exact cancellations
    c = c[np.flatnonzero(c)[0] :]
    if c[0] > 0:
        return 0.0
    roots = np.polynomial.Polynomial(c).roots()
    return min(r.real for r in roots if abs(r.imag) < 1e-9 and r.real > 1e-6)


TEXTBOOK = {  # negative real axis, imaginary axis; Hairer & Wanner, section IV.2; adams: the root -1
    "euler": (2, 0),
    "heun": (2, 0),
    "rk3": (2.5127453266, np.sqrt(3)),
    "rk4": (2.7852935634, 2 * np.sqrt(2)),
    "adams_1": (2, 0),
    "adams_2": (1, 0),
    "adams_3": (6 / 11, 0.7235741193),
    "adams_4": (3 / 10, 0.4300338553),
    "adams_5": (90 / 551, 0),
    "implicit_euler": (np.inf, np.inf),
    "implicit_midpoint": (np.inf, np.inf),
    "tustin": (np.inf, np.inf),
}


@pytest.mark.parametrize("name", sorted(set(TEXTBOOK) - {"adams_3", "adams_4"}))
def test_stability_limits_are_those_of_the_textbooks(name):
    region = rt.stability_region(METHODS[name])
    np.testing.assert_allclose((region.real_limit, region.imaginary_limit), TEXTBOOK[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["adams_3", "adams_4"])
def test_stability_limits_of_adams_methods_that_hold_part_of_the_imaginary_axis(name):
    region = rt.stability_region(METHODS[name])
    np.testing.assert_allclose(region.real_limit, TEXTBOOK[name][0], rtol=0, atol=1e-9)
    beta, y = BETA[METHODS[name].steps], region.imaginary_limit
    roots = np.roots(np.concatenate([[1], [-1 - 1j * y * beta[0]], [-1j * y * b for b in beta[1:]]]))
    np.testing.assert_allclose(np.abs(roots).max(), 1, rtol=0, atol=1e-10)
    np.testing.assert_allclose(y, {"adams_3": 0.72, "adams_4": 0.43}[name], rtol=0, atol=5e-3)  # two digits printed


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_imaginary_limit_is_the_root_of_the_stability_polynomial(name):
    region = rt.stability_region(METHODS[name])
    np.testing.assert_allclose(region.imaginary_limit, imaginary_limit(POLYNOMIALS[name]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in RATIONALS])
@pytest.mark.slow
def test_simulation_decays_below_the_largest_stable_step_and_grows_above(name):
    model = mode(-1.0 + 2.0j)
    limit = rt.max_stable_dt(model, METHODS[name], at=np.zeros(2))
    assert 0 < limit < 10
    factors = []
    for dt in (0.98 * limit, 1.02 * limit):
        map_ = rt.to_discrete(model, dt, method=METHODS[name]).model
        jacobian = map_.jacobian(np.zeros(map_.num_states))
        path = rt.simulate(map_, map_.start(np.array([1.0, 0.0])), steps=1500)
        sizes = np.abs(path.states).max(axis=1)
        factors.append(sizes[-1] / sizes[750])
        assert (sizes[-1] < sizes[750]) == (np.abs(np.linalg.eigvals(jacobian)).max() < 1)
    assert factors[0] < 0.9
    assert factors[1] > 1.1


@pytest.mark.parametrize("name", RATIONALS)
def test_implicit_methods_are_stable_for_stiff_systems(name):
    model = rt.LinearSystem([-1e6, -1.0], [0.0, 0.0], np.zeros((2, 1)), time=rt.Continuous())
    assert rt.max_stable_dt(model, METHODS[name], at=np.zeros(2)) == np.inf
    path = rt.simulate(rt.to_discrete(model, 0.1, method=METHODS[name]).model, [1.0, 1.0], steps=200)
    assert np.abs(path.states).max() <= 1.0
    assert abs(path.states[-1, 1]) <= 1e-7


@pytest.mark.parametrize("name", ["euler", "rk4", "adams_2"])
def test_largest_stable_step_is_zero_where_the_flow_itself_grows(name):
    assert rt.max_stable_dt(mode(0.1 + 1j), METHODS[name], at=np.zeros(2)) == 0.0


def test_largest_stable_step_of_a_network_is_where_its_fixed_point_loses_stability():
    model = rt.RateRNN(-2.0 * np.eye(3), None, np.zeros(3), tau=0.5)
    limit = rt.max_stable_dt(model, rt.Euler(), at=np.zeros(3))  # every rate is -(1 + 2) / 0.5
    np.testing.assert_allclose(limit, 1 / 3, rtol=0, atol=1e-12)
    for dt, stays in ((0.99 / 3, True), (1.01 / 3, False)):
        path = rt.simulate(rt.to_discrete(model, dt, method=rt.Euler()).model, np.full(3, 1e-6), steps=1000)
        assert (np.abs(path.states[-1]).max() < 1e-6) == stays


# --- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH_MAPS)
@pytest.mark.slow
def test_euler_undoes_the_euler_field(name, rng):
    model, _ = make_smooth(name, rng, readout=True)
    field = rt.to_continuous(model, method=rt.EulerField()).model
    assert isinstance(field.time, rt.Continuous)
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    np.testing.assert_allclose(field.field(z, s), (model.step(z, s) - z) / model.dt, rtol=0, atol=1e-12)
    back = rt.to_discrete(field, model.dt, method=rt.Euler()).model
    assert type(back) is type(model)
    assert back.time == model.time
    assert back.readout is not None
    np.testing.assert_allclose(back.step(z, s), model.step(z, s), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("name", "base"), [c for c in CASES if c[1] == "map"])
def test_euler_undoes_the_euler_field_of_piecewise_affine_maps(name, base, rng):
    model, _ = make(name, rng, base=base, readout=True)
    back = rt.to_discrete(rt.to_continuous(model, method=rt.EulerField()).model, model.dt, method=rt.Euler()).model
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    np.testing.assert_allclose(back.step(z, s), model.step(z, s), rtol=0, atol=1e-13)
    assert back.time == model.time


def test_euler_field_of_another_step_is_not_undone(rng):
    model, _ = make_smooth("gru", rng)
    field = rt.to_continuous(model, method=rt.EulerField()).model
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    half = rt.to_discrete(field, model.dt / 2, method=rt.Euler()).model
    np.testing.assert_allclose(half.step(z, s), (z + model.step(z, s)) / 2, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("f", "cls"), [("tanh", rt.TanhRNN), ("relu", rt.ReluRNN)])
def test_euler_with_dt_equal_tau_is_the_elman_network_with_equal_weights(f, cls, rng):
    W, U, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=3)
    for tau in (0.03, np.full(3, 0.7)):
        rate = rt.RateRNN(W, U, b, tau=tau, activation=f, form="rate", readout=np.eye(3)[:2])
        dt = float(np.max(tau))
        assert rt.to_discrete(rate, dt, method=rt.Euler()).model == cls(
            W, U, b, time=rt.Discrete(dt), readout=np.eye(3)[:2]
        )


def test_euler_of_a_rate_network_is_the_leaky_network(rng):
    for name in ("rate", "rate_current", "rate_softplus"):
        model, equation = flow(name)
        leaky = rt.to_discrete(model, 0.1, method=rt.Euler()).model
        assert type(leaky) is rt.LeakyRNN
        assert leaky.form == model.form
        np.testing.assert_allclose(leaky.alpha, 0.1 / model.tau, rtol=0, atol=1e-16)
        z, s = rng.normal(size=N), rng.normal(size=M)
        np.testing.assert_allclose(leaky.step(z, s), z + 0.1 * equation(z, s), rtol=0, atol=1e-14)
        exponential = rt.to_discrete(model, 0.1, method=rt.ExponentialEuler()).model
        np.testing.assert_allclose(exponential.alpha, 1 - np.exp(-0.1 / model.tau), rtol=0, atol=1e-15)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_formal_logarithm_of_an_exact_flow_has_a_one_step_error_of_one_order_more(order):
    """The map is a known flow over dt: the logistic equation per unit, z -> z e^dt / (1 + z (e^dt - 1))."""
    z, errors = np.array([0.1, 0.6, 1.4]), []
    for dt in (0.01, 0.005):
        exact = rt.Map(logistic_flow, 3, 1, time=rt.Discrete(dt))
        field = rt.to_continuous(exact, method=rt.FormalLog(order)).model.field
        solved = solve_ivp(lambda t, y: field(y, [dt]), (0, dt), z, method="DOP853", rtol=3e-14, atol=1e-16)  # noqa: B023
        errors.append(np.abs(solved.y[:, -1] - exact.step(z, [dt])).max())
    assert abs(np.log2(errors[0] / errors[1]) - (order + 1)) <= 0.1  # dt / 2 is not yet 0


def logistic_flow(z, s):
    """The flow of dz/dt = z (1 - z) over a time s."""
    import jax.numpy as jnp

    g = jnp.exp(s[0])
    return z * g / (1 + z * (g - 1))


def test_formal_logarithm_of_order_one_is_the_euler_field(rng):
    model, _ = make_smooth("gru", rng)
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    one = rt.to_continuous(model, method=rt.FormalLog(1)).model
    np.testing.assert_allclose(one.field(z, s), (model.step(z, s) - z) / model.dt, rtol=0, atol=1e-13)


def test_certificate_of_an_embedding_states_the_error_of_its_solution(rng):
    model, equation = make_smooth("leaky_rate", rng)
    z, s = rng.normal(size=(3, N)), rng.normal(size=(3, M))
    conversion = rt.to_continuous(model, method=rt.FormalLog(3), states=z, inputs=s)
    field, worst = conversion.model.field, 0.0
    for a, u in zip(z, s, strict=True):
        solved = solve_ivp(lambda t, y, u=u: field(y, u), (0, 0.3), a, method="DOP853", rtol=1e-9, atol=1e-10)
        wanted = equation(a, u)
        worst = max(worst, np.abs(solved.y[:, -1] - wanted).max() / (1 + np.abs(wanted).max()))
    solution = next(c for c in conversion.certificate.conditions if "solution" in c.name)
    np.testing.assert_allclose(1e-9 - solution.margin, worst, rtol=0, atol=1e-7)  # of the comparison's own solver
    assert not solution.holds


# --- rescaling --------------------------------------------------------------------------------------------------------

ALL = [("piecewise", *case) for case in CASES] + [("smooth", name, "") for name in [*SMOOTH_MAPS, *SMOOTH_FLOWS]]


def any_model(kind, name, base, rng):
    return make_smooth(name, rng, readout=True) if kind == "smooth" else make(name, rng, base=base, readout=True)


@pytest.mark.parametrize(("kind", "name", "base"), ALL)
def test_rescaling_divides_the_field_or_stretches_the_step(kind, name, base, rng):
    model, equation = any_model(kind, name, base, rng)
    slow = rt.rescale_time(model, 2.5)
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    want = np.array([equation(a, b) for a, b in zip(z, s, strict=True)])
    if isinstance(model.time, rt.Discrete):
        assert slow.dt == model.dt * 2.5
        np.testing.assert_allclose(slow.step(z, s), want, rtol=0, atol=1e-13)
    else:
        assert slow.time == rt.Continuous()
        np.testing.assert_allclose(slow.field(z, s), want / 2.5, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(slow.readout.B, model.readout.B)
    back = rt.rescale_time(slow, 1 / 2.5)
    np.testing.assert_allclose(back.apply(z, s), want, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "cls"), [("rate", rt.RateRNN), ("hopfield", rt.HopfieldNetwork), ("vector_field", rt.DerivedSystem)]
)
def test_rescaling_stays_in_the_family_where_it_is_closed(name, cls):
    model, _ = flow(name)
    slow = rt.rescale_time(model, 3.0)
    assert type(slow) is cls
    assert type(rt.rescale_time(slow, 2.0)) is cls


@pytest.mark.parametrize("method", [rt.Euler(), rt.RungeKutta(rt.RK4), rt.AdamsBashforth(3), rt.Tustin()], ids=repr)
@pytest.mark.slow
def test_discretized_systems_are_rescaled_without_changing_their_orbit(method, rng):
    model, _ = flow("hopfield")
    map_ = rt.to_discrete(model, 0.1, method=method).model
    slow = rt.rescale_time(map_, 4.0)
    assert slow.dt == 0.4
    z, s = rng.normal(size=N), rng.normal(size=(20, M))
    one, two = (rt.simulate(m, z, steps=20, inputs=s) for m in (map_, slow))
    np.testing.assert_allclose(two.states[:, :N], one.states[:, :N], rtol=0, atol=1e-12)
    np.testing.assert_allclose(two.times, 4 * one.times, rtol=0, atol=1e-14)


def test_rescaled_flow_follows_the_same_orbit_slower(rng):
    z, times = rng.normal(size=N), np.linspace(0, 2, 9)
    model = stable("plrnn", rng)
    for flow_, s in ((model, rng.normal(size=(8, M))), (rt.to_continuous(make("plrnn", rng)[0]).model, None)):
        fast = rt.simulate(flow_, z, times=times, inputs=s)
        slow = rt.simulate(rt.rescale_time(flow_, 3.0), z, times=3 * times, inputs=s)
        np.testing.assert_allclose(slow.states, fast.states, rtol=0, atol=1e-12)


# --- linearization ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name", "base"), [c for c in ALL if "numpy" not in c[1]])
@pytest.mark.slow
def test_linearization_agrees_to_first_order(kind, name, base, rng):
    model, equation = any_model(kind, name, base, rng)
    z, s = rng.normal(size=(5, N)), rng.normal(size=(5, M))
    systems = rt.linearize(model, z, inputs=s)
    assert isinstance(systems, tuple)
    assert len(systems) == 5
    dz, ds = 1e-6 * rng.normal(size=(2, N)), 1e-6 * rng.normal(size=(2, M))
    for system, a, u in zip(systems, z, s, strict=True):
        assert type(system) is rt.LinearSystem
        assert system.time == model.time
        np.testing.assert_allclose(system.apply(a, u), equation(a, u), rtol=0, atol=1e-13)
        np.testing.assert_array_equal(system.readout.B, model.readout.B)
        for x, v in zip(dz, ds, strict=True):  # the second-order term is at most 100 (1e-6 * 4)^2
            np.testing.assert_allclose(system.apply(a + x, u + v), equation(a + x, u + v), rtol=0, atol=2e-9)
