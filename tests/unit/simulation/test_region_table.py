"""The table of regions that compiled kernels look up."""

import threading

import numpy as np

from retime.core.kernel import kernel
from retime.simulation import iterate
from retime.simulation.arrays import RegionTable

find_region = kernel(iterate.find_region.py_func)


def number(bits):
    return float(np.asarray(bits) @ 2.0 ** np.arange(len(bits)))


def table_of(num_units, **options):
    asked = []

    def provide(pattern):
        asked.append(pattern.copy())
        return np.full((2, 3), number(pattern)), int(number(pattern)) % 5

    return RegionTable(num_units, provide, **options), asked


def lookup(table, bits):
    return find_region(table.arrays, np.asarray(bits, dtype=np.uint8))


def patterns(rng, count, q):
    return np.unique(rng.integers(0, 2, (count, q)).astype(np.uint8), axis=0)


def test_every_added_region_is_found_with_its_own_data(rng):
    table, _ = table_of(12)
    rows = patterns(rng, 1500, 12)
    for bits in rows:
        table.add(bits)
    for bits in rows:
        k = lookup(table, bits)
        assert table.arrays.data[k, 0, 0] == number(bits)
        assert table.arrays.extra[k] == int(number(bits)) % 5


def test_region_that_was_not_added_is_not_found(rng):
    table, _ = table_of(12)
    rows = patterns(rng, 300, 12)
    for bits in rows[::2]:
        table.add(bits)
    assert all(lookup(table, bits) == -1 for bits in rows[1::2])


def test_region_is_provided_once():
    table, asked = table_of(3)
    for _ in range(3):
        table.add(np.array([1, 0, 1], np.uint8))
    assert len(asked) == 1
    assert asked[0].dtype == bool


def test_patterns_with_the_same_hash_are_kept_apart():
    table, _ = table_of(4)
    table._keys[:] = 1  # every pattern of equal parity collides
    rows = [(np.arange(16)[k] >> np.arange(4)) & 1 for k in range(16)]
    for bits in rows:
        table.add(bits)
    assert [table.arrays.data[lookup(table, bits), 0, 0] for bits in rows] == list(range(16))


def test_wider_regions_keep_the_narrower_ones(rng):
    table = RegionTable(3, lambda d: (np.full((2 + d.sum(), 3 + d.sum()), number(d)), int(d.sum())))
    rows = (np.arange(8)[:, None] >> np.arange(3)) & 1
    for bits in rows:
        table.add(bits)
    for bits in rows:
        size = bits.sum()
        np.testing.assert_array_equal(table.arrays.data[lookup(table, bits), : 2 + size, : 3 + size], number(bits))


def test_memory_stays_within_its_bound_and_the_last_region_is_there(rng):
    bound = 450 * 2 * 3 * 8  # 450 regions; 300 are always kept together
    table, _ = table_of(12, max_bytes=bound)
    for bits in patterns(rng, 800, 12):
        table.add(bits)
        assert table.arrays.data.nbytes <= bound
        assert table.arrays.data[lookup(table, bits), 0, 0] == number(bits)


def test_table_without_units_has_one_region():
    table, _ = table_of(0)
    assert lookup(table, np.zeros(0)) == -1
    table.add(np.zeros(0, np.uint8))
    assert lookup(table, np.zeros(0)) == 0


def test_threads_may_add_at_the_same_time(rng):
    table, _ = table_of(10)
    rows = patterns(rng, 600, 10)
    threads = [threading.Thread(target=lambda part=rows[k::3]: [table.add(b) for b in part]) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(table.arrays.data[lookup(table, b), 0, 0] == number(b) for b in rows)
