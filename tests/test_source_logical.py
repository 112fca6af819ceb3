"""Logical identities: rows and schema, whatever file they lie in; of SQLite, and in a cache."""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from databases import connect, grow, kill, writer

from tensorcache import database, disk
from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import identify


def identity(path, memory=None, **chosen):
    source = database(path, "logical", **chosen)
    return identify(source, {} if memory is None else memory, leaf_digest=lambda _: None)


def text(path, **chosen):
    found = identity(path, **chosen)
    assert found.text is not None, found.why
    return found.text


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "league.sqlite")
    change(
        path,
        "CREATE TABLE game(id INTEGER PRIMARY KEY, day TEXT, points)",
        "CREATE TABLE note(day TEXT, words)",
        "CREATE TABLE pair(a TEXT COLLATE NOCASE, b INT, v, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE VIEW best AS SELECT day, max(points) AS most FROM game GROUP BY day",
        "CREATE INDEX by_day ON game(day)",
    )
    with sqlite3.connect(path) as db:
        rows = [(f"2024-01-{i % 28 + 1:02}", i * 7 % 50) for i in range(500)]
        db.executemany("INSERT INTO game(day, points) VALUES (?, ?)", rows)
        db.executemany("INSERT INTO note VALUES (?, ?)", [(day, "x" * n) for day, n in rows])
        db.executemany("INSERT INTO pair VALUES (?, ?, 1.5)", [(f"k{i}", i % 7) for i in range(99)])
    db.close()
    return path


def change(path, *statements):
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def copied(path):
    shutil.copy(path, f"{path}2")
    return f"{path}2"


def dumped(path):
    old, new = sqlite3.connect(path), sqlite3.connect(f"{path}2")
    new.executescript("\n".join(old.iterdump()))
    old.close()
    new.close()
    return f"{path}2"


SAME = {
    "vacuum": ("DELETE FROM game WHERE id > 500", "VACUUM"),
    "page size": ("PRAGMA page_size = 8192", "VACUUM"),
    "journal mode": ("PRAGMA journal_mode = WAL",),
    "reindex": ("REINDEX",),
    "an index": ("CREATE INDEX another ON game(points)",),
    "analyze": ("ANALYZE",),
    "a view": ("CREATE VIEW another AS SELECT 1",),
    "rows put back": ("INSERT INTO game VALUES (501, '', 1)", "DELETE FROM game WHERE id = 501"),
    "rows that lie elsewhere": (
        "CREATE TEMP TABLE kept AS SELECT * FROM note ORDER BY words",
        "DELETE FROM note",
        "INSERT INTO note SELECT * FROM kept",
    ),
}


@pytest.mark.parametrize("statements", SAME.values(), ids=SAME)
def test_what_changes_no_row_is_no_change(path, statements):
    before = text(path)

    change(path, *statements)

    assert text(path) == before


@pytest.mark.parametrize("moved", [copied, dumped])
def test_the_same_rows_in_another_file_are_the_same(path, moved):
    assert text(moved(path)) == text(path)


OTHER = {
    "a value": "UPDATE game SET points = points + 1 WHERE id = 7",
    "a type": "UPDATE game SET points = CAST(points AS TEXT) WHERE id = 7",
    "an int that is a float": "UPDATE note SET words = 1.0 WHERE rowid = 1",
    "text that is a blob": "UPDATE note SET words = CAST(words AS BLOB) WHERE rowid = 9",
    "null": "UPDATE game SET points = NULL WHERE id = 7",
    "a row more": "INSERT INTO note VALUES ('', '')",
    "a row less": "DELETE FROM game WHERE id = 500",
    "a key": "UPDATE game SET id = 501 WHERE id = 500",
    "a column": "ALTER TABLE game ADD COLUMN more",
    "a column's name": "ALTER TABLE game RENAME COLUMN points TO score",
    "a table": "CREATE TABLE another(a)",
    "a table's name": "ALTER TABLE note RENAME TO remark",
    "case in a key": "UPDATE pair SET a = 'K1' WHERE a = 'k1'",
}


@pytest.mark.parametrize("statement", OTHER.values(), ids=OTHER)
def test_what_changes_a_row_or_the_schema_is_a_change(path, statement):
    before = text(path)

    change(path, statement)

    assert text(path) != before


