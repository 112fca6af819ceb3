"""Law 6 on real media: no byte free, no inode free, read-only, no permission, files too large."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import as_one_whom_modes_bind, ran
from roots import PREAMBLE, get, hit, names_in, payload, rows, same
from scale import reached

import tensorcache
from tensorcache import disk

ORPHAN = f"shards/ab/{'ab' * 32}.safetensors"  # of no entry
ORPHAN_BYTES = 1_000_000


@contextlib.contextmanager
def mounted(place, *options):
    """Something mounted at `place`; skips the test where that cannot be."""
    place.mkdir()
    mount = ["mount", *options, str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        gc.collect()  # closes what is held open there
        subprocess.run(["umount", "-l", str(place)], check=True)


class SmallDisk:
    """A filesystem of 4 MB and 400 inodes, with a cache on it that has 4 entries and an orphan."""

    def __init__(self, place: Path, lacks: str) -> None:
        self._place = place
        self._lacks = lacks
        self._ballast = place / "ballast"
        self._ballast.mkdir()
        self.root = place / "cache"
        self.cache = tensorcache.open(self.root)
        self.keys = [get(self.cache, n).key for n in (1, 2, 3, 4)]
        hit(self.cache, 1)  # waits in the journal for an index that can be written
        (self.root / ORPHAN).parent.mkdir(exist_ok=True)
        (self.root / ORPHAN).write_bytes(bytes(ORPHAN_BYTES))
        gc.collect()  # nothing is open any more

    def fill(self) -> None:
        """Leave no byte free, or no inode."""
        with contextlib.suppress(OSError):
            if self._lacks == "bytes":
                with open(self._ballast / "bytes", "ab", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))
            for number in range(1000):
                (self._ballast / f"{os.urandom(8).hex()}-{number}").touch()
        found = os.statvfs(self._place)
        assert (found.f_bavail if self._lacks == "bytes" else found.f_favail) == 0

    def free(self) -> None:
        """Give all of it back."""
        for path in self._ballast.iterdir():
            path.unlink()

    def free_bytes(self) -> int:
        """How many bytes are free."""
        found = os.statvfs(self._place)
        return found.f_bavail * found.f_frsize


@pytest.fixture(params=["bytes", "inodes"])
def full(request, tmp_path):
    """A small disk that is full."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m,nr_inodes=400", "tmpfs") as place:
        small = SmallDisk(place, request.param)
        small.fill()
        yield small
        small.free()
        assert small.cache.verify(deep=True) == []
        reached("full", cases=1)


def in_place(root):
    return pieces_in(root) | names_in(root, "pins", "quarantine")


def pieces_in(root):
    return names_in(root, "entries", "shards", "documents")


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records]


# --- no space ---


def test_a_full_disk_is_read(full, caplog):
    with tensorcache.open(full.root) as cache:
        for n in (1, 2, 3, 4):
            same(hit(cache, n), n)
        assert len(cache.entries()) == 4

    assert warnings_in(caplog) == []


def test_a_full_disk_costs_the_publication_and_nothing_else(full, caplog):
    before = in_place(full.root)
    entry = get(full.cache, 9)
    again = get(full.cache, 1, refresh=True)

    same(entry, 9)
    same(again, 11)
    assert not entry.published
    assert not again.published
    assert "No space left" in entry.why
    assert len(warnings_in(caplog)) == 2
    assert in_place(full.root) == before
    same(hit(full.cache, 1), 1)
    full.free()
    assert get(full.cache, 9).published


def test_what_a_person_asks_to_be_put_there_says_that_it_is_full(full):
    before = in_place(full.root)
    key = full.cache.key({"n": 9}, version="1", namespace="t.laws")
    with pytest.raises(tensorcache.CacheFull, match=r"No space left.*: free some space"):
        full.cache.put(key, payload(9))
    with pytest.raises(tensorcache.CacheFull, match="No space left"):
        full.cache.pin(full.keys[0], "for the paper")

    assert in_place(full.root) == before


def test_a_full_disk_is_freed_by_removal(full):
    full.cache.remove(full.keys[0], full.keys[3])

    assert len(names_in(full.root, "entries")) == 2
    same(hit(full.cache, 2), 2)
    same(hit(full.cache, 3), 3)
    full.free()
    assert get(full.cache, 5).published
    assert names_in(full.root, "building") == set()
    assert rows(full.root, "SELECT count(*) FROM entry") == [(3,)]


def test_a_full_disk_is_freed_by_vacuum(full):
    unheld = sum(os.path.getsize(full.root / name) for name in pieces_in(full.root))
    before = full.free_bytes()
    plan = full.cache.vacuum(max_bytes=1, grace_seconds=0)

    assert {victim.key for victim in plan.entries} == {key.digest for key in full.keys}
    assert pieces_in(full.root) == set()
    assert full.free_bytes() - before >= 0.99 * unheld > 0.9 * ORPHAN_BYTES
    full.free()
    assert get(full.cache, 5).published
    assert names_in(full.root, "building") == set()
    assert rows(full.root, "SELECT count(*) FROM entry") == [(1,)]


