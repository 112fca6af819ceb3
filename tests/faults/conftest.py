"""Fixtures of the fault tests."""

from __future__ import annotations

import fcntl

import pytest
from deeds import make_seed
from processes import nursery


@pytest.fixture(scope="module")
def nurse(shm):
    """A process that forks children to be killed, failed or frozen."""
    with nursery(shm) as nurse:
        yield nurse


@pytest.fixture(scope="module")
def seed(shm):
    """What deeds begin with; see `deeds.make_seed`."""
    root = shm / "seed"
    make_seed(root)
    return root


@pytest.fixture
def one_crowd(tmp_path_factory):
    """No other crowd of this run meanwhile: two on two cores would test the scheduler."""
    with open(tmp_path_factory.getbasetemp().parent / "crowd.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
