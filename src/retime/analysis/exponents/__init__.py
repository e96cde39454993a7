"""Lyapunov exponents."""
