"""Two orbits, or two systems, side by side."""
