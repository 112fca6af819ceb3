"""Descriptions and identities of what a build reads: databases, files, values, code.

Rules of this room: a description touches nothing; `identify` reads, and writes nothing but the
memory that it is given. An identity is content alone, with its scheme in front; a path says where
it came from and is never part of it. What cannot be identified *now* (a writer is at work) has no
text, and the caller builds without publishing; what never can be is an error.

    memory.py   stats, and what may be remembered by them
    content.py  bytes of files: descriptors, digests, listings
    image.py    the committed image of a database file;  wal.py: what of a WAL is committed
    code.py     modules as a version;  cover.py: following their imports;  modules.py: where
                modules lie;  normal.py: the normal form of code
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from blake3 import blake3

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.key import MAX_DEPTH, canonical
from tensorcache.manifest import Parts
from tensorcache.source.code import CodeVersion, Version, code_version, version_of
from tensorcache.source.content import files_text
from tensorcache.source.memory import Memory, Stat, Stats, printable, stat_of, steady

__all__ = [
    "CodeVersion",
    "Database",
    "Files",
    "Identity",
    "Source",
    "Value",
    "Version",
    "code_version",
    "database",
    "files",
    "identify",
    "value",
    "version_of",
]

_LEVELS = ("bytes", "stat")
_MAX_VALUES = 1_000_000


class Database(NamedTuple):
    """A database file; `level` says how its identity is found."""

    path: str
    level: str


class Files(NamedTuple):
    """The files that glob patterns match."""

    globs: tuple[str, ...]


class Value(NamedTuple):
    """A value too large for the inputs: arrays, tensors, bytes, or plain values with such."""

    value: Any


Source = Database | Files | Value


class Identity(NamedTuple):
    """What a source is now.

    `text` goes into the key; None means that it cannot be told now, and `why` says why. `kind` is
    sqlite, duckdb, files or value. `path` and `stat` (device, inode, size in bytes, mtime_ns,
    ctime_ns) are provenance. `parts` are its tables or files, where they are known.
    """

    text: str | None
    why: str
    kind: str
    path: str | None
    stat: Stat | None
    parts: Parts | None = None


def database(path: str | os.PathLike[str], level: str = "bytes") -> Database:
    """A SQLite or DuckDB file as a source.

    Args:
        path: the file; `-wal`, `.wal` and `-journal` are looked for beside it.
        level: `bytes`, the digest of its committed content, which is read once per change; or
            `stat`, for people who insist: device, inode, size and times of the file and its WAL,
            never its content. That is fast the first time also, and misses after every copy,
            touch, checkpoint and restart of a machine that numbers its devices anew.

    Raises:
        UnkeyableValue: not a path, or not a level.
    """
    path = _path(path, "database(path)")
    if level not in _LEVELS:
        raise UnkeyableValue(
            f"database {path!r}: {level!r:.40} is no level: use {' or '.join(map(repr, _LEVELS))}"
        )
    return Database(path, level)


def files(*globs: str | os.PathLike[str]) -> Files:
    """All files that the patterns match, by their names and contents.

    `**` goes through directories, and a directory stands for everything below it. Names count from
    the longest part of the pattern that is fixed, so that the same tree elsewhere is the same.

    Raises:
        UnkeyableValue: no pattern, or one that is no path.
    """
    if not globs:
        raise UnkeyableValue("files(): names nothing: pass patterns, files('data/*.parquet')")
    return Files(tuple(_path(glob, "files(*globs)") for glob in globs))


def value(x: Any) -> Value:
    """A value as a source, by its content: arrays, tensors, bytes, plain values."""
    return Value(x)


def identify(
    source: Source, memory: Memory, *, leaf_digest: Callable[[Any], str | None]
) -> Identity:
    """What `source` is now.

    Args:
        source: from `database`, `files` or `value`.
        memory: absolute paths to small JSON-able values, kept from one process to the next.
            It may lose or garble what it was given.
        leaf_digest: the digest of an array or tensor with dtype and shape, as text; None for what
            is neither.

    Raises:
        SourceMissing: a file or pattern that leads to nothing.
        UnkeyableValue: no source, or one whose content cannot be told.
    """
    if type(source) is Value:
        return Identity(_value_text(source.value, leaf_digest), "", "value", None, None)
    if type(source) is Database:
        return _database_identity(source, memory)
    if type(source) is Files:
        return _files_identity(source, memory)
    raise UnkeyableValue(
        f"sources: {source!r:.80} is no source: use database(path), files(globs) or value(x)"
    )


def _database_identity(source: Database, memory: Memory) -> Identity:
    path = os.path.realpath(source.path)
    shown = printable(path)

    def look() -> Stats:
        return tuple(stat_of(path + end) for end in ("", "-wal", ".wal", "-journal"))

    kind = "sqlite"

    def digest(stats: Stats) -> str | None:
        from tensorcache.source import image  # a remembered database needs none of it

        if stats[0] is None:
            raise SourceMissing(
                f"database {source.path!r} is not there: check the path, or make it"
            )
        nonlocal kind
        kind = image.kind_of(path)
        text_of = image.bytes_text if by_bytes else image.stat_text
        return text_of(kind, path, stats[0], stats[1:])

    # What a stat says is not worth remembering: it is found as fast as a memory of it.
    by_bytes = source.level == "bytes"
    known, schemes = (memory, ("sqlite-", "duckdb-")) if by_bytes else ({}, ("stat-",))
    try:
        text, stats = steady(known, shown, look, digest, schemes)
        if text is None:
            from tensorcache.source.image import why_not  # what has a text needs no reason

            return Identity(None, why_not(path), kind, shown, stats[0])
    except SourceMissing:
        raise
    except OSError as error:
        return Identity(None, _unreadable(error, shown), kind, shown, None)
    return Identity(text, "", text.partition("-")[0] if by_bytes else kind, shown, stats[0])


def _files_identity(source: Files, memory: Memory) -> Identity:
    shown = printable(", ".join(source.globs))
    try:
        text, why = files_text(source.globs, memory)
    except SourceMissing:
        raise
    except OSError as error:
        text, why = None, _unreadable(error, shown)
    return Identity(text, why, "files", shown, None)


def _unreadable(error: OSError, shown: str) -> str:
    # Reading, unlike opening, fails without a name.
    where = printable(error.filename) if isinstance(error.filename, str) else shown
    return f"{where} cannot be read: {error.strerror}"


def _value_text(x: Any, leaf_digest: Callable[[Any], str | None]) -> str:
    """The identity of a value: of its canonical text, in which a digest stands for what is large.

    Leaves and bytes both become bytes with a word in front, so that none can be taken for another.
    """
    left = [_MAX_VALUES]

    def small(part: Any, depth: int) -> Any:
        kind = type(part)
        left[0] -= 1
        if left[0] < 0:
            raise UnkeyableValue(
                f"value(x): more than {_MAX_VALUES} values in it: pass arrays instead of lists"
            )
        if kind is bytes:
            return b"bytes:" + blake3(part).digest()
        if depth > MAX_DEPTH or kind in (bool, int, float, str, type(None)):
            return part
        if kind is dict:
            return {name: small(item, depth + 1) for name, item in part.items()}
        if kind in (list, tuple, set, frozenset):
            return kind(small(item, depth + 1) for item in part)
        leaf = leaf_digest(part)
        return part if leaf is None else b"leaf:" + leaf.encode("utf-8")

    plain = canonical(small(x, 0), "value(x)")
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"value-1:blake3:{blake3(text.encode('ascii')).hexdigest()}"


def _path(path: Any, where: str) -> str:
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise UnkeyableValue(f"{where}: {path!r:.80} is no path: pass a str or a Path") from None
    if not name or "\0" in name:
        raise UnkeyableValue(f"{where}: {path!r:.80} names no file: pass its path")
    return name
