"""Different rows of tables, beside `numpy.unique`."""

import numpy as np
import pytest

from retime.core.distinct import distinct_rows, first_of_cells


@pytest.mark.parametrize("columns", [1, 7, 8, 24, 64, 65, 130])
def test_distinct_patterns_are_those_of_numpy(columns, rng):
    rows = rng.normal(size=(20, columns))[rng.integers(0, 20, 300)] > 0
    kinds = distinct_rows(rows)
    want, first, number, counts = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
    assert np.array_equal(rows[kinds.first], want)
    assert np.array_equal(kinds.first, first)
    assert np.array_equal(kinds.number, number)
    assert np.array_equal(kinds.counts, counts)


def test_rows_of_nothing_are_all_the_same():
    kinds = distinct_rows(np.zeros((5, 0), dtype=bool))
    assert kinds.first.tolist() == [0]
    assert kinds.counts.tolist() == [5]
    assert len(distinct_rows(np.zeros((0, 3), dtype=bool)).first) == 0


def test_cells_are_told_apart(rng):
    cells = rng.integers(-3, 4, (500, 3)).astype(float)
    cells[7] = cells[3] = [0.0, -0.0, 2.0**50]
    want = np.sort(np.unique(cells, axis=0, return_index=True)[1])
    assert np.array_equal(first_of_cells(cells), want)
