"""Revisions: what Alembic makes of an older index, and `head.sql` of none.

Rules of this room: whoever calls holds a transaction of its own, and translates what is raised.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from pathlib import Path

import sqlalchemy as sa

from tensorcache import schema
from tensorcache.index.connection import in_memory
from tensorcache.index.view import SCHEMA, replace_view, views_wanted

_alembic = threading.Lock()  # Alembic's `context` and `op` are one per process


def migrations() -> str:
    """Inside the package where it is installed, beside it in a checkout; found unimported."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inside = os.path.join(package, "migrations")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "migrations")


def upgrade(connection: sa.Connection, location: str) -> None:
    """Bring the tables up to HEAD. Alembic's batch mode fails beside views, and input indexes.

    Raises:
        ValueError: it is of a revision that there never was.
    """
    # A hit and a read need none of it, and it costs 0.3 s.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    for kind, name, _ in connection.exec_driver_sql(SCHEMA).all():
        if kind == "view" or name.startswith(schema.INPUT_INDEX):
            connection.exec_driver_sql(f"DROP {kind} {schema.quoted(name)}")
    config = Config()
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        with _alembic:
            command.upgrade(config, "head")
    except CommandError as error:
        raise ValueError(str(error)) from error
    for namespace, text in list(views_wanted(connection)):
        replace_view(connection, namespace, text)


@functools.cache  # every check of an index asks for it
def made(location: str) -> dict[str, str]:
    """The statements of `head.sql` by name, in order: what all revisions make of an empty file.

    Running those instead costs 0.5 s, and the first build into any cache waits for it.
    """
    text = Path(location, "head.sql").read_text("utf-8")
    with contextlib.closing(in_memory()) as memory:
        rows = memory.executescript(text).execute(SCHEMA)
        return {name: statement for _, name, statement in rows}


def make(connection: sa.Connection) -> None:
    """Make the tables in an empty file."""
    for text in made(migrations()).values():
        connection.exec_driver_sql(text)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (schema.HEAD,))
