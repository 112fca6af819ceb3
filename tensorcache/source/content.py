"""The bytes of files: descriptors, digests, listings.

Rules of this room: read only, in bounded memory, regular files only. WARNING: a descriptor of a
database file is never closed. POSIX locks belong to the process, and closing *any* descriptor of a
file drops those that SQLite or DuckDB hold on it through another one; a second writer could then
come in. One is kept for each such file (device and inode) until the process ends, also of `-shm`,
where SQLite's WAL locks are. A `-wal` or `-journal` carries no locks and is closed.

A `-shm` alone may be closed once it is deleted, or each time that a database is opened and closed
would leave one. SQLite deletes it when the last connection of all processes goes, so that nobody
has a lock there. Who deletes it by hand under live connections has let a second writer in already.
A database that was replaced is kept: connections to the old file are common, and their locks count.

Digests use one thread: blake3's shared pool of threads does not survive fork, and a child that
asks it for work waits for ever.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from blake3 import blake3

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.manifest import Part, Parts
from tensorcache.progress import progress
from tensorcache.source.identity import shown
from tensorcache.source.memory import MAX_PARTS, Memory, Stats, printable, stat_of, steady

BLOCK_BYTES = 1 << 20  # at once, so that it is still at hand for the second look
LOCK_BYTE = 1 << 30  # the page of a SQLite database with this byte holds locks, no data
SQLITE_MAGIC = b"SQLite format 3\x00"
DUCKDB_MAGIC = b"DUCK"  # at offset 8
_SCHEME = "content-1:blake3:"


class _Kept(NamedTuple):
    """A descriptor that is kept; `readers` has an item for each that is reading now."""

    descriptor: int
    is_shm: bool
    readers: list[None]


_kept: dict[tuple[int, int], _Kept] = {}


@contextmanager
def reading(path: str) -> Iterator[int]:
    """A descriptor of the regular file at `path`, for `os.pread`; see the warning above.

    Raises:
        UnkeyableValue: a directory, device, pipe or socket.
        OSError: not there, or not readable.
    """
    found = _regular(path, os.stat(path))
    kept = _kept.get((found.st_dev, found.st_ino))
    if kept is not None:
        kept.readers.append(None)
        try:
            # Looked up again: who closes takes it out first, and then looks for readers.
            if _kept.get((found.st_dev, found.st_ino)) is kept:
                yield kept.descriptor
                return
        finally:
            kept.readers.pop()
    # Non-blocking, because a pipe may have taken the file's place since.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    is_file = stat.S_ISREG(found.st_mode)
    head = os.pread(descriptor, 16, 0) if is_file else b""
    if is_file and _may_be_locked(path, head):
        _close_deleted()
        kept = _Kept(descriptor, path.endswith("-shm") and head != SQLITE_MAGIC, [None])
        # The loser of a race between threads stays open as well: nothing here may close it.
        _kept.setdefault((found.st_dev, found.st_ino), kept)
        try:
            yield descriptor
        finally:
            kept.readers.pop()
        return
    try:
        _regular(path, found)
        yield descriptor
    finally:
        os.close(descriptor)


def _close_deleted() -> None:
    """Close each `-shm` that is deleted and that nobody reads; see the rules above."""
    for name, seen in list(_kept.items()):
        # Without a lock, for a fork may come at any time: whoever takes it out has it alone.
        kept = _kept.pop(name, None) if seen.is_shm else None
        if kept is None:
            continue
        if kept.readers or os.fstat(kept.descriptor).st_nlink:
            _kept.setdefault(name, kept)
        else:
            os.close(kept.descriptor)


def size_bytes(path: str) -> int:
    """The size of the regular file at `path`, which is not opened.

    Raises:
        UnkeyableValue: a directory, device, pipe or socket.
        OSError: not there.
    """
    return _regular(path, os.stat(path)).st_size


def aligned(size: int) -> memoryview:
    """Memory that begins with a page.

    malloc has large blocks begin 16 bytes behind one, where some processors copy at a third of
    their speed (AMD's "fast short rep mov").
    """
    return memoryview(mmap.mmap(-1, size))


def fill(descriptor: int, view: memoryview, offset: int) -> int:
    """Read into all of `view` from `offset` on; zeros beyond the end. How many bytes were there."""
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            view[done:] = bytes(len(view) - done)
            break
        done += count
    return done


def feed(hasher: blake3, descriptor: int, doing: str) -> int:
    """Digest a whole file into `hasher`; how many bytes it had. `doing` names it for people."""
    view = aligned(BLOCK_BYTES)
    offset = 0
    with progress(f"digesting {doing}", os.fstat(descriptor).st_size, "bytes") as advance:
        while count := os.preadv(descriptor, [view], offset):
            hasher.update(view[:count])
            offset += count
            advance(count)
    return offset


def files_text(globs: tuple[str, ...], memory: Memory) -> tuple[str | None, str, Parts | None]:
    """The identity of all files that `globs` match, if there is none now, why, and the files.

    Over the patterns in order: how many files, and of each its name below the pattern's longest
    fixed directory and the digest of its content, by name.

    Raises:
        SourceMissing: a pattern matches nothing.
        UnkeyableValue: something is neither a file nor a directory.
    """
    hasher = blake3()
    parts: dict[str, Part] = {}
    for pattern in globs:
        listing = _listing(pattern)
        if not listing:
            raise SourceMissing(
                f"files {shown(pattern)!r}: matches no file: check the pattern "
                "(what is literal in it can be written glob.escape(name))"
            )
        hasher.update(len(listing).to_bytes(8, "little"))
        for name, path in sorted(listing.items()):
            text, (found,) = _content_text(os.path.realpath(path), memory)
            if text is None or found is None:
                return None, f"{printable(path)} is being written", None
            update_framed(hasher, name)
            digest = text.removeprefix(_SCHEME)
            hasher.update(bytes.fromhex(digest))
            if len(parts) <= MAX_PARTS:  # one more than are kept
                parts[printable(os.fsdecode(name))] = Part(found[2], digest)
    text = f"files-1:blake3:{hasher.hexdigest()}"
    return text, "", parts


def update_framed(hasher: blake3, data: bytes) -> None:
    """Digest `data` with its length before it, so that no two sequences of parts are one."""
    hasher.update(len(data).to_bytes(8, "little"))
    hasher.update(data)


def below(path: str, trail: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """The path itself, or all that lies below a directory; links are followed, but not back up.

    A link that leads nowhere is passed over: nobody can read anything there.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        yield path
        return
    here = (found.st_dev, found.st_ino)
    if here not in trail:
        for name in os.listdir(path):
            yield from below(os.path.join(path, name), trail | {here})


def _content_text(path: str, memory: Memory) -> tuple[str | None, Stats]:
    def look() -> Stats:
        return (stat_of(path),)

    def digest(_: Stats) -> str:
        hasher = blake3()
        # What is empty is not opened: it may be a database whose first table is being made.
        if size_bytes(path):
            with reading(path) as descriptor:
                feed(hasher, descriptor, printable(path))
        return _SCHEME + hasher.hexdigest()

    # The name is not the path alone, which belongs to the database that the file may also be.
    return steady(memory, f"{printable(path)}#content", look, digest, (_SCHEME,))


def _listing(pattern: str) -> dict[bytes, str]:
    import glob

    parts = pattern.split("/")
    fixed = 0
    while fixed < len(parts) and not glob.has_magic(parts[fixed]):
        fixed += 1
    if fixed < len(parts):
        root = "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")
        matches = glob.glob("/".join(parts[fixed:]), root_dir=root, recursive=True)
    elif os.path.isdir(pattern):
        root, matches = pattern, [""]
    else:
        root, matches = os.path.dirname(pattern) or ".", [os.path.basename(pattern)]
    return {
        os.fsencode(os.path.relpath(path, root)): path
        for match in matches
        for path in below(os.path.join(root, match))
    }


def _may_be_locked(path: str, head: bytes) -> bool:
    return not head or head == SQLITE_MAGIC or head[8:12] == DUCKDB_MAGIC or path.endswith("-shm")


def _regular(path: str, found: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(found.st_mode):
        raise UnkeyableValue(
            f"{path!r} is a directory, not a file: files(path) takes what is in it"
        )
    if not stat.S_ISREG(found.st_mode):
        raise UnkeyableValue(
            f"{path!r} is a device, pipe or socket, whose content cannot be told: pass a file"
        )
    return found
