"""An entry held open: descriptors that outlive unlinking, and a shared flock against eviction.

A process has few descriptors, so past half of its limit the entries touched longest ago give
theirs up; touched again, they are opened anew, by digest.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import fcntl
import os
import resource
import stat
import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from blake3 import blake3

from tensorcache.disk.memory import Memory
from tensorcache.disk.place import Root, manifest_path, piece_path
from tensorcache.errors import EntryCorrupt, EntryMissing
from tensorcache.manifest import MAX_MANIFEST_BYTES, Manifest, Piece, from_bytes

READ_BYTES = 1 << 20
T = TypeVar("T")


class _Descriptors(NamedTuple):
    manifest: int
    pieces: dict[str, int]

    def close(self) -> None:
        for descriptor in (self.manifest, *self.pieces.values()):
            os.close(descriptor)


class Held:
    """The files of one generation of an entry, open."""

    def __init__(self, root: Root, manifest: Manifest, descriptors: _Descriptors) -> None:
        self.root = root
        self.manifest = manifest
        self._descriptors: _Descriptors | None = descriptors
        _open.touch(self, 1 + len(descriptors.pieces))

    def using(self, digest: str, use: Callable[[int], T]) -> T:
        """What `use` makes of an open descriptor of a shard or document; it must not keep it.

        Raises:
            EntryMissing: given up under pressure, and this generation is gone by now.
        """
        with _open.lock:
            if self._descriptors is None:
                self._descriptors = self._reopened()
            _open.touch(self, 1 + len(self._descriptors.pieces))
            return use(self._descriptors.pieces[digest])

    def _reopened(self) -> _Descriptors:
        key = self.manifest.key
        with contextlib.suppress(EntryCorrupt):
            opened = _open_entry(self.root, key)
            if opened is not None and opened[0].digest == self.manifest.digest:
                return opened[1]
            if opened is not None:
                opened[1].close()
        raise EntryMissing(
            f"entry {key[:16]} was given up for lack of descriptors and is gone by now: get it anew"
        )

    def close(self) -> None:
        """Close the descriptors, and so let go of the entry; what is mapped stays readable."""
        with _open.lock:
            _open.forget(self)
            if self._descriptors is not None:
                self._descriptors.close()
                self._descriptors = None

    __del__ = close


class _Open:
    """The entries that have descriptors open, in the order of their last touch."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a collection may close one entry while another opens
        self._count = 0
        self._entries: collections.OrderedDict[int, tuple[weakref.ref[Held], int]] = (
            collections.OrderedDict()
        )

    def touch(self, held: Held, count: int) -> None:
        """Make it the last; close the first ones while there are too many."""
        with self.lock:
            self.forget(held)
            self._entries[id(held)] = weakref.ref(held), count
            self._count += count
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
            while self._count > limit and len(self._entries) > 1:
                first, (oldest, its_count) = next(iter(self._entries.items()))
                entry = oldest()
                if entry is None:  # being collected: it closes itself
                    del self._entries[first]
                    self._count -= its_count
                else:
                    entry.close()

    def forget(self, held: Held) -> None:
        """It has none open any more."""
        _, count = self._entries.pop(id(held), (None, 0))
        self._count -= count


_open = _Open()


def hold(root: Root, key: str, memory: Memory, verify: str) -> Held | None:
    """Open an entry and check it by policy (`size`, `once`, `digest`); None where there is none.

    Raises:
        EntryCorrupt: its bytes are not what they should be; `.piece` says which, if not its own.
        CacheTooNew: a newer tensorcache wrote it.
    """
    opened = _open_entry(root, key)
    if opened is None:
        return None
    manifest, descriptors = opened
    try:
        for kind, pieces in (("shard", manifest.shards), ("document", manifest.documents)):
            for piece in pieces:
                check_piece(root, kind, piece, descriptors.pieces[piece.digest], memory, verify)
    except BaseException:
        descriptors.close()
        raise
    return Held(root, manifest, descriptors)


