"""Tasks: shapes, seeds, and targets recomputed from the inputs in plain loops."""

import numpy as np
import pytest

import retime as rt
from retime.learn import AddingProblem, CopyMemory, Digits, FlipFlop, PulseLogic, TimedPulse

TASKS = [FlipFlop(), PulseLogic(), TimedPulse(), AddingProblem(), CopyMemory()]


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_batches_have_the_sizes_of_the_task_and_depend_on_the_seed_alone(task):
    batch = task.batch(5, seed=3)
    b, T, m = batch.inputs.shape
    assert (b, m) == (5, task.num_inputs)
    assert batch.targets.shape == (b, T, task.num_outputs)
    assert batch.mask.shape[:2] == (b, T)
    assert all(np.array_equal(x, y) for x, y in zip(batch, task.batch(5, seed=3), strict=True))
    assert not np.array_equal(batch.inputs, task.batch(5, seed=4).inputs)


def test_flip_flops_hold_the_last_pulse():
    task = FlipFlop(num_bits=2, steps=200, pulse=10, delay=5, noise=0.0)
    inputs, targets, mask = task.batch(20, seed=0)
    for trial in range(20):
        for bit in range(2):
            held, since = 0.0, 0
            for t in range(200):
                began = inputs[trial, t, bit] != 0 and (t == 0 or inputs[trial, t - 1, bit] != inputs[trial, t, bit])
                if began:
                    held, since = inputs[trial, t, bit], t
                if mask[trial, t, bit]:
                    assert held != 0
                    assert targets[trial, t, bit] == held
                    assert t >= since + 15 or since == 0
    assert 0.2 < mask.mean() < 0.9
    assert set(np.unique(targets)) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(("gate", "table"), [("and", (0, 0, 0, 1)), ("or", (0, 1, 1, 1)), ("xor", (0, 1, 1, 0))])
def test_gates_answer_by_their_truth_table(gate, table):
    inputs, targets, mask = PulseLogic(gate, noise=0.0).batch(64, seed=1)
    came = inputs.max(axis=1).astype(int)
    np.testing.assert_array_equal(targets[:, -1, 0], np.array(table)[2 * came[:, 0] + came[:, 1]])
    assert (targets[:, 0] == 0).all()
    assert (mask.sum(axis=1) == 200 - 40).all()


def test_the_answer_comes_after_the_interval():
    inputs, targets, _ = TimedPulse(interval=30, noise=0.0).batch(10, seed=2)
    np.testing.assert_array_equal(targets[:, :, 0].argmax(axis=1) - inputs[:, :, 0].argmax(axis=1), 20 + 30)
    np.testing.assert_array_equal(targets.sum(axis=1)[:, 0], 20)


def test_marked_numbers_are_added():
    inputs, targets, mask = AddingProblem(50).batch(200, seed=0)
    np.testing.assert_allclose((inputs[..., 0] * inputs[..., 1]).sum(axis=1), targets[:, -1, 0], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(inputs[:, :25, 1].sum(axis=1), 1)
    np.testing.assert_array_equal(inputs[:, 25:, 1].sum(axis=1), 1)
    assert (mask.sum(axis=1) == 1).all()


def test_symbols_are_repeated_after_the_mark():
    inputs, targets, _ = CopyMemory(length=4, pause=7, num_symbols=5).batch(6, seed=0)
    np.testing.assert_array_equal(inputs[:, :4, :5], targets[:, -4:])
    assert (targets[:, :-4] == 0).all()
    np.testing.assert_array_equal(inputs[:, :, 5].sum(axis=1), 4)


def test_digits_are_read_pixel_by_pixel_or_row_by_row():
    pytest.importorskip("sklearn", reason="scikit-learn holds the digits")
    pixels, rows = Digits().batch(4, seed=1), Digits(rows=True).batch(4, seed=1)
    assert pixels.inputs.shape == (4, 64, 1)
    np.testing.assert_array_equal(pixels.inputs.reshape(4, 8, 8), rows.inputs)
    assert (pixels.targets.sum(axis=2) == 1).all()
    assert pixels.inputs.max() <= 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlipFlop(num_bits=0), "`num_bits` is 0; it must be a whole number >= 1"),
        (lambda: FlipFlop(noise=-0.1), "`noise` is -0.1; it must be a finite number >= 0.0"),
        (lambda: FlipFlop(gap=(5, 2)), "`gap` is"),
        (lambda: PulseLogic("nor"), "`gate` is 'nor'; it must be one of and, or, xor"),
        (lambda: TimedPulse(steps=50), "`steps` is 50; pulse, interval and answer take 90"),
        (lambda: AddingProblem(1.5), "`steps` is 1.5; it must be a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_tasks_are_drawn_and_printed():
    task = FlipFlop(num_bits=2, steps=90)
    assert repr(task).startswith("FlipFlop(num_bits=2, steps=90")
    assert len(task.plot().lines) == 2 + 4
    assert rt.plots.task(AddingProblem(20), seed=2).get_xlabel() == "step"
