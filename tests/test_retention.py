"""What goes first, as pure arithmetic; and what limits are written as."""

import random

import pytest

import tensorcache
from tensorcache.index import Shared, Weighed, Weights
from tensorcache.limits import Bounds, Limits, Size, limits_of, size_of
from tensorcache.retention import MOST_VICTIMS, chosen, goes, ranking
from tensorcache.worth import HALF_LIFE_SECONDS, warmed, worth

NOW = 1_000_000_000.0


def weighed(key, alone_bytes, *shared, worth=0.0, manifest_bytes=10):
    return Weighed(key, "n", 0.0, 0.0, worth, False, manifest_bytes, alone_bytes, shared)


by_worth = ranking("worth", NOW, None)


def keys(weights, gone):
    return [(weights.entries[place].key, frees_bytes) for place, frees_bytes in gone]


# --- sizes ---


@pytest.mark.parametrize(
    ("said", "size_bytes"),
    [
        ("200GB", 200e9),
        ("512 MiB", 512 * 2**20),
        (7, 7),
        ("1.5tb", 1.5e12),
        ("30%", 300),
        ("0.5 %", 5),
    ],
)
def test_a_size_is_bytes_or_a_share_of_the_disk(said, size_bytes):
    assert size_of(said).of(1000) == size_bytes


def test_none_is_no_limit_and_auto_the_smaller_of_both():
    assert size_of(None) is size_of("none") is size_of("off") is None
    assert size_of("auto") == Size(50e9, 0.2)
    assert size_of("auto").of(100 * 10**9) == 20e9
    assert size_of("auto").of(10**12) == 50e9
    assert size_of("30%").of(0) == float("inf")  # a filesystem that tells no size


@pytest.mark.parametrize("said", ["much", "", "0", "-1", "101%", "5 parsecs", "1e9", True])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(ValueError, match="write bytes, or '500MB'"):
        size_of(said)


def test_the_limit_of_the_environment_wins(monkeypatch, root):
    assert limits_of("auto", "auto", "lru") == Limits(Size(50e9, 0.2), Size(5e9, 0.05), "lru")
    monkeypatch.setenv("TENSORCACHE_MAX_SIZE", "none")
    assert limits_of("20GB").max_size is None
    monkeypatch.setenv("TENSORCACHE_MAX_SIZE", "1kB")
    assert limits_of(None).max_size == Size(1000)
    monkeypatch.setenv("TENSORCACHE_MAX_SIZE", "plenty")
    with pytest.raises(ValueError, match="TENSORCACHE_MAX_SIZE='plenty'"):
        tensorcache.open(root)
    monkeypatch.delenv("TENSORCACHE_MAX_SIZE")
    with pytest.raises(ValueError, match="policy='random': use one of worth, lru, oldest"):
        tensorcache.open(root, policy="random")
    with pytest.raises(ValueError, match="min_free='little'"):
        tensorcache.open(root, min_free="little")


def test_what_is_over_is_over_the_limit_or_under_the_floor():
    assert Bounds(100, None, 0).over(150) == 50
    assert Bounds(100, None, 0).over(100) == 0
    assert Bounds(None, 70, 50).over(150) == 20
    assert Bounds(100, 70, 50).over(110) == 20
    assert Bounds(None, 70, 50).over(19) == 0  # all of it would not be enough


# --- what goes first ---


def test_worth_is_build_seconds_times_recent_uses_over_bytes():
    once = warmed(None, NOW)
    assert worth(8.0, once, 1024) == worth(1.0, once, 128)
    assert worth(2.0, once, 64) == pytest.approx(worth(1.0, warmed(once, NOW), 64))
    assert worth(2.0, once, 64) == pytest.approx(worth(1.0, once + 1, 64))
    assert warmed(None, NOW) - warmed(None, NOW - HALF_LIFE_SECONDS) == pytest.approx(1.0)


def test_an_entry_is_weighed_anew_when_it_is_the_last_of_those_who_share():
    weights = Weights(
        [
            weighed("a", 10, 0, worth=1.0),
            weighed("b", 10, 0, worth=9.0),
            weighed("c", 50, worth=2.0),
        ],
        {0: Shared(1_000_000, 2)},
    )

    assert keys(weights, goes(weights, (), range(3), 1_000, by_worth)[0]) == [
        ("a", 10),
        ("b", 1_000_010),
    ]


def test_what_somebody_holds_who_may_not_go_never_comes_back():
    weights = Weights([weighed("a", 10, 0), weighed("b", 10, 0)], {0: Shared(1_000, 3)})
    gone, left_bytes = goes(weights, (), range(2), 500, by_worth)

    assert (sum(frees for _, frees in gone), left_bytes) == (20, 480)


def test_whole_groups_go_and_not_one_of_each():
    """A hundred shards with three holders each: to free ten takes thirty, and no other."""
    entries = [weighed(f"{n:03}", 10, n % 100) for n in range(300)]
    random.Random(1).shuffle(entries)
    weights = Weights(
        [one._replace(worth=random.Random(one.key).random()) for one in entries],
        {n: Shared(1_000, 3) for n in range(100)},
    )
    gone, left_bytes = goes(weights, (), range(300), 10_000, by_worth)
    numbers = [weights.entries[place].shared[0] for place, _ in gone]

    assert left_bytes == 0
    assert all(numbers.count(number) == 3 for number in numbers)
    assert len(set(numbers)) == 10


