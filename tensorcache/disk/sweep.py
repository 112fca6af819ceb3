"""What lies in a root, measured; and the removal of what nobody will miss."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from tensorcache.disk import lock
from tensorcache.disk.held import digest_of, read_manifest
from tensorcache.disk.place import (
    FOLDERS,
    TEMPORARY,
    Root,
    ensure_directory,
    manifest_path,
    piece_path,
    refuse_link,
)
from tensorcache.disk.publish import leave_notes, notes, remove_directory
from tensorcache.errors import EntryCorrupt
from tensorcache.manifest import Piece

_FOLDERS = {"shards": ("shard", ".safetensors"), "documents": ("document", ".msgpack")}


class Leftover(NamedTuple):
    """A file or directory that is no part of an entry: its path below the root."""

    name: str
    size_bytes: int
    mtime: float


class Listing(NamedTuple):
    """Everything in a root: names and bytes."""

    entries: dict[str, int]
    pieces: dict[tuple[str, str], int]
    building: tuple[Leftover, ...]
    quarantine: tuple[Leftover, ...]
    behind: frozenset[str] = frozenset()  # keys whose rows may be, by their notes


def listing(root: Root) -> Listing:
    """List a root. `building` holds only what no living process has locked."""
    entries = {
        entry.name[:64]: entry.stat(follow_symlinks=False).st_size
        for entry in _two_levels(root, "entries")
        if len(entry.name) == 72
    }
    pieces = {(kind, piece.digest): piece.size_bytes for kind, piece in loose_pieces(root)}
    return Listing(entries, pieces, *leftovers(root), frozenset(notes(root)))


def loose_pieces(
    root: Root, known: Callable[[str], Container[str]] = lambda _: ()
) -> list[tuple[str, Piece]]:
    """The shards and documents whose digests are not `known`, which is asked by their first two."""
    found = []
    for name, (kind, suffix) in _FOLDERS.items():
        for folder in _folders(root, name):
            there = known(folder)
            for entry in _scan(root, name, folder):
                digest, dot = entry.name[: -len(suffix)], entry.name[-len(suffix) :]
                if len(digest) == 64 and dot == suffix and digest not in there:
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                    found.append((kind, Piece(digest, size_bytes)))
    return found


def leftovers(root: Root) -> tuple[tuple[Leftover, ...], tuple[Leftover, ...]]:
    """What the dead left behind and no living process has locked; and all that is quarantined."""
    building = _leftovers(root, "building", _is_dead)
    for folder in ("", "sources", "pins"):
        building += _leftovers(root, folder, _is_temporary)
    quarantined = [
        leftover._replace(mtime=_quarantined_at(leftover))
        for leftover in _leftovers(root, "quarantine", lambda _: True)
    ]
    return tuple(building), tuple(quarantined)


def _scan(root: Root, *names: str) -> Iterator[os.DirEntry[str]]:
    if os.path.islink(root.join(*names)):
        return  # nothing there is ours
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        os.scandir(root.join(*names)) as entries,
    ):
        yield from entries


def _folders(root: Root, name: str) -> list[str]:
    return [one.name for one in _scan(root, name) if one.is_dir(follow_symlinks=False)]


def _two_levels(root: Root, name: str) -> Iterator[os.DirEntry[str]]:
    for folder in _folders(root, name):
        yield from _scan(root, name, folder)


def links_in(root: Root) -> Iterator[str]:
    """The folders that lead elsewhere, where nothing is changed and perhaps nothing found."""
    yield from (name for name in FOLDERS if os.path.islink(root.join(name)))
    for name in ("entries", *_FOLDERS):
        with contextlib.suppress(OSError):  # that it cannot be listed is a fault of its own
            yield from (f"{name}/{one.name}" for one in _scan(root, name) if one.is_symlink())


def _is_dead(entry: os.DirEntry[str]) -> bool:
    """Whether it is no note, and nobody's: the kernel has freed the locks of the dead."""
    return not entry.name.endswith(".note") and lock.is_locked(entry.path) is False


def _quarantined_at(leftover: Leftover) -> float:
    """When it was set aside, which its name says; its mtime is of its making."""
    stamp = os.path.basename(leftover.name).partition("-")[0]
    return int(stamp) / 1e9 if stamp.isdecimal() else leftover.mtime


def _is_temporary(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(TEMPORARY) and entry.is_file(follow_symlinks=False)


def _leftovers(
    root: Root, folder: str, wanted: Callable[[os.DirEntry[str]], bool]
) -> list[Leftover]:
    found = []
    for entry in _scan(root, folder):
        with contextlib.suppress(FileNotFoundError):  # a lease goes without the root lock
            if wanted(entry):
                found.append(_leftover(folder, entry))
    return found


def _leftover(folder: str, entry: os.DirEntry[str]) -> Leftover:
    status = entry.stat(follow_symlinks=False)
    size = status.st_size
    if entry.is_dir(follow_symlinks=False):
        with os.scandir(entry.path) as inner:
            size = sum(child.stat(follow_symlinks=False).st_size for child in inner)
    return Leftover(os.path.join(folder, entry.name), size, status.st_mtime)


def remove_leftover(root: Root, leftover: Leftover) -> None:
    """Remove it, if it is still nobody's. The caller holds the root lock."""
    path = root.join(leftover.name)
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    descriptor = None
    if leftover.name.startswith("building"):
        try:
            descriptor = lock.open_locked(path, os.O_RDONLY if is_directory else os.O_RDWR)
        except FileNotFoundError:
            return
        if descriptor is None:
            return
    try:
        # The next vacuum takes what is left of it.
        if is_directory:
            remove_directory(path)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
    finally:
        if descriptor is not None:
            descriptor.close()


def quarantine(root: Root, path: str, *, keep: bool = False) -> None:
    """Move what was found broken out of the way; it goes after a week. Under the root lock.

    `keep`: under its old name too, where the filesystem has two names for a file.
    """
    folder = ensure_directory(root, "quarantine")
    aside = os.path.join(folder, f"{time.time_ns()}-{os.path.basename(path)}")
    with contextlib.suppress(FileNotFoundError):
        if keep:
            with contextlib.suppress(OSError):
                os.link(path, aside, follow_symlinks=False)
                return
        os.rename(path, aside)


def set_aside(root: Root, key: str, piece: tuple[str, str] | None) -> bool:
    """Quarantine a manifest, or the piece to blame, if it is broken still; whether it was.

    Under the root lock, and by name: somebody may have built it anew since it was found.
    """
    path = manifest_path(root, key) if piece is None else piece_path(root, *piece)
    refuse_link(os.path.dirname(path))
    try:
        if piece is None:
            read_manifest(root, key)
            return False
        if os.lstat(path).st_size == _size_of(root, key, piece) and digest_of(path) == piece[1]:
            return False
    except FileNotFoundError:
        return False
    except EntryCorrupt:
        pass
    if piece is None:
        leave_notes(root, [key])
    quarantine(root, path)
    return True


def _size_of(root: Root, key: str, piece: tuple[str, str]) -> int:
    """The bytes that a piece should have, so that nobody reads a terabyte under the root lock.

    A piece of no manifest any more has the size that it has.
    """
    with contextlib.suppress(EntryCorrupt):
        manifest = read_manifest(root, key)
        for kind, (digest, size_bytes) in manifest.pieces if manifest else ():
            if (kind, digest) == piece:
                return size_bytes
    return os.lstat(piece_path(root, *piece)).st_size
