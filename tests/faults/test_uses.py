"""Law 8 for statistics: whoever dies while he takes a journal in, what it holds is counted once."""

from __future__ import annotations

import shutil
import time

import pytest
from roots import PREAMBLE, rows
from scale import deaths_at, reached, some

import tensorcache
from tensorcache import disk

SAMPLE = 24  # deaths within `make test`
TAKE = "cache = tensorcache.open({root!r}); cache.stats(); get(cache, 3)"


@pytest.mark.slow
def test_whoever_dies_while_he_takes_it_in_a_journal_is_counted_once(nurse, seed, shm):
    root = shm / "counted"
    code = PREAMBLE + TAKE.format(root=str(root))
    with tensorcache.open(seed) as cache:
        cache.stats()  # from here on the journal holds what we write into it
        known, (key,) = cache.stats(), rows(seed, "SELECT key FROM entry LIMIT 1")[0]

    def begin():
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(seed, root)
        for n in range(5):
            use = (time.time() - n, "hit", key, 0.5, 0, "t.laws", 2.5)
            disk.append_use(disk.Root(str(root)), use)

    begin()
    deaths = some(deaths_at(nurse.calls(code, root)), SAMPLE)
    for call in deaths:
        begin()
        nurse.kill_at(code, *call)
        with tensorcache.open(root) as cache:
            stats = cache.stats()
            assert (stats.hits, stats.hit_seconds) == (known.hits + 5, known.hit_seconds + 2.5)
            assert stats.saved_seconds == pytest.approx(known.saved_seconds + 10.0)
            assert 2 <= stats.builds <= stats.misses <= 3
            assert cache.verify() == []
        hits = rows(root, "SELECT count(*) FROM event WHERE kind = 'hit'")
        assert hits == rows(root, "SELECT sum(uses) FROM entry") == [(known.hits + 5,)]
    reached("killed", cases=len(deaths))
