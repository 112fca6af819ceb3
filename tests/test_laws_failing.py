"""Laws 6 and 7: whatever fails outside, the caller gets what was built, and one warning."""

from __future__ import annotations

import gc
import logging
import shutil
from pathlib import Path

import msgpack
import pytest
from blake3 import blake3
from roots import build_fails, get, named_by_manifests, names_in, payload, same

import tensorcache

# --- 6. never a wrong value, never a needless failure ---


def remove_the_root(root):
    shutil.rmtree(root)


def make_building_a_file(root):
    shutil.rmtree(root / "building")
    (root / "building").write_text("")


def make_the_lock_a_directory(root):
    (root / "lock").unlink()
    (root / "lock").mkdir()


@pytest.mark.parametrize("harm", [remove_the_root, make_building_a_file, make_the_lock_a_directory])
@pytest.mark.parametrize("while_building", [False, True])
def test_what_cannot_be_published_is_given_all_the_same_with_one_warning(
    harm, while_building, root, caplog
):
    cache = tensorcache.open(root)
    get(cache, 1)
    calls = []

    def build():
        calls.append(1)
        if while_building:
            harm(Path(root))
        return payload(2)

    if not while_building:
        harm(Path(root))
    entry = cache.get_or_build({"n": 2}, build, version="1", namespace="t.laws")

    same(entry, 2)
    assert calls == [1]
    assert not entry.published
    assert "not published" in entry.why
    assert [r.levelname for r in caplog.records if r.levelno >= logging.WARNING] == ["WARNING"]
    with pytest.raises(TypeError, match="in memory only"):
        entry.__reduce__()


def newer(root, key):
    """Put a manifest of format 2 in place of the one of a key; its bytes."""
    path = Path(root, "entries", key.digest[:2], f"{key.digest}.msgpack")
    fields = msgpack.unpackb(path.read_bytes()[:-32])
    body = msgpack.packb({**fields, "format": 2, "sections": {"what": "nobody knows"}})
    data = body + blake3(body).digest()
    path.unlink()
    path.write_bytes(data)
    return path, data


def test_a_manifest_of_a_newer_format_is_never_replaced_nor_its_pieces_taken(root, caplog):
    with tensorcache.open(root) as cache:
        keys = [get(cache, n).key for n in (1, 2)]
        gc.collect()
        path, data = newer(root, keys[0])
        its_pieces = named_by_manifests(root)
        entry = get(cache, 1)
        forced = get(cache, 1, refresh=True)
        with pytest.raises(tensorcache.CacheTooNew, match="upgrade tensorcache"):
            cache[keys[0]]
        with pytest.raises(tensorcache.CacheTooNew):
            cache.put(keys[0], payload(1))
        same(entry, 1)
        same(forced, 11)
        assert not entry.published
        assert not forced.published
        assert "upgrade tensorcache" in entry.why
        Path(root, "index.sqlite").unlink()
        cache.remove(keys[1])
        cache.vacuum(max_bytes=1, grace_seconds=0)

    assert path.read_bytes() == data
    kept = names_in(root, "entries", "shards", "documents")
    assert named_by_manifests(root) <= kept <= its_pieces
    assert cache.verify(deep=True) == []


# --- 7. sources are identified before the build and again after it ---


@pytest.mark.parametrize("change", ["write", "remove"])
def test_a_source_that_moves_while_it_is_read_is_not_published(change, cache, tmp_path, caplog):
    logs = tmp_path / "logs.csv"
    logs.write_text("old")

    def build():
        if change == "write":
            logs.write_text("new")
        else:
            logs.unlink()
        return payload(1)

    def ask(build):
        return cache.get_or_build(
            {}, build, version="1", namespace="t.laws", sources={"logs": tensorcache.files(logs)}
        )

    entry = ask(build)

    same(entry, 1)
    assert not entry.published
    assert "the source 'logs'" in entry.why
    assert len(caplog.records) == 1
    assert names_in(cache.root, "entries") == set()
    logs.write_text("new")
    assert ask(lambda: payload(2)).published
    assert ask(build_fails).hit
