"""Law 6: the index is broken, locked for ever, newer, or cannot be read: rows come later."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import as_one_whom_modes_bind, ran, start
from roots import PREAMBLE, get, hit, names_in, rows, same
from scale import reached

import tensorcache
from tensorcache import disk

LOCK = """
import sqlite3, sys
index = sqlite3.connect(sys.argv[1] + "/index.sqlite", isolation_level=None)
index.execute("BEGIN " + sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""
# What a locked index may cost, where a writer that a person waits for has a patience of 15 seconds:
# a miss waits for its reason and its rows (2 s), a question twice (4 s), all on a busy machine.
MISS_SECONDS = 10.0
ANSWER_SECONDS = 10.0


@contextlib.contextmanager
def locked(root, how):
    """Another process has the index locked, for as long as the block takes."""
    with start(LOCK, root, how, stdin=subprocess.PIPE) as other:
        assert other.stdout.readline() == "locked\n"
        yield
        other.stdin.close()


def harm_with(sql):
    def harm(index):
        with contextlib.closing(sqlite3.connect(index)) as connection, connection:
            connection.executescript(sql)

    return harm


def overwrite(first, data):
    def harm(index):
        with open(index, "r+b") as file:
            file.seek(first)
            file.write(data)

    return harm


def cut_to(size):
    def harm(index):
        os.truncate(index, size)

    return harm


def make_a_directory(index):
    index.unlink()
    (index / "inside").mkdir(parents=True)


def make_a_pipe(index):
    index.unlink()
    os.mkfifo(index)


def break_every_page(index):
    size = os.path.getsize(index)
    for page in range(4096, size, 4096):
        overwrite(page, b"\xee" * 64)(index)


HARMS = {
    "gone": lambda index: index.unlink(),
    "empty": cut_to(0),
    "cut in the header": cut_to(60),
    "cut in the middle": cut_to(3 * 4096 + 7),
    "another file": lambda index: index.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9000)),
    "a broken header": overwrite(16, b"\xff\xff\xff\xff"),
    "broken pages": break_every_page,
    "a directory": make_a_directory,
    "a pipe": make_a_pipe,
    "no revision": harm_with("DELETE FROM alembic_version"),
    "a revision of nobody": harm_with("UPDATE alembic_version SET version_num = '0000'"),
    "no table of entries": harm_with("DROP TABLE entry"),
    "another program's": harm_with("DROP TABLE alembic_version; CREATE TABLE mine (a)"),
}


def entries_in_rows(root):
    return rows(root, "SELECT count(*) FROM entry")[0][0]


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("harm", HARMS)
def test_a_broken_index_costs_one_warning_and_is_made_anew(harm, cache, root, caplog):
    for n in (1, 2):
        get(cache, n)
    HARMS[harm](Path(root, "index.sqlite"))
    same(hit(cache, 1), 1)
    entry = get(cache, 3)

    same(entry, 3)
    assert entry.published
    assert len(warnings_in(caplog)) <= 1
    assert entries_in_rows(root) == 3
    assert all("index.sqlite" in name for name in names_in(root, "quarantine"))
    reached("index away", cases=1)


@pytest.mark.parametrize("page", ["event", "entry_shard", "column"])
def test_a_page_that_only_vacuum_or_the_journal_meets_is_found_there(page, cache, root, caplog):
    for n in (1, 2, 3):
        get(cache, n)
    hit(cache, 1)
    index = Path(root, "index.sqlite")
    found = rows(root, f"SELECT rootpage FROM sqlite_master WHERE name = '{page}'")[0][0]
    overwrite((found - 1) * 4096, b"\xee" * 4096)(index)
    entry = get(cache, 4)
    cache.vacuum(grace_seconds=0)

    same(entry, 4)
    assert entry.published
    assert entries_in_rows(root) == 4
    assert cache.verify(deep=True) == []


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_locked_index_costs_seconds_and_one_warning_and_no_entry(how, cache, root, caplog):
    get(cache, 1)
    with locked(root, how):
        began = time.monotonic()
        same(hit(cache, 1), 1)
        hit_seconds = time.monotonic() - began
        began = time.monotonic()
        entry = get(cache, 2)
        miss_seconds = time.monotonic() - began
        same(entry, 2)
        assert entry.published
        with tensorcache.open(root) as other:
            same(hit(other, 2), 2)

    assert hit_seconds < 2
    assert miss_seconds < MISS_SECONDS
    assert len(warnings_in(caplog)) == 1
    assert "is locked" in warnings_in(caplog)[0]
    assert entries_in_rows(root) == 1
    get(cache, 3)
    assert entries_in_rows(root) == 3
    reached("index away", cases=1, miss_seconds=miss_seconds)


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_reason_rows_and_limit_wait_for_a_locked_index_two_seconds_together(how, root, caplog):
    def miss(n):
        began = time.monotonic()
        assert get(cache, n).published
        return time.monotonic() - began

    with tensorcache.open(root, max_size="1GB") as cache:
        miss(1)
        usual_seconds = miss(4)
        with locked(root, how):
            assert miss(2) < usual_seconds + 3
        assert len(warnings_in(caplog)) == 1
        get(cache, 3)
        assert cache.verify(deep=True) == []


