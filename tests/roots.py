"""What the tests of the laws put into a root, and how they read one without the library.

A script for a child begins with
`PREAMBLE`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch

import tensorcache
from tensorcache import disk

PREAMBLE = "import sys, tensorcache, torch\nfrom roots import get, payload\n"


@pytest.fixture(scope="module")
def shm():
    """A directory where fsync costs nothing: a kill, unlike a power cut, needs no disk."""
    within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=within, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def payload(n: int) -> dict[str, Any]:
    return {
        "batches": [
            {"x": torch.full((1, 3), float(n + i)), "y": torch.arange(3)} for i in range(4)
        ],
        "names": [{"name": "a" * i} for i in range(n)],
        "shared": torch.arange(100),
    }


def get(cache: tensorcache.Cache, n: int, *, refresh: bool = False) -> tensorcache.Entry:
    """Get or build `payload(n)`; a refresh makes it `payload(n + 10)`."""
    made = n + 10 if refresh else n
    return cache.get_or_build(
        {"n": n}, lambda: payload(made), version="1", namespace="t.laws", refresh=refresh
    )


def build_fails():
    raise AssertionError("this was to be a hit")


def hit(cache, n):
    entry = cache.get_or_build({"n": n}, build_fails, version="1", namespace="t.laws")
    assert entry.hit
    return entry


def same(entry, n):
    expected = payload(n)
    assert entry.load()["names"] == expected["names"]
    assert torch.equal(entry["shared"], expected["shared"])
    for got, wanted in zip(entry["batches"], expected["batches"], strict=True):
        assert torch.equal(got["x"], wanted["x"])
        assert torch.equal(got["y"], wanted["y"])


def names_in(root, *folders):
    """The files below some folders of a root, by their paths."""
    return {
        os.path.relpath(os.path.join(place, name), root)
        for folder in folders
        for place, _, names in os.walk(os.path.join(root, folder))
        for name in names
    }


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 2 MB; call `fill` to leave no byte of it free."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small filesystem cannot be mounted here")
    yield place
    gc.collect()  # closes what is held open there
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk):
    with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0


@pytest.fixture
def place(root):
    """A root, begun."""
    root = disk.Root(root)
    disk.prepare(root, write=True)
    return root


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def copied(whole, root):
    """A root put in the place of whatever an earlier test left there; its path."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root)
    return str(root)


def files_in(path):
    return sorted(str(p.relative_to(path)) for p in Path(path).rglob("*") if not p.is_dir())


def named_by_manifests(root):
    """The files that the manifests of a root stand for, themselves included."""
    named = set()
    for name in names_in(root, "entries"):
        fields = msgpack.unpackb(Path(root, name).read_bytes()[:-32])
        named |= {name}
        named |= {f"shards/{d[:2]}/{d}.safetensors" for d, _ in fields["shards"]}
        named |= {f"documents/{d[:2]}/{d}.msgpack" for d, _ in fields["documents"]}
    return named


def rows(root, sql):
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as index:
        return index.execute(sql).fetchall()


def shards_of(root):
    return sorted(Path(root, name) for name in names_in(root, "shards"))


def flip(path, at=-1):
    """Flip one bit, as a bad disk would, where nobody may write."""
    os.chmod(path, 0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    inode = os.stat(path).st_ino
    path.write_bytes(data)
    assert os.stat(path).st_ino == inode
