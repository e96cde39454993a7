"""Weights in parts are put together as PyTorch does it: from a state dict, a live module and a whole pickled one."""

import numpy as np
import pytest

import retime as rt

torch = pytest.importorskip("torch")
from torch.nn.utils import parametrizations, prune  # noqa: E402

LIMIT = 1e-12  # of float64 matrices of 6 rows; measured 2e-15


def module(kind=torch.nn.RNN, inputs=2, units=6, **options):
    torch.manual_seed(3)
    return kind(inputs, units, **options).double()


def orthogonal(name, kind=torch.nn.RNN, **options):
    net = module(kind, **options)
    with torch.random.fork_rng():
        parametrizations.orthogonal(net, "weight_hh_l0", orthogonal_map=name)
        with torch.no_grad():  # as after training
            net.parametrizations.weight_hh_l0.original.add_(0.5 * torch.randn(6, 6).double().tril(-1))
    return net


def expected(net, name="weight_hh_l0"):
    return getattr(net.eval(), name).detach().numpy()


@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_matrices_of_a_module_are_those_of_pytorch(name):
    net = orthogonal(name)
    W = rt.load(net).W_rec
    np.testing.assert_allclose(W, expected(net), rtol=0, atol=LIMIT)
    np.testing.assert_allclose(W @ W.T, np.eye(6), rtol=0, atol=LIMIT)


@pytest.mark.parametrize("name", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("has_base", [True, False])
@pytest.mark.parametrize("inputs", [3, 9])
def test_tall_and_wide_orthogonal_matrices_are_those_of_pytorch(name, has_base, inputs):
    net = module(inputs=inputs)
    parametrizations.orthogonal(
        net, "weight_ih_l0", orthogonal_map=name, use_trivialization=has_base and name != "householder"
    )
    with torch.no_grad():
        net.parametrizations.weight_ih_l0.original.add_(0.3 * torch.randn(6, inputs).double())
    np.testing.assert_allclose(rt.load(net).W_in, expected(net, "weight_ih_l0"), rtol=0, atol=LIMIT)


@pytest.mark.parametrize(("name", "default"), [("weight_hh_l0", "matrix_exp"), ("weight_ih_l0", "householder")])
def test_a_state_dict_is_read_with_the_default_map_and_the_message_says_so(name, default, tmp_path, caplog):
    net = module()
    parametrizations.orthogonal(net, name)
    with torch.no_grad():
        original = net.parametrizations[name].original
        original.add_(0.3 * torch.randn(*original.shape).double().tril(-1))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = rt.load(tmp_path / "net.pt")
    found = {"weight_hh_l0": loaded.W_rec, "weight_ih_l0": loaded.W_in}[name]
    np.testing.assert_allclose(found, expected(net, name), rtol=0, atol=LIMIT)
    assert f"PyTorch's default, {default}; for another give `load` the module itself" in caplog.text


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize(
    ("name", "dim"),
    [("weight_hh_l0", 0), ("weight_ih_l0", 0), ("weight_ih_l0", 1), ("weight_hh_l0", None), ("bias_hh_l0", 0)],
)
@pytest.mark.parametrize("is_old", [True, False])
def test_weight_normalization_is_that_of_pytorch(name, dim, is_old, inputs):
    net = module(torch.nn.GRU, inputs)
    normalize = torch.nn.utils.weight_norm if is_old else parametrizations.weight_norm
    with pytest.warns(FutureWarning) if is_old else torch.no_grad():
        normalize(net, name, dim)
    with torch.no_grad():  # a length of its own
        (net.get_parameter(f"{name}_g") if is_old else net.parametrizations[name].original0).mul_(1.7)
    if is_old:
        net(torch.zeros(1, inputs).double())  # the weight is computed before each call
    want = expected(net, name)
    for loaded in (rt.load(net), rt.load(net.state_dict())):
        found = {"weight_hh_l0": loaded.W_rec, "weight_ih_l0": loaded.W_in, "bias_hh_l0": loaded.b_rec}[name]
        np.testing.assert_allclose(found, want, rtol=0, atol=LIMIT)


@pytest.mark.parametrize("is_old", [True, False])
@pytest.mark.parametrize(("name", "dim"), [("weight_hh_l0", 0), ("weight_ih_l0", 0), ("weight_ih_l0", 1)])
def test_spectral_normalization_is_that_of_pytorch_in_evaluation(name, dim, is_old, tmp_path):
    net = module(torch.nn.LSTM)
    normalize = torch.nn.utils.spectral_norm if is_old else parametrizations.spectral_norm
    normalize(net, name, dim=dim)
    net.eval()
    net(torch.zeros(1, 2).double())
    torch.save(net.state_dict(), tmp_path / "net.pt")
    for source in (net, tmp_path / "net.pt"):
        loaded = rt.load(source)
        found = loaded.W_rec if name == "weight_hh_l0" else loaded.W_in
        np.testing.assert_allclose(found, expected(net, name), rtol=0, atol=LIMIT)


def test_a_normalization_along_the_columns_of_a_square_matrix_is_read_from_the_module():
    net = module()
    parametrizations.spectral_norm(net, "weight_hh_l0", dim=1)
    np.testing.assert_allclose(rt.load(net).W_rec, expected(net), rtol=0, atol=LIMIT)


def test_a_module_is_not_changed_by_loading_it():
    net = module()
    parametrizations.spectral_norm(
        net, "weight_hh_l0"
    )  # in training, each use of the weight takes a step of the power method
    before = {name: x.clone() for name, x in net.state_dict().items()}
    rt.load(net)
    assert net.training
    assert all(torch.equal(before[name], x) for name, x in net.state_dict().items())


def test_a_pruning_mask_is_applied():
    net = module()
    prune.random_unstructured(net, "weight_hh_l0", 0.5)
    W = rt.load(net).W_rec
    np.testing.assert_array_equal(W, net.weight_hh_l0.detach().numpy())
    assert np.sum(W == 0) == 18


def test_a_parametrization_of_ones_own_is_refused_by_name():
    class Symmetric(torch.nn.Module):
        def forward(self, X):
            return X.triu() + X.triu(1).transpose(-1, -2)

    net = module()
    torch.nn.utils.parametrize.register_parametrization(net, "weight_hh_l0", Symmetric())
    with pytest.raises(
        rt.ModelFileError, match=r"`weight_hh_l0` is parametrized .* by a formula that the file does not"
    ):
        rt.load(net)
