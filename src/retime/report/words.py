"""The summary of a page in words: what the network does, what is proven, what is measured, what may be claimed."""

from __future__ import annotations

import numpy as np

from retime.report.findings import Findings


def summary(found: Findings) -> dict[str, list[str]]:
    """Sentences under the headings of a page; a heading without sentences is left out."""
    parts = {
        "What it does": _does(found),
        "What is proven": _proven(found),
        "What is measured": _measured(found),
        "What may be claimed": _claims(found),
        "What was left out": found.notes,
    }
    return {name: sentences for name, sentences in parts.items() if sentences}


def unwrapped(text: str) -> list[str]:
    """The paragraphs of a text that was wrapped to a width, each in one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _does(found: Findings) -> list[str]:
    text = []
    if found.behavior:
        text.append(f"The orbit that is drawn: {found.behavior}.")
    elif found.orbit is not None and found.orbit.ending:
        text.append(f"The orbit that is drawn {found.orbit.ending}.")
    points, cycles = found.points, found.cycles
    if points is not None:
        stable = int(points.stable.sum())
        held = "none is stable" if not stable else "all are stable" if stable == len(points) else f"{stable} stable"
        one = "it is stable" if stable else "it is unstable"
        text.append(
            f"There {'is' if len(points) == 1 else 'are'} {points.counted}"
            + (f"; {one if len(points) == 1 else held}." if len(points) else ".")
        )
        if points.continua:
            text.append(f"In {len(points.continua)} regions there is a whole line or plane of them.")
    longer = [] if cycles is None else [c for c in cycles if len(c.points) > 1]
    if longer:
        stable = sum(c.stable for c in longer)
        text.append(
            f"{len(longer)} longer cycle{'s' if len(longer) > 1 else ''} {'were' if len(longer) > 1 else 'was'} found, {stable} stable."
        )
    if found.basins is not None:
        named = [f"{a.name} ({100 * a.fraction:.3g} %)" for a in found.basins.attractors]
        text.append(f"Initial states of the box end on: {', '.join(named)}.")
    if found.regions is not None and len(found.regions):
        r = found.regions
        text.append(f"Its orbit visits {len(r)} of 2^{r.patterns.shape[1]} linear regions.")
    return text


def _proven(found: Findings) -> list[str]:
    text = []
    if found.points is not None:
        text.append(
            (
                "These are all fixed points: "
                if found.points.complete
                else "Not proven that these are all fixed points: "
            )
            + f"{found.points.message.removeprefix('complete: ')}."
        )
    if found.cycles is not None and hasattr(found.cycles, "message"):
        text.append(f"Cycles: {found.cycles.message}.")
    if found.conversion is not None:
        text.append(f"Conversion: {found.conversion.certificate.plain_line}")
    text.extend(f"{name}: {c.plain_line}" for name, c in found.claims if name != "Fixed points")
    return text


def _measured(found: Findings) -> list[str]:
    text = []
    e = found.exponents
    if e is not None and len(e.exponents) and np.isfinite(e.exponents[0]):
        known = "" if e.settled else ", not settled"
        error = f" ± {e.standard_errors[0]:.1g}" if np.isfinite(e.standard_errors[0]) else ""
        text.append(f"Largest Lyapunov exponent {e.exponents[0]:.5g}{error} per unit of time{known}.")
        if np.isfinite(e.kaplan_yorke):
            text.append(f"Kaplan-Yorke dimension {'at least ' if e.kaplan_yorke_is_bound else ''}{e.kaplan_yorke:.4g}.")
    r = found.regions
    if r is not None and len(r) > 1 and np.isfinite(r.entropy_rate.value):
        text.append(f"Entropy rate of the regions {r.entropy_rate.value:.4g} bits per sample.")
    if found.conversion is not None:
        s = found.conversion.clock.summary()
        text.append(
            f"The flow (region held from sample to sample) is off by at most {s['max_one_step_error_relative']:.1e} of the state's size "
            f"in one step, over {s['steps']} steps."
        )
    for c in found.comparisons:
        s = c.summary()
        text.append(
            f"Comparison: one step off by at most {s['max_one_step_error']:.2e}, the orbit by {s['max_orbit_error']:.2e}."
        )
    return text


def _claims(found: Findings) -> list[str]:
    text = []
    if found.conversion is not None:
        clock = [x for x in unwrapped(found.conversion.clock_words) if x.startswith("What you may claim")]
        text += [x.removeprefix("What you may claim. ").removeprefix("What you may claim: ") for x in clock]
        text += unwrapped(found.conversion.state_words)
    elif found.points is not None and len(found.points):
        one = len(found.points) == 1
        text.append(
            "That these are all fixed points, within the scope of the certificate." if found.points.complete
            else f"That {'this fixed point exists' if one else f'these {len(found.points)} fixed points exist'}; not that there are no others."
        )  # fmt: skip
    return text
