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
import threading
import time
import weakref
from collections.abc import Callable, Container
from typing import NamedTuple, TypeVar

from blake3 import blake3

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.memory import Memory
from tensorcache.disk.place import Root, manifest_path, open_regular, piece_name, piece_path
from tensorcache.errors import CacheTooNew, EntryCorrupt, EntryMissing
from tensorcache.key import Key
from tensorcache.manifest import MAX_MANIFEST_BYTES, Manifest, Piece, from_bytes

READ_BYTES = 1 << 20
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_PAUSES_SECONDS = (0.0, 0.01, 0.05, 0.25)  # other threads may be opening much just now
T = TypeVar("T")
_Check = Callable[[str, Piece, Descriptor], None]


class _Descriptors(NamedTuple):
    manifest: Descriptor
    pieces: dict[str, Descriptor]

    def close(self) -> None:
        for descriptor in (self.manifest, *self.pieces.values()):
            descriptor.close()


class Held:
    """The files of one generation of an entry, open."""

    _descriptors: _Descriptors | None = None  # none yet, whatever interrupts its making

    def __init__(self, root: Root, manifest: Manifest, descriptors: _Descriptors) -> None:
        self.root = root
        self.manifest = manifest
        self._descriptors = descriptors
        _open.touch(self, 1 + len(descriptors.pieces))

    def using(self, digest: str, use: Callable[[int], T]) -> T:
        """What `use` makes of an open descriptor of a shard or document; it must not keep it.

        Raises:
            EntryMissing: given up under pressure, and this generation is gone by now.
        """
        return _making_room(lambda most: self._using(digest, use, most))

    def _using(self, digest: str, use: Callable[[int], T], most: int | None) -> T:
        with _open.lock:
            if self._descriptors is None:
                self._descriptors = self._reopened(most)
            _open.touch(self, 1 + len(self._descriptors.pieces))
            descriptor = self._descriptors.pieces.get(digest)
            return use(descriptor.number) if descriptor else self._using_anew(digest, use)

    def _using_anew(self, digest: str, use: Callable[[int], T]) -> T:
        """For an entry of more pieces than a process may have open: by name, which is content."""
        kinds = {piece.digest: kind for kind, piece in self.manifest.pieces}
        if digest not in kinds:
            raise EntryCorrupt(f"entry {self.manifest.key[:16]}: it has no piece {digest[:16]}")
        try:
            descriptor = _open_piece(self.root, kinds[digest], digest)
        except EntryCorrupt as error:
            raise EntryMissing(f"entry {self.manifest.key[:16]} is gone: {error}") from error
        with descriptor as number:
            return use(number)

    def _reopened(self, most: int | None) -> _Descriptors:
        key = self.manifest.key
        with contextlib.suppress(EntryCorrupt, CacheTooNew):
            opened = _open_entry(self.root, key, _unchecked, most)
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
            descriptors, self._descriptors = self._descriptors, None
            if descriptors is not None:
                descriptors.close()

    def __del__(self) -> None:
        if _open is not None:  # else the process ends, and the kernel closes what is left
            _open.ended.append(id(self))  # finalizers run anywhere, so they wait for nothing
            if self._descriptors is not None:
                self._descriptors.close()


def _limit() -> int:
    """How many descriptors all entries of this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def _unchecked(_kind: str, _piece: Piece, _file: Descriptor) -> None:
    """What was found good once is opened by its digest."""


class _Open:
    """The entries that have descriptors open, in the order of their last touch."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal's handler may use one entry while another opens
        self.ended: collections.deque[int] = collections.deque()  # ids of those just collected
        self._count = 0
        self._entries: collections.OrderedDict[int, tuple[weakref.ref[Held], int]] = (
            collections.OrderedDict()
        )

    def touch(self, held: Held, count: int) -> None:
        """Make it the last; close the first ones while there are too many."""
        with self.lock:
            if not self.ended and id(held) == next(reversed(self._entries), None):
                return  # it is: an entry opens one section after the other
            self.forget(held)
            self._entries[id(held)] = weakref.ref(held), count
            self._count += count
            while self._count > _limit() and len(self._entries) > 1:
                first, (oldest, _) = next(iter(self._entries.items()))
                entry = oldest()
                if entry is None:  # being collected: it closes itself
                    self._drop(first)
                else:
                    entry.close()

    def give_up(self) -> None:
        """Close the descriptors of all."""
        with self.lock:
            for reference, _ in list(self._entries.values()):
                entry = reference()
                if entry is not None:
                    entry.close()

    def forget(self, held: Held) -> None:
        """It has none open any more."""
        with contextlib.suppress(IndexError):
            while True:  # first, for another may have got the id of one that ended
                self._drop(self.ended.popleft())
        self._drop(id(held))

    def _drop(self, number: int) -> None:
        _, count = self._entries.pop(number, (None, 0))
        self._count -= count


