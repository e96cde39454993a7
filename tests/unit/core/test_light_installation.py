"""Without JAX the piecewise-affine half works, and the smooth half says what to install."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SMOOTH = ("jax", "equinox", "diffrax", "optimistix", "optax")
BEGIN = f"""
import sys
for name in {SMOOTH}:
    sys.modules[name] = None  # as where it is not installed
import numpy as np
import retime as rt
net = rt.zoo.entry("vanderpol")
rate = rt.RateRNN([[0.5, 1.0], [-1.0, 0.5]], np.zeros((2, 0)), [0.1, 0.0], tau=1.0)
gates = rt.GRU(np.ones((6, 2)), np.ones((6, 1)), np.zeros(6), np.zeros(6))
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip(), done.stderr.strip().splitlines()[-1:]


def test_piecewise_affine_networks_need_no_jax():
    out, error = run(
        """
flow = rt.to_continuous(net.model).model
a, b = rt.simulate(net.model, net.z0, steps=50), rt.simulate(flow, net.z0, steps=50)
points = rt.find_fixed_points(net.model)
growth = rt.lyapunov_spectrum(net.model, net.z0, steps=200, transient=0)
print(np.abs(a.states - b.states).max() < 1e-9, points.complete, len(points), np.isfinite(growth.exponents).all())
"""
    )
    assert (out, error) == ("True True 1 True", [])


def test_info_says_what_it_could_not_look_at():
    out, error = run(
        """
from retime.cli.commands import stepped
print(stepped(gates)["Steps"][:40], "|", stepped(net.model)["Steps"][:15], np.isfinite(stepped(net.model)["margin"]))
"""
    )
    assert (out, error) == ("not looked at: smooth systems need jax,  | ZeroOrderHold() True", [])


@pytest.mark.parametrize(
    "call",
    [
        "rt.simulate(gates, [0.1, 0.2], inputs=np.zeros((5, 1)), steps=5)",
        "rt.simulate(rate, [0.1, 0.2], times=[0.0, 1.0])",
        "rt.find_fixed_points(gates)",
        "rt.lyapunov_spectrum(rate, [0.1, 0.2], times=[0.0, 1.0], transient=0)",
        "rt.linearize(rate, at=[0.1, 0.2])",
        "rt.find_basins(rate, box=[(-1, 1)] * 2)",
        "rt.analyze(gates)",
    ],
)
def test_smooth_systems_say_what_to_install(call):
    out, error = run(call)
    assert out == ""
    assert error == [
        "retime.core.errors.MissingDependencyError: smooth systems need jax, equinox, diffrax, optimistix, optax, "
        "which a light installation leaves out: pip install jax equinox diffrax optimistix optax"
    ]


def test_the_light_list_is_the_whole_one_without_jax():
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    light = [line for line in (ROOT / "requirements-light.txt").read_text().splitlines() if not line.startswith("#")]
    assert light == [d for d in whole if d.split(">=")[0] not in SMOOTH]
