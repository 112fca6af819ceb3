"""What goes and what stays, as pure arithmetic."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcache.disk import Leftover
from tensorcache.index import Shared, Weighed, Weights
from tensorcache.limits import POLICIES, Bounds
from tensorcache.manifest import Piece
from tensorcache.retention import touched_at
from tensorcache.vacuum import QUARANTINE_SECONDS, Found, Terms, VacuumPlan, plan

NOW = 1_000_000_000.0
DAY = 86_400.0
MANIFEST_BYTES = 10


def weighed(key, *pieces, age=10 * DAY, idle=None, pinned=False, namespace="n", worth=0.0):
    """An entry, and in place of numbers the names of its pieces."""
    touched_at = NOW - (age if idle is None else min(age, idle))
    return Weighed(
        key, namespace, NOW - age, touched_at, worth, pinned, MANIFEST_BYTES, 0, tuple(set(pieces))
    )


def weights_of(*entries, sizes=None):
    """As the rows add them up."""
    sizes = sizes or {}
    holders = Counter(piece for one in entries for piece in one.shared)
    numbers = {piece: n for n, (piece, count) in enumerate(holders.items()) if count > 1}
    return Weights(
        [
            one._replace(
                alone_bytes=MANIFEST_BYTES
                + sum(sizes.get(piece, 100) for piece in one.shared if piece not in numbers),
                shared=tuple(numbers[piece] for piece in one.shared if piece in numbers),
            )
            for one in entries
        ],
        {n: Shared(sizes.get(piece, 100), holders[piece]) for piece, n in numbers.items()},
    )


NOTHING = Found()


def plan_of(*entries, found=NOTHING, now=NOW, opened=(), sizes=None, **terms):
    return plan(weights_of(*entries, sizes=sizes), found, now, Terms(**terms), opened)


def keys(found):
    return [victim.key for victim in found.entries]


def test_without_limits_no_entry_goes():
    nothing = VacuumPlan((), (), (), (), 0, held_bytes=220)

    assert plan_of(weighed("a", "x"), weighed("b", "y")) == nothing


def test_what_is_unused_for_long_goes_and_says_so():
    found = plan_of(
        weighed("old", "x", age=40 * DAY, idle=20 * DAY),
        weighed("new", "y", age=40 * DAY, idle=5 * DAY),
        weighed("never", "z", age=30 * DAY),
        unused_for_seconds=14 * DAY,
    )

    assert [(v.key, v.why, v.frees_bytes) for v in found.entries] == [
        ("never", "unused for 30 days", 110),
        ("old", "unused for 20 days", 110),
    ]
    assert found.frees_bytes == 220


def test_what_is_old_goes_however_much_it_is_used():
    found = plan_of(
        weighed("old", "x", age=40 * DAY, idle=2 * DAY),
        weighed("new", "y", age=2 * DAY),
        older_than_seconds=30 * DAY,
    )

    assert [(v.key, v.why) for v in found.entries] == [("old", "made 40 days ago")]


def test_what_is_stale_goes_and_says_why():
    found = plan_of(weighed("a", "x"), weighed("b", "y"), stale={"b": "its source is gone"})

    assert [(v.key, v.why) for v in found.entries] == [("b", "its source is gone")]


# --- the limit ---

THREE = (
    weighed("a", "x", age=9 * DAY, idle=3 * DAY, worth=1.0),
    weighed("b", "y", age=10 * DAY, idle=9 * DAY, worth=3.0),
    weighed("c", "z", age=12 * DAY, idle=6 * DAY, worth=2.0),
)


@pytest.mark.parametrize(
    ("policy", "goes"),
    [
        ("worth", [("a", "worth least"), ("c", "worth least")]),
        (
            "lru",
            [("b", "least recently used (9 days ago)"), ("c", "least recently used (6 days ago)")],
        ),
        (
            "oldest",
            [("c", "made longest ago (12 days ago)"), ("b", "made longest ago (10 days ago)")],
        ),
    ],
)
def test_over_the_limit_they_go_by_the_policy_until_it_holds(policy, goes):
    found = plan_of(*THREE, max_bytes=120, policy=policy)

    assert [
        (v.key, v.why.removeprefix("over the limit of 120 bytes, ")) for v in found.entries
    ] == goes


def test_a_limit_that_holds_already_takes_nothing():
    assert keys(plan_of(weighed("a", "x"), max_bytes=110)) == []
    assert keys(plan_of(weighed("a", "x"), max_bytes=109)) == ["a"]


def test_while_too_little_of_the_disk_is_free_they_go_too():
    found = plan_of(*THREE, lack_bytes=111)

    assert [(v.key, v.why) for v in found.entries] == [
        ("a", "too little of the disk is free, worth least"),
        ("c", "too little of the disk is free, worth least"),
    ]
    orphan = ("shard", Piece("o", 200))
    assert keys(plan_of(*THREE, lack_bytes=111, found=Found([orphan]))) == []


def test_what_a_limit_cannot_take_is_over_it_still():
    found = plan_of(weighed("a", "x"), weighed("b", "y", pinned=True), max_bytes=50)

    assert (keys(found), found.over_bytes) == (["a"], 60)


def test_the_limits_of_the_cache_hold_where_nothing_is_asked():
    bounds = Bounds(100, 1_000, 900)

    assert Terms().within(bounds, 500) == Terms(max_bytes=100, lack_bytes=100)
    assert Terms(namespace="n").within(bounds, 500).max_bytes == 100
    assert Terms().within(bounds, 99).lack_bytes == 0  # all of it would not be enough
    for asked in (
        Terms(max_bytes=7),
        Terms(older_than_seconds=1.0),
        Terms(stale={}),
        Terms(only=()),
    ):
        assert asked.within(bounds, 500) == asked


# --- what is shared ---


def test_a_shared_piece_counts_once_and_comes_back_with_its_last_holder():
    found = plan_of(
        weighed("a", "x", "y", idle=9 * DAY),
        weighed("b", "x", idle=5 * DAY),
        max_bytes=0,
        policy="lru",
    )

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("a", 110), ("b", 110)]
    assert found.frees_bytes == 220


def test_the_last_holder_is_worth_less_as_soon_as_it_frees_more():
    """By its manifest alone it would be worth more than any."""
    a, b = (weighed(key, "large", worth=5.0) for key in "ab")
    found = plan_of(
        a._replace(worth=0.0),
        b,
        weighed("c", "x", worth=4.0),
        sizes={"large": 10_000},
        max_bytes=9_000,
    )

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("a", 10), ("b", 10_010)]


def test_of_those_who_share_none_goes_for_nothing():
    """Their shard stays with the pinned one, and the large one is enough."""
    sharers = [weighed(f"s{n}", "shared", worth=-9.0) for n in range(50)]
    found = plan_of(
        *sharers, weighed("p", "shared", pinned=True), weighed("l", "large"),
        sizes={"large": 10_000}, max_bytes=5_000,
    )  # fmt: skip

    assert keys(found) == ["l"]


def test_who_shares_goes_where_their_manifests_bring_us_within_the_limit():
    sharers = [weighed(f"s{n}", "shared", worth=float(n)) for n in range(50)]
    found = plan_of(*sharers, max_bytes=50 * 10 + 100 - 15)

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("s0", 10), ("s1", 10)]


def test_what_a_pinned_entry_shares_is_not_freed():
    found = plan_of(weighed("a", "x"), weighed("b", "x", pinned=True), max_bytes=0)

    assert [(v.key, v.frees_bytes) for v in found.entries] == [("a", 10)]


# --- what stays ---


def test_what_was_used_within_the_grace_stays():
    fresh = weighed("a", "x", age=9 * DAY, idle=600.0)

    assert keys(plan_of(fresh, max_bytes=0)) == []
    assert keys(plan_of(fresh, older_than_seconds=0.0, grace_seconds=601.0)) == []
    assert keys(plan_of(fresh, max_bytes=0, grace_seconds=600.0)) == ["a"]


def test_what_is_asked_for_and_stays_is_counted():
    entries = [weighed(key, key, age=40 * DAY) for key in "abc"]
    entries += [weighed("pinned", "p", age=40 * DAY, pinned=True)]
    entries += [weighed("used", "u", age=40 * DAY, idle=60), weighed("young", "y", age=DAY)]
    found = plan_of(*entries, older_than_seconds=30 * DAY, opened={"c"})

    assert (keys(found), found.spared) == (["a", "b"], 3)
    assert plan_of(*entries, max_bytes=0).spared == 0  # `over_bytes` tells that of a limit


def test_a_use_in_the_future_keeps_its_entry():
    assert keys(plan_of(weighed("a", "x", idle=-DAY), max_bytes=0, grace_seconds=0.0)) == []


def test_what_a_process_has_open_stays():
    assert keys(plan_of(weighed("a", "x"), weighed("b", "y"), max_bytes=0, opened={"a"})) == ["b"]


def test_a_namespace_and_a_condition_narrow_what_goes():
    entries = [weighed(key, key, namespace=namespace) for key, namespace in ("am", "bn", "cn")]

    assert keys(plan_of(*entries, max_bytes=0, namespace="n")) == ["b", "c"]
    assert keys(plan_of(*entries, max_bytes=0, only={"a", "b"}, namespace="n")) == ["b"]
    assert keys(plan_of(*entries, older_than_seconds=30 * DAY, only={"a"})) == []


def test_a_condition_alone_takes_all_that_it_holds_of():
    found = plan_of(weighed("a", "x"), weighed("b", "y"), only={"b"})

    assert [(v.key, v.why) for v in found.entries] == [("b", "as it was asked for")]


def test_the_newest_of_each_namespace_are_spared():
    entries = [
        weighed(f"{namespace}{days}", days, namespace=namespace, age=days * DAY)
        for namespace in "mn"
        for days in (1, 2, 3)
    ]
    alone = plan_of(*entries, keep_last=2)

    assert [(v.key, v.why) for v in alone.entries] == [
        ("m3", "not among the newest of its namespace"),
        ("n3", "not among the newest of its namespace"),
    ]
    assert keys(plan_of(*entries, keep_last=1, older_than_seconds=2.5 * DAY)) == ["m3", "n3"]
    assert keys(plan_of(*entries, keep_last=3, max_bytes=0)) == []


# --- what is no entry ---


def test_orphans_go_whatever_the_grace():
    orphan = ("document", Piece("lost", 7))
    found = plan_of(weighed("a", "x"), found=Found([orphan]))

    assert found.orphans == (orphan,)
    assert found.frees_bytes == 7


def test_leftovers_go_and_quarantine_after_a_week():
    building = (Leftover("b1", 5, NOW),)
    quarantine = (Leftover("new", 3, NOW - DAY), Leftover("old", 2, NOW - QUARANTINE_SECONDS))

    found = plan_of(found=Found((), building, quarantine, events=3))

    assert found.leftovers == building
    assert found.quarantine == quarantine[1:]
    assert (found.frees_bytes, found.events) == (7, 3)


@pytest.mark.parametrize(
    ("idle", "text"),
    [(59.0, "59 seconds"), (7000.0, "116 minutes"), (7200.0, "2 hours"), (2 * DAY, "2 days")],
)
def test_spans_are_for_people(idle, text):
    found = plan_of(weighed("a", idle=idle), unused_for_seconds=1.0, grace_seconds=0.0)

    assert found.entries[0].why == f"unused for {text}"


@pytest.mark.parametrize(
    ("limit", "text"), [(2_000_000_000, "2.0 GB"), (1_500_000, "1.5 MB"), (2_000, "2.0 kB")]
)
def test_sizes_are_for_people(limit, text):
    found = plan_of(weighed("a", "x"), sizes={"x": 3_000_000_000}, max_bytes=limit)

    assert found.entries[0].why.startswith(f"over the limit of {text}, ")


ENTRIES = st.lists(
    st.builds(
        weighed,
        st.text("abcdefgh", min_size=3, max_size=3),
        *[st.sampled_from("uvwxyz")] * 3,
        age=st.floats(0, 60 * DAY),
        idle=st.none() | st.floats(0, 60 * DAY),
        pinned=st.booleans(),
        namespace=st.sampled_from("mn"),
        worth=st.floats(-50, 50),
    ),
    unique_by=lambda one: one.key,
    max_size=12,
)
TERMS = st.builds(
    Terms,
    max_bytes=st.none() | st.integers(0, 500),
    lack_bytes=st.just(0),
    stale=st.none(),
    policy=st.sampled_from(POLICIES),
    older_than_seconds=st.none() | st.floats(0, 60 * DAY),
    unused_for_seconds=st.none() | st.floats(0, 60 * DAY),
    keep_last=st.none() | st.integers(1, 3),
    namespace=st.none() | st.just("m"),
    only=st.none() | st.frozensets(st.text("abcdefgh", min_size=3, max_size=3)),
    grace_seconds=st.floats(0, 30 * DAY),
)


def bytes_of(entries, sizes):
    """What these entries take, counted naively."""
    held = {piece for one in entries for piece in one.shared}
    return sum(sizes[piece] for piece in held) + MANIFEST_BYTES * len(entries)


def may_go(one, entries, terms, opened):
    """Whether nothing spares it, each rule by itself."""
    same = sorted((e.created_at, e.key) for e in entries if e.namespace == one.namespace)
    newest = same[-terms.keep_last :] if terms.keep_last else []
    return (
        not one.stays
        and one.key not in opened
        and NOW - touched_at(one, NOW) >= terms.grace_seconds
        and terms.namespace in (None, one.namespace)
        and (terms.only is None or one.key in terms.only)
        and (one.created_at, one.key) not in newest
    )


@settings(max_examples=200, deadline=None)
@given(ENTRIES, TERMS, st.integers(1, 200), st.frozensets(st.integers(0, 11), max_size=3))
def test_every_plan_keeps_its_promises(entries, terms, size, places):
    sizes = {name: size + place for place, name in enumerate("uvwxyz")}
    opened = {entries[place].key for place in places if place < len(entries)}
    orphan = Found([("shard", Piece("orphan", 1))])
    found = plan(weights_of(*entries, sizes=sizes), orphan, NOW, terms, opened)

    gone = set(keys(found))
    stay = [one for one in entries if one.key not in gone]
    free = [one for one in stay if may_go(one, entries, terms, opened)]
    assert len(gone) == len(found.entries)
    assert all(may_go(one, entries, terms, opened) for one in entries if one.key in gone)
    assert found.frees_bytes == bytes_of(entries, sizes) - bytes_of(stay, sizes) + 1
    if terms.max_bytes is not None:
        assert bytes_of(stay, sizes) <= terms.max_bytes or free == []
        assert found.over_bytes == max(0, bytes_of(stay, sizes) - terms.max_bytes)
    elif terms.takes_what_is_left:
        assert free == []
    for one in free:
        for limit, since in (
            (terms.older_than_seconds, one.created_at),
            (terms.unused_for_seconds, touched_at(one, NOW)),
        ):
            assert limit is None or NOW - since < limit
