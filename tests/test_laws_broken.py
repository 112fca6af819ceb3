"""Law 6, pieces: a bit that flipped is never served, and one rebuild heals all that share it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
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


@pytest.mark.parametrize("harm", ["flip", "cut", "lengthen", "lose", "link", "pipe", "directory"])
@pytest.mark.parametrize("kind", ["shards", "documents"])
def test_a_broken_piece_is_a_miss_and_one_rebuild_heals_all_that_share_it(
    harm, kind, cache, root, caplog
):
    def shared(n):
        names = [{"name": "a" * i} for i in range(9)]
        return lambda: {"x": torch.arange(9), "names": names, "own": torch.full((n,), n)}

    def ask(n):
        return cache.get_or_build({"n": n}, shared(n), version="1", namespace="t.laws")

    ask(1)
    pieces = sorted(Path(root, name) for name in names_in(root, kind))
    ask(2)
    ask(3)
    (broken,) = [path for path in pieces if kind == "documents" or b'{"x#' in path.read_bytes()]
    if harm == "flip":
        flip(broken)
    elif harm in ("cut", "lengthen"):
        data = broken.read_bytes()
        broken.unlink()
        broken.write_bytes(data[:-1] if harm == "cut" else data + b"!")
    else:
        data = broken.read_bytes()
        broken.unlink()
        if harm == "link":
            (broken.parent / "elsewhere").write_bytes(data)
            broken.symlink_to("elsewhere")
        elif harm == "pipe":
            os.mkfifo(broken)
        elif harm == "directory":
            broken.mkdir()
    with tensorcache.open(root, mode="ro") as others:
        keys = [cache.key({"n": n}, version="1", namespace="t.laws") for n in (1, 2, 3)]
        assert [others.get(key) for key in keys] == [None] * 3
    caplog.clear()

    assert [ask(n).hit for n in (1, 2, 3)] == [False, True, True]
    (warning,) = caplog.records
    assert "counts as a miss" in warning.message
    assert os.path.exists(root + "/quarantine") == (harm != "lose")
    events = cache.sql("SELECT kind FROM event").kind.value_counts()
    assert events.get("quarantine", 0) == (harm != "lose")
    assert events["build"] == 4


def test_a_broken_manifest_is_a_miss_and_moves_alone(cache, root, caplog):
    get(cache, 1)
    pieces = names_in(root, "shards", "documents")
    manifest = Path(root, *names_in(root, "entries"))
    flip(manifest, 50)

    assert built_again(cache, 1)
    assert names_in(root, "shards", "documents") == pieces
    (aside,) = names_in(root, "quarantine")
    assert aside.endswith(manifest.name)
    assert len(caplog.records) == 1


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
