"""Cells from differential equations are trained by their own equations; constraints hold at the end."""

import numpy as np
import pytest

import retime as rt
from retime.learn.cell_families import CELLS
from retime.learn.networks import network

TASK = rt.learn.AddingProblem(steps=6)
QUICK = {"updates": 2, "batch_size": 4, "held_out": 4, "num_states": 8, "dtype": "float64"}


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=pytest.mark.slow) if f in ("unitary_rnn", "qunn") else f for f in CELLS]
)
def test_the_loss_of_training_is_that_of_the_model(family):
    """The network that comes back, stepped by its own `step` from where trials begin, has the loss that was measured."""
    fit = rt.train(TASK, family=family, **QUICK)
    s, x, mask = (np.asarray(a) for a in TASK.batch(4, [0, 2, 2**31]))
    z = np.tile(fit.model.initial_state() if family == "qunn" else np.zeros(fit.model.num_states), (4, 1))
    total = 0.0
    for k in range(s.shape[1]):
        z = fit.model.step(z, s[:, k])
        total += (mask[:, k].reshape(4, -1) * (fit.model.outputs(z) - x[:, k]) ** 2).sum()
    assert fit.metrics["loss"] == pytest.approx(total / mask.sum(), rel=1e-9)


def test_training_of_a_cell_goes_on_from_its_weights():
    field = rt.LayeredField((0.1 * np.eye(3), np.eye(3)), (np.zeros(3), np.zeros(3)), np.ones((3, 2)))
    cell = rt.ODERNN(field, "heun", dt=0.2, order=2)
    fit = rt.train(TASK, family=cell, **{k: v for k, v in QUICK.items() if k != "num_states"})
    assert (fit.model.n, fit.model.t) == (2, 2)
    assert fit.model.field != field
    assert fit.model.dt != cell.dt
    assert fit.initial.field == field


@pytest.mark.parametrize("family", ["min_gru", "diagonal_linear"])
def test_parallel_orbits_are_the_steps_one_after_the_other(family, rng):
    import jax.numpy as jnp

    from retime.core.equation import double_precision

    net = network(family, 6, 2, 1, {})
    p = net.initial(rng, rt.learn.Start())
    s, z = rng.normal(size=(9, 3, 2)), rng.normal(size=(3, net.num_states))
    with double_precision():
        found = np.asarray(net.orbit({k: jnp.asarray(v) for k, v in p.items()}, jnp.asarray(z), jnp.asarray(s)))
    model = net.model(p, rt.Discrete(1.0))
    for k in range(9):
        z = model.step(z, s[k])
        np.testing.assert_allclose(found[k], z, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("constraint", "kept"),
    [
        (rt.learn.SpectralNorm(0.7), lambda W: np.linalg.norm(W, 2) <= 0.7 * (1 + 1e-12)),
        (rt.learn.Antisymmetric(0.2), lambda W: np.abs(W + W.T + 0.4 * np.eye(8)).max() < 1e-14),
        (rt.learn.LogNorm(0.3), lambda W: np.linalg.eigvalsh((W + W.T) / 2).max() <= 0.3 + 1e-12),
    ],
    ids=["spectral norm", "antisymmetric", "log norm"],
)
def test_a_constraint_holds_at_the_end_and_its_certificate_says_so(constraint, kept):
    fit = rt.train(TASK, family="tanh_rnn", constraint=constraint, gain=3.0, **QUICK)
    assert kept(fit.model.W_rec)
    assert fit.certificate.holds
    free = rt.TanhRNN(3.0 * np.eye(8) + np.eye(8, k=1), np.zeros((8, 2)), np.zeros(8))
    assert not constraint.certificate(free).holds


def test_a_trained_contraction_is_one():
    fit = rt.train(TASK, family="tanh_rnn", constraint=rt.learn.SpectralNorm(0.95), gain=3.0, **QUICK)
    found = rt.cell_stability(fit.model, states=np.zeros((3, 8)))
    assert found.is_global
    assert found.bound <= 1.0 or found.norm != "2"
    free = rt.train(TASK, family="tanh_rnn", gain=3.0, **QUICK)
    assert rt.cell_stability(free.model, states=np.zeros((3, 8))).bound > 1.0


def test_a_learned_step_is_cut_back_to_a_stable_one():
    field = rt.RateRNN(-2.0 * np.eye(3), np.ones((3, 2)), np.zeros(3), tau=1.0, form="rate")
    fit = rt.train(
        TASK,
        family=rt.ODERNN(field, "euler", dt=5.0),
        constraint=rt.learn.StableStep(0.9),
        updates=1,
        batch_size=2,
        held_out=2,
    )
    limit = rt.max_stable_dt(fit.model.field, "euler", at=np.zeros(3))
    assert fit.model.dt == pytest.approx(0.9 * limit)
    assert fit.certificate.holds


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"family": "gru", "constraint": rt.learn.SpectralNorm()}, "recurrent matrix"),
        ({"family": "tanh_rnn", "constraint": rt.learn.StableStep()}, "odernn"),
        ({"family": "tanh_rnn", "constraint": rt.learn.SpectralNorm(), "signs": np.ones(8)}, "both"),
        ({"family": "odernn", "stages": 5}, "`stages`"),
        ({"family": "odernn", "order": 20}, "`order`"),
    ],
)
def test_what_cannot_be_constrained_or_built_is_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        rt.train(TASK, **(QUICK | arguments))
