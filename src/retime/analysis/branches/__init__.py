"""Branches of fixed points and cycles along parameters, and their bifurcations."""
