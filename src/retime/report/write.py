"""`report`: results -> one self-contained HTML file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from retime.core.files import replace_atomically
from retime.core.sketch import plane_sketch, series_sketch
from retime.core.time import time_of
from retime.report.findings import Findings, collect
from retime.report.live import ROOM, live
from retime.report.page import page
from retime.report.tables import sections
from retime.report.views import Coordinates, drawn_rows, views
from retime.report.words import summary

CITE = (
    "How to cite: the program with its version (`retime cite` prints BibTeX), and the paper whose method you use; certificates name theirs. "
    "The first line of a certificate is written to be quoted."
)
WEIGHTS = 50_000_000  # characters that weights may take where live=True asks for them


def report(
    model_or_results: Any,
    path: str | Path,
    *,
    title: str | None = None,
    about: str = "",
    labels: Sequence[str] | None = None,
    z0: Any = None,
    steps: int = 10_000,
    inputs: Any = None,
    basins: int = 0,
    live: bool | None = None,
    time_limit: float | None = 60.0,
    seed: int | None = 0,
    command: str = "",
) -> Path:
    """Write one HTML page about a network: what it does, drawn, linked and explained; it needs no network and no other file.

    Args:
        model_or_results: a network (it is analyzed, and a map is converted), or results that exist already, one or a list of them
            (nothing is computed again): of `analyze`, `conversion_report`, `to_continuous`, `find_fixed_points`, `simulate`, `fit`,
            `to_circuit`, ... A training, a circuit or a conversion by itself stands for its network too.
        path: the file, .html; written whole or not at all.
        title: heading; None for the network in words. about: a line below it.
        labels: names of the outputs, or of the states of a network without a readout.
        z0, steps, inputs, basins, time_limit, seed: as for `analyze`, where a network is analyzed.
        live: whether the weights are in the page, so that orbits can be started there; None: if they are small (0.3 MB).
        command: what made the page, for its last lines.

    Returns:
        The path.

    Raises:
        TypeError: neither a network nor results. ValueError: `path` ends otherwise, or `labels` are not one per output. OSError: the folder
        does not exist or cannot be written.

    Examples:
        >>> import retime as rt
        >>> model = rt.PLRNN([0.5], [[0.0]], [0.5])
        >>> rt.report(model, "page.html", z0=[0.3], steps=20).name
        'page.html'
    """
    path = _file(path)
    found = Findings()
    collect(model_or_results, found)
    found.look(z0, steps=steps, inputs=inputs, basins=basins, time_limit=time_limit, seed=seed)
    text = _text(found, title, about, labels, live, command)
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _file(path: Any) -> Path:
    """The path, checked before the work is done."""
    if not isinstance(path, (str, Path)):
        raise TypeError(f"`path` is {path!r}, a {type(path).__name__}; it must be the name of a file.")
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"`path` is {str(path)!r}; a report is written as .html.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist; create it first.")
    return path


def _text(
    found: Findings,
    title: str | None,
    about: str,
    labels: Sequence[str] | None,
    with_weights: bool | None,
    command: str,
) -> str:
    """The page as text."""
    made, data = sections(found), views(found, labels)
    name = "Results" if found.model is None else repr(found.model)
    if title is not None and found.model is not None:
        about = f"{about} {name}".strip()
    data["live"] = _live(found, labels, with_weights)
    data["sections"] = {x.id: x.data for x in made if x.data}
    words = summary(found)
    data["summary"] = words
    data["about"] = {
        "title": name if title is None else title, "retime": version("retime"), "command": command, "cite": CITE,
        "versions": {"Python": platform.python_version()} | {x: version(x) for x in ("numpy", "scipy", "jax")},
    }  # fmt: skip
    return page(data["about"]["title"], about, words, made, data, _still(found))


def _still(found: Findings) -> str:
    """Small pictures that need no JavaScript: time series of the orbit, eigenvalues of the fixed points."""
    parts, orbit, points = [], found.orbit, found.points
    if orbit is not None:
        symbol, values = ("z", orbit.states) if orbit.outputs is None else ("x", orbit.outputs)
        parts.append(series_sketch(orbit.times, values, [f"{symbol}{k + 1}" for k in range(values.shape[1])]))
    if points is not None:
        parts.append(plane_sketch(points.eigenvalues, is_circle=time_of(points.dt).neutral == 1.0))
    return "".join(parts)


def _live(found: Findings, labels: Sequence[str] | None, with_weights: bool | None) -> dict[str, Any]:
    if with_weights is False:
        return {"reason": "live=False left its weights out"}
    if found.orbit is None:
        return live(found, None, np.zeros(0, dtype=int))
    rows = drawn_rows(found.orbit)
    frame = Coordinates(found, np.asarray(found.orbit.states)[rows], labels)
    return live(found, frame, rows, room=WEIGHTS if with_weights else ROOM)
