"""Entries of a given size, made older than they are, for tests of what retention takes."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import os
import sqlite3
import time

import torch

from tensorcache.worth import worth

NAMESPACE = "t.retention"
KB = 1_000


def ask(cache, n, *, kilobytes=20, fill=None, namespace=NAMESPACE, **options):
    """An entry of its own bytes, or of those that all who give the same `fill` share."""
    value = n if fill is None else fill

    def build():
        return {"x": torch.full((kilobytes * KB,), value, dtype=torch.uint8)}

    options = {"version": "1", **options}
    entry = cache.get_or_build({"n": n}, build, namespace=namespace, **options)
    gc.collect()
    return entry


def made(cache, *numbers, **options):
    """The keys of entries that nobody has open any more."""
    keys = [ask(cache, n, **options).key.digest for n in numbers]
    gc.collect()
    return keys


def age(root, keys, *, hours=2.0, **columns):
    """Let rows say that entries were made and used so long ago, and whatever else is given."""
    at = dt.datetime.fromtimestamp(time.time() - hours * 3600, dt.UTC)
    text = at.strftime("%Y-%m-%d %H:%M:%S.%f")
    columns = {"created_at": text, "touched_at": text, **columns}
    with contextlib.closing(sqlite3.connect(os.path.join(root, "index.sqlite"))) as index, index:
        index.executemany(
            f"UPDATE entry SET {', '.join(f'{name} = ?' for name in columns)} WHERE key = ?",
            [(*columns.values(), key) for key in keys],
        )


def dear(root, keys, seconds):
    """Let rows say that builds took so long, each by its place in `seconds`."""
    with contextlib.closing(sqlite3.connect(os.path.join(root, "index.sqlite"))) as index, index:
        for key, took in zip(keys, seconds, strict=True):
            asked = "SELECT warmth, alone_bytes FROM entry WHERE key = ?"
            (row,) = index.execute(asked, (key,))
            told = (took, worth(took, *row), key)
            index.execute("UPDATE entry SET build_seconds = ?, worth = ? WHERE key = ?", told)


def there(cache):
    """The keys that are in the cache."""
    return set(cache.entries()["key"])
