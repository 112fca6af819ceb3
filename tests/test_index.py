"""Rows in and out of a real SQLite file; what goes wrong with the file has a name."""

import contextlib
import datetime as dt
import fcntl
import logging
import multiprocessing
import os
import sqlite3
import subprocess
import tempfile
import threading

import pytest
import sqlalchemy as sa

from tensorcache import schema
from tensorcache.errors import (
    CacheFull,
    CacheTooNew,
    EntryCorrupt,
    LeaseTimeout,
    ReadOnlyCache,
    TensorCacheError,
)
from tensorcache.index import EntryRows, Index, Use
from tensorcache.key import make_key
from tensorcache.manifest import ColumnRow, Manifest, Piece, Provenance

A, B, C = (Piece(letter * 64, size) for letter, size in (("a", 100), ("b", 20), ("c", 3)))
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()


def entry_rows(
    inputs, *shards, documents=(), namespace="model_a.batches", at=NOON, pinned=None, digest="d1"
):
    key = make_key(
        inputs, version="hand:3", sources={"db": "bytes-1:blake3:00"}, namespace=namespace
    )
    manifest = Manifest(
        key=key.digest,
        identity=key.text,
        is_dict=True,
        sections={},
        shards=tuple(shards),
        documents=tuple(documents),
        sources=(Provenance("db", "database", "/data/nba.sqlite", (1, 2, 4096, 5, 6)),),
        created_at=at,
        build_seconds=1.5,
        host="box",
        tools={"torch": "2.13"},
        digest=digest,
    )
    columns = (ColumnRow("oof", "stats", "float32", (7, 15, 24), 10_080),)
    return EntryRows(manifest, columns, pinned)


def count(index, table):
    return index.query(f'SELECT count(*) FROM "{table}"').rows[0][0]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "index.sqlite")


@pytest.fixture
def index(path):
    index = Index(path)
    index.prepare()
    yield index
    assert index.check() == []


def test_an_index_that_does_not_exist_reads_as_empty_and_is_not_made(path):
    index = Index(path)

    assert index.revision() is None
    assert index.generations() == {}
    assert index.candidates("model_a.batches") == []
    assert index.holdings() == ((), {})
    assert index.entries().rows == []
    assert index.query("SELECT * FROM entry").columns[0] == "key"
    assert index.check() == []
    assert not os.path.exists(path)


def test_an_empty_file_is_an_index_yet_to_be_made(path):
    open(path, "w").close()
    index = Index(path)

    assert index.entries().rows == []
    assert index.prepare() is True
    assert index.revision() == schema.HEAD


def test_prepare_tells_whether_the_index_was_made_anew(path):
    assert Index(path).prepare() is True
    assert Index(path).prepare() is False


def test_an_entry_is_told_in_full(index):
    rows = entry_rows({"n_folds": 5}, A, documents=[B], pinned="paper")

    index.add([rows])

    key = rows.manifest.key
    entry = index.query("SELECT * FROM entry")
    shown = dict(zip(entry.columns, entry.rows[0], strict=True))
    assert shown == {
        "key": key,
        "namespace": "model_a.batches",
        "identity": rows.manifest.identity,
        "digest": "d1",
        "inputs": '{"n_folds":5}',
        "version": "hand:3",
        "format": 1,
        "bytes": 120,
        "build_seconds": 1.5,
        "created_at": "2026-03-01 12:00:00.000000",
        "last_used_at": None,
        "uses": 0,
        "pinned": "paper",
        "host": "box",
        "tools": '{"torch": "2.13"}',
    }
    assert index.query("SELECT * FROM source").rows == [
        (key, 0, "db", "database", "/data/nba.sqlite", "bytes-1:blake3:00", 4096, 5)
    ]
    assert index.query("SELECT * FROM shard ORDER BY digest").rows == [
        (A.digest, "shard", f"shards/aa/{A.digest}.safetensors", 100),
        (B.digest, "document", f"documents/bb/{B.digest}.msgpack", 20),
    ]
    assert index.query('SELECT * FROM "column"').rows == [
        (key, 0, "oof", "stats", "float32", "[7,15,24]", 10_080)
    ]
    assert index.generations() == {key: "d1"}


def test_the_query_of_the_manual_works(index):
    index.add([entry_rows({"n_folds": 5, "rolling_windows": [10, 30], "listmle_target": None}, A)])
    index.add([entry_rows({"n_folds": 4, "rolling_windows": [10, 30], "listmle_target": "x"}, B)])

    table = index.query(
        'SELECT listmle_target, rolling_windows, bytes FROM "model_a.batches" WHERE n_folds = 5'
    )

    assert table == (("listmle_target", "rolling_windows", "bytes"), [(None, "[10,30]", 100)], ())


def test_sqlite_understands_the_times(index):
    index.add([entry_rows({"n": 1}, A)])

    assert index.query("SELECT unixepoch(created_at) FROM entry").rows == [(NOON,)]


