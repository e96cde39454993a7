"""ode_form finds the equation of each family, and its cell steps as the model."""

import numpy as np
import pytest

import retime as rt

N, M = 4, 2


def gates(rng, k):
    return rng.normal(size=(k * N, N)), rng.normal(size=(k * N, M)), rng.normal(size=k * N), rng.normal(size=k * N)


def elman(rng):
    return rng.normal(size=(N, N)), rng.normal(size=(N, M)), rng.normal(size=N)


CASES = {  # model, mark, method, n, t, number of forms
    "tanh": (lambda r: rt.TanhRNN(*elman(r)), "found", "Euler", 1, 1, 1),
    "leaky": (lambda r: rt.LeakyRNN(*elman(r), alpha=0.3, time=rt.Discrete(0.1)), "by definition", "Euler", 1, 1, 1),
    "relu": (lambda r: rt.ReluRNN(*elman(r)), "found", "Euler", 1, 1, 2),
    "gru": (lambda r: rt.GRU(*gates(r, 3)), "found", "Euler", 1, 1, 2),
    "gru, reset before": (lambda r: rt.GRU(*gates(r, 3), reset_after=False, time=rt.Discrete(0.2)), "found", "Euler", 1, 1, 2),
    "lstm": (lambda r: rt.LSTM(*gates(r, 4)), "found", "PartitionedEuler", 1, 1, 1),
    "antisymmetric": (lambda r: rt.AntisymmetricRNN(*elman(r), time=rt.Discrete(0.1)), "by definition", "Euler", 1, 1, 1),
    "cornn": (
        lambda r: rt.CoupledOscillatoryRNN(r.normal(size=(N, N)), *elman(r), time=rt.Discrete(0.1)),
        "by definition", "PartitionedEuler", 1, 2, 1,
    ),
    "unitary": (lambda r: rt.UnitaryRNN(*elman(r), time=rt.Discrete(0.1)), "found", "LieSplitting", 1, 1, 1),
    "diagonal": (
        lambda r: rt.DiagonalLinearRNN(np.array([0.9j, -0.5, 0.3 + 0.1j]), r.normal(size=(3, M)), time=rt.Discrete(0.1)),
        "by definition", "ZeroOrderHold", 1, 1, 1,
    ),
    "min gru": (lambda r: rt.MinGRU(elman(r)[1], r.normal(size=N), *elman(r)[1:]), "found", "ZeroOrderHold", 1, 1, 1),
    "delta": (lambda r: rt.DeltaRule(*r.normal(size=(2, N, M)), method="implicit"), "found", "RungeKutta", 1, 1, 1),
    "plrnn": (lambda r: rt.PLRNN(r.uniform(0.2, 0.8, N), 0.2 * r.normal(size=(N, N)), r.normal(size=N)), "found", "ZeroOrderHold", 1, 1, 2),
    "linear": (lambda r: rt.LinearSystem(0.4 * elman(r)[0], r.normal(size=N), elman(r)[1]), "found", "ZeroOrderHold", 1, 1, 2),
    "rk4": (lambda r: rt.ODERNN(rt.RateRNN(*elman(r), tau=1.0), "rk4", dt=0.2), "by definition", "RungeKutta", 4, 1, 1),
    "derived": (
        lambda r: rt.to_discrete(rt.RateRNN(*elman(r), tau=1.0), 0.2, method="midpoint").model, "by definition", "RungeKutta", 2, 1, 1,
    ),
}  # fmt: skip


