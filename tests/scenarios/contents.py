"""What a reader finds in a database: its tables' columns and rows, as text."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from urllib.parse import quote


def contents(path, tables=None, mode="ro"):
    """Of `tables`, or of all: name, columns and rows by their first column."""
    if path.endswith(".duckdb"):
        return _duckdb_contents(path, tables)
    with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True)) as db:
        names = tables or column(
            db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return repr(
            [
                (
                    name,
                    db.execute(f"PRAGMA table_info({name})").fetchall(),
                    db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall(),
                )
                for name in sorted(names)
            ]
        )


def contents_now(path, tables=None):
    """The same, of a copy: nothing is rolled back, checkpointed or locked by looking."""
    path = os.path.realpath(path)
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, os.path.basename(path))
        for end in ("", "-wal", ".wal", "-journal"):
            if os.path.exists(path + end):
                shutil.copyfile(path + end, copy + end)
        return contents(copy, tables, "rw")


def _duckdb_contents(path, tables):
    import duckdb

    with contextlib.closing(duckdb.connect(path, read_only=True)) as db:
        names = tables or column(db, "SELECT table_name FROM information_schema.tables")
        return repr(
            [
                (
                    name,
                    db.execute(f"DESCRIBE {name}").fetchall(),
                    db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall(),
                )
                for name in sorted(names)
            ]
        )


def column(db, query):
    return [name for (name,) in db.execute(query).fetchall()]
