"""The table of docs/sources.md: what each level of a database takes for a change."""

import os
import shutil
import sqlite3

import pytest

from tensorcache import database
from tensorcache.source import identify

LEVELS = ("bytes", "logical", "stat")


def run(path, *statements):
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()
    return path


def sql(*statements):
    return lambda path: run(path, *statements)


def copied(path):
    shutil.copy2(path, f"{path}.copy")
    return f"{path}.copy"


def restored(path):
    """From a backup, under the old name and with its old mtime."""
    os.rename(copied(path), path)
    return path


def renamed(path):
    os.rename(path, f"{path}.new")
    return f"{path}.new"


def linked(path):
    os.symlink(path, f"{path}.link")
    return f"{path}.link"


def touched(path):
    os.utime(path)
    return path


def dumped(path):
    old, new = sqlite3.connect(path), sqlite3.connect(f"{path}.dump")
    new.executescript("\n".join(old.iterdump()))
    old.close()
    new.close()
    return f"{path}.dump"


# What leaves every row and the schema as they were: the levels that miss all the same.
NEEDLESS = {
    "VACUUM": (sql("VACUUM"), {"bytes", "stat"}),
    "page size": (sql("PRAGMA page_size = 8192", "VACUUM"), {"bytes", "stat"}),
    "journal mode": (sql("PRAGMA journal_mode = WAL"), {"bytes", "stat"}),
    "REINDEX": (sql("REINDEX"), {"bytes", "stat"}),
    "an index more": (sql("CREATE INDEX j ON game(points)"), {"bytes", "stat"}),
    "ANALYZE": (sql("ANALYZE"), {"bytes", "stat"}),
    "a view": (sql("CREATE VIEW v AS SELECT 1"), {"bytes", "stat"}),
    "rows put back": (
        sql("DELETE FROM game WHERE id = 7", "INSERT INTO game VALUES (7, 21)"),
        {"bytes", "stat"},
    ),
    "a dump read in again": (dumped, {"bytes", "stat"}),
    "a copy": (copied, {"stat"}),
    "a restore": (restored, {"stat"}),
    "touch": (touched, {"stat"}),
    "a rename": (renamed, {"stat"}),
    "a link": (linked, set()),
}


def texts(path):
    sources = {level: database(path, level) for level in LEVELS}
    sources["tables"] = database(path, tables=["game"])
    found = {
        level: identify(source, {}, leaf_digest=lambda _: None) for level, source in sources.items()
    }
    assert all(identity.text for identity in found.values())
    return {level: identity.text for level, identity in found.items()}


@pytest.fixture
def path(tmp_path):
    path = run(
        str(tmp_path / "league.sqlite"),
        "CREATE TABLE game(id INTEGER PRIMARY KEY, points)",
        "CREATE TABLE other(a)",
        "CREATE INDEX i ON game(points)",
    )
    db = sqlite3.connect(path)
    db.executemany("INSERT INTO game VALUES (?, ?)", [(n, n * 3) for n in range(2000)])
    db.execute("DELETE FROM game WHERE id > 1500")
    db.commit()
    db.close()
    return path


def misses(before, after):
    return {level for level in before if before[level] != after[level]}


@pytest.mark.parametrize(("change", "levels"), NEEDLESS.values(), ids=NEEDLESS)
def test_needless_misses_are_those_of_the_table(path, change, levels):
    before = texts(path)

    assert misses(before, texts(change(path))) == levels


def test_a_checkpoint_is_a_change_of_the_stat_alone(path):
    run(path, "PRAGMA journal_mode = WAL")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("INSERT INTO other VALUES (1)")
    before = texts(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert misses(before, texts(path)) == {"stat"}
    db.close()


def test_a_table_that_is_not_named_is_a_change_to_all_but_those_who_name(path):
    before = texts(path)

    assert misses(before, texts(run(path, "INSERT INTO other VALUES (1)"))) == set(LEVELS)


def test_a_row_is_a_change_to_all(path):
    before = texts(path)
    after = texts(run(path, "UPDATE game SET points = 1 WHERE id = 7"))

    assert misses(before, after) == {*LEVELS, "tables"}