def test_only_named_tables_count(path):
    game, both = text(path, tables=["game"]), text(path, tables=["note", "game"])
    change(path, "INSERT INTO note VALUES ('', '')", "CREATE TABLE another(a)")

    assert text(path, tables=("game",)) == game
    assert text(path, tables=("game", "note", "game")) != both
    assert game != both
    change(path, "UPDATE game SET points = 3 WHERE id = 1")
    assert text(path, tables=["game"]) != game


def test_views_may_be_named(path):
    before = identity(path, tables=["best"])
    change(path, "INSERT INTO note VALUES ('', '')")

    assert identity(path, tables=["best"]).text == before.text
    assert before.parts["best"].size == 28
    change(path, "UPDATE game SET points = 99 WHERE id = 1")
    assert identity(path, tables=["best"]).text != before.text


def test_queries_are_their_text_and_rows_in_their_order(path):
    up = "SELECT id, points FROM game WHERE points > 40 ORDER BY id"
    down, other = f"{up} DESC", up.replace("40", "41")
    before = text(path, queries={"a": up})

    assert len({before, *(text(path, queries={"a": q}) for q in (down, other))}) == 3
    assert text(path, queries={"b": up}) != before
    assert text(path, queries={"b": down, "a": up}) == text(path, queries={"a": up, "b": down})
    change(path, "UPDATE game SET points = 2 WHERE points = 1")
    assert text(path, queries={"a": up}) == before
    change(path, "UPDATE game SET points = 50 WHERE points = 2")
    assert text(path, queries={"a": up}) != before


