"""Wrong parameters of a family are refused with a reason."""

import numpy as np
import pytest

import retime as rt

I3, Z3 = np.ones(3), np.zeros((3, 3))
WRONG = {
    "W not square": (
        lambda: rt.PLRNN(I3, np.zeros((3, 2)), I3),
        r"`W` has shape \(3, 2\); it must be \(3, 3\), one row and one column per unit of `A` \(3\)",
    ),
    "h too long": (lambda: rt.PLRNN(I3, Z3, np.ones(4)), r"`h` has shape \(4,\); it must be \(3,\)"),
    "h a matrix": (lambda: rt.PLRNN(I3, Z3, Z3), r"`h` has shape \(3, 3\); it must be a vector"),
    "A not square": (lambda: rt.PLRNN(np.zeros((3, 2)), Z3, I3), r"`A` has shape \(3, 2\); it must be square"),
    "A empty": (lambda: rt.PLRNN([], Z3, I3), r"`A` has shape \(0,\)"),
    "C transposed": (
        lambda: rt.PLRNN(I3, Z3, I3, np.zeros((2, 3))),
        r"`C` has shape \(2, 3\); it must be \(3, any\), one row per state \(3\)",
    ),
    "NaN": (
        lambda: rt.PLRNN(I3, np.full((3, 3), np.nan), I3),
        r"`W` holds nan at \(0, 0\); every entry must be finite",
    ),
    "infinity": (lambda: rt.PLRNN(I3, Z3, [1, -np.inf, 1]), r"`h` holds -inf at \(1,\)"),
    "complex": (lambda: rt.PLRNN(I3, Z3 * 1j, I3), "`W` is complex; it must be real"),
    "text": (lambda: rt.PLRNN(["a", "b"], Z3, I3), "`A` has type <U1; it must hold real numbers"),
    "ragged": (lambda: rt.PLRNN(I3, [[1, 2], [3]], I3), "`W`"),
    "None": (lambda: rt.PLRNN(I3, None, I3), "`W` has type object"),
    "dt zero": (lambda: rt.Discrete(0.0), r"`dt` is 0\.0; it must be a positive finite number"),
    "dt negative": (lambda: rt.Discrete(-0.1), "`dt` is -0.1"),
    "dt NaN": (lambda: rt.Discrete(float("nan")), "`dt` is nan"),
    "dt text": (lambda: rt.Discrete("fast"), "`dt` is 'fast'; it must be a positive number"),
    "W1 and W2 swapped": (
        lambda: rt.ShallowPLRNN(I3, np.zeros((5, 3)), np.zeros((3, 5)), I3, np.ones(5)),
        r"`W1` has shape \(5, 3\); it must be \(3, any\), one row per state",
    ),
    "W2 transposed": (
        lambda: rt.ShallowPLRNN(I3, np.zeros((3, 5)), np.zeros((3, 5)), I3, np.ones(5)),
        r"`W2` has shape \(3, 5\).*It fits when transposed",
    ),
    "h1 and h2 swapped": (
        lambda: rt.ShallowPLRNN(I3, np.zeros((3, 5)), np.zeros((5, 3)), np.ones(5), I3),
        r"`h1` has shape \(5,\); it must be \(3,\)",
    ),
    "thresholds transposed": (
        lambda: rt.DendriticPLRNN(I3, Z3, I3, [1, 2], np.zeros((3, 2))),
        r"`thresholds` has shape \(3, 2\).*It fits when transposed",
    ),
    "num_relu too large": (
        lambda: rt.AlmostLinearRNN(I3, Z3, I3, num_relu=4),
        "`num_relu` is 4; it must be a whole number from 0 to 3",
    ),
    "num_relu negative": (lambda: rt.AlmostLinearRNN(I3, Z3, I3, num_relu=-1), "`num_relu` is -1"),
    "num_relu fractional": (lambda: rt.AlmostLinearRNN(I3, Z3, I3, num_relu=1.5), "`num_relu` is 1.5"),
    "num_relu NaN": (
        lambda: rt.AlmostLinearRNN(I3, Z3, I3, num_relu=float("nan")),
        "`num_relu` is nan; it must be a whole number",
    ),
    "num_relu text": (
        lambda: rt.AlmostLinearRNN(I3, Z3, I3, num_relu="two"),
        "`num_relu` is 'two'; it must be a whole number",
    ),
    "W_in transposed": (
        lambda: rt.ReluRNN(Z3, np.zeros((2, 3)), I3),
        r"`W_in` has shape \(2, 3\); it must be \(3, any\)",
    ),
    "E of another system": (
        lambda: rt.LinearSystem(Z3, I3, np.zeros((2, 1))),
        r"`E` has shape \(2, 1\); it must be \(3, any\)",
    ),
    "D without a readout": (lambda: rt.LinearSystem([0.5], [0.0], [[1.0]], D=[[1.0]]), "readout"),
    "readout transposed": (
        lambda: rt.PLRNN(I3, Z3, I3, readout=np.zeros((3, 2))),
        r"`readout B` has shape \(3, 2\); it must be \(any, 3\)",
    ),
    "readout offset too long": (
        lambda: rt.PLRNN(I3, Z3, I3, readout=(np.zeros((2, 3)), np.ones(3))),
        r"`readout b` has shape \(3,\); it must be \(2,\)",
    ),
    "readout of three parts": (lambda: rt.PLRNN(I3, Z3, I3, readout=(1, 2, 3)), "`readout`"),
    "discrete ContinuousPLRNN": (
        lambda: rt.ContinuousPLRNN(I3, Z3, I3, time=rt.Discrete(1.0)),
        "a ContinuousPLRNN flows. For a map use PLRNN",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameter_is_refused_with_a_reason(name):
    make, match = WRONG[name]
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("time", [0.1, None, True, "continuous", rt.Discrete])
def test_time_must_be_a_time_base(time):
    with pytest.raises(TypeError, match=r"it must be Discrete\(dt\) or Continuous\(\)"):
        rt.PLRNN(I3, Z3, I3, time=time)


def test_shape_errors_are_retime_errors_too():
    with pytest.raises(rt.RetimeError, match="`W` has shape"):
        rt.PLRNN(I3, np.zeros((2, 2)), I3)


def test_step_of_a_flow_and_field_of_a_map_say_what_to_use():
    with pytest.raises(TypeError, match="is in continuous time: use `field`"):
        rt.ContinuousPLRNN(I3, Z3, I3).step(I3)
    with pytest.raises(TypeError, match="is a map: use `step`, or convert it with `to_continuous`"):
        rt.PLRNN(I3, Z3, I3).field(I3)
    with pytest.raises(TypeError, match="is in continuous time and has no step dt"):
        rt.ContinuousPLRNN(I3, Z3, I3).dt  # noqa: B018


def test_diagonal_may_be_a_vector_or_a_matrix():
    assert rt.PLRNN(I3 * 0.5, Z3, I3) == rt.PLRNN(np.eye(3) * 0.5, Z3, I3)


def test_columns_and_rows_are_taken_as_vectors():
    assert rt.PLRNN(I3, Z3, np.ones((3, 1))) == rt.PLRNN(I3, Z3, np.ones((1, 3))) == rt.PLRNN(I3, Z3, I3)


def test_single_precision_and_integers_become_double(rng):
    W = rng.normal(size=(3, 3)).astype(np.float32)
    model = rt.PLRNN([1, 0, 1], W, [0, 0, 1])
    assert model.W.dtype == model.A.dtype == np.float64
    np.testing.assert_array_equal(model.W, W.astype(np.float64))
