"""What builds usually take: the median of the newest, or nothing at once."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest
from index_rows import NOON, entry_rows, index, path  # noqa: F401 - fixtures

from tensorcache.index import usual_seconds


def built(seconds, place, **options):
    rows = entry_rows({"n": place}, at=NOON + place, **options)
    return rows._replace(manifest=rows.manifest._replace(build_seconds=seconds))


@pytest.mark.parametrize(
    ("took", "usual"),
    [([], None), ([3.0], 3.0), ([1.0, 9.0, 2.0], 2.0), ([0.0, 0.0, 7.0], 7.0), ([0.0], None)],
)
def test_the_usual_is_the_median_of_what_was_built(took, usual, index, path):
    index.add([built(seconds, place) for place, seconds in enumerate(took)])

    assert usual_seconds(path, "model_a.batches") == usual


def test_the_newest_twenty_of_the_namespace_count(index, path):
    index.add([built(100.0, place) for place in range(30)])
    index.add([built(2.0, place) for place in range(30, 50)])
    index.add([built(50.0, place, namespace="model_a.lists") for place in range(50, 60)])

    assert usual_seconds(path, "model_a.batches") == 2.0
    assert usual_seconds(path, "model_a.lists") == 50.0


def test_an_index_that_is_away_broken_or_locked_tells_nothing_at_once(index, path, tmp_path):
    index.add([built(3.0, 1)])
    (tmp_path / "broken").write_bytes(b"no database" * 99)
    began = time.monotonic()
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        assert usual_seconds(path, "model_a.batches") is None
    assert usual_seconds(str(tmp_path / "broken"), "model_a.batches") is None
    assert usual_seconds(str(tmp_path / "away"), "model_a.batches") is None
    assert not (tmp_path / "away").exists()
    assert time.monotonic() - began < 1
