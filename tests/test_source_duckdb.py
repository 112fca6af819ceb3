"""DuckDB files, read through DuckDB for their logical identity."""

import datetime as dt
import shutil
import subprocess
import sys

import pytest

from tensorcache import database
from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import identify

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")

TYPES = (
    "a INTEGER PRIMARY KEY, b DECIMAL(10,2), c TIMESTAMPTZ, d UUID, e INT[], f MAP(INT, VARCHAR), "
    "g STRUCT(x INT), h HUGEINT, i INTERVAL, j TIME, k BLOB, l DOUBLE, m BOOLEAN, n TIMESTAMP_NS, "
    "o DATE, p TIMESTAMP"
)
ROW = (
    "1.50, '2024-01-01 10:00:00+02', '856fe7e0-4881-4947-973a-dd7d8d87d563', [1, NULL], "
    "MAP {1: 'a'}, {'x': 1}, 170141183460469231731687303715884105727, INTERVAL 1 MONTH, '10:00', "
    "'ab'::BLOB, 0.1, true, '2024-01-01 00:00:00.000000001', '2024-01-01', '2024-01-01 10:00:00'"
)


def identity(path, **chosen):
    return identify(database(path, "logical", **chosen), {}, leaf_digest=lambda _: None)


def change(path, *statements):
    with duckdb.connect(path) as db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "league.duckdb")
    change(
        path,
        f"CREATE TABLE game({TYPES})",
        f"INSERT INTO game VALUES (2, {ROW}), (1, {ROW})",
        "CREATE TABLE note(a INT, b VARCHAR)",
        "INSERT INTO note SELECT i % 7, 'x' || i FROM range(1000) t(i)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.game(a INT)",
        "CREATE VIEW best AS SELECT max(a) AS a FROM note",
    )
    return path


def test_rows_are_what_counts_whatever_file_they_lie_in(path, tmp_path):
    before = identity(path)
    shutil.copy(path, tmp_path / "copy.duckdb")
    change(
        path,
        "CREATE TABLE tmp AS SELECT * FROM note ORDER BY b",
        "DELETE FROM note",
        "INSERT INTO note SELECT * FROM tmp",
        "DROP TABLE tmp",
        "CHECKPOINT",
    )

    assert before.text.startswith("duckdb-logical-1:blake3:")
    assert before.kind == "duckdb"
    assert {name: part.size for name, part in before.parts.items()} == {
        "game": 2,
        "note": 1000,
        "other.game": 0,
    }
    assert identity(path).text == before.text
    assert identity(tmp_path / "copy.duckdb").text == before.text


@pytest.mark.parametrize(
    "change_of",
    [
        "b = 1.51", "c = c + INTERVAL 1 SECOND", "e = [1, 0]", "f = MAP {1: 'b'}", "g = {'x': 2}",
        "h = h - 1", "i = INTERVAL 31 DAYS", "n = '2024-01-01 00:00:00.000000002'", "m = NULL",
        "k = 'ac'::BLOB", "o = '2024-01-02'",
    ],
)  # fmt: skip
def test_every_value_counts_exactly(path, change_of):
    before = identity(path, tables=["game"]).text
    change(path, f"UPDATE game SET {change_of} WHERE a = 1")

    assert identity(path, tables=["game"]).text != before


def test_a_month_is_not_thirty_days(path):
    """DuckDB finds them equal, and Python has the same timedelta for both."""
    texts = set()
    for span in ("1 MONTH", "30 DAYS"):
        change(path, f"CREATE OR REPLACE TABLE span AS SELECT INTERVAL {span} AS i")
        texts.add(identity(path, tables=["span"]).text)

    assert len(texts) == 2


def test_views_queries_and_other_schemas_may_be_named(path):
    assert identity(path, tables=["best", "other.game"]).parts["best"].size == 1
    up, down = "SELECT a, b FROM note ORDER BY b", "SELECT a, b FROM note ORDER BY b DESC"
    texts = {identity(path, queries={"q": query}).text for query in (up, down)}
    assert len(texts) == 2
    with pytest.raises(UnkeyableValue, match="column 'i' is a INTERVAL, which Python has"):
        identity(path, queries={"q": "SELECT i FROM game"})
    with pytest.raises(UnkeyableValue, match="nothing_there"):
        identity(path, queries={"q": "SELECT nothing_there FROM game"})
    with pytest.raises(SourceMissing, match=r"no table 'gone': it has game, note, other\.game"):
        identity(path, tables=["gone"])


