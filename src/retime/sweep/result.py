"""What a sweep comes to: a table in memory, results on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from retime.core.arguments import is_number
from retime.core.rendering import terminal_width
from retime.core.result import Result
from retime.sweep.folder import OWN, SweepFolder, row_of

SEED = "seed"
SHOWN = 10  # rows of the table in a short text
FAILURES = 3  # failed cases in the title


class CaseStatus(StrEnum):
    """How a case ended.

    completed: the function returned.
    failed: it raised, took longer than `timeout`, or its process died at each try; `error` says which.
    pending: it has not been run: Ctrl-C came before.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    PENDING = "pending"


class SweepStatus(StrEnum):
    """How a sweep ended.

    completed: every case did.
    failed_cases: all were run, some failed.
    interrupted: Ctrl-C; the same call continues.
    """

    COMPLETED = "completed"
    FAILED_CASES = "failed_cases"
    INTERRUPTED = "interrupted"


class Results(Sequence[Any]):
    """What the function returned, case by case, read from the folder when it is asked for; None where a case did not complete."""

    def __init__(self, folder: Path, names: Sequence[str], table: Sequence[Mapping[str, Any]]) -> None:
        self._folder, self._names, self._table = SweepFolder(folder), names, table

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, k: Any) -> Any:
        """That of a case, or of a slice of them."""
        if isinstance(k, slice):
            return [self[j] for j in range(*k.indices(len(self)))]
        if self._table[k]["status"] != CaseStatus.COMPLETED:
            return None
        return self._folder.result(str(self._names[k]))

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return f"Results({len(self)} cases in {self._folder.path})"


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Result):
    """Many runs of one function.

    Attributes:
        table: one dictionary per case, in the order of the cases: its arguments, `status`, `seconds`, what the function returned (numbers and
            short texts by name; of inner dictionaries `name.name`; a lone number is `value`), `attempts` where its process died before,
            `error` where it failed. Plain data for JSON.
        columns: names of the arguments. folder: where the results are. function: its name.
        status: see `SweepStatus`.
        names: of the cases' files in `folder`/cases, without suffix.
    """

    _plot: ClassVar[str] = "sweep"

    table: list[dict[str, Any]]
    columns: tuple[str, ...]
    folder: Path
    function: str
    status: SweepStatus
    names: tuple[str, ...] = field(repr=False)

    @property
    def results(self) -> Results:
        """What the function returned, as a sequence in the order of the cases; each is read from its file when it is asked for.

        Arrays come back as arrays, networks as networks, results of retime as the data of their `to_dict`.
        """
        return Results(self.folder, self.names, self.table)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the columns that hold numbers which the function returned."""
        found = dict.fromkeys(k for row in self.table for k, v in row.items() if is_number(v))
        return tuple(k for k in found if k not in (*self.columns, *OWN))

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the arguments that differ between cases, without the seed."""
        return tuple(k for k in self.columns if k != SEED and len({repr(row.get(k)) for row in self.table}) > 1)

    def summary(self, *by: str) -> list[dict[str, Any]]:
        """One row for all cases that agree in the arguments `by`: how many there are, completed and failed, and the median of each number.

        Args:
            by: names of arguments; none: all that were varied but the seed, so that the rows are medians over the seeds.

        Raises:
            ValueError: a name that is no argument.
        """
        if wrong := [k for k in by if k not in self.columns]:
            raise ValueError(f"`by` is {wrong[0]!r}; it must be of the cases' arguments: {', '.join(self.columns)}.")
        by, metrics = by or self.varied, self.metrics
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in self.table:
            groups.setdefault(repr([row.get(k) for k in by]), []).append(row)
        found = []
        for rows in groups.values():
            counts = {str(s): sum(r["status"] == s for r in rows) for s in (CaseStatus.COMPLETED, CaseStatus.FAILED)}
            values = {k: [r[k] for r in rows if is_number(r.get(k))] for k in ("seconds", *metrics)}
            found.append(
                {k: rows[0].get(k) for k in by} | {"cases": len(rows)} | counts | {k: median(v) if v else None for k, v in values.items()}
            )  # fmt: skip
        return found

    def records(self) -> list[dict[str, Any]]:
        """The table with all columns in every row, None where a row has none."""
        header = self._columns()
        return [{k: row.get(k) for k in header} for row in self.table]

    def _columns(self) -> Sequence[str]:
        found = dict.fromkeys(k for row in self.table for k in row)
        last = [k for k in ("attempts", "error") if k in found]
        return [*(k for k in found if k not in last), *last]

    def _title(self) -> str:
        counts = {s: sum(row["status"] == s for row in self.table) for s in CaseStatus}
        text = f"{self.function}, {counts[CaseStatus.COMPLETED]} of {len(self.table)} cases completed"
        text += f", {counts[CaseStatus.FAILED]} failed" if counts[CaseStatus.FAILED] else ""
        text += f", {counts[CaseStatus.PENDING]} not run yet ({self.status})" if counts[CaseStatus.PENDING] else ""
        failed = [row for row in self.table if row["status"] == CaseStatus.FAILED]
        for row in failed[:FAILURES]:
            case = ", ".join(f"{k}={row[k]}" for k in self.columns if k in row and (k == SEED or k in self.varied))
            text += f"; {case}: {' '.join(str(row.get('error')).split())[:200]}"
        return text + (f"; {len(failed) - FAILURES} more" if len(failed) > FAILURES else "")

    def _table(self) -> tuple[Sequence[str], list[list[str]]]:
        fixed = [k for k in self.columns if k not in self.varied and k != SEED]
        header = [k for k in self._columns() if k not in (*fixed, "error", "attempts")]
        rows = [[_text(row.get(k)) for k in header] for row in self.table[: SHOWN - 1]]
        widths = [max(map(len, column)) + 2 for column in zip(header, *rows, strict=True)]
        shown = next((k for k in range(len(header)) if sum(widths[: k + 1]) > terminal_width() - 3), len(header))
        more = ["..."] * (shown < len(header))
        rows = [[*row[:shown], *more] for row in rows]
        if len(self.table) >= SHOWN:
            rows.append([f"{len(self.table) - SHOWN + 1} more", *[""] * (shown - 1 + len(more))])
        return [*header[:shown], *more], rows

    def _data(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "status": self.status,
            "folder": str(self.folder),
            "columns": list(self.columns),
            "metrics": list(self.metrics),
            "table": self.table,
        }


