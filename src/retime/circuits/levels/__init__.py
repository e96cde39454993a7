"""How a block of a network is made of parts: one file per level."""

from typing import Any

from retime.circuits.levels.ideal import Ideal

LEVELS: dict[str, Any] = {level.name: level for level in (Ideal,)}

__all__ = ["LEVELS", "Ideal"]
