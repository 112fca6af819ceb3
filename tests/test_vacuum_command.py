"""`tensorcache vacuum`: each option takes what it says, and a run does what a dry run printed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest
from aged import KB, age, ask, dear, made, there
from roots import names_in

import tensorcache
import tensorcache.vacuum

DAY = 24.0


@pytest.fixture
def shown(tc):
    """What `vacuum` prints with --dry-run; a run prints the same, does it, and ends with 0."""

    def shown(*words):
        code, planned, _ = tc("vacuum", "--json", "--dry-run", *words)
        assert code == 0
        again, done, remarks = tc("vacuum", "--json", "--yes", *words)
        assert (again, done) == (0, planned)
        plan = json.loads(planned)
        assert f"removed {len(plan['entries'])} entr" in remarks
        return plan

    return shown


def goes(plan):
    return [one["key"] for one in plan["entries"]]


def whys(plan):
    return [one["why"] for one in plan["entries"]]


def test_a_bare_vacuum_keeps_the_limit_of_the_cache_and_sweeps(cache, root, shown, monkeypatch):
    keys = made(cache, 1, 2, 3)
    age(root, keys)
    dear(root, keys, [3.0, 1.0, 2.0])
    orphan = Path(root, "shards/ab", "ab" * 32 + ".safetensors")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(bytes(7))
    monkeypatch.setenv("TENSORCACHE_MAX_SIZE", "50kB")
    plan = shown()

    assert goes(plan) == [keys[1]]
    assert whys(plan) == ["over the limit of 50.0 kB, worth least"]
    assert plan["orphans"] == [{"kind": "shard", "digest": "ab" * 32, "bytes": 7}]
    assert plan["frees_bytes"] == plan["entries"][0]["frees_bytes"] + 7
    assert there(cache) == {keys[0], keys[2]}
    assert not orphan.exists()
    assert goes(shown()) == []


@pytest.mark.parametrize(("policy", "place"), [("worth", 1), ("lru", 2), ("oldest", 0)])
def test_a_limit_takes_by_policy(policy, place, cache, root, shown):
    keys = made(cache, 1, 2, 3)
    age(root, keys)
    age(root, keys[:1], created_at="2001-01-01 00:00:00.000000")
    age(root, keys[2:], hours=9)
    dear(root, keys, [3.0, 1.0, 2.0])

    assert goes(shown("--max-size", "50kB", "--policy", policy)) == [keys[place]]


def test_age_and_disuse(cache, root, shown):
    keys = made(cache, 1, 2, 3)
    age(root, keys[:1], hours=40 * DAY)
    age(root, keys[1:2], hours=20 * DAY)

    assert whys(shown("--older-than", "30d")) == ["made 40 days ago"]
    assert whys(shown("--unused-for", "14d")) == ["unused for 20 days"]
    assert there(cache) == {keys[2]}


def test_what_was_used_within_the_grace_stays(cache, root, shown):
    keys = made(cache, 1, 2)
    age(root, keys[:1], hours=3)

    assert goes(shown("--max-size", "1B")) == keys[:1]
    assert goes(shown("--max-size", "1B", "--grace", "0s")) == keys[1:]


def test_the_newest_of_each_namespace_stay(cache, root, shown):
    here = made(cache, 1, 2, 3)
    others = made(cache, 1, 2, namespace="t.other")
    for days, keys in enumerate(zip(here, [*others, None], strict=True), 1):
        age(root, filter(None, keys), hours=days * DAY)
    plan = shown("--keep-last", "2")

    assert goes(plan) == [here[2]]
    assert whys(plan) == ["not among the newest of its namespace"]
    assert goes(shown("--keep-last", "1", "--older-than", "30h", "--namespace", "t.other")) == [
        others[1]
    ]


def test_where_takes_exactly_what_entries_gives_for_it(cache, root, shown):
    keys = made(cache, 1, 2, 3) + made(cache, 1, namespace="t.other", kilobytes=30)
    age(root, keys)
    where = "bytes < 25000 AND key <> '" + keys[0] + "'"
    listed = set(cache.entries(where)["key"])
    plan = shown("--where", where)

    assert set(goes(plan)) == listed == {*keys[1:3]}
    assert set(whys(plan)) == {"as it was asked for"}
    assert goes(shown("--where", where, "--older-than", "1d")) == []


def test_where_in_a_namespace_means_inputs_as_entries_does(cache, root, shown):
    """An input may be named as a column of all entries is."""
    keys = [
        cache.get_or_build(
            {"uses": n % 2, "folds": n}, lambda: {"x": b"1"}, version="1", namespace="t.inputs"
        ).key.digest
        for n in range(4)
    ]
    age(root, keys)
    plain = ("--namespace", "t.inputs", "--where")
    listed = set(cache.entries("uses = 0 AND folds > 0", namespace="t.inputs")["key"])

    assert set(goes(shown(*plain, "uses = 0 AND folds > 0"))) == listed == {keys[2]}
    assert there(cache) == {*keys} - listed
    assert goes(shown(*plain, "folds = 3")) == keys[3:]


def test_an_input_that_is_a_dict_in_another_entry_is_cast_to_nothing(cache, root):
    """Its text would be the number 0, and false."""
    plain, nested = (
        cache.get_or_build(inputs, lambda: {"x": b"1"}, version="1", namespace="t.inputs")
        for inputs in ({"stop": False, "lr": 0.1}, {"stop": {"after": 5}, "lr": {"start": 0.2}})
    )

    for where in ("NOT stop", "lr < 0.15"):
        found = set(cache.entries(where + " AND stop__after IS NULL", namespace="t.inputs")["key"])
        assert found == {plain.key.digest}
    shown = cache.table('SELECT key, lr FROM "t.inputs"').rows
    assert dict(shown) == {plain.key.digest: 0.1, nested.key.digest: None}


# --- stale ---


def built(cache, n, source=None, **options):
    sources = {} if source is None else {"data": source}
    return made(cache, n, sources=sources, **options)


def test_what_was_built_from_another_state_is_stale(cache, root, shown, tmp_path):
    database, files = tmp_path / "league.sqlite", tmp_path / "games"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE game (id INTEGER)")
    files.mkdir()
    (files / "a.csv").write_text("1")
    gone = tmp_path / "gone.csv"
    gone.write_text("2")
    changed = built(cache, 1, tensorcache.database(database))
    logical = built(cache, 2, tensorcache.database(database, tables=["game"]))
    several = built(cache, 3, tensorcache.files(str(files / "*.csv"), str(files)))
    lost = built(cache, 4, tensorcache.files(str(gone)))
    same = built(cache, 5)
    stat = built(cache, 6, tensorcache.database(database, level="stat"))
    age(root, [*changed, *logical, *several, *lost, *same, *stat])
    assert goes(shown("--stale")) == []
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO game VALUES (1)")
    (files / "b.csv").write_text("3")
    gone.unlink()
    plan = shown("--stale")

    assert dict(zip(goes(plan), whys(plan), strict=True)) == {
        changed[0]: f"its source changed: {database}",
        stat[0]: f"its source changed: {database}",
        several[0]: f"its source changed: {files}/*.csv, {files}",
        lost[0]: f"its source is gone: {gone}",
    }
    assert there(cache) == {*logical, *same}


def test_of_what_two_versions_built_one_is_stale(cache, root, shown):
    old, other = made(cache, 1, 2)
    (new,) = made(cache, 1, version="2")
    age(root, [old, other], hours=5)
    age(root, [new], hours=4)
    plan = shown("--stale")

    assert (goes(plan), whys(plan)) == ([old], ["another version of its code is in use"])
    assert there(cache) == {other, new}


def test_who_goes_back_to_older_code_keeps_what_that_built(cache, root, shown):
    (old,) = made(cache, 1)
    (new,) = made(cache, 1, version="2")
    age(root, [old, new], hours=5)
    made(cache, 1)  # a hit
    plan = shown("--stale")

    assert (goes(plan), whys(plan)) == ([new], ["another version of its code is in use"])
    assert there(cache) == {old}


# --- what is no entry ---


def test_it_sweeps_what_the_dead_left_old_quarantine_and_old_events(cache, root, shown):
    made(cache, 1)
    week = time.time_ns() - 8 * 86_400 * 10**9
    for name in (
        f"quarantine/{week}-x",
        f"quarantine/{time.time_ns()}-y",
        f"building/{'a' * 64}.lock",
    ):
        Path(root, name).parent.mkdir(exist_ok=True)
        Path(root, name).write_bytes(b"123")
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index, index:
        index.execute("UPDATE event SET at = '2001-01-01 00:00:00.000000' WHERE kind = 'build'")
    plan = shown()

    assert [one["path"] for one in plan["leftovers"]] == [f"building/{'a' * 64}.lock"]
    assert [one["path"] for one in plan["quarantine"]] == [f"quarantine/{week}-x"]
    assert plan["events"] == 1
    assert len(names_in(root, "quarantine", "building")) == 1
    assert cache.sql("SELECT kind FROM event WHERE kind = 'build'").empty


def test_the_index_is_compacted_and_it_says_by_how_much(cache, root, tc):
    keys = made(cache, *range(12), kilobytes=1)
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index, index:
        index.execute("UPDATE entry SET tools = ?", (json.dumps({"x": "y" * 100_000}),))
    age(root, keys)
    before = os.path.getsize(Path(root, "index.sqlite"))
    _, _, remarks = tc("vacuum", "--yes", "--max-size", "1B")

    assert os.path.getsize(Path(root, "index.sqlite")) < before - 12 * 100_000 + 1
    assert "; the index is 1.2 MB smaller" in remarks


def test_many_open_entries_cost_no_plan_each(cache, root, monkeypatch):
    held = [ask(cache, n, kilobytes=1) for n in range(10)]
    keys = [entry.key.digest for entry in held]
    keys += made(cache, 10, 11, kilobytes=1)
    age(root, keys)
    dear(root, keys, [1.0] * 10 + [9.0, 9.0])
    plans, plan = [], tensorcache.vacuum.plan
    monkeypatch.setattr(tensorcache.vacuum, "plan", lambda *a: plans.append(plan(*a)) or plans[-1])
    every = cache.vacuum(max_bytes=1, dry_run=True)
    least = cache.vacuum(max_bytes=cache.stats().stored_bytes - 100, dry_run=True)

    assert {one.key for one in every.entries} == set(keys[10:])
    assert len(least.entries) == 1
    assert least.entries[0].key in keys[10:]
    assert len(plans) <= 2 + 4
    assert cache.verify() == []
    del held


# --- how it is asked ---


def test_what_comes_while_the_list_is_read_stays(cache, root, tc, monkeypatch):
    listed = made(cache, 1, 2)
    age(root, listed)
    late = Path(root, "shards/ab", "ab" * 32 + ".safetensors")

    class Person(io.StringIO):
        def isatty(self):
            return True

        def readline(self, *_):
            age(root, made(cache, 3, 4))
            late.parent.mkdir(exist_ok=True)
            late.write_bytes(bytes(7))
            return "yes\n"

    monkeypatch.setattr("sys.stdin", Person())
    code, told, remarks = tc("vacuum", "--where", "bytes > 0")

    assert code == 0
    assert "2 entries, 0 orphans" in told
    assert "removed 2 entries" in remarks
    assert len(there(cache)) == 2
    assert there(cache).isdisjoint(listed)
    assert late.exists()
    assert cache.vacuum().orphans
    assert cache.verify(deep=True) == []


@pytest.mark.parametrize("name", ["prune", "gc"])
def test_other_names_of_it(name, cache, root, tc):
    age(root, made(cache, 1))

    assert tc(name, "--max-size", "1B", "--yes")[2].startswith("tensorcache: removed 1 entry")


def test_a_share_of_the_disk_is_a_size(cache, root, shown):
    age(root, made(cache, 1))

    assert goes(shown("--max-size", "100%")) == []
    assert len(goes(shown("--max-size", "0.000001%"))) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-size", "much"], "write bytes, or '500MB'"),
        (["--older-than", "long"], "write '45s'"),
        (["--policy", "random"], "use one of worth, lru, oldest"),
        (["--keep-last", "0"], "keep-last"),
        (["--where", "no_such_column = 1"], "no such column"),
        ([], "nobody to ask: add --yes"),
    ],
)
def test_wrong_use_is_two_and_removes_nothing(words, message, cache, root, tc, monkeypatch):
    age(root, made(cache, 1))
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    code, _, remarks = tc("vacuum", *words, *(["--dry-run"] if words else []))

    assert code == 2
    assert message in remarks
    assert len(there(cache)) == 1


def test_people_are_shown_so_many_rows_and_the_sum(cache, root, tc, monkeypatch):
    monkeypatch.setattr("tensorcache.cli.plan.SHOWN", 2)
    age(root, made(cache, 1, 2, 3))
    code, told, _ = tc("vacuum", "--max-size", "1B", "--dry-run")

    assert code == 0
    assert told.count("over the limit of 1 bytes") == 2
    assert "… and 1 more: --json lists all" in told
    assert "3 entries, 0 orphans, 0 leftovers: 61.9 kB, and entries hold 61.9 kB" in told
    assert KB * 60 < cache.vacuum(max_bytes=1, dry_run=True).frees_bytes < KB * 63
    ask(cache, 1)
