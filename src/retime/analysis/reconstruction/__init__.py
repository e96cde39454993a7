"""Distances between a recorded series and a simulated one."""
