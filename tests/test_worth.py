"""What an entry is worth, and what goes with it alone: the formula, and the rows that keep it."""

import math
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_rows import NOON, A, B, C, entry_rows, index, path

from tensorcache.index import Index, Use
from tensorcache.manifest import Piece
from tensorcache.worth import HALF_LIFE_SECONDS, warmed, worth

__all__ = ["index", "path"]
DAY = 86_400.0
TIMES = st.lists(st.floats(NOON, NOON + 365 * DAY), min_size=1, max_size=20)
PIECES = [A, B, C, Piece("d" * 64, 7_000), Piece("e" * 64, 1)]


def of(times):
    warmth = None
    for at in times:
        warmth = warmed(warmth, at)
    return warmth


def test_a_use_is_worth_half_as_much_after_a_week():
    assert warmed(None, NOON + HALF_LIFE_SECONDS) - warmed(None, NOON) == pytest.approx(1)


def test_uses_add_up():
    assert of([NOON] * 8) == pytest.approx(warmed(None, NOON) + 3)
    assert warmed(None, NOON, 8) == pytest.approx(of([NOON] * 8))


def test_worth_is_seconds_times_uses_over_bytes():
    warmth = warmed(None, NOON)

    assert worth(20, warmth, 100) - worth(10, warmth, 100) == pytest.approx(1)
    assert worth(10, warmth, 100) - worth(10, warmth, 400) == pytest.approx(2)
    assert worth(10, of([NOON, NOON]), 100) == pytest.approx(worth(20, warmth, 100))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_build_that_took_no_time_is_worth_something(seconds):
    assert worth(seconds, 0.0, 0) == pytest.approx(math.log2(1e-3))


@given(TIMES, TIMES, st.floats(0, 900 * DAY))
def test_what_is_worth_more_stays_so_while_nobody_uses_either(ours, theirs, later):
    """As the formula says it with a clock: uses, each weighed by its age at that moment."""
    now = NOON + 365 * DAY + later

    def by_the_clock(times):
        return sum(2 ** ((at - now) / HALF_LIFE_SECONDS) for at in times)

    wanted = math.log2(by_the_clock(ours)) - math.log2(by_the_clock(theirs))
    assert of(ours) - of(theirs) == pytest.approx(wanted, abs=1e-6)


@given(TIMES)
def test_warmth_does_not_hang_on_the_order_of_the_uses(times):
    assert of(times) == pytest.approx(of(sorted(times)), abs=1e-9)


def told(index):
    asked = "SELECT key, alone_bytes, warmth, worth, touched_at FROM entry"
    return {row[0]: row[1:] for row in index.query(asked).rows}


def test_a_shared_piece_goes_with_its_last_holder_only(index):
    one, two, three = (entry_rows({"n": n}, A, *more) for n, more in enumerate([(B,), (C,), ()]))
    keys = [rows.manifest.key for rows in (one, two, three)]

    index.add([one])
    assert [told(index)[keys[0]][0]] == [10 + 100 + 20]
    index.add([two, three])  # from one holder to three at once
    assert [told(index)[key][0] for key in keys] == [10 + 20, 10 + 3, 10]
    assert index.held() == (3, 30 + 100 + 20 + 3)
    index.remove(keys[:2])
    assert told(index)[keys[2]][0] == 10 + 100
    assert index.held() == (1, 10 + 100)
    index.remove(keys)
    assert index.held() == (0, 0)


def test_a_use_warms_and_touches_and_a_refresh_counts_as_one(index):
    rows = entry_rows({"n": 1}, A)
    key = rows.manifest.key
    index.add([rows])
    index.take([Use(NOON + DAY, "hit", key, 0.1, 1), Use(NOON + DAY, "miss", key, 0.1, 1)])

    warmth = of([NOON, NOON + DAY])
    found = (110, pytest.approx(warmth), pytest.approx(worth(1.5, warmth, 110)))
    assert told(index)[key] == (*found, "2026-03-02 12:00:00.000000")
    index.add([rows])  # the same generation, written again
    assert told(index)[key] == (*found, "2026-03-02 12:00:00.000000")
    index.add([entry_rows({"n": 1}, A, at=NOON + 2 * DAY, digest="d2")])
    warmth = of([NOON, NOON + DAY, NOON + 2 * DAY])
    assert told(index)[key][1:] == (
        pytest.approx(warmth),
        pytest.approx(worth(1.5, warmth, 110)),
        "2026-03-03 12:00:00.000000",
    )


def test_what_was_held_is_told_by_the_hour_with_the_limit_then(index):
    index.limit_bytes = 1_000
    index.add([entry_rows({"n": 1}, A)])
    index.add([entry_rows({"n": 2}, A)])

    assert index.query("SELECT bytes, limit_bytes FROM _size").rows == [(120, 1_000)]
    index.limit_bytes = None  # who removes does not know it
    index.remove([entry_rows({"n": 1}, A).manifest.key])
    assert index.query("SELECT bytes, limit_bytes FROM _size").rows == [(110, 1_000)]


def test_a_row_that_is_broken_makes_no_publication_fail(path):
    index = Index(path)
    index.prepare()
    index.add([entry_rows({"n": 1}, A)])
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("UPDATE entry SET build_seconds = 'x', warmth = 'y', manifest_bytes = 'z'")
        plain.commit()

    index.add([entry_rows({"n": 2}, A), entry_rows({"n": 1}, A)])

    assert sorted(told(index)) == sorted(entry_rows({"n": n}).manifest.key for n in (1, 2))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "index.sqlite"
    Index(str(path)).prepare()
    return path


ENTRY = st.tuples(st.integers(0, 4), st.sets(st.sampled_from(PIECES)))
STEPS = st.lists(
    st.tuples(st.lists(ENTRY, max_size=4), st.sets(st.integers(0, 4), max_size=3)), max_size=5
)


@given(STEPS)
@settings(max_examples=15, deadline=None)
def test_sums_kept_step_by_step_are_those_counted_at_the_end(empty, steps):
    """Entries come, are replaced and go, several at once, in any order, with any pieces."""
    held = {}
    with tempfile.TemporaryDirectory() as folder:
        index = Index(str(shutil.copy(empty, Path(folder) / "index.sqlite")))
        for turn, (added, removed) in enumerate(steps):
            new = [entry_rows({"n": n}, *sorted(pieces), digest=str(turn)) for n, pieces in added]
            index.add(new)
            held |= {rows.manifest.key: {p for _, p in rows.manifest.pieces} for rows in new}
            gone = {entry_rows({"n": n}).manifest.key for n in removed}
            index.remove(gone)
            held = {key: pieces for key, pieces in held.items() if key not in gone}

            pieces = set().union(*held.values())
            size_bytes = 10 * len(held) + sum(piece.size_bytes for piece in pieces)
            others = {k: set().union(*(p for o, p in held.items() if o != k)) for k in held}
            alone = {k: 10 + sum(p.size_bytes for p in held[k] - others[k]) for k in held}
            assert index.held() == (len(held), size_bytes)
            assert {key: row[0] for key, row in told(index).items()} == alone
        assert index.check() == []
