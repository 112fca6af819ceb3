"""What is wrong in a root, mended: what cannot be read moves to quarantine, rows are written anew.

Rules of this room: each fault is judged again, by name and under the root lock, for somebody may
have built it anew since. Only what is broken itself moves: a missing piece moves nothing, and the
manifest of an entry whose piece is broken stays, since the build of any entry that shares the piece
heals them all. What cannot be mended is left as it is, says so, and stops nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tensorcache import disk, rows
from tensorcache.errors import EntryCorrupt, TensorCacheError
from tensorcache.index import Index, IndexCorrupt

if TYPE_CHECKING:
    from tensorcache.cache.verify import Fault

_MOVABLE = ("manifest", "piece", "section")


def mend(root: disk.Root, index: Index, faults: Sequence[Fault]) -> list[Fault]:
    """The same faults, each with what was done about it."""
    if not faults:
        return []
    done: dict[tuple[str, tuple[str, str] | None], str] = {}
    told = []
    for fault in faults:
        if fault.of in _MOVABLE:
            # Once for each piece, whoever shares it.
            judged = (fault.key if fault.piece is None else "", fault.piece)
            if judged not in done:
                done[judged] = _moved(root, fault)
            told.append(fault._replace(done=done[judged]))
        else:
            told.append(fault)
    about = _mend_index(root, index, faults)
    return [fault._replace(done=about.get(fault.of, fault.done)) for fault in told]


def _moved(root: disk.Root, fault: Fault) -> str:
    """What was done about a manifest or a piece."""
    try:
        with disk.locked(root):
            if disk.set_aside(root, fault.key, fault.piece):
                disk.append_use(root, (time.time(), "quarantine", fault.key, 0.0, 0))
                return "moved to quarantine"
            there = fault.piece is None or os.path.lexists(disk.piece_path(root, *fault.piece))
    except EntryCorrupt as error:  # it names a piece that can be nobody's
        return f"left as it is: {error}: remove the entry with tensorcache rm"
    except (TensorCacheError, OSError) as error:
        return f"left as it is: {error}"
    if fault.of == "section" and fault.piece is None:
        return "its manifest is as it was written: remove the entry with tensorcache rm"
    return "found whole by now" if there else ""


def _mend_index(root: disk.Root, index: Index, faults: Sequence[Fault]) -> dict[str, str]:
    """What was done about the index, by what a fault is of.

    It is made anew where it is broken itself, else brought in step. That it cannot be read, by us
    or now, is no evidence of rot.
    """
    done = {"unread": "left as it is"}
    try:
        with disk.locked(root):
            if any(fault.of == "index" for fault in faults):
                if _is_broken(index):
                    rows.reindex(root, index)
                    return {**done, **dict.fromkeys(("index", "rows"), "the index is made anew")}
                done["index"] = "found whole by now"
            rows.reconcile(root, index)  # first, for it takes in the notes that come of moving
            rows.follow(root, index, {fault.key for fault in faults if fault.of == "rows"})
            return {**done, "rows": "its rows are written anew"}
    except (TensorCacheError, OSError) as error:
        return {**done, **dict.fromkeys(("index", "rows"), f"left as it is: {error}")}


def _is_broken(index: Index) -> bool:
    try:
        index.generations(), index.holdings()  # which meet what no check does: a date that is none
        return bool(index.check())
    except IndexCorrupt:
        return True
