"""Files of programs that train rate networks, against their equations restated in NumPy."""

import numpy as np
import pytest
from scipy.io import savemat

import retime as rt

n, m, p, r, STEPS, ALPHA = 6, 2, 3, 1, 8, 0.2


@pytest.fixture
def written(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "net.npz", **arrays)
        return tmp_path / "net.npz"

    return write


def check(path, update, outputs, z, inputs, **options):
    """The loaded model's orbit from z is that of `update(z, s)`, with its outputs."""
    model = rt.load(path, **options)
    found = rt.simulate(model, z, steps=len(inputs), inputs=inputs)
    for k, s in enumerate(inputs):
        np.testing.assert_allclose(found.outputs[k], outputs(z), rtol=0, atol=1e-13)
        z = update(z, s)
        np.testing.assert_allclose(found.states[k + 1], z, rtol=0, atol=1e-13)
    return model


def ranked(rng):
    """wi, si, wo, so, b, h0 as the programs of Dubreuil et al. 2022 store them."""
    return {
        "wi": rng.normal(size=(m, n)),
        "si": rng.uniform(0.5, 2, m),
        "wo": rng.normal(size=(n, p)),
        "so": rng.uniform(0.5, 2, p),
        "b": rng.normal(size=(n, 1)),
        "h0": rng.normal(size=n),
    }


# forward() of the programs: h = h + alpha (-h + f(h + b) n m^T / N + s (wi si)), output f(h) (wo so) / N (full rank: f(h + b) wrec^T, no N).
@pytest.mark.parametrize("rank", ["low", "full"])
def test_networks_of_low_and_full_rank(rank, rng, written):
    arrays = ranked(rng) | (
        {"m": rng.normal(size=(n, r)), "n": rng.normal(size=(n, r))}
        if rank == "low"
        else {"wrec": rng.normal(size=(n, n))}
    )
    b = arrays["b"].ravel()
    W = arrays["m"] @ arrays["n"].T / n if rank == "low" else arrays["wrec"]

    def update(z, s):
        h = z - b
        return b + h + ALPHA * (-h + W @ np.tanh(h + b) + s @ (arrays["wi"] * arrays["si"][:, None]))

    def outputs(z):
        return np.tanh(z - b) @ (arrays["wo"] * arrays["so"]) / (n if rank == "low" else 1)

    path = written(arrays)
    (z,) = rt.io.initial_states(path)
    np.testing.assert_array_equal(z, arrays["h0"] + b)
    model = check(path, update, outputs, z, rng.normal(size=(STEPS, m)), alpha=ALPHA)
    assert isinstance(model.W_rec, rt.LowRank) is (rank == "low")
    flow = rt.load(path, tau=5.0)
    assert (flow.family, flow.form, flow.tau) == ("rate_rnn", "current", 5.0)


def module(rng):
    arrays = {"rnn.input2h.weight": rng.normal(size=(n, m)), "rnn.input2h.bias": rng.normal(size=n)}
    arrays |= {"rnn.h2h.weight": rng.normal(size=(n, n)) / n, "rnn.h2h.bias": rng.normal(size=n)}
    return arrays | {"fc.weight": rng.normal(size=(p, n)), "fc.bias": rng.normal(size=p)}


# recurrence() of the tutorials: h = (1 - alpha) h + alpha relu(input2h(s) + h2h(h)), out = fc(h)
def test_continuous_time_rnn_module(rng, written):
    a = module(rng)
    inner = {"rnn.fc.weight": rng.normal(size=(p, n))}

    def update(h, s):
        g = a["rnn.input2h.weight"] @ s + a["rnn.input2h.bias"] + a["rnn.h2h.weight"] @ h + a["rnn.h2h.bias"]
        return (1 - ALPHA) * h + ALPHA * np.maximum(g, 0)

    inputs = rng.normal(size=(STEPS, m))
    check(written(a | inner), update, lambda h: a["fc.weight"] @ h + a["fc.bias"], np.zeros(n), inputs, alpha=ALPHA)


def test_layers_of_excitatory_and_inhibitory_units_are_refused(rng, written):
    with pytest.raises(rt.ModelFileError, match=r"`fc.weight` 3x4 reads some of the 6 units.*effective weights"):
        rt.load(written(module(rng) | {"fc.weight": np.ones((p, 4))}), alpha=0.1)


