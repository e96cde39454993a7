"""Every public verb has a short example in its docstring, and it runs."""

from __future__ import annotations

import doctest
import os
from inspect import isfunction

import pytest

import retime

VERBS = sorted(name for name in retime.__all__ if isfunction(getattr(retime, name)) and name.islower())
NEEDS = {"to_torch": "torch", "to_keras": "keras"}
LINES = 8


def examples(verb: str) -> list[doctest.Example]:
    """What a user can copy from the docstring."""
    return doctest.DocTestParser().get_examples(getattr(retime, verb).__doc__)


def test_every_verb_has_a_short_example() -> None:
    assert len(VERBS) > 30
    assert {verb for verb in VERBS if not 0 < len(examples(verb)) <= LINES} == set()
    assert {verb for verb in VERBS if f"rt.{verb}(" not in "".join(e.source for e in examples(verb))} == set()


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_the_example_prints_what_it_shows(verb: str, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    if verb in NEEDS:
        monkeypatch.setitem(
            os.environ, "KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "jax")
        )  # before Keras is imported
        pytest.importorskip(NEEDS[verb])
    test = doctest.DocTestParser().get_doctest(getattr(retime, verb).__doc__, {}, verb, None, 0)
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False).run(test)
    assert result.failed == 0, capsys.readouterr().out
