"""The file of the index: processes, rights, damage; what goes wrong with it has a name."""

import contextlib
import fcntl
import multiprocessing
import os
import sqlite3
import subprocess
import tempfile
import threading

import pytest
from index_rows import A, B, C, count, entry_rows, index, path

from tensorcache import schema
from tensorcache.errors import (
    CacheFull,
    CacheTooNew,
    EntryCorrupt,
    LeaseTimeout,
    ReadOnlyCache,
    TensorCacheError,
)
from tensorcache.index import Index, Use
from tensorcache.manifest import Provenance

__all__ = ["index", "path"]


def test_no_connection_outlives_a_call(index):
    """So that a forked child inherits none."""
    index.add([entry_rows({"n": 1}, A)])
    index.entries()

    opened = [
        os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_link(fd)
    ]
    assert not [name for name in opened if "index.sqlite" in name]


def _is_link(fd):
    return os.path.islink(f"/proc/self/fd/{fd}")


def test_a_forked_child_reads_and_writes(index):
    index.add([entry_rows({"n": 1}, A)])
    fork = multiprocessing.get_context("fork")

    children = [fork.Process(target=index.add, args=([entry_rows({"n": n}, B)],)) for n in (2, 3)]
    for child in children:
        child.start()
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [0, 0]
    index.add([entry_rows({"n": 4}, C)])
    assert count(index, "entry") == 4


