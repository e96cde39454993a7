"""Nouns shared by every layer: time base, capabilities, certificates, trajectories, statuses, errors."""
