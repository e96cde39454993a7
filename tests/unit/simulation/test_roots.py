"""First sign change of a polynomial on [0, 1]."""

import numpy as np
import pytest

from retime.core.kernel import kernel
from retime.simulation import roots as compiled
from retime.simulation.roots import DEGREE, DEPTH, NONE

first_negative = kernel(compiled.first_negative.py_func)


def first(roots=(), *, coefficients=None, upto=1.0, gain=1.0):
    p = np.zeros(DEGREE + 1)
    c = np.poly(roots)[::-1] if coefficients is None else np.asarray(coefficients, float)
    p[: len(c)] = c * gain * (np.sign(c[0]) if c[0] else 1.0)
    return first_negative(p, DEGREE, upto, np.zeros((DEPTH + 2, DEGREE + 1)), np.zeros((2, DEPTH + 2)))


def test_random_polynomials_agree_with_numpy(rng):
    found = 0
    for _ in range(400):
        c = rng.normal(size=rng.integers(2, 15))
        c[0] = abs(c[0])
        roots = np.roots(c[::-1])
        real = np.sort(roots.real[np.abs(roots.imag) < 1e-9])
        inside = real[(real > 0) & (real < 1)]
        x = first(coefficients=c)
        if len(inside):
            found += 1
            assert abs(x - inside[0]) <= 1e-9  # NumPy's eigenvalues of a companion matrix
        else:
            assert x == NONE
    assert found > 100


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("at", [0.1, 0.37, 0.9])
def test_two_close_roots_are_not_missed(at, gap):
    assert abs(first([at, at + gap]) - at) <= 1e-9 + 1e-15 / gap  # rounding of the coefficients over the slope `gap`


def test_touching_without_crossing_is_no_sign_change():
    x = first([0.5, 0.5])
    assert x == NONE or abs(x - 0.5) <= 1e-7  # sqrt of rounding


def test_triple_root_is_a_sign_change():
    assert abs(first([0.25, 0.25, 0.25]) - 0.25) <= 1e-4  # cube root of rounding


@pytest.mark.parametrize("upto", [1.0, 0.5, 0.125])
def test_root_at_the_end_is_found_only_when_passed(upto):
    assert first([upto], upto=upto) == NONE
    assert abs(first([upto * (1 - 1e-12)], upto=upto) - upto) <= 2e-12


def test_roots_outside_the_interval_are_ignored():
    assert first([-0.1, -0.5, 1.1, 3.0]) == NONE
    assert first([0.6], upto=0.5) == NONE


def test_root_near_zero_keeps_its_relative_precision():
    assert abs(first([1e-12, 0.7]) - 1e-12) <= 1e-24 * 10


@pytest.mark.parametrize("gain", [1e-250, 1e-30, 1e30, 1e150])
def test_scale_of_the_polynomial_does_not_matter(gain):
    assert abs(first([0.3, 0.4], gain=gain) - 0.3) <= 1e-14


def test_constant_and_slow_polynomials_have_no_sign_change():
    assert first(coefficients=[1.0]) == NONE
    assert first(coefficients=[1.0, -0.4, -0.3]) == NONE


def test_twenty_roots_give_the_first():
    roots = np.linspace(0.05, 1.0, 20)
    assert abs(first(roots) - 0.05) <= 1e-9


def test_narrow_dip_below_zero_of_full_degree_is_found():
    # (x - 0.3)^2 - 1e-12, times a positive polynomial of degree 22
    c = np.polymul(np.poly([0.3 - 1e-6, 0.3 + 1e-6]), np.polymul([1] + [0] * 21 + [2], [1.0]))[::-1]
    assert abs(first(coefficients=c) - (0.3 - 1e-6)) <= 1e-8


def test_the_polynomial_is_not_positive_where_it_is_said_to_have_changed(rng):
    for _ in range(50):
        c = rng.normal(size=8)
        c[0], c[-1] = abs(c[0]), -abs(c[1:]).sum()
        x, value = first(coefficients=c), 0.0
        for a in c[::-1]:
            value = value * x + a
        assert 0 < x < 1
        assert value <= 0
