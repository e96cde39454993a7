"""The table of docs/theory/cells.md, row by row: a published cell written out in NumPy is one step of a method for a field.

Steps are evaluated in NumPy, without compilation; what a test compares is the formula of the cell's authors and the step of the method.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import retime as rt
from retime.core.equation import Equation
from retime.core.system import SmoothSystem
from retime.core.time import CONTINUOUS
from retime.models.relaxation import RelaxationField

N, M = 4, 2
logistic = lambda x: 1.0 / (1.0 + np.exp(-x))  # noqa: E731
softplus = lambda x: np.logaddexp(x, 0.0)  # noqa: E731


class Field(SmoothSystem):
    """A field given as a NumPy function, for steps evaluated in NumPy."""

    family = "field_of_a_test"
    num_states, num_inputs = 0, 0

    def __init__(self, f, n=N, m=M):
        self._set(f=f, num_states=n, num_inputs=m, time=CONTINUOUS, readout=None)

    def _equation(self):
        return Equation(lambda xp, p, z, s: self.f(z, s), {})


def step(method, field, dt, z, s):
    """One step of a method, in NumPy."""
    equation = method.discretize(field, dt).equation
    return equation.function(np, equation.parameters, z, s)


@pytest.fixture
def g(rng):
    """Weights, a state, an input."""
    W = {k: rng.normal(size=(N, N)) for k in "WXYZ"}
    U = {f"U{k}": rng.normal(size=(N, M)) for k in "abc"}
    b = {f"b{k}": rng.normal(size=N) for k in "abc"}
    return SimpleNamespace(**W, **U, **b, z=rng.normal(size=N), v=rng.normal(size=N), s=rng.normal(size=M), rng=rng)


def same(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def test_residual_network_is_eulers_method_of_its_block(g):
    block = Field(lambda z, s: np.tanh(g.W @ z + g.Ua @ s + g.ba))
    same(step(rt.Euler(), block, 1.0, g.z, g.s), g.z + np.tanh(g.W @ g.z + g.Ua @ g.s + g.ba))


def test_lipschitz_network_is_eulers_method_or_the_midpoint_rule(g):
    A = 0.5 * (g.W + g.W.T) + 0.5 * (g.W - g.W.T) - 0.1 * np.eye(N)  # beta-weighted parts and gamma of its authors
    f = lambda h: A @ h + np.tanh(g.X @ h + g.Ua @ g.s + g.ba)  # noqa: E731
    field = Field(lambda z, s: A @ z + np.tanh(g.X @ z + g.Ua @ s + g.ba))
    same(step(rt.Euler(), field, 0.1, g.z, g.s), g.z + 0.1 * f(g.z))
    same(step(rt.RungeKutta(rt.MIDPOINT), field, 0.1, g.z, g.s), g.z + 0.1 * f(g.z + 0.05 * f(g.z)))


def test_cornn_is_symplectic_euler_of_driven_oscillators(g):
    dt, gamma, epsilon = 0.05, 2.7, 4.7
    model = rt.CoupledOscillatoryRNN(g.W, g.X, g.Ua, g.ba, gamma=gamma, epsilon=epsilon, time=rt.Discrete(dt))
    v = g.v + dt * (np.tanh(g.W @ g.z + g.X @ g.v + g.Ua @ g.s + g.ba) - gamma * g.z - epsilon * g.v)
    same(model.step(np.concatenate([g.z, g.v]), g.s), np.concatenate([g.z + dt * v, v]))


def test_unicornn_is_symplectic_euler_of_uncoupled_oscillators(g):
    dt, alpha, c = 0.1, 0.9, logistic(g.bb)
    w = g.bc
    field = Field(
        lambda z, s: np.concatenate([c * z[N:], -c * (np.tanh(w * z[:N] + g.Ua @ s + g.ba) + alpha * z[:N])]), 2 * N
    )
    v = g.v - dt * c * (np.tanh(w * g.z + g.Ua @ g.s + g.ba) + alpha * g.z)
    y = g.z + dt * c * v
    same(step(rt.PartitionedEuler((1, 0)), field, dt, np.concatenate([g.z, g.v]), g.s), np.concatenate([y, v]))


@pytest.mark.parametrize("implicit", [False, True])
def test_linoss_is_symplectic_or_implicit_euler_of_forced_oscillators(g, implicit):
    dt, A = 0.2, np.abs(g.ba)
    F = np.block([[np.zeros((N, N)), np.eye(N)], [-np.diag(A), np.zeros((N, N))]])
    E = np.vstack([np.zeros((N, M)), g.Ua])
    model = rt.LinearSystem(F, np.zeros(2 * N), E, time=rt.Continuous())
    z = np.concatenate([g.z, g.v])
    if implicit:  # v' = S (v - dt A y + dt B u), y' = y + dt v', S = 1 / (1 + dt^2 A)
        v = (g.v - dt * A * g.z + dt * g.Ua @ g.s) / (1 + dt**2 * A)
        got = rt.to_discrete(model, dt, method="implicit-euler").model.step(z, g.s)
    else:
        v = g.v + dt * (-A * g.z + g.Ua @ g.s)
        got = step(rt.PartitionedEuler((1, 0)), Field(lambda z, s: F @ z + E @ s, 2 * N), dt, z, g.s)
    same(got, np.concatenate([g.z + dt * v, v]))


def test_lem_is_partitioned_euler_of_two_gated_leaks(g):
    dt = 0.3
    gates = lambda y, s: (logistic(g.W @ y + g.Ua @ s + g.ba), logistic(g.X @ y + g.Ub @ s + g.bb))  # noqa: E731

    def field(x, s):
        y, z = x[:N], x[N:]
        first, second = gates(y, s)
        return np.concatenate(
            [second * (np.tanh(g.Z @ z + g.Uc @ s) - y), first * (np.tanh(g.Y @ y + g.Uc @ s + g.bc) - z)]
        )

    first, second = (dt * x for x in gates(g.z, g.s))
    z = (1 - first) * g.v + first * np.tanh(g.Y @ g.z + g.Uc @ g.s + g.bc)
    y = (1 - second) * g.z + second * np.tanh(g.Z @ z + g.Uc @ g.s)
    got = step(rt.PartitionedEuler((1, 0)), Field(field, 2 * N), dt, np.concatenate([g.z, g.v]), g.s)
    same(got, np.concatenate([y, z]))


def test_momentum_rnn_solves_its_momentum_exactly_and_steps_its_state(g):
    mu, scale = 0.8, 0.6  # v' = mu v + scale U s is a leak with rate -log mu towards scale U s / (1 - mu)
    leak = rt.LinearSystem(
        np.log(mu) * np.eye(N), np.zeros(N), -np.log(mu) * scale / (1 - mu) * g.Ua, time=rt.Continuous()
    )
    v = rt.to_discrete(leak, 1.0, method=rt.ZeroOrderHold()).model.step(g.v, g.s)
    same(v, mu * g.v + scale * g.Ua @ g.s)
    state = Field(lambda h, v: np.tanh(g.W @ h + v) - h, m=N)
    same(step(rt.Euler(), state, 1.0, g.z, v), np.tanh(g.W @ g.z + v))


def test_unitary_network_is_a_splitting_of_rotation_input_and_moduli(g):
    from scipy.linalg import expm

    bias = -np.abs(g.ba)
    x = expm(g.W - g.W.T) @ g.z + g.Ua @ g.s
    wanted = np.sign(x) * np.maximum(np.abs(x) + bias, 0.0)
    model = rt.UnitaryRNN(g.W, g.Ua, bias)
    same(model.step(g.z, g.s), wanted)
    form = rt.ode_form(model)
    same(form.cell.step(g.z, g.s), wanted)
    assert len(form.method.terms) == 3


def test_complex_unitary_network_turns_pairs(g):
    from scipy.linalg import expm

    from retime.models.unitary import complex_generator

    H = g.rng.normal(size=(3, 3)) + 1j * g.rng.normal(size=(3, 3))
    x, V = g.rng.normal(size=3) + 1j * g.rng.normal(size=3), g.rng.normal(size=(6, M))
    pushed = expm((H - H.conj().T) / 2) @ x + (V @ g.s)[:3] + 1j * (V @ g.s)[3:]
    wanted = pushed / np.abs(pushed) * np.maximum(np.abs(pushed) - 0.4, 0.0)
    model = rt.UnitaryRNN(complex_generator(H), V, np.full(3, -0.4), pairs=True)
    got = model.step(np.concatenate([x.real, x.imag]), g.s)
    same(got[:3] + 1j * got[3:], wanted)


@pytest.mark.parametrize("kind", ["lru", "s5"])
def test_lru_and_s5_are_zero_order_hold_of_a_diagonal_equation(g, kind):
    rates = -np.abs(g.ba) + 1j * g.bb
    B = g.Ua + 1j * g.Ub
    dt, x = 0.4, g.z + 1j * g.v
    field = rt.DiagonalLinearRNN(rates, B, time=rt.Continuous())
    wanted = np.exp(dt * rates) * x + (np.exp(dt * rates) - 1) / rates * (B @ g.s)  # S5
    got = rt.to_discrete(field, dt, method=rt.ZeroOrderHold()).model
    if kind == "lru":  # its parameters are those of the map, the input is scaled by gamma
        nu, theta = np.log(np.abs(g.ba)), np.log(np.abs(g.bb))
        w = np.exp(-np.exp(nu) + 1j * np.exp(theta))
        gamma = np.sqrt(1 - np.abs(w) ** 2)
        got, wanted = rt.DiagonalLinearRNN(w, gamma[:, None] * B), w * x + gamma * (B @ g.s)
        flow = rt.to_continuous(got).model
        same(flow.multipliers.real, -np.exp(nu))
    y = got.step(np.concatenate([x.real, x.imag]), g.s)
    same(y[:N] + 1j * y[N:], wanted)


def test_s4_is_the_trapezoid_of_a_linear_equation(g):
    dt, one = 0.3, np.eye(N)
    wanted = np.linalg.solve(one - dt / 2 * g.W, (one + dt / 2 * g.W) @ g.z + dt * g.Ua @ g.s)
    model = rt.LinearSystem(g.W, np.zeros(N), g.Ua, time=rt.Continuous())
    same(rt.to_discrete(model, dt, method=rt.RungeKutta(rt.TRAPEZOID)).model.step(g.z, g.s), wanted)


def test_mingru_solves_its_leak_exactly(g):
    u = logistic(g.Ua @ g.s + g.ba)
    model = rt.MinGRU(g.Ua, g.ba, g.Ub, g.bb)
    same(model.step(g.z, g.s), (1 - u) * g.z + u * (g.Ub @ g.s + g.bb))


def relaxation(law):
    return RelaxationField(lambda xp, p, z, s: law(z, s), {}, N, M)


def test_rglru_solves_its_leak_exactly(g):
    c = 8.0
    r, i = logistic(g.Ua @ g.s + g.ba), logistic(g.Ub @ g.s + g.bb)
    a = np.exp(-c * softplus(g.bc) * r)
    wanted = a * g.z + np.sqrt(1 - a**2) * i * (g.Uc @ g.s)

    def law(z, s):
        r, i = logistic(g.Ua @ s + g.ba), logistic(g.Ub @ s + g.bb)
        rate = c * softplus(g.bc) * r
        a = np.exp(-rate)
        return rate, np.sqrt((1 + a) / (1 - a)) * i * (g.Uc @ s)

    same(step(rt.FrozenRelaxation(), relaxation(law), 1.0, g.z, g.s), wanted)


def test_mlstm_solves_its_leak_exactly(g):
    """C' = f C + i v k^T, row by row."""
    f, i = logistic(g.s[0]), np.exp(g.s[1])
    push = i * np.outer(g.ba[:2], g.bb[:2]).reshape(-1)
    field = relaxation(lambda z, s: (-np.log(f) * np.ones(N), push / (1 - f)))
    same(step(rt.FrozenRelaxation(), field, 1.0, g.z, g.s), f * g.z + push)


