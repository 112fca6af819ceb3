"""What an older tensorcache would have left: an index of revision 0001."""

import contextlib
import os
import sqlite3

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

TABLES = ("entry", "source", "shard", "entry_shard", "column", "event")
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def make(path):
    """An empty index of revision 0001 at `path`."""
    config = Config()
    config.set_main_option("script_location", os.path.join(HERE, "migrations"))
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def put_back(path, journal=None):
    """Bring the index at `path` back to it: rows and views, and events of `journal`."""
    old = f"{path}.old"
    make(old)
    with contextlib.closing(sqlite3.connect(old)) as plain:
        plain.execute("ATTACH ? AS newer", (str(path),))
        for table in TABLES:
            asked = "SELECT name FROM pragma_table_info(?) WHERE name <> 'journal'"
            names = ", ".join(f'"{name}"' for (name,) in plain.execute(asked, (table,)))
            plain.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM newer."{table}"')
        plain.execute("UPDATE event SET journal = ?", (journal,))
        views = plain.execute("SELECT sql FROM newer.sqlite_master WHERE type = 'view'").fetchall()
        plain.commit()
        plain.execute("DETACH newer")
        for (text,) in views:
            plain.execute(text)
    os.replace(old, path)
