"""What retention and statistics ask at every publication is kept as sums, not added up."""

import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from tensorcache.worth import warmed, worth

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SLICE = 5_000
_HOUR = "substr(at, 1, 13) || ':00:00.000000'"


def upgrade() -> None:
    _new_tables()
    _events()
    _entries()
    _fill_total()


def _new_tables() -> None:
    op.create_table(
        "_total",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    counts = ("hits", "misses", "builds", "waits", "evictions")
    seconds = ("hit_seconds", "wait_seconds", "build_seconds", "saved_seconds")
    op.create_table(
        "_hour",
        sa.Column("hour", sa.DateTime, primary_key=True),
        sa.Column("namespace", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Integer, nullable=False) for name in counts),
        *(sa.Column(name, sa.Float, nullable=False) for name in seconds),
        sa.Column("evicted_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "_size",
        sa.Column("hour", sa.DateTime, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("limit_bytes", sa.BigInteger),
    )
    op.create_table(
        "_taken",
        sa.Column("journal", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
    )


def _events() -> None:
    op.execute(
        "INSERT INTO _taken SELECT journal, max(at) FROM event "
        "WHERE journal IS NOT NULL GROUP BY journal ORDER BY max(id)"
    )
    op.drop_index("_event_journal", "event")
    with op.batch_alter_table("event", recreate="always") as event:
        event.drop_column("journal")
        event.add_column(sa.Column("namespace", sa.Text))
        event.add_column(sa.Column("build_seconds", sa.Float))
    op.create_index("_event_at", "event", ["at"])
    op.execute(
        "UPDATE event SET namespace = (SELECT namespace FROM entry WHERE entry.key = event.key), "
        "build_seconds = CASE WHEN kind IN ('hit', 'wait') "
        "THEN (SELECT build_seconds FROM entry WHERE entry.key = event.key) END"
    )
    op.execute(
        f"INSERT INTO _hour SELECT {_HOUR}, coalesce(namespace, ''), "  # noqa: S608 - no input
        "sum(kind = 'hit'), sum(kind = 'miss'), sum(kind = 'build'), sum(kind = 'wait'), "
        "sum(kind = 'evict'), total(seconds * (kind = 'hit')), total(seconds * (kind = 'wait')), "
        "total(seconds * (kind = 'build')), total(max(0, build_seconds - seconds)), "
        "sum(bytes * (kind = 'evict')) FROM event GROUP BY 1, 2"
    )


def _entries() -> None:
    names = {"manifest_bytes": sa.Integer, "alone_bytes": sa.BigInteger, "touched_at": sa.DateTime}
    names |= {"warmth": sa.Float, "worth": sa.Float}
    for name, kind in names.items():
        op.add_column("entry", sa.Column(name, kind))
    _fill_entries()
    with op.batch_alter_table("entry", recreate="always") as entry:
        for name, kind in names.items():
            entry.alter_column(name, existing_type=kind(), nullable=False)
    op.create_index("_entry_created", "entry", ["created_at"])
    unpinned = sa.text("pinned IS NULL")
    op.create_index("_entry_touched", "entry", ["touched_at"], sqlite_where=unpinned)
    op.create_index("_entry_worth", "entry", ["worth", "touched_at"], sqlite_where=unpinned)
    frees = sa.text("pinned IS NULL AND alone_bytes > manifest_bytes")
    op.create_index("_entry_frees", "entry", ["worth", "touched_at"], sqlite_where=frees)


def _fill_entries() -> None:
    connection = op.get_bind()
    now = time.time()
    warmth: dict[str, float] = {}
    seen: Counter[str] = Counter()
    used = "SELECT key, CAST(at AS TEXT) FROM event WHERE kind IN ('hit', 'wait')"
    for key, at in connection.exec_driver_sql(used):
        warmth[key] = warmed(warmth.get(key), _counted(at, now))
        seen[key] += 1
    folder = _folder(connection)
    for rows in _slices(connection):
        filled = []
        for key, created, last, uses, build_seconds, pieces_bytes in rows:
            manifest_bytes = _manifest_bytes(folder, key)
            # Uses of which no event is left were long ago: they count as old as the entry is.
            old = max(0, uses - seen[key])
            warm = warmed(warmth.get(key), _counted(created, now), 1 + old)
            alone = manifest_bytes + pieces_bytes
            touched = max(_counted(at, now) for at in (created, last) if at)
            at = dt.datetime.fromtimestamp(touched, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            filled.append((manifest_bytes, alone, at, warm, worth(build_seconds, warm, alone), key))
        connection.exec_driver_sql(
            "UPDATE entry SET manifest_bytes = ?, alone_bytes = ?, touched_at = ?, warmth = ?, "
            "worth = ? WHERE key = ?",
            filled,
        )


def _counted(at: str, now: float) -> float:
    """That time in seconds since 1970; now, where a clock that was ahead would keep it for ever."""
    seconds = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC).timestamp()
    return max(0.0, seconds) if seconds <= now + 86_400 else now


def _slices(connection: sa.Connection) -> Iterator[list[Any]]:
    """The entries; their last column is the bytes of the pieces that nobody else holds."""
    asked = (
        "SELECT key, CAST(created_at AS TEXT), CAST(last_used_at AS TEXT), "
        "CAST(uses AS INTEGER), CAST(build_seconds AS REAL), coalesce(("
        "SELECT sum(bytes) FROM entry_shard AS link JOIN shard ON digest = link.shard "
        "WHERE link.entry = key AND NOT EXISTS (SELECT 1 FROM entry_shard AS other "
        "WHERE other.shard = link.shard AND other.entry <> link.entry)), 0) "
        "FROM entry WHERE key > ? ORDER BY key LIMIT ?"
    )
    last = ""
    while rows := list(connection.exec_driver_sql(asked, (last, _SLICE))):
        yield rows
        last = rows[-1][0]


def _folder(connection: sa.Connection) -> bytes:
    """Where the manifests lie: beside the index. As bytes, for no path need be UTF-8."""
    asked = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"
    path = connection.exec_driver_sql(asked).scalar() or b""
    return os.path.join(os.path.dirname(path), b"entries")


def _manifest_bytes(folder: bytes, key: str) -> int:
    """What no row of the first revision tells; 0 where there is no manifest."""
    name = os.fsencode(key)
    try:
        return os.lstat(os.path.join(folder, name[:2], name + b".msgpack")).st_size
    except (OSError, ValueError):
        return 0


def _fill_total() -> None:
    op.execute(
        "INSERT INTO _total SELECT 1, held, bytes + coalesce((SELECT sum(bytes) FROM shard), 0) "
        "FROM (SELECT count(*) AS held, sum(manifest_bytes) AS bytes FROM entry) WHERE held > 0"
    )


def downgrade() -> None:
    for name in ("_entry_frees", "_entry_worth", "_entry_touched", "_entry_created", "_event_at"):
        op.drop_index(name)
    for table in ("_taken", "_size", "_hour", "_total"):
        op.drop_table(table)
    with op.batch_alter_table("entry") as entry:
        for name in ("worth", "warmth", "touched_at", "alone_bytes", "manifest_bytes"):
            entry.drop_column(name)
    with op.batch_alter_table("event") as event:
        event.add_column(sa.Column("journal", sa.Text))
        event.drop_column("build_seconds")
        event.drop_column("namespace")
    op.create_index("_event_journal", "event", ["journal"])
