"""Live PyTorch networks of one's own, against what PyTorch gives for them."""

import numpy as np
import pytest

import retime as rt
from retime.io import load_recognized

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def inputs():
    return torch.randn(3, 8, 2, dtype=torch.float64)


class ContinuousTime(nn.Module):
    """recurrence() of the tutorials, with the leak as a number of the module."""

    def __init__(self, **rates):
        super().__init__()
        self.input2h, self.h2h = nn.Linear(2, 5), nn.Linear(5, 5)
        self.f = nn.ReLU()
        for name, rate in rates.items():
            setattr(self, name, rate)

    def forward(self, inputs):
        h, found = torch.zeros(len(inputs), 5, dtype=torch.float64), []
        for s in inputs.swapaxes(0, 1):
            h = (1 - self.alpha) * h + self.alpha * self.f(self.input2h(s) + self.h2h(h))
            found.append(h)
        return torch.stack(found, 1)


@pytest.mark.parametrize("options", [{}, {"family": "leaky_rnn"}])
def test_the_leak_of_the_module_is_used(options, inputs, tmp_path):
    net = ContinuousTime(tau=100, alpha=0.2).double()
    model, recognition = load_recognized(net, check=(inputs, net(inputs)), **options)
    assert (model.family, model.alpha, recognition.doubt) == ("leaky_rnn", 0.2, "")
    torch.save(net, tmp_path / "net.pt")
    assert rt.load(tmp_path / "net.pt", **options) == model


def test_the_leak_of_the_module_and_the_users():
    model, recognition = load_recognized(ContinuousTime(alpha=0.2), alpha=0.3)
    assert model.alpha == 0.3
    notes = " ".join(recognition.notes)
    assert "`alpha` is 0.3 as given; the file has 0.2." in notes
    assert "Not read: ReLU `f`" in notes


@pytest.mark.parametrize("options", [{}, {"family": "leaky_rnn"}])
def test_a_time_constant_alone_does_not_say_the_step_of_a_map(options):
    net = ContinuousTime(tau=100)
    with pytest.raises(rt.ModelFileError, match=r"does not hold .*it holds tau = 100;.*Pass it"):
        rt.load(net, **options)
    assert rt.load(net, family="rate_rnn").tau == 100


class FullRank(nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = 0.3
        self.wi, self.wrec, self.wo = (nn.Parameter(torch.randn(*size)) for size in ((2, 4), (4, 4), (4, 1)))


def test_the_leak_of_a_network_of_full_rank():
    assert rt.load(FullRank()).alpha == pytest.approx(0.3, abs=0)


def test_the_rate_of_a_family_that_is_named():
    weights = {"W_rec": np.eye(3), "W_in": np.ones((3, 1)), "tau": [0.1]}
    model, recognition = load_recognized(weights, family="rate_rnn")
    assert (model.tau, recognition.doubt, recognition.unread) == (0.1, "", "")
    with pytest.raises(
        TypeError, match=r"family 'leaky_rnn' with options {}: it needs alpha=\.\.\., which the file does not hold"
    ):
        rt.load(weights, family="leaky_rnn")


@pytest.mark.parametrize("place", [0, 1])
def test_a_check_of_numbers_that_are_not_finite_is_refused(place, inputs):
    check = [inputs, inputs.repeat(1, 1, 2)]
    check[place][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=rf"`check\[{place}\]` has entries that are nan or infinite"):
        rt.load(nn.GRU(2, 4, batch_first=True), check=check)


class Around(nn.Module):
    """Layers around a recurrent one."""

    def __init__(self, below, above, width=2):
        super().__init__()
        self.below = below
        self.rnn = nn.GRU(width, 5, batch_first=True)
        self.above = above

    def forward(self, inputs):
        return self.above(self.rnn(self.below(inputs))[0])


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (nn.Sigmoid(), "logistic"),
        (nn.Tanh(), "tanh"),
        (nn.ReLU(), "relu"),
        (nn.Softplus(), "softplus"),
        (nn.Softmax(-1), "softmax"),
        (nn.Identity(), "linear"),
    ],
)
def test_the_function_of_a_sequential_is_the_readouts(function, name, inputs):
    net = Around(nn.Identity(), nn.Sequential(nn.Linear(5, 3), function, nn.Dropout())).double().eval()
    model = rt.load(net, check=(inputs, net(inputs)))
    assert model.readout.activation == name


