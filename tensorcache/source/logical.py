"""The logical identity: tables and queries as rows, whatever engine has them.

Rules of this room: it knows no engine; bounded memory. The digest (scheme `<kind>-logical-1`) is
over the parts by name, each framed by its length: of each the blake3 of

    [what, name, text, [[column, type] …]]     what: "table" or "query"; the query's text
    row row row …                              in the order that they have; msgpack arrays

Values count exactly, with their type: what msgpack lacks is written as its class and text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from blake3 import blake3

from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.manifest import Part, Parts
from tensorcache.progress import progress
from tensorcache.source.content import BLOCK_BYTES, update_framed
from tensorcache.tree import pack, pack_rows

_MAX_BLOCK_ROWS = 8192


class Rows(NamedTuple):
    """A table or query, opened: its (column, type) pairs, and what gives the next rows."""

    columns: Sequence[tuple[str, str]]
    fetch: Callable[[int], list[Any]]  # plain tuples


class Engine(Protocol):
    """A database in one state, as long as it is open."""

    def tables(self) -> list[str]:
        """The names of all tables that people made."""

    def table(self, name: str) -> Rows | None:
        """A table or view with its rows in a defined order; None if there is none."""

    def query(self, text: str) -> Rows:
        """A query with its rows in its own order."""


def digested(
    engine: Engine, where: str, tables: Sequence[str], queries: Sequence[tuple[str, str]]
) -> tuple[str, Parts]:
    """The digest, and (rows, digest) of each table or query.

    Raises:
        SourceMissing: no such table.
        UnkeyableValue: a value that has no exact form.
    """
    parts = {}
    with progress(f"reading {where}", None, "rows") as advance:
        for name, text in queries:
            header = ["query", name, text]
            parts[name] = _part(engine.query(text), header, f"{where}: query {name!r}", advance)
        for name in [] if queries else sorted(tables or engine.tables()):
            rows = engine.table(name)
            if rows is None:
                there = ", ".join(sorted(engine.tables())) or "none"
                raise SourceMissing(f"{where}: no table {name!r}: it has {there:.400}")
            parts[name] = _part(rows, ["table", name, ""], f"{where}: table {name!r}", advance)
    hasher = blake3()
    for name, part in parts.items():
        update_framed(hasher, name.encode())
        hasher.update(bytes.fromhex(part.digest))
    return hasher.hexdigest(), parts


def _part(rows: Rows, header: list[Any], where: str, advance: Callable[[int], None]) -> Part:
    def written(value: Any) -> bytes:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if kind not in _TEXTS:
            raise UnkeyableValue(
                f"{where} holds a {kind}, which has no exact form here: use queries= with a "
                "SELECT that casts it to text, or name other tables"
            )
        if value in _ENDS:
            raise UnkeyableValue(
                f"{where} holds {value}, which drivers give for infinity too: cast it to text"
            )
        return f"{kind} {_TEXTS[kind](value)}".encode()

    hasher = blake3(pack([*header, [list(column) for column in rows.columns]]))
    count, ask = 0, 64
    while block := rows.fetch(ask):
        packed = pack_rows(block, written)
        hasher.update(packed)
        count += len(block)
        advance(len(block))
        # Rows may be of any size, and the memory is bounded: as many as are a few MiB.
        ask = max(1, min(_MAX_BLOCK_ROWS, ask * 4, len(block) * BLOCK_BYTES // len(packed)))
    return Part(count, hasher.hexdigest())


def _moment(value: dt.datetime) -> str:
    """An instant is the same in the zone of any session."""
    return (value if value.tzinfo is None else value.astimezone(dt.UTC)).isoformat()


_ENDS = frozenset(end for kind in (dt.date, dt.datetime) for end in (kind.min, kind.max))  # naive
_TEXTS: dict[str, Callable[[Any], str]] = {
    "builtins.int": hex,  # beyond 64 bits
    "decimal.Decimal": str,
    "datetime.date": dt.date.isoformat,
    "datetime.time": dt.time.isoformat,
    "datetime.datetime": _moment,
    "uuid.UUID": str,
    "ipaddress.IPv4Address": str,
    "ipaddress.IPv6Address": str,
    "ipaddress.IPv4Network": str,
    "ipaddress.IPv6Network": str,
    "ipaddress.IPv4Interface": str,
    "ipaddress.IPv6Interface": str,
}
