"""Cycles: of maps, and limit cycles of flows."""
