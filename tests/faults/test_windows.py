"""Narrow windows, each held open: what may happen between two calls of one process."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from deeds import key_of
from processes import wait_for
from roots import PREAMBLE, get, hit, named_by_manifests, names_in, same

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
