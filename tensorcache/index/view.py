"""The views that lie in the index: widened, narrowed, replaced; and the indexes over inputs.

Rules of this room: a view that cannot be made is a warning, never a failure; so is an index. The
text of a view, made in `schema.py`, tells what it shows, so that adding an entry reads no inputs
but its own. A namespace of many entries has indexes over its inputs, which are made, changed and
dropped with its view.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from tensorcache import schema

SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
NARROWED = 100  # entries (0.1 ms each) that are read to narrow a view: each eviction may do it
MANY_ENTRIES = 10_000  # of a namespace whose inputs have indexes: fewer are soon read through
SELDOM = 1_000  # entries that are added from one look for a lack of indexes to the next
INDEXING_SECONDS = 0.5  # what a publication may spend on them; the next one that looks goes on

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

    Their inputs are read, newest first, until they account for all that the view shows. Where the
    newest ones do not, it stays as it is: showing too much does no harm.
    """
    there, _, is_ours = _there(connection, namespace)
    left: set[schema.Leaf] = set()
    wanted = None
    options = {"yield_per": 10}
    with connection.execute(_inputs(namespace), execution_options=options) as rows:
        for count, (inputs,) in enumerate(rows, 1):
            if wanted is None or not left.issuperset(_leaves(inputs)):
                left |= _leaves(inputs)
                wanted = schema.view(namespace, left)
            if wanted == there or (is_ours and count > NARROWED):
                return
    if wanted != (there or None):
        replace_view(connection, namespace, wanted)


def index_inputs(
    connection: sa.Connection, namespace: str, seconds: float = INDEXING_SECONDS
) -> None:
    """Make the indexes over the inputs of `namespace` that are lacking, if it has many entries.

    None is begun after so many seconds.
    """
    _, shown, is_ours = _there(connection, namespace)
    if not is_ours or not _has(connection, namespace, MANY_ENTRIES - 1):
        return
    there, ends = _indexes(connection, namespace), time.monotonic() + seconds
    for name, text in schema.input_indexes(namespace, shown).items():
        if name not in there and time.monotonic() < ends:
            _change(connection, f"an index over inputs of {namespace!r}", [text])


def is_time_to_index(connection: sa.Connection, added: int) -> bool:
    """Whether to look for a lack of indexes, as one does after so many entries were added."""
    last = connection.exec_driver_sql("SELECT max(rowid) FROM entry").scalar() or 0
    return bool(last // SELDOM != (last - added) // SELDOM)


def _has(connection: sa.Connection, namespace: str, others: int) -> bool:
    """Whether `namespace` has an entry beside so many others."""
    entry = schema.entry
    one = sa.select(entry.c.namespace).where(entry.c.namespace == namespace)
    return connection.execute(one.limit(1).offset(others)).first() is not None


def _indexes(connection: sa.Connection, namespace: str) -> dict[str, str]:
    """The indexes that lie over the inputs of `namespace`, by name."""
    whole = f"{SCHEMA} AND type = 'index' AND substr(name, 1, {len(schema.INPUT_INDEX)}) = ?"
    ending = schema.input_indexes_end(namespace)
    found = connection.exec_driver_sql(whole, (schema.INPUT_INDEX,))
    return {name: text for _, name, text in found if text.endswith(ending)}


def shown_by(connection: sa.Connection, namespace: str) -> set[schema.Leaf]:
    """The leaves that the view of `namespace` shows."""
    return _there(connection, namespace)[1]


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
    """Let `text` be the view of `namespace`, or nothing; where that fails, warn.

    Of its indexes over inputs those go that are none of the new view; others are made anew.
    """
    there = _indexes(connection, namespace)
    made = schema.input_indexes(namespace, schema.leaves_of(text or "")) if there else {}
    view = [f"DROP VIEW IF EXISTS {schema.quoted(namespace)}", *([text] if text else [])]
    if not _change(connection, f"the view of {namespace!r}", view):
        return
    for name in there:
        if there[name] != made.get(name):
            drop = f"DROP INDEX {schema.quoted(name)}"
            _change(connection, f"an index over inputs of {namespace!r}", [drop])
    if there:
        index_inputs(connection, namespace)


def _change(connection: sa.Connection, what: str, statements: Iterable[str]) -> bool:
    """Change the schema, or warn that it cannot be; whether it was."""
    # Not `begin_nested`: a full disk undoes savepoints too, and their own failure would be told.
    connection.exec_driver_sql("SAVEPOINT change")
    try:
        for statement in statements:
            connection.exec_driver_sql(statement)
    except sa.exc.OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code != sqlite3.SQLITE_ERROR:  # a full disk has undone more than the change
            raise
        connection.exec_driver_sql("ROLLBACK TO change")
        connection.exec_driver_sql("RELEASE change")
        _log.warning("%s cannot be made: %s", what, error.orig)
        return False
    connection.exec_driver_sql("RELEASE change")
    return True


def views_wanted(
    connection: sa.Connection, found: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """The name and text of the view that each namespace should have.

    And what may be there too, of all that was `found`: a view of many entries that shows more, and
    the indexes over inputs.
    """
    leaves: dict[str, set[schema.Leaf]] = {}
    entries: Counter[str] = Counter()
    for namespace, inputs in connection.execute(
        sa.select(schema.entry.c.namespace, schema.entry.c.inputs)
    ):
        leaves.setdefault(namespace, set()).update(_leaves(inputs))
        entries[namespace] += 1
    found = found or {}
    for namespace, seen in leaves.items():
        there = found.get(namespace, "")
        wider = seen | schema.leaves_of(there) if entries[namespace] > NARROWED else seen
        shown = wider if there == schema.view(namespace, wider) else seen
        yield namespace, schema.view(namespace, shown)
        indexes = schema.input_indexes(namespace, shown)
        yield from ((name, text) for name, text in indexes.items() if name in found)


def _leaves(inputs: str) -> set[schema.Leaf]:
    return set(schema.leaves(json.loads(inputs)))
