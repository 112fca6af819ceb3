"""The rows of the index, kept in step with manifests, pins and the journal.

Rules of this room: whoever calls holds the root lock. Manifests are the truth, rows follow. A note
in `building/` says that a key's rows may be behind; it goes when they are right, so that whoever
dies in between leaves work for the next writer, and never a wrong answer. An index that turns out
to be broken, at whatever page, is made anew by whoever meets it here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from tensorcache import disk
from tensorcache.errors import (
    CacheFull,
    CacheTooNew,
    EntryCorrupt,
    LeaseTimeout,
    TensorCacheError,
)
from tensorcache.index import (
    SIDES,
    EntryRows,
    Holdings,
    Index,
    IndexCorrupt,
    Use,
    carry_over,
)
from tensorcache.manifest import Manifest, Piece, columns_of

_SLICE = 256  # entries whose rows go into one transaction
_log = logging.getLogger("tensorcache")
T = TypeVar("T")


def bring_up(root: disk.Root, index: Index) -> None:
    """Make or upgrade the index, and take in what notes and journals hold.

    Raises:
        CacheTooNew: a newer tensorcache made it.
        TensorCacheError: it cannot be written now.
    """
    mended(root, index, lambda: _bring_up(root, index))


def _bring_up(root: disk.Root, index: Index) -> None:
    if index.revision() is None:  # who dies while filling it leaves the rest to the next writer
        disk.leave_notes(root, disk.keys_of(root))
    if index.prepare():
        disk.let_group_write(root, _path(root))
    follow(root, index, disk.notes(root))
    with contextlib.suppress(CacheFull):  # statistics can wait in their journal
        for name, uses in disk.take_uses(root).items():
            index.take([Use(*use) for use in uses], journal=name)
            disk.forget_uses(root, name)


def _path(root: disk.Root) -> str:
    return root.join("index.sqlite")


def mended(root: disk.Root, index: Index, do: Callable[[], T]) -> T:
    """What `do` gives; where it finds the index broken, that is made anew, and it is done again."""
    try:
        return do()
    except IndexCorrupt as error:
        _log.warning("%s; it is set aside and made anew", error)
    try:
        reindex(root, index)
    except CacheFull:
        _quarantine(root)  # whoever comes to make room must not fail by it
        raise
    return do()


def reindex(root: disk.Root, index: Index) -> int:
    """Make the index anew from manifests and pins; how many entries it has.

    Uses and events are taken over as far as they can be read, and the old file goes to quarantine.
    The new one is made aside and then renamed into place: whoever dies on the way leaves the old
    one, the new one, or none, which is made anew by the next writer.

    Raises:
        CacheTooNew: a newer tensorcache made the one that is there; it stays as it is.
        LeaseTimeout: another program has it locked; it stays as it is.
        TensorCacheError, OSError: there is no space or no right to make another.
    """
    try:
        index.refuse_newer()
    except (CacheTooNew, LeaseTimeout):
        raise
    except TensorCacheError as error:
        _log.debug("nothing is taken over from the old index: %s", error)
    aside = disk.temporary(root.path)  # left behind, it is a leftover to vacuum
    fresh = Index(aside)
    try:
        fresh.prepare()
        disk.let_group_write(root, aside)
        for told in _told(root, disk.keys_of(root)):
            if told.rows:
                fresh.add(told.rows)
        _swap(root, aside, whole=os.path.lexists(_path(root)) and carry_over(index, fresh))
    finally:
        for ending in ("", *SIDES):
            with contextlib.suppress(OSError):
                os.unlink(aside + ending)
    _bring_up(root, index)
    return len(index.generations())


def _swap(root: disk.Root, aside: str, *, whole: bool) -> None:
    path = _path(root)
    if whole and not os.path.lexists(path + "-wal"):  # nor is there a journal to be played back
        disk.quarantine(root, path, keep=True)  # so that there is an index at every moment
    else:
        _quarantine(root)
    os.rename(aside, path)
    disk.sync_directory(root.path)


def _quarantine(root: disk.Root) -> None:
    """Set the index aside, before what SQLite would play back into the next one of that name."""
    for ending in ("", *SIDES):
        if os.path.lexists(_path(root) + ending):
            disk.quarantine(root, _path(root) + ending)


def reconcile(root: disk.Root, index: Index) -> None:
    """Compare the names in `entries/` with the rows; mend every difference, if there is space."""

    def do() -> None:
        bring_up(root, index)
        follow(root, index, index.generations().keys() ^ set(disk.keys_of(root)))

    with contextlib.suppress(CacheFull):  # whoever reconciles is about to remove something
        mended(root, index, do)


def holdings(root: disk.Root, index: Index) -> Holdings:
    """Everything that retention weighs.

    Raises:
        TensorCacheError: the index can neither be read nor made anew.
    """
    return mended(root, index, index.holdings)


class _Told(NamedTuple):
    """What manifests tell of some keys: rows, keys that have none, and keys that this settles."""

    rows: list[EntryRows]
    gone: list[str]
    settled: list[str]


def follow(root: disk.Root, index: Index, keys: Iterable[str]) -> None:
    """Write the rows of these keys as their manifests say, or drop them where there is none."""
    for rows, gone, settled in _told(root, keys):
        if rows:
            drop_pieces(root, index, index.add(rows))
        if gone:
            drop_pieces(root, index, index.remove(gone))
        for key in settled:
            disk.clear_note(root, key)


def _told(root: disk.Root, keys: Iterable[str]) -> Iterator[_Told]:
    """In slices. A manifest that is broken is set aside, for it would keep what nobody can read."""
    pins = disk.read_pins(root)
    ordered = sorted(keys)
    for start in range(0, len(ordered), _SLICE):
        told = _Told([], [], [])
        for key in ordered[start : start + _SLICE]:
            manifest = None
            try:
                manifest = disk.read_manifest(root, key)
            except CacheTooNew:
                continue  # only a newer version can tell its rows: its note stays
            except EntryCorrupt as error:
                _log.warning("%s; it is set aside", error)
                disk.set_aside(root, key, None)
                disk.append_use(root, (time.time(), "quarantine", key, 0.0, 0))
            except OSError as error:  # no evidence of rot: whoever can read it writes its rows
                _log.warning("entry %s cannot be read, its rows wait: %s", key[:16], error)
                disk.leave_notes(root, [key])
                continue
            told.settled.append(key)
            if manifest is None:
                told.gone.append(key)
            else:
                told.rows.append(rows_of(root, manifest, pins.get(key)))
        yield told


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