_open = _Open()
# No fork while another thread has the lock, for the child would find it locked for ever.
os.register_at_fork(
    before=_open.lock.acquire,
    after_in_parent=_open.lock.release,
    after_in_child=_open.lock.release,
)


def hold(root: Root, key: Key | str, memory: Memory, verify: str) -> Held | None:
    """Open an entry and check it by policy (`size`, `once`, `digest`); None where there is none.

    Raises:
        EntryCorrupt: its bytes are not what they should be; `.piece` says which, if not its own.
        CacheTooNew: a newer tensorcache wrote it.
    """
    # One look for all pieces of the entry; what it lacks is looked up piece by piece.
    name = _entry_name(str(key))
    known = memory.get(name) if verify == "once" else None
    known = known if isinstance(known, dict) else {}
    found: dict[str, list[int]] = {}

    def check(kind: str, piece: Piece, file: Descriptor) -> None:
        path = piece_name(kind, piece.digest)
        found[path] = _fingerprint(file.status)
        if known.get(path) != found[path]:
            _check_piece(kind, piece, file, memory, verify)

    opened = _making_room(lambda most: _open_entry(root, key, check, most))
    if opened is None:
        return None
    if verify == "once" and found != known:
        memory[name] = found
    return Held(root, *opened)


def _making_room(do: Callable[[int | None], T]) -> T:
    """What `do` gives for the pieces that one entry may keep open, None for half of the limit.

    Where no descriptor is left, entries give theirs up, and this one keeps none but its manifest's.
    """
    most = None
    pauses = iter(_PAUSES_SECONDS)
    while True:
        try:
            return do(most)
        except OSError as error:
            pause_seconds = next(pauses, None)
            if pause_seconds is None or error.errno not in _NO_DESCRIPTOR:
                raise
        _open.give_up()
        time.sleep(pause_seconds)
        most = 0


def _open_entry(
    root: Root, key: Key | str, check: _Check, most: int | None
) -> tuple[Manifest, _Descriptors] | None:
    """Once more by name where it was replaced or a piece was missing.

    Raises:
        EntryCorrupt, CacheTooNew: as `hold`; a piece is missing still.
    """
    missing: _Missing | None = None
    for _ in range(2):
        missing = None
        try:
            descriptor = open_regular(manifest_path(root, str(key)))
        except FileNotFoundError:
            return None
        try:
            if _share(descriptor.number) and os.fstat(descriptor.number).st_nlink > 0:
                manifest = from_bytes(_read(descriptor.number, MAX_MANIFEST_BYTES), key)
                return manifest, _Descriptors(descriptor, _open_pieces(root, manifest, check, most))
        except _Missing as error:
            if os.fstat(descriptor.number).st_nlink > 0:  # else it was replaced while it was opened
                missing = error
        except BaseException:
            descriptor.close()
            raise
        descriptor.close()  # on its way out, or part of it is
    if missing is not None:
        raise missing
    return None


def _open_pieces(
    root: Root, manifest: Manifest, check: _Check, most: int | None
) -> dict[str, Descriptor]:
    """Check every piece, and keep descriptors of `most` of them."""
    most = _limit() // 2 if most is None else most
    pieces: dict[str, Descriptor] = {}
    try:
        for kind, piece in manifest.pieces:
            descriptor = pieces[piece.digest] = _open_piece(root, kind, piece.digest)
            check(kind, piece, descriptor)
            if len(pieces) > most:
                pieces.pop(piece.digest).close()
    except BaseException:
        for descriptor in pieces.values():
            descriptor.close()
        raise
    return pieces


class _Missing(EntryCorrupt):
    """A piece that is not there: perhaps the entry was replaced while it was opened."""


