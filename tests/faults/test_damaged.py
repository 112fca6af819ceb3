"""Law 6: what is damaged is named, is a miss and moves alone; one rebuild heals all sharers."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
from pathlib import Path

import msgpack
import pytest
import torch
from damage import HARMS, elsewhere
from roots import PREAMBLE, build_fails, copied, flip, names_in, shards_of
from scale import reached, some

import tensorcache

SHARED = ["shards", "documents"]


def shared(n):
    """Three sections: two are the same in every entry, one is its own."""
    names = [{"name": "a" * i} for i in range(9)]
    return {"x": torch.arange(9), "names": names, "own": torch.full((n + 1,), n)}


def ask(cache, n, build=shared):
    return cache.get_or_build({"n": n}, lambda: build(n), version="1", namespace="t.damaged")


def key_of(cache, n):
    return cache.key({"n": n}, version="1", namespace="t.damaged")


def is_right(entry, n):
    got, wanted = entry.load(), shared(n)
    return got["names"] == wanted["names"] and all(
        torch.equal(got[name], wanted[name]) for name in ("x", "own")
    )


@pytest.fixture(scope="module")
def whole(shm):
    """A root of three entries, its journal taken in."""
    with tensorcache.open(shm / "whole") as cache:
        for n in (1, 2, 3):
            ask(cache, n)
        cache.upgrade()
    gc.collect()
    return shm / "whole"


@pytest.fixture
def root(whole, shm):
    """A copy of it, which the fixture `cache` opens."""
    return copied(whole, shm / "within" / "cache")


def shared_piece(root, kind):
    """The shard or document that all entries refer to."""
    (path,) = [
        path
        for path in sorted(Path(root, name) for name in names_in(root, kind))
        if kind == "documents" or b'{"x#' in path.read_bytes()
    ]
    return path


def manifest_of(root, key):
    return Path(root, "entries", key.digest[:2], f"{key.digest}.msgpack")


def quarantined(root):
    folder = Path(root, "quarantine")
    return sorted(os.listdir(folder)) if folder.exists() else []


def kinds(cache):
    return cache.sql("SELECT kind FROM event").kind.tolist()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", SHARED)
def test_a_damaged_piece_is_a_miss_and_one_rebuild_heals_all_that_share_it(
    harm, kind, cache, root, caplog
):
    path = shared_piece(root, kind)
    data = path.read_bytes()
    HARMS[harm].do(path)
    with tensorcache.open(root, mode="ro") as others:
        assert [others.get(key_of(cache, n)) for n in (1, 2, 3)] == [None] * 3
    caplog.clear()

    entries = [ask(cache, n) for n in (1, 2, 3)]

    assert [entry.hit for entry in entries] == [False, True, True]
    assert all(is_right(entry, n) for n, entry in enumerate(entries, 1))
    (warning,) = caplog.records
    assert "counts as a miss" in warning.message
    assert path.read_bytes() == data
    assert [name.partition("-")[2] for name in quarantined(root)] == [path.name] * (harm != "lost")
    assert kinds(cache).count("quarantine") == (harm != "lost")
    assert kinds(cache).count("build") == 4
    if harm == "link":
        assert elsewhere(path).read_bytes() == data
    reached("damaged", cases=1)


@pytest.mark.parametrize("harm", some(list(HARMS), 11))
@pytest.mark.parametrize("kind", SHARED)
def test_verify_names_a_damaged_piece_and_repair_moves_it_alone(harm, kind, cache, root):
    path = shared_piece(root, kind)
    there = names_in(root, "entries", "shards", "documents")
    HARMS[harm].do(path)
    word = HARMS[harm].word
    named = cache.verify(deep=True)
    seen = cache.verify()

    repaired = cache.verify(deep=True, repair=True)

    assert len(named) == 3
    assert {line[:22] for line in named} == {
        f"entry {key_of(cache, n).digest[:16]}" for n in (1, 2, 3)
    }
    assert all(path.stem[:16] in line and word in line for line in named)
    assert seen == ([] if word == "do not match" else named)
    assert repaired == [line + "; moved to quarantine" * (harm != "lost") for line in named]
    assert len(quarantined(root)) == (harm != "lost")
    assert names_in(root, "entries", "shards", "documents") == there - {os.path.relpath(path, root)}
    left = cache.verify(deep=True, repair=True)  # nothing that is left can be mended but by a build
    assert len(left) == 3
    assert all("it is missing; the next build heals it" in line for line in left)
    assert [ask(cache, n).hit for n in (1, 2, 3)] == [False, True, True]
    reached("damaged", cases=1, named=3)


@pytest.mark.parametrize("harm", some([harm for harm in HARMS if harm != "lost"], 11))
@pytest.mark.parametrize("repair", [False, True], ids=["met", "repaired"])
def test_a_damaged_manifest_is_a_miss_and_moves_alone(harm, repair, cache, root, caplog):
    key = key_of(cache, 1)
    path = manifest_of(root, key)
    pieces = names_in(root, "shards", "documents")
    HARMS[harm].do(path)
    with tensorcache.open(root, mode="ro") as others:
        assert others.get(key) is None
    (line,) = cache.verify()
    assert line.startswith(f"entry {key.digest[:16]}: ")
    if repair:
        assert cache.verify(repair=True) == [f"{line}; moved to quarantine"]
        assert cache.verify(deep=True) == []
    caplog.clear()

    entries = [ask(cache, n) for n in (2, 3, 1)]

    assert [entry.hit for entry in entries] == [True, True, False]
    assert is_right(entries[2], 1)
    assert len(caplog.records) == (not repair)
    assert [name.partition("-")[2] for name in quarantined(root)] == [path.name]
    assert names_in(root, "shards", "documents") == pieces
    assert kinds(cache).count("quarantine") == 1
    reached("damaged", cases=1, named=1)


def test_a_lost_manifest_is_a_miss_whose_rows_are_named_and_dropped(cache, root):
    key = key_of(cache, 1)
    manifest_of(root, key).unlink()

    assert cache.verify() == [f"index: entry {key.digest[:16]} has rows and no manifest"]
    (line,) = cache.verify(repair=True)
    assert line.endswith("; its rows are written anew")
    assert cache.verify(deep=True) == []
    assert len(cache.entries()) == 2
    assert [ask(cache, n).hit for n in (1, 2, 3)] == [False, True, True]


def test_manifests_that_changed_places_are_foreign_where_they_are(cache, root):
    paths = [manifest_of(root, key_of(cache, n)) for n in (1, 2)]
    manifests = [path.read_bytes() for path in paths]
    for path, data in zip(paths, manifests[::-1], strict=True):
        path.unlink()
        path.write_bytes(data)

    named = cache.verify()
    assert len(named) == 2
    assert all("it is of the key" in line for line in named)
    assert [ask(cache, n).hit for n in (1, 2, 3)] == [False, False, True]
    assert len(quarantined(root)) == 2


def test_shards_that_changed_places_do_not_match_their_names(cache, root):
    ask(cache, 13, lambda _: {"own": torch.full((2,), 13)})
    ask(cache, 14, lambda _: {"own": torch.full((2,), 14)})
    pair = [
        Path(root, "shards", digest[:2], f"{digest}.safetensors")
        for n in (13, 14)
        for digest, _ in msgpack.unpackb(manifest_of(root, key_of(cache, n)).read_bytes()[:-32])[
            "shards"
        ]
    ]
    first, second = (path.read_bytes() for path in pair)
    assert len(first) == len(second)
    for path, data in zip(pair, (second, first), strict=True):
        path.unlink()
        path.write_bytes(data)

    named = cache.verify(deep=True)
    assert len(named) == 2
    assert all("do not match" in line for line in named)
    assert not ask(cache, 13, lambda _: {"own": torch.full((2,), 13)}).hit
    assert not ask(cache, 14, lambda _: {"own": torch.full((2,), 14)}).hit


def test_a_generation_put_back_is_right_or_a_miss(cache, root):
    key = key_of(cache, 1)
    path = manifest_of(root, key)
    old = path.read_bytes()
    other = {"own": torch.arange(77)}
    del_after = cache.get_or_build(
        {"n": 1}, lambda: other, version="1", namespace="t.damaged", refresh=True
    )
    assert torch.equal(del_after["own"], other["own"])
    del del_after
    gc.collect()
    cache.vacuum(grace_seconds=0)
    path.unlink()
    path.write_bytes(old)

    named = cache.verify(deep=True)
    assert any("it is missing" in line for line in named)
    assert any("has old rows" in line for line in named)
    assert not ask(cache, 1).hit
    assert is_right(ask(cache, 1, build_fails), 1)


def test_a_section_whose_structure_is_a_damaged_document_is_named_once(cache, root):
    many = {f"k{i}": i for i in range(9000)}
    ask(cache, 7, lambda _: {"many": many})
    (document,) = (
        Path(root, name)
        for name in names_in(root, "documents")
        if Path(root, name).stat().st_size > 60_000
    )
    flip(document, 5)

    assert len(cache.verify()) <= 1
    (line,) = cache.verify(deep=True)
    assert document.stem[:16] in line
    assert cache.verify(deep=True, repair=True) == [f"{line}; moved to quarantine"]
    assert not ask(cache, 7, lambda _: {"many": many}).hit
    assert ask(cache, 7, build_fails)["many"] == many


def test_fifty_bad_entries_of_two_hundred_are_named_and_the_others_are_fine(shm):
    root = shm / "many"

    def build(n):
        return {"own": torch.arange(n, n + 50), "n": n}

    harms = [harm for name, harm in HARMS.items() if name != "lost"]
    with tensorcache.open(root) as cache:
        keys = [ask(cache, n, build).key for n in range(200)]
        cache.upgrade()
        gc.collect()
        bad = set(range(0, 200, 4))
        for turn, n in enumerate(sorted(bad)):
            manifest = manifest_of(root, keys[n])
            ((digest, _),) = msgpack.unpackb(manifest.read_bytes()[:-32])["shards"]
            shard = root / "shards" / digest[:2] / f"{digest}.safetensors"
            harms[turn % len(harms)].do(manifest if turn % 5 == 0 else shard)

        named = cache.verify(deep=True)

        of_entries = {line[6:22] for line in named if line.startswith("entry ")}
        assert of_entries == {keys[n].digest[:16] for n in bad}
        assert len(named) == 50
        assert all(ask(cache, n, build_fails).hit for n in range(200) if n not in bad)
        assert all("moved to quarantine" in line for line in cache.verify(deep=True, repair=True))
        left = cache.verify(deep=True)
        assert len(left) == 40  # ten had a broken manifest, which nothing stands for any more
        assert all("missing" in line for line in left)
        assert [n for n in range(200) if not ask(cache, n, build).hit] == sorted(bad)
        assert cache.verify(deep=True) == []
    reached("damaged", cases=50, named=50)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "error", "said"),
    [("pread64", "EIO", "Input/output error"), ("openat", "EACCES", "Permission denied")],
)
@pytest.mark.parametrize("what", ["shards", "entries"])
def test_what_cannot_be_read_is_named_as_that_and_never_moved(
    call, error, said, what, nurse, whole, shm, tmp_path
):
    root, told = tmp_path / "cache", tmp_path / "told"
    shutil.copytree(whole, root)
    good = shared_piece(root, "shards")
    rotten = next(path for path in shards_of(root) if b"[2]" in path.read_bytes())  # of entry 1
    flip(rotten)
    with tensorcache.open(root) as cache:
        unreadable = good if what == "shards" else manifest_of(root, key_of(cache, 3))
        code = (
            f"{PREAMBLE}\nfound = tensorcache.open({str(root)!r}).verify(deep=True, repair=True)\n"
            f"open({str(told)!r}, 'w').write('\\n'.join(found))"
        )
        inject = f"inject={call}:error={error}:when=1+"
        assert nurse.trace(code, "-P", str(unreadable), "-e", f"trace={call}", "-e", inject) == 0
        assert "(INJECTED)" in nurse._log.read_text(errors="replace")

        lines = told.read_text().splitlines()
        of_it = [line for line in lines if f"it cannot be read: {said}" in line]
        assert len(of_it) == (3 if what == "shards" else 1)
        assert all("left as it is" in line for line in of_it)
        assert any(rotten.stem[:16] in line and "moved" in line for line in lines)
        assert [name.partition("-")[2] for name in quarantined(root)] == [rotten.name]
        assert unreadable.exists()
        for n in (1, 2, 3):
            assert is_right(ask(cache, n), n)
        assert cache.verify(deep=True) == []


SPOILED = {
    "has no rows": "DELETE FROM entry WHERE key = ?",
    "has old rows": "UPDATE entry SET digest = hex(randomblob(32)) WHERE key = ?",
    "is pinned, and its rows do not say so": "UPDATE entry SET pinned = NULL WHERE key = ?",
    "has rows that name other pieces": "DELETE FROM entry_shard WHERE entry = ?",
}


@pytest.mark.parametrize("wrong", SPOILED)
def test_rows_that_differ_are_named_and_written_anew(wrong, cache, root):
    key = key_of(cache, 2)
    cache.pin(key, "of a person")
    before = cache.entries().set_index("key").pinned
    with sqlite3.connect(Path(root, "index.sqlite")) as index:
        index.execute("PRAGMA foreign_keys = ON")
        index.execute(SPOILED[wrong], [key.digest])

    named = cache.verify()
    assert f"index: entry {key.digest[:16]} {wrong}" in named
    # Where sums are wrong as well, so is the index.
    how = "its rows are written anew" if len(named) == 1 else "the index is made anew"
    assert cache.verify(repair=True) == [f"{line}; {how}" for line in named]
    assert cache.verify(deep=True) == []
    assert cache.entries().set_index("key").pinned.equals(before)


def test_a_pin_that_was_taken_away_by_hand_is_no_pin_any_more(cache, root):
    key = key_of(cache, 2)
    cache.pin(key)
    Path(root, "pins", key.digest).unlink()

    assert [line[-22:] for line in cache.verify()] == ["has rows of an old pin"]
    cache.verify(repair=True)
    assert cache.verify() == []


def test_nothing_is_repaired_where_nothing_may_be_written(root, cache):
    flip(shared_piece(root, "shards"))
    before = sorted(
        (str(path), path.lstat().st_mtime_ns) for path in Path(root).rglob("*") if path.is_file()
    )
    with tensorcache.open(root, mode="ro") as reader:
        assert len(reader.verify(deep=True)) == 3
        for change in (lambda: reader.verify(repair=True), reader.reindex):
            with pytest.raises(tensorcache.ReadOnlyCache, match="mode='rw'"):
                change()

    assert before == sorted(
        (str(path), path.lstat().st_mtime_ns) for path in Path(root).rglob("*") if path.is_file()
    )
    ask(cache, 1)


def test_what_is_whole_by_now_is_not_moved(cache, root):
    """Each fault is judged again: here another process has healed the piece since it was found."""
    from tensorcache.cache import repair, verify

    path = shared_piece(root, "shards")
    data = path.read_bytes()
    flip(path)
    faults = verify.faults_of(cache._root, cache._questions.index, deep=True, forget=True)
    path.unlink()
    path.write_bytes(data)

    assert {fault.done for fault in repair.mend(cache._root, cache._questions.index, faults)} == {
        "found whole by now"
    }
    assert quarantined(root) == []
