"""The folder of a sweep: one file per finished case, what the sweep is, the table; one process at a time writes to it.

    sweep.json             the function, a digest of its code, the cases of the last call in their order
    cases/NAME.json        the case, how it ended, its row of the table, and what the function returned, as plain data
    cases/NAME.npz         the arrays of that, where it has any; cases/NAME.PLACE.npz its networks, which `retime.load` reads
    table.csv              the table, written when a call ends

A case is finished when its `.json` is there: it is written last, to a temporary name, and renamed.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retime.core.errors import RetimeError
from retime.core.files import replace_atomically
from retime.sweep.cases import Case
from retime.sweep.function import Identity
from retime.sweep.values import beside, unpacked

FORMAT = 1
MANIFEST, TABLE, CASES, LOCK = "sweep.json", "table.csv", "cases", ".lock"
OWN = ("status", "seconds", "attempts", "error")
"""Columns of the table that are neither of the case nor of what the function returned."""


@dataclass(frozen=True)
class SweepFolder:
    """A folder, which need not exist yet."""

    path: Path

    @classmethod
    def at(cls, folder: Any) -> SweepFolder:
        """That of an argument `folder`.

        Raises:
            TypeError: not a path. ValueError: a file, or a folder that holds other things than a sweep.
        """
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"`folder` is {folder!r}; it must be the path of a folder for the results.")
        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise ValueError(f"`folder` is {str(path)!r}, a file; it must be a folder, new, empty or of a sweep.")
        others = [x.name for x in path.iterdir() if x.name != LOCK] if path.is_dir() else []
        if others and MANIFEST not in others and CASES not in others:
            raise ValueError(
                f"`folder` is {str(path)!r}, which holds {min(others)} and no sweep; give a new or an empty folder."
            )
        return cls(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out. The lock is the operating system's: it goes with its owner, however that ends.

        Raises:
            RetimeError: another process writes here. OSError: the folder cannot be made or written.
        """
        (self.path / CASES).mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("a+") as file:
            if not _lock(file):
                file.seek(0)
                owner = file.read().strip() or "another process"
                raise RetimeError(
                    f"The folder {self.path} is in use by {owner}; wait until that ends, or give another `folder`."
                )
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def manifest(self) -> dict[str, Any] | None:
        """What the last call wrote; None in a new folder.

        Raises:
            RetimeError: it cannot be read.
        """
        path = self.path / MANIFEST
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] > FORMAT:
                raise RetimeError(f"{path} was written by a later version of retime; update retime.")
        except (ValueError, KeyError, TypeError) as error:
            raise RetimeError(f"{path} is damaged ({error}); remove it: the results beside it are kept.") from error
        return found

    def begin(self, identity: Identity, cases: Sequence[Case]) -> None:
        """Write down what is about to be done."""
        listed = [{"key": x.key, "columns": x.columns} for x in cases]
        self._write(self.path / MANIFEST, {"format": FORMAT, **asdict(identity), "cases": listed})

    def finished(self) -> dict[str, str]:
        """Key -> name of every case whose file is here, of this call or another."""
        names = (x.name[: -len(".json")] for x in os.scandir(self.path / CASES) if _is_record(x.name))
        return {name.rpartition("-")[2]: name for name in names}

    def write(self, name: str, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Keep what became of a case: its files first, its record last."""
        stem = self.path / CASES / name
        for suffix, content in files.items():
            with replace_atomically(beside(stem, suffix)) as temporary:
                temporary.write_bytes(content)
        self._write(beside(stem, ".json"), record)

    def read(self, name: str) -> dict[str, Any]:
        """The record of a finished case.

        Raises:
            RetimeError: it cannot be read.
        """
        path = beside(self.path / CASES / name, ".json")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {"status": found["status"], **found}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RetimeError(f"{path} cannot be read ({error}); remove it, and its case is run again.") from error

    def result(self, name: str) -> Any:
        """What the function returned; None of a case that failed."""
        return unpacked(self.read(name).get("result"), self.path / CASES / name)

    def _write(self, path: Path, data: Any) -> None:
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(data, allow_nan=False), encoding="utf-8")


def row_of(columns: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a case: its arguments, how it ended, and what it returned; of two things of one name the second is `result.name`."""
    row = dict(columns) | {"status": record["status"], "seconds": record.get("seconds")}
    for name, value in record.get("row", {}).items():
        row[f"result.{name}" if name in row or name in OWN else name] = value
    if record.get("attempts", 1) > 1:
        row["attempts"] = record["attempts"]
    if "error" in record:
        row["error"] = record["error"]
    return row


def _is_record(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _lock(file: Any) -> bool:
    """Take the lock of an open file; False where another holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _lock_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock_on_windows(file: Any) -> bool:
    import msvcrt

    file.seek(0x7FFF0000)  # beyond the text, which others may read
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
