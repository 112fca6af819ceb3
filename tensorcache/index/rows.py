"""Index: entries, what they are made of, and their uses, as rows.

Rules of this room: SQLAlchemy Core only. One public method is one transaction. What a manifest
says is taken as it is; the digest and the key of a manifest were checked where it was read.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import EntryCorrupt
from tensorcache.index import query
from tensorcache.index.file import IndexFile
from tensorcache.index.listing import Listing, entries
from tensorcache.index.uses import Use, take, time_of
from tensorcache.index.view import index_inputs, is_time_to_index, narrow_view, widen_view
from tensorcache.manifest import ColumnRow, Manifest, Piece

_SLICE = 500  # names in one IN (…): far below what any SQLite or PostgreSQL takes
MOST_COMPARED = 4 << 20  # characters of identity texts


class EntryRows(NamedTuple):
    """What the index is told of an entry; `pinned` is the note of its pin."""

    manifest: Manifest
    columns: tuple[ColumnRow, ...]
    pinned: str | None


class Candidate(NamedTuple):
    """An entry that another key may be compared with."""

    key: str
    identity: str
    created_at: float


class Holding(NamedTuple):
    """An entry as retention sees it; `pieces` are the (kind, digest) that it refers to."""

    key: str
    namespace: str
    created_at: float
    last_used_at: float | None
    build_seconds: float
    uses: int
    pinned: str | None
    pieces: tuple[tuple[str, str], ...]


class Holdings(NamedTuple):
    """All entries, and the size in bytes of every (kind, digest) that they refer to."""

    entries: tuple[Holding, ...]
    pieces: dict[tuple[str, str], int]


class Index(IndexFile):
    """The index of one root. Whoever changes it holds the root lock and has called `prepare`."""

    def add(self, entries: Sequence[EntryRows]) -> list[tuple[str, Piece]]:
        """Write the rows of `entries`; the (kind, piece) that no entry refers to any more.

        A new generation of a key replaces the rows of the old one and keeps its uses: it is the
        same question, answered again.

        Raises:
            EntryCorrupt: an identity text is not what a key is made of.
        """
        by_key = {rows.manifest.key: rows for rows in entries}
        new = [_entry_row(rows) for rows in by_key.values()]
        leaves: dict[str, set[schema.Leaf]] = {}
        for row in new:
            found = schema.leaves(json.loads(row["inputs"]))
            leaves.setdefault(row["namespace"], set()).update(found)
        with self.writing() as connection:
            uses = sa.select(*schema.entry.c["key", "uses", "last_used_at"])
            kept = {r.key: r for r in _where_in(connection, uses, schema.entry.c.key, by_key)}
            for row in new:
                if row["key"] in kept:
                    row["uses"], row["last_used_at"] = kept[row["key"]][1:]
            parted = _forget(connection, kept)
            _insert(connection, schema.entry, new)
            _insert_parts(connection, by_key.values())
            loose = _drop_loose(connection, parted)
            is_time = is_time_to_index(connection, len(new))
            for namespace, seen in leaves.items():
                widen_view(connection, namespace, seen)
                if is_time:
                    index_inputs(connection, namespace)
        return loose

    def remove(self, keys: Collection[str]) -> list[tuple[str, Piece]]:
        """Delete the rows of `keys`; the (kind, piece) that no entry refers to any more."""
        with self.writing() as connection:
            names = sa.select(schema.entry.c.namespace).distinct()
            found = _where_in(connection, names, schema.entry.c.key, keys)
            namespaces = {row.namespace for row in found}
            loose = _drop_loose(connection, _forget(connection, keys))
            for namespace in sorted(namespaces):
                narrow_view(connection, namespace)
        return loose

    def take(self, uses: Sequence[Use], journal: str | None = None) -> None:
        """Write `uses` as events; a hit or a wait counts as a use of its entry.

        What came from the journal file of one id is taken once, however often it is offered.
        """
        if uses:
            with self.writing() as connection:
                take(connection, uses, journal)

    def pin(self, key: str, note: str | None) -> None:
        """Show the pin of `key` with its note, or none; a key without rows is passed over."""
        entry = schema.entry
        with self.writing() as connection:
            connection.execute(
                sa.update(entry).where(entry.c.key == key).values(pinned=_plain(note))
            )

    def generations(self) -> dict[str, str]:
        """The digest of the manifest of every key."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(*schema.entry.c["key", "digest"]))
            return {row.key: row.digest for row in rows}

    def candidates(
        self, namespace: str, before: float | None = None, limit: int = 1_000
    ) -> list[Candidate]:
        """The newest entries of `namespace` that are older than `before`, newest first.

        They are fewer where their identities are long.
        """
        entry = schema.entry
        newest = (
            sa.select(*entry.c["key", "identity", "created_at"])
            .where(entry.c.namespace == namespace)
            .where(sa.true() if before is None else entry.c.created_at < time_of(before))
            .order_by(entry.c.created_at.desc())
            .limit(limit)
        )
        found, left = [], MOST_COMPARED
        with self.reading() as connection:
            for row in connection.execute(newest):
                found.append(Candidate(row.key, row.identity, _seconds(row.created_at)))
                left -= len(row.identity)
                if left < 0:  # a miss may wait for its reason, but not for long
                    break
        return found

    def holdings(self) -> Holdings:
        """Everything that retention weighs."""
        entry, shard, link = schema.entry, schema.shard, schema.entry_shard
        asked = entry.c["key", "namespace", "created_at", "last_used_at"]
        asked_too = entry.c["build_seconds", "uses", "pinned"]
        with self.reading() as connection:
            entries = connection.execute(sa.select(*asked, *asked_too)).all()
            links = connection.execute(
                sa.select(link.c.entry, shard.c.kind, shard.c.digest).join_from(link, shard)
            ).all()
            pieces = connection.execute(sa.select(*shard.c["kind", "digest", "bytes"])).all()
        held: dict[str, list[tuple[str, str]]] = {}
        for key, kind, digest in links:
            held.setdefault(key, []).append((kind, digest))
        return Holdings(
            tuple(
                Holding(
                    key=row.key,
                    namespace=row.namespace,
                    created_at=_seconds(row.created_at),
                    last_used_at=row.last_used_at and _seconds(row.last_used_at),
                    build_seconds=row.build_seconds,
                    uses=row.uses,
                    pinned=row.pinned,
                    pieces=tuple(held.get(row.key, ())),
                )
                for row in entries
            ),
            {(kind, digest): size for kind, digest, size in pieces},
        )

    def entries(
        self,
        where: str = "",
        params: query.Params = (),
        namespace: str | None = None,
        listing: Listing = Listing(),
    ) -> query.Table:
        """The entries of which the SQL text `where` holds, newest first.

        It may use every column of the table entry, and with `namespace` every input that its view
        shows; what both have is the input's. The rules of `query` apply.
        """
        return entries(self, where, params, namespace, listing)

    def query(
        self,
        sql: str,
        params: query.Params = (),
        *,
        deadline_seconds: float = query.DEADLINE_SECONDS,
        max_rows: int = query.MAX_ROWS,
    ) -> query.Table:
        """What one SELECT gives, fetched whole; it can neither write nor run for long.

        Raises:
            BadQuery: it is wrong, writes, is more than one statement, or ran into the deadline.
        """
        return query.run(self, sql, params, deadline_seconds=deadline_seconds, max_rows=max_rows)


