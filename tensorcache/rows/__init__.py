"""The rows of the index, kept in step with manifests, pins and the journal.

Rules of this room: whoever calls holds the root lock. Manifests are the truth, rows follow. A note
in `building/` says that a key's rows may be behind; it goes when they are right, so that whoever
dies in between leaves work for the next writer, and never a wrong answer. An index that turns out
to be broken, at whatever page, is made anew by whoever meets it here. `follow` writes rows, `anew`
makes and mends the index, `removal` takes entries away, `pieces` what nobody refers to any more.
"""

from tensorcache.rows.anew import bring_up, holdings, mended, reconcile, reindex
from tensorcache.rows.follow import catalogue, follow, rows_of, structure_of
from tensorcache.rows.pieces import drop_pieces
from tensorcache.rows.removal import pin, remove

__all__ = [
    "bring_up",
    "catalogue",
    "drop_pieces",
    "follow",
    "holdings",
    "mended",
    "pin",
    "reconcile",
    "reindex",
    "remove",
    "rows_of",
    "structure_of",
]