def _open_entry(root: Root, key: str) -> tuple[Manifest, _Descriptors] | None:
    """Once more by name where it was replaced or a piece was missing, then it is not there."""
    for _ in range(2):
        try:
            descriptor = open_regular(manifest_path(root, key))
        except FileNotFoundError:
            return None
        pieces: dict[str, int] = {}
        try:
            if not _share(descriptor) or os.fstat(descriptor).st_nlink == 0:
                os.close(descriptor)
                continue  # on its way out
            manifest = from_bytes(_read(descriptor, MAX_MANIFEST_BYTES), key)
            for kind, of_kind in (("shard", manifest.shards), ("document", manifest.documents)):
                for piece in of_kind:
                    pieces[piece.digest] = open_regular(piece_path(root, kind, piece.digest))
        except FileNotFoundError:
            _Descriptors(descriptor, pieces).close()
        except BaseException:
            _Descriptors(descriptor, pieces).close()
            raise
        else:
            return manifest, _Descriptors(descriptor, pieces)
    return None


def read_manifest(root: Root, key: str) -> Manifest | None:
    """The manifest of a key, its digest checked; None where there is none.

    Raises:
        EntryCorrupt, CacheTooNew: as `from_bytes`.
    """
    try:
        descriptor = open_regular(manifest_path(root, key))
    except FileNotFoundError:
        return None
    try:
        return from_bytes(_read(descriptor, MAX_MANIFEST_BYTES), key)
    finally:
        os.close(descriptor)


def open_regular(path: str) -> int:
    """Open for reading what must be a plain file: no link, no pipe that would wait for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        if error.errno == errno.ELOOP:
            raise EntryCorrupt(f"{path!r} is a link, not a file of ours") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise EntryCorrupt(f"{path!r} is no plain file")
    return descriptor


def _share(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # being evicted: a hit waits for nobody
    except OSError:
        return True  # no locks here (read-only media): nobody evicts there either
    return True


def check_piece(
    root: Root, kind: str, piece: Piece, descriptor: int, memory: Memory, verify: str
) -> None:
    """Check an open piece by policy, and remember what was found good.

    Raises:
        EntryCorrupt: its size or its digest is wrong; `.piece` is (kind, digest).
    """
    status = os.fstat(descriptor)
    name = os.path.relpath(piece_path(root, kind, piece.digest), root.path)
    if status.st_size != piece.size_bytes:
        raise _corrupt(kind, piece, f"it has {status.st_size} bytes, not {piece.size_bytes}")
    if verify == "size" or (verify == "once" and memory.get(name) == _record(status)):
        return
    if _digest(descriptor, piece.size_bytes) != piece.digest:
        raise _corrupt(kind, piece, "its bytes do not match its name")
    if verify == "once":
        memory[name] = _record(status)


def remember_piece(root: Root, kind: str, digest: str, memory: Memory) -> None:
    """Seed the memory of a piece just published; after its rename, which changes its ctime."""
    path = piece_path(root, kind, digest)
    memory[os.path.relpath(path, root.path)] = _record(os.stat(path))


def is_vouched(root: Root, kind: str, piece: Piece, memory: Memory) -> bool:
    """Whether the piece is in place, and its remembered stat says that nobody touched it."""
    path = piece_path(root, kind, piece.digest)
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    known = memory.get(os.path.relpath(path, root.path))
    return status.st_size == piece.size_bytes and known == _record(status)


def _record(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _corrupt(kind: str, piece: Piece, why: str) -> EntryCorrupt:
    error = EntryCorrupt(f"{kind} {piece.digest[:16]}: {why}")
    error.piece = (kind, piece.digest)
    return error


def digest_of(path: str) -> str:
    """The blake3 of a plain file.

    Raises:
        EntryCorrupt: it is no plain file.
    """
    descriptor = open_regular(path)
    try:
        return _digest(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _digest(descriptor: int, size_bytes: int) -> str:
    digest = blake3(max_threads=blake3.AUTO)
    for offset in range(0, size_bytes, READ_BYTES):
        digest.update(os.pread(descriptor, READ_BYTES, offset))
    return digest.hexdigest()


def _read(descriptor: int, limit: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > limit:
        raise EntryCorrupt(f"a manifest of {size} bytes, over the limit of {limit}")
    return os.pread(descriptor, size, 0)
