"""A thousand broken and hostile netlists: each is a clear error or a model, and nothing outside of memory is touched."""

import subprocess

import numpy as np
import pytest

import retime as rt

HOSTILE = [
    ".control\nshell touch hacked\n.endc", ".include /etc/passwd", ".lib 'x' y", ".shell rm -rf /", "X1 a b nothing", "R9 a 0 (1",
    "+ R9 a 0 1", "B9 a 0 V=`id`", "B9 a 0 V=system('id')", "R9 a 0 1e999", "C9 a a -1", ".subckt", ".ends", ".model m nmos()",
    ".param x={x}", "V9 a 0 SIN(0 1 1)", ".ic v(a)=x", "*\x00", "R\u00e9 a 0 1", ".control\rquit", ".if (1)\n.endif", "A1 a b m",
    ".options acct=1 xtrtol=2", "U1 a b 0 m", "R9\na 0 1",
]  # fmt: skip


def netlist(rng):
    """A good one, then broken."""
    return rt.to_circuit(rt.RateRNN(rng.normal(size=(2, 2)), np.ones((2, 1)), rng.normal(size=2), tau=0.01)).netlist()


def broken(text, rng):
    kind = rng.integers(6)
    lines = text.split("\n")
    k = int(rng.integers(1, len(lines)))
    if kind == 0:
        lines.insert(k, HOSTILE[rng.integers(len(HOSTILE))])
    elif kind == 1:
        lines[k] = lines[k][: rng.integers(len(lines[k]) + 1)]
    elif kind == 2:
        at = int(rng.integers(len(text)))
        return (
            text[:at] + chr(int(rng.choice([0, 10, 13, 34, 39, 40, 41, 59, 92, 96, 123, 0x2028, 0x1F600]))) + text[at:]
        )
    elif kind == 3:
        lines[k] = " ".join(rng.permutation(lines[k].split()))
    elif kind == 4:
        del lines[k]
    else:
        lines[k] = (
            lines[k].replace("(", "((", 1).replace("x", "y", 1)
            + " "
            + rng.choice(["(", "x", "1e", "{", "=", "@", "V(a"])
        )
    return "\n".join(lines)


def said(text):
    """The error of a netlist, "" where it is read."""
    try:
        rt.read_circuit(text)
    except rt.RetimeError as error:
        return str(error)
    return ""


def test_a_thousand_broken_netlists_end_in_a_clear_error_or_a_model(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    good, errors = netlist(rng), 0
    for _ in range(1000):
        message = said(broken(good, rng))
        errors += message != ""
        assert message == "" or "line " in message
    assert errors > 500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lines", HOSTILE)
def test_hostile_lines_are_refused(lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rt.RetimeError, match="line"):
        rt.read_circuit(f"* t\nC1 a 0 1n\nR1 a 0 1k\n{lines}\n.end\n")
    assert not list(tmp_path.iterdir())