def _open_piece(root: Root, kind: str, digest: str) -> Descriptor:
    try:
        return open_regular(piece_path(root, kind, digest))
    except FileNotFoundError:
        raise _corrupt(kind, digest, "it is missing", _Missing) from None
    except EntryCorrupt as error:
        raise _corrupt(kind, digest, str(error)) from error


def read_manifest(root: Root, key: str) -> Manifest | None:
    """The manifest of a key, its digest checked; None where there is none.

    Raises:
        EntryCorrupt, CacheTooNew: as `from_bytes`.
    """
    try:
        descriptor = open_regular(manifest_path(root, key))
    except FileNotFoundError:
        return None
    with descriptor as number:
        return from_bytes(_read(number, MAX_MANIFEST_BYTES), key)


def _share(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False  # being evicted: a hit waits for nobody
    except OSError:
        return True  # no locks here (read-only media): nobody evicts there either
    return True


def _check_piece(kind: str, piece: Piece, file: Descriptor, memory: Memory, verify: str) -> None:
    """Check an open piece by policy, and remember what was found good.

    Raises:
        EntryCorrupt: its size or its digest is wrong; `.piece` is (kind, digest).
    """
    status = file.status
    name = piece_name(kind, piece.digest)
    if status.st_size != piece.size_bytes:
        raise _corrupt(kind, piece.digest, f"it has {status.st_size} bytes, not {piece.size_bytes}")
    if verify == "size" or (verify == "once" and memory.get(name) == _fingerprint(status)):
        return
    if _digest(file.number, piece.size_bytes) != piece.digest:
        raise _corrupt(kind, piece.digest, "its bytes do not match its name")
    if verify == "once":
        memory[name] = _fingerprint(status)


def remember(root: Root, manifest: Manifest, memory: Memory, vouched: Container[Piece]) -> None:
    """Seed the memory of an entry just published; after its renames, which change ctimes."""
    found = {}
    for kind, piece in manifest.pieces:
        name = piece_name(kind, piece.digest)
        if piece in vouched:  # what it was when it was found good, whatever it is now
            found[name] = memory.get(name)
        else:
            found[name] = memory[name] = _fingerprint(os.stat(root.join(name)))
    memory[_entry_name(manifest.key)] = found


def forget_entry(root: Root, key: str) -> None:
    """What is remembered of an entry is no longer so."""
    Memory(root, write=True).forget(_entry_name(key))


def _entry_name(key: str) -> str:
    return f"entries/{key}"


def forget_piece(root: Root, kind: str, digest: str) -> None:
    """What is remembered of a piece is no longer so."""
    Memory(root, write=True).forget(piece_name(kind, digest))


def is_vouched(root: Root, kind: str, piece: Piece, memory: Memory) -> bool:
    """Whether the piece is in place, and its remembered stat says that nobody touched it."""
    path = piece_path(root, kind, piece.digest)
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    known = memory.get(piece_name(kind, piece.digest))
    return status.st_size == piece.size_bytes and known == _fingerprint(status)


def _fingerprint(status: os.stat_result) -> list[int]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _corrupt(
    kind: str, digest: str, why: str, error_type: type[EntryCorrupt] = EntryCorrupt
) -> EntryCorrupt:
    error = error_type(f"{kind} {digest[:16]}: {why}")
    error.piece = (kind, digest)
    return error


def digest_of(path: str, told: Callable[[int], object] = int) -> str:
    """The blake3 of a plain file; `told` hears of the bytes as they are read.

    Raises:
        EntryCorrupt: it is no plain file.
    """
    with open_regular(path) as number:
        return _digest(number, os.fstat(number).st_size, told)


def _digest(descriptor: int, size_bytes: int, told: Callable[[int], object] = int) -> str:
    digest = blake3()  # one thread: the pool of many would hang in a forked child
    for offset in range(0, size_bytes, READ_BYTES):
        read = os.pread(descriptor, READ_BYTES, offset)
        digest.update(read)
        told(len(read))
    return digest.hexdigest()


def _read(descriptor: int, limit: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > limit:
        raise EntryCorrupt(f"a manifest of {size} bytes, over the limit of {limit}")
    return os.pread(descriptor, size, 0)
