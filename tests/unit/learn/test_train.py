"""Training on tasks: steps equal the model's, runs resume bit for bit, penalties and signs act, bad arguments are refused."""

import numpy as np
import pytest

import retime as rt
from retime.core.errors import RetimeError
from retime.core.status import TrainingStatus
from retime.learn import FlipFlop, train
from retime.learn.families import Start
from retime.learn.networks import network

SMALL = FlipFlop(num_bits=1, steps=60)
QUICK = {"num_states": 8, "updates": 6, "batch_size": 4, "every": 3, "held_out": 8}
OPTIONS = {
    "alrnn": {"num_relu": 3},
    "dendritic_plrnn": {"num_bases": 2},
    "shallow_plrnn": {"num_hidden": 7, "clipped": True},
}
STEPPED = ["tanh_rnn", "relu_rnn", "leaky_rnn", "gru", "lstm", "plrnn", "alrnn", "dendritic_plrnn", "shallow_plrnn"]


@pytest.mark.parametrize("family", STEPPED)
def test_the_step_that_is_trained_is_the_step_of_the_model(rng, family):
    import jax.numpy as jnp

    from retime.core.equation import double_precision

    net = network(family, 6, 2, 3, OPTIONS.get(family, {}))
    with double_precision():
        p = {k: jnp.asarray(v) for k, v in net.initial(rng, Start("normal")).items()}
        z, s = rng.normal(size=(5, net.num_states)), rng.normal(size=(5, 2))
        after = np.asarray(net.step(p, jnp.asarray(z), jnp.asarray(s)))
        seen = np.asarray(net.outputs(p, jnp.asarray(z)))
    model = net.model(p, rt.Discrete(1.0))
    np.testing.assert_allclose(after, model.step(z, s), rtol=0, atol=1e-13)
    np.testing.assert_allclose(seen, model.outputs(z), rtol=0, atol=1e-13)


def test_a_rate_network_is_trained_as_its_euler_step(rng):
    import jax.numpy as jnp

    net = network("rate_rnn", 5, 1, 1, {"tau": 4.0})
    p = net.initial(rng, Start("normal"))
    z, s = rng.normal(size=(3, 5)), rng.normal(size=(3, 1))
    euler = rt.to_discrete(net.model(p, rt.Discrete(1.0)), 1.0, method=rt.Euler()).model
    after = np.asarray(net.step(p, jnp.asarray(z), jnp.asarray(s)))
    np.testing.assert_allclose(after, euler.step(z, s), rtol=0, atol=1e-5)  # single precision


def test_one_bit_is_learned_and_is_two_stable_points():
    fit = train(SMALL, num_states=16, updates=250, batch_size=16, seed=1, held_out=64)
    assert fit.status == "completed"
    assert fit.metrics["sign_accuracy"] >= 0.99
    assert fit.history[-1]["loss"] < 0.5 * fit.history[0]["loss"]
    points = rt.find_fixed_points(fit.model)
    outputs = np.sort(fit.model.outputs(points.points[points.stable])[:, 0])
    np.testing.assert_allclose(outputs, [-1.0, 1.0], rtol=0, atol=0.1)
    assert "TanhRNN(16 states" in repr(fit)
    assert len(fit.to_dict()["history"]) == len(fit.history) == len(fit.records())
    assert fit.plot().get_xlabel() == "updates"


def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(tmp_path, monkeypatch):
    whole = train(SMALL, **QUICK, state_noise=0.1, checkpoint=tmp_path / "whole")
    from retime.learn.loop import Loop

    update, calls = Loop._check, []

    def interrupted(self, p):
        calls.append(p.step)
        if p.step == 6:
            raise KeyboardInterrupt
        return update(self, p)

    monkeypatch.setattr(Loop, "_check", interrupted)
    cut = train(SMALL, **(QUICK | {"every": 2}), state_noise=0.1, checkpoint=tmp_path / "cut")
    assert (cut.status, calls) == (TrainingStatus.INTERRUPTED, [0, 2, 4, 6])
    assert "Ctrl-C, after 6 of 6 updates" in cut.message
    monkeypatch.undo()
    again = train(SMALL, **QUICK, state_noise=0.1, checkpoint=tmp_path / "half", time_limit=1e-9)
    assert (again.status, again.history[-1]["step"]) == ("time_limit", 0)
    resumed = train(SMALL, **QUICK, state_noise=0.1, checkpoint=tmp_path / "half", resume=True)
    assert resumed.model == whole.model
    assert resumed.history == whole.history


