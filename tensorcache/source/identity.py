"""What a source is now, and how it is said.

Rules of this room: values and words; nothing is read.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from tensorcache.errors import UnkeyableValue
from tensorcache.manifest import Parts
from tensorcache.source.memory import Stat, printable


class Identity(NamedTuple):
    """What a source is now.

    `text` goes into the key; None means that it cannot be told now, and `why` says why. `kind` is
    sqlite, duckdb, the dialect of a URL, files or value. `path` and `stat` (device, inode, size in
    bytes, mtime_ns, ctime_ns) are provenance. `parts` are its tables or files, where they are
    known.
    """

    text: str | None
    why: str
    kind: str
    path: str | None
    stat: Stat | None
    parts: Parts | None = None


def is_url(path: str) -> bool:
    """Whether it names a server, not a file."""
    return re.match(r"[A-Za-z][\w.+-]*://", path) is not None


def shown(path: str) -> str:
    """`path` for people; a URL without all that may be secret: user, password and options."""
    if is_url(path):
        # To the last @, for a password that was not escaped may hold one.
        path = re.sub(r"://.*@", "://", path, flags=re.DOTALL).partition("?")[0]
    return printable(path)


def named(path: Any, where: str) -> str:
    """The path or pattern that a caller gave, as text.

    Raises:
        UnkeyableValue: it is none.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise UnkeyableValue(f"{where}: {path!r:.80} is no path: pass a str or a Path") from None
    if not name or "\0" in name:
        raise UnkeyableValue(f"{where}: {path!r:.80} names no file: pass its path")
    return name


def unreadable(error: OSError, shown_path: str) -> str:
    """Why a source cannot be identified now; reading, unlike opening, fails without a name."""
    where = printable(error.filename) if isinstance(error.filename, str) else shown_path
    return f"{where} cannot be read: {error.strerror}"