def test_inserts_in_the_wal_count(path):
    before = identity(path, tables=["note"]).text
    script = (
        "import duckdb, os, sys\n"
        "db = duckdb.connect(sys.argv[1])\n"
        "db.execute(\"INSERT INTO note VALUES (1, 'in the wal')\")\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True)

    assert identity(path, tables=["note"]).text != before


def test_what_another_has_open_for_writing_is_not_identified_now(path):
    with duckdb.connect(path):
        found = identity(path)

    assert found.text is None
    assert found.kind == "duckdb"
    assert found.why.startswith(f"{path} cannot be read: ")
    assert "\n" not in found.why
    assert identity(path).text


def test_without_its_client_the_remedy_is_said(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(UnkeyableValue, match="pip install duckdb, or use level='bytes'"):
        identity(path)


def test_an_instant_is_the_same_in_every_zone(path):
    noon = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    zones = [noon.astimezone(dt.timezone(dt.timedelta(hours=h))) for h in (0, 5)]
    texts = set()
    for zone in zones:
        with duckdb.connect(path) as db:
            db.execute("UPDATE game SET c = ?", [zone])
        texts.add(identity(path, tables=["game"]).text)

    assert len(texts) == 1


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("DATE", "DATE 'infinity'", "DATE '9999-12-31'"),
        ("DATE[]", "[DATE 'infinity']", "[DATE '9999-12-31']"),
        ("TIMESTAMP", "TIMESTAMP 'infinity'", "TIMESTAMP '9999-12-31 23:59:59.999999'"),
        ("TIMESTAMPTZ", "TIMESTAMPTZ '-infinity'", "TIMESTAMPTZ '0001-01-01 00:00:00+00'"),
        ("STRUCT(a VARCHAR[], d DATE)", "{'a': ['x, y']}", "{'a': ['x', 'y']}"),
    ],
)  # fmt: skip
def test_values_that_python_finds_equal_differ(path, kind, one, two):
    texts = set()
    for value in (one, two):
        change(path, f"CREATE OR REPLACE TABLE odd(x {kind})", f"INSERT INTO odd VALUES ({value})")
        texts.add(identity(path, tables=["odd"]).text)
        if one.startswith(kind):
            with pytest.raises(UnkeyableValue, match="for infinity too: cast it to text"):
                identity(path, queries={"q": f"SELECT {one} AS x"})

    assert len(texts) == 2


@pytest.mark.parametrize("kind", ["UNION(a INTEGER, b INTEGER)", "VARIANT", "VARIANT[]"])
def test_what_has_no_exact_text_is_refused(path, kind):
    try:
        change(path, f"CREATE TABLE odd(x {kind})")
    except duckdb.Error:
        pytest.skip(f"this DuckDB has no {kind}")

    for chosen in ({"tables": ["odd"]}, {"queries": {"q": "SELECT x FROM odd"}}, {}):
        with pytest.raises(UnkeyableValue, match=r"column 'x' is a .* union_tag\(\)"):
            identity(path, **chosen)


def test_a_dot_in_a_name_is_no_schema(path):
    change(path, 'CREATE TABLE "other.game"(b INT)', "CREATE SCHEMA league")
    change(path, "CREATE TABLE league.league.x(b INT)", "INSERT INTO other.game VALUES (1)")
    before = identity(path)
    change(path, 'INSERT INTO main."other.game" VALUES (2)')

    names = {"game", "note", "other.game", '"other.game"', "league.x"}
    assert set(before.parts) == names
    assert identity(path).text != before.text
    assert identity(path, tables=['"other.game"']).parts['"other.game"'].size == 1


def test_a_view_or_query_that_reads_outside_the_database_is_refused(path, tmp_path):
    outside = str(tmp_path / "outside.csv")
    (tmp_path / "outside.csv").write_text("a\n1\n")
    change(path, f"CREATE VIEW far AS SELECT * FROM read_csv('{outside}')")

    for chosen in ({"tables": ["far"]}, {"queries": {"q": f"SELECT * FROM '{outside}'"}}):
        with pytest.raises(UnkeyableValue, match="reads outside the database: name its files as"):
            identity(path, **chosen)
    assert identity(path, tables=["best"]).text
    assert identity(path).text


def test_an_open_connection_of_this_process_keeps_its_rights(path, tmp_path):
    (tmp_path / "outside.csv").write_text("a\n1\n")
    with duckdb.connect(path, read_only=True) as db:
        assert identity(path, tables=["note"]).text
        found = identity(path, queries={"q": "SELECT 1"})
        rows = db.execute(f"SELECT * FROM '{tmp_path / 'outside.csv'}'").fetchall()

    assert found.text is None
    assert "different configuration" in found.why
    assert rows == [(1,)]
    assert identity(path, queries={"q": "SELECT 1"}).text
