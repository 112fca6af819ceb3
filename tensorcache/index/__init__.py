"""Index: what exists, what made it, how it was used; the only room that speaks SQL to it.

Rules of this room: every row is derived from manifests and pins, or is statistics that may be
lost, so nothing here is ever the only copy of a fact. Whoever writes holds the root lock. Every
read fetches its rows and ends, for in rollback mode an open SELECT blocks a commit. SQL goes
through SQLAlchemy Core, but for pragmas, views and what people ask. `file` opens, upgrades and
checks the file; `view` keeps the views; `rows` is the Index; `sums` are kept beside them; `weights`
are what retention weighs; `comparing` is what rows and roots are compared by; `judging` tells what
entries are stale by; `uses` are its events, and their sums by the hour; `hours` asks those; `query`
runs SQL of other people, with the `functions` that it may take, and `listing` writes what lists
entries; `statistics` takes
uses and events over from an index that is made anew; `usual` tells what builds usually take.
"""

from tensorcache.index.comparing import digests, mark, set_mark, stamps
from tensorcache.index.file import SIDES, SQLITE, IndexCorrupt
from tensorcache.index.hours import stats
from tensorcache.index.judging import (
    KnownSource,
    built_from,
    known_sources,
    old_formats,
    superseded,
)
from tensorcache.index.listing import Listing
from tensorcache.index.query import Table
from tensorcache.index.rows import (
    Candidate,
    EntryRows,
    Holding,
    Holdings,
    Index,
)
from tensorcache.index.statistics import carry_over
from tensorcache.index.uses import Use
from tensorcache.index.usual import usual_bytes, usual_seconds
from tensorcache.index.weights import (
    Asking,
    Shared,
    Weighed,
    Weights,
    all_weights,
    bytes_of_large,
    forget_events,
    old_events,
    window,
)

__all__ = [
    "SIDES",
    "SQLITE",
    "Asking",
    "Candidate",
    "EntryRows",
    "Holding",
    "Holdings",
    "Index",
    "IndexCorrupt",
    "KnownSource",
    "Listing",
    "Shared",
    "Table",
    "Use",
    "Weighed",
    "Weights",
    "all_weights",
    "built_from",
    "bytes_of_large",
    "carry_over",
    "digests",
    "forget_events",
    "known_sources",
    "mark",
    "old_events",
    "old_formats",
    "set_mark",
    "stamps",
    "stats",
    "superseded",
    "usual_bytes",
    "usual_seconds",
    "window",
]
