"""SQL that people write: what it may do, what it may not, and what it is told."""

import contextlib
import os
import sqlite3
import time

import pytest

from tensorcache.errors import BadQuery, EntryCorrupt, LeaseTimeout
from tensorcache.index import Index

INSERT = (
    "INSERT INTO entry VALUES "
    "(?, 'spam', '', '', '{\"n\":1}', '', 1, ?, 0, ?, NULL, 0, NULL, '', '', 0, 0, '', 0, 0)"
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "index.sqlite")


@pytest.fixture
def index(path):
    index = Index(path)
    index.prepare()
    with contextlib.closing(sqlite3.connect(path)) as plain:
        for place in range(3):
            plain.execute(
                INSERT, (f"k{place}", 10 * place, f"2026-01-0{place + 1} 00:00:00.000000")
            )
        plain.commit()
    return index


def test_entries_are_listed_newest_first(index):
    table = index.entries()

    assert table.columns[:4] == ("key", "namespace", "version", "bytes")
    assert [row[0] for row in table.rows] == ["k2", "k1", "k0"]


def test_entries_takes_a_condition_with_parameters(index):
    assert [row[0] for row in index.entries("bytes >= ? -- ten", (10,)).rows] == ["k2", "k1"]
    assert [row[0] for row in index.entries("json_extract(inputs, '$.n') = :n", {"n": 1}).rows]
    with pytest.raises(BadQuery, match="no such column: colour"):
        index.entries("colour = 1")


def test_a_query_takes_parameters_by_place_and_by_name(index):
    assert index.query("SELECT ? + 1", (2,)).rows == [(3,)]
    assert index.query("SELECT :a || 'b'", {"a": "a"}).rows == [("ab",)]
    assert index.query(
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r LIMIT 3) SELECT sum(n) FROM r"
    ).rows == [(6,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry",
        "UPDATE entry SET key = 1",
        "INSERT INTO event DEFAULT VALUES",
        "DROP TABLE entry",
        "CREATE TEMP TABLE t (x)",
        "CREATE VIEW v AS SELECT 1",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "SELECT * FROM pragma_table_info('entry')",
        "ATTACH '{path}.new' AS other",
        "VACUUM INTO '{path}.new'",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('{path}')",
        "WITH doomed AS (SELECT key FROM entry) DELETE FROM entry WHERE key IN doomed",
    ],
)
def test_what_does_not_only_read_is_refused(index, path, statement):
    before = os.listdir(os.path.dirname(path))

    with pytest.raises(BadQuery):
        index.query(statement.replace("{path}", path))

    assert len(index.entries().rows) == 3
    assert os.listdir(os.path.dirname(path)) == before


@pytest.mark.parametrize(
    ("statement", "params", "says"),
    [
        ("SELECT 1; SELECT 2", (), "one statement"),
        ("SELEC 1", (), 'near "SELEC": syntax error'),
        ("", (), "is no statement"),
        ("-- nothing", (), "is no statement"),
        ("SELECT ?", (), "[Ii]ncorrect number of bindings"),
        ("SELECT ?", (object(),), "type 'object' is not supported"),
        ("SELECT ?", (1 << 70,), "too large"),
        ("SELECT '\x00'", (), "null character|unrecognized token"),
        ("SELECT '\ud800'", (), "surrogates"),
        ("SELECT zeroblob(90000000)", (), "larger than 2097152 bytes"),
        ("SELECT json('{')", (), "malformed JSON"),
        ("DELETE FROM entry", (), "only SELECT is allowed"),
    ],
)
def test_a_wrong_query_says_what_is_wrong(index, statement, params, says):
    with pytest.raises(BadQuery, match=says):
        index.query(statement, params)


def test_a_table_that_is_not_there_is_answered_with_those_that_are(index):
    with pytest.raises(
        BadQuery, match=r'no such table: model_a\.batches: there are .*"entry", "entry_shard"'
    ):
        index.query("SELECT * FROM model_a.batches")


def test_a_query_ends_at_its_deadline(index):
    forever = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"
    start = time.monotonic()

    with pytest.raises(BadQuery, match=r"more than 0\.2 s: narrow it"):
        index.query(forever, deadline_seconds=0.2)

    assert time.monotonic() - start < 2


def test_more_rows_than_the_limit_are_cut_with_a_warning(index):
    table = index.query("SELECT key FROM entry ORDER BY key", max_rows=2)

    assert table.rows == [("k0",), ("k1",)]
    assert table.warnings == ("only the first 2 rows are shown: add a LIMIT or a WHERE",)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('SELECT key FROM entry WHERE namespace = "spam"', ["spam"]),
        ('SELECT "kee", "key" FROM entry', ["kee"]),
        ('SELECT "it""s" FROM entry WHERE version = "a`b"', ['it""s', "a`b"]),
        (
            'SELECT e."key" AS "a b" FROM "entry" AS e WHERE "namespace" = \'"x"\' ORDER BY "a b"',
            [],
        ),
        ('SELECT `key` FROM [entry] -- "comment"\n/* "another" */ WHERE "bytes" >= ?', []),
        ('SELECT "key", "key" FROM (SELECT "key" FROM entry)', []),
    ],
)
def test_a_double_quoted_word_that_is_no_column_is_pointed_out(index, statement, words):
    params = (0,) if "?" in statement else ()

    warnings = index.query(statement, params).warnings

    assert [warning.split(" is no column")[0] for warning in warnings] == [f'"{w}"' for w in words]


def test_a_query_waits_for_a_commit_no_longer_than_its_deadline(index, path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        with pytest.raises(LeaseTimeout, match="try again"):
            index.query("SELECT 1 FROM entry", deadline_seconds=0.1)


def test_a_query_leaves_no_lock_behind(index, path):
    index.query("SELECT * FROM entry", max_rows=1)
    with pytest.raises(BadQuery):
        index.query("SELECT json(key) FROM entry")

    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        writer.execute("BEGIN EXCLUSIVE")


def test_a_broken_file_is_no_fault_of_the_query(index, path):
    with open(path, "r+b") as file:
        file.truncate(5000)

    with pytest.raises(EntryCorrupt):
        index.query("SELECT * FROM entry")