LONG = ("delta", "unitary", "gru, reset before", "leaky", "derived", "linear")  # beside others of the same statement


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in CASES])
def test_the_form_of_a_family_steps_as_it_does(name, rng):
    build, mark, method, n, t, count = CASES[name]
    model = build(rng)
    form = rt.ode_form(model)
    assert (form.mark, type(form.method).__name__, form.n, form.t, 1 + len(form.others)) == (mark, method, n, t, count)
    z, s = rng.normal(size=(5, model.num_states)), rng.normal(size=(5, model.num_inputs))
    for one in (form, *form.others):
        assert one.residual <= 1e-12
        assert isinstance(one.field.time, rt.Continuous)
        np.testing.assert_allclose(
            one.cell.step(z, s)[:, : model.num_states],
            model.step(z, s),
            rtol=0,
            atol=1e-12 * (1 + np.abs(z).max()) * 10,
        )


def test_the_fields_of_gates_are_written_out(rng):
    """Their values, gate by gate: (1 - u)(n - z) of a GRU, (f - 1) c + i g and o tanh c - h of an LSTM."""
    logistic = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    W, U, b, c = gates(rng, 3)
    z, s = rng.normal(size=N), rng.normal(size=M)
    (Rr, Ru, Rn), (Wr, Wu, Wn), (pr, pu, pn), (qr, qu, qn) = (np.split(x, 3) for x in (W, U, b, c))
    r = logistic(Rr @ z + pr + Wr @ s + qr)
    a = Ru @ z + pu + Wu @ s + qu
    n = np.tanh(Wn @ s + qn + r * (Rn @ z + pn))
    form = rt.ode_form(rt.GRU(W, U, b, c))
    np.testing.assert_allclose(form.field.field(z, s), (1 - logistic(a)) * (n - z), rtol=0, atol=1e-13)
    np.testing.assert_allclose(form.others[0].field.field(z, s), np.log1p(np.exp(-a)) * (n - z), rtol=0, atol=1e-13)


def test_the_order_of_a_method_shows_when_its_step_is_halved(rng):
    cell = rt.ODERNN(rt.RateRNN(*elman(rng), tau=1.0), "rk4", dt=0.5)
    _, order = rt.ode_form(cell).certificate.conditions
    assert order.holds
    assert "4.0" in order.detail or "3.9" in order.detail


def test_a_flow_is_its_own_equation():
    with pytest.raises(TypeError, match="its own equation"):
        rt.ode_form(rt.RateRNN(np.eye(2), np.zeros((2, 1)), np.zeros(2), tau=1.0))


@pytest.mark.parametrize("name", ["diagonal", "min gru"])
@pytest.mark.parametrize("ratio", [2, 0.5, 3.7])
def test_held_families_have_another_step_exactly(name, ratio, rng):
    model = CASES[name][0](rng)
    new = rt.retime_to(model, model.dt / ratio).model
    assert type(new) is type(model)
    z, s = rng.normal(size=(3, model.num_states)), rng.normal(size=(3, model.num_inputs))
    if ratio == 2:
        np.testing.assert_allclose(new.step(new.step(z, s), s), model.step(z, s), rtol=0, atol=1e-12)
    back = rt.retime_to(new, model.dt).model
    if ratio >= 1:
        np.testing.assert_allclose(back.step(z, s), model.step(z, s), rtol=0, atol=1e-12)


def test_the_flow_of_a_held_family_is_that_of_a_solver(rng):
    from scipy.integrate import solve_ivp

    for name in ("diagonal", "min gru"):
        model = CASES[name][0](rng)
        conversion = rt.to_continuous(model)
        z, s = rng.normal(size=model.num_states), rng.normal(size=model.num_inputs)
        want = solve_ivp(
            lambda t, x, f=conversion.model, s=s: f.field(x, s), (0, model.dt), z, rtol=1e-11, atol=1e-12
        ).y[:, -1]
        np.testing.assert_allclose(model.step(z, s), want, rtol=0, atol=1e-9)
        assert conversion.certificate.holds
        assert "Exact" in conversion.certificate.plain_line


def test_a_multiplier_of_zero_has_no_flow():
    with pytest.raises(rt.CertificateError, match="state 1 is 0"):
        rt.to_continuous(rt.DiagonalLinearRNN([0.5, 0.0], np.ones((2, 1)) + 0j))
