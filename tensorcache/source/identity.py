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

# As libpq and ODBC have them.
_SETTING = re.compile(r"(?i)\b(user|uid|password|passwd|pwd)\s*=\s*('[^']*'|[^\s;&]+)")


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
    """`path` for people; a URL without all that may be secret: user, password and options.

    Also what only looks like a URL: with a blank, quote or `jdbc:` in front, or `password=…`.
    """
    if "://" in path:
        # To the last @, for a password that was not escaped may hold one.
        path = re.sub(r"://.*@", "://", path, flags=re.DOTALL).partition("?")[0]
    return printable(_SETTING.sub(r"\1=…", path))


def named(path: Any, where: str) -> str:
    """The path or pattern that a caller gave, as text.

    Raises:
        UnkeyableValue: it is none.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        said = shown(repr(path))
        raise UnkeyableValue(f"{where}: {said:.80} is no path: pass a str or a Path") from None
    if not name or "\0" in name or not is_encodable(name, "surrogateescape"):
        raise UnkeyableValue(f"{where}: {shown(name)!r:.80} names no file: pass its path")
    return name


def is_encodable(text: str, errors: str = "strict") -> bool:
    """Whether UTF-8 takes it, which has no half characters."""
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def unreadable(error: OSError, shown_path: str) -> str:
    """Why a source cannot be identified now; reading, unlike opening, fails without a name."""
    where = printable(error.filename) if isinstance(error.filename, str) else shown_path
    return f"{where} cannot be read: {error.strerror}"
