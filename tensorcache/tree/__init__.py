"""Payload <-> (structure, rows, tensors): the only owner of msgpack.

Rules of this room: pure, and *told* what a tensor is; it never looks inside one. Everything else
is stored exactly, by exact type, or refused with its path before a byte is written. `value` is the
table of types in two directions; `split` parts a payload into trees, skeletons and tensors.
"""

from tensorcache.tree.collector import collector_paused, collector_spared
from tensorcache.tree.split import (
    Field,
    Hole,
    Layout,
    Section,
    Steps,
    split,
    steps_of,
)
from tensorcache.tree.value import Path, Root, pack, pack_rows, refuse, unpack, unpack_rows

__all__ = [
    "Field",
    "Hole",
    "Layout",
    "Path",
    "Root",
    "Section",
    "Steps",
    "collector_paused",
    "collector_spared",
    "pack",
    "pack_rows",
    "refuse",
    "split",
    "steps_of",
    "unpack",
    "unpack_rows",
]
