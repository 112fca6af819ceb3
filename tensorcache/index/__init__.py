"""Index: what exists, what made it, how it was used; the only room that speaks SQL to it.

Rules of this room: every row is derived from manifests and pins, or is statistics that may be
lost, so nothing here is ever the only copy of a fact. Whoever writes holds the root lock. Every
read fetches its rows and ends, for in rollback mode an open SELECT blocks a commit. SQL goes
through SQLAlchemy Core, but for pragmas, views and what people ask. `file` opens, upgrades and
checks the file; `view` keeps the views; `rows` is the Index; `query` runs SQL of other people;
`usual` tells what builds usually take.
"""

from tensorcache.index.query import Table
from tensorcache.index.rows import (
    Candidate,
    EntryRows,
    Holding,
    Holdings,
    Index,
    Use,
)
from tensorcache.index.usual import usual_seconds

__all__ = [
    "Candidate",
    "EntryRows",
    "Holding",
    "Holdings",
    "Index",
    "Table",
    "Use",
    "usual_seconds",
]
