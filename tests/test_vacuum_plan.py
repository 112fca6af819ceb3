"""What goes and what stays, as pure arithmetic."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcache.disk import Leftover, Listing
from tensorcache.index import Holding, Holdings
from tensorcache.manifest import Piece
from tensorcache.vacuum import QUARANTINE_SECONDS, plan, touched_at

NOW = 1_000_000_000.0
DAY = 86_400.0
MANIFEST_BYTES = 10


def holding(key, *pieces, age=10 * DAY, idle=None, pinned=None, namespace="n"):
    used_at = None if idle is None else NOW - idle
    shards = tuple(("shard", piece) for piece in pieces)
    return Holding(key, namespace, NOW - age, used_at, 1.0, 0, pinned, shards)


def listing_of(*holdings, sizes=None, more=None, building=(), quarantine=()):
    """A root in which all is as the rows say."""
    found = {piece for h in holdings for piece in h.pieces}
    pieces = {piece: (sizes or {}).get(piece[1], 100) for piece in found} | (more or {})
    entries = {h.key: MANIFEST_BYTES for h in holdings}
    return Listing(entries, pieces, tuple(building), tuple(quarantine))


def plan_of(*holdings, listing=None, now=NOW, **limits):
    listing = listing or listing_of(*holdings)
    return plan(Holdings(holdings, dict(listing.pieces)), listing, now, **limits)


def keys(found):
    return [victim.key for victim in found.entries]


def test_without_limits_no_entry_goes():
    assert plan_of(holding("a", "x"), holding("b", "y")) == ((), (), (), (), 0, 0)


def test_what_is_unused_for_long_goes_and_says_so():
    found = plan_of(
        holding("old", "x", age=40 * DAY, idle=20 * DAY),
        holding("new", "y", age=40 * DAY, idle=5 * DAY),
        holding("never", "z", age=30 * DAY),
        unused_for_seconds=14 * DAY,
    )

    assert [(v.key, v.why, v.frees_bytes) for v in found.entries] == [
        ("never", "unused for 30 days", 110),
        ("old", "unused for 20 days", 110),
    ]
    assert found.frees_bytes == 220


def test_what_is_old_goes_however_much_it_is_used():
    found = plan_of(
        holding("old", "x", age=40 * DAY, idle=2 * DAY),
        holding("new", "y", age=2 * DAY),
        older_than_seconds=30 * DAY,
    )

    assert [(v.key, v.why) for v in found.entries] == [("old", "made 40 days ago")]


def test_the_least_recently_used_go_until_the_limit_holds():
    found = plan_of(
        holding("a", "x", idle=3 * DAY),
        holding("b", "y", idle=9 * DAY),
        holding("c", "z", idle=6 * DAY),
        max_bytes=120,
    )

    assert [(v.key, v.why) for v in found.entries] == [
        ("b", "over the limit of 120 bytes, least recently used (9 days ago)"),
        ("c", "over the limit of 120 bytes, least recently used (6 days ago)"),
    ]


def test_a_limit_that_holds_already_takes_nothing():
    assert keys(plan_of(holding("a", "x"), max_bytes=110)) == []
    assert keys(plan_of(holding("a", "x"), max_bytes=109)) == ["a"]


def test_a_shared_piece_counts_once_and_comes_back_with_its_last_holder():
    found = plan_of(
        holding("a", "x", "y", idle=9 * DAY), holding("b", "x", idle=5 * DAY), max_bytes=0
    )

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("a", 110), ("b", 110)]
    assert found.frees_bytes == 220


def test_what_a_pinned_entry_shares_is_not_freed():
    found = plan_of(holding("a", "x"), holding("b", "x", pinned=""), max_bytes=0)

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("a", 10)]


def test_what_was_used_within_the_grace_stays():
    fresh = holding("a", "x", age=9 * DAY, idle=600.0)

    assert keys(plan_of(fresh, max_bytes=0)) == []
    assert keys(plan_of(fresh, older_than_seconds=0.0, grace_seconds=601.0)) == []
    assert keys(plan_of(fresh, max_bytes=0, grace_seconds=600.0)) == ["a"]


def test_a_new_generation_counts_as_touched_when_it_was_made():
    assert keys(plan_of(holding("a", "x", age=60.0, idle=9 * DAY), max_bytes=0)) == []


def test_a_use_in_the_future_keeps_its_entry():
    assert keys(plan_of(holding("a", "x", idle=-DAY), max_bytes=0, grace_seconds=0.0)) == []


def test_orphans_go_whatever_the_grace():
    a = holding("a", "x")
    listing = listing_of(a, more={("document", "lost"): 7})

    found = plan_of(a, listing=listing)

    assert found.orphans == (("document", Piece("lost", 7)),)
    assert found.frees_bytes == 7


def test_no_orphan_goes_while_a_manifest_has_no_row():
    """It may refer to any of them."""
    a, unknown = holding("a", "x"), holding("u", "y")

    assert plan_of(a, listing=listing_of(a, unknown)).orphans == ()


def test_a_row_without_a_manifest_holds_nothing():
    a, gone = holding("a", "x"), holding("gone", "y")
    listing = listing_of(a, more={("shard", "y"): 5})

    found = plan_of(a, gone, listing=listing, max_bytes=0, grace_seconds=0.0)

    assert keys(found) == ["a"]
    assert found.orphans == (("shard", Piece("y", 5)),)


def test_a_piece_that_is_not_on_disk_frees_nothing():
    a = holding("a", "x")
    listing = listing_of(a)._replace(pieces={})

    assert plan_of(a, listing=listing, max_bytes=0).frees_bytes == MANIFEST_BYTES


def test_leftovers_go_and_quarantine_after_a_week():
    building = (Leftover("b1", 5, NOW),)
    quarantine = (Leftover("new", 3, NOW - DAY), Leftover("old", 2, NOW - QUARANTINE_SECONDS))

    found = plan_of(listing=Listing({}, {}, building, quarantine))

    assert found.leftovers == building
    assert found.quarantine == quarantine[1:]
    assert found.frees_bytes == 7


@pytest.mark.parametrize(
    ("idle", "text"),
    [(59.0, "59 seconds"), (7000.0, "116 minutes"), (7200.0, "2 hours"), (2 * DAY, "2 days")],
)
def test_spans_are_for_people(idle, text):
    found = plan_of(holding("a", idle=idle), unused_for_seconds=1.0, grace_seconds=0.0)

    assert found.entries[0].why == f"unused for {text}"


@pytest.mark.parametrize(
    ("limit", "text"), [(2_000_000_000, "2.0 GB"), (1_500_000, "1.5 MB"), (2_000, "2.0 kB")]
)
def test_sizes_are_for_people(limit, text):
    a = holding("a", "x")

    found = plan_of(a, listing=listing_of(a, sizes={"x": 3_000_000_000}), max_bytes=limit)

    assert found.entries[0].why.startswith(f"over the limit of {text}, ")


HOLDINGS = st.lists(
    st.builds(
        holding,
        st.text("abcdefgh", min_size=3, max_size=3),
        *[st.sampled_from("uvwxyz")] * 3,
        age=st.floats(0, 60 * DAY),
        idle=st.none() | st.floats(0, 60 * DAY),
        pinned=st.none() | st.just("note"),
    ),
    unique_by=lambda h: h.key,
    max_size=12,
)
LIMITS = st.fixed_dictionaries(
    {
        "max_bytes": st.none() | st.integers(0, 500),
        "older_than_seconds": st.none() | st.floats(0, 60 * DAY),
        "unused_for_seconds": st.none() | st.floats(0, 60 * DAY),
        "grace_seconds": st.floats(0, 30 * DAY),
    }
)


def bytes_of(holdings, listing):
    """What these entries take, counted naively."""
    held = {piece for h in holdings for piece in h.pieces}
    return sum(listing.pieces[piece] for piece in held) + MANIFEST_BYTES * len(holdings)


@settings(max_examples=300, deadline=None)
@given(HOLDINGS, LIMITS, st.integers(1, 200))
def test_every_plan_keeps_its_promises(holdings, limits, size):
    sizes = {name: size + place for place, name in enumerate("uvwxyz")}
    listing = listing_of(*holdings, sizes=sizes, more={("shard", "orphan"): 1})

    found = plan_of(*holdings, listing=listing, **limits)

    gone = set(keys(found))
    stay = [h for h in holdings if h.key not in gone]
    free = [
        h for h in stay if h.pinned is None and NOW - touched_at(h, NOW) >= limits["grace_seconds"]
    ]
    assert len(gone) == len(found.entries)
    for h in holdings:
        if h.key in gone:
            assert h.pinned is None
            assert NOW - touched_at(h, NOW) >= limits["grace_seconds"]
    assert found.frees_bytes == bytes_of(holdings, listing) - bytes_of(stay, listing) + 1
    if limits["max_bytes"] is not None:
        assert bytes_of(stay, listing) <= limits["max_bytes"] or free == []
    for h in free:
        for limit, since in (
            (limits["older_than_seconds"], h.created_at),
            (limits["unused_for_seconds"], touched_at(h, NOW)),
        ):
            assert limit is None or NOW - since < limit
