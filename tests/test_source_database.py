"""Databases as sources: what is identified, when not, what is remembered, what is refused."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest
from blake3 import blake3
from databases import (
    connect,
    grow,
    identity_of,
    in_rollback_mode,
    kill,
    reader_sees,
    text_of,
    with_unseen_commits,
    writer,
)

import tensorcache
from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import database, files, identify


def test_commit_that_only_the_wal_has_counts_with_its_writer_alive_and_dead(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connect(path).close()
    before = identity_of(path).text

    process = writer(path, "INSERT INTO t(b) VALUES ('a game')")
    alive = identity_of(path).text
    assert alive == text_of(reader_sees(path))
    kill(process)

    assert identity_of(path).text == alive != before


def test_checkpoint_copy_rename_and_touch_change_nothing(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    before = identity_of(path).text

    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    assert identity_of(path).text == before
    connection.close()
    assert identity_of(path).text == before
    os.utime(path)
    copy = shutil.copyfile(path, tmp_path / "copy.sqlite")
    assert identity_of(copy).text == before
    os.rename(path, tmp_path / "renamed")
    os.symlink(tmp_path / "renamed", path)
    assert identity_of(path).text == before


def test_wal_lies_beside_the_real_path(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    os.mkdir(tmp_path / "elsewhere")
    os.symlink(path, tmp_path / "elsewhere" / "link.sqlite")

    identity = identity_of(tmp_path / "elsewhere" / "link.sqlite")

    assert identity.text == text_of(connection.serialize())
    assert identity.path == os.path.realpath(path)


def test_edit_of_the_same_size_with_its_mtime_put_back_is_seen(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = in_rollback_mode(path, "delete")
    memory = {}
    before, stat = identity_of(path, memory).text, os.stat(path)

    connection.execute("UPDATE t SET b = zeroblob(length(b)) WHERE a = 2")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert os.stat(path).st_size == stat.st_size
    assert identity_of(path, memory).text != before


def test_hot_journal_has_no_identity_until_sqlite_has_rolled_it_back(tmp_path):
    path = str(tmp_path / "league.sqlite")
    in_rollback_mode(path, "delete").close()
    before = identity_of(path).text
    kill(writer(path, "BEGIN", "UPDATE t SET b = randomblob(9000)"))
    assert os.path.getsize(f"{path}-journal") > 0

    hot, insisted = identity_of(path), identity_of(path, level="stat")

    assert hot.text is insisted.text is None
    assert hot.why.startswith(f"{os.path.realpath(path)}-journal is hot: ")
    assert hot.kind == "sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("SELECT count(*) FROM t").fetchall()
    connection.close()
    assert identity_of(path).text == before


def test_journal_that_no_one_would_play_back_does_not_count(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = in_rollback_mode(path, "persist")
    assert os.path.getsize(f"{path}-journal") > 0

    assert identity_of(path).text == text_of(connection.serialize())


def test_empty_file_is_an_empty_database(tmp_path):
    path = tmp_path / "new.sqlite"
    path.touch()

    assert identity_of(path).text == text_of(b"")


def test_empty_wal_equals_none(tmp_path):
    path = str(tmp_path / "league.sqlite")
    with_unseen_commits(path).close()
    without = identity_of(path), identity_of(path, level="stat")
    open(f"{path}-wal", "wb").close()

    assert (identity_of(path), identity_of(path, level="stat")) == without


TRY_TO_WRITE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_identifying_drops_no_lock_that_sqlite_holds_in_this_process(tmp_path, mode):
    path = str(tmp_path / "league.sqlite")
    connection = connect(path, mode)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t(b) VALUES (1)")

    for _ in range(2):
        assert identity_of(path).text
        assert identify(files(tmp_path), {}, leaf_digest=lambda _: None).text

    answer = subprocess.run(
        [sys.executable, "-c", TRY_TO_WRITE, path], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "database is locked\n"
    connection.execute("ROLLBACK")


def test_one_descriptor_is_kept_for_a_database_however_often_it_is_read(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    identity_of(path)
    before = os.listdir("/dev/fd")

    for _ in range(5):
        identity_of(path)

    assert os.listdir("/dev/fd") == before
    connection.close()


def test_descriptors_of_deleted_shms_are_closed(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connect(path, "wal").close()
    count = len(os.listdir("/dev/fd"))
    for _ in range(10):
        connection = connect(path, "wal")
        connection.execute("INSERT INTO t(b) VALUES (1)")
        assert identify(database(path, "logical"), {}, leaf_digest=lambda _: None).text
        connection.close()

    assert len(os.listdir("/dev/fd")) <= count + 2


FORKED = """
import os, signal, sys
from tensorcache.source import database, identify
def text():
    return identify(database(sys.argv[1]), {}, leaf_digest=lambda _: None).text