def sweep_of(folder: SweepFolder, function: str, cases: Sequence[Mapping[str, Any]], rows: Mapping[str, Any]) -> Sweep:
    """The sweep of a folder.

    Args:
        folder: where the results are. function: its name. cases: `key` and `columns` of each. rows: key -> row of what is finished.
    """
    names = folder.finished()
    table = [rows.get(x["key"]) or row_of(x["columns"], {"status": str(CaseStatus.PENDING)}) for x in cases]
    states = {row["status"] for row in table}
    status = SweepStatus.FAILED_CASES if CaseStatus.FAILED in states else SweepStatus.COMPLETED
    status = SweepStatus.INTERRUPTED if CaseStatus.PENDING in states else status
    columns = dict.fromkeys(k for x in cases for k in x["columns"])
    return Sweep(table, tuple(columns), folder.path, function, status, tuple(names.get(x["key"], "") for x in cases))


def read_sweep(folder: Any) -> Sweep:
    """What a folder holds of the last call of `sweep`, without running anything; also while it runs, or after it was killed.

    Args:
        folder: path of the folder.

    Raises:
        ValueError: no folder of a sweep. RetimeError: a file there cannot be read.
    """
    place = SweepFolder.at(folder)
    found = place.manifest()
    if found is None:
        raise ValueError(f"`folder` is {str(place.path)!r}, which holds no sweep; give the `folder` of a `sweep`.")
    finished = place.finished()
    here = {x["key"]: x for x in found["cases"] if x["key"] in finished}
    rows = {k: row_of(x["columns"], place.read(finished[k])) for k, x in here.items()}
    return sweep_of(place, found["name"], found["cases"], rows)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else " ".join(str(value).split())[:30]
