"""State of a training run on disk: written whole or not at all, read without executing anything, refused by another run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.arrays import Array
from retime.core.errors import RetimeError
from retime.core.files import replace_atomically


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a run is kept.

    Args:
        path: of the file.
        run: what decides the run, by name: sizes, seed, optimizer. A file of another run is refused, and what differs is named.
    """

    path: Path
    run: Mapping[str, Any]

    def write(self, leaves: Sequence[Array], record: Mapping[str, Any]) -> None:
        """Replace the file.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        arrays: Any = {f"leaf_{k}": np.asarray(x) for k, x in enumerate(leaves)}
        text = json.dumps({"run": self.run, **record})
        try:
            with replace_atomically(self.path) as new, new.open("wb") as file:
                np.savez(file, record=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
        except OSError as error:
            was = "the last one is as it was" if self.path.exists() else "training did not start"
            reason = error.strerror or error
            raise type(error)(f"the checkpoint {self.path} cannot be written ({reason}); {was}.") from error

    def read(self, like: Sequence[Array]) -> tuple[list[Array], dict[str, Any]] | None:
        """The arrays, of the shapes and kinds of `like`, and the record; None where there is no file yet.

        Raises:
            RetimeError: no checkpoint of this run.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                record = json.loads(bytes(file["record"]).decode())
                leaves = [file[f"leaf_{k}"] for k in range(len(file.files) - 1)]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RetimeError(
                f"{self.path} is no checkpoint of retime ({error}); give another `checkpoint`."
            ) from error
        wanted = json.loads(json.dumps(self.run))
        differ = [
            f"{k} is {wanted.get(k)!r}, there {record['run'].get(k)!r}"
            for k in wanted
            if wanted.get(k) != record["run"].get(k)
        ]
        same = [(x.shape, x.dtype) for x in leaves] == [(np.shape(x), np.asarray(x).dtype) for x in like]
        if differ or not same:
            why = "; ".join(differ) or "its arrays have other shapes"
            raise RetimeError(
                f"{self.path} is the checkpoint of another run: {why}. Give another `checkpoint`, or resume=False."
            )
        return leaves, record