# Basic.recurrent_timestep of PsychRNN, with Dale's law and without
@pytest.mark.parametrize("dale_ratio", [0.5, 0.0])
def test_psychrnn(dale_ratio, rng, written):
    a = {
        "W_rec": rng.normal(size=(n, n)) / n,
        "W_in": rng.normal(size=(n, m)),
        "W_out": rng.normal(size=(p, n)),
        "b_rec": rng.normal(size=n),
        "b_out": rng.normal(size=p),
        "init_state": rng.normal(size=(1, n)),
        "Dale_rec": np.diag([1.0, 1, 1, -1, -1, -1]),
        "Dale_out": np.diag([1.0, 1, 1, 0, 0, 0]),
        "rec_connectivity": (rng.uniform(size=(n, n)) > 0.3).astype(float),
        "input_connectivity": np.ones((n, m)),
        "output_connectivity": np.ones((p, n)),
        "dale_ratio": dale_ratio,
    }
    W, U, B = a["W_rec"] * a["rec_connectivity"], a["W_in"], a["W_out"]
    if dale_ratio:
        W, U, B = np.abs(W) @ a["Dale_rec"], np.abs(U), np.abs(B) @ a["Dale_out"]

    def update(z, s):
        return (1 - ALPHA) * z + ALPHA * (np.maximum(z, 0) @ W.T + s @ U.T + a["b_rec"])

    def outputs(z):
        return np.maximum(z, 0) @ B.T + a["b_out"]

    (z,) = rt.io.initial_states(written(a))
    model = check(written(a), update, outputs, z, rng.normal(size=(STEPS, m)), alpha=ALPHA)
    effective = a | {"W_rec": W, "W_in": U, "W_out": B}  # what current versions save
    assert rt.load(written(effective), alpha=ALPHA) == model


# tau dx/dt = -x + J tanh(x) + w_in s, z = w_out tanh(x) (Sompolinsky, Crisanti and Sommers 1988, with inputs and outputs)
@pytest.mark.parametrize("names", [("w_in", "wo"), ("Win", "w_out")])
def test_rate_network_of_matlab(names, rng, tmp_path):
    J, u, w = 1.5 * rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=n), rng.normal(size=n)
    savemat(tmp_path / "net.mat", {"J": J, names[0]: u, names[1]: w, "tau": 10.0, "g": 1.5})  # vectors become 1 x n
    model = rt.load(tmp_path / "net.mat")
    x, s = rng.normal(size=n), np.array([0.3])
    np.testing.assert_allclose(model.field(x, s), (-x + J @ np.tanh(x) + u * s) / 10.0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(model.outputs(x), [w @ np.tanh(x)], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"J": np.eye(n)}, "holds the recurrent weights `J` of a rate network"),
        ({"W_rec": np.eye(n), "W_in": np.ones((n, m)), "dale_ratio": 0.8}, "holds the arrays of PsychRNN"),
        (ranked(np.random.default_rng(0)) | {"wrec": np.eye(n)}, "of a network of full rank"),
        (module(np.random.default_rng(0)), "has the layers `h2h` and `input2h`"),
    ],
)
def test_the_leak_is_asked_for(arrays, said, written):
    with pytest.raises(rt.ModelFileError, match=rf'{said}.*family="leaky_rnn", alpha=.*family="rate_rnn", tau=.*activ'):
        rt.load(written(arrays))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"m": np.ones((n, 1)), "n": np.ones((n, 2))}, "`m` is 6x1 and `n` 6x2; both must be units x rank"),
        ({"wrec": np.ones((n, 2))}, "`wrec` is 6x2; it must be square"),
        ({"wrec": np.eye(n), "wi": np.ones((m, 5))}, "`wi` is 2x5 and `wo` 6x3; they must be inputs x 6"),
        ({"wrec": np.eye(n), "b": np.ones(4)}, "`b` is 4; it must hold 6 numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, match, rng, written):
    with pytest.raises(rt.ModelFileError, match=match):
        rt.load(written(ranked(rng) | change), alpha=0.1)


def test_logarithm_of_the_diagonal(rng, written):
    a = rng.uniform(0.5, 0.9, n)
    model = rt.load(written({"log_A": np.log(a)[:, None], "W": np.zeros((n, n)), "h": np.zeros(n)}))
    np.testing.assert_allclose(np.diag(model.A), a, rtol=0, atol=1e-15)
