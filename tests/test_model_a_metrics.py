"""How well lists are ranked: by hand, and against scipy where it is installed."""

import datetime as dt
import importlib.util
import itertools
import math

import numpy as np
import pytest
from model_a.metrics import METRICS, by_seed, kendall, measure, ndcg, season_part, spearman

SEASON = (dt.date(2015, 10, 27), dt.date(2016, 4, 13))


def scored(**changes):
    one = {
        "season": "2015-16",
        "conference": "E",
        "as_of_date": "2015-11-02",
        "y": [30.0, 20.0, 1.0],
        "playoff_ranks": [3, 2, 1],
        "oof_a": [3.0, 2.0, 1.0],
        "win_rates": [0.1, 0.2, 0.3],
    }
    return one | changes


def test_spearman_gives_ties_their_mean_rank():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)
    assert spearman([5, 5, 5], [1, 2, 3]) == 0


def test_kendall_counts_pairs_and_takes_ties_out_of_its_measure():
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Pairs: one tied in the first, the others in order; 2 of them by sqrt(2 x 3).
    assert kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))
    assert kendall([5, 5, 5], [1, 2, 3]) == 0


def test_ndcg_by_hand():
    rel = [3.0, 2.0, 0.0, 1.0]
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    got = 1 + 3 / math.log2(3) + 2 / 2  # in the order 1, 3, 2, 0

    assert ndcg([0.7, 0.5, 0.1, 0.9], rel, 4) == pytest.approx(got / ideal)
    assert ndcg([0.7, 0.5, 0.1, 0.9], rel, 16) == pytest.approx(got / ideal)
    assert ndcg([0.7, 0.5, 0.1, 0.9], rel, 1) == pytest.approx(1 / 3)
    assert ndcg(rel, rel, 2) == pytest.approx(1)
    assert ndcg([1, 2], [0.0, 0.0], 2) == 0


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_ndcg_of_ties_is_the_mean_of_all_their_orders(at):
    scores, rel = [2, 1, 2, 2], [1.0, 5.0, 3.0, 2.0]
    every_order = [
        ndcg([scores[i] + 0.1 * order[i] for i in range(4)], rel, at)
        for order in itertools.permutations(range(4))
    ]

    assert ndcg(scores, rel, at) == pytest.approx(np.mean(every_order))


@pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="needs scipy")
def test_correlations_are_scipys():
    from scipy import stats

    draw = np.random.default_rng(5)
    for levels in (3, 6, 100):
        first, second = draw.integers(0, levels, (2, 50, 15))
        for a, b in zip(first, second, strict=True):
            assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
            assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)


def test_every_ranker_is_measured_on_the_same_lists():
    lists = [
        scored(),
        scored(season="2016-17", conference="W", as_of_date="2017-01-10", playoff_ranks=None),
        scored(oof_a=[1.0, 2.0, 3.0], as_of_date="2016-04-01"),
    ]
    ranges = {"2015-16": SEASON, "2016-17": (dt.date(2016, 10, 25), dt.date(2017, 4, 12))}

    measured = measure(lists, ["oof_a", "win_rates"], ranges)

    assert measured["n_lists"] == 3
    assert measured["spearman"] == pytest.approx({"oof_a": 1 / 3, "win_rates": -1})
    assert measured["kendall"] == pytest.approx({"oof_a": 1 / 3, "win_rates": -1})
    assert measured["playoff_spearman"] == pytest.approx({"oof_a": 0, "win_rates": 1})
    assert measured["by_conference"]["W"]["spearman"] == pytest.approx(
        {"oof_a": 1, "win_rates": -1}
    )
    assert measured["by_season"]["2016-17"]["playoff_spearman"] == {
        "oof_a": None,
        "win_rates": None,
    }
    assert {part: of["n_lists"] for part, of in measured["by_part"].items()} == {
        "first_40_days": 1,
        "middle": 1,
        "last_40_days": 1,
    }
    assert measured["whole_lists"] == {
        name: of for name, of in measured.items() if name != "whole_lists"
    }
    for of in (measured, *measured["by_season"].values(), *measured["by_part"].values()):
        assert set(METRICS) <= set(of)
        assert all(set(of[name]) == {"oof_a", "win_rates"} for name in METRICS)


def test_lists_that_are_not_whole_are_in_all_but_not_in_whole_lists():
    lists = [scored(), scored(y=[1.0, 2.0], oof_a=[2.0, 1.0], playoff_ranks=[2, 1])]

    measured = measure(lists, ["oof_a"], {"2015-16": SEASON})

    assert (measured["n_lists"], measured["whole_lists"]["n_lists"]) == (2, 1)
    assert measured["spearman"]["oof_a"] == pytest.approx(0)
    assert measured["whole_lists"]["by_part"]["first_40_days"]["spearman"]["oof_a"] == 1


@pytest.mark.parametrize(
    ("date", "part"),
    [
        ("2015-10-27", "first_40_days"),
        ("2015-12-05", "first_40_days"),
        ("2015-12-06", "middle"),
        ("2016-03-04", "middle"),
        ("2016-03-05", "last_40_days"),
        ("2016-04-13", "last_40_days"),
    ],
)
def test_the_parts_of_a_season(date, part):
    assert season_part(date, SEASON) == part


def test_seeds_are_measured_apart():
    one = scored(by_seed=[[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    measured = by_seed([one], [42, 43])

    assert measured["spearman"] == pytest.approx({"42": 1, "43": -1})
    assert (measured["mean"], measured["std"]) == pytest.approx((0, math.sqrt(2)))
    assert by_seed([one], [42])["std"] is None
