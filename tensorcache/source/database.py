"""Databases as sources: what is meant, and at which level it is identified.

Rules of this room: how a level is chosen, asked and remembered; how it reads is the business of
`image.py` (bytes, stat) and `logical.py`. A URL may hold a password: only `shown(it)` is said, and
errors of what connects by it are never chained.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.manifest import Parts
from tensorcache.source.identity import Identity, is_encodable, is_url, named, shown, unreadable
from tensorcache.source.memory import Memory, Stats, printable, seen, stat_of

_LEVELS = ("bytes", "stat", "logical")
# The plainest of what is another each time; it cannot be told of every function and view.
_FICKLE = re.compile(
    r"(?<![\w.\"])((now|random|randomblob|gen_random_uuid|today)\s*\("
    r"|current_(date|time|timestamp)\b)|'now'",
    re.IGNORECASE,
)


class Database(NamedTuple):
    """A database; `level` says how its identity is found.

    At the level `logical`, `tables` or `queries` (name, SQL) are what counts; neither: all tables.
    """

    path: str
    level: str
    tables: tuple[str, ...] = ()
    queries: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"database({shown(self.path)!r}, level={self.level!r})"


def database(
    path: str | os.PathLike[str],
    level: str | None = None,
    *,
    tables: Iterable[str] | None = None,
    queries: Mapping[str, str] | None = None,
) -> Database:
    """A database as a source: a SQLite or DuckDB file, or whatever SQLAlchemy has a URL for.

    Args:
        path: the file; `-wal`, `.wal` and `-journal` are looked for beside it. Or a URL, as in
            "postgresql+psycopg://host/league", which has the level `logical` only and is read at
            each key, for nothing tells that it did not change: name tables to make that little.
        level: `bytes`, the digest of its committed content, which is read once per change; or
            `logical`, the digest of rows and schema, which is no other after VACUUM, a change of
            page size or journal mode, REINDEX or a copy, is slower to read, and as fast as `bytes`
            while the file lies still; or `stat`, for people who insist: device, inode, size and
            times of the file and its WAL, never its content. That is fast the first time also, and
            misses after every copy, touch, checkpoint and restart of a machine that numbers its
            devices anew. Not given: `logical` where tables, queries or a URL are, else `bytes`.
        tables: the tables or views that count; a change of another is none.
        queries: SELECTs by name; their text counts too, and rows in the order that they come,
            so that each needs an ORDER BY. They, and views that are named, must be functions of
            the database's tables alone: what a clock, chance, a setting or another file gives is
            remembered while the database lies still.

    Rows of a table count in the order of its primary key, which is unique, mostly sorted already,
    and the same wherever the rows are; without one in the order of all columns, for the order in
    which they lie is nobody's promise.

    Raises:
        UnkeyableValue: not a path, not a level, or tables and queries that cannot be meant.
    """
    path = named(path, "database(path)")
    names = _named_tables(path, tables)
    chosen = _named_queries(path, queries)
    is_logical = bool(names or chosen or is_url(path))
    level = level or ("logical" if is_logical else "bytes")
    where = f"database {shown(path)!r}"
    if "://" in path and (not is_url(path) or path.strip(" \t\r\n'\"") != path):
        raise UnkeyableValue(
            f"{where}: it is no URL: write it as in 'postgresql+psycopg://user:password@host/name' "
            "with no blank, quote or other word around it"
        )
    if level not in _LEVELS:
        levels = ", ".join(map(repr, _LEVELS))
        raise UnkeyableValue(f"{where}: {level!r:.40} is no level: use one of {levels}")
    if is_logical and level != "logical":
        what = "a URL has" if is_url(path) else "tables and queries have"
        raise UnkeyableValue(f"{where}: {what} no level {level!r}: use level='logical'")
    if names and chosen:
        raise UnkeyableValue(f"{where}: tables and queries: pass one, SELECTs take in tables")
    return Database(path, level, names, chosen)


def _named_tables(path: str, tables: Iterable[str] | None) -> tuple[str, ...]:
    if tables is None:
        return ()
    names = (tables,) if isinstance(tables, str) else tuple(tables)
    if (
        isinstance(tables, str)
        or not names
        or not all(type(x) is str and x and is_encodable(x) for x in names)
    ):
        raise UnkeyableValue(
            f"database {shown(path)!r}: tables={tables!r:.80} names no tables: "
            "pass a list of names, or nothing for all"
        )
    return tuple(sorted(set(names)))


def _named_queries(path: str, queries: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if queries is None:
        return ()
    pairs = tuple(queries.items()) if isinstance(queries, Mapping) else ()
    if not pairs or not all(
        type(x) is str and x.strip() and is_encodable(x) for pair in pairs for x in pair
    ):
        raise UnkeyableValue(
            f"database {shown(path)!r}: queries={queries!r:.80} names no queries: "
            "pass {'name': 'SELECT … ORDER BY …'}"
        )
    for name, text in pairs:
        if fickle := _FICKLE.search(text):
            raise UnkeyableValue(
                f"database {shown(path)!r}: the query {name!r} has {fickle[0]!r}, which is another "
                "each time: write a value, and pass it as an input"
            )
    return tuple(sorted(pairs))


def database_identity(source: Database, memory: Memory) -> Identity:
    """What a database is now.

    Raises:
        SourceMissing: no such file or table.
        UnkeyableValue: no database, damaged, or a value in it that has no exact form.
    """
    if is_url(source.path):
        from tensorcache.source.server import server_identity  # sqlalchemy, which no file needs

        return server_identity(source)
    return _file_identity(source, os.path.realpath(source.path), memory)


def _file_identity(source: Database, path: str, memory: Memory) -> Identity:
    kind = "sqlite"

    def look() -> Stats:
        return tuple(stat_of(path + end) for end in ("", "-wal", ".wal", "-journal"))

    def digest(stats: Stats) -> tuple[str, Parts | None] | None:
        from tensorcache.source import image  # a remembered database needs none of it

        if stats[0] is None:
            raise SourceMissing(
                f"database {shown(source.path)!r} is not there: check the path, or make it"
            )
        nonlocal kind
        kind = image.kind_of(path)
        if source.level == "logical":
            from tensorcache.source.engine import file_text  # sqlite3 or duckdb, the same

            return file_text(kind, path, source, stats, look)
        if source.level == "bytes":
            return image.bytes_text(kind, path, stats[0], stats[1:])
        text = image.stat_text(kind, path, stats[0], stats[1:])
        return None if text is None else (text, None)

    # What a stat says is not worth remembering: it is found as fast as a memory of it.
    known = {} if source.level == "stat" else memory
    schemes = tuple(f"{engine}-{source.level}-1:" for engine in ("sqlite", "duckdb"))
    snapshot = source.level == "logical"
    name = _remembered_as(source, path)
    try:
        found = seen(known, name, look, digest, schemes, snapshot=snapshot)
    except SourceMissing:
        raise
    except OSError as error:
        return Identity(None, unreadable(error, shown(path)), kind, shown(path), None)
    if found.text is None:
        from tensorcache.source.image import why_not  # what has a text needs no reason

        return Identity(None, why_not(path), kind, shown(path), found.stats[0])
    if source.level != "stat":  # whose text says nothing of it, and is never remembered
        kind = found.text.partition("-")[0]
    return Identity(found.text, "", kind, shown(path), found.stats[0], found.parts)


def _remembered_as(source: Database, path: str) -> str:
    """The name in the memory: the path, and what of it counts."""
    if source.level != "logical":
        return printable(path)
    return f"{printable(path)}#logical{json.dumps([source.tables, source.queries])}"
