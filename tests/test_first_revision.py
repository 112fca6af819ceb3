"""A cache that an older tensorcache wrote: read as it is, upgraded by a writer, kept whole."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import first_revision
import pytest
import torch
from index_rows import NOON, A, entry_rows

import tensorcache
from tensorcache import disk, rows, schema
from tensorcache.errors import CacheTooNew, ReadOnlyCache
from tensorcache.index import Index, Use
from tensorcache.worth import warmed, worth

KEPT = (
    "SELECT key, namespace, bytes, created_at, last_used_at, uses, pinned FROM entry ORDER BY key"
)
DATA = Path(__file__).parent / "data"
PINNED = "a3a4d786a097e77c66de00ad895b49df3fad47116dc3f6b91fb2b488375f7c78"
EVENTS = "SELECT at, kind, key, seconds, bytes FROM event ORDER BY id"


def key_of(cache, n):
    return cache.key({"n": n, "text": "a"}, version="1", namespace="spam")


@pytest.fixture
def old(tmp_path):
    """Three entries that share a shard, five hits, a pin, in an index of revision 0001."""
    root = tmp_path / "cache"
    with tensorcache.open(root) as cache:
        for n in range(3):
            shared, own = torch.ones(1000), torch.full((500,), float(n))
            cache.put(key_of(cache, n), {"shared": shared, "own": own})
        for n in (0, 0, 0, 1, 1):
            assert cache.get(key_of(cache, n)).hit
        cache.pin(key_of(cache, 2), "paper")
        cache.entries()  # takes the journal in
    first_revision.put_back(root / "index.sqlite", journal="old-journal")
    with tensorcache.open(root) as cache:
        yield cache
        assert cache.verify() == []


def index_of(cache):
    return Index(os.path.join(cache.root, "index.sqlite"))


def on_disk(cache):
    """The bytes of all manifests and pieces, by walking."""
    folders = ("entries", "shards", "documents")
    walked = (found for f in folders for found in os.walk(os.path.join(cache.root, f)))
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in walked for name in names)


def test_it_hits_and_is_read_before_anything_upgrades_it(old):
    before = index_of(old).query(KEPT).rows
    with tensorcache.open(old.root, mode="ro") as cache:
        assert cache.get(key_of(cache, 1)).hit
        assert len(cache.entries()) == 3
        assert cache.entries("n = 1", namespace="spam").uses.tolist() == [2]
        assert cache.verify() == []

    assert old.get(key_of(old, 1)).hit
    assert index_of(old).revision() == "0001"
    assert index_of(old).query(KEPT).rows == before
    assert index_of(old).check() == []


def test_the_next_writer_upgrades_it_and_keeps_all_that_it_tells(old):
    index = index_of(old)
    entries, events = index.query(KEPT).rows, index.query(EVENTS).rows
    view = "SELECT n, text, bytes FROM spam ORDER BY n"
    shown = index.query(view).rows

    old.put(key_of(old, 3), 7)

    assert index.revision() == schema.HEAD
    new = str(key_of(old, 3))
    assert [row for row in index.query(KEPT).rows if row[0] != new] == entries
    assert index.query(EVENTS).rows[: len(events)] == events
    assert index.query(view).rows[:3] == shown
    assert index.held() == (4, on_disk(old))
    assert index.check() == []


def test_its_events_are_added_up_by_the_hour(old):
    index = index_of(old)
    with contextlib.closing(sqlite3.connect(os.path.join(old.root, "index.sqlite"))) as plain:
        plain.execute("DELETE FROM event")
        plain.execute("UPDATE entry SET build_seconds = 10")
        key = str(key_of(old, 0))
        told = [
            ("12:00", "hit", key, 1, 5),
            ("12:59", "hit", key, 2, 5),
            ("13:00", "wait", key, 11, 5),
        ]
        told += [("13:01", "build", key, 10, 5), ("13:02", "miss", "f" * 64, 1, 0)]
        told += [("13:03", "evict", "f" * 64, 0, 77)]
        plain.executemany(
            "INSERT INTO event (at, kind, key, seconds, bytes) "
            "VALUES ('2026-03-01 ' || ? || ':00.000000', ?, ?, ?, ?)",
            told,
        )
        plain.commit()

    index.prepare()

    assert index.query("SELECT * FROM _hour ORDER BY hour, namespace DESC").rows == [
        ("2026-03-01 12:00:00.000000", "spam", 2, 0, 0, 0, 0, 3.0, 0.0, 0.0, 17.0, 0),
        ("2026-03-01 13:00:00.000000", "spam", 0, 0, 1, 1, 0, 0.0, 11.0, 10.0, 0.0, 0),
        ("2026-03-01 13:00:00.000000", "", 0, 1, 0, 0, 1, 0.0, 0.0, 0.0, 0.0, 77),
    ]


def test_what_an_entry_is_worth_is_told_by_the_uses_that_are_left(tmp_path):
    """Two uses are known by their events, three more only by their number."""
    path = str(tmp_path / "index.sqlite")
    index, told = Index(path), entry_rows({"n": 1}, A)
    index.prepare()
    index.add([told])
    key, times = told.manifest.key, (NOON + 86_400, NOON + 30 * 86_400)
    index.take([Use(at, "hit", key, 0, 0) for at in times])
    first_revision.put_back(path)
    with contextlib.closing(sqlite3.connect(path)) as plain:
        plain.execute("UPDATE entry SET uses = 5")
        plain.commit()

    index.prepare()

    warmth = warmed(warmed(warmed(None, times[0]), times[1]), NOON, 4)
    found = index.query("SELECT touched_at, warmth, worth FROM entry").rows
    assert found == [
        ("2026-03-31 12:00:00.000000", pytest.approx(warmth), worth(1.5, found[0][1], 100))
    ]


def test_a_clock_that_was_ahead_keeps_no_entry(tmp_path):
    path = str(tmp_path / "index.sqlite")
    index = Index(path)
    index.prepare()
    index.add([entry_rows({"n": 1}, A, at=NOON + 10**9)])
    first_revision.put_back(path)

    index.prepare()

    ((touched, warmth),) = index.query("SELECT touched_at, warmth FROM entry").rows
    assert touched < time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86_400))
    assert warmth <= warmed(None, time.time())


def test_a_journal_that_was_taken_before_it_is_not_taken_after_it(old):
    index = index_of(old)
    index.prepare()
    uses = index.query("SELECT sum(uses) FROM entry").rows

    index.take([Use(NOON, "hit", str(key_of(old, 0)), 0, 0)], journal="old-journal")

    assert index.query("SELECT sum(uses) FROM entry").rows == uses


def test_made_anew_it_keeps_uses_and_events(old):
    """`tensorcache reindex` may be the first thing that a newer version does with it."""
    index = index_of(old)
    entries, events = index.query(KEPT).rows, index.query(EVENTS).rows

    old.reindex()

    assert index.query(KEPT).rows == entries
    assert index.query(EVENTS).rows == events
    assert index.query("SELECT sum(hits) FROM _hour").rows == [(5,)]
    assert index.query("SELECT journal FROM _taken").rows[0] == ("old-journal",)
    assert index.held() == (3, on_disk(old))


def test_made_anew_the_sums_and_what_every_entry_is_worth_are_kept(old):
    index = index_of(old)
    old.put(key_of(old, 3), 7)
    asked = ["SELECT key, touched_at, round(warmth, 9), round(worth, 9) FROM entry ORDER BY key"]
    asked += ['SELECT * FROM "_hour" ORDER BY 1, 2', 'SELECT * FROM "_total"']
    asked += ["SELECT journal FROM _taken ORDER BY rowid", "SELECT hour, bytes FROM _size"]
    before = [index.query(one).rows for one in asked]

    old.reindex()

    assert [index.query(one).rows for one in asked] == before


def test_one_that_is_too_broken_to_upgrade_still_tells_its_uses(old):
    """A table is lost that the migration needs: uses and events are read without it."""
    index = index_of(old)
    entries, events = index.query(KEPT).rows, index.query(EVENTS).rows
    with contextlib.closing(sqlite3.connect(os.path.join(old.root, "index.sqlite"))) as plain:
        plain.execute("DROP TABLE entry_shard")

    old.put(key_of(old, 3), 7)

    assert [row for row in index.query(KEPT).rows if row[0] != str(key_of(old, 3))] == entries
    assert index.query(EVENTS).rows[: len(events)] == events


def test_what_it_lacks_is_no_rot(tmp_path):
    """Asked for what only a newer one has, it says so: nobody sets it aside for that."""
    path = str(tmp_path / "index.sqlite")
    first_revision.make(path)

    with pytest.raises(ReadOnlyCache, match="the next write upgrades it"):
        Index(path).held()


def test_on_a_full_disk_it_is_kept_and_entries_can_be_removed(old, tmp_path):
    small = tmp_path / "disk"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a small filesystem")
    try:
        shutil.copytree(old.root, small / "cache")
        with tensorcache.open(small / "cache") as cache:
            with contextlib.suppress(OSError), open(small / "filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 512)
            index, root = index_of(cache), disk.Root(cache.root)
            with disk.locked(root):
                key = str(key_of(cache, 0))
                assert rows.remove(root, index, [key], spare_open=False) == [key]
            os.unlink(small / "filler")
            assert not (small / "cache" / "quarantine").exists()
            cache.put(key_of(cache, 3), 7)
            assert index.query("SELECT max(uses) FROM entry").rows == [(2,)]
            assert index.held() == (3, on_disk(cache))
            assert cache.verify() == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_its_uses_are_summed_where_it_has_to_be_made_anew(old):
    with contextlib.closing(sqlite3.connect(os.path.join(old.root, "index.sqlite"))) as plain:
        plain.execute("UPDATE entry SET created_at = 'rot' WHERE uses = 0")
        plain.commit()

    old.put(key_of(old, 3), 7)

    assert old.stats().hits == 5
    assert old.stats(by="namespace").groups["spam"].hits == 5


def test_an_older_version_hits_and_says_that_it_is_too_old_to_write(old, monkeypatch):
    old.put(key_of(old, 3), 7)
    monkeypatch.setattr(schema, "HEAD", "0001")

    assert old.get(key_of(old, 3)).hit
    with pytest.raises(CacheTooNew, match="upgrade tensorcache"):
        old.reindex()
    with pytest.raises(CacheTooNew, match="upgrade tensorcache"):
        index_of(old).prepare()
    monkeypatch.undo()


def test_sums_that_are_wrong_are_named_and_mended(old):
    index = index_of(old)
    old.put(key_of(old, 3), 7)
    with contextlib.closing(sqlite3.connect(os.path.join(old.root, "index.sqlite"))) as plain:
        plain.execute("UPDATE _total SET bytes = bytes + 1")
        plain.execute("UPDATE entry SET alone_bytes = 7 WHERE pinned IS NOT NULL")
        plain.execute("UPDATE entry SET worth = 7 WHERE uses = 3")
        plain.commit()
    named = [str(fault) for fault in old.verify()]

    old.verify(repair=True)

    assert len(named) == 3
    assert "it counts 4 entries and" in named[0]
    assert [line for line in named if "bytes alone, not 7" in line or "is not worth 7" in line]
    assert old.verify() == []
    assert index.held() == (4, on_disk(old))


def test_rows_that_tell_another_size_of_a_manifest_are_named_and_mended(old):
    index = index_of(old)
    old.put(key_of(old, 3), 7)
    key = str(key_of(old, 3))
    manifest = disk.read_manifest(disk.Root(old.root), key)
    index.add([entry_rows({"n": 1})._replace(manifest=manifest, columns=())])

    assert [str(fault) for fault in old.verify()] == [
        f"index: entry {key[:16]} has rows that tell another size"
    ]
    old.verify(repair=True)
    assert index.held() == (4, on_disk(old))


# --- one that the code of then wrote ---


def test_what_the_code_of_that_revision_left_is_upgraded_whole(tmp_path):
    """`index_0001.sql` is the dump of an index that it made of the golden root."""
    root, path = tmp_path / "golden", tmp_path / "golden" / "index.sqlite"
    shutil.copytree(DATA / "golden_root", root)
    root.chmod(0o700)
    root.joinpath("pins").mkdir()
    root.joinpath("pins", PINNED).write_text('{"note": "paper", "at": 1795875986.1}')
    with contextlib.closing(sqlite3.connect(path)) as plain:
        plain.executescript((DATA / "index_0001.sql").read_text())
    index = Index(str(path))
    entries, events = index.query(KEPT).rows, index.query(EVENTS).rows
    shown = index.query('SELECT key, name FROM "golden.batches" ORDER BY key').rows
    assert (len(entries), len(events), len(shown)) == (6, 4, 2)

    with tensorcache.open(root) as cache:
        assert all(cache.get(key).hit for key, *_ in entries)
        assert index.revision() == "0001"
        new = str(cache.put(key_of(cache, 3), 7).key)

        assert index.revision() == schema.HEAD
        told = [row for row in index.query(KEPT).rows if row[0] != new]
        assert [(*row[:4], row[6]) for row in told] == [(*row[:4], row[6]) for row in entries]
        assert [row[5] for row in told] == [row[5] + 1 for row in entries]  # a hit of each
        assert index.query(EVENTS).rows[:4] == events
        assert index.query('SELECT key, name FROM "golden.batches" ORDER BY key').rows == shown
        assert index.held() == (7, on_disk(cache))
        assert cache.stats().hits == 10
        assert cache.verify(deep=True) == []