@pytest.mark.parametrize(
    "above",
    [
        lambda: nn.Sequential(nn.Linear(5, 3), nn.GELU()),
        lambda: nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3, elementwise_affine=False)),
        lambda: nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)),  # over the steps
        lambda: nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Sigmoid()),
    ],
)
def test_other_functions_are_named_and_stay_out(above):
    model, recognition = load_recognized(Around(nn.Identity(), above()))
    assert model.readout.is_linear
    assert "Not read: " in " ".join(recognition.notes)


def test_a_layer_below_is_multiplied_in_by_names(inputs):
    net = Around(nn.Linear(2, 4), nn.Linear(5, 1), 4).double()
    outputs = net(inputs)
    with pytest.raises(
        ValueError, match=r'they must be \(steps, 4\).*names={"W_in": "rnn.weight_ih_l0 @ below.weight"'
    ):
        rt.load(net, check=(inputs, outputs))
    names = {
        "W_rec": "rnn.weight_hh_l0",
        "W_in": "rnn.weight_ih_l0 @ below.weight",
        "b_rec": "rnn.bias_hh_l0",
        "b_in": "rnn.bias_ih_l0 + rnn.weight_ih_l0 @ below.bias",
        "B": "above.weight",
        "readout_b": "above.bias",
    }
    assert rt.load(net, family="gru", names=names, check=(inputs, outputs)).num_inputs == 2
    with pytest.raises(rt.ModelFileError, match="multiplies 4x2 by 15x4 for `W_in`, which do not go together"):
        rt.load(net, family="gru", names=names | {"W_in": "below.weight @ rnn.weight_ih_l0"})


def test_an_embedding_does_not_hide_the_readout():
    net = Around(nn.Embedding(7, 4), nn.Linear(5, 7), 4)
    model, recognition = load_recognized(net)
    np.testing.assert_array_equal(model.readout.B, net.above.weight.detach().numpy())
    assert "`below.weight` feeds the recurrent layer" in " ".join(recognition.notes)


def test_a_failed_check_says_what_was_not_read(inputs):
    net = Around(nn.Identity(), nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))).double()
    with pytest.raises(rt.ModelFileError, match=r"which is not the network of `check`.*No readout in `above.0.weight`"):
        rt.load(net, check=(inputs, net(inputs)))


def test_a_learned_initial_state_is_where_a_check_may_begin(inputs):
    net = Around(nn.Identity(), nn.Linear(5, 1)).double()
    net.h0 = nn.Parameter(torch.randn(1, 1, 5, dtype=torch.float64))
    outputs = net.above(net.rnn(inputs, net.h0.expand(1, 3, 5).contiguous())[0])
    _, recognition = load_recognized(net, check=(inputs, outputs))
    assert (recognition.unread, recognition.doubt) == ("", "")
    np.testing.assert_array_equal(rt.io.initial_states(net), net.h0.detach().numpy()[0])


def test_layers_that_no_family_has_point_to_names():
    net = nn.ModuleDict({"i2h": nn.Linear(2, 5), "h2h": nn.Linear(5, 5), "out": nn.Linear(5, 1)})
    with pytest.raises(rt.ModelFileError, match=r"holds `i2h.weight` 5x2, `i2h.bias` 5, `h2h.weight` 5x5.*names={"):
        rt.load(net)
    names = {"W_rec": "h2h.weight", "W_in": "i2h.weight", "b": "i2h.bias + h2h.bias", "B": "out.weight"}
    assert rt.load(net, family="tanh_rnn", names=names).num_outputs == 1


@pytest.mark.parametrize(
    ("names", "prefix"), [(("model", "ema"), "ema"), (("net.encoder", "net.decoder"), "net.decoder"), (("", "b"), "")]
)
def test_the_prefix_of_the_message_takes_the_readout_along(names, prefix):
    state = Around(nn.Identity(), nn.Linear(5, 1)).state_dict()
    both = {f"{name}.{key}".strip("."): x for name in names for key, x in state.items()}
    with pytest.raises(rt.ModelFileError, match=rf"Choose one of them, prefix='{prefix or 'b'}'"):
        rt.load(both)
    assert rt.load(both, prefix=prefix or "b").readout is not None
