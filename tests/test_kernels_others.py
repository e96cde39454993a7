"""Kernels that search, and that measure the exponents of maps, have one signature each.

This file runs first, beside its other half, so that the other files find compiled code in the cache, see `conftest.py`.
"""

from kernels import check, verbs


def test_the_other_kernels_have_one_signature():
    check(verbs()[1])
