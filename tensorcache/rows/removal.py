"""Entries taken away, and pins: manifests first, rows after them, pieces last."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

from tensorcache import disk
from tensorcache.index import Index
from tensorcache.manifest import Piece
from tensorcache.rows.anew import bring_up, is_full, mended, unless_full
from tensorcache.rows.pieces import drop_pieces, unheld

_SLICE = 256  # entries that go together


def remove(root: disk.Root, index: Index, keys: Iterable[str], *, spare_open: bool) -> list[str]:
    """Remove entries, then the pieces that no other refers to; which ones went.

    The order of law 1: manifests, rows, pieces. On a full disk the rows cannot be written, so the
    pieces go first, and the rows with the space that this gives.

    Raises:
        OSError: one could not be removed, nor those after it; all that went before it is gone.
    """
    gone: list[str] = []
    left = iter(keys)
    while some := list(itertools.islice(left, _SLICE)):
        went, failed = disk.unlink_manifests(root, some, spare_open=spare_open)
        _follow(root, index, went)
        gone += went
        if failed is not None:
            raise failed
    return gone


def _follow(root: disk.Root, index: Index, gone: list[str]) -> None:
    """Take away what these left: pins, rows, pieces, notes."""
    for key in gone:
        disk.set_pin(root, key, None)
    loose = _drop_rows(root, index, gone)
    if loose is None:
        drop_pieces(root, index, unheld(root))
        loose = _drop_rows(root, index, gone)
    if loose is not None:  # else the notes say so to the next writer
        drop_pieces(root, index, loose)
        for key in gone:
            disk.clear_note(root, key)


def _drop_rows(root: disk.Root, index: Index, keys: list[str]) -> list[tuple[str, Piece]] | None:
    """What is loose by now, None where no space is left for it.

    An index that is lost, or was made anew without these entries, knows of no such piece.
    """
    ask_all = functools.partial(unheld, root)

    def drop() -> list[tuple[str, Piece]]:
        if index.revision() is None:
            return ask_all()
        index.prepare()  # which a full disk may have kept from it
        return index.remove(keys)

    try:
        return mended(root, index, drop, anew=ask_all)
    except OSError as error:
        if not is_full(error):
            raise
        return None


def pin(root: disk.Root, index: Index, key: str, note: str | None) -> None:
    """Pin an entry with a note, or unpin it (None), in its file and its row."""
    if note is not None:
        bring_up(root, index)
        disk.leave_notes(root, [key])
        disk.set_pin(root, key, note)
        mended(root, index, lambda: index.pin(key, note))
        disk.clear_note(root, key)
        return
    with unless_full():  # an entry may be unpinned to free a full disk
        bring_up(root, index)
    disk.leave_notes_if_space(root, [key])
    disk.set_pin(root, key, None)
    with unless_full():
        if index.revision():
            mended(root, index, lambda: index.pin(key, None))
        disk.clear_note(root, key)
