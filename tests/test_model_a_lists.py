import contextlib
import datetime as dt
import sqlite3
from collections import Counter

import numpy as np
import pytest
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.league import read_league
from model_a.lists import build_lists, final_ranks, relevance, spread, subsample
from model_a.split import compute_split

TINY = DEFAULTS.with_name("tiny.yaml")


def inputs(*settings):
    return batch_inputs(load_config([TINY], settings))


@pytest.fixture(scope="module")
def league(league_db):
    return read_league(str(league_db), inputs())


@pytest.fixture(scope="module")
def every_list(league):
    lists, _ = build_lists(league, inputs("training.max_list_dates=null"))
    return lists


def query(league_db, sql, *values):
    with contextlib.closing(sqlite3.connect(league_db)) as db:
        return db.execute(sql, values).fetchall()


def test_win_rates_are_of_the_season_to_date(league_db, every_list):
    """Domain trap: they were once of all history, and a game's own date must not count either."""
    for one in every_list[:: len(every_list) // 12]:
        rates = dict(
            query(
                league_db,
                "SELECT team_id, avg(wl = 'W') FROM team_game_logs JOIN games USING (game_id) "
                "JOIN teams USING (team_id) WHERE season = ? AND game_date < ? AND conference = ? "
                "GROUP BY 1",
                one["season"],
                one["as_of_date"],
                one["conference"],
            )
        )

        assert dict(zip(one["team_ids"], one["win_rates"], strict=True)) == pytest.approx(rates)
        assert one["win_rates"] == sorted(one["win_rates"], reverse=True)


def test_once_every_team_has_played_a_date_has_30_teams_over_its_two_lists(league_db, every_list):
    first = dict(
        query(
            league_db,
            "SELECT season, max(first) FROM (SELECT season, team_id, min(game_date) AS first "
            "FROM games JOIN team_game_logs USING (game_id) GROUP BY 1, 2) GROUP BY 1",
        )
    )
    teams = Counter()
    for one in every_list:
        teams[one["season"], one["as_of_date"]] += len(set(one["team_ids"]))
    late = [count for (season, date), count in teams.items() if date > first[season]]

    assert len(late) > 300
    assert set(late) == {30}


def test_every_date_of_every_season_in_use_has_its_lists_or_a_reason(league_db, league):
    lists, dropped = build_lists(league, inputs("training.max_list_dates=null"))
    dates = query(league_db, "SELECT DISTINCT game_date FROM games WHERE season > '2014-15'")

    assert len(lists) + sum(dropped.values()) == 2 * len(dates)
    assert {one["season"] for one in lists} == {"2015-16", "2016-17", "2017-18"}
    assert set(dropped) <= {"fewer than 2 teams have played", "no team has won"}


def test_the_date_cap_is_kept_and_spread_over_the_seasons_in_use(league):
    lists, _ = build_lists(league, inputs("training.max_list_dates=30"))
    seasons = Counter(one["season"] for one in lists)

    assert 28 <= len({one["as_of_date"] for one in lists}) <= 30
    assert min(seasons.values()) >= 18


def test_final_rank_is_the_seasons_order_by_win_rate(league_db, league):
    ranks = final_ranks(league, "final_rank")
    for season, name in enumerate(league.seasons.names[:4]):
        order = query(
            league_db,
            "SELECT team_id FROM team_game_logs JOIN games USING (game_id) WHERE season = ? "
            "GROUP BY 1 ORDER BY avg(wl = 'W') DESC, team_id",
            name,
        )

        assert league.team_ids[np.argsort(ranks[season])].tolist() == [row[0] for row in order]


def test_playoff_outcome_ranks_the_champion_first_and_the_lottery_17_to_30(league_db, league):
    ranks = final_ranks(league, "playoff_outcome")
    for season, name in enumerate(league.seasons.names[:4]):
        wins = dict(
            query(
                league_db,
                "SELECT team_id, sum(wl = 'W') FROM playoff_team_game_logs "
                "JOIN playoff_games USING (game_id) WHERE season = ? GROUP BY 1",
                name,
            )
        )
        by_rank = league.team_ids[np.argsort(ranks[season])].tolist()

        assert wins[by_rank[0]] == 16
        assert set(by_rank[:16]) == set(wins)
        assert [wins[team] for team in by_rank[:16]] == sorted(wins.values(), reverse=True)
        assert sorted(ranks[season]) == list(range(1, 31))


def test_relevance_is_higher_for_the_better(league):
    for target in ("null", "final_rank", "playoff_outcome"):
        lists, _ = build_lists(league, inputs(f"training.listmle_target={target}"))
        one = lists[-1]
        rel = relevance(one)

        if target == "null":
            assert rel == one["win_rates"]
        else:
            assert rel == [31 - rank for rank in one["final_rank"]]


@pytest.mark.parametrize("cap", [2, 3, 7, 24, 60, 100, 101, 10_000, None])
def test_subsampling_keeps_both_conferences(every_list, cap):
    """Domain trap: every k-th list, for an even k, is of one conference."""
    kept = subsample(every_list, cap)
    conferences = Counter(one["conference"] for one in kept)

    assert len(kept) <= (cap or len(every_list))
    assert abs(conferences["E"] - conferences["W"]) <= 2
    assert [one for one in every_list if one in kept] == kept


def test_subsampling_needs_no_seed(every_list):
    assert subsample(every_list, 50) == subsample(every_list, 50)


def test_spread_takes_from_everywhere():
    assert spread(np.arange(10), 5).tolist() == [1, 3, 5, 7, 9]
    assert spread(np.arange(10), None).tolist() == list(range(10))
    assert len(spread(np.arange(100), 7)) == 7


def test_split_by_seasons(every_list):
    train, test, split_info = compute_split(every_list, inputs())

    assert {one["season"] for one in train} == {"2015-16", "2016-17"}
    assert {one["season"] for one in test} == {"2017-18"}
    assert split_info["split_mode"] == "seasons"
    assert split_info["train_seasons"] == ["2015-16", "2016-17"]
    assert (split_info["n_train_lists"], split_info["n_test_lists"]) == (len(train), len(test))


@pytest.mark.parametrize("cutoff", ["2017-01-01", None])
def test_split_by_date_without_named_seasons(every_list, cutoff):
    named = ["training.train_seasons=null", "training.test_seasons=null"]
    wanted = inputs(*named, f"training.train_test_cutoff={cutoff or 'null'}")
    train, test, split_info = compute_split(every_list, wanted)

    assert split_info["split_mode"] == ("fallback" if cutoff is None else "cutoff")
    assert max(one["as_of_date"] for one in train) < min(one["as_of_date"] for one in test)
    assert len(train) + len(test) == len(every_list)
    if cutoff is None:
        assert split_info["n_train_dates"] == int(0.75 * len({o["as_of_date"] for o in every_list}))
    else:
        assert split_info["train_dates"][-1] <= cutoff < split_info["test_dates"][0]
        assert dt.date.fromisoformat(split_info["test_dates"][0]) < dt.date(2017, 1, 10)
