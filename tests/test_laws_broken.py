"""Law 6, pieces: a bit that flipped is never served, and one rebuild heals all that share it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

from roots import flip, get, hit, names_in, same, shards_of

import tensorcache


def lose(path):
    path.unlink()


# --- 6. shards and documents are checked by policy ---


def rot_unseen(root, path):
    """Flip a bit as a bad disk does: the stat stays as it is remembered."""
    flip(path)
    status = os.stat(path)
    stat = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    name = hashlib.sha256(os.path.relpath(path, root).encode()).hexdigest()[:32]
    remembered = Path(root, "sources", f"{name}.json")
    assert len(json.loads(remembered.read_text())) == len(stat)
    remembered.write_text(json.dumps(stat))


def built_again(cache, n, **options):
    """Whether a miss, which is then built."""
    return not get(cache, n, **options).hit


def test_policy_size_finds_a_cut_shard_only(root):
    with tensorcache.open(root, verify="size") as cache:
        get(cache, 1)
        shard = shards_of(root)[0]
        flip(shard)
        assert not built_again(cache, 1)
        shard.write_bytes(shard.read_bytes()[:-1])
        assert built_again(cache, 1)
        assert cache.verify(deep=True) == []
        same(hit(cache, 1), 1)


def test_a_broken_manifest_met_while_the_index_is_made_anew_is_set_aside(cache, root):
    get(cache, 1)
    manifest = Path(root, *names_in(root, "entries"))
    flip(manifest, 50)
    assert len(cache.verify()) == 1
    lose(Path(root, "index.sqlite"))
    cache.vacuum()

    assert names_in(root, "entries", "shards", "documents") == set()
    assert len(names_in(root, "quarantine")) == 1


def test_rot_under_a_remembered_stat_is_found_by_verify_and_by_policy_digest(cache, root):
    get(cache, 1)
    shard = shards_of(root)[0]
    rot_unseen(root, shard)

    assert not built_again(cache, 1)  # documented: what is remembered is trusted
    assert cache.verify() == []
    (fault,) = cache.verify(deep=True)
    assert shard.stem[:16] in fault
    with tensorcache.open(root, verify="digest") as strict:
        assert built_again(strict, 1)


def test_a_copied_root_is_read_anew_before_it_is_trusted(cache, root, tmp_path):
    get(cache, 1)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", root, copy], check=True)
    shard = shards_of(copy)[0]
    times = os.stat(shard)
    flip(shard)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    with tensorcache.open(copy) as copied:
        assert built_again(copied, 1)
        assert copied.verify(deep=True) == []