def test_a_checkpoint_of_another_run_is_refused_and_says_what_differs(tmp_path):
    train(SMALL, **(QUICK | {"updates": 1}), checkpoint=tmp_path / "run")
    with pytest.raises(RetimeError, match="another run: seed is 1, there 0"):
        train(SMALL, **QUICK, seed=1, checkpoint=tmp_path / "run", resume=True)
    (tmp_path / "run").write_bytes(b"nothing of the kind")
    with pytest.raises(RetimeError, match="is no checkpoint of retime"):
        train(SMALL, **QUICK, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        train(SMALL, **QUICK, checkpoint=tmp_path / "no" / "run")


def test_weights_of_a_unit_keep_their_sign():
    signs = np.where(np.arange(8) < 6, 1.0, -1.0)
    fit = train(SMALL, **QUICK, family="relu_rnn", initial="normal", signs=signs)
    assert (fit.model.W_rec * signs >= 0).all()
    assert np.any(fit.model.W_rec != 0)


def test_divergence_is_a_status_with_the_last_good_network():
    fit = train(SMALL, **(QUICK | {"updates": 60}), family="relu_rnn", initial="normal", gain=40.0, dtype="float32")
    assert fit.status == "diverged"
    assert "smaller `learning_rate`" in fit.message
    assert np.isfinite(fit.model.W_rec).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "transformer"}, "`family` is 'transformer'; it must be one of"),
        ({"family": "alrnn"}, "alrnn needs `num_relu`, a whole number from 0 to 100"),
        ({"family": "alrnn", "num_states": 3, "num_relu": 4}, "`num_relu` is 4; it must be a whole number from 0 to 3"),
        ({"num_relu": 2}, "`num_relu` is not an option of tanh_rnn; it takes none"),
        ({"updates": 0}, "`updates` is 0; it must be a whole number >= 1"),
        ({"dtype": "float16"}, "`dtype` is 'float16'"),
        ({"initial": "zeros"}, "`initial` is 'zeros'; it must be one of memory, orthogonal"),
        ({"signs": [1, 2]}, "`signs` has shape \\(2,\\); it must be 100 numbers"),
        ({"learning_rate": -1.0}, "`learning_rate` is -1.0"),
    ],
)
def test_bad_arguments_are_refused_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        train(SMALL, **arguments)


def test_a_task_of_the_wrong_shape_is_refused():
    class Wrong:
        num_inputs, num_outputs = 1, 2

        def batch(self, num, seed):
            return SMALL.batch(num, seed)

    with pytest.raises(rt.ShapeError, match=r"a batch of `task` has inputs \(8, 60, 1\), targets \(8, 60, 1\)"):
        train(Wrong(), **QUICK)


def test_a_disk_that_is_full_keeps_the_last_checkpoint_and_says_so(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    file = tmp_path / "run"
    train(SMALL, **(QUICK | {"updates": 3}), checkpoint=file)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written \(File too large\); the last one is as it was"):
            train(SMALL, **QUICK, checkpoint=file, resume=True)
        with pytest.raises(OSError, match=r"cannot be written \(File too large\); training did not start"):
            train(SMALL, **QUICK, checkpoint=tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_to_go_on_needs_a_checkpoint():
    with pytest.raises(ValueError, match="`resume` is True, but there is no `checkpoint`"):
        train(SMALL, **QUICK, resume=True)


@pytest.mark.parametrize("family", ["rate_rnn", "lstm", "alrnn"])
def test_training_goes_on_from_a_model(family):
    settings = QUICK | {"updates": 1, "every": 1}
    first = train(SMALL, family=family, **settings, dtype="float64", **OPTIONS.get(family, {}))
    settings.pop("num_states")
    second = train(SMALL, family=first.model, **settings, dtype="float64")
    assert type(second.model) is type(first.model)
    assert second.history[0]["loss"] == pytest.approx(first.metrics["loss"], rel=1e-12)
    assert second.history[1]["loss"] != second.history[0]["loss"]


def test_any_model_whose_equation_computes_from_its_fields_can_be_trained(rng):
    before = rt.GRU(
        rng.normal(size=(12, 4)) / 2, rng.normal(size=(12, 1)), np.zeros(12), np.zeros(12), reset_after=False
    )
    fit = train(SMALL, family=before, updates=2, batch_size=4, held_out=8)
    assert not fit.model.reset_after
    assert np.any(fit.model.W_rec != before.W_rec)
    other = rt.HopfieldNetwork(np.eye(3), np.zeros(3), rng.normal(size=(3, 1)))
    with pytest.raises(TypeError, match="in continuous time; train takes maps"):
        train(SMALL, family=other)
    with pytest.raises(TypeError, match="has no weights to train"):
        train(SMALL, family=rt.Map(lambda z, s: 0.5 * z + s, 1, 1))
    with pytest.raises(rt.ShapeError, match="GRU of 1 inputs; the task has 2"):
        train(rt.learn.AddingProblem(), family=before)
    with pytest.raises(ValueError, match="`num_states` is 5; `family` is a GRU of 4 states"):
        train(SMALL, family=before, num_states=5)


def test_rates_may_follow_a_schedule():
    import optax

    more = QUICK | {"batch_size": 16}
    fit = train(SMALL, **more, learning_rate=optax.cosine_decay_schedule(1e-3, 6))
    assert fit.status == "completed"
    assert fit.history[-1]["loss"] != train(SMALL, **more, learning_rate=1e-3).history[-1]["loss"]


def test_rivals_hold_one_bit_of_relu_units_from_the_start(rng):
    net = network("relu_rnn", 8, 1, 1, {})
    p = net.initial(rng, Start("memory"))
    stable = rt.find_fixed_points(net.model(p, rt.Discrete(1.0)))
    outputs = net.model(p, rt.Discrete(1.0)).outputs(stable.points[stable.stable])[:, 0]
    assert (outputs.min() < -0.3, outputs.max() > 0.3) == (True, True)
