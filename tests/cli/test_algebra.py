"""`retime discretize`, `rescale`, `linearize`, and `convert` of smooth networks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import retime as rt


@pytest.fixture
def rate_file(tmp_path, rng):
    n = 4
    model = rt.RateRNN(rng.normal(size=(n, n)) / 2, rng.normal(size=(n, 2)), rng.normal(size=n), tau=0.5, form="rate")
    return rt.save(model, tmp_path / "rate.npz"), model


def test_discretize_writes_the_network_that_the_library_makes(run, rate_file, tmp_path):
    path, model = rate_file
    out = tmp_path / "cell.npz"
    code, text, _ = run("discretize", path, "--step", 0.1, "--method", "euler", "-o", out)
    assert code == 0
    assert "one-step error" in text
    assert rt.load(out) == rt.to_discrete(model, 0.1, method=rt.Euler()).model


def test_discretize_of_a_map_changes_its_step(run):
    code, text, _ = run("discretize", "zoo:vanderpol", "--step", 0.05, "--json")
    assert code == 0
    found = json.loads(text)
    assert "Discrete(dt=0.05)" in found["model"]
    assert found["certificate"]["holds"]


def test_discretize_fails_its_certificate_when_the_step_is_unstable(run, rate_file):
    path, _ = rate_file
    code, text, _ = run("discretize", path, "--step", 5.0, "--method", "euler")
    assert code == 1
    assert "what decays in the flow decays in the map" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--step", 0.1), "Say which method with --method: euler, heun"),
        (("--step", 0.1, "--method", "rk5"), "--method is 'rk5'; it must be one of euler"),
        (("--step", -1, "--method", "rk4"), "must be a positive finite number"),
        (("--step", 0.1, "--method", "zoh"), "ZeroOrderHold is exact for linear and piecewise-affine systems"),
        (("--step", 0.1, "--method", "rk4", "--field", "euler-field"), "--field is for maps"),
    ],
)
def test_discretize_refuses_with_a_reason(run, rate_file, arguments, message):
    code, _, err = run("discretize", rate_file[0], *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_rescale_writes_the_slower_network(run, rate_file, tmp_path):
    path, _ = rate_file
    out = tmp_path / "slow.npz"
    code, text, _ = run("rescale", path, "--factor", 3, "-o", out, "--json")
    assert code == 0
    assert json.loads(text)["factor"] == 3
    assert rt.load(out).tau == pytest.approx(1.5, abs=1e-15)


def test_linearize_prints_modes_and_ranks(run, rate_file):
    path, model = rate_file
    at = np.array([0.1, 0.2, -0.1, 0.0])
    code, text, _ = run("linearize", path, "--at", ",".join(map(str, at)), "--inputs", "0.5,-0.5", "--json")
    assert code == 0
    found = json.loads(text)
    want = rt.linearize(model, at, inputs=[0.5, -0.5])
    assert np.allclose([complex(*x) for x in found["eigenvalues"]], want.eigenvalues, atol=1e-12)
    assert found["controllability_rank"] == 4
    code, text, _ = run("linearize", path)
    assert code == 0
    assert "time constant" in text


def test_linearize_says_what_grows_in_words(run, tmp_path):
    path = rt.save(rt.LinearSystem([[1.5, 0.0], [0.0, 0.5]], [0.0, 0.0], np.zeros((2, 0))), tmp_path / "linear.npz")
    code, text, _ = run("linearize", path)
    assert code == 0
    assert f"grows e-fold in {1 / np.log(1.5):.3g} of model time" in text
    assert f"decays e-fold in {1 / np.log(2):.3g} of model time" in text


def test_linearize_refuses_a_state_of_another_size(run, rate_file):
    code, _, err = run("linearize", rate_file[0], "--at", "1,2")
    assert code == 2
    assert "--at has 2 numbers; the model has 4 states." in err


def test_convert_of_a_smooth_map_says_that_it_is_not_exact(run):
    code, text, _ = run("convert", "zoo:henon", "--steps", 100)
    assert code == 0
    words = " ".join(text.split())
    assert "an embedding, not exact" in words
    assert "Euler's method with dt = 1 gives the map back" in words


def test_convert_of_a_far_map_by_the_formal_logarithm_fails_its_certificate(run):
    code, text, _ = run("convert", "zoo:henon", "--steps", 100, "--method", "formal-log:4", "--json")
    assert code == 1
    found = json.loads(text)["certificate"]["conditions"]
    assert not next(c for c in found if c["name"] == "the series settles")["holds"]


def test_convert_of_a_linear_system_is_exact(run, tmp_path):
    system = rt.LinearSystem([[-0.5]], [1.0], [[1.0]], time=rt.Discrete(0.1))
    path = rt.save(system, tmp_path / "linear.npz")
    code, text, _ = run("convert", path, "--steps", 10)
    assert code == 0
    assert "Kind of claim: exact at the sample times" in text


def test_compare_of_a_smooth_map_says_what_to_do_instead(run):
    code, _, err = run("compare", "zoo:henon")
    assert code == 2
    assert "`retime convert` measures the error of an embedding" in err


def test_a_multistep_map_is_started_from_the_state_of_its_network(run, rate_file, tmp_path):
    out = tmp_path / "ab3.npz"
    code, _, _ = run("discretize", rate_file[0], "--step", 0.05, "--method", "ab3", "-o", out)
    assert code == 0
    code, text, _ = run("simulate", out, "--z0", "0.5,0.5,0,0", "--steps", 10, "--json")
    assert code == 0
    assert json.loads(text)["status"] == "completed"
    code, _, err = run("simulate", out, "--z0", "0.5", "--steps", 10)
    assert code == 2
    assert "--z0 has 1 numbers; the model has 12 states." in err


def test_wrong_names_of_methods_name_their_option(run):
    code, _, err = run("convert", "zoo:henon", "--method", "formal-log")
    assert code == 2
    assert "--method is 'formal-log'" in err


@pytest.mark.slow
def test_convert_fits_an_autonomous_network_and_says_that_it_is_not_exact(run, tmp_path):
    """A map that turns by 0.3 a step between walls; its file comes back as a continuous network."""
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    walls = np.vstack([np.eye(2), -np.eye(2)])
    model = rt.ShallowPLRNN(1.05 * turn, -0.3 * turn @ walls.T, walls, np.zeros(2), -np.ones(4), time=rt.Discrete(0.2))
    file, out = rt.save(model, tmp_path / "map.npz"), tmp_path / "field.npz"
    given = ("convert", file, "--autonomous", "--z0", "0.5,0", "--steps", 300, "--num-relu", 16, "--tolerance", 0.1)
    code, text, _ = run(*given, "-o", out)
    assert code == 0
    assert "autonomous, not exact" in text
    field = rt.load(out)
    assert isinstance(field.time, rt.Continuous)
    z = np.array([0.9, 0.3])
    assert np.abs(rt.simulate(field, z, times=[0.0, 0.2]).states[-1] - model.apply(z)).max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--tolerance", 0.1), "is for --autonomous"), (("--autonomous", "--method", "matrix-log"), "two ways to an ODE")],
)
def test_convert_refuses_options_that_do_not_belong_together(run, options, message):
    code, _, error = run("convert", "zoo:vanderpol", *options)
    assert code == 2
    assert message in error
