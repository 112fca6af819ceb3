"""Pieces that no entry refers to, taken away: few or thousands, and what keeps one from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from processes import python

from tensorcache import disk
from tensorcache.errors import UnsafeCache
from tensorcache.manifest import Piece

MANY = 3_000
ASKED, TERMS = {"n": 1}, {"namespace": "t.pieces", "version": "1"}


@pytest.fixture
def orphans(cache):
    """Beside one entry, shards of nobody: (kind, piece) and paths."""
    cache.get_or_build(
        {"n": 1}, namespace="t.pieces", build=lambda: {"x": np.arange(100)}, version="1"
    )
    pieces = [("shard", Piece(blake3(b"%d" % n).hexdigest(), 8)) for n in range(MANY)]
    root = disk.Root(str(cache.root))
    paths = [Path(disk.piece_path(root, kind, piece.digest)) for kind, piece in pieces]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(8))
    return pieces, paths


def test_thousands_go_and_nothing_else(cache, orphans):
    pieces, paths = orphans
    assert cache.vacuum().orphans == tuple(sorted(pieces))

    assert not any(path.exists() for path in paths)
    assert (
        cache.get_or_build({"n": 1}, namespace="t.pieces", build=pytest.fail, version="1")[
            "x"
        ].sum()
        == 4950
    )
    assert cache.verify(deep=True) == []


def test_a_folder_that_leads_elsewhere_ends_it(cache, orphans, tmp_path):
    """It is never followed, and what is left then goes with the next vacuum."""
    pieces, paths = orphans
    folder, outside = paths[0].parent, tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    with pytest.raises(UnsafeCache, match="is a link, and leads out of the cache"):
        disk.unlink_pieces(disk.Root(str(cache.root)), pieces)
    assert len(list(outside.iterdir())) >= sum(path.parent == folder for path in paths)

    folder.unlink()
    outside.rename(folder)
    cache.vacuum()
    assert not any(path.exists() for path in paths)
    assert cache.verify(deep=True) == []


ALONE = """
import sys, threading
import tensorcache

def start(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
tensorcache.open(sys.argv[1]).vacuum()
"""


def test_where_no_thread_can_begin_one_does_it(cache, orphans):
    _, paths = orphans
    python(ALONE, cache.root)

    assert not any(path.exists() for path in paths)
    assert cache.verify(deep=True) == []


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
import tensorcache

unlink, left = os.unlink, [100]

def press():
    os.kill(os.getpid(), signal.SIGINT)

def slow(path):
    if path.endswith(".safetensors"):
        left[0] -= 1
        if left[0] == 0:
            press()
            threading.Timer(0.005, press).start()
        time.sleep(0.1 if left[0] < 8 else 0.001)  # long, where it is pressed
    unlink(path)

def count():
    return sum(1 for _ in Path(sys.argv[1]).glob("shards/*/*"))

os.unlink = slow
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    tensorcache.open(sys.argv[1]).vacuum()
except KeyboardInterrupt:
    here = count()
    time.sleep(0.2)
    print(here, count())
"""


def test_no_thread_goes_on_after_ctrl_c_however_often_it_is_pressed(cache, orphans):
    """By then another may have the root lock, and have taken what lay there for its own."""
    _, paths = orphans
    here, later = map(int, python(INTERRUPTED, cache.root).split())

    assert here == later
    assert 90 <= sum(not path.exists() for path in paths) < 200
    cache.vacuum()
    assert not any(path.exists() for path in paths)
    assert cache.verify(deep=True) == []