# --- what one publication removes ---


def test_a_publication_takes_no_more_than_so_many():
    weights = Weights([weighed(f"{n:03}", 10) for n in range(400)], {})
    gone, left_bytes = chosen(weights, 3_000, 0, 0, by_worth)

    assert (len(gone), left_bytes) == (MOST_VICTIMS, 3_000 - 10 * MOST_VICTIMS)


def test_of_many_who_share_a_publication_takes_none_for_nothing():
    """Their shard has more holders than can go at once: only manifests would come back."""
    sharers = [weighed(f"{n:03}", 10, 0) for n in range(400)]
    weights = Weights(sharers, {0: Shared(0, 1 << 62)})

    assert chosen(weights, 1_000_000, 0, 0, by_worth) == ([], 1_000_000)
    assert len(chosen(weights, 95, 0, 0, by_worth)[0]) == 10  # which brings us within the limit


def test_some_go_beyond_need_so_that_not_every_publication_removes():
    weights = Weights([weighed(f"{n:03}", 10) for n in range(400)], {})
    gone, left_bytes = chosen(weights, 5, 100, 0, by_worth)

    assert (len(gone), left_bytes) == (11, 0)


def test_none_who_shares_goes_for_the_slack():
    """Their shard stays, and the one that is alone is enough."""
    sharers = [weighed(f"{n:03}", 10, 0, worth=-1.0) for n in range(40)]
    weights = Weights([*sharers, weighed("own", 7_000)], {0: Shared(0, 1 << 62)})

    assert keys(weights, chosen(weights, 2_000, 100_000, 0, by_worth)[0]) == [("own", 7_000)]


def test_where_they_are_a_few_of_many_some_who_share_go_for_the_slack():
    """Else each publication would choose anew, for one manifest."""
    sharers = [weighed(f"{n:03}", 10, 0, worth=float(n)) for n in range(400)]
    weights = Weights(sharers, {0: Shared(0, 1 << 62)})

    def went(slack_entries, over_bytes=15):
        gone, left_bytes = chosen(weights, over_bytes, 1_000, slack_entries, by_worth)
        assert left_bytes == 0
        return [place for place, _ in gone]

    assert went(0) == went(2) == [0, 1]
    assert went(7) == [*range(7)]
    assert went(1_000) == [*range(102)]  # the slack in bytes ends it
    assert went(1_000, over_bytes=2_000) == [*range(MOST_VICTIMS)]


def test_more_sharers_than_can_go_hide_none_that_frees_something():
    sharers = [weighed(f"{n:03}", 10, 0, worth=-1.0) for n in range(2 * MOST_VICTIMS)]
    weights = Weights([*sharers, weighed("own", 7_000)], {0: Shared(0, 1 << 62)})

    assert keys(weights, chosen(weights, 7_000, 0, 0, by_worth)[0]) == [("own", 7_000)]


def test_many_sharers_are_no_reason_to_stay_over_the_limit():
    """Neither the first 256 are enough, nor the one that frees more: they are together."""
    sharers = [weighed(f"{n:04}", 10, 0, worth=float(n)) for n in range(1_000)]
    weights = Weights([*sharers, weighed("own", 100, worth=5_000.0)], {0: Shared(0, 1 << 62)})
    gone, left_bytes = chosen(weights, 2_650, 0, 10, by_worth)

    assert (len(gone), left_bytes) == (MOST_VICTIMS, 0)
    assert 1_000 in [place for place, _ in gone]
    gone, left_bytes = chosen(weights, 2_660, 0, 10, by_worth)
    assert (keys(weights, gone), left_bytes) == ([("own", 100)], 2_560)  # and none for nothing


def test_no_sharer_goes_beside_those_that_bring_enough():
    """Whatever the slack: what they free is not what is needed."""
    sharers = [weighed(f"s{n:03}", 10, 0, worth=float(n)) for n in range(100)]
    own = [weighed(f"x{n:03}", 1_000_000, worth=1_000.0 + n) for n in range(200)]
    weights = Weights([*sharers, *own], {0: Shared(0, 1 << 62)})
    gone, _ = chosen(weights, 900_000, 250_000_000, 256, by_worth)

    assert {key[0] for key, _ in keys(weights, gone)} == {"x"}


def test_those_that_free_more_go_no_further_than_the_slack():
    sharers = [weighed(f"s{n:03}", 10, 0, worth=float(n)) for n in range(600)]
    own = [weighed(f"x{n:03}", 1_000, worth=1_000.0 + n) for n in range(200)]
    weights = Weights([*sharers, *own], {0: Shared(0, 1 << 62)})
    gone, left_bytes = chosen(weights, 5_500, 2_000, 0, by_worth)

    assert keys(weights, gone) == [(f"x{n:03}", 1_000) for n in range(8)]
    assert left_bytes == 0


def test_what_is_larger_than_the_limit_goes_before_all_others():
    weights = Weights([weighed("a", 10), weighed("large", 2_000, worth=99.0)], {})
    rank = ranking("worth", NOW, 1_000)

    assert keys(weights, chosen(weights, 1_010, 0, 0, rank)[0]) == [("large", 2_000)]
