"""What builds usually take: a guess for whoever waits, and no reason to wait any longer."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import TensorCacheError
from tensorcache.index.file import IndexFile

PATIENCE_SECONDS = 0.01
NEWEST = 20  # builds that count: older ones may have had less to do


def usual_seconds(
    path: str, namespace: str, patience_seconds: float = PATIENCE_SECONDS
) -> float | None:
    """The median of what the newest builds of `namespace` took; None where it is not known now."""
    seconds = schema.entry.c.build_seconds
    built = seconds > 0  # what was put was not built here
    took: float | None = _median(path, sa.select(seconds).where(built), namespace, patience_seconds)
    return took


def usual_bytes(
    path: str, namespace: str, patience_seconds: float = PATIENCE_SECONDS
) -> int | None:
    """The median of the bytes of its newest entries, as `usual_seconds`."""
    size: int | None = _median(path, sa.select(schema.entry.c.bytes), namespace, patience_seconds)
    return size


def _median(path: str, of: sa.Select[Any], namespace: str, patience_seconds: float) -> Any:
    entry = schema.entry
    newest = of.where(entry.c.namespace == namespace).order_by(entry.c.created_at.desc())
    index = IndexFile(path, read_only=True, patience_seconds=patience_seconds)
    try:
        with index.reading() as connection:
            found = sorted(connection.scalars(newest.limit(NEWEST)))
    except (TensorCacheError, TypeError):  # or what it holds is no number
        return None
    return found[len(found) // 2] if found else None
