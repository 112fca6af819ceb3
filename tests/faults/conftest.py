"""Fixtures of the fault tests."""

from __future__ import annotations

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
