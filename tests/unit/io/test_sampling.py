"""`c2d` and `d2c`: every form, every method, there and back, beside SciPy, python-control and MATLAB's documented results."""

import logging

import control
import numpy as np
import pytest
from scipy import signal
from scipy.linalg import expm

import retime as rt

A = np.array([[-1.0, 2.0, 0.0], [-2.0, -1.0, 0.5], [0.0, 0.3, -3.0]])
B, C, D = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]), np.array([[1.0, 0.0, 0.5]]), np.array([[0.2, -0.1]])
PLANT = (A, B, C, D)
SINGLE = (A, B[:, :1], C, D[:, :1])
DT = 0.1


def distance(a, b):
    return max(float(np.abs(np.asarray(x) - np.asarray(y)).max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("method", "options", "scipys"),
    [
        ("zoh", {}, "zoh"),
        ("foh", {}, "foh"),
        ("impulse", {}, "impulse"),
        ("tustin", {}, "bilinear"),
        ("bilinear", {}, "bilinear"),
        ("gbt", {"alpha": 0.3}, "gbt"),
        ("gbt:0.3", {}, "gbt"),
        ("euler", {}, "euler"),
        ("forward_diff", {}, "euler"),
        ("backward_diff", {}, "backward_diff"),
    ],
)
def test_matrices_are_scipys_and_come_back(method, options, scipys):
    plant = (A, B, C, 0 * D) if method == "impulse" else PLANT
    got = rt.c2d(plant, DT, method, **options)
    alpha = {"alpha": 0.3} if scipys == "gbt" else {}
    assert distance(got, signal.cont2discrete(plant, DT, scipys, **alpha)) < 1e-14
    assert distance(rt.d2c(got, method, **options), plant) < 1e-12


def test_scipys_matrices_are_not_turned_into_polynomials():
    plant = signal.lti(
        [[0.0, 1.0], [-2.0, -3.0]], [[0.0], [1.0]], [[1.0, 0.0]], [[0.0]]
    )  # whose polynomials SciPy warns of
    got = rt.c2d(plant, DT, "zoh")
    want = signal.cont2discrete((plant.A, plant.B, plant.C, plant.D), DT)
    assert distance((got.A, got.B, got.C, got.D), want[:4]) < 1e-14


def test_an_impulse_response_that_begins_at_zero_comes_back():
    plant = (np.array([[0.0, 1.0], [-2.0, -3.0]]), np.array([[0.0], [1.0]]), np.array([[1.0, 0.0]]), np.zeros((1, 1)))
    assert distance(rt.d2c(rt.c2d(plant, DT, "impulse"), "impulse"), plant) < 1e-13  # C B = 0: D is 0 up to rounding


def test_prewarped_tustin_is_python_controls_and_keeps_the_response_there():
    plant = control.ss(*PLANT)
    got = rt.c2d(plant, DT, "tustin", prewarp_frequency=7.0)
    want = control.sample_system(plant, DT, method="bilinear", prewarp_frequency=7.0)
    assert distance((got.A, got.B, got.C, got.D), (want.A, want.B, want.C, want.D)) < 1e-14
    assert np.abs(got(np.exp(7j * DT)) - plant(7j)).max() < 1e-13
    back = rt.d2c(got, rt.Tustin(prewarp_frequency=7.0))
    assert distance((back.A, back.B, back.C, back.D), PLANT) < 1e-12


@pytest.mark.parametrize("delay", [0.03, 0.1, 0.25, [0.0, 0.17]])
def test_delayed_inputs_act_as_if_held_and_late(delay, rng):
    a, b, c, d, dt = rt.c2d(PLANT, DT, "zoh", delay=delay)
    late, u, fine = np.broadcast_to(delay, 2), rng.normal(size=(12, 2)), 0.01
    z, x = np.zeros(len(a)), np.zeros(3)
    step = expm(np.block([[A, B], [np.zeros((2, 5))]]) * fine)
    for k in range(11):
        index = np.floor((k * dt - late) / dt + 1e-6).astype(int)
        acting = np.where(index >= 0, u[index, [0, 1]], 0.0)
        assert np.abs(c @ z + d @ u[k] - C @ x - D @ acting).max() < 1e-13
        z = a @ z + b @ u[k]
        for j in range(10):  # the flow in steps of a tenth, each input the one that arrived
            index = np.floor((k * dt + (j + 0.5) * fine - late) / dt).astype(int)
            x = (step @ np.concatenate([x, np.where(index >= 0, u[index, [0, 1]], 0.0)]))[:3]
    assert dt == DT


def test_matlabs_example_of_a_negative_pole(caplog):
    """MathWorks, Convert Discrete-Time System to Continuous Time: (z + 0.5) / ((z + 2) (z - 5)) with step 0.1."""
    plant = signal.ZerosPolesGain([-0.5], [-2.0, 5.0], 1.0, dt=0.1)
    with caplog.at_level(logging.WARNING, "retime"):
        held = rt.d2c(plant)
    assert "1 negative real pole has no real flow of order 2; the order was raised to 3, as MATLAB's d2c" in caplog.text
    assert held.gain == pytest.approx(2.6663, abs=5e-5)
    assert np.poly(held.zeros) == pytest.approx([1, 14.28, 780.9], abs=0.05)
    assert np.poly(held.poles) == pytest.approx(np.polymul([1, -16.09], [1, -13.86, 1035]), rel=1e-3)
    tustin = rt.d2c(plant, "tustin")
    assert tustin.gain == pytest.approx(0.083333, abs=5e-7)
    assert sorted(tustin.zeros.real) == pytest.approx([-60, 20])
    assert sorted(tustin.poles.real) == pytest.approx([13.33, 60], abs=0.005)
    certificate = rt.d2c(plant, certificate=True).certificate
    assert certificate.holds
    assert "of order 3 instead of 2" in certificate.plain_line


@pytest.mark.parametrize(
    ("zeros", "poles"),
    [
        ([], [-1.0]),
        ([], [-0.3 + 1j, -0.3 - 1j]),
        ([-0.5], [-1, -2.0]),
        ([1j, -1j], [-1, -2]),
        ([], [-1, -2, -4]),
        ([0], [-1, -2]),
        ([-3], [0, 0]),
    ],
)
def test_matched_poles_zeros_and_gain(zeros, poles):
    plant = signal.ZerosPolesGain(zeros, poles, 2.0)
    got = rt.c2d(plant, 0.2, "matched")
    late = max(len(poles) - len(zeros) - 1, 0)
    np.testing.assert_allclose(np.sort_complex(got.poles), np.sort_complex(np.exp(0.2 * np.array(poles))), atol=1e-14)
    np.testing.assert_allclose(got.zeros, [*np.exp(0.2 * np.array(zeros)), *[-1.0] * late], atol=1e-14)
    slow = 1e-4  # where both responses are almost that at rest
    s, z = 1j * slow, np.exp(0.2j * slow)
    ratio = (
        np.prod(z - got.zeros)
        / np.prod(z - got.poles)
        * got.gain
        / (np.prod(s - plant.zeros) / np.prod(s - plant.poles) * 2.0)
    )
    assert abs(ratio - 1) < 1e-3
    back = rt.d2c(got, "matched")
    np.testing.assert_allclose(np.sort_complex(back.poles), np.sort_complex(plant.poles), atol=1e-13)
    assert back.gain == pytest.approx(2.0, abs=1e-12)


def test_matched_is_python_controls_where_no_zero_is_at_infinity():
    plant = control.tf([2.0, 1.0, 3.0], [1.0, 0.6, 1.0])
    got, want = rt.c2d(plant, 0.3, "matched"), control.sample_system(plant, 0.3, method="matched")
    assert distance((got.num[0][0], got.den[0][0]), (want.num[0][0], want.den[0][0])) < 1e-14


def test_matched_state_space_keeps_coordinates_and_comes_back():
    got = rt.c2d(SINGLE, DT, "matched")
    np.testing.assert_allclose(got[0], expm(DT * A), atol=1e-14)
    form = rt.c2d(signal.StateSpace(*SINGLE).to_zpk(), DT, "matched")
    z = np.exp(2j)
    response = (got[2] @ np.linalg.solve(z * np.eye(3) - got[0], got[1]) + got[3])[0, 0]
    assert abs(response - form.gain * np.prod(z - form.zeros) / np.prod(z - form.poles)) < 1e-12
    assert distance(rt.d2c(got, "matched"), SINGLE) < 1e-12


@pytest.mark.parametrize("method", ["zoh", "foh", "tustin", "matched"])
@pytest.mark.parametrize("form", ["control", "fraction", "lti", "tf", "zpk", "tuple", "linear"])
def test_every_form_comes_back_as_it_was(form, method):
    made = {
        "control": lambda: control.ss(
            *SINGLE, name="plant", states=["a", "b", "c"], inputs=["force"], outputs=["height"]
        ),
        "fraction": lambda: control.tf([1.0, 2.0], [1.0, 3.0, 5.0], name="plant", inputs=["force"], outputs=["height"]),
        "lti": lambda: signal.lti(*SINGLE),
        "tf": lambda: signal.TransferFunction([1.0, 2.0], [1.0, 3.0, 5.0]),
        "zpk": lambda: signal.ZerosPolesGain([-2.0], [-1 + 2j, -1 - 2j], 3.0),
        "tuple": lambda: SINGLE,
        "linear": lambda: rt.LinearSystem(A, np.zeros(3), B[:, :1], time=rt.Continuous(), readout=C, D=D[:, :1]),
    }
    plant = made[form]()
    sampled = rt.c2d(plant, DT, method)
    back = rt.d2c(sampled, method)
    assert type(back) is type(plant)
    assert (sampled[-1] if form == "tuple" else sampled.dt) == DT
    if form in ("control", "fraction"):
        for system in (sampled, back):
            assert system.name == "plant"
            assert (system.input_labels, system.output_labels) == (["force"], ["height"])
    if form == "control":
        assert sampled.state_labels == back.state_labels == ["a", "b", "c"]
    at = 0.5 + 1j
    response = {
        "control": lambda x: x(at), "fraction": lambda x: x(at),
        "linear": lambda x: (x.readout.B @ np.linalg.solve(at * np.eye(3) - x.A, x.E) + x.D)[0, 0],
        "tuple": lambda x: (x[2] @ np.linalg.solve(at * np.eye(3) - x[0], x[1]) + x[3])[0, 0],
    }.get(form, lambda x: (lambda p: p.gain * np.prod(at - p.zeros) / np.prod(at - p.poles))(x.to_zpk()))  # fmt: skip
    assert abs(response(back) / response(plant) - 1) < 1e-12


def test_added_states_have_names_of_their_own():
    plant = control.ss([[-0.5]], [[1.0]], [[1.0]], [[0.0]], 0.1, name="flip", states=["x"])
    assert rt.d2c(plant).state_labels == ["x", "added[0]"]
    assert rt.io.to_control(rt.to_continuous(rt.io.from_control(plant)).model, like=plant).name == "flip"


@pytest.mark.parametrize("method", ["zoh", "foh", "impulse", "tustin", "gbt:0.7", "euler", "matched", "rk4"])
def test_certificates_of_linear_systems_speak_of_poles_order_and_sampling(method):
    plant = (A, B[:, :1], C, np.zeros((1, 1)))
    there = rt.c2d(plant, 0.05, method, certificate=True).certificate
    assert there.holds
    texts = [str(there)]
    if method != "rk4":
        texts.append(str(rt.d2c(rt.c2d(plant, 0.05, method), method, certificate=True).certificate))
    for text in texts:
        assert "order" in text
        assert "pole" in text
        assert not any(word in text for word in ("region", "clock", "ReLU", "pattern"))
        assert text.split("\n")[0].startswith(("Exact", "An approximation", "Poles matched"))


def test_the_error_of_an_approximation_is_that_of_its_frequency_response():
    line = rt.c2d(SINGLE, DT, "euler", certificate=True).certificate.plain_line
    w = 2 * np.pi / DT * np.linspace(0.005, 0.1, 400)
    plant, step = control.ss(*SINGLE), control.sample_system(control.ss(*SINGLE), DT, method="euler")
    want = np.abs(plant(1j * w) - step(np.exp(1j * w * DT))).max() / np.abs(plant(1j * w)).max()
    assert float(line.split("off by ")[1].split()[0]) == pytest.approx(want, rel=0.1)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: rt.c2d(PLANT, DT, "zho"), ValueError, "`method` is 'zho'; it must be one of euler"),
        (lambda: rt.c2d(PLANT, DT, "gbt"), ValueError, '`alpha` is missing; method="gbt" needs it'),
        (lambda: rt.c2d(PLANT, DT, "gbt", alpha=2), ValueError, "`alpha` is 2; it must be a number from 0"),
        (
            lambda: rt.c2d(PLANT, DT, "foh", delay=0.1),
            ValueError,
            "`delay` is an option of ZeroOrderHold, not of 'foh'",
        ),
        (lambda: rt.c2d(PLANT, DT, delay=-0.1), ValueError, "`delay` holds -0.1; it must be >= 0"),
        (lambda: rt.c2d(PLANT, DT, delay=[1, 2, 3]), rt.ShapeError, r"`delay` has shape \(3,\)"),
        (
            lambda: rt.c2d(PLANT, DT, "tustin", prewarp_frequency=40),
            ValueError,
            "below the Nyquist frequency pi/dt = 31.42",
        ),
        (lambda: rt.c2d(PLANT, DT, "impulse"), ValueError, "has a feedthrough D"),
        (lambda: rt.c2d(PLANT, DT, "matched"), ValueError, "has 2 inputs and 1 outputs"),
        (lambda: rt.c2d((A, B), DT), TypeError, r"a tuple of 2; it must be \(A, B, C, D\)"),
        (
            lambda: rt.c2d(rt.zoo.load("lorenz"), DT),
            TypeError,
            r"`system` is PLRNN; it must be .*linearize\(model, at\)",
        ),
        (lambda: rt.c2d((*PLANT, 0.1), DT), TypeError, "is discrete already"),
        (lambda: rt.c2d(signal.dlti([1], [1, 0.5]), DT), TypeError, "is discrete"),
        (lambda: rt.c2d(control.tf([1], [1, 0.5], True), DT), TypeError, "is discrete"),
        (lambda: rt.d2c(PLANT), ValueError, r"has no step; pass dt="),
        (lambda: rt.d2c(signal.dlti([1], [1, 0.5])), ValueError, r"`system.dt` is True; say which time base"),
        (
            lambda: rt.d2c(signal.dlti([1], [1, 0.5], dt=0.1), "matched"),
            rt.CertificateError,
            "A pole is -0.5: no real pole",
        ),
        (
            lambda: rt.d2c(signal.dlti([1], [1, 0], dt=0.1), "matched"),
            rt.CertificateError,
            r"A pole is 0: no pole s has exp\(s dt\) = 0",
        ),
        (lambda: rt.d2c(signal.dlti([1], [1, 1], dt=0.1), "tustin"), rt.CertificateError, "A pole of the system is -1"),
        (lambda: rt.d2c(signal.dlti([1], [1, 0, 0], dt=0.1)), rt.CertificateError, "a delay of two steps or more"),
        (
            lambda: rt.d2c(signal.dlti([1], [1, 0, 0], dt=0.1), "foh"),
            rt.CertificateError,
            "a delay of two steps or more",
        ),
        (lambda: rt.d2c(signal.dlti([1], [1, 0], dt=0.1), "impulse"), rt.CertificateError, "A pole is 0: no impulse"),
        (lambda: rt.d2c((*PLANT, 0.1), "impulse"), rt.CertificateError, "is not an impulse-invariant one"),
        (lambda: rt.d2c((*PLANT, 0.1), "rk4"), ValueError, "`method` is 'rk4'; it must be matrix-log"),
        (lambda: rt.d2c((*PLANT, 0.1), dt=0.2), ValueError, "`dt` is 0.2, but the system says 0.1"),
    ],
)
def test_what_cannot_be_done_is_said(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_step_can_be_given_where_the_system_names_none():
    plant = signal.dlti([1.0], [1.0, -0.5])
    assert rt.d2c(plant, dt=0.1).poles == pytest.approx([np.log(0.5) / 0.1])
    sampled = rt.c2d(PLANT, DT)
    assert distance(rt.d2c(sampled[:4], dt=DT), PLANT) < 1e-12


def test_matched_matrices_are_right_or_refused():
    rng = np.random.default_rng(0)
    poles = -np.geomspace(0.1, 10, 16)
    plant = signal.ZerosPolesGain(poles[:3] * 1.5, poles, 1.0)
    assert rt.c2d(plant, 0.05, "matched").poles == pytest.approx(np.exp(0.05 * poles))
    mixed = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    space = (mixed @ np.diag(poles) @ mixed.T, rng.normal(size=(16, 1)), rng.normal(size=(1, 16)), np.zeros((1, 1)))
    with pytest.raises(rt.ConvergenceError, match=r"Matrices with 16 states do not hold .*zoh"):
        rt.d2c(rt.c2d(space, 0.05, "matched"), "matched")


def test_a_static_gain_has_nothing_to_convert():
    for static in (signal.TransferFunction([3.0], [2.0]), control.ss([], [], [], [[1.0]])):
        with pytest.raises(ValueError, match="has no states"):
            rt.c2d(static, DT)
