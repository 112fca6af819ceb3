"""Fixtures: a cache that is verified to the last byte when its test ends."""

from __future__ import annotations

import os

import pytest
from roots import place, shm, small_disk
from small_league import altered_db, league_db

import tensorcache

__all__ = ["altered_db", "cache", "league_db", "place", "root", "shm", "small_disk"]
os.environ.pop("TENSORCACHE_DIR", None)
os.environ.pop("TENSORCACHE_MODE", None)
os.environ.pop("TENSORCACHE_MAX_SIZE", None)


@pytest.fixture
def root(tmp_path):
    """Where a test's cache lies."""
    return str(tmp_path / "cache")


@pytest.fixture
def cache(root):
    """An open cache; whatever a test did to it, it must be whole afterwards."""
    with tensorcache.open(root) as cache:
        yield cache
        assert cache.verify(deep=True) == []
