"""Small pictures as SVG for notebooks and for pages without JavaScript: a few lines, no library, no style of their own but one colour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from retime.core.arrays import Array

INK = "#3b82c4"  # reads on white and on black
OUT = "#d2552d"
WIDE, TALL = 420, 44  # pixels, of one series
MOST = 4  # series in a picture
POINTS = 600


def series_sketch(times: Array, columns: Array, names: Sequence[str]) -> str:
    """Time series `(T, k)` one below the other, the first four, as SVG; "" where nothing is finite."""
    x, t = np.asarray(columns, dtype=float), np.asarray(times, dtype=float)
    good = np.isfinite(x).all(axis=1) & (np.abs(x) < 1e300).all(axis=1)
    x, t = x[good], t[good]
    if len(x) < 2:
        return ""
    every = max(len(x) // POINTS, 1)
    x, t = x[::every, :MOST], t[::every]
    parts = []
    for k in range(x.shape[1]):
        low, span = x[:, k].min(), np.ptp(x[:, k]) or 1.0
        across = 46 + (WIDE - 50) * (t - t[0]) / (t[-1] - t[0] or 1.0)
        up = TALL * k + 4 + (TALL - 8) * (1.0 - (x[:, k] - low) / span)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
        parts.append(
            _text(2, TALL * k + TALL / 2 + 4, names[k]) + f'<polyline points="{points}" fill="none" stroke="{INK}"/>'
        )
    label = f"Time series from t = {t[0]:.6g} to {t[-1]:.6g}"
    return _svg(WIDE, TALL * x.shape[1], "".join(parts), label)


def plane_sketch(eigenvalues: Any, *, is_circle: bool) -> str:
    """Eigenvalues against the unit circle, or the imaginary axis, as SVG; "" where none is finite."""
    w = np.ravel(np.asarray(eigenvalues, dtype=complex))
    w = w[np.isfinite(w)]
    if not len(w):
        return ""
    size, half = 150, 1.15 * max(float(np.abs(w).max()), 1.0 if is_circle else 1e-12)
    scale = size / 2 / half
    shape = (
        f'<circle cx="{size / 2}" cy="{size / 2}" r="{scale:.1f}"' if is_circle else f'<path d="M{size / 2} 0V{size}"'
    )
    dots = "".join(
        f'<circle cx="{size / 2 + scale * z.real:.1f}" cy="{size / 2 - scale * z.imag:.1f}" r="2.5" fill="{OUT if grows else INK}"/>'
        for z, grows in zip(w[:2000], (np.abs(w) > 1.0 if is_circle else w.real > 0.0)[:2000], strict=True)
    )
    axis = f'<path d="M0 {size / 2}H{size}" stroke="currentColor" opacity="0.3"/>'
    label = f"{len(w)} eigenvalues and the {'unit circle' if is_circle else 'imaginary axis'}"
    return _svg(size, size, f'{axis}{shape} fill="none" stroke="currentColor"/>{dots}', label)


def _svg(width: float, height: float, body: str, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label, quote=True)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{body}</svg>'
    )


def _text(x: float, y: float, text: str) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="12" font-family="sans-serif" fill="currentColor">{escape(text[:6])}</text>'
    )
