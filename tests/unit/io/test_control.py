"""python-control in and out: what is refused."""

import sys

import control
import numpy as np
import pytest

import retime as rt


@pytest.mark.parametrize("dt", [None, True])
def test_unspecified_time_base_is_refused(dt):
    with pytest.raises(ValueError, match="say which time base is meant"):
        rt.io.from_control(control.ss([[0.5]], [[1.0]], [[1.0]], [[0.0]], dt))


def test_offset_is_refused():
    with pytest.raises(ValueError, match="offset, which a state space cannot hold"):
        rt.io.to_control(rt.LinearSystem([0.5], [1.0], [[1.0]]))


def test_other_models_are_refused():
    with pytest.raises(TypeError, match=r"`system` is PLRNN; a control\.StateSpace holds a LinearSystem only"):
        rt.io.to_control(rt.PLRNN([0.5], [[0.0]], [0.0]))


def test_system_without_a_readout_gives_its_states():
    system = rt.io.to_control(rt.LinearSystem([0.5, 0.25], np.zeros(2), np.ones((2, 1)), time=rt.Discrete(0.1)))
    np.testing.assert_array_equal(system.C, np.eye(2))
    np.testing.assert_array_equal(system.D, np.zeros((2, 1)))


def test_missing_python_control_names_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "control", None)
    with pytest.raises(rt.MissingDependencyError, match=r"pip install 'retime\[control\]'"):
        rt.io.to_control(rt.LinearSystem([0.5], [0.0], [[1.0]]))