def test_a_time_that_no_calendar_has_is_brought_to_the_nearest(index):
    index.add([entry_rows({"n": n}, at=at) for n, at in enumerate((-1.0, 1e300, float("nan")))])

    years = index.query("SELECT substr(created_at, 1, 4) FROM entry ORDER BY 1").rows
    assert years == [("1970",), ("1970",), ("9999",)]


def test_a_piece_goes_with_its_last_holder_only(index):
    one, two = entry_rows({"n": 1}, A, B), entry_rows({"n": 2}, B, documents=[C])
    index.add([one, two])

    assert index.remove([one.manifest.key]) == [("shard", A)]
    assert index.remove([two.manifest.key, "f" * 64]) == [("shard", B), ("document", C)]
    assert [count(index, t) for t in ("entry", "source", "shard", "entry_shard", "column")] == [
        0
    ] * 5


def test_a_new_generation_keeps_the_uses_and_gives_back_the_pieces_of_the_old(index):
    old = entry_rows({"n": 1}, A, B)
    index.add([old])
    index.take([Use(NOON + 60, "hit", old.manifest.key, 0.001, 0)])

    loose = index.add([entry_rows({"n": 1}, B, C, digest="d2", at=NOON + 90)])

    assert loose == [("shard", A)]
    assert index.generations() == {old.manifest.key: "d2"}
    assert index.query("SELECT uses, last_used_at FROM entry").rows == [
        (1, "2026-03-01 12:01:00.000000")
    ]
    assert count(index, "column") == 1


def test_adding_the_same_generation_again_changes_nothing(index):
    index.add([entry_rows({"n": 1}, A)])
    before = index.holdings()

    assert index.add([entry_rows({"n": 1}, A)]) == []
    assert index.holdings() == before


def test_an_identity_text_that_is_none_is_refused_before_anything_is_written(index):
    good = entry_rows({"n": 1}, A)
    bad = good._replace(manifest=good.manifest._replace(key="0" * 64, identity='{"inputs": 3}'))

    with pytest.raises(EntryCorrupt, match="manifest 0000000000000000: its identity text"):
        index.add([good, bad])

    assert count(index, "entry") == 0


def test_hits_and_waits_count_as_uses_and_misses_and_builds_do_not(index):
    rows = entry_rows({"n": 1}, A)
    index.add([rows])
    kinds = ["wait", "hit", "miss", "build", "evict"]

    index.take([Use(NOON + i, kind, rows.manifest.key, 0.5, 7) for i, kind in enumerate(kinds)])

    assert index.query("SELECT uses, last_used_at FROM entry").rows == [
        (2, "2026-03-01 12:00:01.000000")
    ]
    assert index.query("SELECT kind, seconds, bytes, journal FROM event ORDER BY at").rows == [
        (kind, 0.5, 7, None) for kind in kinds
    ]


def test_a_use_that_comes_late_does_not_turn_time_back(index):
    rows = entry_rows({"n": 1}, A)
    index.add([rows])
    for at in (NOON + 60, NOON + 5):
        index.take([Use(at, "hit", rows.manifest.key, 0, 0)])

    assert index.query("SELECT uses, last_used_at FROM entry").rows == [
        (2, "2026-03-01 12:01:00.000000")
    ]


def test_a_journal_is_taken_exactly_once(index):
    rows = entry_rows({"n": 1}, A)
    index.add([rows])
    uses = [Use(NOON, "hit", rows.manifest.key, 0, 0)] * 2

    for _ in range(3):
        index.take(uses, "journal-1")
    index.take(uses, "journal-2")
    index.take([], "journal-3")

    assert count(index, "event") == 4
    assert index.query("SELECT uses FROM entry").rows == [(4,)]


def test_an_event_outlives_its_entry(index):
    rows = entry_rows({"n": 1}, A)
    index.add([rows])
    index.take([Use(NOON, "evict", rows.manifest.key, 0, 100)])

    index.remove([rows.manifest.key])

    assert count(index, "event") == 1


def test_a_pin_shows_its_note_until_it_is_gone(index):
    rows = entry_rows({"n": 1}, A)
    index.add([rows])
    key = rows.manifest.key

    index.pin(key, "paper, table 2 \udcff")
    assert index.holdings().entries[0].pinned == "paper, table 2 \\udcff"
    index.pin(key, "")
    assert index.holdings().entries[0].pinned == ""
    index.pin(key, None)
    index.pin("0" * 64, "of nobody")
    assert index.holdings().entries[0].pinned is None


def test_candidates_are_the_newest_of_their_namespace(index):
    index.add([entry_rows({"n": n}, at=NOON + n) for n in range(4)])
    index.add([entry_rows({"n": 9}, at=NOON + 9, namespace="other")])

    found = index.candidates("model_a.batches", limit=2)

    assert [candidate.created_at for candidate in found] == [NOON + 3, NOON + 2]
    assert '"n":3' in found[0].identity


