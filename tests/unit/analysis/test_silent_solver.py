"""What the linear-programming library prints stays out of the output of retime."""

import subprocess
import sys


def test_enumerating_regions_prints_nothing():
    code = (
        "import numpy as np, retime as rt\n"
        "g = np.random.default_rng(0)\n"
        "net = rt.ShallowPLRNN([.5, .4], g.normal(size=(2, 4)), g.normal(size=(4, 2)), [0, 0], g.normal(size=4))\n"
        "assert len(rt.enumerate_regions(net, (-3, 3))) > 3\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