def test_parts_say_rows_and_digest_of_each_table(path):
    before = identity(path).parts
    change(path, "DELETE FROM note WHERE rowid <= 3")
    after = identity(path).parts

    assert {name: part.size for name, part in before.items()} == {
        "game": 500,
        "note": 500,
        "pair": 99,
    }
    assert after["note"].size == 497
    assert [name for name in before if before[name] != after[name]] == ["note"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"tables": "game"}, "tables='game' names no tables: pass a list of names"),
        ({"tables": []}, "names no tables"),
        ({"tables": [7]}, "names no tables"),
        ({"queries": {}}, "names no queries: pass {'name': 'SELECT"),
        ({"queries": ["SELECT 1"]}, "names no queries"),
        ({"queries": {"a": " "}}, "names no queries"),
        ({"tables": ["a"], "queries": {"a": "SELECT 1"}}, "tables and queries: pass one"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(chosen, words):
    with pytest.raises(UnkeyableValue) as caught:
        database("x.sqlite", **chosen)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_have_no_other_level():
    assert database("x.sqlite", tables=["a"]).level == "logical"
    with pytest.raises(UnkeyableValue, match="tables and queries have no level 'bytes': use"):
        database("x.sqlite", "bytes", tables=["a"])


def test_wrong_tables_and_queries_are_named(path, tmp_path):
    with pytest.raises(SourceMissing, match="no table 'Game': it has game, note, pair"):
        identity(path, tables=["Game"])
    with pytest.raises(UnkeyableValue, match="no such column: missing"):
        identity(path, queries={"a": "SELECT missing FROM game"})
    with pytest.raises(UnkeyableValue, match="readonly"):
        identity(path, queries={"a": "DELETE FROM game"})
    with pytest.raises(SourceMissing, match="is not there"):
        identity(tmp_path / "no.sqlite")
    change(path, "INSERT INTO note VALUES (CAST(x'ff' AS TEXT), 1)")
    with pytest.raises(UnkeyableValue, match="Could not decode to UTF-8"):
        identity(path)


def test_commits_in_the_wal_count_and_its_writer_is_not_disturbed(tmp_path):
    path = str(tmp_path / "league.sqlite")
    db = connect(path)
    grow(db)
    first = text(path)
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t(b) VALUES (1)")

    assert text(path) == first
    db.execute("COMMIT")
    assert text(path) != first
    second = text(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert text(path) == second
    db.close()
    assert text(path) == second


def test_a_commit_that_the_wal_has_and_no_reader_sees_yet_is_not_now(tmp_path):
    """Its writer waits for the disk: what is shown now must not be remembered by these stats."""
    path = str(tmp_path / "league.sqlite")
    db = connect(path)
    grow(db)
    with open(f"{path}-shm", "r+b") as shm:
        kept = shm.read(96)
        grow(db)
        shm.seek(0)
        shm.write(kept)  # as it was before the last commit told of itself

    found = identity(path)

    assert (found.text, found.why) == (None, f"{path} is being written")
    db.close()


def test_a_quiet_wal_database_is_read_without_a_trace(path):
    change(path, "PRAGMA journal_mode = WAL")
    folder = os.path.dirname(path)
    before = sorted(os.listdir(folder))

    assert text(path)
    assert sorted(os.listdir(folder)) == before == ["league.sqlite"]


def test_what_is_locked_or_hot_is_not_identified_now(path):
    locked = writer(path, "BEGIN EXCLUSIVE")
    found = identity(path)
    kill(locked)
    assert found.text is None
    assert found.why == f"{path} cannot be read: database is locked"

    hot = writer(path, "BEGIN IMMEDIATE", "UPDATE game SET day = hex(randomblob(2000))")
    kill(hot)
    found = identity(path)
    assert found.text is None
    assert "-journal is hot" in found.why


def test_a_file_that_lies_still_is_not_read_again(path):
    memory = {}
    young = identity(path, memory)
    assert memory == {}
    time.sleep(2.1)
    settled, named = identity(path, memory), identity(path, memory, tables=["game"])
    assert settled == young
    assert len(memory) == 2
    for known in memory.values():
        known["identity"] = known["identity"][:-64] + "0" * 64

    recalled = identity(path, memory)
    assert recalled.text == "sqlite-logical-1:blake3:" + "0" * 64
    assert recalled.parts == settled.parts
    assert identity(path, memory, tables=["note"]).text not in (None, recalled.text)
    assert identity(path, memory, tables=["game"]).text != named.text
    change(path, "UPDATE game SET points = 3 WHERE id = 1")
    assert identity(path, memory).text not in (recalled.text, settled.text)


def test_the_identity_of_today_is_that_of_tomorrow(tmp_path):
    """The scheme is frozen: a better one gets another number."""
    path = str(tmp_path / "league.sqlite")
    change(path, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)", "CREATE TABLE u(x REAL, y BLOB)")
    change(path, "INSERT INTO t VALUES (1, 'é'), (2, NULL), (-9223372036854775808, 0.1)")
    change(path, "INSERT INTO u VALUES (2, x'00ff'), (1, 'z')")

    digest = "01c04088b24b8f0f39fa6705d29266eec101e6f1255d745ad8f77c64c576d941"
    assert text(path) == f"sqlite-logical-1:blake3:{digest}"


def test_a_source_that_moves_while_it_is_read_is_not_published(cache, path, caplog):
    source = {"db": database(path, tables=["game"])}

    def build():
        change(path, "UPDATE game SET points = 77 WHERE id = 5")
        return {"x": 1}

    with caplog.at_level(logging.WARNING, "tensorcache"):
        entry = cache.get_or_build({}, build, version="1", sources=source, namespace="a.b")

    assert (entry.load(), entry.published) == ({"x": 1}, False)
    assert caplog.messages == ["not published: the source 'db' changed while it was read"]


def test_an_unused_table_is_a_hit_and_parts_are_in_the_manifest(cache, path):
    source = {"db": database(path, tables=["game"])}

    def get():
        return cache.get_or_build({}, lambda: 1, version="1", sources=source, namespace="a.b")

    first = get()
    change(path, "DELETE FROM note", "VACUUM")

    assert first.published
    assert get().hit
    (provenance,) = disk.read_manifest(cache._root, first.key.digest).sources
    assert {name: part.size for name, part in provenance.parts.items()} == {"game": 500}


ON_A_HIT = """
import sys, tensorcache
cache = tensorcache.open(sys.argv[1])
source = {"db": tensorcache.database(sys.argv[2], tables=["game"])}
entry = cache.get_or_build({}, lambda: 1, version="1", sources=source, namespace="a.b")
print(entry.hit, sorted({"sqlite3", "sqlalchemy", "numpy", "rich", "duckdb"} & set(sys.modules)))
"""


def test_a_hit_imports_no_engine(root, path):
    def ran():
        command = [sys.executable, "-c", ON_A_HIT, root, path]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    time.sleep(2.1)
    assert ran().startswith("False")
    assert ran() == "True []\n"
