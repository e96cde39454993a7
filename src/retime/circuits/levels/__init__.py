"""How a block of a network is made of parts: one file per level."""

from typing import Any

from retime.circuits.levels.ideal import Ideal
from retime.circuits.levels.opamp import OpAmp
from retime.circuits.levels.transistor import Transistor

LEVELS: dict[str, Any] = {level.name: level for level in (Ideal, OpAmp, Transistor)}

__all__ = ["LEVELS", "Ideal", "OpAmp", "Transistor"]
