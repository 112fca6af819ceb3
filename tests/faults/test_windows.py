"""Narrow windows, each held open: what may happen between two calls of one process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest
import torch
from deeds import key_of
from processes import wait_for
from roots import PREAMBLE, get, hit, named_by_manifests, names_in, payload, rows, same

import tensorcache
from tensorcache import disk


@pytest.fixture
def root(seed, shm):
    root = shm / "window"
    shutil.copytree(seed, root)
    yield root
    assert tensorcache.open(root).verify(deep=True) == []
    shutil.rmtree(root)


def child(root, code):
    return f"{PREAMBLE}\nimport os\nfrom deeds import key_of as key\nROOT = {str(root)!r}\n{code}"


def test_an_entry_that_goes_while_it_is_opened_is_a_miss(nurse, root):
    with tensorcache.open(root) as cache:
        key = cache.put(key_of(cache, 9), {"plain": 9}).key  # no piece of it can be missing
        look = "cache = tensorcache.open(ROOT); assert cache.get(key(cache, 9)) is None"
        with nurse.frozen_at(child(root, look), "flock", 1) as reader:
            assert reader.exit_code is None
            cache.remove(key)

        assert reader.exit_code == 0


class Meddling(disk.Memory):
    """Remembers nothing; whenever it is asked about a piece, the entry of `key` is replaced."""

    def __init__(self, cache, key, times):
        super().__init__(cache._root, write=False)
        self._cache, self._key, self._times = cache, key, times

    def get(self, path):
        if self._times and not path.startswith("entries"):
            self._times -= 1
            self._cache.put(self._key, two_shards(2 + self._times))


def two_shards(n):
    return {"a": torch.full((3,), float(n)), "b": torch.full((5,), float(n))}


@pytest.mark.parametrize("times", [1, 2])
def test_an_entry_that_is_replaced_while_it_is_opened_is_a_hit_or_a_miss(times, root):
    with tensorcache.open(root) as cache:
        key = cache.put(key_of(cache, 9), two_shards(1)).key
        memory = Meddling(cache, key, times)
        error = held = None
        try:
            held = disk.hold(cache._root, key.digest, memory, "once")
        except tensorcache.EntryCorrupt as found:
            error = found

        assert memory._times == 0
        assert error is None
        assert (held is None) == (times == 2)  # it is opened by name once more, and no oftener
        assert times == 2 or held.manifest == disk.read_manifest(cache._root, key.digest)


def test_what_goes_while_a_build_is_sealed_is_published_with_it(nurse, root):
    build = "get(tensorcache.open(ROOT), 3)"
    with tensorcache.open(root) as cache:
        for n in (1, 2):
            hit(cache, n)  # so that its shards are vouched for
        shared = named_by_manifests(root)
        with nurse.frozen_at(child(root, build), "fsync", 1) as builder:  # the first piece's
            cache.remove(*(key_of(cache, n) for n in (1, 2)))
            assert names_in(root, "entries", "shards", "documents") == set()

        assert builder.exit_code == 0
        assert shared & named_by_manifests(root)
        same(hit(cache, 3), 3)


def test_a_lease_that_goes_while_it_is_asked_for_is_asked_for_anew(nurse, root):
    key = "ab" * 32
    lease = disk.claim(disk.Root(str(root)), key)
    ask = (
        "from tensorcache import disk\n"
        f"lease = disk.claim(disk.Root(ROOT), {key!r})\n"
        "assert lease is not None, 'it was too late'\n"
        "assert os.path.samestat(os.fstat(lease.descriptor.number), os.stat(lease.path))\n"
    )
    slow = "inject=flock:delay_enter=1500000:when=1"
    asker = nurse.begin(child(root, ask), "-e", "trace=flock", "-e", slow)
    wait_for(lambda: lease.path in open_in(asker.pid))
    lease.release()

    assert asker.end() == 0


def test_who_takes_a_lease_that_another_has_done_with_has_its_result(nurse, root):
    look = "assert get(tensorcache.open(ROOT), 3).hit"
    with tensorcache.open(root) as cache:
        manifest = disk.manifest_path(cache._root, key_of(cache, 3).digest)
        with nurse.frozen_at(child(root, look), "openat", 1, "-P", manifest) as late:  # it missed
            assert not get(cache, 3).hit

        assert late.exit_code == 0
        assert rows(root, "SELECT count(*) FROM event WHERE kind = 'build'") == [(3,)]


def open_in(pid):
    """The paths that a process has open."""
    folder = f"/proc/{pid}/fd"
    return {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_failed_fsync_is_no_publication(count, nurse, root):
    before = names_in(root, "entries", "shards", "documents", "building")
    put = child(root, "cache = tensorcache.open(ROOT); cache.put(key(cache, 3), payload(3))")

    assert nurse.fail_at(put, "fsync", count, "EIO") == 1
    assert names_in(root, "entries", "shards", "documents", "building") == before
    with tensorcache.open(root) as cache:
        assert not get(cache, 3).hit


def test_a_manifest_that_cannot_be_read_now_is_not_set_aside(nurse, root):
    look = child(root, "cache = tensorcache.open(ROOT); assert cache.get(key(cache, 1)) is None")

    assert nurse.fail_at(look, "pread64", 1, "EIO", on=True) == 0
    assert names_in(root, "quarantine") == set()
    with tensorcache.open(root) as cache:
        same(hit(cache, 1), 1)


def test_a_forked_child_that_lets_go_of_an_entry_lets_nobody_take_it(root):
    with tensorcache.open(root) as cache:
        entry = hit(cache, 1)
        pid = os.fork()
        if pid == 0:
            entry._held.close()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        gone = {victim.key for victim in cache.vacuum(max_bytes=1, grace_seconds=0).entries}

        assert gone == {key_of(cache, 2).digest}
        same(entry, 1)


def test_a_program_that_a_builder_starts_has_none_of_our_files(root):
    told = []

    def build():
        listing = ["ls", "-l", "/proc/self/fd"]
        told.append(subprocess.run(listing, close_fds=False, capture_output=True, text=True))  # noqa: PLW1510
        return payload(3)

    with tensorcache.open(root) as cache:
        entry = hit(cache, 1)
        cache.get_or_build({"n": 3}, build, version="1", namespace="t.laws")
        same(entry, 1)
    if not told[0].stdout:
        pytest.skip("there is no /proc here")

    assert str(root) not in told[0].stdout


def test_an_index_that_is_made_anew_is_whole_when_it_gets_its_name(nurse, root):
    path = root / "index.sqlite"
    before = path.stat().st_ino
    make = child(root, "tensorcache.open(ROOT).reindex()")
    with nurse.frozen_at(make, "rename", 1) as maker:
        is_new = path.stat().st_ino != before
        found = rows(root, "SELECT count(*) FROM entry")

    assert maker.exit_code == 0
    assert is_new
    assert found == [(2,)]


@pytest.mark.slow
def test_an_index_that_could_not_be_read_once_is_not_set_aside(nurse, root):
    path = root / "index.sqlite"
    before = path.stat().st_ino
    evict = child(root, "tensorcache.open(ROOT).vacuum()")
    for count in range(1, 7):
        inject = f"inject=pread64:error=EIO:when={count}"
        nurse.trace(evict, "-P", str(path), "-e", "trace=pread64", "-e", inject)
        assert "(INJECTED)" in nurse.said()

        assert path.stat().st_ino == before
        assert names_in(root, "quarantine") == set()
