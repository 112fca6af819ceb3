"""Index: entries, what they are made of, and their uses, as rows.

Rules of this room: SQLAlchemy Core only. One public method is one transaction. What a manifest
says is taken as it is; the digest and the key of a manifest were checked where it was read.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import EntryCorrupt
from tensorcache.index import query
from tensorcache.index.comparing import Marks, mark_of
from tensorcache.index.file import IndexFile
from tensorcache.index.listing import Listing, entries
from tensorcache.index.sums import add_up, held, slices, sole_holders, weigh, where_in
from tensorcache.index.uses import Use, not_ahead, seconds_of, take, time_of
from tensorcache.index.view import index_inputs, is_time_to_index, narrow_view, widen_view
from tensorcache.manifest import ColumnRow, Manifest, Piece
from tensorcache.worth import warmed

MOST_COMPARED = 4 << 20  # characters of identity texts


class EntryRows(NamedTuple):
    """What the index is told of an entry; `pinned` is the note of its pin."""

    manifest: Manifest
    columns: tuple[ColumnRow, ...]
    pinned: str | None
    manifest_bytes: int


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
    """The index of one root. Whoever changes it holds the root lock and has called `prepare`.

    `limit_bytes` is remembered, hour by hour, beside what was held; `marks` remember the file.
    """

    limit_bytes: int | None = None
    marks: Marks | None = None

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
        with self._changing() as connection:
            old = _found(connection, by_key)
            for row in new:
                _keep_uses(row, old.get(row["key"]))
            loose = _replace(connection, old, by_key.values(), new, self.limit_bytes)
            is_time = is_time_to_index(connection, len(new))
            for namespace, seen in leaves.items():
                widen_view(connection, namespace, seen)
                if is_time:
                    index_inputs(connection, namespace)
        return loose

    def remove(self, keys: Collection[str]) -> list[tuple[str, Piece]]:
        """Delete the rows of `keys`; the (kind, piece) that no entry refers to any more."""
        with self._changing() as connection:
            old = _found(connection, keys)
            loose = _replace(connection, old, (), [], self.limit_bytes)
            for namespace in sorted({row.namespace for row in old.values()}):
                narrow_view(connection, namespace)
        return loose

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sa.Connection]:
        """One transaction that changes entries, and gives the file another mark."""
        marks, new = self.marks, None
        with self.writing() as connection:
            yield connection
            if marks and (new := marks.next(mark_of(connection))) is not None:
                connection.exec_driver_sql(f"PRAGMA user_version = {new:d}")
        if marks and new is not None:
            marks.took(new)

    def held(self) -> tuple[int, int]:
        """How many entries there are, and the bytes of their manifests and pieces, each once."""
        with self.reading() as connection:
            return held(connection)

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

    def manifest_sizes(self) -> dict[str, int]:
        """The bytes of the manifest of every key; nothing where an older index does not tell."""
        if self.revision() != schema.HEAD:
            return {}
        with self.reading() as connection:
            rows = connection.execute(sa.select(*schema.entry.c["key", "manifest_bytes"]))
            return {row.key: row.manifest_bytes for row in rows}

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
                found.append(Candidate(row.key, row.identity, seconds_of(row.created_at)))
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
                    created_at=seconds_of(row.created_at),
                    last_used_at=row.last_used_at and seconds_of(row.last_used_at),
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
        listing: Listing | None = None,
    ) -> query.Table:
        """The entries of which the SQL text `where` holds, newest first.

        It may use every column of the table entry, and with `namespace` every input that its view
        shows; what both have is the input's. The rules of `query` apply.
        """
        return entries(self, where, params, namespace, listing or Listing())

    def query(self, sql: str, params: query.Params = (), **bounds: Any) -> query.Table:
        """What one SELECT gives, fetched whole, within the `bounds` that `query.run` takes.

        Raises:
            BadQuery: it is wrong, writes, is more than one statement, or ran into the deadline.
        """
        return query.run(self, sql, params, **bounds)


def _found(connection: sa.Connection, keys: Collection[str]) -> dict[str, Any]:
    """The rows of those of `keys` that have one, as far as their next generation asks."""
    entry = schema.entry
    asked = entry.c["key", "namespace", "uses", "last_used_at", "created_at"]
    # As numbers: a row may be broken, and a publication stands.
    warmth = sa.cast(entry.c.warmth, sa.Float).label("warmth")
    manifest_bytes = sa.cast(entry.c.manifest_bytes, sa.Integer).label("manifest_bytes")
    found = sa.select(*asked, warmth, manifest_bytes)
    return {row.key: row for row in where_in(connection, found, entry.c.key, keys)}


def _keep_uses(row: dict[str, Any], old: Any | None) -> None:
    """Let `row` have the uses of the generation before it; that it was made counts as one."""
    now = time.time()
    made = not_ahead(seconds_of(row["created_at"]), now)
    row["touched_at"], row["warmth"] = time_of(made), warmed(None, made)
    if old is None:
        return
    row["uses"], row["last_used_at"] = old.uses, old.last_used_at
    if old.last_used_at is not None:
        row["touched_at"] = time_of(max(made, not_ahead(seconds_of(old.last_used_at), now)))
    is_known = old.created_at == row["created_at"]  # the same one, written again
    row["warmth"] = old.warmth if is_known else warmed(old.warmth, made)


def _replace(
    connection: sa.Connection,
    old: dict[str, Any],
    entries: Collection[EntryRows],
    new: list[dict[str, Any]],
    limit_bytes: int | None,
) -> list[tuple[str, Piece]]:
    """Delete the rows of `old`, write those of `entries`, keep the sums; the pieces now loose."""
    link = schema.entry_shard
    parted = {r.shard for r in where_in(connection, sa.select(link.c.shard), link.c.entry, old)}
    # Who else is concerned: who shares from now on what was its own, and who is left with a piece.
    concerned = sole_holders(connection, {p.digest for e in entries for _, p in e.manifest.pieces})
    for some in slices(old):  # their parts go by ON DELETE CASCADE
        connection.execute(sa.delete(schema.entry).where(schema.entry.c.key.in_(some)))
    _insert(connection, schema.entry, new)
    size_bytes = sum(rows.manifest_bytes for rows in entries) + _insert_parts(connection, entries)
    loose = _drop_loose(connection, parted)
    concerned |= sole_holders(connection, parted)
    weigh(connection, concerned.union(row["key"] for row in new))
    size_bytes -= sum(row.manifest_bytes for row in old.values())
    size_bytes -= sum(piece.size_bytes for _, piece in loose)
    add_up(connection, len(new) - len(old), size_bytes, limit_bytes)
    return loose


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
        "manifest_bytes": rows.manifest_bytes,
        "alone_bytes": rows.manifest_bytes,  # weighed when its parts are there too
        "worth": 0.0,
    }


def _insert_parts(connection: sa.Connection, entries: Iterable[EntryRows]) -> int:
    """The rows beside the entry's own: pieces, links, sources, columns; the bytes of new pieces."""
    pieces: dict[str, dict[str, Any]] = {}
    links, sources, columns = [], [], []
    for manifest, its_columns, *_ in entries:
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
    there = {row.digest for row in where_in(connection, sa.select(digest), digest, pieces)}
    fresh = [row for d, row in pieces.items() if d not in there]
    _insert(connection, schema.shard, fresh)
    _insert(connection, schema.entry_shard, links)
    _insert(connection, schema.source, sources)
    _insert(connection, schema.column, columns)
    return sum(row["bytes"] for row in fresh)


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


def _drop_loose(connection: sa.Connection, digests: Collection[str]) -> list[tuple[str, Piece]]:
    """Delete those of `digests` that no entry refers to; what they were."""
    shard, link = schema.shard, schema.entry_shard
    unheld = sa.select(*shard.c["kind", "digest", "bytes"]).where(
        ~sa.exists().where(link.c.shard == shard.c.digest)
    )
    loose = [
        (row.kind, Piece(row.digest, row.bytes))
        for row in where_in(connection, unheld, shard.c.digest, digests)
    ]
    for some in slices([piece.digest for _, piece in loose]):
        connection.execute(sa.delete(shard).where(shard.c.digest.in_(some)))
    return loose


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _plain(text: str | None) -> str | None:
    # A path or a note from the command line may hold bytes that are no UTF-8.
    return text and text.encode("utf-8", "backslashreplace").decode()
