"""Statistics: sums that a hand can add up, taken in once whoever writes, and bounded."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import logging
import os
import sqlite3
import textwrap
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from index_rows import NOON, A, B, count, entry_rows, index, path
from processes import REPO, start
from roots import PREAMBLE, get, hit, rows

import tensorcache
from tensorcache import disk
from tensorcache.disk.memory import MAX_JOURNAL_BYTES
from tensorcache.index import Index, Use, stats
from tensorcache.index.uses import MOST_EVENTS, MOST_TAKEN
from tensorcache.stats import Stats, Sums

__all__ = ["index", "path"]

DAY = 86_400.0
KEY = "ab" * 32
# Seconds ago, kind, namespace, seconds, bytes, build seconds of the entry.
SERIES = [
    (10, "hit", "a", 0.5, 0, 8.0),  # saves 7.5
    (11, "hit", "a", 9.0, 0, 8.0),  # took longer than the build: saves nothing
    (20, "wait", "a", 3.0, 0, 8.0),  # saves 5
    (30, "miss", "a", 0.0, 0, None),
    (20, "build", "a", 8.0, 100, None),
    (2 * DAY, "miss", "b", 0.0, 0, None),
    (2 * DAY, "build", "b", 4.25, 10, None),
    (2 * DAY, "hit", "b", 0.25, 0, 4.25),  # saves 4
    (2 * DAY, "hit", "", 0.25, 0, None),  # nobody knows what that saves
    (40 * DAY, "evict", "b", 0.0, 1000, None),
    (5, "quarantine", "b", 0.0, 7, None),
]
OF_A = Sums(2, 1, 1, 1, 0, 9.5, 3.0, 8.0, 12.5, 0)
OF_B = Sums(1, 1, 1, 0, 1, 0.25, 0.0, 4.25, 4.0, 1000)
OF_NOBODY = Sums(hits=1, hit_seconds=0.25)


def append(place, now, series=SERIES):
    for ago, kind, namespace, seconds, size, built in series:
        disk.append_use(place, (now - ago, kind, KEY, seconds, size, namespace or None, built))


def sums_of(stats):
    return Sums(**{name: getattr(stats, name) for name in Sums.__dataclass_fields__})


def test_the_sums_are_those_of_a_hand(cache, place):
    append(place, time.time())

    stats = cache.stats(by="namespace")

    assert sums_of(stats) == Sums(4, 2, 2, 1, 1, 10.0, 3.0, 12.25, 16.5, 1000)
    assert stats.hit_rate == pytest.approx(5 / 7)
    assert stats.groups == {"": OF_NOBODY, "a": OF_A, "b": OF_B}
    assert cache.stats().groups is None


def test_since_counts_from_that_moment_on(cache, place):
    now = time.time()
    append(place, now)

    assert sums_of(cache.stats(since=DAY)) == OF_A
    assert sums_of(cache.stats(since="1d")) == OF_A
    with pytest.raises(ValueError, match="duration 'a day': write '45s'"):
        cache.stats(since="a day")
    assert sums_of(cache.stats(since=15)) == Sums(hits=2, hit_seconds=9.5, saved_seconds=7.5)
    assert sums_of(cache.stats(since=3 * DAY)).hits == 4
    assert cache.stats(since=0).hit_rate is None
    since = cache.stats(since=DAY).since
    assert abs(since.timestamp() - now + DAY) < 60
    assert since.tzinfo is dt.UTC


def test_of_what_no_event_is_left_the_whole_hour_counts(cache, place, root):
    append(place, time.time(), [(2 * DAY, "hit", "a", 0.5, 0, 8.0), (1, "hit", "a", 0.5, 0, 8.0)])
    cache.upgrade()
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as plain, plain:
        plain.execute("DELETE FROM event WHERE id = 1")

    assert cache.stats(since=2 * DAY).hits == 2


def test_a_day_is_one_of_utc(cache, place):
    now = time.time()
    append(place, now, [one for one in SERIES if one[0] >= DAY])
    days = [time.strftime("%Y-%m-%d", time.gmtime(now - ago * DAY)) for ago in (40, 2)]
    hour = time.strftime("%Y-%m-%d %H:00", time.gmtime(now - 2 * DAY))

    assert {day: sums.hits for day, sums in cache.stats(by="day").groups.items()} == {
        days[0]: 0,
        days[1]: 2,
    }
    assert cache.stats(by="hour", since=3 * DAY).groups[hour].hits == 2


@pytest.mark.parametrize("wrong", [{"by": "key"}, {"since": -1.0}, {"since": float("nan")}])
def test_what_cannot_be_meant_is_refused(cache, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}="):
        cache.stats(**wrong)


def test_a_cache_in_which_nothing_happened_has_statistics_of_nothing(cache):
    assert cache.stats(by="day") == Stats(groups={})


def test_bytes_are_counted_once_and_what_is_shared_beside_them(cache, root):
    for n in (1, 2):
        get(cache, n)

    stats = cache.stats()

    manifests = sum(p.stat().st_size for p in Path(root, "entries").rglob("*.msgpack"))
    pieces = sum(
        p.stat().st_size for kind in ("shards", "documents") for p in Path(root, kind).rglob("*.*")
    )
    assert stats.entries == 2
    assert stats.stored_bytes == manifests + pieces
    (referred,) = rows(root, "SELECT sum(bytes) FROM entry")[0]
    assert stats.shared_bytes == referred - pieces > 0
    assert [(size.bytes, size.at.minute) for size in stats.sizes] == [(manifests + pieces, 0)]


def test_entries_that_stand_out_are_told(index):
    for n, seconds in enumerate((3.0, 1.0, 2.0)):
        made = entry_rows({"n": n}, *(A, B)[: 1 + (n == 1)], at=NOON + n)
        index.add([made._replace(manifest=made.manifest._replace(build_seconds=seconds))])
    keys = [entry_rows({"n": n}).manifest.key for n in range(3)]
    index.take([Use(NOON + 60, "hit", keys[0], 0, 0)])

    told = stats(index, None, None, NOON + 99)

    assert [one.key for one in told.dearest] == [keys[n] for n in (0, 2, 1)]
    assert told.largest[0].key == keys[1]
    assert [one.key for one in told.stalest] == [keys[n] for n in (1, 2, 0)]
    assert (told.dearest[0].build_seconds, told.dearest[0].uses) == (3.0, 1)
    assert told.dearest[0].last_used_at == dt.datetime.fromtimestamp(NOON + 60, dt.UTC)
    assert told.dearest[1].last_used_at is None
    index.pin(keys[1], "it shall grow old here")
    assert [one.key for one in stats(index, None, None, NOON + 99).stalest] == [keys[2], keys[0]]


# --- the journal ---


def lines(root):
    return [json.loads(line) for line in Path(root, "journal", "uses").read_text().splitlines()]


def test_a_line_tells_the_namespace_and_what_the_entry_took_to_build(cache, root):
    entry = get(cache, 1)
    hit(cache, 1)
    (one,) = lines(root)
    (built,) = rows(root, "SELECT build_seconds FROM entry")[0]

    assert one[1:3] == ["hit", entry.key.digest]
    assert one[5:] == ["t.laws", built]


def test_what_a_line_does_not_tell_the_index_knows_of_the_entry(cache, place, root):
    """Of digits alone, and of the lines of an older tensorcache."""
    key = get(cache, 1).key.digest
    (built,) = rows(root, "SELECT build_seconds FROM entry")[0]
    cache[key]
    assert lines(root)[-1][5:] == [None, built]
    disk.append_use(place, (time.time(), "hit", key, 0.0, 10))
    disk.append_use(place, (time.time(), "miss", "cd" * 32, 0.0, 0))

    groups = cache.stats(by="namespace").groups

    assert (groups["t.laws"].hits, groups[""].misses) == (2, 1)
    assert groups["t.laws"].saved_seconds >= built  # which the line of 0 s saves
    assert (
        rows(root, "SELECT namespace, build_seconds FROM event WHERE kind = 'hit'")
        == [("t.laws", built)] * 2
    )


ASK = PREAMBLE + textwrap.dedent(
    """
    import time
    cache = tensorcache.open(sys.argv[1])
    def build():
        time.sleep(0.5)
        return payload(1)
    def ask():
        return cache.get_or_build({"n": 1}, build, version="1", namespace="t.laws")
    print("ready", flush=True)
    sys.stdin.readline()
    first = ask()
    print(first.hit, first.why.startswith("waited"), sep="|", flush=True)
    for _ in range(4):
        assert ask().hit
    """
)
WRITE = textwrap.dedent(
    """
    import sys, time
    from tensorcache import disk
    root = disk.Root(sys.argv[1])
    for _ in range(300):
        disk.append_use(root, (time.time(), "hit", "ab" * 32, 0.5, 0, "a", 2.0))
    """
)


@pytest.mark.slow
def test_the_sums_of_several_processes_are_those_of_what_each_of_them_saw(cache, root):
    with contextlib.ExitStack() as stack:
        asking = [stack.enter_context(start(ASK, root, stdin=-1)) for _ in range(3)]
        for process in asking:
            assert process.stdout.readline() == "ready\n"
        for process in asking:
            print(file=process.stdin, flush=True)
        saw = [process.communicate(timeout=60)[0].strip() for process in asking]
        assert [process.returncode for process in asking] == [0, 0, 0]
    stats = cache.stats()

    waited = saw.count("True|True")
    assert saw.count("False|False") == 1
    counted = (stats.misses, stats.builds, stats.waits, stats.hits)
    assert counted == (1, 1, waited, 3 * 4 + 2 - waited)
    assert stats.hit_rate == 14 / 15
    (built,) = rows(root, "SELECT build_seconds FROM entry")[0]
    took = rows(root, "SELECT seconds FROM event WHERE kind IN ('hit', 'wait')")
    assert stats.saved_seconds == pytest.approx(sum(max(0, built - s) for (s,) in took))
    assert stats.build_seconds == built >= 0.5


@pytest.mark.slow
def test_no_line_is_lost_while_others_write_and_one_takes_in(cache, root):
    needs_leases(root)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(start(WRITE, root)) for _ in range(3)]
        while any(writer.poll() is None for writer in writers):
            cache.upgrade()
        assert [writer.communicate() for writer in writers] == [("", "")] * 3

    assert sums_of(cache.stats()) == Sums(hits=900, hit_seconds=450.0, saved_seconds=1350.0)
    assert os.listdir(Path(root, "journal")) == []


def needs_leases(root):
    """Skip the test where the kernel grants none: a late line is lost there."""
    with open(root + ".lease", "w") as file:
        pass
    with open(file.name) as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except (AttributeError, OSError) as error:
            pytest.skip(f"no leases here: {error}")


def test_a_line_that_is_late_by_a_moment_is_taken_in(cache, place, root):
    needs_leases(root)
    append(place, time.time(), [(1, "hit", "a", 0.5, 0, 2.0)])
    late = open(Path(root, "journal", "uses"), "a")  # noqa: SIM115 - the thread closes it

    def write():
        time.sleep(0.004)
        late.write(json.dumps([time.time(), "hit", KEY, 0.5, 0, "a", 2.0]) + "\n")
        late.close()

    thread = threading.Thread(target=write)
    thread.start()
    taken = disk.take_uses(place)
    thread.join()

    assert [len(uses) for uses in taken.values()] == [2]


@pytest.mark.parametrize("name", ["uses", "older"])
def test_a_cache_for_reading_counts_what_is_taken_in_and_says_so(cache, root, caplog, name):
    get(cache, 1)
    cache.stats()
    hit(cache, 1)
    journal = Path(root, "journal", "uses").rename(Path(root, "journal", name))
    before = journal.read_bytes()

    with caplog.at_level(logging.WARNING, "tensorcache"):
        stats = tensorcache.open(root, mode="ro").stats()

    assert (stats.builds, stats.hits) == (1, 0)
    assert [one.getMessage() for one in caplog.records] == [
        "the newest uses are not counted: the cache is open for reading only"
    ]
    assert journal.read_bytes() == before


# --- taken once, and bounded ---


@pytest.mark.slow
def test_a_journal_offered_again_after_many_later_events_is_not_counted_twice(index):
    index.add([entry_rows({"n": 1}, A)])
    key = entry_rows({"n": 1}).manifest.key
    one = [Use(NOON, "hit", key, 0.0, 0)]
    index.take(one, "first")
    index.take(one * (MOST_EVENTS + 1), "second")
    index.take(one, "first")

    assert index.query("SELECT uses FROM entry").rows == [(MOST_EVENTS + 2,)]
    assert index.query("SELECT sum(hits) FROM _hour").rows == [(MOST_EVENTS + 2,)]
    assert count(index, "event") == MOST_EVENTS


def test_of_the_journals_taken_in_the_newest_are_remembered(index, path):
    with contextlib.closing(sqlite3.connect(path)) as plain, plain:
        plain.executemany(
            "INSERT INTO _taken (journal, at) VALUES (?, '2026-03-01 12:00:00.000000')",
            [(f"old-{n}",) for n in range(MOST_TAKEN)],
        )

    index.take([Use(NOON, "hit", KEY, 0, 0)], "new")

    assert count(index, "_taken") == MOST_TAKEN
    assert index.query("SELECT count(*) FROM _taken WHERE journal IN ('old-0', 'new')").rows == [
        (1,)
    ]


def test_the_statistics_of_an_upgraded_index_are_those_of_its_events(path):
    config = Config()
    config.set_main_option("script_location", str(REPO / "migrations"))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    at, now = "2026-03-01 12:00:00.000000", NOON + DAY
    entry = (KEY, "a", "{}", "d", "{}", "1", 1, 100, 8.0, at, None, 2, None, "box", "{}")
    events = [("hit", 0.5), ("wait", 2.0), ("miss", 0.0), ("build", 8.0)]
    with contextlib.closing(sqlite3.connect(path)) as plain, plain:
        plain.execute(f"INSERT INTO entry VALUES ({', '.join('?' * len(entry))})", entry)
        plain.executemany(
            "INSERT INTO event (at, kind, key, seconds, bytes, journal) "
            "VALUES (?, ?, ?, ?, 0, 'j')",
            [(at, kind, KEY, seconds) for kind, seconds in events],
        )
    index = Index(path)
    index.prepare()
    sums = Sums(1, 1, 1, 1, 0, 0.5, 2.0, 8.0, 7.5 + 6.0, 0)

    assert stats(index, None, "namespace", now).groups == {"a": sums}
    assert stats(index, NOON - 1, None, now).saved_seconds == 13.5
    index.take([Use(NOON, "hit", KEY, 0.5, 0)], "j")  # whoever took it in died before it was gone
    assert stats(index, None, "namespace", now).groups == {"a": sums}
    assert index.check() == []


def test_hours_are_kept_for_two_years_and_none_is_ahead_of_us(index):
    now = time.time()
    years = [now - n * 365.25 * DAY for n in (0, 1, 3, -10, 1e9)]

    index.take([Use(at, "hit", KEY, 0, 0, "a") for at in years])
    index.take([Use(now, "miss", KEY, 0, 0, "a")])

    this = time.strftime("%Y-%m-%d %H:00:00.000000", time.gmtime(now))
    found = dict(index.query("SELECT hour, hits FROM _hour").rows)
    assert len(found) == 2
    assert found[this] == 2


def test_a_journal_above_its_bound_is_set_aside_and_the_one_before_it_goes(cache, place, root):
    for hits in (4, 2):  # of which the first are forgotten
        append(place, time.time(), SERIES[:1] * hits)
        uses = Path(root, "journal", "uses")
        uses.write_bytes(uses.read_bytes() + b"x" * MAX_JOURNAL_BYTES + b"\n")
        append(place, time.time(), SERIES[:1])
        assert os.listdir(uses.parent) == ["older"]
    append(place, time.time(), SERIES[:1])

    assert sums_of(cache.stats()) == Sums(hits=4, hit_seconds=2.0, saved_seconds=30.0)
