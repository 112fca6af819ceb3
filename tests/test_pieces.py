"""Pieces that no entry refers to, taken away: few or thousands, and what keeps one from it."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from processes import start

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


INTERRUPTED = """
import os, signal, sys
import tensorcache

unlink, left = os.unlink, [100]

def counted(path):
    unlink(path)
    left[0] -= ".safetensors" in path
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGINT)

os.unlink = counted
signal.signal(signal.SIGINT, signal.default_int_handler)
tensorcache.open(sys.argv[1]).vacuum()
"""


def test_ctrl_c_ends_it_with_what_the_threads_have_begun(cache, orphans):
    _, paths = orphans
    with start(INTERRUPTED, str(cache.root)) as process:
        assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]

    assert process.returncode in (-signal.SIGINT, 130)
    assert 100 <= sum(not path.exists() for path in paths) < MANY
    cache.vacuum()
    assert not any(path.exists() for path in paths)
    assert cache.verify(deep=True) == []
