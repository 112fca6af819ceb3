"""Index: what exists, what made it, how it was used; the only room that speaks SQL to it.

Rules of this room: every row is derived from manifests and pins, or is statistics that may be
lost, so nothing here is ever the only copy of a fact. Whoever writes holds the root lock. Every
read fetches its rows and ends, for in rollback mode an open SELECT blocks a commit. SQL goes
through SQLAlchemy Core, but for pragmas, views and what people ask. `file` opens, upgrades and
checks the file; `view` keeps the views; `rows` is the Index; `uses` are its events; `query` runs
SQL of other people; `statistics` takes uses and events over from an index that is made anew;
`usual` tells what builds usually take.
"""

from tensorcache.index.file import SIDES, SQLITE, IndexCorrupt
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

__all__ = [
    "SIDES",
    "SQLITE",
    "Candidate",
    "EntryRows",
    "Holding",
    "Holdings",
    "Index",
    "IndexCorrupt",
    "Table",
    "Use",
    "carry_over",
    "usual_bytes",
    "usual_seconds",
]
