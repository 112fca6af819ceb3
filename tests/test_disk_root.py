"""Who may use a root, and how it begins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from processes import ENVIRONMENT, python
from roots import files_in, mode_of

from tensorcache import disk
from tensorcache.disk.place import filesystem
from tensorcache.errors import (
    CacheTooNew,
    NotACache,
    UnsafeCache,
)

KEYS = [f"{n:02x}" * 32 for n in range(16)]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


# --- how a root begins ---


@pytest.mark.parametrize("umask", ["0o22", "0", "0o77"])
def test_a_new_root_is_ours_alone_whatever_the_umask(umask, tmp_path):
    begin = (
        "import os, sys; from tensorcache import disk; os.umask(eval(sys.argv[2]))\n"
        "disk.prepare(disk.Root(sys.argv[1], sys.argv[3] == 'group'), write=True)\n"
    )
    python(begin, tmp_path / "alone", umask, "")
    python(begin, tmp_path / "shared", umask, "group")

    assert mode_of(tmp_path / "alone") == 0o700
    assert mode_of(tmp_path / "shared") == 0o2770


def test_a_new_root_has_its_marker_and_a_tag_for_backup_tools(tmp_path):
    root = disk.Root(str(tmp_path / "deep" / "er" / "cache"))
    disk.prepare(root, write=True)

    assert files_in(root.path) == ["CACHEDIR.TAG", "lock", "tensorcache.json"]
    assert json.loads(Path(root.join("tensorcache.json")).read_text()) == {"format": 1}
    tag = Path(root.join("CACHEDIR.TAG")).read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_an_empty_directory_or_a_half_begun_root_becomes_a_root(tmp_path):
    for name in ("lock", "CACHEDIR.TAG", ".tensorcache-" + "0" * 32):
        root = disk.Root(str(tmp_path / name))
        os.mkdir(root.path, 0o700)
        Path(root.join(name)).write_text("")
        disk.prepare(root, write=True)

        assert os.path.exists(root.join("tensorcache.json"))


def test_another_directory_is_no_cache_and_stays_as_it_is(tmp_path):
    foreign = tmp_path / "photos"
    foreign.mkdir(0o700)
    (foreign / "cat.jpg").write_text("meow")
    with pytest.raises(NotACache, match=r"1 other files \('cat.jpg', …\): choose an empty"):
        disk.prepare(disk.Root(str(foreign)), write=True)

    assert files_in(foreign) == ["cat.jpg"]


@pytest.mark.parametrize("write", [True, False])
def test_a_file_is_no_cache(write, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(NotACache, match="is no directory"):
            disk.prepare(disk.Root(str(tmp_path / name)), write=write)


def test_reading_begins_nothing(tmp_path):
    with pytest.raises(NotACache, match="no cache at"):
        disk.prepare(disk.Root(str(tmp_path / "none")), write=False)
    (tmp_path / "empty").mkdir(0o700)
    with pytest.raises(NotACache, match=r"it has no tensorcache\.json"):
        disk.prepare(disk.Root(str(tmp_path / "empty")), write=False)

    assert files_in(tmp_path) == []


def test_a_newer_root_is_left_to_a_newer_version(place):
    marker = Path(place.join("tensorcache.json"))
    marker.write_text('{"format": 2, "more": []}')
    for write in (True, False):
        with pytest.raises(CacheTooNew, match="has format 2, this tensorcache knows 1: upgrade"):
            disk.prepare(place, write=write)

    assert marker.read_text() == '{"format": 2, "more": []}'


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "x"}', "\0\xff", "null"])
def test_a_marker_that_is_not_ours_is_named(text, place):
    Path(place.join("tensorcache.json")).write_text(text, encoding="latin-1")
    with pytest.raises(NotACache, match=r"tensorcache\.json' tells no format"):
        disk.prepare(place, write=True)


# --- who may use it ---


@pytest.mark.parametrize(
    ("mode", "whom"), [(0o757, "anybody"), (0o777, "anybody"), (0o770, "its group")]
)
def test_a_root_that_others_may_write_is_refused_with_the_remedy(mode, whom, place):
    os.chmod(place.path, mode)
    for write in (True, False):
        with pytest.raises(UnsafeCache) as caught:
            disk.prepare(place, write=write)
        assert f"{whom} may write" in str(caught.value)
        assert f"chmod go-w {place.path}" in str(caught.value)
    subprocess.run(["chmod", "go-w", place.path], check=True)
    disk.prepare(place, write=True)


def test_trust_in_the_group_allows_the_group_and_nobody_else(place):
    trusting = disk.Root(place.path, group=True)
    os.chmod(place.path, 0o2770)
    disk.prepare(trusting, write=True)
    os.chmod(place.path, 0o2777)
    with pytest.raises(UnsafeCache, match="anybody may write"):
        disk.prepare(trusting, write=True)


@as_root
def test_anothers_root_may_be_read_and_not_written(place):
    os.chown(place.path, 65534, 65534)
    disk.prepare(place, write=False)
    with pytest.raises(UnsafeCache, match="belongs to user 65534: open it with mode='ro'"):
        disk.prepare(place, write=True)


SHARE = """
import sys, os, tensorcache
os.umask(0o22)
cache = tensorcache.open(sys.argv[1], trust="group")
entry = cache.get_or_build({"n": sys.argv[2]}, lambda: [1], version="1", namespace="t.group")
print(entry.published, entry.why)
cache.pin(entry.key, "mine")
print(len(cache.entries()))
"""


@as_root
def test_two_users_of_a_trusted_group_write_into_one_root():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        shared = os.path.join(directory, "shared")
        os.mkdir(shared)
        os.chown(shared, 1001, 2000)
        os.chmod(shared, 0o2770)
        told = []
        for user in ("1001", "1002"):
            become = ["setpriv", f"--reuid={user}", "--regid=2000", "--clear-groups"]
            command = [*become, sys.executable, "-c", SHARE, shared, user]
            environment = {**ENVIRONMENT, "HOME": directory}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if "Permission denied" in done.stderr and "tensorcache" not in done.stderr:
                pytest.skip("another user cannot read this checkout")
            assert done.stderr == ""
            told.append(done.stdout)

    assert [one.split("\n")[1] for one in told] == ["1", "2"]


def test_the_filesystem_is_told_by_its_mount(tmp_path):
    assert filesystem("/proc") == "proc"
    assert filesystem(str(tmp_path)) not in ("", "nfs")
