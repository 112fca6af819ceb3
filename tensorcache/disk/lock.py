"""Locks: one for the root, one lease per key.

All are flocks. A descriptor that holds one is closed in forked children, so that a lock dies with
the process that took it and not with its last worker; threads exclude each other too, since each
opens a descriptor of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.place import (
    Root,
    begin_again,
    ensure_directory,
    is_begun,
    let_group_write,
    read_file,
    refuse_links,
)
from tensorcache.errors import LeaseTimeout

PATIENCE_SECONDS = 60.0  # for the root lock, which is held for milliseconds
MOST_BEGINNINGS = 3  # of a root that is emptied again and again while its lock is waited for
LOOK_SECONDS = 1.0  # longer than anybody looks who does not stand still
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.02
_forking = threading.RLock()  # a signal's handler may fork while its own thread has it


class Locked(Descriptor):
    """A descriptor that is locked while it is open, and closed in forked children."""

    def __init__(self, path: str, flags: int) -> None:
        _held.add(self)  # before it is open: no fork finds it open and unknown
        super().__init__(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    def close(self) -> None:
        """Close it, and so free its lock; in a forked child, nothing."""
        with _forking:
            super().close()


class _Several(Descriptor):
    """Several files, opened by one call: what a loop over a million of them can afford."""

    def __init__(self, paths: Iterable[str], flags: int) -> None:
        _held.add(self)
        self._numbers = self.numbers = list[int]()
        self.numbers.extend(map(os.open, paths, itertools.repeat(flags | os.O_CLOEXEC)))


_held: weakref.WeakSet[Descriptor] = weakref.WeakSet()


def _drop_in_child() -> None:
    for descriptor in list(_held):
        with contextlib.suppress(OSError):
            descriptor.close()  # the parent's stays open, and so locked
    _forking.release()


os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_drop_in_child
)


def open_locked(path: str, flags: int, patience_seconds: float = 0.0) -> Locked | None:
    """A descriptor of `path` under an exclusive flock, or None where another has it so long."""
    with _forking:  # no fork between opening and knowing
        descriptor = Locked(path, flags)
    try:
        _lock(descriptor, patience_seconds)
    except BlockingIOError:
        descriptor.close()
        return None
    except BaseException:
        descriptor.close()
        raise
    return descriptor


def _lock(descriptor: Locked, patience_seconds: float) -> None:
    """Try until it is ours; not in the kernel's queue, where a stopped process stops all behind it.

    Who has waited for longer asks more often, so that nobody starves in a crowd; but none so often
    that sixty who ask leave the one who holds it no processor.
    """
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - began
            if waited >= patience_seconds:
                raise
        else:
            return
        pause = max(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS - waited / 250)
        time.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - so that they ask in no step


def locks_on(paths: Iterable[str], flags: int) -> list[bool]:
    """Whether another has each of several files open under a lock, by one try at each.

    Raises:
        OSError: one of them cannot be opened.
    """
    # No fork while they are locked, but by a signal's handler.
    with _forking, contextlib.closing(_Several(paths, flags)) as several:
        return [not _is_ours(number) for number in several.numbers]


def _is_ours(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: str) -> bool | None:
    """Whether another has a file or directory locked for itself; None where that cannot be told.

    The lock of this look is shared, and gone at once: no two looks are in each other's way, and who
    comes to lock it meanwhile tries again.
    """
    try:
        with Descriptor(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as number:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


@contextlib.contextmanager
def locked(root: Root, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the root lock: publication, removal, index writes, first open and migration need it.

    Raises:
        LeaseTimeout: another held it for all that time.
        NotACache: another put something else in the place of the cache.
        OSError: the lock cannot be opened (read-only, full, gone).
    """
    end = time.monotonic() + patience_seconds
    for _ in range(MOST_BEGINNINGS):
        begin_again(root)
        with flocked(root, max(0.0, end - time.monotonic())):
            if is_begun(root):
                refuse_links(root)
                yield
                return
        # Emptied while we waited: it begins again, and its new lock is the one to hold.
    raise FileNotFoundError(errno.ENOENT, "the cache was emptied or removed", root.path)


@contextlib.contextmanager
def flocked(root: Root, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of a root that may be yet to begin; else as `locked`."""
    path, end = root.join("lock"), time.monotonic() + patience_seconds
    while True:
        left = max(0.0, end - time.monotonic())
        descriptor = open_locked(path, os.O_RDWR | os.O_CREAT, left)
        if descriptor is None:
            raise LeaseTimeout(
                f"{path!r} was held for {patience_seconds:.0f} s: "
                f"is a process stopped? `fuser` names it"
            )
        try:
            # Removed while we waited, it excludes nobody: others lock the next file of its name.
            if _is_named(descriptor, path):
                let_group_write(root, descriptor.number)
                yield
                return
        finally:
            descriptor.close()


class Lease(NamedTuple):
    """The claim "I am building this key", until released or dead."""

    path: str
    descriptor: Locked

    def release(self) -> None:
        """Let others build; the name goes first, so that who waits on the old file tries anew."""
        try:
            with contextlib.suppress(OSError):  # a file that nobody holds is in nobody's way
                # Not where a forked child has let go of it, or the name is another's by now.
                if self.descriptor.is_open and _is_named(self.descriptor, self.path):
                    os.unlink(self.path)
        finally:
            self.descriptor.close()


def claim(root: Root, key: str) -> Lease | None:
    """One try at the lease of a key: None while another builds.

    Raises:
        NotACache, UnsafeCache: another put something else in the place of the cache.
        OSError: leases cannot be made here (read-only, full).
    """
    begin_again(root)
    path = os.path.join(ensure_directory(root, "building"), f"{key}.lock")
    while (descriptor := _unless_claimed(path)) is not None:
        lease = Lease(path, descriptor)
        try:
            if _is_named(descriptor, path):
                _sign(root, descriptor.number)
                return lease
        except BaseException:
            lease.release()
            raise
        descriptor.close()  # released under our eyes; the name is another file's by now
    return None


def _unless_claimed(path: str) -> Locked | None:
    """The file of a lease, locked; who only looks whether it is does not count."""
    ends = time.monotonic() + LOOK_SECONDS
    while True:
        descriptor = open_locked(path, os.O_RDWR | os.O_CREAT)
        if descriptor is not None or is_locked(path) or time.monotonic() > ends:
            return descriptor
        time.sleep(SHORTEST_PAUSE_SECONDS)


def _sign(root: Root, descriptor: int) -> None:
    let_group_write(root, descriptor)
    note = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": time.time()}
    with contextlib.suppress(OSError):  # for people only
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _is_named(descriptor: Locked, path: str) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor.number), named)


def holder(root: Root, key: str) -> dict[str, Any] | None:
    """Who builds a key (`pid`, `host`, `started_at`), as far as it wrote so."""
    try:
        note = json.loads(read_file(root.join("building", f"{key}.lock")))
        pid, host, started_at = (note[name] for name in ("pid", "host", "started_at"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_one = type(pid) is int and 0 < pid < 1 << 31 and type(host) is str
    if not is_one or type(started_at) not in (int, float) or not 0 <= started_at < 1e11:
        return None  # written by nobody who builds
    return {"pid": pid, "host": host, "started_at": started_at}
