"""Fixed points."""
