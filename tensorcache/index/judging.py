"""What tells of entries that nobody will ask for again: their sources, versions and formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.comparing import raw
from tensorcache.index.file import IndexFile
from tensorcache.manifest import MANIFEST_FORMAT


class KnownSource(NamedTuple):
    """What entries remember of a source: enough to identify it again, perhaps."""

    kind: str
    path: str
    identity: str


def known_sources(index: IndexFile) -> list[KnownSource]:
    """Every source with a path that an entry was built from, once for each identity it had."""
    asked = _sources(*schema.source.c["kind", "path", "identity"]).distinct()
    with index.reading() as connection:
        return [KnownSource._make(row) for row in connection.execute(asked)]


def built_from(index: IndexFile, sources: set[KnownSource]) -> Iterator[tuple[str, KnownSource]]:
    """The keys of the entries built from any of `sources`, and from which."""
    asked = _sources(*schema.source.c["entry", "kind", "path", "identity"])
    with index.reading() as connection:
        found = [
            (key, one)
            for key, *rest in raw(connection, asked)
            if (one := KnownSource._make(rest)) in sources
        ]
    yield from found


def _sources(*columns: Any) -> sa.Select[Any]:
    source = schema.source.c
    return sa.select(*columns).where(source.path.is_not(None), source.identity.is_not(None))


def superseded(index: IndexFile) -> list[str]:
    """The keys whose inputs have an entry of the same namespace, by another version, touched since.

    Which version is in force tells what was made or used last: people go back to older code.
    """
    entry = schema.entry.c
    in_force = sa.func.first_value(entry.version).over(
        partition_by=(entry.namespace, entry.inputs),
        order_by=(entry.touched_at.desc(), entry.created_at.desc(), entry.key),
    )
    versions = sa.select(entry.key, entry.version, in_force.label("in_force")).subquery()
    asked = sa.select(versions.c.key).where(versions.c.version != versions.c.in_force)
    with index.reading() as connection:
        return list(connection.scalars(asked))


def old_formats(index: IndexFile) -> list[str]:
    """The keys whose manifest has a format before ours."""
    asked = sa.select(schema.entry.c.key).where(schema.entry.c.format < MANIFEST_FORMAT)
    with index.reading() as connection:
        return list(connection.scalars(asked))
