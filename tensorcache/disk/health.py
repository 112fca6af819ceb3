"""What can be found out about a root by looking, and by one try at a lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Any, NamedTuple

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.lock import holder, is_locked
from tensorcache.disk.place import Root, create, temporary


class HeldLease(NamedTuple):
    """A key that is being built now, and what its builder wrote of itself: None until it has."""

    key: str
    pid: int | None
    host: str | None
    started_at: float | None


def excludes(root: Root) -> bool | None:
    """Whether an flock keeps a second one out here; None where it cannot be tried.

    Some filesystems grant every lock, and say nothing.
    """
    path = temporary(root.path)
    try:
        first = create(path)
    except OSError:
        return None
    try:
        with first, Descriptor(path, os.O_RDWR | os.O_NOFOLLOW) as second:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no locks at all
    else:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def leases(root: Root) -> list[HeldLease]:
    """The keys that are being built now."""
    folder = root.join("building")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [
        _described(root, name[:64])
        for name in names
        if len(name) == 69 and name.endswith(".lock") and is_locked(os.path.join(folder, name))
    ]


def _described(root: Root, key: str) -> HeldLease:
    note: dict[str, Any] = holder(root, key) or {}
    return HeldLease(key, note.get("pid"), note.get("host"), note.get("started_at"))


def oldest_note_seconds(root: Root) -> float | None:
    """How long the oldest note has waited for a writer to take it in; None where there is none."""
    waited = []
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        os.scandir(root.join("building")) as found,
    ):
        for one in found:
            if len(one.name) == 69 and one.name.endswith(".note"):
                with contextlib.suppress(FileNotFoundError):
                    waited.append(time.time() - one.stat(follow_symlinks=False).st_mtime)
    return max(waited, default=None)
