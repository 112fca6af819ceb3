"""Rows of the matrix: one file operation or edit each, and what a start finds after it.

Every row begins with a database that has lain still for two seconds and was built from once, so
that what was remembered of it by its stat could mislead. `expected` has a word for each level.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import NamedTuple

from scenarios import cell as do
from scenarios.cell import Cell, alive, exits, in_turn, killed, sql

LEVELS = ("stat", "bytes", "logical", "named")
INSERT = "INSERT INTO t(b) VALUES ('one more')"
INSERT_OTHER = "INSERT INTO other(b) VALUES ('one more')"
SAME_SIZE = "UPDATE t SET b = 'ROW' || substr(b, 4) WHERE a = 2"
CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"
HOT = killed("BEGIN", "UPDATE t SET b = randomblob(9000)")


class Row(NamedTuple):
    """What is done between two starts, and what the second finds at each level.

    `mode` is how the database was made, `build` what the builder does: it `reads`, `opens` for
    writing and reads, or runs an INSERT first.
    """

    name: str
    deed: Callable[[Cell], None]
    expected: str
    mode: str = "delete"
    build: str = "reads"

    def outcome(self, level):
        return dict(zip(LEVELS, self.expected.split(), strict=True))[level]


CHANGED = "miss miss miss miss"
SAME = "needless hit hit hit"  # the stat has changed, the content has not
SAME_ROWS = "needless needless hit hit"  # nor have the rows, but the bytes have
NOT_NOW = "unpublished unpublished unpublished unpublished"

ROWS = (
    Row("nothing, the database in rollback mode", do.nothing, "hit hit hit hit"),
    Row("nothing, the database in WAL mode", do.nothing, "hit hit hit hit", "wal"),
    Row("nothing, commits in a dead writer's WAL", do.nothing, "hit hit hit hit", "in wal"),
    # Commits that lie in the WAL, or did.
    Row("insert in WAL, not checkpointed, writer alive", alive(INSERT), CHANGED, "wal"),
    Row("insert in WAL, not checkpointed, writer killed", killed(INSERT), CHANGED, "wal"),
    Row("insert in WAL, not checkpointed, writer ended by os._exit", exits(INSERT), CHANGED, "wal"),
    Row("insert in WAL, checkpointed, writer alive", alive(INSERT, CHECKPOINT), CHANGED, "wal"),
    Row("insert in WAL, checkpointed, writer killed", killed(INSERT, CHECKPOINT), CHANGED, "wal"),
    Row("insert in WAL, checkpointed by closing", sql(INSERT), CHANGED, "wal"),
    Row("insert into a WAL that a dead writer left", killed(INSERT), CHANGED, "in wal"),
    Row("checkpoint of what was in the WAL", sql(CHECKPOINT), SAME, "in wal"),
    Row(
        "transaction under way in WAL, its pages written, writer alive",
        alive("BEGIN", "UPDATE t SET b = randomblob(9000)"),
        SAME,
        "wal",
    ),
    Row("transaction died in WAL, its pages written", HOT, SAME, "wal"),
    Row("-shm of a dead writer removed", lambda cell: os.unlink(f"{cell.path}-shm"),
        "hit hit hit hit", "in wal"),
    # Rollback mode.
    Row("insert in rollback mode", sql(INSERT), CHANGED),
    Row("insert in rollback mode, journal kept", sql(INSERT), CHANGED, "persist"),
    Row("insert in rollback mode, writer alive", alive(INSERT), CHANGED),
    Row("insert in rollback mode, writer killed", killed(INSERT), CHANGED),
    Row("hot journal of a dead writer", HOT, NOT_NOW, build="opens"),
    Row("hot journal, rolled back by who opens it", in_turn(HOT, sql("SELECT * FROM t")),
        SAME_ROWS),
    Row("transaction rolled back", killed("BEGIN", "UPDATE t SET b = randomblob(9000)", "ROLLBACK"),
        SAME_ROWS),
    # Edits that hide.
    Row("same-size edit, mtime put back", do.times_put_back(sql(SAME_SIZE)), CHANGED),
    Row("same-size edit in place by no SQLite, mtime put back",
        do.times_put_back(lambda cell: poke(cell.path)), CHANGED),
    Row("edit within the tick of mtime, while a start is under way", do.within_a_tick, CHANGED),
    Row("two same-size edits around a start, mtime put back",
        in_turn(sql(SAME_SIZE), do.another_start,
                do.times_put_back(sql(SAME_SIZE.replace("ROW", "Row")))), CHANGED),
    Row("number becomes text: 5 to '5'", sql("UPDATE other SET b = '1' WHERE a = 1"),
        "miss miss miss hit"),
    Row("text becomes NULL in the table that is named", sql("UPDATE t SET b = NULL WHERE a = 2"),
        CHANGED),
    Row("int becomes float in the table that is named",
        in_turn(sql("UPDATE t SET b = 1"), do.another_start, sql("UPDATE t SET b = 1.0")), CHANGED),
    Row("values of two rows swapped",
        sql("UPDATE t SET b = CASE a WHEN 1 THEN 'row 2' ELSE 'row 1' END WHERE a < 3"), CHANGED),
    Row("row deleted", sql("DELETE FROM t WHERE a = 1"), CHANGED),
    # The same rows in other bytes.
    Row("VACUUM", sql("VACUUM"), SAME_ROWS),
    Row("VACUUM with another page size", sql("PRAGMA page_size = 8192", "VACUUM"), SAME_ROWS),
    Row("VACUUM INTO, which takes its place", do.replaced(do.vacuumed_into), SAME_ROWS),
    Row("dumped and made anew", do.replaced(do.written_again), SAME_ROWS),
    Row("journal mode: rollback to WAL", sql("PRAGMA journal_mode = WAL"), SAME_ROWS),
    Row("journal mode: WAL to rollback", sql("PRAGMA journal_mode = DELETE"), SAME_ROWS, "wal"),
    Row("ANALYZE", sql("ANALYZE"), SAME_ROWS),
    Row("REINDEX", sql("REINDEX"), SAME_ROWS),
    Row("PRAGMA user_version", sql("PRAGMA user_version = 7"), SAME_ROWS),
    Row("rows deleted and inserted back",
        sql("CREATE TEMP TABLE kept AS SELECT * FROM t", "DELETE FROM t",
            "INSERT INTO t SELECT * FROM kept"), SAME_ROWS),
    Row("update to the same values", sql("UPDATE t SET b = b || ''"), SAME_ROWS),
    Row("edit and its reverse",
        sql(INSERT, "DELETE FROM t WHERE b = 'one more'"), SAME_ROWS),
    # The same bytes elsewhere.
    Row("copy", do.moved(shutil.copyfile), SAME),
    Row("rename", do.moved(os.rename), SAME),
    Row("symlink", do.moved(os.symlink), "hit hit hit hit"),
    Row("hard link", do.moved(os.link), SAME),
    Row("touch", lambda cell: os.utime(cell.path), SAME),
    Row("chmod", lambda cell: os.chmod(cell.path, 0o640), SAME),
    Row("copy that takes its place", do.replaced(shutil.copyfile), SAME),
    Row("backup by SQLite's API, which takes its place", do.replaced(do.backed_up), SAME_ROWS),
    Row("restored by cp -p: a state that was built before",
        do.restored(sql(INSERT), do.another_start), SAME),
    Row("restored by cp -p: a state that never was",
        in_turn(sql(SAME_SIZE), do.restored(sql(INSERT), do.another_start)), CHANGED),
    # The schema, and what nobody reads.
    Row("column added", sql("ALTER TABLE t ADD COLUMN c"), CHANGED),
    Row("column renamed", sql("ALTER TABLE t RENAME COLUMN b TO c"), CHANGED),
    Row("index added", sql("CREATE INDEX other_by_b ON other(b)"), SAME_ROWS),
    Row("table added", sql("CREATE TABLE late(a INTEGER PRIMARY KEY)"), "miss miss miss hit"),
    Row("table dropped that is not named", sql("DROP TABLE other"), "miss miss miss hit"),
    Row("row inserted into a table that is not named", sql(INSERT_OTHER), "miss miss miss hit"),
    Row("the same in WAL, writer alive", alive(INSERT_OTHER), "miss miss miss hit", "wal"),
    # Builders that open it for writing.
    Row("nothing; the builder opens it for writing", do.nothing, "hit hit hit hit", build="opens"),
    Row("nothing; the builder opens it for writing, in WAL", do.nothing, "hit hit hit hit", "wal",
        "opens"),
    Row("nothing; the builder opens it for writing, which checkpoints a dead writer's WAL",
        do.nothing, "needless hit hit hit", "in wal", "opens"),
    Row("nothing; the builder writes into it", do.nothing, NOT_NOW, build=INSERT),
    Row("nothing; the builder writes into a table that is not named", do.nothing,
        "unpublished unpublished unpublished hit", build=INSERT_OTHER),
    # DuckDB.
    Row("DuckDB: nothing", do.nothing, "hit hit hit hit", "duckdb"),
    Row("DuckDB: insert in .wal, writer dead",
        exits("INSERT INTO t VALUES (1000, 'one more')", code=do.EXIT_DUCKDB), CHANGED, "duckdb"),
    Row("DuckDB: insert, checkpointed by closing",
        do.duckdb("INSERT INTO t VALUES (1000, 'one more')"), CHANGED, "duckdb"),
    Row("DuckDB: checkpoint of what was in .wal", do.duckdb("CHECKPOINT"), SAME_ROWS, "duckdb wal"),
    Row("DuckDB: copy", do.moved(shutil.copyfile), SAME, "duckdb"),
    Row("DuckDB: row inserted into a table that is not named",
        do.duckdb("INSERT INTO other VALUES (2, 'one more')"), "miss miss miss hit", "duckdb"),
)  # fmt: skip


def poke(path):
    """Turn a word in place, as a hex editor would."""
    with open(path, "r+b") as file:
        image = file.read()
        at = image.index(b"row 298")
        file.seek(at)
        file.write(b"ROW 298")


def make(path, mode):
    """A database as a row's `mode` wants it."""
    if mode == "in wal":
        do.made_with_wal(path)
    elif mode.startswith("duckdb"):
        do.made_by_duckdb(path)
        if mode == "duckdb wal":
            wal = exits("INSERT INTO t VALUES (1000, 'in the wal')", code=do.EXIT_DUCKDB)
            wal(Cell(path))
    else:
        do.made(path, mode)