def _entry_row(rows: EntryRows) -> dict[str, Any]:
    manifest = rows.manifest
    try:
        identity = json.loads(manifest.identity)
        namespace, version, inputs = (identity[n] for n in ("namespace", "version", "inputs"))
        inputs = schema.inputs_text(dict(inputs))
    except (ValueError, KeyError, TypeError) as error:
        raise EntryCorrupt(f"manifest {manifest.key[:16]}: its identity text: {error!r}") from error
    return {
        "key": manifest.key,
        "namespace": namespace,
        "identity": manifest.identity,
        "digest": manifest.digest,
        "inputs": inputs,
        "version": version,
        "format": manifest.format,
        "bytes": manifest.size_bytes,
        "build_seconds": manifest.build_seconds,
        "created_at": time_of(manifest.created_at),
        "last_used_at": None,
        "uses": 0,
        "pinned": _plain(rows.pinned),
        "host": _plain(manifest.host),
        "tools": json.dumps(manifest.tools, sort_keys=True),
    }


def _insert_parts(connection: sa.Connection, entries: Iterable[EntryRows]) -> None:
    """The rows beside the entry's own: pieces and links to them, sources, columns."""
    pieces: dict[str, dict[str, Any]] = {}
    links, sources, columns = [], [], []
    for manifest, its_columns, _ in entries:
        its_pieces = {piece.digest: _shard_row(kind, piece) for kind, piece in manifest.pieces}
        pieces |= its_pieces
        links += [{"entry": manifest.key, "shard": digest} for digest in its_pieces]
        sources += _source_rows(manifest)
        columns += [
            {
                "entry": manifest.key,
                "place": place,
                "section": column.section,
                "field": column.field,
                "dtype": column.dtype,
                "shape": json.dumps(column.shape, separators=(",", ":")),
                "bytes": column.size_bytes,
            }
            for place, column in enumerate(its_columns)
        ]
    digest = schema.shard.c.digest
    there = {row.digest for row in _where_in(connection, sa.select(digest), digest, pieces)}
    _insert(connection, schema.shard, [row for d, row in pieces.items() if d not in there])
    _insert(connection, schema.entry_shard, links)
    _insert(connection, schema.source, sources)
    _insert(connection, schema.column, columns)


