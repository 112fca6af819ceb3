"""What is in the files themselves: their modes, their bytes, and that a builder reads them too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ENVIRONMENT, python, wait_for
from roots import PREAMBLE, get, hit, mode_of, names_in

from tensorcache import disk
from tensorcache.errors import EntryCorrupt
from tensorcache.manifest import from_bytes

WRITE = PREAMBLE + (
    "import os; os.umask(int(sys.argv[2], 8))\n"
    "cache = tensorcache.open(sys.argv[1])\n"
    "cache.pin(get(cache, 1).key, 'mine')\n"
    "get(cache, 1)\n"
)


CLAIM = (
    "import os, sys, time; from tensorcache import disk\n"
    "lease = disk.claim(disk.Root(sys.argv[1]), 'ab' * 32)\n"
    "os._exit(0)\n"
)


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("002", 0o664), ("077", 0o600)])
def test_modes_follow_the_umask_and_pieces_are_read_only(umask, mode, root):
    python(WRITE, root, umask)
    pieces = names_in(root, "entries", "shards", "documents")
    others = names_in(root, "") - pieces
    folders = {place for place, _, _ in os.walk(root)} - {root}

    assert {mode_of(Path(root, name)) for name in pieces} == {0o444}
    assert {mode_of(Path(root, name)) for name in others if "index" not in name} == {mode}
    assert {mode_of(folder) for folder in folders} == {mode | (mode & 0o444) >> 2}
    assert mode_of(root) == 0o700


def test_a_lease_dies_with_its_process_whatever_children_live_on(place):
    lives_on = CLAIM.replace("os._exit", "os.fork() or time.sleep(5); os._exit")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT}
    subprocess.run([sys.executable, "-c", lives_on, place.path], check=True, **quiet)
    leases = []
    wait_for(lambda: leases.append(disk.claim(place, "ab" * 32)) or leases[-1], 2)

    leases[-1].release()


def test_what_is_taken_up_since_it_was_listed_is_left_alone(place):
    python(CLAIM, place.path)
    (leftover,) = disk.listing(place).building
    lease = disk.claim(place, "ab" * 32)

    disk.remove_leftover(place, leftover)

    assert os.path.exists(lease.path)
    lease.release()


def test_no_note_is_written_through_a_planted_link(place, tmp_path):
    target = tmp_path / "precious"
    os.mkdir(place.join("building"))
    os.symlink(target, place.join("building", f"{'ab' * 32}.note"))

    disk.leave_notes(place, ["ab" * 32])

    assert not target.exists()


def test_no_bit_of_a_manifest_changes_unseen(cache):
    key = get(cache, 1).key.digest
    data = Path(disk.manifest_path(disk.Root(cache.root), key)).read_bytes()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(EntryCorrupt):
            from_bytes(bytes(flipped), key)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="nobody says what is mapped")
def test_a_builder_trains_on_what_it_published(cache, root):
    entry = get(cache, 1)
    assert int(entry["shared"].sum()) == 4950
    mapped = Path("/proc/self/maps").read_text()

    assert not entry.hit
    assert any(name in mapped for name in names_in(root, "shards"))
    assert hit(cache, 1)["shared"].equal(entry["shared"])