def _prepare_under_lock(path, barrier):
    barrier.wait()
    with open(os.path.dirname(path) + "/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Index(path).prepare()
        Index(path).add([entry_rows({"pid": os.getpid()}, A)])


def test_eight_processes_make_a_fresh_index_at_once(path):
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(8)
    processes = [fork.Process(target=_prepare_under_lock, args=(path, barrier)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 8
    assert count(Index(path), "entry") == 8
    assert Index(path).check() == []


def test_two_threads_make_two_indexes_at_once(tmp_path):
    """Alembic keeps what it works on in the process, not in the thread."""
    indexes = [Index(str(tmp_path / f"{n}.sqlite")) for n in range(4)]
    threads = [threading.Thread(target=index.prepare) for index in indexes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [index.check() for index in indexes] == [[]] * 4
    assert {index.revision() for index in indexes} == {schema.HEAD}


def test_a_read_only_index_reads_and_refuses_to_change(index, path):
    index.add([entry_rows({"n": 1}, A)])
    reader = Index(path, read_only=True)

    assert count(reader, "entry") == 1
    for change in (
        lambda: reader.add([entry_rows({"n": 2}, A)]),
        lambda: reader.remove(["0" * 64]),
        lambda: reader.pin("0" * 64, ""),
        lambda: reader.take([Use(0, "hit", "", 0, 0)]),
        lambda: Index(path + ".new", read_only=True).prepare(),
        reader.compact,
    ):
        with pytest.raises(ReadOnlyCache, match="reading only"):
            change()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_who_may_not_write_there_can_read():
    with tempfile.TemporaryDirectory() as directory:  # pytest's own is closed to others
        path = f"{directory}/index.sqlite"
        Index(path).prepare()
        Index(path).add([entry_rows({"n": 1}, A)])
        os.chmod(path, 0o444)
        os.chmod(directory, 0o555)

        stranger = multiprocessing.get_context("fork").Process(target=_stranger, args=(path,))
        stranger.start()
        stranger.join()

        assert stranger.exitcode == 0


def _stranger(path):
    os.setgid(65534)
    os.setuid(65534)
    assert len(Index(path).holdings().entries) == 1
    assert Index(path).query('SELECT n FROM "model_a.batches"').rows == [(1,)]
    with pytest.raises(ReadOnlyCache):
        Index(path).pin("0" * 64, "")


def test_a_full_disk_is_cache_full_and_nothing_is_half_written(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a small filesystem")
    try:
        index = Index(str(disk / "index.sqlite"))
        index.prepare()
        index.add([entry_rows({"n": 0}, A)])
        with pytest.raises(CacheFull, match="free some space"):  # noqa: PT012 - at some turn
            for n in range(1, 100):
                index.add([entry_rows({"n": n, "text": "x" * 20_000}, B)])
        found = len(index.generations())

        assert found >= 1
        assert index.check() == []
        assert len(index.query('SELECT n FROM "model_a.batches"').rows) == found
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 512)
        assert len(index.entries().rows) == found
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("content", [b"not a database at all, but text" * 40, b"\x89PNG" * 999])
def test_what_is_no_database_is_corrupt_and_says_what_happens_next(path, content):
    with open(path, "wb") as file:
        file.write(content)
    index = Index(path)

    for call in (index.prepare, index.revision, index.generations, lambda: index.query("SELECT 1")):
        with pytest.raises(EntryCorrupt, match="rebuilt from the manifests at the next write"):
            call()
    assert "rebuilt" in index.check()[0]


def test_a_directory_in_its_place_is_corrupt(path):
    os.mkdir(path)

    for call in (Index(path).prepare, Index(path).entries):
        with pytest.raises(EntryCorrupt):
            call()


def test_the_database_of_another_program_is_not_taken_over(path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE games (x)")

    with pytest.raises(EntryCorrupt, match="holds other tables"):
        Index(path).prepare()
    with pytest.raises(EntryCorrupt, match="no such table"):
        Index(path).generations()


def test_pages_overwritten_are_corrupt_or_read_right_and_never_a_raw_error(index, path):
    index.add([entry_rows({"n": n}, A, B) for n in range(20)])
    with open(path, "rb") as file:
        sound = file.read()
    for page in range(0, len(sound), 4096):
        with open(path, "wb") as file:
            file.write(sound[:page] + b"\xff" * 4096 + sound[page + 4096 :])
        for call in (index.generations, index.holdings, index.entries, index.prepare):
            with contextlib.suppress(TensorCacheError):
                call()
        assert index.check() != []
    with open(path, "wb") as file:
        file.write(sound)


def test_a_date_that_is_none_is_corrupt(index, path):
    index.add([entry_rows({"n": 1}, A)])
    for wrong in ("yesterday", b"\xff"):
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE entry SET created_at = CAST(? AS TEXT)", (wrong,))
            other.commit()

        with pytest.raises(EntryCorrupt):
            index.holdings()


def _set_revision(path, revision, *statements):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        for statement in statements:
            other.execute(statement)
        other.commit()


def test_a_newer_index_is_read_as_far_as_it_goes_and_never_replaced(index, path):
    index.add([entry_rows({"n": 1}, A)])
    _set_revision(path, "9999")

    assert len(index.entries().rows) == 1
    assert len(index.candidates("model_a.batches")) == 1
    with pytest.raises(CacheTooNew, match="upgrade tensorcache"):
        index.prepare()
    _set_revision(path, "9999", "ALTER TABLE entry RENAME COLUMN digest TO generation")
    with pytest.raises(CacheTooNew):
        index.generations()
    _set_revision(path, schema.HEAD, "ALTER TABLE entry RENAME COLUMN generation TO digest")
    Index(path).prepare()
    _set_revision(path, "0000")
    with pytest.raises(EntryCorrupt, match="0000"):
        index.prepare()
    _set_revision(path, schema.HEAD)


def test_what_strangers_did_to_the_schema_is_found(path):
    index = Index(path)
    index.prepare()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript(
            "CREATE TRIGGER bomb AFTER INSERT ON entry BEGIN DELETE FROM entry; END;"
            "DROP INDEX _event_key;"
            "ALTER TABLE shard ADD COLUMN extra;"
        )

    assert index.check() == [
        "index: '_event_key' is missing",
        "index: 'bomb' is foreign",
        "index: 'shard' is not as it was made",
    ]


def test_a_writer_that_waits_too_long_gives_up_with_a_name(index, path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN IMMEDIATE")

        with pytest.raises(LeaseTimeout, match="try again"):
            Index(path, patience_seconds=0.1).add([entry_rows({"n": 1}, A)])


def test_a_writer_waits_before_it_reads(index, path):
    """Else the two would hold each other up: one to read on, one to commit."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM event")
    commit = threading.Timer(0.2, other.execute, ("COMMIT",))
    commit.start()

    failed = None
    try:
        index.add([entry_rows({"n": 1}, A)])
    except LeaseTimeout as error:
        failed = error
    commit.join()
    other.close()

    assert failed is None
    assert count(index, "entry") == 1


def _die_in_commit(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE entry SET host = hex(randomblob(3000))")
    os._exit(0)


def test_a_commit_cut_off_by_death_is_undone_by_the_next_reader(index, path):
    index.add([entry_rows({"n": n}, A) for n in range(50)])
    killed = multiprocessing.get_context("fork").Process(target=_die_in_commit, args=(path,))
    killed.start()
    killed.join()
    assert os.path.getsize(path + "-journal") > 0

    with pytest.raises(ReadOnlyCache, match="open the cache once where it can be written"):
        Index(path, read_only=True).entries()
    assert len(index.entries().rows) == 50
    assert index.query("SELECT DISTINCT host FROM entry").rows == [("box",)]
    assert len(Index(path, read_only=True).entries().rows) == 50


def test_the_journal_is_a_rollback_journal_even_where_somebody_set_wal(index, path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")

    index.add([entry_rows({"n": 1}, A)])

    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() != ("wal",)
    assert not os.path.exists(path + "-wal")


def test_compact_gives_back_what_was_removed(index):
    rows = [entry_rows({"n": n, "text": "x" * 5000}, A) for n in range(100)]
    index.add(rows)
    index.remove([row.manifest.key for row in rows])

    assert index.compact() > 400_000
    assert index.compact() == 0


@pytest.mark.parametrize("name", ["a b%20?mode=memory#x", "é\n\U0001f98a", "%%s %(here)s"])
def test_any_path_will_do(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    index = Index(str(path / "index.sqlite"))

    assert index.prepare() is True
    index.add([entry_rows({"n": 1}, A)])
    assert os.listdir(path)[0].startswith("index.sqlite")
    assert index.check() == []


def test_a_path_of_bytes_that_are_no_text_will_do(tmp_path):
    directory = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(directory)
    index = Index(os.fsdecode(directory + b"/index.sqlite"))

    assert index.prepare() is True
    rows = entry_rows({"n": 1}, A)
    odd = Provenance("db", "database", os.fsdecode(directory), None)
    index.add([rows._replace(manifest=rows.manifest._replace(sources=(odd,)))])
    assert index.query("SELECT size FROM source WHERE path LIKE '%udcff'").rows == [(None,)]
