"""Questions: types of answers, views that follow the inputs, indexes over them, plans, time."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import time

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from index_rows import NOON, entry_rows, index, path

from tensorcache import schema
from tensorcache.errors import BadQuery
from tensorcache.index import Listing, view
from tensorcache.index import listing as listing_of_index
from tensorcache.index.file import PATIENCE_SECONDS
from tensorcache.index.query import DEADLINE_SECONDS, MAX_VALUE_BYTES

__all__ = ["index", "path"]
BATCHES = "my.batches"
UTC = "datetime64[us, UTC]"


def publish(cache, **inputs):
    made = cache.get_or_build(inputs, lambda: {"x": list(inputs)}, version="1", namespace=BATCHES)
    return made.key.digest


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


@pytest.fixture
def entries(cache):
    for n in range(3):
        publish(cache, n=n, on=n > 0, lr=n / 2, name=f"n{n}", some=n or None, odd=[n, "x"][n % 2])
    return cache


def test_each_column_of_a_frame_has_its_type(entries):
    frame = entries.entries("n >= :least", {"least": 0}, namespace=BATCHES)

    text = str(pd.Series(["text"]).dtype)
    assert dtypes(frame) == {
        **dict.fromkeys(("key", "namespace", "version", "pinned", "name"), text),
        **dict.fromkeys(("bytes", "uses", "n"), "int64"),
        **dict.fromkeys(("created_at", "last_used_at"), UTC),
        **dict.fromkeys(("build_seconds", "lr"), "float64"),
        "on": "bool",
        "some": "Int64",
        "odd": "object",
    }
    assert frame.on.tolist() == [True, True, False]
    assert frame.odd.tolist() == [2, "x", 0]
    assert dtypes(entries.entries("n = 0", namespace=BATCHES))["some"] == "Int64"


def test_an_empty_answer_keeps_the_types(entries):
    whole = dtypes(entries.entries(namespace=BATCHES))

    none = entries.entries("n > ?", (99,), namespace=BATCHES)

    assert len(none) == 0
    assert dtypes(none) == whole | {"some": "int64"}
    assert dtypes(entries.sql("SELECT at, seconds, bytes FROM event WHERE 0")) == {
        "at": UTC,
        "seconds": "float64",
        "bytes": "int64",
    }
    assert entries.sql("SELECT 1 AS one WHERE 0").columns.tolist() == ["one"]


def test_sql_knows_the_types_of_what_it_reads_and_of_sums(entries):
    asked = f"""SELECT "on", max(created_at) AS newest, count(*) AS entries, sum(lr) AS lr_sum,
        max(some) AS some FROM "{BATCHES}" GROUP BY "on" ORDER BY "on" """

    frame = entries.sql(asked)

    assert dtypes(frame) == {
        "on": "bool",
        "newest": UTC,
        "entries": "int64",
        "lr_sum": "float64",
        "some": "Int64",
    }
    assert frame.entries.tolist() == [1, 2]
    assert frame.newest.max() == entries.entries().created_at.max()


def test_entries_of_one_namespace_have_its_inputs_and_no_others(entries):
    with pytest.raises(BadQuery, match=r"no such column: n: there are key, .*; inputs need a"):
        entries.entries("n = 1")
    with pytest.raises(BadQuery, match=r"no such column: m: there are key, .*, lr, n, name"):
        entries.entries("m = 1", namespace=BATCHES)
    assert len(entries.entries("n = 1 -- one", namespace=BATCHES)) == 1
    assert len(entries.entries("uses = 0 AND version = 'hand:1'", namespace=BATCHES)) == 3
    assert len(entries.entries(namespace="nobody.s")) == 0


def test_an_input_named_like_a_column_of_the_table_is_the_input(cache):
    publish(cache, uses="twice", Version=7, key="k", rowid=5)

    frame = cache.entries("uses = 'twice' AND version = 7", namespace=BATCHES)

    assert frame.loc[0, ["uses", "Version", "input_key", "rowid"]].tolist() == ["twice", 7, "k", 5]
    assert frame.key.str.len().tolist() == [64]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None], "CHAR"),
        ([True, None], "BOOLEAN"),
        ([True, 3], "BIGINT"),
        ([3, 0.5], "DOUBLE"),
        (["x", [10, 30], None], "VARCHAR"),
        (["x", "x" * 201], "TEXT"),
        (["x", 3], ""),
        ([1 << 63], ""),
    ],
)
def test_a_column_has_the_narrowest_type_of_all_its_values(index, values, kind):
    for place, value in enumerate(values):  # one after the other, as inputs come
        index.add([entry_rows({"x": value, "place": place})])

    asked = index.query('SELECT x, place FROM "model_a.batches" ORDER BY place')

    assert asked.kinds == (kind, "BIGINT")
    assert len(asked.rows) == len(values)


def test_a_view_narrows_its_types_again(index):
    text = entry_rows({"x": "text"}, at=NOON - 9)
    index.add([entry_rows({"x": 1}), text])
    assert index.query('SELECT x FROM "model_a.batches"').kinds == ("",)

    index.remove([text.manifest.key])

    assert index.query('SELECT x FROM "model_a.batches"').kinds == ("BIGINT",)


def test_whoever_removes_reads_no_more_than_the_newest_entries_for_the_view(index, monkeypatch):
    monkeypatch.setattr(view, "NARROWED", 2)
    rows = [entry_rows({"a": n} | ({"old": n} if n == 0 else {}), at=NOON + n) for n in range(5)]
    index.add(rows)

    index.remove([rows[0].manifest.key])

    assert index.query('SELECT old FROM "model_a.batches"').rows == [(None,)] * 4
    assert index.check() == []
    index.remove([row.manifest.key for row in rows[2:]])
    assert "old" not in index.query('SELECT * FROM "model_a.batches"').columns


def test_a_rare_input_costs_no_removal_more_than_a_hundred_entries(index, monkeypatch):
    rows = [entry_rows({"a": n} | ({"old": n} if n < 2 else {}), at=NOON + n) for n in range(130)]
    index.add(rows)
    read, leaves = set(), view._leaves
    monkeypatch.setattr(view, "_leaves", lambda inputs: read.add(inputs) or leaves(inputs))

    index.remove([rows[0].manifest.key])

    assert len(read) <= 101


@pytest.fixture
def long(index, monkeypatch):
    """A namespace that counts as long, and one that does not."""
    monkeypatch.setattr(view, "MANY_ENTRIES", 10)
    monkeypatch.setattr(view, "SELDOM", 1)
    index.add([entry_rows({"a": "short"}, namespace="other")])
    for n in range(12):
        index.add([entry_rows({"n": n % 3, "list": [10, n], "t": "x" * 300 * n, "in": {"n": n}})])
    return index


def plan(path, query, parameters=()):
    with contextlib.closing(sqlite3.connect(path)) as plain:
        return [step[3] for step in plain.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]


def indexes(index):
    names = "SELECT name FROM sqlite_master WHERE substr(name, 1, 7) = '_input ' ORDER BY name"
    return [name for (name,) in index.query(names).rows]


def test_a_long_namespace_has_indexes_over_its_short_top_level_inputs(long, path):
    assert indexes(long) == ["_input model_a.batches list", "_input model_a.batches n"]
    newest = " ORDER BY created_at DESC LIMIT 20"
    for condition, name in (("n = 2", "n"), ("list = '[10,5]'", "list"), ("n IN (1, 2)", "n")):
        for order in {"", newest if "=" in condition else ""}:
            found = plan(path, f'SELECT * FROM "model_a.batches" WHERE {condition}{order}')
            assert f"USING INDEX _input model_a.batches {name} (namespace=? AND " in found[0]
    assert long.query('SELECT count(*) FROM "model_a.batches" WHERE n = 2').rows == [(4,)]


@pytest.mark.parametrize(
    ("condition", "namespace", "sort", "step"),
    [
        ("n = 2", "model_a.batches", (), "_input model_a.batches n (namespace=? AND <expr>=?)"),
        ("", "model_a.batches", (), "_entry_namespace (namespace=?)"),
        ("", None, (), "_entry_created"),
        ("", None, (("created_at", False),), "_entry_created"),
    ],
)
def test_the_newest_are_listed_without_sorting(long, path, condition, namespace, sort, step):
    listing = Listing(sort=sort, limit=3)
    asked, _ = listing_of_index.asked(long, condition, namespace, listing)

    (found,) = plan(path, asked)

    assert found.endswith(f"USING INDEX {step}")
    assert len(long.entries(condition, (), namespace, listing).rows) == 3


def test_indexes_follow_the_view_and_go_with_it(long, path):
    long.add([entry_rows({"n": 0.5, "list": "x"})])

    assert indexes(long) == ["_input model_a.batches list", "_input model_a.batches n"]
    found = plan(path, 'SELECT * FROM "model_a.batches" WHERE n = 0.5')
    assert "USING INDEX _input model_a.batches n" in found[0]
    assert long.check() == []
    long.remove([row[0] for row in long.query("SELECT key FROM entry WHERE key > ''").rows])
    assert indexes(long) == []


def test_indexes_are_at_most_twelve_and_their_names_stay_apart():
    leaves = [schema.Leaf(("x" * 50 + f"{n:02}",), "", "BIGINT") for n in range(20)]

    made = schema.input_indexes("a.b" * 10, leaves)

    assert len(made) == schema.MAX_INPUT_INDEXES == 12
    assert all(len(name) <= 63 for name in made)


def test_publications_look_for_lacking_indexes_seldom_and_for_a_moment(index, monkeypatch):
    monkeypatch.setattr(view, "MANY_ENTRIES", 2)
    monkeypatch.setattr(view, "SELDOM", 4)
    made = []
    for n in range(6):
        if n == 4:
            with index.writing() as connection:
                connection.exec_driver_sql('DROP INDEX "_input model_a.batches m"')
                view.index_inputs(connection, "model_a.batches", seconds=0.0)
        index.add([entry_rows({"n": n, "m": n})])
        made.append(len(indexes(index)))

    assert made == [0, 0, 0, 2, 1, 1]


def test_the_schema_is_trusted_unless_somebody_planted_a_trigger(long, path):
    trusts = "PRAGMA trusted_schema"
    with contextlib.closing(long.writer()) as connection:
        assert connection.execute(trusts).fetchone() == (1,)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER bomb AFTER INSERT ON entry BEGIN DELETE FROM entry; END")

    with contextlib.closing(long.writer()) as connection:
        assert connection.execute(trusts).fetchone() == (0,)

    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("DROP TRIGGER bomb")


def test_an_index_that_cannot_be_made_is_a_warning(index, path, monkeypatch, caplog):
    monkeypatch.setattr(view, "MANY_ENTRIES", 2)
    monkeypatch.setattr(view, "SELDOM", 1)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute('CREATE TABLE "_input model_a.batches n" (x)')
    for n in range(3):
        index.add([entry_rows({"n": n})])

    assert "an index over inputs of 'model_a.batches' cannot be made" in caplog.text
    assert len(index.entries().rows) == 3
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute('DROP TABLE "_input model_a.batches n"')


def statements_of(do):
    seen = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        do()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return seen


def test_a_hit_asks_nothing_and_a_publication_scans_no_table(entries):
    root = entries.root
    there = entries.key({"n": 9}, version="1", namespace=BATCHES)

    assert statements_of(lambda: publish(entries, n=9, on=True, lr=0.5)) != []
    hits = [lambda: entries.get("f" * 64), lambda: publish(entries, n=9, on=True, lr=0.5)]
    assert [statements_of(hit) for hit in hits] == [[], []]
    new = statements_of(lambda: publish(entries, n=10))
    again = statements_of(lambda: entries.put(there, {"x": [2]}))

    scans = [
        (step, statement)
        for statement, parameters in new + again
        if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "WITH")
        for step in plan(f"{root}/index.sqlite", statement, parameters)
        if step.startswith("SCAN ") and step.split()[1] in ("entry", "entry_shard", "event")
    ]
    assert len(new + again) > 30
    assert scans == []


LONG = MAX_VALUE_BYTES // 2 - 1
ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"


@pytest.mark.parametrize(
    "asked",
    [
        f"SELECT instr(hex(zeroblob({LONG})), substr(hex(zeroblob({LONG})), 1, {LONG}) || '1')",
        f"SELECT replace(hex(zeroblob({LONG})), hex(zeroblob({LONG // 2})) || '1', 'x')",
        f"SELECT length(trim(hex(zeroblob({LONG})), '0'))",
        f"SELECT hex(zeroblob({LONG})) LIKE '%0%0%0%0%0%0%0%0%1'",
        f"SELECT hex(zeroblob({LONG})) GLOB '*0*0*0*0*0*0*0*0*1'",
        f"SELECT hex(zeroblob({LONG})) LIKE hex(zeroblob(1000))",
        "SELECT unhex('00', '11')",
        f"{ENDLESS} SELECT sum(length(replace(hex(zeroblob({LONG // 8})), '0', 'x'))) FROM r",
    ],
)
def test_no_single_function_outlasts_the_deadline(index, asked):
    began = time.process_time()  # others may be at work here

    with contextlib.suppress(BadQuery):
        index.query(asked, deadline_seconds=1.0)

    assert time.process_time() - began < DEADLINE_SECONDS < PATIENCE_SECONDS


@pytest.mark.parametrize(
    "asked",
    [
        "instr('banana', 'nan')", "instr('banana', '')", "instr(x'0102', x'02')", "instr(12.5, 5)",
        "instr(NULL, 'x')", "replace('banana', 'an', 'AN')", "replace('banana', '', 'x')",
        "replace(NULL, 'a', 'b')", "replace(1221, 2, 3)", "trim('  x ')", "ltrim('xyx', 'x')",
        "rtrim('xyxé', 'éx')", "trim('xx', 'x')", "trim(NULL)", "trim(12, 2)", "trim('x', '')",
    ],
)  # fmt: skip
def test_the_functions_that_are_replaced_say_what_those_of_sqlite_say(index, asked):
    with contextlib.closing(sqlite3.connect(":memory:")) as plain:
        wanted = plain.execute(f"SELECT {asked}").fetchall()

    assert index.query(f"SELECT {asked}").rows == wanted


def test_plain_sqlite3_and_pandas_read_the_same_view(entries):
    with contextlib.closing(sqlite3.connect(f"{entries.root}/index.sqlite")) as plain:
        frame = pd.read_sql(f'SELECT * FROM "{BATCHES}" WHERE n > 0 ORDER BY n', plain)

    assert frame.n.tolist() == [1, 2]
    assert frame["on"].tolist() == [1, 1]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 on the PATH")
def test_the_sqlite3_of_the_shell_reads_the_same_view(entries):
    asked = f'SELECT n, "on", name FROM "{BATCHES}" ORDER BY n'
    told = subprocess.run(
        ["sqlite3", "-readonly", f"{entries.root}/index.sqlite", asked],
        check=True,
        capture_output=True,
        text=True,
    )

    assert told.stdout.splitlines() == ["0|0|n0", "1|1|n1", "2|1|n2"]


def test_duckdb_understands_the_text_of_a_view(entries):
    """It runs that text by itself, where it attaches the file."""
    with contextlib.closing(sqlite3.connect(f"{entries.root}/index.sqlite")) as plain:
        (text,) = plain.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (BATCHES,)
        ).fetchone()
        entry = pd.read_sql("SELECT * FROM entry", plain)

    with duckdb.connect() as duck:
        duck.register("entry_frame", entry)
        duck.execute("CREATE TABLE entry AS SELECT * FROM entry_frame")
        duck.execute(text)
        rows = duck.sql(f'SELECT n, "on", lr, bytes > 0 FROM "{BATCHES}" ORDER BY n').fetchall()

    assert rows == [(n, n > 0, n / 2, True) for n in range(3)]


def test_duckdb_attaches_the_index(entries):
    with duckdb.connect() as duck:
        try:
            duck.execute(f"ATTACH '{entries.root}/index.sqlite' AS cache (TYPE sqlite, READ_ONLY)")
        except duckdb.Error as error:
            pytest.skip(f"duckdb has no sqlite extension here: {str(error).splitlines()[0]:.60}")
        rows = duck.sql(f'SELECT n, lr FROM cache."{BATCHES}" WHERE n > 0 ORDER BY n').fetchall()

    assert rows == [(1, 0.5), (2, 1.0)]
