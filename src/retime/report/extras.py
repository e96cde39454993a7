"""Sections of results that are not about dynamics: circuits, trainings, tables of runs, and any other result as it prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from retime.circuits import Circuit
from retime.core.errors import MissingDependencyError
from retime.core.result import Result
from retime.learn.result import Fit
from retime.report import html
from retime.report.html import Section

ROWS = 200  # of a table that are written out
UNITS = 40  # of a circuit whose netlist is written out: larger ones are long


def table_section(name: str, title: str, rows: Sequence[dict[str, Any]], words: str = "") -> Section:
    """A table of flat dictionaries: one row each, columns in the order in which they first come.

    Args:
        name: id of the section. title: its heading. rows: of any results, runs of a sweep, say. words: a paragraph before it.
    """
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[value(row.get(name, "")) for name in names] for row in rows[:ROWS]]
    left = f"The first {ROWS} of {len(rows)} rows; all are in the JSON of this page." if len(rows) > ROWS else ""
    body = "".join(html.paragraph(x) for x in (words, left) if x)
    return Section(name, title, body + html.table(names, cells, title), {"rows": list(rows)})


def value(x: Any) -> str:
    """A cell of a table."""
    if isinstance(x, bool) or x is None:
        return {True: "yes", False: "no", None: ""}[x]
    return f"{x:.6g}" if isinstance(x, (float, np.floating)) else str(x)


def result_section(result: Result) -> Section:
    """Any result: its rows where it is a table, else what a notebook shows of it."""
    name = re.sub(r"(?<!^)(?=[A-Z])", " ", type(result).__name__)
    key, title = name.lower().replace(" ", "-"), name.capitalize()
    caption = repr(result).partition("\n")[0]
    try:
        return table_section(key, title, result.records(), caption)
    except TypeError:
        return Section(
            key, title, f'<div class="scroll" tabindex="0" role="group" aria-label="{key}">{result._repr_html_()}</div>'
        )


def circuit_section(circuit: Circuit) -> Section:
    """A circuit: drawing, parts, netlist."""
    try:
        drawing = html.picture(circuit.schematic(), "Schematic of the first units of the circuit")
    except MissingDependencyError as error:
        drawing = html.paragraph(f"No drawing: {error}")
    parts = [{**part.to_dict()} for part in circuit.bill_of_materials().parts]
    names = list(dict.fromkeys(key for row in parts for key in row))
    bill = html.table(names, [[value(row.get(k, "")) for k in names] for row in parts[:ROWS]], "Parts of the circuit")
    small = circuit.form.num_states <= UNITS
    netlist = html.folded("Netlist (ngspice)", html.listing(circuit.netlist(), "Netlist")) if small else ""
    words = html.paragraph(repr(circuit))
    data = {"parts": parts, "netlist": circuit.netlist() if small else None, **circuit.to_dict()}
    return Section("circuit", "Circuit", words + drawing + html.folded("Parts", bill) + netlist, data)


def fit_section(fit: Fit) -> Section:
    """A training: the loss as a curve, what was measured on held-out data."""
    history = [dict(row) for row in fit.history]
    names = [k for k in dict.fromkeys(k for row in history for k in row) if k != "step"]
    curves = {
        k: [row.get(k) for row in history]
        for k in names
        if any(isinstance(row.get(k), (int, float)) for row in history)
    }
    held = html.table(
        ["held out", "value"], [[k.replace("_", " "), value(v)] for k, v in fit.metrics.items()], "Held-out data"
    )
    checks = html.folded(
        "Every check",
        html.table(
            ["step", *names], [[value(r.get(k, "")) for k in ("step", *names)] for r in history[:ROWS]], "Checks"
        ),
    )
    data = {
        "curves": {"x": [row.get("step") for row in history], "name": "updates", "y": curves, "log": True},
        "metrics": fit.metrics,
    }
    return Section("fit", "Training", html.paragraph(f"{fit.status}. {fit.message}".strip()) + held + checks, data)