before = text()
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if text() == before else 1)
print(os.waitpid(child, 0)[1])
"""


def test_forked_child_can_digest_after_its_parent_did(tmp_path):
    """A shared pool of digesting threads would be gone in the child, which would wait for ever."""
    path = str(tmp_path / "league.sqlite")
    connection = connect(path)
    grow(connection, rows=20, size=500_000)
    connection.close()

    found = os.path.dirname(os.path.dirname(os.path.abspath(tensorcache.__file__)))
    answer = subprocess.run(
        [sys.executable, "-c", FORKED, path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": found},
    )

    assert answer.stdout == "0\n"


def duckdb_file(path, body):
    path.write_bytes(b"\xe2\x1dR\xc4\x1a\xec\\_DUCK" + body)
    return path


def test_duckdb_is_its_file_and_then_its_wal(tmp_path):
    path = duckdb_file(tmp_path / "league.duckdb", b"blocks" * 1000)
    alone = identity_of(path)
    wal = tmp_path / "league.duckdb.wal"
    wal.write_bytes(b"")
    empty = identity_of(path)
    wal.write_bytes(b"inserts")
    both = identity_of(path)

    content = path.read_bytes()
    assert alone.kind == "duckdb"
    assert alone.text == f"duckdb-bytes-1:blake3:{blake3(content).hexdigest()}"
    assert empty.text == alone.text
    framed = content + (7).to_bytes(8, "little") + b"inserts"
    assert both.text == f"duckdb-bytes-1:blake3:{blake3(framed).hexdigest()}"


def test_stat_level_says_what_it_saw_and_not_more(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    first, again = identity_of(path, level="stat"), identity_of(path, level="stat")
    grow(connection)

    assert first == again
    assert first.text.startswith("stat-1:blake3:")
    assert first.kind == "sqlite"
    assert identity_of(path, level="stat").text != first.text


def test_stat_level_stands_while_root_reads_a_wal(tmp_path):
    """SQLite, run by root, sets the owner of a -wal that it opens: its ctime, and nothing else."""
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    before, ctime = identity_of(path, level="stat").text, os.stat(f"{path}-wal").st_ctime_ns

    time.sleep(0.02)
    os.chown(f"{path}-wal", os.geteuid(), os.getegid())

    assert os.stat(f"{path}-wal").st_ctime_ns > ctime
    assert identity_of(path, level="stat").text == before
    connection.close()


def test_settled_database_is_remembered_and_a_young_one_is_not(tmp_path):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)
    memory = {}
    young = identity_of(path, memory)
    assert memory == {}

    time.sleep(2.1)
    settled = identity_of(path, memory)
    assert settled == young
    (name,) = memory
    assert name == os.path.realpath(path)
    assert memory[name]["identity"] == settled.text
    other = "sqlite-bytes-1:blake3:" + "0" * 64
    memory[name]["identity"] = other
    assert identity_of(path, memory).text == other
    connection.execute("INSERT INTO t(b) VALUES (1)")
    assert identity_of(path, memory).text == text_of(connection.serialize())


@pytest.mark.parametrize(
    "garbage",
    [None, 7, "x", [], {}, {"stat": 1}, {"identity": "x"}, {"stat": None, "identity": None}],
)
def test_garbled_memory_is_no_memory(tmp_path, garbage):
    path = str(tmp_path / "league.sqlite")
    connection = with_unseen_commits(path)

    identity = identity_of(path, {os.path.realpath(path): garbage})

    assert identity.text == text_of(connection.serialize())


def test_what_is_no_database_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" * 100)
    (tmp_path / "short").write_bytes(b"SQLite format 3\x00")
    os.mkfifo(tmp_path / "pipe")

    for name, words in {
        "a.csv": "neither SQLite nor DuckDB: use files(path)",
        "short": "neither SQLite nor DuckDB",
        "pipe": "is a device, pipe or socket",
        ".": "is a directory, not a file",
    }.items():
        with pytest.raises(UnkeyableValue) as caught:
            identity_of(tmp_path / name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_database_is_named_as_it_was_written(tmp_path):
    with pytest.raises(SourceMissing, match=r"database 'no/such\.sqlite' is not there: check"):
        identity_of("no/such.sqlite")
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        identity_of(tmp_path / "file" / "below.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_database_is_not_identified_now(tmp_path):
    path = tmp_path / "league.sqlite"
    path.write_bytes(b"SQLite format 3\x00" * 100)
    path.chmod(0)

    identity = identity_of(path)

    assert identity.text is None
    assert identity.why == f"{path} cannot be read: Permission denied"


@pytest.mark.parametrize(
    "path",
    [
        " postgresql://me:hunter2@h/db",
        "postgresql://me:hunter2@h/db\n",
        "'postgresql://me:hunter2@h/db'",
        "jdbc:postgresql://h/db?user=me&password=hunter2",
        "postgresql://me:hunter2@h/db\0",
        ["postgresql://me:hunter2@h/db"],
        "host=h user=me password=hunter2",
        "host=h PASSWORD = 'hunter2 x'",
        "Server=h;Uid=me;Pwd=hunter2;",
    ],
)
def test_what_only_looks_like_a_url_is_refused_without_its_password(path):
    said = []
    for describe in (database, files):
        try:
            source = describe(path)
            said.append(repr(source) if describe is database else "")
            identify(source, {}, leaf_digest=lambda _: None)
        except (UnkeyableValue, SourceMissing) as error:
            said.append(str(error))

    assert len(said) >= 2

    assert [text for text in said if "hunter2" in text or "me:" in text or "\n" in text] == []


def test_half_a_character_is_refused_in_one_line():
    for half in ("\ud800", "\udcff"):
        for chosen in ({"tables": [half]}, {"queries": {half: "SELECT 1"}}):
            with pytest.raises(UnkeyableValue, match="names no"):
                database("league.sqlite", **chosen)
    with pytest.raises(UnkeyableValue, match="names no file"):
        database("\ud800")


@pytest.mark.parametrize("fickle", ["now()", "CURRENT_DATE", "random ()", "date('now')"])
def test_a_query_that_is_another_each_time_is_refused(fickle):
    with pytest.raises(UnkeyableValue, match="which is another each time: write a value"):
        database("league.sqlite", queries={"q": f"SELECT a FROM t WHERE day < {fickle}"})
    columns = 'SELECT t.current_date, "random", know(x), "now" FROM t'
    assert database("league.sqlite", queries={"q": columns}).queries
