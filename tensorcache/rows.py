"""The rows of the index, kept in step with manifests, pins and the journal.

Rules of this room: whoever calls holds the root lock. Manifests are the truth, rows follow. A note
in `building/` says that a key's rows may be behind; it goes when they are right, so that whoever
dies in between leaves work for the next writer, and never a wrong answer.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from tensorcache import disk
from tensorcache.errors import CacheFull, CacheTooNew, EntryCorrupt
from tensorcache.index import EntryRows, Holding, Holdings, Index, Use
from tensorcache.manifest import Manifest, Piece, columns_of

_SLICE = 256  # entries whose rows go into one transaction
_log = logging.getLogger("tensorcache")
T = TypeVar("T")


def bring_up(root: disk.Root, index: Index) -> None:
    """Make or upgrade the index, and take in what notes and journals hold.

    An index that is no database is set aside, and made anew from the manifests.

    Raises:
        CacheTooNew: a newer tensorcache made it.
        TensorCacheError: it cannot be written now.
    """
    healing(root, index, lambda: _take_in(root, index))


def healing(root: disk.Root, index: Index, do: Callable[[], T]) -> T:
    """What `do` gives, once more where it found the index broken and that was made anew."""
    with contextlib.suppress(EntryCorrupt):
        return do()
    try:
        return do()  # SQLite calls a file malformed also when a read failed (EIO)
    except EntryCorrupt as error:
        _log.warning("%s; it is set aside and made anew", error)
        for ending in ("", "-journal"):
            disk.quarantine(root, root.join("index.sqlite" + ending))
        _prepare(root, index)
    return do()


def _take_in(root: disk.Root, index: Index) -> None:
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
    """Compare the names in `entries/` with the rows; mend every difference, if there is space.

    Whoever reconciles is about to remove something, and so to make some.
    """
    try:
        bring_up(root, index)
        rows = healing(root, index, index.generations).keys()
        follow(root, index, rows ^ set(disk.keys_of(root)))
    except CacheFull:
        pass
    except OSError as error:
        if error.errno not in disk.FULL:
            raise


def holdings(root: disk.Root, index: Index) -> tuple[Holdings, frozenset[str]]:
    """Everything that retention weighs, and the keys that nobody can tell what they hold.

    Where rows are behind, as on a full disk, the manifests say it.
    """
    known, sizes = healing(root, index, index.holdings)
    by_key = {holding.key: holding for holding in known}
    keys, pins, unknown = set(disk.keys_of(root)), disk.read_pins(root), set()
    for key in (keys - by_key.keys()) | keys.intersection(disk.notes(root)):
        try:
            manifest = disk.read_manifest(root, key)
        except (CacheTooNew, OSError):
            unknown.add(key)
            continue
        if manifest is not None:
            by_key[key] = _holding(manifest, by_key.get(key), pins.get(key))
    return Holdings(tuple(by_key.values()), sizes), frozenset(unknown)


def _holding(manifest: Manifest, row: Holding | None, pinned: str | None) -> Holding:
    return Holding(
        key=manifest.key,
        namespace=manifest.namespace,
        created_at=manifest.created_at,
        last_used_at=row.last_used_at if row else None,
        build_seconds=manifest.build_seconds,
        uses=row.uses if row else 0,
        pinned=pinned,
        pieces=tuple((kind, piece.digest) for kind, piece in manifest.pieces),
    )


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
                _log.warning("%s; it is set aside", error)
                disk.set_aside(root, key, None)
                disk.append_use(root, (time.time(), "quarantine", key, 0.0, 0))
            except OSError as error:
                _log.info("the rows of %s come later: %s", key[:16], error)
                done.remove(key)  # no evidence of anything, and no reason to stop at it
                continue
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
