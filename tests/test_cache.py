"""Cache, as people call it: what each verb promises, and what it says when it cannot keep it."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
import torch

import tensorcache


def ask(cache, n, build=None, **options):
    build = build or (lambda: {"x": torch.full((3,), n), "n": n})
    return cache.get_or_build({"n": n}, build, version="1", namespace="t.cache", **options)


def build_fails():
    raise AssertionError("this was to be a hit")


def key_of(cache, n):
    return cache.key({"n": n}, version="1", namespace="t.cache")


def rows(cache, sql):
    with contextlib.closing(sqlite3.connect(Path(cache.root, "index.sqlite"))) as index:
        return index.execute(sql).fetchall()


def journal(cache):
    path = Path(cache.root, "journal", "uses")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keys_on_disk(cache):
    return {path.stem for path in Path(cache.root).glob("entries/*/*.msgpack")}


# --- get_or_build ---


def test_the_second_call_is_a_hit_of_the_same_bytes(cache):
    first = ask(cache, 1)
    second = ask(cache, 1, build_fails)

    assert (first.hit, second.hit) == (False, True)
    assert first.published
    assert second.published
    assert first.key == second.key == key_of(cache, 1)
    assert second.why == ""
    assert torch.equal(second["x"], first["x"])
    assert dict(second)["n"] == 1
    assert second.load()["n"] == 1


def test_whatever_makes_the_key_makes_another_entry(cache, tmp_path):
    (tmp_path / "a").write_text("a")
    sources = {"a": tensorcache.files(tmp_path / "a")}
    made = [
        cache.get_or_build(inputs, lambda: [1], version=version, namespace=namespace, **more)
        for inputs, version, namespace, more in [
            ({"n": 1}, "1", "t.a", {}),
            ({"n": 1.0}, "1", "t.a", {}),
            ({"n": 1}, "2", "t.a", {}),
            ({"n": 1}, "1", "t.b", {}),
            ({"n": 1}, "1", "t.a", {"sources": sources}),
        ]
    ]

    assert not any(entry.hit for entry in made)
    assert len(keys_on_disk(cache)) == 5


def test_a_miss_says_what_differs_from_the_nearest_entry(cache):
    first = ask(cache, 1)

    assert first.why == "no other entry of 't.cache' yet"
    assert f"nearest entry {first.key.short} differs in inputs.n: 1 -> 2" in ask(cache, 2).why


def test_a_builders_values_of_any_form_come_back(cache):
    for n, payload in enumerate([None, [1, 2], {"a": (1, b"2")}, torch.arange(3), {}, {1: 2}]):
        entry = ask(cache, n, lambda payload=payload: payload)
        loaded = ask(cache, n, build_fails).load()

        assert type(loaded) is type(payload)
        assert torch.equal(loaded, payload) if n == 3 else loaded == payload
        assert list(entry) == (list(payload) if type(payload) is dict and n != 5 else [""])


def test_what_cannot_be_keyed_or_stored_is_refused_with_its_path_and_frees_the_key(cache):
    with pytest.raises(tensorcache.UnkeyableValue, match=r"inputs\.lr"):
        cache.get_or_build({"lr": float("nan")}, build_fails, version="1", namespace="t.cache")
    with pytest.raises(tensorcache.UnstorableValue, match=r"x.*\[1\]"):
        ask(cache, 1, lambda: {"x": [1, object()]})
    with pytest.raises(tensorcache.UnkeyableValue, match="namespace"):
        cache.get_or_build({}, build_fails, version="1", namespace="Not One")

    assert keys_on_disk(cache) == set()
    assert os.listdir(Path(cache.root, "building")) == []
    assert not ask(cache, 1).hit


def test_refresh_builds_and_replaces(cache):
    ask(cache, 1)
    new = ask(cache, 1, lambda: {"n": "new"}, refresh=True)

    assert not new.hit
    assert new.why == "refreshed"
    assert ask(cache, 1, build_fails)["n"] == "new"
    assert rows(cache, "SELECT count(*), sum(uses) FROM entry") == [(1, 0)]


def test_clone_parts_what_else_is_shared(cache):
    ask(cache, 1)
    shared, parted = ask(cache, 1), ask(cache, 1, clone=True)
    shared["x"].zero_()
    parted["x"].zero_()

    assert shared["x"].tolist() == [0, 0, 0]
    assert parted["x"].tolist() == [1, 1, 1]
    assert ask(cache, 1)["x"].tolist() == [1, 1, 1]


def test_two_caches_share_what_is_equal(cache, root):
    for version in "12":
        cache.get_or_build({}, lambda: torch.arange(9), version=version, namespace="t.cache")

    assert len(list(Path(root).glob("shards/*/*"))) == 1


# --- get, [], in, put ---


def test_get_in_and_brackets_take_keys_and_unique_prefixes(cache):
    entry = ask(cache, 1)
    key, missing = entry.key, key_of(cache, 2)
    for name in (key, key.digest, key.short, key.digest[:6]):
        assert name in cache
        assert cache[name].hit
        assert cache.get(name).key.digest == key.digest

    assert cache[key.short].key == key
    for name in (missing, missing.digest, missing.short, key.digest[:5], "xyz", key.short.upper()):
        assert name not in cache
        assert cache.get(name) is None
        assert cache.get(name, "default") == "default"
        with pytest.raises(tensorcache.EntryMissing):
            cache[name]
    with pytest.raises(KeyError):
        cache[missing]


def test_a_prefix_of_two_entries_names_none(cache):
    digest = ask(cache, 1).key.digest
    manifest = Path(cache.root, "entries", digest[:2], f"{digest}.msgpack")
    twin = manifest.with_name(digest[:20] + "0" * 44 + ".msgpack")
    shutil.copyfile(manifest, twin)

    assert digest[:20] not in cache
    with pytest.raises(tensorcache.EntryMissing, match=f"2 entries begin with '{digest[:20]}'"):
        cache[digest[:20]]
    assert digest in cache
    twin.unlink()


def test_put_publishes_under_a_key_and_replaces(cache):
    key = key_of(cache, 1)
    first = cache.put(key, {"n": "put"})

    assert first.published
    assert not first.hit
    assert ask(cache, 1, build_fails)["n"] == "put"
    assert cache.put(key, {"n": "again"})["n"] == "again"
    assert cache[key]["n"] == "again"
    with pytest.raises(TypeError, match="a prefix names no new entry"):
        cache.put(key.digest, {})
    with pytest.raises(tensorcache.UnstorableValue):
        cache.put(key, object())


# --- remove, pin ---


def test_remove_takes_the_entry_its_pieces_rows_and_pin(cache):
    keys = [ask(cache, n).key for n in (1, 2)]
    cache.pin(keys[0])
    gc.collect()
    cache.remove(keys[0].short)

    assert keys[0] not in cache
    assert keys_on_disk(cache) == {keys[1].digest}
    assert len(list(Path(cache.root).glob("shards/*/*"))) == 1
    assert rows(cache, "SELECT key FROM entry") == [(keys[1].digest,)]
    assert os.listdir(Path(cache.root, "pins")) == []
    with pytest.raises(tensorcache.EntryMissing):
        cache.remove(keys[0])
    with pytest.raises(tensorcache.EntryMissing):
        cache.remove("123456")
    assert not ask(cache, 1).hit


def test_a_pinned_entry_is_spared_until_it_is_unpinned(cache):
    key = ask(cache, 1).key
    gc.collect()
    cache.pin(key, "for the paper")

    assert cache.vacuum(max_bytes=1, grace_seconds=0).entries == ()
    assert list(cache.entries("pinned IS NOT NULL").pinned) == ["for the paper"]
    cache.unpin(key.short)
    assert [v.key for v in cache.vacuum(max_bytes=1, grace_seconds=0).entries] == [key.digest]
    with pytest.raises(tensorcache.EntryMissing):
        cache.pin(key)


def test_a_pin_survives_a_lost_index_and_a_refresh(cache):
    key = ask(cache, 1).key
    cache.pin(key, "")
    ask(cache, 1, refresh=True)
    gc.collect()
    Path(cache.root, "index.sqlite").unlink()

    assert cache.vacuum(max_bytes=1, grace_seconds=0).entries == ()
    assert rows(cache, "SELECT pinned FROM entry") == [("",)]


# --- questions ---


def test_uses_wait_in_the_journal_and_are_taken_in_once(cache):
    entry = ask(cache, 1)
    assert journal(cache) == []
    for _ in range(3):
        ask(cache, 1)
    waiting = journal(cache)

    assert [(kind, key) for _, kind, key, *_ in waiting] == [("hit", entry.key.digest)] * 3
    assert all(abs(at - time.time()) < 60 and 0 < seconds < 10 for at, _, _, seconds, *_ in waiting)
    assert rows(cache, "SELECT uses FROM entry") == [(0,)]
    for _ in range(2):
        (row,) = cache.entries().itertuples()
        assert row.uses == 3
        assert row.last_used_at is not None
        assert journal(cache) == []


def test_entries_and_sql_answer_with_frames(cache):
    for n in (1, 2, 3):
        ask(cache, n)

    frame = cache.entries("namespace = ? AND bytes > 0", ["t.cache"])
    assert len(frame) == 3
    assert str(frame.created_at.dtype).startswith("datetime64")
    assert cache.sql('SELECT n FROM "t.cache" WHERE n > :n ORDER BY n', {"n": 1}).n.tolist() == [
        2,
        3,
    ]
    assert list(cache.entries("bytes < 0").columns) == list(frame.columns)
    for wrong in ("DELETE FROM entry", "SELECT", "SELECT 1; SELECT 2"):
        with pytest.raises(tensorcache.BadQuery):
            cache.sql(wrong)
    with pytest.raises(tensorcache.BadQuery):
        cache.entries("no_such_column = 1")


def test_a_word_in_double_quotes_that_is_no_column_is_warned_of(cache, caplog):
    ask(cache, 1)
    cache.sql('SELECT n FROM "t.cache" WHERE "m" = 1')

    assert '"m" is no column' in caplog.text


def test_explain_names_the_nearest_entry_and_writes_nothing(cache):
    ask(cache, 1)
    key = cache.key({"n": 1, "m": None}, version="2", namespace="t.cache")
    explanation = cache.explain(key)

    assert explanation.nearest == key_of(cache, 1).digest
    assert {d.place: (d.old, d.new) for d in explanation.differences} == {
        "inputs.m": ("absent", None),
        "version": ("hand:1", "hand:2"),
    }
    assert key not in cache


def test_a_new_cache_answers_every_question(cache):
    assert len(cache.entries()) == 0
    assert cache.sql("SELECT count(*) AS n FROM entry").n.tolist() == [0]
    assert cache.verify(deep=True) == []
    assert cache.vacuum().frees_bytes == 0
    assert cache.explain(key_of(cache, 1)).nearest is None


def test_a_dry_run_is_the_plan_and_removes_nothing(cache):
    key = ask(cache, 1).key
    gc.collect()
    planned = cache.vacuum(max_bytes=1, grace_seconds=0, dry_run=True)

    assert key in cache
    assert planned.frees_bytes > 0
    done = cache.vacuum(max_bytes=1, grace_seconds=0)
    assert [victim.key for victim in done.entries] == [victim.key for victim in planned.entries]
    assert done.frees_bytes == planned.frees_bytes
    assert key not in cache


def test_a_limit_on_its_size_is_kept_by_every_publication(root):
    with tensorcache.open(root, max_size="50kB") as cache:
        for n in range(5):
            ask(cache, n, lambda n=n: torch.full((20_000,), n, dtype=torch.uint8))
            gc.collect()
        kept = keys_on_disk(cache)
        assert cache.verify(deep=True) == []

    assert len(kept) == 5  # the grace of an hour spares what was just made
    with tensorcache.open(root) as cache:
        plan = cache.vacuum(max_bytes=50_000, grace_seconds=0, policy="lru")
        assert [victim.key for victim in plan.entries] == [
            key_of(cache, n).digest for n in range(3)
        ]
