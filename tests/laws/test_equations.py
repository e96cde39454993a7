"""Every family's canonical form is its own equation."""

import numpy as np
import pytest

import retime as rt
from families import CASES, MAP_NAMES, SMOOTH, make, make_smooth


def test_the_enumeration_holds_every_family():
    from retime.models import FAMILIES

    made = {make(name, np.random.default_rng(0), base=base)[0].family for name, base in CASES}
    made |= {make_smooth(name, np.random.default_rng(0))[0].family for name in SMOOTH}
    cells = "antisymmetric_rnn cornn unitary_rnn diagonal_linear min_gru delta_rule qunn layered_field"  # in tests/unit/cells
    assert made | {*cells.split()} == {*FAMILIES, "map", "vector_field"}
    assert len(CASES) == 2 * len(MAP_NAMES) + 2


@pytest.mark.parametrize(("name", "base"), CASES)
def test_canonical_form_is_the_equation(name, base, rng):
    model, equation = make(name, rng, base=base)
    apply = model.step if base == "map" else model.field
    for _ in range(20):
        z, s = 2 * rng.normal(size=4), rng.normal(size=2)
        np.testing.assert_allclose(apply(z, s), equation(z, s), rtol=0, atol=1e-13)  # sums of order-one numbers


@pytest.mark.parametrize(("name", "base"), CASES)
def test_region_of_a_state_is_the_equation_there(name, base, rng):
    model, equation = make(name, rng, base=base)
    z, s = 2 * rng.normal(size=4), rng.normal(size=2)
    M, c, E = (x[0] for x in model.canonical.regions(model.pattern(z, s)[None]))
    np.testing.assert_allclose(M @ z + c + E @ s, equation(z, s), rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.jacobian(z, s), M, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "base"), CASES)
def test_one_application_works_on_a_stack_of_states(name, base, rng):
    model, equation = make(name, rng, base=base)
    apply = model.step if base == "map" else model.field
    z, s = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5, 2))
    want = [[equation(z[i, j], s[i, j]) for j in range(5)] for i in range(3)]
    np.testing.assert_allclose(apply(z, s), want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_simulated_map_is_the_equation_iterated(name, rng):
    model, equation = make(name, rng)
    z, s = rng.normal(size=4), rng.normal(size=(50, 2))
    path = rt.simulate(model, z, steps=50, inputs=s)
    for k in range(50):  # each step from the simulated state: no growth of rounding along the orbit
        np.testing.assert_allclose(path.states[k + 1], equation(path.states[k], s[k]), rtol=0, atol=1e-13)
    np.testing.assert_allclose(path.times, 0.3 * np.arange(51), rtol=0, atol=1e-14)
