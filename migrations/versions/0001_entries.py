"""Entries, where they came from, what they are made of, and how they were used."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _entries()
    _pieces()
    _events()


def _entries() -> None:
    op.create_table(
        "entry",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("build_seconds", sa.Float, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("last_used_at", sa.DateTime),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("pinned", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("tools", sa.Text, nullable=False),
    )
    op.create_index("_entry_namespace", "entry", ["namespace", "created_at"])
    op.create_table(
        "source",
        sa.Column("entry", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("identity", sa.Text),
        sa.Column("size", sa.BigInteger),
        sa.Column("mtime_ns", sa.BigInteger),
        sa.ForeignKeyConstraint(["entry"], ["entry.key"], name="_source_entry", ondelete="CASCADE"),
    )


def _pieces() -> None:
    op.create_table(
        "shard",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "entry_shard",
        sa.Column("entry", sa.Text, primary_key=True),
        sa.Column("shard", sa.Text, primary_key=True),
        sa.ForeignKeyConstraint(
            ["entry"], ["entry.key"], name="_entry_shard_entry", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["shard"], ["shard.digest"], name="_entry_shard_shard", ondelete="RESTRICT"
        ),
    )
    op.create_index("_entry_shard_holders", "entry_shard", ["shard"])
    op.create_table(
        "column",
        sa.Column("entry", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("section", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("dtype", sa.Text, nullable=False),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["entry.key"], name="_column_entry", ondelete="CASCADE"),
    )


def _events() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("journal", sa.Text),
    )
    op.create_index("_event_key", "event", ["key"])
    op.create_index("_event_journal", "event", ["journal"])


def downgrade() -> None:
    for table in ("event", "column", "entry_shard", "shard", "source", "entry"):
        op.drop_table(table)
