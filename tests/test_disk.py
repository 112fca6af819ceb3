"""Disk: who may use a root, how it begins, its locks, and what may be lost; no payloads here."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest
from blake3 import blake3
from processes import python, start
from roots import mode_of

from tensorcache import disk
from tensorcache.disk.place import write_aside
from tensorcache.errors import (
    CacheTooNew,
    EntryCorrupt,
    EntryMissing,
    LeaseTimeout,
)
from tensorcache.key import make_key
from tensorcache.manifest import Manifest, Piece, to_bytes

ASKED = [make_key({"n": n}, version="hand:1", sources={}, namespace="t.disk") for n in range(16)]
KEYS = [key.digest for key in ASKED]
TEXTS = {key.digest: key.text for key in ASKED}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


# --- locks and leases ---

HOLD = """
import sys, time
from tensorcache import disk
root = disk.Root(sys.argv[1])
with disk.locked(root):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_root_lock_is_held_once_and_freed_by_death(place):
    with start(HOLD, place.path) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LeaseTimeout, match="was held for 0 s"), disk.locked(place, 0.1):
            pass
        process.kill()
        began = time.monotonic()
        with disk.locked(place):
            assert time.monotonic() - began < 1


def test_the_root_lock_keeps_threads_apart(place):
    inside, most = [], []

    def enter():
        for _ in range(20):
            with disk.locked(place):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(most) == 80
    assert max(most) == 1


def test_a_lease_is_had_by_one_and_says_by_whom(place):
    lease = disk.claim(place, KEYS[0])

    assert disk.claim(place, KEYS[0]) is None
    other = disk.claim(place, KEYS[1])
    assert other is not None
    note = disk.holder(place, KEYS[0])
    assert note["pid"] == os.getpid()
    assert note["host"] == os.uname().nodename
    assert abs(note["started_at"] - time.time()) < 60
    lease.release()
    other.release()
    assert os.listdir(place.join("building")) == []
    assert disk.holder(place, KEYS[0]) is None


def test_a_lease_counts_only_while_its_file_has_its_name(place):
    lease = disk.claim(place, KEYS[0])
    os.unlink(place.join("building", f"{KEYS[0]}.lock"))
    again = disk.claim(place, KEYS[0])

    assert again is not None
    lease.release()
    again.release()


def test_no_lock_follows_a_planted_link(place, tmp_path):
    (tmp_path / "target").write_text("precious")
    os.mkdir(place.join("building"))
    os.symlink(tmp_path / "target", place.join("building", f"{KEYS[0]}.lock"))
    os.unlink(place.join("lock"))
    os.symlink(tmp_path / "target", place.join("lock"))
    with pytest.raises(OSError, match="symbolic links") as caught:
        disk.claim(place, KEYS[0])
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError, match="symbolic links"), disk.locked(place):
        pass

    assert (tmp_path / "target").read_text() == "precious"


def test_an_uncommon_lock_file_does_not_hang(place):
    os.mkdir(place.join("building"))
    os.mkfifo(place.join("building", f"{KEYS[0]}.lock"))
    began = time.monotonic()
    lease = disk.claim(place, KEYS[0])
    if lease is not None:
        lease.release()

    assert time.monotonic() - began < 1


# --- publication, piece by piece ---


def published(root, key=KEYS[0], data=b"[1]"):
    """Publish an entry of one document by hand; its piece."""

    def write(sink):
        sink(data)
        return Piece(blake3(data).hexdigest(), len(data))

    with disk.locked(root):
        pass
    staging = disk.stage(root)
    piece = staging.add("document", len(data), write)
    manifest = Manifest(
        key=key, identity=TEXTS.get(key, "{}"), is_dict=False, sections={}, shards=(),
        documents=(piece,), sources=(), created_at=0.0, build_seconds=0.0, host="", tools={},
    )  # fmt: skip
    with disk.locked(root):
        staging.seal(manifest)
        staging.publish(manifest, disk.Memory(root, write=True))
    staging.discard()
    return piece


def test_what_is_published_lies_where_its_digest_says_and_is_read_only(place):
    piece = published(place)
    path = Path(disk.piece_path(place, "document", piece.digest))

    assert path == Path(place.path, "documents", piece.digest[:2], f"{piece.digest}.msgpack")
    assert path.read_bytes() == b"[1]"
    assert mode_of(path) == 0o444
    assert mode_of(disk.manifest_path(place, KEYS[0])) == 0o444
    assert disk.keys_of(place) == [KEYS[0]]
    assert disk.notes(place) == [KEYS[0]]
    assert os.listdir(place.join("building")) == [f"{KEYS[0]}.note"]


