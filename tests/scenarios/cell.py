"""One database of the matrix, between two starts: the operations that people do to it.

Each function here makes one: `sql(…)` gives what runs these statements on the file of a cell. What
is done is done: real files, other processes that live on or die, no file touched by the cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from databases import kill, writer

from scenarios.contents import contents_now

TABLES = ("t",)  # what the column `named` names
SCHEMA = (
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
    "CREATE TABLE other(a INTEGER PRIMARY KEY, b)",
    "CREATE INDEX t_by_b ON t(b)",
    "INSERT INTO t(b) VALUES " + ", ".join(f"('row {i}')" for i in range(1, 301)),
    "DELETE FROM t WHERE a % 3 = 0",  # so that VACUUM has something to do
    "INSERT INTO other(b) VALUES (1), (NULL), ('text')",
)
EXIT = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement)
os._exit(9)
"""
EXIT_DUCKDB = EXIT.replace("sqlite3, ", "duckdb, ").replace(
    "sqlite3.connect(sys.argv[1], isolation_level=None)", "duckdb.connect(sys.argv[1])"
)


class Cell:
    """A database at `path` that is asked for at one level, and the processes that hold it."""

    def __init__(self, path, level="bytes", build="reads"):
        self.path, self.level = str(path), level
        self._build = build
        self.found = set()  # every value so far
        self.alive = []

    @property
    def tables(self):
        return TABLES if self.level == "named" else None

    def starts_in(self, start):
        """Which process starts from now on."""
        self._start = start

    def ask(self, at_its_turn=int):
        self._start.ask(
            os.path.dirname(self.path),
            source=(self.path, self.level, TABLES),
            build=self._build,
            at_its_turn=at_its_turn,
        )

    def hear(self):
        answer = self._start.hear()
        self.found.add(answer.get("value"))
        return answer

    def start(self):
        """One start, there and then."""
        self.ask()
        return self.hear()

    def now(self):
        return contents_now(self.path, self.tables)

    def end(self):
        for process in self.alive:
            kill(process)


# How a database is made.


def made(path, mode="delete", *statements):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(f"PRAGMA journal_mode = {mode}")
        for statement in (*SCHEMA, *statements):
            db.execute(statement)


def made_with_wal(path):
    """The last writer died: its commit lies in the -wal."""
    made(path, "wal")
    killed("INSERT INTO t(b) VALUES ('in the wal')")(Cell(path))


def made_by_duckdb(path):
    import duckdb

    with contextlib.closing(duckdb.connect(str(path))) as db:
        db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b VARCHAR)")
        db.execute("CREATE TABLE other(a INTEGER PRIMARY KEY, b VARCHAR)")
        db.execute("INSERT INTO t SELECT range, 'row ' || range FROM range(300)")
        db.execute("INSERT INTO other VALUES (1, NULL)")


# What is done to it.


def nothing(cell):
    """The second start finds what the first one left."""


def sql(*statements):
    """A connection of its own runs these, and is closed."""

    def do(cell):
        with contextlib.closing(sqlite3.connect(cell.path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement).fetchall()

    return do


def alive(*statements):
    """Another process runs these, and has the database open still."""

    def do(cell):
        cell.alive.append(writer(cell.path, *statements))

    return do


def killed(*statements):
    """Another process runs these, and is killed with the database open."""
    return lambda cell: kill(writer(cell.path, *statements))


def exits(*statements, code=EXIT):
    """Another process runs these, and ends by os._exit with the database open."""

    def do(cell):
        ran = subprocess.run([sys.executable, "-c", code, cell.path, *statements], check=False)
        assert ran.returncode == 9

    return do


def duckdb(*statements):
    """A connection of DuckDB runs these, and is closed."""

    def do(cell):
        import duckdb

        with contextlib.closing(duckdb.connect(cell.path)) as db:
            for statement in statements:
                db.execute(statement)

    return do


def in_turn(*deeds):
    """Several things, one after the other."""

    def do(cell):
        for deed in deeds:
            deed(cell)

    return do


def times_put_back(deed):
    """Do it, and set atime and mtime to what they were."""

    def do(cell):
        before = os.stat(cell.path)
        deed(cell)
        after = os.stat(cell.path)
        os.utime(cell.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (after.st_size, after.st_ino) == (before.st_size, before.st_ino)

    return do


def another_start(cell):
    """Somebody else starts in between."""
    cell.start()


def moved(how):
    """`how(path, new_path)`; from now on the new path is asked for."""

    def do(cell):
        new = os.path.join(os.path.dirname(cell.path), f"new-{os.path.basename(cell.path)}")
        how(cell.path, new)
        cell.path = new

    return do


def replaced(how):
    """`how(path, new_path)` makes a file that then takes the place of the old one."""

    def do(cell):
        how(cell.path, f"{cell.path}.new")
        os.replace(f"{cell.path}.new", cell.path)

    return do


def backed_up(path, new):
    with (
        contextlib.closing(sqlite3.connect(path)) as old,
        contextlib.closing(sqlite3.connect(new)) as db,
    ):
        old.backup(db)


def vacuumed_into(path, new):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (new,))


def written_again(path, new):
    """The same tables and rows, made from nothing."""
    with contextlib.closing(sqlite3.connect(path)) as old:
        script = "\n".join(old.iterdump())
    with contextlib.closing(sqlite3.connect(new)) as db:
        db.executescript(script)


def restored(*meanwhile):
    """Keep a copy with its times (cp -p), do something, and copy it back with its old mtime."""

    def do(cell):
        kept = f"{cell.path}.kept"
        shutil.copy2(cell.path, kept)
        for deed in meanwhile:
            deed(cell)
        shutil.copy2(kept, cell.path)

    return do


def within_a_tick(cell):
    """A start has begun when a second edit follows, so soon that both may bear one time; then the
    first edit comes back, which no start has read: a hit would be the second one's.
    """
    edited = [f"{cell.path}.{word}" for word in ("one", "two")]
    for attempt in range(100):
        for path in edited:
            shutil.copyfile(cell.path, path)
            edit = f"UPDATE t SET b = '{path[-3:]} {attempt:03}' WHERE a = 2"
            sql(edit)(Cell(path))
        one, two = (Path(path).read_bytes() for path in edited)
        with open(cell.path, "r+b", buffering=0) as file:
            began = []

            def edit(file=file, image=one, began=began):
                began.append(time.perf_counter())
                file.write(image)

            cell.ask(edit)
            file.seek(0)
            file.write(two)
            seconds = time.perf_counter() - began[0]
        cell.hear()
        if seconds < 0.004:  # a tick of most kernels; a start reads only what is 15 ms old
            shutil.copyfile(edited[0], cell.path)
            return
    raise AssertionError("no two edits were fast enough")
