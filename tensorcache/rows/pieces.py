"""Pieces that nobody refers to: asked of manifests wherever rows may be behind, then unlinked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tensorcache import disk
from tensorcache.errors import CacheTooNew, EntryCorrupt, TensorCacheError
from tensorcache.index import Index, mark, set_mark, stamps
from tensorcache.manifest import Manifest, Piece

_MARK = "index"  # the name under which the mark of the index is remembered


def drop_pieces(root: disk.Root, index: Index, pieces: Iterable[tuple[str, Piece]]) -> None:
    """Unlink shards and documents that no row refers to, and no manifest whose rows are behind."""
    loose = set(pieces)
    if not loose:
        return
    for manifest in manifests_of(root, unsure(root, index)):
        if manifest is None:
            return  # nobody here knows what it refers to
        loose.difference_update(manifest.pieces)
    disk.unlink_pieces(root, loose)


def manifests_of(root: disk.Root, keys: Iterable[str]) -> Iterator[Manifest | None]:
    """The manifests of those that are there; None for one that cannot be read, or not by us.

    One that is broken is passed over: it is a miss, and what it needs is made anew with it.
    """
    for key in keys:
        try:
            manifest = disk.read_manifest(root, key)
        except EntryCorrupt:
            continue
        except (CacheTooNew, OSError):
            yield None
            continue
        if manifest is not None:
            yield manifest


def unsure(root: disk.Root, index: Index) -> set[str]:
    """The keys whose rows may be behind: those with a note, if the index is the last of this root.

    Else all are compared, and those that differ get a note: an index that was put back from a
    backup has all their names, and does not know that it is old.
    """
    noted = set(disk.notes(root))
    try:
        if _is_last(root, index):
            return noted
        differing = apart(root, index)
        if index.revision() and disk.leave_notes_if_space(root, differing):
            vouch(root, index)
    except TensorCacheError:  # broken, locked, of an older revision: no row tells anything
        return set(disk.keys_of(root))
    return noted | differing


def apart(root: disk.Root, index: Index) -> set[str]:
    """The keys whose manifest is not of the generation that rows tell, or has none, or they have.

    Names do not tell it. A look at each manifest does, or its digest where the time is another.
    """
    found, doubtful = disk.compared(root, stamps(index))
    return found | disk.unlike(root, doubtful, index.generations() if doubtful else {})


def vouch(root: disk.Root, index: Index) -> None:
    """Remember that the index is the last of this root: what it does not know has a note."""
    its = mark(index)
    if not its:
        its = _new_mark()
        set_mark(index, its)
    disk.Memory(root, write=True)[_MARK] = [its]


def _is_last(root: disk.Root, index: Index) -> bool:
    known = disk.Memory(root, write=False).get(_MARK)
    return isinstance(known, list) and mark(index) in known


class Marks(NamedTuple):
    """The marks of the index of a root, as `sources/` remembers them.

    Both during a change, for whoever dies in it leaves either; after it the new one alone, which
    no copy made before has.
    """

    root: disk.Root

    def next(self, its: int) -> int | None:
        """The mark that the index gets with a change; None where nobody vouches for it now."""
        memory = disk.Memory(self.root, write=True)
        known = memory.get(_MARK)
        if not isinstance(known, list) or its not in known:
            return None
        new = _new_mark()
        memory[_MARK] = [its, new]
        return new

    def took(self, new: int) -> None:
        """It has that mark now."""
        disk.Memory(self.root, write=True)[_MARK] = [new]


def _new_mark() -> int:
    return 1 + secrets.randbelow((1 << 31) - 1)  # SQLite keeps 31 bits, and 0 is none


def unheld(root: disk.Root) -> list[tuple[str, Piece]]:
    """What no manifest refers to, asked of all of them: where rows are behind, or made anew."""
    held: set[tuple[str, str]] = set()
    for manifest in manifests_of(root, disk.keys_of(root)):
        if manifest is None:
            return []
        held.update((kind, piece.digest) for kind, piece in manifest.pieces)
    there = disk.listing(root).pieces.items()
    return [
        (kind, Piece(digest, size)) for (kind, digest), size in there if (kind, digest) not in held
    ]