def _shard_row(kind: str, piece: Piece) -> dict[str, Any]:
    # For people: where the file lies is derived from the digest, never read from here.
    ending = "safetensors" if kind == "shard" else "msgpack"
    path = f"{kind}s/{piece.digest[:2]}/{piece.digest}.{ending}"
    return {"digest": piece.digest, "kind": kind, "path": path, "bytes": piece.size_bytes}


def _source_rows(manifest: Manifest) -> list[dict[str, Any]]:
    identities = json.loads(manifest.identity).get("sources", {})
    return [
        {
            "entry": manifest.key,
            "place": place,
            "name": source.name,
            "kind": source.kind,
            "path": _plain(source.path),
            "identity": identities.get(source.name),
            "size": source.stat and source.stat[2],
            "mtime_ns": source.stat and source.stat[3],
        }
        for place, source in enumerate(manifest.sources)
    ]


def _forget(connection: sa.Connection, keys: Collection[str]) -> set[str]:
    """Delete `keys`, and by ON DELETE CASCADE their parts; the digests they referred to."""
    entry, link = schema.entry, schema.entry_shard
    found = _where_in(connection, sa.select(link.c.shard), link.c.entry, keys)
    parted = {row.shard for row in found}
    for some in _slices(keys):
        connection.execute(sa.delete(entry).where(entry.c.key.in_(some)))
    return parted


def _drop_loose(connection: sa.Connection, digests: Collection[str]) -> list[tuple[str, Piece]]:
    """Delete those of `digests` that no entry refers to; what they were."""
    shard, link = schema.shard, schema.entry_shard
    unheld = sa.select(*shard.c["kind", "digest", "bytes"]).where(
        ~sa.exists().where(link.c.shard == shard.c.digest)
    )
    loose = [
        (row.kind, Piece(row.digest, row.bytes))
        for row in _where_in(connection, unheld, shard.c.digest, digests)
    ]
    for some in _slices([piece.digest for _, piece in loose]):
        connection.execute(sa.delete(shard).where(shard.c.digest.in_(some)))
    return loose


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _where_in(
    connection: sa.Connection,
    statement: sa.Select[Any],
    column: sa.Column[Any],
    values: Collection[str],
) -> Iterator[Any]:
    for some in _slices(values):
        yield from connection.execute(statement.where(column.in_(some)))


def _slices(values: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _SLICE):
        yield ordered[start : start + _SLICE]


def _seconds(at: dt.datetime) -> float:
    return at.replace(tzinfo=dt.UTC).timestamp()


def _plain(text: str | None) -> str | None:
    # A path or a note from the command line may hold bytes that are no UTF-8.
    return text and text.encode("utf-8", "backslashreplace").decode()
