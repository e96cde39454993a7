"""What several tests of learning are about."""

import numpy as np
import pytest


@pytest.fixture
def spiral(rng):
    """600 samples of a noisy rotation."""
    turn = 0.3
    A, z = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), np.array([1.0, 0.0])
    rows = []
    for _ in range(600):
        z = A @ z
        rows.append(z + 0.01 * rng.normal(size=2))
    return 3.0 * np.array(rows) + [5.0, -2.0]
