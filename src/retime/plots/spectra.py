"""Eigenvalues, multipliers and Lyapunov exponents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from retime.core.arrays import Array

if TYPE_CHECKING:
    from retime.analysis.cycles.result import Cycle
    from retime.analysis.exponents.result import LyapunovSpectrum
    from retime.analysis.fixed_points.result import FixedPoint, FixedPoints
    from retime.analysis.reconstruction.spectral import SpectralDistance

from retime.plots.style import COLORS, LEGEND, STABLE, UNSTABLE, color_list, legend, new_axes, period_name

HUGE = 20.0  # largest modulus from which multipliers are drawn on a logarithmic radius


def spectrum(result: FixedPoints | FixedPoint, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of fixed points, or of one of them, in the complex plane, with the unit circle (maps) or the imaginary axis (flows).

    Filled where the point is stable; up to ten points have a color each.

    Args:
        result: from `find_fixed_points`, or a point of it.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: there is no fixed point.
    """
    found: Any = result
    points = [*found] if hasattr(found, "__len__") else [found]
    if not len(points):
        raise ValueError(f"There is no fixed point, so there are no eigenvalues to draw ({found.message}).")
    ax = new_axes(ax)
    few, seen = len(points) <= COLORS, set()
    ring = min(2.0, 12.0 / max(len(points) - 1, 1))  # equal eigenvalues of several points stay visible as rings
    for k, x in enumerate(points):
        w = x.eigenvalues[np.isfinite(x.eigenvalues)]
        stable = bool(x.stable)
        color = f"C{k}" if few else (STABLE if stable else UNSTABLE)
        label = f"{x.index}: {x.kind}" if few else ("stable" if stable else "unstable")
        fill = color if stable else "none"
        size = 4.0 + ring * (len(points) - 1 - k) if few else 2.5
        ax.plot(w.real, w.imag, "o", ms=size, color=color, mfc=fill, label=None if label in seen else label)
        seen.add(label)
    if result.dt is None:
        ax.axvline(0.0, lw=0.8, color="0.5", zorder=0)
    else:
        ax.add_patch(Circle((0.0, 0.0), 1.0, fill=False, lw=0.8, ec="0.5", zorder=0))
        ax.set_aspect("equal", adjustable="datalim")
    ax.axhline(0.0, lw=0.4, color="0.8", zorder=0)
    name = r"\lambda" if result.dt is not None else r"\mathrm{rate}"
    unit = "" if result.dt is not None else " (1/time)"
    ax.set(xlabel=f"Re ${name}${unit}", ylabel=f"Im ${name}${unit}")
    legend(ax)
    return ax


def multipliers(cycles: Sequence[Cycle], *, logarithmic: bool | None = None, ax: Axes | None = None) -> Axes:
    """Multipliers of cycles in the complex plane with the unit circle, one color per period; filled where the cycle is stable.

    Args:
        cycles: a `Cycles`, or any sequence of `Cycle`.
        logarithmic: draw at the angle of the multiplier and at a radius that grows with the logarithm of its modulus; circles
            mark powers of ten, and moduli below the innermost one lie in the center. None: when a modulus exceeds 20.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: there is no cycle.
    """
    if not len(cycles):
        raise ValueError(f"There is no cycle to draw{_because(cycles)}.")
    ax = new_axes(ax)
    largest = max(float(np.abs(c.multipliers).max(initial=0.0)) for c in cycles)
    radial = _Radius(cycles) if (largest > HUGE if logarithmic is None else logarithmic) else None
    names = list(dict.fromkeys(period_name(c.period) for c in cycles))
    colors = dict(zip(names, color_list(len(names)), strict=True))
    for c in cycles:
        w, color = c.multipliers if radial is None else radial(c.multipliers), colors[period_name(c.period)]
        ax.plot(np.real(w), np.imag(w), "o", ms=5, color=color, mfc=color if c.stable else "none")
    if radial is None:
        ax.add_patch(Circle((0.0, 0.0), 1.0, fill=False, lw=0.8, ec="0.5", zorder=0))
        ax.axhline(0.0, lw=0.4, color="0.8", zorder=0)
        ax.set(xlabel=r"Re $\lambda$", ylabel=r"Im $\lambda$")
    else:
        radial.circles(ax)
    ax.set_aspect("equal", adjustable="datalim" if radial is None else "box")
    _period_legend(ax, cycles, colors)
    return ax


def power_spectra(result: SpectralDistance, *, ax: Axes | None = None) -> Axes:
    """Both smoothed power spectra over frequency, one color per dimension: the reference solid, the generated series dashed.

    Args:
        result: from `spectral_distance`. ax: where to draw; None makes a new figure.

    Returns:
        the Axes.
    """
    ax = new_axes(ax)
    for k, color in enumerate(color_list(len(result.distances))):
        name = f"dimension {k + 1}, distance {result.distances[k]:.3g}"
        ax.semilogy(result.frequencies, result.reference_spectrum[:, k], color=color, label=name)
        ax.semilogy(result.frequencies, result.generated_spectrum[:, k], "--", color=color)
    ax.set(xlabel="frequency", ylabel="share of the power")
    legend(ax)
    return ax


