"""Entries taken away, and pins: manifests first, rows after them, pieces last."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from tensorcache import disk
from tensorcache.index import Index
from tensorcache.manifest import Piece
from tensorcache.rows.anew import bring_up, is_full, mended, unless_full
from tensorcache.rows.pieces import drop_pieces, unheld


def remove(root: disk.Root, index: Index, keys: Iterable[str], *, spare_open: bool) -> list[str]:
    """Remove entries, then the pieces that no other refers to; which ones went.

    The order of law 1: manifest, rows, pieces. On a full disk the rows cannot be written, so the
    pieces go first, and the rows with the space that this gives.
    """
    gone: list[str] = []
    failed: OSError | None = None
    for key in keys:
        try:
            if disk.unlink_manifest(root, key, spare_open=spare_open):
                gone.append(key)
        except FileNotFoundError:
            gone.append(key)  # only its rows are left
        except OSError as error:
            failed = error  # raised once all of what went before it is gone
            break
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
    if failed is not None:
        raise failed
    return gone


def _drop_rows(root: disk.Root, index: Index, keys: list[str]) -> list[tuple[str, Piece]] | None:
    """What is loose by now, None where no space is left for it.

    An index that is lost, or was made anew without these entries, knows of no such piece.
    """
    ask_all = functools.partial(unheld, root)

    def do() -> list[tuple[str, Piece]]:
        if index.revision() is None:
            return ask_all()
        index.prepare()  # which a full disk may have kept from it
        return index.remove(keys)

    try:
        return mended(root, index, do, anew=ask_all)
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
    disk.leave_note_if_space(root, key)
    disk.set_pin(root, key, None)
    with unless_full():
        if index.revision():
            mended(root, index, lambda: index.pin(key, None))
        disk.clear_note(root, key)
