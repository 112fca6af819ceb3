"""The scenario matrix: what people do between two starts, and what the second start finds.

Rules of this room: a row is data, with its expected outcome beside it; whoever changes an outcome
changes a row, and with it `docs/scenarios.md`, which is made from these tables (`page.py`). Each
start is a process of its own (`start.py`), and what it must find is told by reading again what its
build reads (`contents.py`, `frozen.py`), never by the cache.

    databases  rows of one file operation or edit each, at every level of identity
    inputs     rows of two inputs each, and of two starts that differ in their surroundings
    script3    rows of two configs of script 3 each
"""

from __future__ import annotations

# What a start finds. A miss is needless if nothing has changed of what the source names.
HIT, MISS, NEEDLESS, UNPUBLISHED, REFUSED = "hit miss needless unpublished refused".split()
STALE = "stale"  # no row expects it
