"""Commands whose orbit ends early say at which step, and print no NaN for a last state."""

import json

import retime as rt


def accumulating(folder):
    model = rt.AlmostLinearRNN(
        [-0.247, -0.421], [[0.337, 0.146], [0.561, -0.304]], [0.057, 0.338], num_relu=1, time=rt.Discrete(0.1)
    )
    return rt.save(model, folder / "net.npz")


START = "0.727,-0.795"


def test_compare_says_where_the_numbers_of_state_switching_stop(run, tmp_path):
    code, out, _ = run("compare", accumulating(tmp_path), "--z0", START, "--steps", 30)
    words = " ".join(out.split())
    assert code == 0  # the clock flow is the map
    assert "Under state switching the other system's orbit ended at t =" in words
    assert "of 30 steps" in words
    assert "Under clock switching" not in words
    _, out, _ = run("compare", accumulating(tmp_path), "--z0", START, "--steps", 30, "--json")
    assert "switches_accumulate" in json.loads(out)["state"]["message"]


def test_convert_says_where_the_numbers_of_state_switching_stop(run, tmp_path):
    _, out, _ = run("convert", accumulating(tmp_path), "--z0", START, "--steps", 30)
    assert "state: the other system's orbit ended at t =" in out
    assert "the other system's orbit ended at t =" in " ".join(out.split("What you may claim")[-1].split())


def test_simulate_prints_the_last_state_that_was_reached(run, tmp_path):
    code, out, _ = run("simulate", accumulating(tmp_path), "--z0", START, "--steps", 30, "--switching", "state")
    assert code == 1
    assert "last state reached: " in out
    assert "nan" not in out.split("last state reached: ")[1]
