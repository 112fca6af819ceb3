"""Entries and pieces taken away, and pins: manifests first, rows after them, pieces last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from tensorcache import disk
from tensorcache.errors import CacheFull, CacheTooNew, EntryCorrupt
from tensorcache.index import Index
from tensorcache.manifest import Piece


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
    with contextlib.suppress(CacheFull):  # still: the notes say so to the next writer
        try:
            loose = index.remove(gone) if index.revision() else _loose(root)
        except CacheFull:
            drop_pieces(root, index, _loose(root))
            loose = index.remove(gone)
        drop_pieces(root, index, loose)
        for key in gone:
            disk.clear_note(root, key)
    if failed is not None:
        raise failed
    return gone


def pin(root: disk.Root, index: Index, key: str, note: str | None) -> None:
    """Pin an entry with a note, or unpin it (None), in its file and its row."""
    if note is not None:
        disk.leave_notes(root, [key])
        disk.set_pin(root, key, note)
        index.pin(key, note)
        disk.clear_note(root, key)
        return
    disk.leave_note_if_space(root, key)  # an entry may be unpinned to free a full disk
    disk.set_pin(root, key, None)
    with contextlib.suppress(CacheFull):
        index.pin(key, None)
        disk.clear_note(root, key)


def _loose(root: disk.Root) -> list[tuple[str, Piece]]:
    """What no manifest refers to, asked of all of them: rows are behind where no space is left."""
    held: set[tuple[str, Piece]] = set()
    for key in disk.keys_of(root):
        try:
            manifest = disk.read_manifest(root, key)
        except EntryCorrupt:
            continue  # as in `drop_pieces`
        except (CacheTooNew, OSError):
            return []
        held.update(manifest.pieces if manifest else ())
    there = disk.listing(root).pieces.items()
    known = {(kind, piece.digest) for kind, piece in held}
    return [
        (kind, Piece(digest, size)) for (kind, digest), size in there if (kind, digest) not in known
    ]


def drop_pieces(
    root: disk.Root, index: Index, pieces: Iterable[tuple[str, Piece]], *, ask_all: bool = False
) -> None:
    """Unlink shards and documents that no row refers to, and no manifest whose rows are behind.

    `ask_all`: nor any manifest at all. An index may be older than it knows: a backup put back, a
    copy made while others published.
    """
    loose = set(pieces)
    if not loose:
        return
    there = set(disk.keys_of(root))
    behind = there - index.generations().keys() | there.intersection(disk.notes(root))
    for key in there if ask_all else behind:
        try:
            manifest = disk.read_manifest(root, key)
        except EntryCorrupt:
            continue  # it is a miss, and what it needs is made anew with it
        except (CacheTooNew, OSError):
            return  # nobody here knows what it refers to
        if manifest is not None:
            loose.difference_update(manifest.pieces)
    for kind, piece in loose:
        disk.unlink_piece(root, kind, piece.digest)
