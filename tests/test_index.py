"""Rows in and out of a real SQLite file, and the views over them."""

import contextlib
import logging
import math
import os
import sqlite3

import pytest
import sqlalchemy as sa
from index_rows import NOON, A, B, C, count, entry_rows, index, path

from tensorcache import schema
from tensorcache.errors import (
    EntryCorrupt,
)
from tensorcache.index import Index, Use, rows, stamps
from tensorcache.manifest import Piece
from tensorcache.worth import warmed, worth

__all__ = ["index", "path"]


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
        "manifest_bytes": 10,
        "alone_bytes": 130,
        "touched_at": "2026-03-01 12:00:00.000000",
        "warmth": warmed(None, NOON),
        "worth": worth(1.5, warmed(None, NOON), 130),
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

    assert table[:3] == (
        ("listmle_target", "rolling_windows", "bytes"),
        [(None, "[10,30]", 100)],
        (),
    )
    assert table.kinds == ("VARCHAR", "VARCHAR", "BIGINT")


def test_sqlite_understands_the_times(index):
    index.add([entry_rows({"n": 1}, A)])

    assert index.query("SELECT unixepoch(created_at) FROM entry").rows == [(NOON,)]


def test_a_time_that_no_calendar_has_is_brought_to_the_nearest(index):
    index.add([entry_rows({"n": n}, at=at) for n, at in enumerate((-1.0, 1e300, float("nan")))])

    years = index.query("SELECT substr(created_at, 1, 4) FROM entry ORDER BY 1").rows
    assert years == [("1970",), ("1970",), ("9999",)]


def test_the_mtime_of_a_manifest_is_the_time_that_its_row_tells(index):
    times = [0.0, 0.9999996, NOON + 0.0000005, *(NOON + n * math.pi for n in range(200))]
    added = [entry_rows({"n": n}, at=at) for n, at in enumerate(times)]
    index.add(added)

    told = stamps(index)
    assert told == {one.manifest.key: (10, one.manifest.mtime_ns) for one in added}
    assert told[added[2].manifest.key][1] == round(NOON) * 10**9  # to the microsecond


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
    assert index.query("SELECT kind, seconds, bytes FROM event ORDER BY at").rows == [
        (kind, 0.5, 7) for kind in kinds
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


def test_candidates_that_are_long_are_few(index, monkeypatch):
    index.add([entry_rows({"n": n}, at=NOON + n) for n in range(4)])
    monkeypatch.setattr(rows, "MOST_COMPARED", 1)

    assert [found.created_at for found in index.candidates("model_a.batches")] == [NOON + 3]


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
