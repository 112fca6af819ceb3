"""What a Cache depends on: sources as they are now, modes, directories and sizes."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python

import tensorcache
from tensorcache.limits import Size, size_of


def ask(cache, n, build=None, **options):
    build = build or (lambda: {"x": torch.full((3,), n), "n": n})
    return cache.get_or_build({"n": n}, build, version="1", namespace="t.cache", **options)


def build_fails():
    raise AssertionError("this was to be a hit")


def key_of(cache, n):
    return cache.key({"n": n}, version="1", namespace="t.cache")


def keys_on_disk(cache):
    return {path.stem for path in Path(cache.root).glob("entries/*/*.msgpack")}


# --- sources ---


@pytest.fixture
def league(tmp_path):
    """A database in WAL mode whose times lie long ago, so that its identity is remembered."""
    path = tmp_path / "league.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE game (id INTEGER PRIMARY KEY, points INTEGER)")
        db.executemany("INSERT INTO game (points) VALUES (?)", [(n,) for n in range(100)])
        db.commit()
    return path


def of_league(cache, path, build=lambda: [1]):
    sources = {"db": tensorcache.database(path)}
    return cache.get_or_build({}, build, version="1", namespace="t.db", sources=sources)


INSERT_AND_DIE = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("INSERT INTO game (points) VALUES (7)")
db.commit()
os._exit(0)
"""


def test_a_commit_that_is_not_checkpointed_is_a_miss_and_then_a_hit(cache, league):
    assert not of_league(cache, league).hit
    before = league.read_bytes()
    python(INSERT_AND_DIE, league)
    assert league.read_bytes() == before
    assert os.stat(f"{league}-wal").st_size > 0
    second = of_league(cache, league)

    assert not second.hit
    assert second.published
    assert "sources.db: game 100 -> 101 rows" in second.why
    assert of_league(cache, league, build_fails).hit
    assert len(keys_on_disk(cache)) == 2