def test_a_piece_in_place_is_kept_if_its_stat_vouches_and_replaced_otherwise(place):
    path = disk.piece_path(place, "document", published(place).digest)
    first = os.stat(path).st_ino
    published(place, KEYS[1])
    kept = os.stat(path).st_ino
    os.utime(path)
    published(place, KEYS[2])

    assert kept == first
    assert os.stat(path).st_ino != first


def test_a_build_in_progress_is_nobodys_leftover_until_its_process_is_gone(place):
    staging = disk.stage(place)
    held = disk.listing(place).building
    code = (
        "import os, sys; from tensorcache import disk\n"
        "staging = disk.stage(disk.Root(sys.argv[1]))\n"
        "open(staging._path + '/half', 'w').write('x' * 100)\n"
        "disk.claim(disk.Root(sys.argv[1]), 'ab' * 32)\n"
        "os._exit(0)\n"
    )
    python(code, place.path)
    leftovers = disk.listing(place).building
    for leftover in leftovers:
        disk.remove_leftover(place, leftover)

    assert held == ()
    assert sorted(one.size_bytes >= 100 for one in leftovers) == [False, True]
    assert len(os.listdir(place.join("building"))) == 1
    staging.discard()
    assert os.listdir(place.join("building")) == []


def test_a_listing_measures_names_of_ours_and_passes_over_others(place):
    piece = published(place)
    for name in ("entries/zz", "shards/ab/readme.txt", "documents/note.txt", "photos/cat.jpg"):
        path = Path(place.join(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("foreign")
    Path(place.join(".tensorcache-" + "0" * 32)).write_text("half")
    Path(place.join("entries", "ab", "ab" * 32 + ".msgpack")).parent.mkdir()
    os.symlink("/nowhere", place.join("entries", "ab", "ab" * 32 + ".msgpack"))
    found = disk.listing(place)

    assert set(found.entries) == {KEYS[0], "ab" * 32}
    assert found.pieces == {("document", piece.digest): 3}
    assert [one.size_bytes for one in found.building] == [4]


def test_a_newer_or_broken_manifest_is_told_apart(place):
    published(place)
    path = Path(disk.manifest_path(place, KEYS[0]))
    whole = path.read_bytes()
    held = disk.hold(place, KEYS[0], disk.Memory(place, write=False), "digest")
    assert held.manifest.key == KEYS[0]
    held.close()
    for broken in (b"", whole[:-1], whole + b"!", whole[:40], bytes(len(whole))):
        path.unlink()
        path.write_bytes(broken)
        with pytest.raises(EntryCorrupt):
            disk.read_manifest(place, KEYS[0])
    path.unlink()
    path.write_bytes(to_bytes(held.manifest._replace(format=2)))
    with pytest.raises(CacheTooNew):
        disk.hold(place, KEYS[0], disk.Memory(place, write=False), "once")
    assert disk.read_manifest(place, KEYS[1]) is None


def test_a_manifest_of_another_key_is_broken(place):
    published(place)
    other = Path(disk.manifest_path(place, KEYS[1]))
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(Path(disk.manifest_path(place, KEYS[0])).read_bytes())

    with pytest.raises(EntryCorrupt, match="it is of the key"):
        disk.read_manifest(place, KEYS[1])


def test_an_entry_on_its_way_out_is_a_miss_and_waits_for_nobody(place):
    published(place)
    with open(disk.manifest_path(place, KEYS[0])) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = time.monotonic()
        assert disk.hold(place, KEYS[0], disk.Memory(place, write=False), "once") is None
        assert time.monotonic() - began < 1


def test_a_held_entry_cannot_be_unlinked_by_one_who_spares_what_is_open(place):
    published(place)
    held = disk.hold(place, KEYS[0], disk.Memory(place, write=False), "once")
    with disk.locked(place):
        assert disk.unlink_manifests(place, KEYS[:1], spare_open=True) == ([], None)
        held.close()
        assert disk.unlink_manifests(place, KEYS[:1], spare_open=True) == (KEYS[:1], None)

    assert disk.keys_of(place) == []


# --- names ---


def test_a_prefix_finds_the_one_key_that_begins_with_it(place):
    published(place, KEYS[1])
    twin = KEYS[1][:10] + "f" * 54
    published(place, twin)

    assert disk.find(place, KEYS[1]) == KEYS[1]
    assert disk.find(place, KEYS[1][:11]) == KEYS[1]
    for prefix, words in [
        (KEYS[1][:5], "give 6 to 64 hexadecimal digits"),
        (KEYS[1] + "0", "give 6 to 64"),
        ("../../etc", "give 6 to 64"),
        (KEYS[1][:10], "2 entries begin with"),
        (KEYS[2], "no entry"),
    ]:
        with pytest.raises(EntryMissing, match=words):
            disk.find(place, prefix)


# --- what may be lost, and pins ---


def test_a_memory_that_is_garbled_or_cannot_be_written_is_empty(place):
    memory = disk.Memory(place, write=True)
    memory["/data/a"] = [1, 2]
    assert disk.Memory(place, write=False).get("/data/a") == [1, 2]
    disk.Memory(place, write=False)["/data/b"] = 1
    (path,) = Path(place.join("sources")).iterdir()
    path.write_bytes(b"\xff{")

    assert memory.get("/data/a") is None
    assert memory.get("/data/b") is None
    os.rename(place.join("sources"), place.join("elsewhere"))
    Path(place.join("sources")).write_text("")
    memory["/data/a"] = 1
    assert memory.get("/data/a") is None


def test_uses_are_appended_taken_by_name_and_forgotten(place):
    for n in range(3):
        disk.append_use(place, (float(n), "hit", KEYS[n], 0.001, 10))
    with open(place.join("journal", "uses"), "a") as file:
        file.write('[1.0, "hit", "torn')
    taken = disk.take_uses(place)
    disk.append_use(place, (9.0, "hit", KEYS[9], 0.001, 10))
    again = disk.take_uses(place)

    ((name, uses),) = taken.items()
    assert [use[2] for use in uses] == KEYS[:3]
    assert again[name] == uses
    assert sum(len(uses) for uses in again.values()) == 4
    for name in again:
        disk.forget_uses(place, name)
    assert disk.take_uses(place) == {}


def test_a_journal_that_nobody_takes_in_keeps_its_newest_uses(place):
    for n in range(6):
        disk.append_use(place, (float(n), "hit", KEYS[n], 0.0, 0))
        if n in (1, 3):  # the next line is one too many
            with open(place.join("journal", "uses"), "ab") as journal:
                journal.truncate(8 << 20)
                journal.write(b"\n")
    files = os.listdir(place.join("journal"))
    found = [use[2] for uses in disk.take_uses(place).values() for use in uses]

    assert len(files) == 2
    assert sorted(found) == sorted(KEYS[3:6])
    assert len(disk.take_uses(place)) == 2


@pytest.mark.parametrize(
    "line",
    [
        '["x","hit","k",0.1,5]',
        '[NaN,"hit","k",0.1,5]',
        '[1.0,"hit","k",0.1]',
        '[1.0,"hit","\\ud800",0.1,5]',
        '[1.0,"hit","k",0.1,5,3,null]',
        '[1.0,"hit","k",0.1,5,"n","8"]',
        "[1,2,3,4,5]",
        '{"at":1}',
        "[1e99",
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_use_is_passed_over(place, line):
    disk.append_use(place, (1.0, "hit", KEYS[1], 0.0, 0))
    with open(place.join("journal", "uses"), "a") as journal:
        journal.write(line + "\n")

    assert list(disk.take_uses(place).values()) == [[[1.0, "hit", KEYS[1], 0.0, 0, None, None]]]


def test_lines_of_older_and_newer_versions_are_uses_too(place):
    use = [1.0, "hit", KEYS[1], 0.5, 7, "t.disk", 2.0]
    for cut in (5, 6, 7):
        disk.append_use(place, tuple(use[:cut]))
    disk.append_use(place, (*use, "what nobody knows yet", 8))

    assert list(disk.take_uses(place).values()) == [
        [[*use[:5], None, None], [*use[:6], None], use, use]
    ]


@pytest.mark.parametrize("digest", ["../precious", "a" * 63, "A" * 64, "a" * 64 + "\n", ""])
def test_what_is_no_digest_leads_nowhere(place, digest):
    with pytest.raises(EntryCorrupt, match="no digest"):
        disk.piece_path(place, "shard", digest)
    with pytest.raises(EntryCorrupt, match="no digest"):
        disk.manifest_path(place, digest)


def test_pins_are_read_with_their_notes_or_by_their_names_alone(place):
    disk.set_pin(place, KEYS[0], "for the paper")
    disk.set_pin(place, KEYS[1], "")
    disk.set_pin(place, KEYS[2], "gone")
    disk.set_pin(place, KEYS[2], None)
    disk.set_pin(place, KEYS[3], None)
    Path(place.join("pins", KEYS[4])).write_text("garbled")

    assert disk.read_pins(place) == {KEYS[0]: "for the paper", KEYS[1]: "", KEYS[4]: ""}


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path, root = tmp_path / "file", disk.Root(str(tmp_path))
    write_aside(root, str(path), b"old")
    os.mkdir(tmp_path / "directory")
    with pytest.raises(OSError, match="directory"):
        write_aside(root, str(tmp_path / "directory"), b"new")

    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["directory", "file"]
