"""Locks: one for the root, one lease per key.

All are flocks. A descriptor that holds one is closed in forked children, so that a lock dies with
the process that took it and not with its last worker; threads exclude each other too, since each
opens a descriptor of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tensorcache.disk.place import (
    Root,
    ensure_directory,
    let_group_write,
    read_file,
    refuse_links,
)
from tensorcache.errors import LeaseTimeout

PATIENCE_SECONDS = 60.0  # for the root lock, which is held for milliseconds
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.0005, 0.01
_forking = threading.Lock()
_held: set[int] = set()


def _drop_in_child() -> None:
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)  # the parent's stays open, and so locked
    _held.clear()
    _forking.release()


os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_drop_in_child
)


def open_locked(path: str, flags: int, patience_seconds: float = 0.0) -> int | None:
    """A descriptor of `path` under an exclusive flock, or None where another has it so long."""
    with _forking:  # no fork between opening and knowing
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        _held.add(descriptor)
    try:
        _lock(descriptor, patience_seconds)
    except BlockingIOError:
        close(descriptor)
        return None
    except BaseException:
        close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, patience_seconds: float) -> None:
    """Try until it is ours; not in the kernel's queue, where a stopped process stops all behind it.

    Who has waited for longer asks more often, so that nobody starves in a crowd.
    """
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = time.monotonic() - began
            if waited >= patience_seconds:
                raise
        else:
            return
        pause = max(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS - waited / 50)
        time.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - so that they ask in no step


def close(descriptor: int) -> None:
    """Close a descriptor of `open_locked`, and so free its lock; in a forked child, nothing."""
    with _forking:
        if descriptor in _held:
            _held.remove(descriptor)
            os.close(descriptor)


@contextlib.contextmanager
def locked(root: Root, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the root lock: publication, removal, index writes, first open and migration need it.

    Raises:
        LeaseTimeout: another held it for all that time.
        OSError: the lock cannot be opened (read-only, full).
    """
    descriptor = open_locked(root.join("lock"), os.O_RDWR | os.O_CREAT, patience_seconds)
    if descriptor is None:
        raise LeaseTimeout(
            f"{root.join('lock')!r} was held for {patience_seconds:.0f} s: "
            f"is a process stopped? `fuser` names it"
        )
    try:
        refuse_links(root)
        let_group_write(root, descriptor)
        yield
    finally:
        close(descriptor)


class Lease(NamedTuple):
    """The claim "I am building this key", until released or dead."""

    path: str
    descriptor: int

    def release(self) -> None:
        """Let others build; the name goes first, so that who waits on the old file tries anew."""
        if self.descriptor in _held:  # a forked child has let go of it, and its parent has not
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        close(self.descriptor)


def claim(root: Root, key: str) -> Lease | None:
    """One try at the lease of a key: None while another builds.

    Raises:
        OSError: leases cannot be made here (read-only, full).
    """
    path = os.path.join(ensure_directory(root, "building"), f"{key}.lock")
    while True:
        descriptor = open_locked(path, os.O_RDWR | os.O_CREAT)
        if descriptor is None:
            return None
        if _is_named(descriptor, path):
            break
        close(descriptor)  # released under our eyes; the name is another file's by now
    let_group_write(root, descriptor)
    note = {"pid": os.getpid(), "host": socket.gethostname(), "started_at": time.time()}
    with contextlib.suppress(OSError):  # for people only
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
    return Lease(path, descriptor)


def _is_named(descriptor: int, path: str) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), named)


def holder(root: Root, key: str) -> dict[str, Any] | None:
    """Who builds a key (`pid`, `host`, `started_at`), as far as it wrote so."""
    try:
        note = json.loads(read_file(root.join("building", f"{key}.lock")))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None