@pytest.mark.parametrize("words", ["pin", "unpin", "remove", "vacuum"])
def test_what_a_person_asks_lets_go_of_the_root_where_the_index_is_locked(words, cache, root):
    key = get(cache, 1).key
    with locked(root, "IMMEDIATE" if words in ("pin", "unpin") else "EXCLUSIVE"):
        began = time.monotonic()
        with pytest.raises(tensorcache.LeaseTimeout, match="is locked"):
            getattr(cache, words)(*[key] * (words != "vacuum"))
        seconds = time.monotonic() - began

    assert seconds < 8
    same(hit(cache, 1), 1)
    get(cache, 2)  # its rows, and those that were due


def test_a_miss_waits_half_a_second_for_its_reason_where_another_publishes(cache, root):
    get(cache, 1)
    key = cache.key({"n": 2}, version="1", namespace="t.laws")
    with disk.locked(disk.Root(root)):
        began = time.monotonic()
        why = cache._questions.why(key)
        seconds = time.monotonic() - began

    assert "inputs" in why
    assert seconds < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("words", [["ls"], ["db", "info"]], ids=" ".join)
def test_a_command_on_a_locked_index_ends_soon_with_one_line(words, cache, root):
    def run():
        began = time.monotonic()
        done = ran(sys.executable, "-m", "tensorcache", *words, "--cache", root)
        return done, time.monotonic() - began

    get(cache, 1)
    found, usual_seconds = run()
    assert found.returncode == 0
    with locked(root, "EXCLUSIVE"):
        done, seconds = run()

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "is locked" in done.stderr
    assert seconds < usual_seconds + ANSWER_SECONDS
    reached("index away", cases=1, answer_seconds=seconds)


def test_what_can_be_read_is_told_while_another_is_about_to_write(cache, root, caplog):
    get(cache, 1)
    hit(cache, 1)
    with locked(root, "IMMEDIATE"):
        found = cache.entries()

    assert len(found) == 1
    assert len(warnings_in(caplog)) == 1
    assert "newest uses are not counted" in warnings_in(caplog)[0]


def test_a_newer_index_costs_one_warning_and_stays_as_it_is(root, caplog):
    with tensorcache.open(root) as cache:
        get(cache, 1)
        harm_with("UPDATE alembic_version SET version_num = '9999'")(Path(root, "index.sqlite"))
        before = Path(root, "index.sqlite").read_bytes()
        entry = get(cache, 2)
        with pytest.raises(tensorcache.CacheTooNew, match="upgrade tensorcache"):
            cache.vacuum()

        same(entry, 2)
        assert entry.published
        assert len(warnings_in(caplog)) == 1
        assert "upgrade tensorcache" in warnings_in(caplog)[0]
        assert Path(root, "index.sqlite").read_bytes() == before
        harm_with("UPDATE alembic_version SET version_num = '0001'")(Path(root, "index.sqlite"))
        get(cache, 3)
        assert entries_in_rows(root) == 3
        assert cache.verify(deep=True) == []
    reached("index away", cases=1)


def test_an_index_that_may_not_be_read_costs_one_warning(cache, root):
    get(cache, 1)
    index = Path(root, "index.sqlite")
    os.chmod(index, 0)
    code = f"{PREAMBLE}\nfrom roots import hit, same\ncache = tensorcache.open(sys.argv[1])\n"
    code += "same(hit(cache, 1), 1)\nentry = get(cache, 2)\nsame(entry, 2)\nprint(entry.published)"
    done = ran(*as_one_whom_modes_bind(sys.executable, "-c", code, root))
    os.chmod(index, 0o644)

    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert done.stderr.count("\n") == 1
    assert "check its permissions" in done.stderr
    assert names_in(root, "quarantine") == set()
    get(cache, 3)
    assert entries_in_rows(root) == 3
    reached("index away", cases=1)


def test_a_lost_index_that_cannot_be_made_is_not_an_empty_cache(cache, root):
    entry = get(cache, 1)
    os.unlink(Path(root, "index.sqlite"))
    with tensorcache.open(root, mode="ro") as reader:
        for ask in (reader.entries, lambda: reader.table("SELECT * FROM entry")):
            with pytest.raises(tensorcache.ReadOnlyCache, match="is not there and cannot be made"):
                ask()
        assert hit(reader, 1).hit
    assert list(cache.entries()["key"]) == [entry.key.digest]


def test_a_cache_that_lost_its_marker_is_told_how_to_get_it_back(root, tc):
    get(tensorcache.open(root), 1)
    os.unlink(Path(root, "tensorcache.json"))
    with pytest.raises(tensorcache.NotACache) as caught:
        tensorcache.open(root)
    code, _, told = tc("ls")
    said, _, of_doctor = tc("doctor")

    assert code == said == 2
    assert str(caught.value) in told
    assert str(caught.value) in of_doctor
    Path(root, "tensorcache.json").write_text('{"format": 1}\n')
    with tensorcache.open(root) as cache:
        assert hit(cache, 1).hit
        assert cache.verify(deep=True) == []