def test_fused_solver_of_ltc_is_linearly_implicit_euler(g):
    dt, tau, A = 0.2, 1.5, g.bc
    f = logistic(g.W @ g.z + g.Ua @ g.s + g.ba)
    wanted = (g.z + dt * f * A) / (1 + dt * (1 / tau + f))

    def law(z, s):
        f = logistic(g.W @ z + g.Ua @ s + g.ba)
        rate = 1 / tau + f
        return rate, f * A / rate

    same(step(rt.FrozenRelaxation("implicit"), relaxation(law), dt, g.z, g.s), wanted)


@pytest.mark.parametrize("method", ["euler", "implicit", "exact"])
def test_delta_rules_are_steps_of_one_equation(g, method):
    S, k, v = g.rng.normal(size=(3, N)), g.W[:, :M] @ g.s, g.rng.normal(size=(3, M))
    beta, dt = 0.7, 0.5
    model = rt.DeltaRule(g.W[:, :M], v, beta=beta, method=method, time=rt.Discrete(dt))
    error, size = np.outer(v @ g.s - S @ k, k), k @ k
    factor = {
        "euler": dt * beta,
        "implicit": dt * beta / (1 + dt * beta * size),
        "exact": (1 - np.exp(-dt * beta * size)) / size,
    }[method]
    same(model.step(S.reshape(-1), g.s), (S + factor * error).reshape(-1))
    if method == "implicit":  # the new state solves S' = S + dt beta (v - S' k) k^T
        new = model.step(S.reshape(-1), g.s).reshape(3, N)
        same(new, S + dt * beta * np.outer(v @ g.s - new @ k, k))


