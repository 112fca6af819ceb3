"""What an identity is made of: the tables of a SQLite file as its pages pass, and files by name."""

import os
import random
import sqlite3
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databases import connect, grow, identity_of

from tensorcache.errors import SourceMissing
from tensorcache.source import database, files, identify
from tensorcache.source.memory import MAX_PARTS


def league(path, page_size=4096, auto_vacuum=0, encoding="UTF-8", journal_mode="wal"):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA encoding = '{encoding}'")
    db.close()
    db = connect(path, journal_mode, page_size, auto_vacuum)
    db.execute("BEGIN")
    db.execute("CREATE TABLE short(a, b)")
    db.execute("CREATE TABLE long(a, b)")
    db.execute("CREATE TABLE keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    db.execute("CREATE TABLE 'leer, ü'(a)")
    db.execute("CREATE INDEX i ON short(b)")
    rows = [(i, "x" * (i % 90)) for i in range(6000)]
    db.executemany("INSERT INTO short VALUES (?, ?)", rows)
    db.executemany("INSERT INTO keyed VALUES (?, ?)", [(f"k{i:05}", b) for i, b in rows[:3000]])
    longs = [(i, bytes(i * 211)) for i in range(200)]
    db.executemany("INSERT INTO long VALUES (?, ?)", longs)
    db.execute("DELETE FROM long WHERE a % 7 = 1")
    db.execute("COMMIT")
    return db


ROWS = {"t": 0, "short": 6000, "long": 171, "keyed": 3000, "leer, ü": 0, "sqlite_schema": 6}
CHANGES = {
    "t": "INSERT INTO t(b) VALUES (1)",
    "short": "UPDATE short SET b = 'changed' WHERE a = 77",
    "long": "UPDATE long SET b = zeroblob(42199) || x'01' WHERE a = 200",
    "keyed": "DELETE FROM keyed WHERE k = 'k00500'",
    "leer, ü": "INSERT INTO 'leer, ü' VALUES (1)",
}


def changed(before, after):
    return [name for name in after if before.get(name) != after[name]]


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("more", [{}, {"auto_vacuum": 1}, {"encoding": "UTF-16le"}])
def test_parts_are_the_tables_with_their_rows(tmp_path, page_size, more):
    db = league(str(tmp_path / "league.sqlite"), page_size, **more)

    parts = identity_of(tmp_path / "league.sqlite").parts

    assert {name: part.size for name, part in parts.items()} == ROWS
    db.close()


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_a_change_of_one_table_marks_that_table(tmp_path, journal_mode):
    path = str(tmp_path / "league.sqlite")
    db = league(path, journal_mode=journal_mode)
    db.execute("INSERT INTO long VALUES (200, zeroblob(42200))")
    before = identity_of(path).parts
    for name, statement in CHANGES.items():
        db.execute(statement)
        after = identity_of(path).parts
        assert changed(before, after) == [name]
        before = after
    db.execute("CREATE TABLE more(a)")
    assert changed(before, identity_of(path).parts) == ["sqlite_schema", "more"]
    db.close()


def test_a_long_value_counts_to_its_last_page(tmp_path):
    """It is written over in place: nothing changes but one page that no b-tree has."""
    path = str(tmp_path / "league.sqlite")
    db = league(path)
    before = identity_of(path).parts
    with db.blobopen(
        "long",
        "b",
        db.execute("SELECT rowid FROM long WHERE a = 199").fetchone()[0],
    ) as blob:
        blob.seek(-1, os.SEEK_END)
        blob.write(b"!")

    assert changed(before, identity_of(path).parts) == ["long"]
    db.close()


def test_damaged_pages_make_no_parts_and_no_other_identity(tmp_path):
    """Whatever is odd: parts only explain."""
    path = tmp_path / "league.sqlite"
    db = league(str(path), journal_mode="delete")
    db.close()
    whole = path.read_bytes()
    rng = random.Random(7)
    without = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(40):
            page = rng.randrange(len(data) // 4096) * 4096
            data[page + rng.randrange(100 if not page else 0, 140)] = rng.randrange(256)
        path.write_bytes(data)

        found = identity_of(path)

        assert found.text.startswith("sqlite-bytes-1:blake3:")
        without += found.parts is None
    assert without


def test_parts_are_remembered_with_their_identity(tmp_path):
    path = str(tmp_path / "league.sqlite")
    league(path).close()
    time.sleep(2.1)
    memory = {}
    first = identity_of(path, memory)
    (known,) = memory.values()

    assert identity_of(path, memory) == first
    assert list(known["parts"]) == list(ROWS) or set(known["parts"]) == set(ROWS)
    for garbage in ([], {"t": 1}, {"t": [1]}, {"t": ["1", "2"]}, {"t": [1, 2]}, 7, None):
        known["parts"] = garbage
        assert identity_of(path, memory) == first._replace(parts=None)


@pytest.mark.parametrize("level", ["bytes", "logical"])
def test_many_tables_are_none(tmp_path, level):
    path = str(tmp_path / "league.sqlite")
    source = database(path, level)
    db = connect(path)
    db.execute("BEGIN")
    for n in range(MAX_PARTS + (level == "logical")):  # bytes have sqlite_schema too
        db.execute(f"CREATE TABLE t{n}(a)")
    db.execute("COMMIT")

    found = identify(source, {}, leaf_digest=lambda _: None)
    assert found.text
    assert found.parts is None
    db.execute("DROP TABLE t0")
    db.execute("DROP TABLE t1")
    assert len(identify(source, {}, leaf_digest=lambda _: None).parts) == MAX_PARTS
    db.close()


# --- files ---


def files_of(*globs, memory=None):
    memory = {} if memory is None else memory
    return identify(files(*globs), memory, leaf_digest=lambda _: None)


@pytest.fixture
def games(tmp_path):
    folder = tmp_path / "games"
    for year in (2020, 2021, 2022):
        write(folder, year, range(year, year + 500))
    return folder


def write(folder, year, values):
    (folder / f"season={year}").mkdir(parents=True, exist_ok=True)
    table = pa.table({"points": list(values)})
    pq.write_table(table, folder / f"season={year}" / "part-0.parquet", compression="none")


def test_parts_of_files_are_their_names_bytes_and_digests(games):
    parts = files_of(games).parts

    assert list(parts) == [f"season={year}/part-0.parquet" for year in (2020, 2021, 2022)]
    first = games / "season=2020" / "part-0.parquet"
    assert parts["season=2020/part-0.parquet"].size == first.stat().st_size
    assert files_of(games / "**" / "*.parquet").parts == parts


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda games: write(games, 2023, [1]), {"season=2023/part-0.parquet"}),
        (lambda games: write(games, 2021, range(500)), {"season=2021/part-0.parquet"}),
        (lambda games: (games / "season=2021/part-0.parquet").unlink(), set()),
        (
            lambda games: (games / "season=2021/part-0.parquet").rename(games / "season=2021/p1"),
            {"season=2021/p1"},
        ),
    ],
    ids=["added", "rewritten", "removed", "renamed"],
)
def test_a_parquet_directory_changes_with_each_of_its_parts(games, change, names):
    before = files_of(games)
    change(games)
    after = files_of(games)

    assert after.text != before.text
    assert set(changed(before.parts, after.parts)) == names


