"""What an entry is worth: its build seconds times its recent uses, over the bytes it frees.

Rules of this room: floats in, floats out; nothing here asks a clock, a disk or an index.

    worth = log2(build seconds) + warmth - log2(bytes that go with it alone)
    warmth = log2(sum over its uses of 2 ** (time of the use / HALF_LIFE_SECONDS))

A use counts half as much for each half-life that it is older than another. Warmth is counted from
1970, not from now, so that it changes with a use only: of two entries that nobody uses, the one
that is worth more today is worth more at every later time too, and an index can be kept of it.
"""

from __future__ import annotations

import math

HALF_LIFE_SECONDS = 7 * 86_400.0
LEAST_SECONDS = 1e-3  # a build that took no time is still worth something


def warmed(warmth: float | None, at: float, uses: int = 1) -> float:
    """The warmth after more `uses` at `at`, in seconds since 1970; None is that of no use."""
    more = max(0.0, at) / HALF_LIFE_SECONDS + math.log2(uses)
    if warmth is None:
        return more
    most = max(warmth, more)
    return most + math.log2(2 ** (warmth - most) + 2 ** (more - most))


def worth(build_seconds: float, warmth: float, alone_bytes: int) -> float:
    """What is lost with the entry for each byte that it frees, as a log2; the lowest goes first."""
    dear = math.log2(max(LEAST_SECONDS, build_seconds))  # in this order, for NaN is not greater
    return dear + warmth - math.log2(max(1, alone_bytes))
