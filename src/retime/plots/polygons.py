"""Convex polygons and segments, cut by half planes."""

from __future__ import annotations

import numpy as np

from retime.core.arrays import Array


def clipped(corners: Array, slopes: Array, offsets: Array, bits: Array) -> Array:
    """The part of a polygon (or segment) where slopes x + offsets is positive for the units that are on, negative for the others.

    Args:
        corners: `(k, d)`, d = 2: of a convex polygon in order; d = 1: the two ends. slopes: `(q, d)`. offsets: `(q,)`. bits: bool `(q,)`.
    """
    for a, b, on in zip(slopes, offsets, bits, strict=True):
        side = (corners @ a + b) * (1.0 if on else -1.0)
        if (side >= 0).all():
            continue
        kept = []
        for k in range(len(corners)):
            m = (k + 1) % len(corners)
            if side[k] >= 0:
                kept.append(corners[k])
            if side[k] * side[m] < 0:
                kept.append(corners[k] + side[k] / (side[k] - side[m]) * (corners[m] - corners[k]))
        corners = np.array(kept).reshape(-1, corners.shape[1])
        if corners.shape[1] == 1 and len(corners):  # an edge of two ends is walked twice
            corners = np.array([corners.min(axis=0), corners.max(axis=0)])
        if len(corners) < corners.shape[1] + 1:
            return corners[:0]
    return corners


def centroid(corners: Array) -> Array:
    """The center of mass of a polygon `(k, 2)`, corners in order."""
    x, y = corners.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if abs(cross.sum()) < 1e-300:
        return corners.mean(axis=0)
    return np.array([((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()]) / (3.0 * cross.sum())