@pytest.mark.parametrize("harm", ["rows are behind", "no index"])
def test_a_full_disk_is_freed_by_what_manifests_say_where_the_index_cannot_be_written(harm, full):
    full.free()
    if harm == "no index":
        (full.root / "index.sqlite").unlink()
    else:
        disk.leave_notes(disk.Root(str(full.root)), [key.digest for key in full.keys])
    full.fill()
    full.cache.vacuum()
    assert ORPHAN not in names_in(full.root, "shards")
    assert len(names_in(full.root, "entries")) == 4
    full.fill()
    full.cache.vacuum(max_bytes=1, grace_seconds=0)

    assert pieces_in(full.root) == set()


@pytest.mark.parametrize("harm", ["none", "rows are behind", "no index"])
def test_a_pin_goes_on_a_full_disk_and_its_entry_with_it(harm, full):
    full.free()
    full.cache.pin(full.keys[0], "for the paper")
    if harm == "rows are behind":
        disk.leave_notes(disk.Root(str(full.root)), [key.digest for key in full.keys])
    if harm == "no index":
        (full.root / "index.sqlite").unlink()
    full.fill()
    full.cache.unpin(full.keys[0])
    full.cache.vacuum(max_bytes=1, grace_seconds=0)

    assert names_in(full.root, "pins", "entries") == set()


@pytest.mark.slow
def test_commands_free_a_full_disk(full):
    def command(*words):
        done = ran(sys.executable, "-m", "tensorcache", *words, "--yes", "--cache", full.root)
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        return done.stderr

    assert "removed 0 entries" in command("vacuum")
    assert ORPHAN not in names_in(full.root, "shards")
    full.fill()
    assert command("rm", full.keys[0].short) == "tensorcache: removed 1 entry\n"
    full.fill()
    assert "removed 3 entries" in command("vacuum", "--max-size", "1B", "--grace", "0s")
    assert pieces_in(full.root) == set()


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_costs_the_publication_alone(root):
    code = f"""{PREAMBLE}
import resource
from roots import hit, same
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
cache = tensorcache.open(sys.argv[1])
build = lambda: torch.ones(1 << 20)
large = cache.get_or_build({{}}, build, version="1", namespace="t.laws")
assert torch.equal(large.load(), build())
key = cache.key({{}}, version="1", namespace="t.laws")
try:
    cache.put(key, build())
except tensorcache.TensorCacheError as error:
    print(type(error).__name__, str(error).rpartition(": ")[2])
same(get(cache, 1), 1)
same(hit(cache, 1), 1)
print(large.published, "File too large" in large.why)
"""
    done = ran(sys.executable, "-c", code, root)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "ReadOnlyCache raise the limit on the size of files (ulimit -f)\nFalse True\n"
    )
    assert done.stderr.count("\n") == 1
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []
    reached("full", cases=1)


# --- no right to write ---

READ_AND_BUILD = f"""{PREAMBLE}
from roots import hit, same
cache = tensorcache.open(sys.argv[1])
same(hit(cache, 1), 1)
entry = get(cache, 2)
same(entry, 2)
print(entry.published)
"""


def test_a_read_only_mount_is_read_and_what_is_built_is_given(tmp_path, caplog):
    root = tmp_path / "cache"
    with tensorcache.open(root) as cache:
        get(cache, 1)
        hit(cache, 1)
    with mounted(tmp_path / "seen", "--bind", str(root)) as seen:
        remount = ["mount", "-o", "remount,bind,ro", str(seen)]
        subprocess.run(remount, capture_output=True, check=True)
        cache = tensorcache.open(seen)
        same(hit(cache, 1), 1)
        assert list(cache.entries()["uses"]) == [0]
        caplog.clear()
        entry = get(cache, 2)
        same(entry, 2)
        assert not entry.published
        assert "Read-only file system" in entry.why
        assert len(warnings_in(caplog)) == 1
        for change in (
            lambda: cache.put(entry.key, payload(2)),
            lambda: cache.pin(entry.key.digest),
            cache.vacuum,
        ):
            with pytest.raises(tensorcache.TensorCacheError, match=r"who may write|no entry"):
                change()
        assert cache.verify(deep=True) == []
    with tensorcache.open(root) as cache:
        assert list(cache.entries()["uses"]) == [1]
        assert cache.verify(deep=True) == []
    reached("full", cases=1)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["its root", "all of it"])
def test_a_cache_that_nobody_may_write_is_read_and_what_is_built_is_given(whole, root):
    with tensorcache.open(root) as cache:
        for n in (1, 3):
            get(cache, n)
    folders = [root, *(path for path in Path(root).rglob("*") if path.is_dir())]
    for folder in folders if whole else [root]:
        os.chmod(folder, 0o555)
    done = ran(*as_one_whom_modes_bind(sys.executable, "-c", READ_AND_BUILD, root))
    for folder in folders:
        os.chmod(folder, 0o755)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{not whole}\n"
    assert done.stderr.count("\n") == whole
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []
    reached("full", cases=1)


@pytest.mark.slow
def test_where_no_cache_can_begin_what_is_built_is_given(tmp_path):
    os.chmod(tmp_path, 0o555)
    code = f"{PREAMBLE}\nfrom roots import same\nsame(get(tensorcache.open(sys.argv[1]), 2), 2)"
    done = ran(*as_one_whom_modes_bind(sys.executable, "-c", code, str(tmp_path / "cache")))
    os.chmod(tmp_path, 0o755)

    assert done.returncode == 0, done.stderr
    assert "no cache can begin" in done.stderr
    assert done.stderr.count("\n") == 1
    with tensorcache.open(tmp_path / "cache") as cache:
        assert get(cache, 2).published
