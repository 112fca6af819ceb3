"""The bytes of files: descriptors, digests, listings.

Rules of this room: read only, in bounded memory, regular files only. WARNING: a descriptor of a
database file is never closed. POSIX locks belong to the process, and closing *any* descriptor of a
file drops those that SQLite or DuckDB hold on it through another one; a second writer could then
come in. One is kept for each such file (device and inode) until the process ends, also of `-shm`,
where SQLite's WAL locks are. A `-wal` or `-journal` carries no locks and is closed.

Digests use one thread: blake3's shared pool of threads does not survive fork, and a child that
asks it for work waits for ever.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

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
_kept: dict[tuple[int, int], int] = {}


@contextmanager
def reading(path: str) -> Iterator[int]:
    """A descriptor of the regular file at `path`, for `os.pread`; see the warning above.

    Raises:
        UnkeyableValue: a directory, device, pipe or socket.
        OSError: not there, or not readable.
    """
    found = _regular(path, os.stat(path))
    descriptor = _kept.get((found.st_dev, found.st_ino))
    if descriptor is not None:
        yield descriptor
        return
    # Non-blocking, because a pipe may have taken the file's place since.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and _may_be_locked(path, os.pread(descriptor, 16, 0)):
        # The loser of a race between threads stays open as well: nothing here may close it.
        yield _kept.setdefault((found.st_dev, found.st_ino), descriptor)
        return
    try:
        _regular(path, found)
        yield descriptor
    finally:
        os.close(descriptor)


def size_bytes(path: str) -> int:
    """The size of the regular file at `path`, which is not opened.

    Raises:
        UnkeyableValue: a directory, device, pipe or socket.
        OSError: not there.
    """
    return _regular(path, os.stat(path)).st_size


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
    view = memoryview(bytearray(BLOCK_BYTES))
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
            if len(parts) <= MAX_PARTS:
                parts[printable(os.fsdecode(name))] = Part(found[2], digest)
    text = f"files-1:blake3:{hasher.hexdigest()}"
    return text, "", parts if len(parts) <= MAX_PARTS else None


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
