"""One budget for all searches: time, Ctrl-C, and which of them ended the work."""

import pytest

from retime.core.patience import Patience, TimeIsUp


def test_short_work_is_done_again_after_ctrl_c_and_nothing_else_is_begun():
    patience, calls = Patience(), []

    def work():
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return 7

    assert patience.insist(work) == 7
    assert (len(calls), patience.ended) == (2, "interrupted")
    with pytest.raises(TimeIsUp):
        patience.check()
    with patience:
        patience.check()
    assert patience.ended == "interrupted"  # what came first stays


def test_a_part_that_does_not_fit_into_what_is_left_is_not_begun():
    patience = Patience.lasting(1e6)
    patience.check(1.0)
    assert patience.ended is None
    with patience:
        patience.check(2e6)
    assert patience.ended == "time_limit"
    assert Patience.lasting(0.0).is_over()
