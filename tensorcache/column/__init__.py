"""Tensors <-> columns: the only room that imports torch.

Rules of this room: a column is the distinct tensors of one field that share dtype and trailing
shape, laid end to end; whatever grows with the number of tensors is an int64 tensor beside it, so
opening costs O(columns). `form` says how each dtype lies in memory and on disk, `lay` turns a
payload into columns, `write` puts them into shards, `mapping` maps files, and `section` and `rows`
turn columns into the lazy lists that a training loop reads; `apart` counts what differs.
"""

from tensorcache.column.apart import apart
from tensorcache.column.form import leaf_digest
from tensorcache.column.lay import lay
from tensorcache.column.mapping import map_file
from tensorcache.column.rows import Batches, Rows
from tensorcache.column.section import OpenSection
from tensorcache.column.write import Contents, Sink, write

__all__ = [
    "Batches",
    "Contents",
    "OpenSection",
    "Rows",
    "Sink",
    "apart",
    "lay",
    "leaf_digest",
    "map_file",
    "write",
]