def scalar(a, drive, dt, steps, rule):
    """A scalar recurrence over [0, 1] with a_k, u_k at the ends of the steps."""
    h = 0.0
    for k in range(steps):
        h = rule(h, k * dt, (k + 1) * dt)
    return h


def test_mamba_is_a_splitting_of_order_one_and_not_zero_order_hold(g):
    A, B = -np.abs(g.ba), g.Ua
    wanted = np.exp(0.1 * A) * g.z + 0.1 * B @ g.s
    terms = (
        rt.LinearSystem(np.diag(A), np.zeros(N), np.zeros((N, M)), time=rt.Continuous()),
        rt.LinearSystem(np.zeros((N, N)), np.zeros(N), B, time=rt.Continuous()),
    )
    whole = rt.LinearSystem(np.diag(A), np.zeros(N), B, time=rt.Continuous())
    got = rt.to_discrete(whole, 0.1, method=rt.LieSplitting(terms)).model
    e = got.equation
    same(e.function(np, e.parameters, g.z, g.s), wanted)
    held = rt.to_discrete(whole, 0.1, method=rt.ZeroOrderHold()).model.step(g.z, g.s)
    assert np.abs(held - wanted).max() > 1e-3


@pytest.mark.parametrize(("name", "order"), [("mamba", 1), ("mamba2", 1), ("mamba3", 2)])
def test_order_of_mambas_and_its_trapezoidal_successor(name, order):
    """h' = -h + sin(3 t): exponential Euler-like splittings have order 1, the exponential trapezoid order 2."""
    u = lambda t: np.sin(3 * t)  # noqa: E731

    def after(steps):
        dt = 1.0 / steps
        keep = np.exp(-dt)
        rule = {
            "mamba": lambda h, t0, t1: keep * h + dt * u(t1),
            "mamba2": lambda h, t0, t1: keep * (h + dt * u(t0)),
            "mamba3": lambda h, t0, t1: keep * h + dt / 2 * (keep * u(t0) + u(t1)),
        }[name]
        return scalar(None, u, dt, steps, rule)

    exact = (np.sin(3.0) - 3 * np.cos(3.0) + 3 * np.exp(-1.0)) / 10
    errors = [abs(after(k) - exact) for k in (200, 400)]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.05


def test_cfc_steps_no_equation(g):
    """Its step over no time is not the identity, and two half steps are not one: no method of one step does that."""

    def cfc(z, s, t):
        gate = logistic(-np.abs(g.W @ z + g.ba) * t)
        return gate * np.tanh(g.X @ z + g.Ua @ s) + (1 - gate) * np.tanh(g.Y @ z + g.Ub @ s + g.bb)

    assert np.abs(cfc(g.z, g.s, 0.0) - g.z).max() > 0.1
    assert np.abs(cfc(cfc(g.z, g.s, 0.5), g.s, 0.5) - cfc(g.z, g.s, 1.0)).max() > 0.1
    form = rt.ode_form(rt.Map(lambda z, s: cfc(z, s, 1.0), N, M))
    assert (form.mark, form.cell, form.field) == ("none known", None, None)
    assert not form.certificate.holds
