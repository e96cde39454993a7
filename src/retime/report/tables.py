"""What every reader sees of the dynamics, with and without JavaScript: tables of points, cycles, exponents, regions, errors, certificates."""

from __future__ import annotations

from typing import Any

import numpy as np

from retime.analysis.fixed_points.result import where_it_is
from retime.core.certificate import Certificate
from retime.report.findings import Findings
from retime.report.html import Section, folded, paragraph, table
from retime.report.words import unwrapped

ROWS = 100


def points_section(found: Findings) -> Section | None:
    """The fixed points as a table; the numbers are those of the picture."""
    points = found.points
    if points is None:
        return None
    title = "Fixed points" if points.dt is not None else "Points of rest"
    if not len(points):
        return Section("points", title, paragraph(f"None was found: {points.message}."))
    symbol = where_it_is(points.points[0], None if points.outputs is None else points.outputs[0])[0]
    rows = []
    for k, p in enumerate(points[:ROWS]):
        place = where_it_is(p.state, p.outputs)[1]
        turning = f"{p.frequency:.4g}" if p.frequency else ""
        rows.append(
            [
                k + 1,
                p.kind + (" on its side" if p.on_boundary else ""),
                place,
                p.num_unstable,
                p.pace,
                turning,
                f"{p.residual:.1e}",
            ]
        )
    header = ["number", "kind", symbol, "unstable directions", "leading mode", "frequency", "residual"]
    text = "" if len(points) <= ROWS else paragraph(f"The first {ROWS} of {len(points)}.")
    continua = "".join(paragraph(f"Also {x!r}") for x in points.continua[:5])
    body = table(header, rows, title, attributes=' id="points-table"') + text + continua
    return Section("points", title, body, {"records": points.records()[:ROWS] if points.points.shape[1] <= 64 else []})


def cycles_section(found: Findings) -> Section | None:
    """The cycles, but for fixed points."""
    longer = [] if found.cycles is None else [c for c in found.cycles if len(c.points) > 1]
    if not longer:
        return None
    header = ["number", "period", "kind", "neighbors", "largest |multiplier|", "residual"]
    rows = [
        [k + 1, f"{c.period:.8g}", c.kind, c.pace, f"{c.largest:.6g}", f"{c.residual:.1e}"]
        for k, c in enumerate(longer[:ROWS])
    ]
    return Section("cycles", "Cycles", table(header, rows, "Cycles", attributes=' id="cycles-table"'))


def exponents_section(found: Findings) -> Section | None:
    """The exponents with their errors."""
    e = found.exponents
    if e is None or not np.isfinite(e.exponents).any():
        return None
    rows = [
        [k + 1, f"{x:.6g}", f"{d:.1g}" if np.isfinite(d) else "", f"{1 / abs(x):.4g}" if x else ""]
        for k, (x, d) in enumerate(zip(e.exponents, e.standard_errors, strict=True))
    ]
    header = ["number", "exponent (1 / model time)", "standard error", "e-folding time"]
    words = repr(e).partition("\n")[0].removeprefix("LyapunovSpectrum: ")
    return Section("exponents", "Lyapunov exponents in numbers", paragraph(words + "."), {}) if not rows else Section(
        "exponents", "Lyapunov exponents in numbers", paragraph(words.rstrip(".") + ".") + table(header, rows, "Lyapunov exponents")
    )  # fmt: skip


def regions_section(found: Findings) -> Section | None:
    """The regions visited, the longest first."""
    r = found.regions
    if r is None or not len(r):
        return None
    rows = [
        [k + 1, "".join("01"[int(b)] for b in r.patterns[k][:64]) + ("…" if r.patterns.shape[1] > 64 else ""),
         f"{100 * r.fractions[k]:.3g} %", int(r.visits[k]), f"{r.mean_dwell_times[k]:.4g}"]
        for k in range(min(len(r), 40))
    ]  # fmt: skip
    note = paragraph(f"The 40 most visited of {len(r)}.") if len(r) > 40 else ""
    words = paragraph(
        f"{int(r.jumps.sum())} changes of region. A region is a set of ReLU units that are on: inside it the network is linear."
    )
    header = ["number", "units that are on", "share of time", "visits", "mean stay"]
    return Section(
        "regions", "Regions visited", words + folded("Table of regions", table(header, rows, "Regions") + note)
    )


