"""The canonical form: which side a boundary belongs to, and units across whose boundary nothing changes."""

import numpy as np
import pytest

import retime as rt


def test_a_unit_at_exactly_zero_is_off():
    model = rt.PLRNN([0.5, 0.5], [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    assert model.pattern([0.0, 0.0]).tolist() == [False, False]
    assert model.pattern([5e-324, -5e-324]).tolist() == [True, False]
    assert rt.simulate(model, [0.0, 1.0], steps=1).patterns.tolist() == [[False, True], [False, True]]
    np.testing.assert_array_equal(model.jacobian(np.zeros(2)), 0.5 * np.eye(2))


@pytest.mark.parametrize(
    ("rows", "weights", "offsets", "idle"),
    [
        ([[1.0], [1.0]], [[2.0, -2.0]], [0.0, 0.0], True),  # 2 relu(z) - 2 relu(z)
        ([[1.0], [-1.0]], [[2.0, -2.0]], [0.0, 0.0], True),  # 2 relu(z) - 2 relu(-z) = 2 z
        ([[1.0], [-2.0]], [[2.0, -1.0]], [0.5, -1.0], True),
        ([[1.0], [1.0]], [[2.0, -2.0]], [0.0, 1.0], False),  # another boundary
        ([[1.0], [-1.0]], [[2.0, 2.0]], [0.0, 0.0], False),  # 2 |z|
        ([[1.0]], [[0.0]], [0.0], True),
    ],
)
def test_units_are_idle_where_the_map_does_not_change_across_their_boundary(rows, weights, offsets, idle):
    form = rt.ShallowPLRNN([0.5], weights, rows, [0.0], offsets).canonical
    found, bits = form.idle
    assert found.tolist() == [idle] * len(rows)
    if idle:  # the bits are those of one side, and both sides have their map
        z = np.array([[-1.0], [1.0]]) - np.array(offsets[0]) / np.array(rows[0])
        sides = form.pattern(z)
        assert (sides == bits).all(axis=1).any() or not bits.any()
        M = form.regions(np.vstack([sides, bits])).M
        np.testing.assert_allclose(M, M[:1].repeat(3, axis=0), rtol=0, atol=1e-15)
