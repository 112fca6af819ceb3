"""Descriptions and identities of what a build reads: databases, files, values, code.

Rules of this room: a description touches nothing; `identify` reads, and writes nothing but the
memory that it is given. An identity is content alone, with its scheme in front; a path says where
it came from and is never part of it. What cannot be identified *now* (a writer is at work) has no
text, and the caller builds without publishing; what never can be is an error.

    memory.py    stats, and what may be remembered by them
    content.py   bytes of files: descriptors, digests, listings
    database.py  databases, at three levels
    image.py     bytes: the committed image of a file;  wal.py: what of a WAL is committed;
                 pages.py: whose pages pass
    logical.py   tables and queries;  engine.py: SQLite and DuckDB;  server.py: URLs
    code.py      modules as a version;  cover.py: following their imports;  modules.py: where
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
from tensorcache.source.code import CodeVersion, Version, code_version, version_of
from tensorcache.source.content import files_text
from tensorcache.source.database import Database, database, database_identity
from tensorcache.source.identity import Identity, named, shown, unreadable
from tensorcache.source.memory import MAX_PARTS, Memory

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

_MAX_VALUES = 1_000_000


class Files(NamedTuple):
    """The files that glob patterns match."""

    globs: tuple[str, ...]


class Value(NamedTuple):
    """A value too large for the inputs: arrays, tensors, bytes, or plain values with such."""

    value: Any


Source = Database | Files | Value


def files(*globs: str | os.PathLike[str]) -> Files:
    """All files that the patterns match, by their names and contents.

    `**` goes through directories, and a directory stands for everything below it. Names count from
    the longest part of the pattern that is fixed, so that the same tree elsewhere is the same.

    Raises:
        UnkeyableValue: no pattern, or one that is no path.
    """
    if not globs:
        raise UnkeyableValue("files(): names nothing: pass patterns, files('data/*.parquet')")
    return Files(tuple(named(glob, "files(*globs)") for glob in globs))


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
        found = database_identity(source, memory)
    elif type(source) is Files:
        found = _files_identity(source, memory)
    else:
        raise UnkeyableValue(
            f"sources: {source!r:.80} is no source: use database(path), files(globs) or value(x)"
        )
    # They explain, and every hit reads a manifest: of more, none are kept.
    return found if len(found.parts or ()) <= MAX_PARTS else found._replace(parts=None)


def _files_identity(source: Files, memory: Memory) -> Identity:
    where = shown(", ".join(source.globs))
    try:
        text, why, parts = files_text(source.globs, memory)
    except SourceMissing:
        raise
    except OSError as error:
        text, why, parts = None, unreadable(error, where), None
    return Identity(text, why, "files", where, None, parts)


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
    return f"value-2:blake3:{blake3(text.encode('ascii')).hexdigest()}"
