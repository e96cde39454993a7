"""Plans: what a TOML file says, and what is said of one that is wrong."""

import pytest

import retime as rt
from retime.sweep import read_plan

WORK = "def run(seed, size=1, task=None):\n    return size * seed\n"


def planned(folder, text):
    (folder / "plan_work.py").write_text(WORK)
    (folder / "study.toml").write_text(text)
    return read_plan(folder / "study.toml")


def test_a_plan_is_a_function_a_folder_and_cases(tmp_path):
    plan = planned(
        tmp_path,
        """
        function = "plan_work.py:run"
        timeout = 5
        workers = 0
        [fixed]
        size = 3
        [grid]
        seed = { start = 1, stop = 5, step = 2 }
        """,
    )
    assert plan.function(seed=2, size=3) == 6
    assert plan.cases == [{"size": 3, "seed": 1}, {"size": 3, "seed": 3}]
    assert plan.folder == tmp_path / "study"
    assert plan.options == {"timeout": 5, "client": 0}


def test_cases_one_by_one_are_combined_with_the_grid_and_objects_are_made(tmp_path):
    plan = planned(
        tmp_path,
        """
        function = "plan_work.py:run"
        folder = "out"
        scheduler = "tcp://host:8786"
        [fixed]
        task = { call = "retime.learn:FlipFlop", num_bits = 2 }
        [grid]
        seed = [0, 1]
        [[cases]]
        size = 1
        [[cases]]
        size = 2
        """,
    )
    assert [(x["size"], x["seed"]) for x in plan.cases] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert plan.cases[0]["task"] == rt.learn.FlipFlop(num_bits=2)
    assert (plan.folder, plan.options) == (tmp_path / "out", {"client": "tcp://host:8786"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("function = ", r"study\.toml is no plan: "),
        ("funktion = 'a:b'", r"has `funktion`; a plan takes function, .* Is `function` meant\?"),
        ("[grid]\nseed = [0]", "must have `function`, a text such as 'work.py:run'; it has None"),
        ("function = 'plan_work.py'\n[grid]\nseed = [0]", "`function` is 'plan_work.py'; it must be a module or a file and a name"),
        ("function = 'works.py:run'\n[grid]\nseed = [0]", r"there is no file .*works\.py"),
        ("function = 'plan_work.py:ran'\n[grid]\nseed = [0]", "which was not found .*ran"),
        ("function = 'no_such_module:run'\n[grid]\nseed = [0]", "which was not found .*no_such_module"),
        ("function = 'plan_work.py:run'", "has neither `grid` nor `cases`"),
        ("function = 'plan_work.py:run'\n[grid]\nseed = 3", r"has `grid.seed` = 3; it must be a list of values"),
        ("function = 'plan_work.py:run'\ncases = 3", r"has `cases` = 3; it must be tables: \[\[cases\]\]"),
        ("function = 'plan_work.py:run'\nworkers = 2\nscheduler = 'a'\n[grid]\nseed = [0]", "has `workers` and `scheduler`; give one"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_told_what_is_wrong(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        planned(tmp_path, text)
