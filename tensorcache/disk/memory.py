"""Small files beside the entries: remembered identities, uses, pins. All but pins may be lost."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from typing import Any

from tensorcache.disk.descriptor import Descriptor
from tensorcache.disk.place import (
    Root,
    ensure_directory,
    let_group_write,
    open_regular,
    random_name,
    read_file,
    refuse_link,
    write_aside,
)
from tensorcache.errors import EntryCorrupt

MAX_JOURNAL_BYTES = 8 << 20  # about 50,000 hits that no writer took in; then it is set aside
OLDER_USES = "older"  # the one before: what was hit just now is in use, however often others are


class Memory:
    """What was learnt of files at their last stat: `sources/<digest of path>.json`."""

    def __init__(self, root: Root, *, write: bool) -> None:
        self._root = root
        self.writes = write

    def get(self, path: str) -> Any:
        """What is remembered of `path`, or None."""
        try:
            return json.loads(read_file(self._path(path)))
        except (OSError, ValueError):
            return None

    def __setitem__(self, path: str, learnt: Any) -> None:
        if self.writes:
            with contextlib.suppress(OSError):
                ensure_directory(self._root, "sources")
                data = json.dumps(learnt).encode()
                write_aside(self._root, self._path(path), data, durable=False)

    def forget(self, path: str) -> None:
        """There is nothing at `path` any more."""
        with contextlib.suppress(OSError):
            refuse_link(self._root.join("sources"))
            os.unlink(self._path(path))

    def _path(self, path: str) -> str:
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        return self._root.join("sources", f"{name}.json")


def append_use(root: Root, use: tuple[Any, ...]) -> None:
    """Note a hit, miss or build as one line; best effort.

    A use is when (seconds since 1970), kind, key, seconds, bytes, namespace, and the build seconds
    of the entry that was hit or waited for; the last two are None where they are not at hand.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    path = root.join("journal", "uses")
    with contextlib.suppress(OSError):
        refuse_link(root.join("journal"))
        try:
            journal = Descriptor(path, flags)
        except FileNotFoundError:
            ensure_directory(root, "journal")
            journal = Descriptor(path, flags)
        with journal as number:
            let_group_write(root, number)
            os.write(number, json.dumps(use).encode() + b"\n")
            written = os.fstat(number)
            if written.st_size >= MAX_JOURNAL_BYTES and os.path.samestat(written, os.stat(path)):
                os.rename(path, root.join("journal", OLDER_USES))


def take_uses(root: Root) -> dict[str, list[list[Any]]]:
    """The uses that no index has yet, by the name of their journal; under the root lock.

    The caller commits them and then calls `forget_uses`: who dies in between is taken in again,
    and the index knows by the name what it has.
    """
    folder = root.join("journal")
    for name in ("uses", OLDER_USES):
        with contextlib.suppress(OSError):
            taken = os.path.join(folder, random_name())
            os.rename(os.path.join(folder, name), taken)
            _outwait_writers(taken)
    try:
        names = [name for name in os.listdir(folder) if name not in ("uses", OLDER_USES)]
    except OSError:
        return {}
    found = {}
    for name in names:
        # It waits: statistics keep nobody from a removal. A link or a pipe is no journal of ours.
        with contextlib.suppress(OSError):
            found[name] = _uses(os.path.join(folder, name))
    return found


def _outwait_writers(path: str) -> None:
    """Wait until whoever opened the journal under its old name has written his line, or 10 ms.

    The kernel grants a lease for reading on what nobody has open for writing, and it costs those
    who write no call. Where there are no leases, a line that is late by so little is lost.
    """
    for _ in range(10 if hasattr(fcntl, "F_SETLEASE") else 0):
        with open_regular(path) as number:  # which, closed, ends the lease
            try:
                fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            except BlockingIOError:
                pass
            else:
                return
        time.sleep(0.001)


def _uses(path: str) -> list[list[Any]]:
    uses: list[list[Any]] = []
    try:
        lines = read_file(path).splitlines()
    except EntryCorrupt:  # a link, a pipe: no journal of ours
        return uses
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):  # a torn line is a lost statistic
            use = json.loads(line)
            if isinstance(use, list) and len(use) >= 5:
                use = [*use, None, None][:7]  # an older tensorcache wrote 5, a newer one may more
                if _is_use(*use):
                    uses.append(use)
    return uses


def _is_use(
    at: Any, kind: Any, key: Any, seconds: Any, size_bytes: Any, namespace: Any, build_seconds: Any
) -> bool:
    """Whether a line of the journal says what a use is: nothing else may reach the index."""
    numbers = at, seconds, 0 if build_seconds is None else build_seconds
    texts = kind, key, "" if namespace is None else namespace
    return (
        all(type(n) in (int, float) and abs(n) < 1e12 for n in numbers)  # no NaN either
        and all(type(text) is str and len(text) <= 64 and text.isascii() for text in texts)
        and type(size_bytes) is int
        and 0 <= size_bytes < 1 << 62
    )


def forget_uses(root: Root, name: str) -> None:
    """The index has them, and takes them once, if they stay."""
    with contextlib.suppress(OSError):
        os.unlink(root.join("journal", name))


def set_pin(root: Root, key: str, note: str | None) -> None:
    """Pin an entry with a note, or unpin it (None)."""
    path = root.join("pins", key)
    if note is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    ensure_directory(root, "pins")
    write_aside(root, path, json.dumps({"note": note, "at": time.time()}).encode())


def read_pins(root: Root) -> dict[str, str]:
    """The notes of all pinned keys.

    Raises:
        OSError: they cannot be listed now, which must not look as if there were none.
    """
    try:
        names = os.listdir(root.join("pins"))
    except FileNotFoundError:
        return {}
    return {name: _note(root.join("pins", name)) for name in names if len(name) == 64}


def _note(path: str) -> str:
    try:
        return str(json.loads(read_file(path))["note"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # pinned all the same: the name says so
