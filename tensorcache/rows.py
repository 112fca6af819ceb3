"""The rows of the index, kept in step with manifests, pins and the journal.

Rules of this room: whoever calls holds the root lock. Manifests are the truth, rows follow. A note
in `building/` says that a key's rows may be behind; it goes when they are right, so that whoever
dies in between leaves work for the next writer, and never a wrong answer.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable

from tensorcache import disk
from tensorcache.errors import CacheFull, CacheTooNew, EntryCorrupt
from tensorcache.index import EntryRows, Index, Use
from tensorcache.manifest import Manifest, Piece, columns_of

_SLICE = 256  # entries whose rows go into one transaction
_log = logging.getLogger("tensorcache")


def bring_up(root: disk.Root, index: Index) -> None:
    """Make or upgrade the index, and take in what notes and journals hold.

    An index that is no database is set aside, and made anew from the manifests.

    Raises:
        CacheTooNew: a newer tensorcache made it.
        TensorCacheError: it cannot be written now.
    """
    try:
        _prepare(root, index)
    except EntryCorrupt as error:
        # Its words alone: who keeps the error keeps the frames, and what is open in them.
        _log.warning("%s; it is set aside and made anew", str(error))
        for ending in ("", "-journal"):
            disk.quarantine(root, root.join("index.sqlite" + ending))
        _prepare(root, index)
    with contextlib.suppress(CacheFull):  # statistics can wait in their journal
        for name, uses in disk.take_uses(root).items():
            index.take([Use(*use) for use in uses], journal=name)
            disk.forget_uses(root, name)


def _prepare(root: disk.Root, index: Index) -> None:
    if index.revision() is None:  # who dies while filling it leaves the rest to the next writer
        disk.leave_notes(root, disk.keys_of(root))
    if index.prepare():
        disk.let_group_write(root, root.join("index.sqlite"))
    follow(root, index, disk.notes(root))


def reconcile(root: disk.Root, index: Index) -> None:
    """Compare the names in `entries/` with the rows; mend every difference, if there is space."""
    with contextlib.suppress(CacheFull):  # whoever reconciles is about to remove something
        bring_up(root, index)
        rows = index.generations().keys()
        follow(root, index, rows ^ set(disk.keys_of(root)))


def follow(root: disk.Root, index: Index, keys: Iterable[str]) -> None:
    """Write the rows of these keys as their manifests say, or drop them where there is none.

    A manifest that is broken is set aside, for it would keep what nobody can read.
    """
    pins = disk.read_pins(root)
    ordered = sorted(keys)
    for start in range(0, len(ordered), _SLICE):
        some = ordered[start : start + _SLICE]
        rows, gone, done = [], [], list(some)
        for key in some:
            manifest = None
            try:
                manifest = disk.read_manifest(root, key)
            except CacheTooNew:
                done.remove(key)  # only a newer version can tell its rows: its note stays
                continue
            except EntryCorrupt as error:
                _log.warning("%s; it is set aside", str(error))
                disk.set_aside(root, key, None)
                disk.append_use(root, (time.time(), "quarantine", key, 0.0, 0))
            if manifest is None:
                gone.append(key)
            else:
                rows.append(rows_of(root, manifest, pins.get(key)))
        if rows:
            drop_pieces(root, index, index.add(rows))
        if gone:
            drop_pieces(root, index, index.remove(gone))
        for key in done:
            disk.clear_note(root, key)


def rows_of(root: disk.Root, manifest: Manifest, pinned: str | None) -> EntryRows:
    """What the index is told of an entry."""
    columns = []
    for name in manifest.sections:
        # A document that is missing or broken makes the entry a miss; its other rows stand.
        with contextlib.suppress(OSError):
            columns += columns_of(name, structure_of(root, manifest, name))
    return EntryRows(manifest, tuple(columns), pinned)


def structure_of(root: disk.Root, manifest: Manifest, section: str) -> bytes:
    """The packed structure of a section, from the manifest or its document.

    Raises:
        OSError: the document cannot be read.
    """
    structure = manifest.sections[section]
    if isinstance(structure, bytes):
        return structure
    return disk.read_file(disk.piece_path(root, "document", structure))


def remove(root: disk.Root, index: Index, keys: Iterable[str], *, spare_open: bool) -> list[str]:
    """Remove entries, then the pieces that no other refers to; which ones went.

    The order of law 1: manifest, rows, pieces. On a full disk the rows cannot be written, so the
    pieces go first, and the rows with the space that this gives.
    """
    gone = []
    for key in keys:
        try:
            if disk.unlink_manifest(root, key, spare_open=spare_open):
                gone.append(key)
        except FileNotFoundError:
            gone.append(key)  # only its rows are left
    for key in gone:
        disk.set_pin(root, key, None)
    with contextlib.suppress(CacheFull):  # still: the notes say so to the next writer
        try:
            loose = index.remove(gone)
        except CacheFull:
            drop_pieces(root, index, _loose(root, index))
            loose = index.remove(gone)
        drop_pieces(root, index, loose)
        for key in gone:
            disk.clear_note(root, key)
    return gone


def pin(root: disk.Root, index: Index, key: str, note: str | None) -> None:
    """Pin an entry with a note, or unpin it (None), in its file and its row."""
    disk.leave_notes(root, [key])
    disk.set_pin(root, key, note)
    index.pin(key, note)
    disk.clear_note(root, key)


def _loose(root: disk.Root, index: Index) -> list[tuple[str, Piece]]:
    """What only rows without a manifest refer to."""
    holdings, there = index.holdings(), set(disk.keys_of(root))
    # A row that a note calls old tells nothing of the pieces of its entry: `drop_pieces` asks.
    held = {piece for entry in holdings.entries if entry.key in there for piece in entry.pieces}
    return [
        (kind, Piece(digest, size))
        for (kind, digest), size in holdings.pieces.items()
        if (kind, digest) not in held
    ]


def drop_pieces(root: disk.Root, index: Index, pieces: Iterable[tuple[str, Piece]]) -> None:
    """Unlink shards and documents that no row refers to, and no manifest whose rows are behind."""
    loose = set(pieces)
    if not loose:
        return
    there = set(disk.keys_of(root))
    for key in there - index.generations().keys() | there.intersection(disk.notes(root)):
        try:
            manifest = disk.read_manifest(root, key)
        except EntryCorrupt:
            continue  # it is a miss, and what it needs is made anew with it
        except CacheTooNew:
            return  # nobody here knows what it refers to
        if manifest is not None:
            loose.difference_update(manifest.pieces)
    for kind, piece in loose:
        disk.unlink_piece(root, kind, piece.digest)
