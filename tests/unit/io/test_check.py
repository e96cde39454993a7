"""`load(..., check=(inputs, outputs))` against the outputs of PyTorch itself."""

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self, kind=torch.nn.RNN, **options):
        super().__init__()
        self.rnn = kind(2, 4, **options)
        self.fc = torch.nn.Linear(4, 1)

    def forward(self, x):
        return self.fc(self.rnn(x)[0])


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Net(nonlinearity="relu", batch_first=True)


@pytest.fixture
def x(net):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 2))).float()


def test_a_state_dict_with_the_wrong_nonlinearity_is_refused_with_the_right_one(net, x):
    with pytest.raises(
        rt.ModelFileError, match=r'largest difference is 0\.\d+, .* agrees: family="relu_rnn" \(to \d\.\de-0[78]\)'
    ):
        rt.load(net.state_dict(), check=(x, net(x)))
    model, recognition = load_recognized(net.state_dict(), family="relu_rnn", check=(x, net(x)))
    assert model.family == "relu_rnn"
    assert recognition.notes[-1].startswith("It gives the outputs of `check` to")


def outputs_of(net, x, which):
    states = net.rnn(x)[0]
    return {"readout": net(x), "states": states, "last": net(x)[:, -1], "last state": states[:, -1]}[which]


@pytest.mark.parametrize("which", ["readout", "states", "last", "last state"])
@pytest.mark.parametrize("batch", ["first", "second", "none", "one"])
def test_batches_sequences_and_last_steps_are_understood(net, x, which, batch):
    given, wanted = x, outputs_of(net, x, which)
    if batch == "second" and not which.startswith("last"):
        given, wanted = given.transpose(0, 1), wanted.transpose(0, 1)
    elif batch == "second":
        given = given.transpose(0, 1)
    elif batch == "none":
        given, wanted = given[0], wanted[0]
    elif batch == "one":
        given, wanted = given[:1], wanted[:1]
    rt.load(net, check=(given, wanted))
    with pytest.raises(rt.ModelFileError, match="None of"):
        rt.load(net, check=(given, wanted + 0.5))


@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM])
def test_gated_cells_are_compared_by_their_outputs(kind, x):
    rnn = kind(2, 4, batch_first=True)
    rt.load(rnn, check=(x, rnn(x)[0]))


def test_an_initial_state_in_the_file_is_the_start(net, x):
    z0 = torch.full((4,), 0.7)
    wanted = net.rnn(x[0], z0[None])[0]
    weights = dict(net.rnn.state_dict())
    assert rt.load(weights | {"z0": z0}, family="relu_rnn", check=(x[0], wanted)).num_states == 4
    with pytest.raises(rt.ModelFileError, match="begin at the zero state"):
        rt.load(weights, family="relu_rnn", check=(x[0], wanted))


def test_a_check_that_does_not_tell_two_readings_apart_says_so(net):
    state = net.state_dict() | {"rnn.bias_ih_l0": torch.zeros(4), "rnn.bias_hh_l0": torch.zeros(4)}
    x = np.zeros((5, 2))
    note = load_recognized(state, check=(x, np.tile(net.fc.bias.detach().numpy(), (5, 1))))[1].notes[-1]
    assert 'So does family="relu_rnn"' in note
    assert "take larger inputs" in note


def test_a_transposed_matrix_is_found():
    rng = np.random.default_rng(0)
    W, C, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=3)
    s, z, states = rng.normal(size=(6, 2)), np.zeros(3), []
    for row in s:
        z = np.tanh(W.T @ z + C @ row + b)
        states.append(z)
    with pytest.raises(rt.ModelFileError, match=r'agrees: family="tanh_rnn" with `W_rec` transposed'):
        rt.load({"W_rec": W, "W_in": C, "b": b}, check=(s, states))


def test_the_linear_units_of_an_almost_linear_network_are_found():
    rng = np.random.default_rng(0)
    A, W, h = rng.uniform(0.3, 0.9, 4), rng.normal(size=(4, 4)) / 3, rng.normal(size=4)
    np.fill_diagonal(W, 0)
    h[3] = -1.0  # its last unit goes below 0 and the others too
    z, states = np.zeros(4), []
    for _ in range(8):
        z = A * z + W @ np.r_[z[:3], max(z[3], 0)] + h
        states.append(z)
    with pytest.raises(rt.ModelFileError, match=r"What agrees: num_relu=1 \(to \d\.\de[-+]\d\d\)\.$"):
        rt.load({"A": A, "W": W, "h": h}, check=(None, states))
    assert rt.load({"A": A, "W": W, "h": h}, num_relu=1, check=(None, states)).num_relu == 1


@pytest.mark.parametrize(
    ("check", "error", "match"),
    [
        (3, TypeError, r"must be a pair \(inputs, outputs\)"),
        ((np.zeros((4, 3)), np.zeros((4, 1))), ValueError, r"inputs of shape \(4, 3\); they must be \(steps, 2\)"),
        ((np.zeros((4, 2)), np.zeros((5, 1))), ValueError, r"outputs of shape \(5, 1\); outputs must be"),
        ((np.zeros((4, 2)), "x"), TypeError, r"`check\[1\]` is a str"),
        ((np.zeros((4, 2)), np.ones((4, 7))), rt.ModelFileError, "has no outputs of 7 numbers"),
    ],
)
def test_a_check_of_wrong_shapes_is_named(check, error, match, net):
    with pytest.raises(error, match=match):
        rt.load(net, check=check)


def test_a_network_in_continuous_time_is_not_checked(net):
    with pytest.raises(ValueError, match="`check` runs a map; a RateRNN is in continuous time"):
        rt.load(
            net, family="rate_rnn", tau=1.0, activation="tanh", form="rate", check=(np.zeros((4, 2)), np.zeros((4, 1)))
        )
