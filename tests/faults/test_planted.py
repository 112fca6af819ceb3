"""Names and modes: links planted in a root lead nobody out of it, and the umask is obeyed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
from pathlib import Path

import crowd
import pytest
from deeds import key_of, make_seed
from roots import get, hit, names_in, same
from scale import reached, some

import tensorcache
from tensorcache.disk.place import FOLDERS

FILES = (
    "lock",
    "index.sqlite",
    "index.sqlite-journal",
    "journal/uses",
    "building/KEY.note",
    "building/KEY.lock",
    "pins/KEY",
    "entries/KEY2/KEY.msgpack",
    "CACHEDIR.TAG",
    ".tensorcache-00000000000000000000000000000000",
)
WITHIN = ("entries/KEY2", "shards/*", "documents/*")
DEEDS = (
    lambda cache: get(cache, 1).load(),
    lambda cache: get(cache, 3),
    lambda cache: get(cache, 2, refresh=True),
    lambda cache: cache.put(key_of(cache, 4), {"n": 4}),
    lambda cache: cache.pin(key_of(cache, 1), "mine"),
    lambda cache: cache.unpin(key_of(cache, 1)),
    lambda cache: cache.entries(),
    lambda cache: cache.verify(deep=True),
    lambda cache: cache.remove(key_of(cache, 1)),
    lambda cache: cache.vacuum(grace_seconds=0),
    lambda cache: cache.vacuum(max_bytes=1, older_than_seconds=0, grace_seconds=0),
    lambda cache: cache.upgrade(),
)


@pytest.fixture
def place(shm):
    """A root with all kinds of files."""
    for name in ("cache", "outside"):
        shutil.rmtree(shm / name, ignore_errors=True)
    root = shm / "cache"
    make_seed(root)
    with tensorcache.open(root) as cache:
        cache.pin(key_of(cache, 2), "keep")
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
    old = root / "quarantine" / f"{10**18}-old"
    old.write_text("set aside in 2001")
    return root


def plant(root, name, outside):
    """Move what is there out of the root, and leave a link to it; what it was."""
    there, target = root / name, outside / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if there.exists():
        shutil.move(there, target)
    there.parent.mkdir(exist_ok=True)
    there.symlink_to(target)
    return there


def seen(folder):
    """Names, content, modes and times of all that lies there."""
    found = {}
    for place, folders, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in (*folders, *names))):
            status = os.lstat(path)
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path)] = (content, status.st_mode, status.st_mtime_ns, status.st_nlink)
    return found


def do_all(root, cache):
    """Every deed, as far as it can be done; what it raises has a name of ours or of the system."""
    for deed in DEEDS:
        with contextlib.suppress(tensorcache.TensorCacheError, OSError):
            deed(cache or tensorcache.open(root))


@pytest.mark.slow
@pytest.mark.parametrize("folder", some([*FOLDERS, *WITHIN], 6))
def test_a_folder_that_is_a_link_is_left_alone(folder, place, shm):
    outside = shm / "outside"
    cache = tensorcache.open(place)
    name = folder
    if folder == "entries/KEY2":
        name = f"entries/{key_of(cache, 1).digest[:2]}"
    elif folder.endswith("*"):
        name = f"{folder[:-2]}/{min(os.listdir(place / folder[:-2]))}"
    link = plant(place, name, outside)
    before = seen(outside)
    assert f"{name}: it is a link: remove it" in cache.verify()
    do_all(place, cache)
    do_all(place, None)

    assert seen(outside) == before
    assert link.is_symlink()
    if "/" not in name:
        with pytest.raises(tensorcache.UnsafeCache, match="is a link, and leads out of the cache"):
            tensorcache.open(place)
    link.unlink()
    shutil.move(outside / name, link)
    is_well(place)
    reached("planted links", cases=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "dangling"), some(list(itertools.product(FILES, (False, True))), 7)
)
def test_a_file_that_is_a_link_is_never_written_through(file, dangling, place, shm):
    outside = shm / "outside"
    cache = tensorcache.open(place)
    key = key_of(cache, 3 if "building" in file else 1).digest
    name = file.replace("KEY2", key[:2]).replace("KEY", key)
    if dangling:
        (place / name).unlink(missing_ok=True)
    else:
        (place / name).touch()
    link = plant(place, name, outside)
    assert link.exists() is not dangling
    before = seen(outside)
    do_all(place, cache)
    do_all(place, None)

    assert seen(outside) == before
    if link.is_symlink():
        link.unlink()
    is_well(place)
    reached("planted links", cases=1)


def is_well(root):
    """Once the link is gone, the cache is as any other."""
    with tensorcache.open(root) as cache:
        for n in (1, 2, 3):
            assert get(cache, n).published
            assert len(hit(cache, n)["names"]) in (n, n + 10)
        same(hit(cache, 3), 3)
        cache.vacuum(grace_seconds=0)
        assert cache.verify(deep=True) == []
    assert names_in(root, "building") == set()


MASKS = (0o022, 0o027, 0o077)


@pytest.mark.slow
def test_modes_are_by_the_umask_and_those_of_a_trusted_group_by_the_trust(shm):
    base = shm / "modes"
    base.mkdir()
    told = crowd.values(crowd.forked(crowd.with_umask, len(MASKS), [str(base), MASKS]))
    for mask, found in zip(MASKS, told, strict=True):
        assert len(found) == 4
        for trust, modes in found.items():
            is_shared = trust.startswith("group")
            for name, mode in modes.items():
                bits = stat.S_IMODE(mode)
                if stat.S_ISDIR(mode):
                    own = 0o700 if name == "." else 0o777 & ~mask
                    assert bits == (0o2770 if is_shared else own), (trust, name, oct(bits))
                elif name.startswith(("shards", "documents", "entries")) or "manifest" in name:
                    assert bits == 0o444, (trust, name, oct(bits))
                elif is_shared:
                    assert bits in (0o660, 0o660 & ~mask), (trust, name, oct(bits))
                    assert bits == 0o660 or name.endswith(".note"), (trust, name, oct(bits))
                else:
                    assert bits & ~(0o666 & ~mask) == 0, (trust, name, oct(bits))
            assert any(stat.S_ISREG(mode) for mode in modes.values())
    reached("modes", cases=2 * len(MASKS))
