"""`sweep`: many calls of one function, whose results are kept as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from retime.core.arguments import is_number, whole
from retime.core.errors import RetimeError
from retime.core.notice import notify
from retime.core.progress import progress
from retime.core.rendering import write_csv
from retime.sweep.cases import Case, cases_of
from retime.sweep.engine import engine_of
from retime.sweep.folder import TABLE, SweepFolder, row_of
from retime.sweep.function import Identity
from retime.sweep.result import CaseStatus, Sweep, sweep_of


def sweep(
    function: Callable[..., Any],
    cases: Iterable[Mapping[str, Any]],
    *,
    folder: Any,
    client: Any = None,
    retries: int = 1,
    timeout: float | None = None,
    again: bool = False,
) -> Sweep:
    """Call a function for many cases, on all cores or on other machines, and keep every result in a folder as it comes.

    The same call continues where it stopped, whatever ended it: what the folder holds is not done again. Further cases are further rows; cases
    that are left out stay in the folder. Each case runs on one thread, in a process that nothing else shares, with the generators of `random`
    and `numpy.random` begun anew: results depend neither on the number of workers nor on the order. Ctrl-C returns what there is.

    Args:
        function: takes the arguments of a case by name, and returns numbers, text, arrays, networks, results of retime, or dictionaries and
            lists of them. It may be of the running script or notebook. Random numbers come from a seed among its arguments.
        cases: dictionaries of arguments: `[{"seed": 0}, {"seed": 1}]`; `retime.sweep.grid` makes all combinations.
        folder: path for the results, new or of this sweep. Two processes cannot write to it at once.
        client: where to run: None for a Dask cluster of all cores of this machine, a number of workers here, the address of a scheduler, a
            `distributed.Client`, or a cluster (of `dask_jobqueue`); 0 for this process, without Dask.
        retries: how often a case is tried again whose process or worker died. One that raises is not.
        timeout: seconds on the wall for a case, after which its process is killed and the case has failed; None: no limit.
        again: run the cases again that failed, and keep what completed even if the function has changed since.

    Returns:
        Sweep; `.table` has one row per case, failed ones with their message.

    Raises:
        TypeError: arguments that the function does not take, or a function that cannot be sent. ValueError: the same case twice.
        RetimeError: the folder is in use, or holds results of another function or of this one before it was changed; the scheduler is gone.
        MissingDependencyError: Dask is not installed, and `client` or `timeout` needs it.
    """
    identity, listed, place = Identity.of(function), cases_of(function, cases), SweepFolder.at(folder)
    retries, timeout = whole("retries", retries, 0), _timeout(timeout)
    with place.locked():
        rows = _kept(place, identity, listed, again)
        place.begin(identity, listed)
        try:
            _run(place, [x for x in listed if x.key not in rows], rows, (function, client, retries, timeout))
        except KeyboardInterrupt:
            pass
        finally:
            known = [{"key": x.key, "columns": x.columns} for x in listed]
            found = sweep_of(place, identity.name, known, rows)
            write_csv(found.records(), place.path / TABLE)
    return found


def _run(place: SweepFolder, cases: Sequence[Case], rows: dict[str, Any], how: tuple[Any, ...]) -> None:
    """Run the cases, write what they come to, and add their rows."""
    if not cases:
        return
    function, client, retries, timeout = how
    with (
        engine_of(function, client, retries, timeout, len(cases)) as engine,
        progress("cases", len(cases)) as advance,
        closing(engine.run(cases)) as answers,
    ):
        begun = time.monotonic()
        for count, (case, answer) in enumerate(answers, 1):
            record = {"case": case.described, **answer.record}
            place.write(case.name, record, answer.files)
            rows[case.key] = row_of(case.columns, record)
            spent = time.monotonic() - begun
            advance(1, f"{count / spent:.3g}/s, {_span(spent / count * (len(cases) - count))} left")


def _kept(place: SweepFolder, identity: Identity, cases: Sequence[Case], again: bool) -> dict[str, Any]:
    """Key -> row of the cases that need not be run."""
    found, wanted = place.finished(), {x.key: x for x in cases}
    rows, completed = {}, False
    for key in [k for k in found if k in wanted]:
        try:
            row = row_of(wanted[key].columns, place.read(found[key]))
        except RetimeError as error:
            notify(f"{error} It is run again.", once=False)
            continue
        completed |= row["status"] == CaseStatus.COMPLETED
        rows[key] = row
    was = place.manifest()
    changed = _changed(place, identity, was) if was is not None and found else ""
    if changed and (completed or len(found) > len(rows)) and not again:
        raise RetimeError(changed)
    if again or changed:
        rows = {k: row for k, row in rows.items() if row["status"] == CaseStatus.COMPLETED}
    return rows


def _changed(place: SweepFolder, identity: Identity, was: Mapping[str, Any]) -> str:
    if was["name"] != identity.name:
        return (
            f"The folder {place.path} holds results of {was['name']}; this is {identity.name}. Give another `folder`."
        )
    if was["python"] == identity.python and was["code"] != identity.code:
        return (
            f"{identity.name} has changed since its results in {place.path} were made. Give another `folder`, or set `again` to keep what "
            "completed and run what failed and what is new."
        )
    return ""


def _timeout(value: Any) -> float | None:
    if value is not None and (not is_number(value) or not 0 < value < float("inf")):
        raise ValueError(f"`timeout` is {value!r}; it must be a number of seconds > 0, or None for no limit.")
    return value if value is None else float(value)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
