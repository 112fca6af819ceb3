"""Rows written as manifests and pins say, or dropped where there is no manifest."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tensorcache import disk
from tensorcache.errors import CacheTooNew, EntryCorrupt
from tensorcache.index import EntryRows, Index
from tensorcache.manifest import ColumnRow, Manifest, Piece, columns_of
from tensorcache.rows.pieces import MOST_COMPARED, drop_pieces

_SLICE = 256  # entries whose rows go into one transaction
_log = logging.getLogger("tensorcache")


class Told(NamedTuple):
    """What manifests tell of some keys: rows, keys that have none, and keys that this settles."""

    rows: list[EntryRows]
    gone: list[str]
    settled: list[str]


def follow(root: disk.Root, index: Index, keys: Iterable[str]) -> None:
    """Write the rows of these keys as their manifests say, or drop them where there is none.

    What that makes loose goes last. In a cache of very many entries vacuum takes it, for all of
    them are compared with their rows first, and others wait behind us.
    """
    loose: set[tuple[str, Piece]] = set()
    for rows, gone, settled in told(root, keys):
        if rows:
            loose.update(index.add(rows))
            for row in rows:
                loose.difference_update(row.manifest.pieces)  # of an earlier slice, held again
        if gone:
            loose.update(index.remove(gone))
        for key in settled:
            disk.clear_note(root, key)
    drop_pieces(root, index, loose, most=MOST_COMPARED)


def told(root: disk.Root, keys: Iterable[str]) -> Iterator[Told]:
    """In slices. A manifest that is broken is set aside, for it would keep what nobody can read."""
    pins = disk.read_pins(root)
    ordered = sorted(keys)
    for start in range(0, len(ordered), _SLICE):
        told = Told([], [], [])
        for key in ordered[start : start + _SLICE]:
            rows = None
            try:
                manifest = disk.read_manifest(root, key)
                rows = manifest and rows_of(root, manifest, pins.get(key))
            except CacheTooNew:
                continue  # only a newer version can tell its rows: its note stays
            except EntryCorrupt as error:
                _log.warning("%s; it is set aside", str(error))
                disk.set_aside(root, key, None)
                disk.append_use(root, (time.time(), "quarantine", key, 0.0, 0))
            except OSError as error:  # no evidence of rot: whoever can read it writes its rows
                _log.info("the rows of %s come later: %s", key[:16], error)
                disk.leave_note_if_space(root, key)
                continue
            told.settled.append(key)
            if rows is None:
                told.gone.append(key)
            else:
                told.rows.append(rows)
        yield told


def rows_of(root: disk.Root, manifest: Manifest, pinned: str | None) -> EntryRows:
    """What the index is told of an entry.

    Raises:
        OSError: nobody can tell how large its manifest is.
    """
    manifest_bytes = os.lstat(disk.manifest_path(root, manifest.key)).st_size
    return EntryRows(manifest, catalogue(root, manifest), pinned, manifest_bytes)


def catalogue(root: disk.Root, manifest: Manifest) -> tuple[ColumnRow, ...]:
    """The columns of an entry, as far as its documents can be read."""
    columns: list[ColumnRow] = []
    for name in manifest.sections:
        # A document that is missing or broken makes the entry a miss; its other rows stand.
        with contextlib.suppress(OSError):
            columns += columns_of(name, structure_of(root, manifest, name))
    return tuple(columns)


def structure_of(root: disk.Root, manifest: Manifest, section: str) -> bytes:
    """The packed structure of a section, from the manifest or its document.

    Raises:
        OSError: the document cannot be read.
    """
    structure = manifest.sections[section]
    if isinstance(structure, bytes):
        return structure
    return disk.read_file(disk.piece_path(root, "document", structure))