def conversion_section(found: Findings) -> Section | None:
    """The converted flow: status of its regions, the errors under both switching rules."""
    c = found.conversion
    if c is None:
        return None
    kinds = [
        [name, x["regions"], x["steps"], f"{100 * x['steps'] / c.steps:.1f} %", x["auxiliary"], f"{x['worst_residual']:.1e}"]
        for name, x in c.statuses().items()
    ]  # fmt: skip
    header = ["status", "regions", "steps", "share", "auxiliary states", "worst residual"]
    words = [x for x in unwrapped(c.clock_words) if not x.startswith("What you may claim")]
    body = (
        "".join(map(paragraph, words))
        + table(header, kinds, "Status of the regions")
        + _errors({"clock": c.clock, "state": c.state})
    )
    return Section("conversion", "Map and flow in numbers", body, {"report": c})


def comparison_section(found: Findings) -> Section | None:
    """Comparisons that were given by themselves."""
    if not found.comparisons:
        return None
    rules = {x.switching or f"comparison {k + 1}": x for k, x in enumerate(found.comparisons)}
    return Section("comparison", "Comparison", _errors(rules))


def _errors(rules: dict[str, Any]) -> str:
    kinds = {
        "one step, largest": "max_one_step_error",
        "one step, relative to the state": "max_one_step_error_relative",
        "one step, where no boundary is crossed": "max_one_step_error_without_crossing",
        "whole orbit, largest": "max_orbit_error",
    }
    rows = [[words, *(f"{x.summary()[key]:.2e}" for x in rules.values())] for words, key in kinds.items()]
    names = [
        f"region read at {'samples (clock)' if k == 'clock' else 'every time (state)'}"
        if k in ("clock", "state")
        else k
        for k in rules
    ]
    notes = "".join(paragraph(f"{k}: {x.message}.") for k, x in rules.items() if x.message)
    return table(["error against the map", *names], rows, "Errors of the flow") + notes


def certificates_section(found: Findings) -> Section | None:
    """Every certificate: claim, scope, and its conditions with their margins."""
    given = [*found.claims]
    if found.conversion is not None:
        given.insert(0, ("Conversion", found.conversion.certificate))
    body = "".join(_certificate(name, c) for name, c in given)
    return Section("certificate", "Certificates", body) if given else None


def _certificate(name: str, c: Certificate) -> str:
    rows = [
        [x.name, "yes" if x.required else "no", "yes" if x.holds else "no", f"{x.margin:+.3g}", x.detail]
        for x in c.conditions
    ]
    facts = [["claim", c.claim], ["scope", c.scope], ["source", c.source]]
    return (
        paragraph(f"{name}: {c.plain_line}", "verdict " + ("good" if c.holds else "bad"))
        + table(["what", "words"], [x for x in facts if x[1]], f"{name}: claim and scope")
        + (
            table(["condition", "needed", "holds", "margin", "the margin is"], rows, f"{name}: conditions")
            if rows
            else ""
        )
    )


def basins_section(found: Findings) -> Section | None:
    """The shares of initial states."""
    b = found.basins
    if b is None:
        return None
    rows = [
        [a.name, f"{100 * a.fraction:.3g} %", f"{100 * a.interval[0]:.3g} to {100 * a.interval[1]:.3g} %", a.count]
        for a in b.attractors
    ]
    return Section(
        "basins", "Basins of attraction", table(["ends on", "share", "95 % interval", "orbits"], rows, "Basins")
    )


def sections(found: Findings) -> list[Section]:
    """The sections of a page in their order; what is not known has none."""
    made = (
        points_section,
        cycles_section,
        exponents_section,
        regions_section,
        conversion_section,
        comparison_section,
        basins_section,
    )
    own = [make(found) for make in made]
    return [x for x in [*own, *found.sections, certificates_section(found)] if x is not None]
