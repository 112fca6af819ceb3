"""Explanation: why a key has no entry, and in what two entries differ.

Rules of this room: pure; whoever asks brings identity texts, parts, candidates and memory. Values
are compared as JSON text, so that 1, 1.0 and true differ here as they do in the key. Only what is
known is said: where the parts of one side are not, a source has `changed`, and no more.

    difference.py  fields, sources and version of two identity texts, part by part
    nearest.py     which of many entries is nearest to what is asked for
    contents.py    what two entries hold, section by section, tensor by tensor
    same.py        whether two plain values are the same
    shadow.py      what building a hit again found
"""

from tensorcache.explain.contents import Compared, Diff, Measure, Side, compare
from tensorcache.explain.difference import (
    ABSENT,
    Change,
    Difference,
    PartsOf,
    differences,
    with_parts,
)
from tensorcache.explain.nearest import Alike, Explanation, explain, explain_inputs
from tensorcache.explain.shadow import Shadow

__all__ = [
    "ABSENT",
    "Alike",
    "Change",
    "Compared",
    "Diff",
    "Difference",
    "Explanation",
    "Measure",
    "PartsOf",
    "Shadow",
    "Side",
    "compare",
    "differences",
    "explain",
    "explain_inputs",
    "with_parts",
]
