"""Calls that need every kernel, in two halves that `test_kernels_*.py` compile: what both need, one compiles early and the other needs late."""

import sys

import numpy as np
from numba.core.event import install_recorder

import retime as rt


def verbs():
    """The calls of both halves, as functions without arguments."""
    entry, slides = rt.zoo.entry("vanderpol"), rt.zoo.entry("sliding")
    flow, sliding = rt.to_continuous(entry.model).model, rt.to_continuous(slides.model).model
    turns = rt.ContinuousPLRNN([-1.0, -1.0], [[0.0, 1.0], [-1.0, 0.0]], [0.5, 0.1])
    full = rt.ContinuousPLRNN([[-1.0, 0.1], [0.0, -1.0]], [[0.0, 1.0], [-1.0, 0.0]], [0.5, 0.1], num_relu=1)
    linear = rt.LinearSystem([[-1.0, 0.0], [1.0, -0.3]], [1.0, 1.0], np.zeros((2, 0)), time=rt.Continuous())
    small = rt.PLRNN([0.5, 0.4], [[-1.9, 0.3], [0.2, -1.5]], [1.0, 0.5])
    batch, times, short = np.tile(entry.z0, (3, 1)), [0.0, 0.03, 0.55], {"times": [0.0, 2.0], "transient": 0}
    switched = {
        "state": lambda: rt.simulate(flow, batch, times=times, switching="state"),
        "sliding": lambda: rt.simulate(sliding, slides.z0, times=[0.0, 0.3, 0.4], switching="state"),
        "continuous": lambda: rt.simulate(turns, [1.0, 1.0], times=times),
        "full matrix": lambda: rt.simulate(full, [1.0, 1.0], times=times),
        "linear": lambda: rt.simulate(linear, [1.0, 1.0], times=times),
        "limit cycles": lambda: rt.find_cycles(flow, 20.0, switching="state", starts=batch[:1]),
        "exponents of a state flow": lambda: rt.lyapunov_spectrum(flow, entry.z0, switching="state", **short),
        "exponents of a sliding flow": lambda: rt.lyapunov_spectrum(sliding, slides.z0, switching="state", **short),
        "exponents of a continuous network": lambda: rt.lyapunov_spectrum(turns, [1.0, 1.0], **short),
        "resting points": lambda: rt.find_fixed_points(sliding, switching="state"),
    }
    others = {
        "map": lambda: rt.simulate(entry.model, entry.z0, steps=20),
        "maps": lambda: rt.simulate(entry.model, batch, steps=20),
        "clock": lambda: rt.simulate(flow, entry.z0, steps=20),
        "clock between samples": lambda: rt.simulate(flow, entry.z0, times=times),
        "fixed points": lambda: rt.find_fixed_points(entry.model),
        "cycles": lambda: rt.find_cycles(small, 4),
        "longer cycles": lambda: rt.find_cycles(small, 6, node_limit=0),
        "exponents of a map": lambda: rt.lyapunov_spectrum(entry.model, entry.z0, steps=200, transient=0),
        "exponents of a clock flow": lambda: rt.lyapunov_spectrum(flow, entry.z0, steps=200, transient=0),
    }
    return switched, others


def check(verbs):
    """Call each; every compiled loop is compiled once: whatever system calls it, and with whatever constants, its types are the same.

    None compiles messages about the shapes of arrays, which takes seconds (where there was compiled code already, nothing is seen).
    """
    with install_recorder("numba:compile") as recorder:
        for verb in verbs.values():
            verb()
    names = {event.data["dispatcher"].py_func.__module__ for _, event in recorder.buffer}
    assert not {name for name in names if "unicode" in name}
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("retime."):
            found |= {f"{f.__module__}.{f.__name__}": f for f in vars(module).values() if hasattr(f, "signatures")}
    compiled = {name: f.signatures for name, f in found.items() if f.signatures}
    assert len(compiled) > 3
    assert {name: types for name, types in compiled.items() if len(types) > 1} == {}
