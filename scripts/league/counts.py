"""Chance and whole numbers: how expected counts become counts that add up.

Rules of this room: arithmetic of arrays, nothing of teams, players or games.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def whole(expected: Floats, rng: np.random.Generator) -> Ints:
    """Whole numbers whose running sums along the last axis follow those of `expected`.

    Each is within 1 of its expectation and right on average; their sum is exact where that of
    the expectations is whole.
    """
    sums = np.round(np.cumsum(expected, axis=-1), 6)
    floors = np.floor(sums + rng.random((*expected.shape[:-1], 1))).astype(np.int64)
    return np.diff(floors, axis=-1, prepend=0)


def luck(spread: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Factors of mean 1 and standard deviation `spread`, of that `shape`."""
    return rng.gamma(spread**-2, spread**2, shape)
