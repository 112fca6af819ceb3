"""The index is a view: lost or broken in any way, all of it comes back from manifests and pins."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from damage import HARMS
from roots import copied, flip, get, hit, names_in, rows, same
from scale import reached, some

import tensorcache
from tensorcache import rows as rows_room
from tensorcache import schema
from tensorcache.index import Index

PAGE = 4096
COUNT = 5  # entries of the root
# What follows from manifests and pins, in any order.
DERIVED = """
    SELECT key, namespace, identity, digest, inputs, version, format, bytes, build_seconds,
        created_at, pinned, host, tools FROM entry ORDER BY key
    SELECT * FROM source ORDER BY entry, place
    SELECT * FROM shard ORDER BY digest
    SELECT * FROM entry_shard ORDER BY entry, shard
    SELECT * FROM "column" ORDER BY entry, place
    SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY name
    SELECT * FROM "t.laws" ORDER BY key
""".replace("SELECT", ";SELECT").split(";")[1:]
USES = "SELECT key, uses, last_used_at FROM entry WHERE uses > 0 ORDER BY key"
EVENTS = "SELECT at, kind, key, seconds, bytes, namespace FROM event ORDER BY id"


def derived(root):
    """The rows as plain sqlite3 reads them; the uses in the view apart."""
    told = [rows(root, query) for query in DERIVED]
    told[-1] = [(key, *others[:2], *others[3:]) for key, *others in told[-1]]
    return told


@pytest.fixture(scope="module")
def whole(shm):
    """A root of entries in two namespaces, one pinned and some used."""
    with tensorcache.open(shm / "whole") as cache:
        for n in range(1, COUNT):
            get(cache, n)
        cache.get_or_build({"text": "é"}, lambda: [1.5], version="2", namespace="t.other")
        cache.pin(hit(cache, 2).key, "of a person")
        hit(cache, 1)
        hit(cache, 1)
        cache.upgrade()
    gc.collect()
    assert len(rows(shm / "whole", USES)) == 2
    return shm / "whole"


@pytest.fixture
def root(whole, shm):
    """A copy of it, which the fixture `cache` opens."""
    return copied(whole, shm / "within" / "cache")


def is_back(root, whole):
    """All entries are in the index, as if nothing had been, and nothing lies about."""
    assert derived(root) == derived(whole)
    assert not any(name.startswith(".tensorcache-") for name in os.listdir(root))
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index:
        assert index.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert index.execute("PRAGMA journal_mode").fetchone() != ("wal",)


def at_offset(offset):
    return lambda path: flip(path, offset)


def statements(*texts):
    def do(path):
        with contextlib.closing(sqlite3.connect(path)) as index:
            for text in texts:
                index.execute(text)
            index.commit()

    return do


def beside(ending, make):
    return lambda path: make(path.with_name(path.name + ending))


SPILL = "UPDATE entry SET host = hex(randomblob(3000))"


def hot(path, *before):
    """The files as a death within a commit leaves them: half written, the journal to be played."""
    journal = path.with_name(path.name + "-journal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as index:
        index.execute("PRAGMA journal_mode = TRUNCATE")
        index.execute("PRAGMA cache_size = 1")
        index.execute("BEGIN IMMEDIATE")
        for change in (*before, SPILL):
            index.execute(change)
        torn, played = path.read_bytes(), journal.read_bytes()
        index.execute("ROLLBACK")
    path.write_bytes(torn)
    journal.write_bytes(played)
    assert len(played) > PAGE


def old_journal(path):
    """A journal of an older state, which SQLite plays back into the index of today."""
    today = path.read_bytes()
    statements("DELETE FROM entry_shard")(path)
    hot(path, "INSERT INTO entry_shard SELECT entry.key, shard.digest FROM entry, shard")
    path.write_bytes(today)


def in_wal_mode(path):
    """As another program leaves it when it dies: the newest commits are in the -wal alone."""
    wal = path.with_name(path.name + "-wal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as index:
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA wal_autocheckpoint = 0")
        index.execute("UPDATE entry SET uses = uses")
        image, frames = path.read_bytes(), wal.read_bytes()
    path.write_bytes(image)
    wal.write_bytes(frames)


HOT_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
BROKEN = {
    "lost": os.unlink,
    "text": lambda path: path.write_text("no database " * 999),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9000)),
    "no tables": lambda path: (path.unlink(), sqlite3.connect(path).close()),
    "empty": lambda path: path.write_bytes(b""),
    "zeroes": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a page of zeroes first": lambda path: path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:]),
    **{f"page 1 flipped at {at}": at_offset(at) for at in (0, 16, 18, 21, 28, 44, 56, 100, 103)},
    "page 1 flipped in a schema text": at_offset(PAGE - 60),
    "no root pages": statements(
        "PRAGMA writable_schema = 1", "UPDATE sqlite_master SET rootpage = 9"
    ),
    "of another program": lambda path: (path.unlink(), statements("CREATE TABLE games (x)")(path)),
    "no revision": statements("DELETE FROM alembic_version"),
    "an unknown revision": statements("UPDATE alembic_version SET version_num = '0000'"),
    "no table of entries": statements("PRAGMA foreign_keys = OFF", "DROP TABLE entry_shard"),
    "a column too many": statements("ALTER TABLE shard ADD COLUMN extra"),
    "no index": statements("DROP INDEX _event_key"),
    "a bomb": statements(
        "CREATE TRIGGER bomb AFTER INSERT ON entry BEGIN DELETE FROM entry; END"
    ),
    "no rows": statements("DELETE FROM entry"),
    "dates that are none": statements("UPDATE entry SET last_used_at = 'yesterday', uses = 'x'"),
    "a journal to be played back": hot,
    "a journal of an older state": old_journal,
    "a journal of nonsense": beside("-journal", lambda side: side.write_bytes(os.urandom(9000))),
    "a journal that claims much": beside(
        "-journal", lambda side: side.write_bytes(HOT_MAGIC + b"\xff" * 600)
    ),
    "a journal that is a directory": beside("-journal", lambda s: (s.unlink(), s.mkdir())),
    "a journal that is a pipe": beside("-journal", lambda s: (s.unlink(), os.mkfifo(s))),
    "a wal of nonsense": beside("-wal", lambda side: side.write_bytes(os.urandom(9000))),
    "a wal that is a pipe": beside("-wal", os.mkfifo),
    "in WAL mode": in_wal_mode,
    **{
        what: HARMS[what].do
        for what in ("link", "link to nothing", "pipe", "socket", "directory", "full directory")
    },
}  # fmt: skip
PAGE_1 = {name for name in BROKEN if name.startswith("page 1")}  # some say nothing
LOST = {"lost", "empty", "no tables"}  # which is no fault: it is made when it is next asked
# What SQLite itself undoes when the file is opened.
UNDONE = {"a journal to be played back", "a journal of nonsense", "a wal of nonsense"}
UNDONE |= {"in WAL mode", "a journal that claims much"}
# What only those see who look at all of it.
UNSEEN = {"no index", "a column too many", "no rows", "a bomb", "a journal of an older state"}
UNSEEN |= {"dates that are none", "no table of entries"}
OLD = {"an unknown revision"}  # the next writer would bring it up, and finds that it cannot


@pytest.mark.parametrize("broken", BROKEN)
def test_all_of_a_lost_or_broken_index_comes_back(broken, cache, root, whole):
    path = Path(root, "index.sqlite")
    BROKEN[broken](path)
    was_there = os.path.lexists(path)

    assert cache.reindex() == COUNT

    is_back(root, whole)
    aside = os.listdir(root + "/quarantine") if os.path.exists(root + "/quarantine") else []
    assert was_there == any(name.endswith("-index.sqlite") for name in aside)
    assert sorted(rows(root, "SELECT pinned FROM entry WHERE pinned NOTNULL")) == [("of a person",)]
    for n in range(1, COUNT):
        same(hit(cache, n), n)
    cache.vacuum(grace_seconds=0)
    assert len(names_in(root, "entries")) == COUNT
    reached("index lost", cases=1, entries=COUNT)


MET = [
    (broken, met)
    for broken in sorted(BROKEN.keys() - UNSEEN - UNDONE - PAGE_1)
    for met in ("by a question", "by a build", "by vacuum")
]


@pytest.mark.parametrize(("broken", "met"), some(MET, 30))
def test_whoever_meets_a_broken_index_makes_it_anew(broken, met, cache, root, whole):
    BROKEN[broken](Path(root, "index.sqlite"))
    if met == "by a question":
        assert len(cache.entries()) == COUNT
    elif met == "by a build":
        assert get(cache, COUNT).published
        gc.collect()
        cache.remove(get(cache, COUNT).key)
    else:
        cache.vacuum(grace_seconds=0)

    is_back(root, whole)
    reached("index lost", cases=1, entries=COUNT)


@pytest.mark.parametrize("broken", sorted(BROKEN.keys() - LOST - UNDONE - PAGE_1 - OLD))
def test_verify_names_a_broken_index_and_repair_makes_it_anew(broken, cache, root, whole):
    BROKEN[broken](Path(root, "index.sqlite"))

    named = cache.verify()
    assert named != []
    assert cache.verify(repair=True) == [f"{line}; the index is made anew" for line in named]
    assert cache.verify(deep=True) == []
    is_back(root, whole)
    reached("index lost", cases=1, entries=COUNT)


def test_an_index_that_is_cut_anywhere_comes_back(cache, root, whole):
    path = Path(root, "index.sqlite")
    sound = path.read_bytes()
    pages = len(sound) // PAGE
    assert pages > 10
    for page in range(1, pages):
        path.write_bytes(sound[: page * PAGE])
        assert cache.reindex() == COUNT
        is_back(root, whole)
    reached("index lost", cases=pages - 1, entries=COUNT * (pages - 1))


@pytest.mark.slow
def test_an_index_with_any_page_overwritten_is_named_and_comes_back(cache, root, whole):
    path = Path(root, "index.sqlite")
    sound = path.read_bytes()
    for start in range(0, len(sound), PAGE):
        path.write_bytes(sound[:start] + b"\xff" * PAGE + sound[start + PAGE :])
        cache.vacuum(grace_seconds=0)  # meets it or not, and fails in neither case
        path.write_bytes(sound[:start] + b"\xff" * PAGE + sound[start + PAGE :])
        assert cache.verify() != []
        assert all("made anew" in line for line in cache.verify(repair=True))
        assert cache.verify(deep=True) == []
        is_back(root, whole)
    reached("index lost", cases=len(sound) // PAGE, entries=COUNT * (len(sound) // PAGE))


@pytest.mark.parametrize(
    "broken", ["no index", "a bomb", "a column too many", "a journal to be played back"]
)
def test_uses_and_events_are_taken_over_where_they_can_be_read(broken, cache, root, whole):
    BROKEN[broken](Path(root, "index.sqlite"))
    events, uses = rows(whole, EVENTS), rows(whole, USES)

    cache.reindex()

    assert (rows(root, USES), rows(root, EVENTS)) == (uses, events)
    assert len(events) > COUNT


def test_what_is_no_use_of_ours_is_not_taken_over(cache, root, whole):
    statements(
        "UPDATE entry SET last_used_at = '9999-99-99 00:00:00.000000' WHERE uses = 2",
        "UPDATE event SET seconds = 'long' WHERE kind = 'build'",
        "INSERT INTO event (at, kind, key, seconds, bytes) VALUES ('now', 'bang', 'x', 1e999, -1)",
    )(Path(root, "index.sqlite"))
    kept = [row for row in rows(whole, EVENTS) if row[1] != "build"]

    cache.reindex()

    assert rows(root, USES) == [row for row in rows(whole, USES) if row[1] != 2]
    assert rows(root, EVENTS) == kept
    is_back(root, whole)


def test_the_index_of_a_newer_version_is_left_as_it_is(cache, root):
    path = Path(root, "index.sqlite")
    statements("UPDATE alembic_version SET version_num = '9999'")(path)
    data = path.read_bytes()

    for change in (cache.reindex, cache.upgrade):
        with pytest.raises(tensorcache.CacheTooNew, match="upgrade tensorcache"):
            change()
    cache.verify(deep=True, repair=True)

    assert path.read_bytes() == data
    assert names_in(root, "quarantine") == set()
    statements(f"UPDATE alembic_version SET version_num = '{schema.HEAD}'")(path)


def test_an_index_that_another_program_has_locked_is_left_as_it_is(cache, root, whole):
    path = Path(root, "index.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(tensorcache.LeaseTimeout, match="another process holds it"):
            rows_room.reindex(cache._root, Index(str(path), patience_seconds=0.1))

    assert names_in(root, "quarantine") == set()
    is_back(root, whole)


def test_a_link_in_its_place_leads_nobody_out_of_the_root(cache, root):
    path, outside = Path(root, "index.sqlite"), Path(root).parent / "outside.sqlite"
    path.rename(outside)
    path.symlink_to(outside)
    data = outside.read_bytes()
    get(cache, COUNT)
    cache.reindex()

    assert outside.read_bytes() == data
    assert not path.is_symlink()


def test_an_index_is_made_anew_for_the_group_that_is_trusted(root):
    Path(root).chmod(0o2770)
    with tensorcache.open(root, trust="group") as cache:
        assert cache.reindex() == COUNT

    assert Path(root, "index.sqlite").stat().st_mode & 0o777 == 0o660


def test_a_full_disk_leaves_the_index_as_it_is(small_disk, shm, whole):
    root = small_disk / "cache"
    shutil.copytree(whole, root)
    path = root / "index.sqlite"
    data = path.read_bytes()
    subprocess.run(
        ["sh", "-c", f"head -c 9m /dev/zero > '{small_disk}/ballast' || true"], check=True
    )
    with tensorcache.open(root) as cache:
        with pytest.raises(tensorcache.CacheFull):
            cache.reindex()
        assert path.read_bytes() == data
        assert not any(name.startswith(".tensorcache-") for name in os.listdir(root))
        (small_disk / "ballast").unlink()
        assert cache.reindex() == COUNT
        is_back(root, whole)
        assert cache.verify(deep=True) == []


def test_entries_of_a_newer_format_are_left_out_and_keep_their_rows_due(cache, root):
    from test_laws_failing import newer

    key = cache.key({"n": 1}, version="1", namespace="t.laws")
    path = Path(root, "entries", key.digest[:2], f"{key.digest}.msgpack")
    sound = path.read_bytes()
    newer(root, key)
    assert cache.reindex() == COUNT - 1
    cache.vacuum(grace_seconds=0)
    path.unlink()
    path.write_bytes(sound)

    cache.upgrade()  # vacuum met it, and left a note
    assert len(cache.entries()) == COUNT
    assert cache.reindex() == COUNT
    same(hit(cache, 1), 1)


def test_an_older_index_put_back_costs_no_entry(cache, root):
    path = Path(root, "index.sqlite")
    old = path.read_bytes()
    get(cache, 1, refresh=True)
    gc.collect()
    path.write_bytes(old)
    cache.vacuum(grace_seconds=0)

    same(hit(cache, 1), 11)
    assert cache.verify(deep=True) == []
