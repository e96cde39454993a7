"""Certificates and tables as a person reads them."""

import numpy as np
import pytest

import retime as rt
from retime.core.certificate import Certificate, Condition
from retime.core.rendering import paragraph, text_table

LONG = "1e-12 minus the largest residual of all regions that were converted on the orbit, in balanced units and in the states' own"


def certificate(holds):
    conditions = (
        Condition("each region's flow reproduces its map", holds, 1e-13 if holds else -1.0, LONG),
        Condition("all frequencies are below the Nyquist rate", False, 0.0, LONG, required=False),
    )
    claim = "The flow equals the map at every sample time. It is not unique."
    return Certificate(claim, "every state", conditions, "a source", "Exact: off by 1.0e-13.")


def test_the_first_line_is_what_is_exact_with_its_error():
    assert str(certificate(True)).splitlines()[:3] == [
        "Exact: off by 1.0e-13.",
        "",
        "claim: The flow equals the map at every sample time. It is not unique.",
    ]
    assert certificate(True).to_dict()["headline"] == "Exact: off by 1.0e-13."
    bare = Certificate("The flow equals the map. It is not unique.", "every state")
    assert str(bare).splitlines()[0] == "The flow equals the map."


def test_a_claim_that_does_not_hold_is_not_what_the_first_line_says():
    assert str(certificate(False)).splitlines()[0] == "NOT shown: each region's flow reproduces its map."


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("72", 72), ("100", 100), ("200", 120), ("20", 60)])
def test_certificates_fit_the_terminal(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = str(certificate(True)).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    assert "off by 1.0e-13" in words
    for word in LONG.split():
        assert word in words


def test_every_verbs_certificate_begins_with_a_measured_number(rng, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    W, z = rng.normal(size=(3, 3)), np.zeros((3, 0))
    rate = rt.RateRNN(W, None, rng.normal(size=3), tau=0.5)
    tanh = rt.TanhRNN(W, z, rng.normal(size=3))
    plrnn = rt.PLRNN(rng.uniform(0.2, 0.8, 3), 0.1 * W, rng.normal(size=3))
    found = {
        "Exact at every sample time": rt.to_continuous(plrnn).certificate,
        "An approximation of order 1": rt.to_discrete(rate, 0.05, method="euler").certificate,
        "Euler's step of dt gives the map back": rt.to_continuous(tanh, method="euler-field").certificate,
        "Exact on every step that stays": rt.to_discrete(
            rt.ContinuousPLRNN([-1.0], [[0.5]], [1.0]), 0.1, method="zoh"
        ).certificate,
        "Exact at common sample times": rt.retime_to(rt.PLRNN([0.5], [[0.0]], [1.0]), 0.5).certificate,
    }
    for start, said in found.items():
        assert said.plain_line.startswith(start)
        assert any(c.isdigit() for c in said.plain_line)
        assert max(map(len, str(said).splitlines())) <= 80


def test_a_table_that_fits_is_not_wrapped():
    rows = [["a", "bb"], ["ccc", "d"]]
    assert text_table(["x", "y"], rows) == text_table(["x", "y"], rows, width=60) == "x    y\n---  --\na    bb\nccc  d"


def test_a_cell_that_is_too_wide_continues_below():
    text = text_table(["n", "words"], [["1", "one two three four five six seven eight nine ten"]], width=30)
    assert text.splitlines() == [
        "n  words",
        "-  ---------------------------",
        "1  one two three four five six",
        "   seven eight nine ten",
    ]


def test_numbers_are_not_broken_at_their_sign(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert "1e-12" in paragraph("x" * 55 + " 1e-12 minus").split()