def test_a_part_rewritten_in_place_counts_whatever_its_size_and_mtime(games):
    part = games / "season=2021" / "part-0.parquet"
    time.sleep(2.1)
    memory = {}
    before, stat = files_of(games, memory=memory), part.stat()
    assert len(memory) == 3
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (part.stat().st_size, part.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    after = files_of(games, memory=memory)

    assert changed(before.parts, after.parts) == ["season=2021/part-0.parquet"]
    assert after.text != before.text


def test_a_directory_is_all_of_its_files_and_a_pattern_those_that_are_meant(games):
    """Nobody can tell an editor's copy from data by its name; a pattern can."""
    parquet = games / "**" / "*.parquet"
    whole, meant = files_of(games).text, files_of(parquet).text
    for name in (".part-0.parquet.crc", "_SUCCESS", "part-0.parquet~", ".part-0.parquet.swp"):
        (games / "season=2020" / name).write_text("")

    assert files_of(games).text != whole
    assert files_of(parquet).text == meant
    (games / "season=2020" / ".hidden.parquet").write_text("")
    assert files_of(parquet).text == meant


def test_many_files_have_no_parts(tmp_path):
    for n in range(MAX_PARTS):
        (tmp_path / f"{n}").write_text("")
    assert len(files_of(tmp_path).parts) == MAX_PARTS
    (tmp_path / "more").write_text("")

    assert files_of(tmp_path).parts is None
    with pytest.raises(SourceMissing):
        files_of(tmp_path / "none*")


def test_grown_database_has_its_rows(tmp_path):
    path = str(tmp_path / "league.sqlite")
    db = connect(path)
    for _ in range(6):
        grow(db, rows=30, size=9000)

    assert identity_of(path).parts["t"].size == 180
    db.close()