def exponents(result: LyapunovSpectrum, *, history: bool = False, ax: Axes | None = None) -> Axes:
    """Lyapunov exponents over their index, with their standard errors and the zero line.

    Exponents within three standard errors of zero have a color of their own; -inf is an arrow at the lower edge; where the
    standard error is unknown (inf), there is no bar.

    Args:
        result: from `lyapunov_spectrum`.
        history: draw the running estimates over measured time in small axes at the right (`ax.child_axes[0]`), in the same colors.
        ax: where to draw; None makes a new figure.

    Returns:
        the Axes.

    Raises:
        ValueError: no exponent was measured, or a history is asked for that is empty.
    """
    x, e = result.exponents, result.standard_errors
    if np.isnan(x).all():
        raise ValueError(f"No exponent was measured: {result.message or result.status}.")
    ax = new_axes(ax)
    index, finite = np.arange(1, len(x) + 1), np.isfinite(x)
    sign = np.where(np.abs(x) <= 3.0 * np.where(np.isfinite(e), e, 0.0), 0, np.sign(x))
    for s, color, label in ((1, "C1", "positive"), (0, "C2", "zero within 3 standard errors"), (-1, "C0", "negative")):
        which = finite & (sign == s)
        if which.any():
            bar = np.where(np.isfinite(e[which]), e[which], 0.0)
            ax.errorbar(index[which], x[which], bar, fmt="o", ms=5, capsize=3, color=color, label=label)
    if np.isneginf(x).any():
        at = index[np.isneginf(x)]
        ax.plot(at, np.full(len(at), 0.03), "v", color="C0", transform=ax.get_xaxis_transform(), label=r"$-\infty$")
    ax.axhline(0.0, lw=0.8, color="0.5", zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="index", ylabel="exponent (1/time)", xlim=(0.5, len(x) + 0.5))
    bound = r"\geq" if result.kaplan_yorke_is_bound else "="
    title = f"$D_{{KY}} {bound} {result.kaplan_yorke:.4g}$" if np.isfinite(result.kaplan_yorke) else None
    legend(ax, title=title)
    if history:
        _history(ax, result, sign)
    return ax


def _period_legend(ax: Axes, cycles: Sequence[Cycle], colors: dict[str, Any]) -> None:
    """Colors of the periods with their numbers of cycles; what filled and open mean."""
    for name, color in list(colors.items())[:LEGEND]:
        count = sum(period_name(c.period) == name for c in cycles)
        ax.plot([], [], "s", ms=6, color=color, label=name if count == 1 else f"{name} ({count} cycles)")
    if len(colors) > LEGEND:
        ax.plot([], [], " ", label=f"... {len(colors) - LEGEND} more periods")
    for stable in sorted({bool(c.stable) for c in cycles}, reverse=True):
        label, fill = ("stable", "0.45") if stable else ("unstable", "none")
        ax.plot([], [], "o", ms=5, color="0.45", mfc=fill, label=label)
    legend(ax)


def _because(cycles: Any) -> str:
    message = getattr(cycles, "message", "")
    return f" ({message})" if message else ""


class _Radius:
    """Complex numbers -> the same angle, at a radius of decades above the innermost circle."""

    def __init__(self, cycles: Sequence[Cycle]) -> None:
        moduli = np.concatenate([np.abs(c.multipliers) for c in cycles])
        moduli = moduli[moduli > 0]
        self.low = int(np.clip(np.floor(np.log10(moduli.min(initial=0.1))), -4, -1))
        self.high = max(1, int(np.ceil(np.log10(moduli.max(initial=10.0)))))

    def __call__(self, w: Array) -> Array:
        """Where to draw."""
        size = np.abs(w)
        with np.errstate(divide="ignore"):
            radius = np.maximum(np.log10(size) - self.low, 0.0)
        return np.where(size > 0, w / np.where(size > 0, size, 1.0), 0.0) * radius

    def circles(self, ax: Axes) -> None:
        """Powers of ten, the unit circle stronger."""
        step = max(1, (self.high - self.low) // 6)
        decades = sorted({0, *range(-step, self.low, -step), *range(step, self.high + 1, step)})
        for d in decades:
            style = {"lw": 0.8, "ec": "0.5"} if d == 0 else {"lw": 0.4, "ec": "0.8"}
            ax.add_patch(Circle((0, 0), d - self.low, fill=False, zorder=0, **style))
            place: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "x-small", "color": "0.5"}
            ax.text(0.0, d - self.low, f"$10^{{{d}}}$" if d else "1", **place)
        edge = 1.22 * (self.high - self.low)
        ax.set(xlim=(-edge, edge), ylim=(-edge, edge), xticks=[], yticks=[])
        ax.set(xlabel=r"angle and $\log_{10}$ modulus of $\lambda$")


def _history(ax: Axes, result: LyapunovSpectrum, sign: Array) -> None:
    """Running estimates beside the axes, below the legend, where no exponent lies."""
    if not len(result.history.times):
        raise ValueError(
            "The result has no history: its exponents are exact, or nothing was measured. Leave out `history`."
        )
    inset = ax.inset_axes((1.12, 0.12, 0.42, 0.4))
    for k, line in enumerate(result.history.exponents.T):
        inset.plot(result.history.times, line, lw=0.8, color={1: "C1", 0: "C2", -1: "C0"}[int(sign[k])])
    inset.axhline(0.0, lw=0.5, color="0.5", zorder=0)
    inset.tick_params(labelsize="x-small")
    inset.set_xlabel("measured time", fontsize="x-small")
