"""The views that lie in the index: widened, narrowed, replaced.

Rules of this room: a view that cannot be made is a warning, never a failure. Its text, made in
`schema.py`, tells what it shows, so that adding an entry reads no inputs but its own.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from tensorcache import schema

SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"

_log = logging.getLogger("tensorcache")


def widen_view(connection: sa.Connection, namespace: str, seen: set[schema.Leaf]) -> None:
    """Let the view of `namespace` show the leaves `seen` too, which entries just brought."""
    there, shown, is_ours = _there(connection, namespace)
    if not is_ours:
        shown = set().union(*map(_leaves, connection.scalars(_inputs(namespace))))
    wanted = schema.view(namespace, shown | seen)
    if wanted != there:
        replace_view(connection, namespace, wanted)


def narrow_view(connection: sa.Connection, namespace: str) -> None:
    """Let the view of `namespace` show no more than the entries that are left; drop it with them.

    Their inputs are read, newest first, until they account for all that the view shows.
    """
    there, shown, is_ours = _there(connection, namespace)
    left: set[schema.Leaf] = set()
    any_left = False
    with connection.execute(_inputs(namespace), execution_options={"yield_per": 100}) as rows:
        for (inputs,) in rows:
            any_left = True
            left |= _leaves(inputs)
            if is_ours and left >= shown:
                break
    wanted = schema.view(namespace, left) if any_left else None
    if wanted != (there or None):
        replace_view(connection, namespace, wanted)


def _there(connection: sa.Connection, namespace: str) -> tuple[str, set[schema.Leaf], bool]:
    """The text of the view, what it shows, and whether it is one that we would make."""
    row = connection.exec_driver_sql(f"{SCHEMA} AND name = ?", (namespace,)).first()
    text = str(row.sql) if row else ""
    shown = schema.leaves_of(text)
    return text, shown, text == schema.view(namespace, shown)


def _inputs(namespace: str) -> sa.Select[Any]:
    entry = schema.entry
    newest_first = entry.c.created_at.desc()
    return sa.select(entry.c.inputs).where(entry.c.namespace == namespace).order_by(newest_first)


def replace_view(connection: sa.Connection, namespace: str, text: str | None) -> None:
    """Let `text` be the view of `namespace`, or nothing; where that fails, warn."""
    # Not `begin_nested`: a full disk undoes savepoints too, and their own failure would be told.
    connection.exec_driver_sql("SAVEPOINT view")
    try:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {schema.quoted(namespace)}")
        if text is not None:
            connection.exec_driver_sql(text)
    except sa.exc.OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code != sqlite3.SQLITE_ERROR:  # a full disk has undone more than the view
            raise
        connection.exec_driver_sql("ROLLBACK TO view")
        _log.warning("the view of %r cannot be made: %s", namespace, error.orig)
    connection.exec_driver_sql("RELEASE view")


def views_wanted(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    """The name and text of the view that each namespace should have."""
    leaves: dict[str, set[schema.Leaf]] = {}
    for namespace, inputs in connection.execute(
        sa.select(schema.entry.c.namespace, schema.entry.c.inputs)
    ):
        leaves.setdefault(namespace, set()).update(_leaves(inputs))
    for namespace, found in leaves.items():
        yield namespace, schema.view(namespace, found)


def _leaves(inputs: str) -> set[schema.Leaf]:
    return set(schema.leaves(json.loads(inputs)))