def test_a_checkpoint_a_copy_a_touch_or_a_new_name_is_a_hit(cache, league, tmp_path):
    python(INSERT_AND_DIE, league)
    of_league(cache, league)
    with contextlib.closing(sqlite3.connect(league)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert of_league(cache, league, build_fails).hit
    os.utime(league)
    assert of_league(cache, league, build_fails).hit
    shutil.copyfile(league, tmp_path / "copy.sqlite")
    assert of_league(cache, tmp_path / "copy.sqlite", build_fails).hit
    os.rename(league, tmp_path / "renamed.sqlite")
    assert of_league(cache, tmp_path / "renamed.sqlite", build_fails).hit


def test_an_identity_is_remembered_only_of_what_lay_still_for_two_seconds(cache, tmp_path):
    logs = tmp_path / "logs.csv"
    logs.write_text("old")
    sources = {"logs": tensorcache.files(logs)}

    def asked():
        return cache.get_or_build({}, lambda: 1, version="1", namespace="t.f", sources=sources)

    def remembered():
        return len(list(Path(cache.root).glob("sources/*.json")))

    asked()
    pieces = remembered()
    wait = 2.1 - (time.time() - os.stat(logs).st_ctime)
    time.sleep(max(wait, 0))
    assert asked().hit
    assert remembered() == pieces + 1
    times = os.stat(logs)
    logs.write_text("new")  # as long as before, and set back
    os.utime(logs, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not asked().hit


def test_a_missing_source_is_the_callers_to_know(cache, tmp_path):
    with pytest.raises(tensorcache.SourceMissing, match=r"none\.sqlite"):
        of_league(cache, tmp_path / "none.sqlite", build_fails)
    with pytest.raises(FileNotFoundError):
        cache.key({}, version="1", namespace="t", sources={"x": tensorcache.files("no/such")})


def test_a_source_that_cannot_be_told_now_is_built_and_not_published(cache, league, caplog):
    with contextlib.closing(sqlite3.connect(league)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    Path(f"{league}-journal").write_bytes(
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + (1).to_bytes(4, "big") + bytes(600)
    )
    entry = of_league(cache, league)

    assert entry.key is None
    assert not entry.published
    assert "sources.db" in entry.why
    assert len(caplog.records) == 1
    with pytest.raises(tensorcache.UnkeyableValue):
        cache.key({}, version="1", namespace="t", sources={"db": tensorcache.database(league)})


# --- modes and settings ---


def test_read_only_gives_what_is_there_and_writes_nothing(cache, root):
    key = ask(cache, 1).key
    gc.collect()
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in Path(root).rglob("*"))
    with tensorcache.open(root, mode="ro") as read:
        assert ask(read, 1, build_fails).hit
        built = ask(read, 2)
        assert not built.published
        assert "mode='ro'" in built.why
        assert built["n"] == 2
        assert len(read.entries()) == 1
        assert read.verify(deep=True) == []
        for change in (
            lambda: read.put(key, 1),
            lambda: read.remove(key),
            lambda: read.pin(key),
            read.vacuum,
        ):
            with pytest.raises(tensorcache.ReadOnlyCache, match="mode='rw'"):
                change()

    assert sorted((str(p), p.lstat().st_mtime_ns) for p in Path(root).rglob("*")) == before


def test_off_neither_reads_nor_writes(cache, root, tmp_path):
    ask(cache, 1)
    with tensorcache.open(root, mode="off") as off:
        entry = ask(off, 1, lambda: {"n": "built"})
        assert entry["n"] == "built"
        assert not entry.published
        assert "switched off" in entry.why
        assert entry.key not in off
        assert off.get(entry.key) is None
    with tensorcache.open(tmp_path / "none", mode="off") as off:
        assert ask(off, 1)["n"] == 1
    assert not (tmp_path / "none").exists()


def test_mode_refresh_builds_each_key_anew(cache, root):
    ask(cache, 1)
    with tensorcache.open(root, mode="refresh") as fresh:
        assert not ask(fresh, 1, lambda: {"n": "new"}).hit
    assert ask(cache, 1, build_fails)["n"] == "new"


@pytest.mark.parametrize(
    ("argument", "environment", "mode"),
    [
        ("rw", "", "rw"),
        ("rw", "ro", "ro"),
        ("rw", "off", "off"),
        ("rw", "refresh", "refresh"),
        ("refresh", "rw", "rw"),
        ("off", "rw", "off"),
        ("ro", "rw", "ro"),
        ("ro", "refresh", "ro"),
        ("ro", "off", "off"),
    ],
)
def test_the_environment_wins_but_never_turns_ro_or_off_into_rw(
    argument, environment, mode, cache, root, monkeypatch
):
    monkeypatch.setenv("TENSORCACHE_MODE", environment)

    assert tensorcache.open(root, mode=argument).mode == mode


def test_wrong_settings_are_refused_with_the_right_ones(root, monkeypatch):
    for options in ({"mode": "w"}, {"verify": "never"}, {"trust": "world"}, {"max_size": "much"}):
        with pytest.raises(ValueError, match=rf"{next(iter(options.values()))!r}"):
            tensorcache.open(root, **options)
    monkeypatch.setenv("TENSORCACHE_MODE", "sometimes")
    with pytest.raises(ValueError, match="'sometimes': use one of rw, ro, refresh, off"):
        tensorcache.open(root)
    assert not os.path.exists(root)


def test_the_directory_is_the_argument_else_the_environments_else_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert tensorcache.open(mode="off").root == str(tmp_path / ".cache" / "tensorcache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tensorcache.open(mode="off").root == str(tmp_path / "xdg" / "tensorcache")
    monkeypatch.setenv("TENSORCACHE_DIR", str(tmp_path / "chosen"))
    assert tensorcache.open(mode="off").root == str(tmp_path / "chosen")
    assert tensorcache.open(tmp_path / "mine", mode="off").root == str(tmp_path / "mine")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (None, None),
        (1000, 1000),
        ("1000", 1000),
        ("20GB", 20 * 10**9),
        ("20 gb", 20 * 10**9),
        ("20gib", 20 << 30),
        ("1.5TiB", 3 * 2**39),
        ("512 MiB", 2**29),
        ("8k", 8000),
        ("8KiB", 8192),
        ("0", None),
        ("-1GB", None),
        ("GB", None),
        ("10 GiBs", None),
        ("", None),
        ("1e9", None),
        ("nan", None),
    ],
)
def test_sizes_are_read_in_either_unit_or_refused(text, size):
    if size is None and text is not None:
        with pytest.raises(ValueError, match="write bytes, or '500MB'"):
            size_of(text)
    else:
        assert size_of(text) == (None if size is None else Size(size))


def test_a_cache_and_its_entries_end_in_silence(root):
    out = python(
        "import sys, tensorcache, torch\n"
        "cache = tensorcache.open(sys.argv[1])\n"
        "entry = cache.get_or_build({}, lambda: {'x': torch.arange(9)}, version='1',"
        " namespace='t.end')\n"
        "kept = entry['x']\n"
        "print(repr(entry))\n",
        root,
    )

    assert out.endswith("built: x)\n")
    assert tensorcache.open(root).verify(deep=True) == []


def test_an_array_outlives_its_entry_and_its_file(cache):
    x = ask(cache, 1, lambda: {"x": np.arange(1000)})["x"]
    cache.remove(key_of(cache, 1))
    gc.collect()

    assert x.sum() == 499500


def test_an_empty_name_is_no_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(tensorcache.NotACache, match="names none: give a path"):
        tensorcache.open("")
    assert os.listdir(tmp_path) == []
