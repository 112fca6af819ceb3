"""Doctor: facts of a root in any state, a finding for what wants a deed, and nothing changed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ENVIRONMENT
from roots import fill, flip, get, names_in, shards_of

import tensorcache
from tensorcache import disk, doctor
from tensorcache.doctor import examine, has_wal_fix
from tensorcache.errors import NotACache

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def used(cache):
    """A cache of two entries, one of them pinned."""
    get(cache, 1)
    cache.pin(get(cache, 2).key)
    return cache


def findings(root, **options):
    """What is found, a line each; no test machine is blamed for its own limits."""
    found = examine(disk.Root(str(root), **options)).findings
    return [f"{one.what}: {one.remedy}" for one in found if "files open" not in one.what]


def all_files(root):
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in Path(root).rglob("*")
        if not path.is_dir()
    }


def test_a_sound_cache_has_facts_and_no_findings(used, root):
    before = all_files(root)
    found = examine(disk.Root(root))

    assert findings(root) == []
    assert found.place.root == root
    assert (found.place.format, found.place.mode, found.place.owner) == (1, "0700", os.geteuid())
    assert (found.place.writable, found.place.is_local) == (True, True)
    assert found.place.locks_exclude is True
    assert found.place.free_bytes > 0
    assert found.machine.sqlite == sqlite3.sqlite_version
    assert found.machine.open_files == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found.index.revision == found.index.head
    assert found.index.problem == ""
    contents = found.contents
    assert (contents.entries, contents.pinned, contents.notes, contents.leases) == (2, 1, 0, ())
    assert contents.pieces == len(names_in(root, "shards", "documents"))
    assert contents.size_bytes == sum(
        os.path.getsize(os.path.join(root, name))
        for name in names_in(root, "entries", "shards", "documents")
    )
    assert (contents.leftovers, contents.quarantined) == (0, 0)
    assert all_files(root) == before


def test_a_lease_that_is_held_says_who_holds_it(used, root):
    began = time.time()
    lease = disk.claim(disk.Root(root), "ab" * 32)
    (held,) = examine(disk.Root(root)).contents.leases
    lease.release()
    Path(root, "building", f"{'cd' * 32}.lock").write_text("{}")  # of a process that died

    assert (held.key, held.pid) == ("ab" * 32, os.getpid())
    assert began - 1 <= held.started_at <= time.time()
    found = examine(disk.Root(root))
    assert found.contents.leases == ()
    assert found.contents.leftovers == 1
    assert found.findings == examine(disk.Root(root)).findings


def test_what_was_found_broken_is_counted(used, root):
    flip(shards_of(root)[0])
    used.verify(deep=True, repair=True)
    contents = examine(disk.Root(root)).contents

    assert contents.quarantined == 1
    assert contents.quarantined_bytes > 0
    for n in (1, 2):
        get(used, n)


@pytest.mark.parametrize(
    ("mode", "trusted", "found"),
    [
        (0o777, False, ["anybody may write"]),
        (0o770, False, ["its group may write"]),
        (0o770, True, []),
        (0o777, True, ["anybody may write"]),
    ],
)
def test_who_may_write_is_told_with_the_chmod_line(mode, trusted, found, used, root):
    os.chmod(root, mode)
    told = findings(root, group=trusted)
    os.chmod(root, 0o700)

    assert [line.split(" into ")[0] for line in told] == found
    assert all("chmod go-w" in line for line in told)


@needs_root
def test_the_cache_of_another_is_told(used, root):
    os.chown(root, 12345, -1)
    told = findings(root)
    os.chown(root, os.geteuid(), -1)

    assert len(told) == 1
    assert "belongs to user 12345" in told[0]


@pytest.mark.slow
def test_each_folder_that_is_a_link_is_told_and_not_looked_into(used, root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    whole = examine(disk.Root(root)).contents.pieces
    for name in ("documents", "building"):
        (tmp_path / "elsewhere" / name).mkdir()
        (tmp_path / "elsewhere" / name / "mine").touch()
        os.rename(Path(root, name), tmp_path / name)
        os.symlink(tmp_path / "elsewhere" / name, Path(root, name))
    told = findings(root)
    contents = examine(disk.Root(root)).contents
    code, _, said = run_doctor(root)
    for name in ("documents", "building"):
        os.unlink(Path(root, name))
        os.rename(tmp_path / name, Path(root, name))

    assert (code, said) == (1, "")
    assert [("documents" in line, "building" in line) for line in told] == [
        (True, False),
        (False, True),
    ]
    assert all("is a link, and leads out of the cache: remove it" in line for line in told)
    assert 0 < contents.pieces < whole
    assert contents.leftovers == 0


BROKEN = {
    "file is not a database": (lambda path: path.write_text("x" * 5000), "tensorcache reindex"),
    "is no plain file": (lambda path: (path.unlink(), path.mkdir()), "tensorcache reindex"),
    "malformed": (lambda path: os.truncate(path, 8192), "tensorcache reindex"),
    "has revision 9999": (
        lambda path: execute(path, "UPDATE alembic_version SET version_num = '9999'"),
        "upgrade tensorcache",
    ),
}


def execute(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as index:
        index.execute(statement)
        index.commit()


@pytest.mark.parametrize("what", BROKEN)
def test_an_index_that_is_not_well_is_told_with_its_remedy(what, used, root):
    path = Path(root, "index.sqlite")
    sound = path.read_bytes()
    BROKEN[what][0](path)
    (line,) = findings(root)
    if path.is_dir():
        path.rmdir()
    path.write_bytes(sound)

    assert what in line
    assert BROKEN[what][1] in line
    assert findings(root) == []


def test_an_index_that_a_program_has_locked_is_told_soon(used, root):
    with contextlib.closing(sqlite3.connect(Path(root, "index.sqlite"))) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        (line,) = findings(root)

    assert time.monotonic() - began < 4 * doctor.PATIENCE_SECONDS
    assert "locked" in line
    assert "end the program" in line


def test_an_index_not_yet_made_is_nothing_to_do(used, root):
    os.unlink(os.path.join(root, "index.sqlite"))

    assert findings(root) == []
    assert examine(disk.Root(root)).index.revision is None


def test_a_note_that_nobody_took_in_is_told(used, root):
    key = get(used, 1).key.digest
    disk.leave_notes(disk.Root(root), [key])
    assert findings(root) == []
    old = time.time() - 3600
    os.utime(Path(root, "building", f"{key}.note"), (old, old))

    (line,) = findings(root)
    assert "waited for its rows" in line
    used.upgrade()
    assert findings(root) == []


def test_a_newer_root_is_told_and_its_contents_counted(used, root):
    marker = Path(root, "tensorcache.json")
    marker.write_text('{"format": 99}')
    found = examine(disk.Root(root))
    marker.write_text('{"format": 1}')

    assert found.contents.entries == 2
    assert "format 99" in found.findings[0].what


def test_a_full_disk_is_told(small_disk):
    root = small_disk / "cache"
    with tensorcache.open(root) as cache:
        get(cache, 1)
        fill(small_disk)
        (line,) = findings(root)
        (small_disk / "ballast").unlink()
        assert cache.verify(deep=True) == []

    assert line.startswith("0 bytes are free")


@needs_root
def test_a_cache_that_may_not_be_written_is_examined_all_the_same(used, root, monkeypatch):
    bind = ["mount", "--bind", root, root]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        (line,) = findings(root)
        found = examine(disk.Root(root))
        monkeypatch.setenv("TENSORCACHE_MODE", "ro")
        assert findings(root) == []
        assert examine(disk.Root(root)).settings == {"TENSORCACHE_MODE": "ro"}
    finally:
        subprocess.run(["umount", root], check=True)

    assert "may not be written" in line
    assert found.place.locks_exclude is None
    assert found.contents.entries == 2


def run_doctor(root, prelude="", **variables):
    """The exit code, the answer, and what was said beside it, of a process of its own."""
    command = f"{prelude} exec '{sys.executable}' -m tensorcache doctor --json --cache '{root}'"
    done = subprocess.run(
        ["sh", "-c", command],
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


@pytest.mark.slow
def test_few_open_files_are_told(used, root):
    code, told, said = run_doctor(root, "ulimit -n 200;")

    assert (code, said) == (1, "")
    assert told["machine"]["open_files"] == 200
    assert "ulimit -n 4096" in told["findings"][-1]["remedy"]


@pytest.mark.slow
def test_locks_that_keep_nobody_out_are_told(used, root, tmp_path):
    """As on Lustre without `-o flock`, or on a FUSE filesystem that does not care."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make locks that lie")
    shim = tmp_path / "nolock.so"
    source = tmp_path / "nolock.c"
    source.write_text("int flock(int file, int how) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
    code, told, said = run_doctor(root, LD_PRELOAD=str(shim))

    assert (code, said) == (1, "")
    assert told["place"]["locks_exclude"] is False
    assert any("keep nobody out" in one["what"] for one in told["findings"])


def test_what_is_no_cache_is_said_to_be_none(tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "photo").write_text("x")
    (tmp_path / "file").write_text("x")
    half = tmp_path / "half"
    half.mkdir()
    (half / "tensorcache.json").write_text("{}")

    for place in (tmp_path / "missing", tmp_path / "file", full, half, full / "photo" / "in"):
        with pytest.raises(NotACache):
            examine(disk.Root(str(place)))
    assert sorted(os.listdir(full)) == ["photo"]


def test_which_sqlite_can_corrupt_a_file_in_wal_mode():
    safe = [(3, 6, 23), (3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
    unsafe = [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 9), (3, 50, 6), (3, 51, 2)]

    assert [has_wal_fix(version) for version in safe] == [True] * len(safe)
    assert [has_wal_fix(version) for version in unsafe] == [False] * len(unsafe)
