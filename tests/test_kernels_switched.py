"""Kernels that simulate and that follow switches, with their exponents, have one signature each.

This file runs first, beside its other half, so that the other files find compiled code in the cache, see `conftest.py`.
"""

import pytest

from kernels import check, verbs


def test_kernels_that_switch_have_one_signature():
    check(verbs()[0])


@pytest.mark.slow
def test_all_kernels_have_one_signature():
    switched, others = verbs()
    check(others | switched)
