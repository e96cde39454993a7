"""What a circuit can be run with: one file per simulator."""

from __future__ import annotations

from typing import Any

from retime.circuits.backends import kirchhoff, neospice, ngspice

BACKENDS: dict[str, Any] = {"kirchhoff": kirchhoff, "neospice": neospice, "ngspice": ngspice}
LARGEST_SPICE = 100  # units, up to which a SPICE simulator is the default


def chosen(name: str | None, num_states: int) -> str:
    """The backend that is asked for; for None SPICE up to 100 units where one is installed, else our own solver.

    Raises:
        ValueError: an unknown name.
    """
    if name is None:
        installed = [b for b in ("ngspice", "neospice") if BACKENDS[b].is_installed()]
        return installed[0] if installed and num_states <= LARGEST_SPICE else "kirchhoff"
    if name not in BACKENDS:
        raise ValueError(
            f"`backend` is {name!r}; it must be one of {', '.join(BACKENDS)}, or None for the best that is installed."
        )
    return name
