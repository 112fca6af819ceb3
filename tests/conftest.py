"""Fixtures: a cache that is verified to the last byte when its test ends."""

from __future__ import annotations

import os
import sys

import pytest

import tensorcache

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "scripts"))
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
