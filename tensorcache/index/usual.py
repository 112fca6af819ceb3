"""What builds usually take: a guess for whoever waits, and no reason to wait any longer."""

from __future__ import annotations

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import TensorCacheError
from tensorcache.index.file import IndexFile

PATIENCE_SECONDS = 0.01
NEWEST = 20  # builds that count: older ones may have had less to do


def usual_seconds(path: str, namespace: str) -> float | None:
    """The median of what the newest builds of `namespace` took; None where it is not known now."""
    entry = schema.entry
    newest = (
        sa.select(entry.c.build_seconds)
        .where(entry.c.namespace == namespace)
        .where(entry.c.build_seconds > 0)  # what was put was not built here
        .order_by(entry.c.created_at.desc())
        .limit(NEWEST)
    )
    index = IndexFile(path, read_only=True, patience_seconds=PATIENCE_SECONDS)
    try:
        with index.reading() as connection:
            took = sorted(connection.scalars(newest))
    except (TensorCacheError, TypeError):  # or what it holds is no number
        return None
    return took[len(took) // 2] if took else None
