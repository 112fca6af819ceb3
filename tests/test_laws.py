"""The laws of the cache, each shown with real files, real processes and real faults.

What lies in a root is read here without the library: by os, msgpack, safetensors and sqlite3.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import ENVIRONMENT, as_one_whom_modes_bind, python, start
from roots import (
    PREAMBLE,
    fill,
    get,
    hit,
    named_by_manifests,
    names_in,
    payload,
    rows,
    same,
    shards_of,
)

import tensorcache

# --- 1. the index is a view of the manifests ---


def lose(path):
    path.unlink()


def garble(path):
    path.write_bytes(b"no database" * 500)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def replace_by_a_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [lose, garble, cut, replace_by_a_directory])
def test_a_harmed_index_costs_no_hit_and_is_made_anew_by_the_next_write(harm, cache, root):
    get(cache, 1)
    cache.pin(get(cache, 2).key, "mine")
    harm(Path(root, "index.sqlite"))

    same(hit(cache, 1), 1)
    assert not Path(root, "index.sqlite").is_file() or harm in (garble, cut)
    assert get(cache, 3).published
    assert rows(root, "SELECT count(*), max(pinned) FROM entry") == [(3, "mine")]
    assert os.path.exists(root + "/quarantine") == (harm is not lose)


def test_the_index_can_be_made_anew_by_a_question(cache, root):
    get(cache, 1)
    lose(Path(root, "index.sqlite"))

    assert len(cache.entries()) == 1


def test_a_refresh_replaces_the_generation_and_takes_what_nobody_shares(cache, root):
    get(cache, 1)
    get(cache, 2)  # shares the shard of `shared` with it
    before = names_in(root, "shards", "documents")
    old = hit(cache, 2)
    new = get(cache, 2, refresh=True)

    same(old, 2)
    same(new, 12)
    after = names_in(root, "shards", "documents")
    assert before - after
    assert after == named_by_manifests(root) - names_in(root, "entries")
    same(hit(cache, 1), 1)
    assert any(name in after for name in before)


# --- 3. a hit runs no build step ---

HIT = PREAMBLE + textwrap.dedent(
    """
    cache = tensorcache.open(sys.argv[1], mode=sys.argv[2])
    entry = cache.get_or_build({"n": 1}, lambda: 1 / 0, version="1", namespace="t.laws")
    assert entry.hit
    assert len(entry["batches"]) == 4
    assert entry.load()["names"] == [{"name": ""}]
    """
)
IMPORTS = """
import sys, tensorcache
cache = tensorcache.open(sys.argv[1])
entry = cache.get_or_build({"n": 1}, lambda: 1 / 0, version="1", namespace="t.laws")
assert entry.hit and list(entry) == ["batches", "names", "shared"]
print(*{name.partition(".")[0] for name in sys.modules})
assert len(entry["batches"]) == 4
print(*{name.partition(".")[0] for name in sys.modules})
"""
HEAVY = {"sqlalchemy", "alembic", "sqlite3", "pandas", "typer", "rich"}


@pytest.fixture
def read_only(root):
    """Call it to forbid all writing below the root, until the test ends."""

    def set_modes(directory, file):
        for place, _, names in os.walk(root):
            os.chmod(place, directory)
            for name in names:
                os.chmod(os.path.join(place, name), file)

    yield lambda: set_modes(0o555, 0o444)
    set_modes(0o755, 0o644)


def test_a_hit_imports_only_what_it_needs(cache, root):
    get(cache, 1)
    hit_only, opened = (set(line.split()) for line in python(IMPORTS, root).splitlines())

    assert not hit_only & (HEAVY | {"torch", "numpy"})
    assert not opened & HEAVY
    assert "torch" in opened


@pytest.mark.parametrize("mode", ["rw", "ro"])
@pytest.mark.parametrize("harm", [lose, garble])
def test_a_hit_works_in_a_read_only_directory_whose_index_is_harmed(
    mode, harm, root, read_only, tmp_path
):
    with tensorcache.open(root) as cache:
        get(cache, 1)
    harm(Path(root, "index.sqlite"))
    read_only()
    before = {name: os.stat(Path(root, name)) for name in names_in(root, "")}
    refused = f"try: open({root!r} + '/journal/uses', 'a')\nexcept OSError: pass\nelse: assert 0\n"
    command = as_one_whom_modes_bind(sys.executable, "-c", refused + HIT, root, mode)
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert {name: os.stat(Path(root, name)).st_mtime_ns for name in names_in(root, "")} == {
        name: status.st_mtime_ns for name, status in before.items()
    }


def test_a_hit_works_on_a_full_disk(small_disk):
    root = small_disk / "cache"
    with tensorcache.open(root) as cache:
        get(cache, 1)
        fill(small_disk)
        same(hit(cache, 1), 1)
    python(HIT, root, "rw")


# --- 4. cold and warm train on the same bytes ---


def test_a_miss_gives_the_opened_entry_too(cache):
    built = payload(3)
    entry = cache.get_or_build({"n": 3}, lambda: built, version="1", namespace="t.laws")
    built["shared"].zero_()

    assert not entry.hit
    assert type(entry["batches"]) is type(hit(cache, 3)["batches"])
    same(entry, 3)


# --- 9. what a live process has open stays readable to it and is not evicted ---

READER = PREAMBLE + textwrap.dedent(
    """
    cache = tensorcache.open(sys.argv[1])
    entry = cache.get_or_build({"n": 1}, lambda: 1 / 0, version="1", namespace="t.laws")
    print("open", flush=True)
    for line in sys.stdin:
        x = [float(batch["x"][0, 0]) for batch in entry["batches"]]
        print(x, torch.equal(entry["shared"], torch.arange(100)), len(entry["names"]), flush=True)
    """
)


@contextlib.contextmanager
def reader(root):
    """A process that has entry 1 open and reads it for the first time when it is asked to."""
    with start(READER, root, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "open\n"

        def reads():
            print(file=process.stdin, flush=True)
            return process.stdout.readline() == "[1.0, 2.0, 3.0, 4.0] True 1\n"

        yield reads
        process.stdin.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize("loss", ["remove", "refresh", "quarantine"])
def test_an_open_entry_stays_readable_whatever_becomes_of_it(loss, cache, root):
    key = get(cache, 1).key
    gc.collect()
    with reader(root) as reads:
        if loss == "remove":
            cache.remove(key)
        elif loss == "refresh":
            get(cache, 1, refresh=True)
        else:
            for shard in shards_of(root):
                data = shard.read_bytes()
                shard.unlink()
                shard.write_bytes(data[:-1])
            assert cache.get(key) is None
        assert reads()
        assert reads()
    get(cache, 1)


def test_vacuum_passes_over_what_a_process_has_open_until_that_ends(cache, root):
    keys = [get(cache, n).key.digest for n in (1, 2)]
    gc.collect()
    with reader(root) as reads:
        passed = cache.vacuum(max_bytes=1, grace_seconds=0)
        assert reads()
    after = cache.vacuum(max_bytes=1, grace_seconds=0)

    assert [victim.key for victim in passed.entries] == [keys[1]]
    assert [victim.key for victim in after.entries] == [keys[0]]
    assert names_in(root, "entries", "shards", "documents", "building") == set()


def test_an_entry_of_our_own_process_is_passed_over_too(cache):
    entry = get(cache, 1)

    assert cache.vacuum(max_bytes=1, grace_seconds=0).entries == ()
    same(entry, 1)
    del entry
    gc.collect()
    assert len(cache.vacuum(max_bytes=1, grace_seconds=0).entries) == 1


FEW_DESCRIPTORS = PREAMBLE + textwrap.dedent(
    """
    import os, resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    cache = tensorcache.open(sys.argv[1])
    def ask(n):
        return cache.get_or_build({"n": n}, lambda: payload(n), version="1", namespace="t.few")
    entries = [ask(n) for n in range(60)]
    assert not any(entry.hit for entry in entries)
    again = [ask(n) for n in range(60)]
    assert all(entry.hit for entry in again)
    assert len(os.listdir("/proc/self/fd")) < 48
    for n, entry in enumerate(entries + again):
        assert float(entry["batches"][0]["x"][0, 0]) == n % 60
    gone = ask(0)
    late = [ask(n) for n in range(1, 60)]
    cache.remove(gone.key)
    try:
        gone["shared"]
    except tensorcache.EntryMissing:
        print("missing")
    """
)


def test_under_pressure_descriptors_are_given_up_and_opened_anew(shm):
    root = shm / "many"

    assert python(FEW_DESCRIPTORS, root) == "missing\n"
    assert tensorcache.open(root).verify(deep=True) == []
