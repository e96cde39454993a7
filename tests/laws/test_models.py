"""What holds for every model: equality, immutability, rescaling of the step."""

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

import retime as rt
from families import CASES, MAP_NAMES, make


def arrays(model):
    return [f.name for f in fields(model) if isinstance(getattr(model, f.name), np.ndarray)]


@pytest.mark.parametrize(("name", "base"), CASES)
def test_models_with_the_same_parameters_are_equal(name, base, rng):
    model, _ = make(name, rng, base=base, readout=True)
    again = replace(model)
    assert again == model
    assert hash(again) == hash(model)


@pytest.mark.parametrize(("name", "base"), CASES)
def test_one_changed_number_makes_a_model_unequal(name, base, rng):
    model, _ = make(name, rng, base=base, readout=True)
    assert arrays(model)
    for field in arrays(model):
        value = getattr(model, field).copy()
        value.flat[0] = np.nextafter(value.flat[0], 10)
        assert replace(model, **{field: value}) != model, field


@pytest.mark.parametrize("name", MAP_NAMES)
def test_time_base_and_readout_take_part_in_equality(name, rng):
    model, _ = make(name, rng, readout=True)
    assert replace(model, time=rt.Discrete(0.31)) != model
    assert replace(model, time=rt.Continuous()) != model
    assert replace(model, readout=None) != model


@pytest.mark.parametrize(("name", "base"), CASES)
def test_parameters_cannot_be_changed(name, base, rng):
    model, _ = make(name, rng, base=base)
    for field in arrays(model):
        with pytest.raises(ValueError, match="read-only"):
            getattr(model, field).flat[:] = 0.0
        with pytest.raises(FrozenInstanceError, match=field):
            setattr(model, field, 0.0)


@pytest.mark.parametrize(("name", "base"), CASES)
def test_a_model_keeps_its_own_copy_of_the_arrays(name, base, rng):
    model, _ = make(name, rng, base=base)
    for field in arrays(model):
        source = np.array(getattr(model, field))
        copy = replace(model, **{field: source})
        source.flat[:] = 7.0
        assert copy == model


@pytest.mark.parametrize("name", MAP_NAMES)
def test_a_longer_step_slows_every_generator(name, rng):
    model, _ = make(name, rng, dt=0.3)
    slow = replace(model, time=rt.Discrete(0.3 * 4))
    pattern = np.zeros((1, model.num_units), bool)
    a, b = (rt.PiecewiseAffineFlow(m, rt.MatrixLog(), throw=False) for m in (model, slow))
    fast, late = a.convert(pattern)[0], b.convert(pattern)[0]
    assert fast.status == late.status
    for x, y in ((fast.W, late.W), (fast.h, late.h), (fast.E, late.E)):
        np.testing.assert_allclose(y, x / 4, rtol=0, atol=1e-14 * (1 + np.abs(x).max()))


@pytest.mark.parametrize(("name", "base"), CASES)
def test_repr_names_the_family_its_sizes_and_its_time_base(name, base, rng):
    model, _ = make(name, rng, base=base, readout=True)
    text = repr(model)
    assert text.startswith(type(model).__name__ + "(4 states")
    assert "2 inputs" in text
    assert "3 outputs" in text
    assert repr(model.time) in text
    assert "\n" not in text
