"""Pieces that nobody refers to: asked of manifests wherever rows may be behind, then unlinked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tensorcache import disk
from tensorcache.errors import CacheTooNew, EntryCorrupt, TensorCacheError
from tensorcache.index import Index
from tensorcache.manifest import Piece

MOST_COMPARED = 10_000  # entries that a publication compares with their rows: 0.2 s


def drop_pieces(
    root: disk.Root,
    index: Index,
    pieces: Iterable[tuple[str, Piece]],
    *,
    ask_all: bool = False,
    most: int | None = None,
) -> None:
    """Unlink shards and documents that no row refers to, and no manifest whose rows are behind.

    `ask_all`: nor any manifest at all. `most`: where there are more entries, vacuum is to do it.
    """
    loose = set(pieces)
    if not loose:
        return
    there = disk.keys_of(root)
    if most is not None and len(there) > most:
        return
    for key in there if ask_all else _asked(root, index, there):
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


def _asked(root: disk.Root, index: Index, keys: Iterable[str]) -> list[str]:
    try:
        generations = index.generations()
    except TensorCacheError:  # broken or locked: no row tells anything
        generations = {}
    return behind(root, keys, generations)


def behind(root: disk.Root, keys: Iterable[str], generations: Mapping[str, str]) -> list[str]:
    """Those of `keys` whose manifest is of another generation than their rows.

    Names do not tell it: an index that was put back from a backup has them all, and does not know
    that it is old. One small read of each manifest does, 20 µs apiece.
    """
    return [key for key in keys if _generation(root, key) != generations.get(key)]


def _generation(root: disk.Root, key: str) -> str:
    try:
        return disk.generation_of(root, key)
    except (TensorCacheError, OSError):
        return ""  # who reads it all says what is wrong


def unheld(root: disk.Root) -> list[tuple[str, Piece]]:
    """What no manifest refers to, asked of all of them: where rows are behind, or made anew."""
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
