"""Fixtures: a cache that is verified to the last byte when its test ends."""

from __future__ import annotations

import gc
import logging
import os
import tempfile

import pytest
from roots import place, shm, small_disk
from scenarios.start import Start
from small_league import altered_db, league_db

import tensorcache

__all__ = ["altered_db", "cache", "league_db", "place", "root", "shm", "small_disk"]
os.environ.pop("TENSORCACHE_DIR", None)
os.environ.pop("TENSORCACHE_MODE", None)
os.environ.pop("TENSORCACHE_MAX_SIZE", None)


def pytest_collection_finish():
    """What is imported by now stays: a test that collects looks at what is new, not at torch."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_as_it_is():
    """What one test asks of the log is no other's."""
    logging.getLogger("tensorcache").setLevel(logging.NOTSET)


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


@pytest.fixture
def tc(root, capsys):
    """Run a command in this process: its exit code, stdout, stderr."""
    from tensorcache import cli  # typer and rich, which few tests need

    def run(*words):
        capsys.readouterr()
        code = cli.run([*words, "--cache", root])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def starts():
    """Two processes of the scenario matrix; their cache must be whole in the end."""
    within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # there fsync costs nothing
    with tempfile.TemporaryDirectory(dir=within) as directory:
        both = [Start(os.path.join(directory, "cache")) for _ in range(2)]
        yield both
        for start in both:
            start.close()
        with tensorcache.open(both[0].root) as cache:
            assert cache.verify(deep=True) == []