def test_holdings_tell_who_holds_what(index):
    one, two = entry_rows({"n": 1}, A, B), entry_rows({"n": 2}, B, documents=[C], pinned="")
    index.add([one, two])

    holdings = index.holdings()

    held = {holding.key: set(holding.pieces) for holding in holdings.entries}
    assert held == {
        one.manifest.key: {("shard", A.digest), ("shard", B.digest)},
        two.manifest.key: {("shard", B.digest), ("document", C.digest)},
    }
    assert holdings.pieces == {
        ("shard", A.digest): 100,
        ("shard", B.digest): 20,
        ("document", C.digest): 3,
    }
    assert {holding.created_at for holding in holdings.entries} == {NOON}


def test_many_keys_are_removed_in_few_slices(index):
    """More keys than fit one IN (…)."""
    rows = [entry_rows({"n": n}, Piece(f"{n:064x}", 1)) for n in range(1203)]
    index.add(rows)

    loose = index.remove([row.manifest.key for row in rows[1:]])

    assert len(loose) == 1202
    assert list(index.generations()) == [rows[0].manifest.key]


def views(index):
    return [
        name for (name,) in index.query("SELECT name FROM sqlite_master WHERE type='view'").rows
    ]


def test_a_view_follows_the_inputs_of_its_entries(index):
    one, two = entry_rows({"a": 1}, at=NOON), entry_rows({"a": 1, "b": 2}, at=NOON - 9)
    fixed = schema.FIXED_COLUMNS

    index.add([one])
    assert index.query('SELECT * FROM "model_a.batches"').columns == (*fixed, "a")
    index.add([two])  # an older entry that has one input more
    assert index.query('SELECT * FROM "model_a.batches"').columns == (*fixed, "a", "b")
    index.remove([two.manifest.key])
    assert index.query('SELECT * FROM "model_a.batches"').columns == (*fixed, "a")
    index.remove([one.manifest.key])
    assert views(index) == []


def test_a_view_keeps_what_only_an_older_entry_has(index):
    gone = entry_rows({"a": 2}, at=NOON - 1)
    index.add([entry_rows({"a": 1}), gone, entry_rows({"a": 1, "b": 2}, at=NOON - 9)])

    index.remove([gone.manifest.key])

    assert index.query('SELECT b FROM "model_a.batches" ORDER BY b').rows == [(None,), (2,)]


def test_a_view_that_somebody_dropped_comes_back_whole(index, path):
    index.add([entry_rows({"a": 1})])
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute('DROP VIEW "model_a.batches"')

    index.add([entry_rows({"b": 1})])

    assert index.query('SELECT a, b FROM "model_a.batches" ORDER BY a').rows == [
        (None, 1),
        (1, None),
    ]


def test_a_view_that_cannot_be_made_does_not_fail_the_publication(index, path, caplog):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute('CREATE TABLE "model_a.batches" (x)')

    with caplog.at_level(logging.WARNING, "tensorcache"):
        index.add([entry_rows({"n": 1}, A)])

    assert count(index, "entry") == 1
    assert "the view of 'model_a.batches' cannot be made" in caplog.text
    assert index.check() == ["index: 'model_a.batches' is not as it was made"]
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute('DROP TABLE "model_a.batches"')
    index.add([entry_rows({"n": 2}, A)])  # the next one makes it


def test_plain_sqlite3_reads_the_view(index, path):
    index.add([entry_rows({"n_folds": 5}, A)])

    with contextlib.closing(sqlite3.connect(path)) as plain:
        rows = plain.execute('SELECT n_folds, bytes FROM "model_a.batches"').fetchall()

    assert rows == [(5, 100)]


def test_add_remove_and_pin_scan_no_table(index, path):
    """Each statement about a key searches by an index, however many entries there are."""
    index.add([entry_rows({"n": 0}, A)])
    statements = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        rows = entry_rows({"n": 1}, A, B)
        index.add([rows])
        index.add([entry_rows({"n": 1}, A, C, digest="d2")])
        index.pin(rows.manifest.key, "note")
        index.take([Use(NOON, "hit", rows.manifest.key, 0, 0)], "journal")
        index.remove([rows.manifest.key])
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    scans = []
    with contextlib.closing(sqlite3.connect(path)) as plain:
        for statement, parameters in statements:
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE"):
                first = parameters[0] if isinstance(parameters, list) else parameters
                plan = plain.execute(f"EXPLAIN QUERY PLAN {statement}", first).fetchall()
                scans += [(step[3], statement) for step in plan if step[3].startswith("SCAN")]
    assert len(statements) > 30
    assert [scan for scan in scans if scan[0] != "SCAN sqlite_master"] == []


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

    index.add([entry_rows({"n": 1}, A)])

    commit.join()
    other.close()
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
