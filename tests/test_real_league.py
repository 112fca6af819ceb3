"""Lists and features of the real league, where its logs are: known champions, known standings."""

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from league import database, facts, layout
from model_a.batches import build_batches, build_payload
from model_a.config import batch_inputs, load_config
from model_a.league import check_league, read_league
from model_a.lists import build_lists, final_ranks
from slow_features import SlowBatch, read_logs

pytestmark = pytest.mark.skipif(
    not Path(os.environ.get("NBA_DATA_DIR", "/nonexistent"), "games.parquet").is_file(),
    reason="NBA_DATA_DIR does not name a directory of the real logs",
)
# Champion and other finalist; best record; worst record. Where two or three share one, all of them.
KNOWN = """
2014-15 GSW CLE GSW-67-15 MIN-16-66
2015-16 CLE GSW GSW-73-9  PHI-10-72
2016-17 GSW CLE GSW-67-15 BKN-20-62
2017-18 GSW CLE HOU-65-17 PHX-21-61
2018-19 TOR GSW MIL-60-22 NYK-17-65
2019-20 LAL MIA MIL-56-17 GSW-15-50
2020-21 MIL PHX UTA-52-20 HOU-17-55
2021-22 GSW BOS PHX-64-18 HOU-20-62
2022-23 DEN MIA MIL-58-24 DET-17-65
2023-24 BOS DAL BOS-64-18 DET-14-68
2024-25 OKC IND OKC-68-14 UTA-17-65
"""
# Wins of every team, conference by conference, best first.
STANDINGS = {
    ("2015-16", "E"): "CLE57 TOR56 ATL48 BOS48 CHA48 MIA48 IND45 DET44 CHI42 WAS41 ORL35 MIL33 "
    "NYK32 BKN21 PHI10",
    ("2015-16", "W"): "GSW73 SAS67 OKC55 LAC53 POR44 DAL42 MEM42 HOU41 UTA40 SAC33 DEN33 NOP30 "
    "MIN29 PHX23 LAL17",
    ("2023-24", "E"): "BOS64 NYK50 MIL49 CLE48 IND47 ORL47 PHI47 MIA46 CHI39 ATL36 BKN32 TOR25 "
    "CHA21 WAS15 DET14",
    ("2023-24", "W"): "DEN57 OKC57 MIN56 LAC51 DAL50 NOP49 PHX49 LAL47 GSW46 SAC46 HOU41 UTA31 "
    "MEM27 SAS22 POR21",
    ("2024-25", "E"): "CLE64 BOS61 NYK51 IND50 MIL48 DET44 ORL41 ATL40 CHI39 MIA37 TOR30 BKN26 "
    "PHI24 CHA19 WAS18",
    ("2024-25", "W"): "OKC68 HOU52 DEN50 LAC50 LAL50 MIN49 GSW48 MEM48 SAC40 DAL39 PHX36 POR36 "
    "SAS34 NOP21 UTA17",
}
SHORT = dict(facts.teams()[["team_id", "abbreviation"]].itertuples(index=False))


def inputs(*settings):
    every = "training.train_seasons=[" + ", ".join(list(facts.SEASONS)[:-1]) + "]"
    return batch_inputs(
        load_config(
            [],
            [
                "training.max_list_dates=null",
                "training.max_lists_oof=null",
                "training.max_final_batches=null",
                every,
                "training.test_seasons=[2024-25]",
                *settings,
            ],
        )
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frames, label = layout.read(Path(os.environ["NBA_DATA_DIR"]))
    path = tmp_path_factory.mktemp("real") / "league.sqlite"
    database.build(database.tables(frames, label), path)
    return str(path)


@pytest.fixture(scope="module")
def league(path):
    league = read_league(path, inputs())
    check_league(league, inputs())
    return league


def by_rank(league, target):
    """The abbreviations of each season's teams, best first."""
    ranks = final_ranks(league, target)
    names = np.array([SHORT[int(team_id)] for team_id in league.team_ids])
    return {
        season: names[np.argsort(ranks[row])].tolist()
        for row, season in enumerate(league.seasons.names)
    }


def records(league):
    """Wins and losses by season and abbreviation, counted from the results."""
    games = league.team_games
    seasons = [league.seasons.names[season] for season in games.season]
    teams = [SHORT[int(league.team_ids[team])] for team in games.team]
    won = Counter(zip(seasons, teams, games.won.tolist(), strict=True))
    return lambda season, team: (won[season, team, True], won[season, team, False])


def test_targets_know_the_champions_and_the_best_and_worst_of_eleven_seasons(league):
    playoffs, standings = by_rank(league, "playoff_outcome"), by_rank(league, "final_rank")
    record = records(league)

    for line in KNOWN.strip().splitlines():
        season, champion, finalist, best, worst = line.split()
        assert playoffs[season][:2] == [champion, finalist], season
        for place, known in ((0, best), (-1, worst)):
            team, wins, losses = known.split("-")
            assert standings[season][place] == team, season
            assert record(season, team) == (int(wins), int(losses)), season
    assert len(playoffs) == len(KNOWN.strip().splitlines()) == 11


@pytest.mark.parametrize(("season", "conference"), STANDINGS)
def test_final_rank_is_the_standing_that_is_known(league, season, conference):
    sides = dict(facts.teams()[["abbreviation", "conference"]].itertuples(index=False))
    of_side = [team for team in by_rank(league, "final_rank")[season] if sides[team] == conference]
    record = records(league)

    wins = [int(known[3:]) for known in STANDINGS[season, conference].split()]
    assert [record(season, team)[0] for team in of_side] == wins
    assert sorted(f"{team}{record(season, team)[0]}" for team in of_side) == sorted(
        STANDINGS[season, conference].split()
    )


def test_every_date_has_30_teams_once_all_have_played_or_a_named_reason(league):
    """Domain trap: 19 of 30 teams, for months, and better figures for it."""
    lists, dropped = build_lists(league, inputs())
    teams, reasons = Counter(), Counter()
    for one in lists:
        teams[one["season"], one["as_of_date"]] += len(set(one["team_ids"]))
    for season, name in enumerate(league.seasons.names):
        games = league.team_games
        of_season = games.season == season
        first = max(games.day[of_season & (games.team == team)].min() for team in range(30))
        days = np.unique(games.day[of_season])
        for day in days:
            date = str(np.datetime64(int(day), "D"))
            if day > first:
                assert teams[name, date] == 30, date
            else:
                reasons["not every team has played"] += teams[name, date] < 30
    dates = len(np.unique(league.team_games.day))

    assert dates == 1763
    assert len(lists) + sum(dropped.values()) == 2 * dates
    assert len(lists) > 3490
    assert sum(reasons.values()) < 100


def test_all_lists_of_eleven_seasons_are_built_in_seconds(path, league):
    started = time.perf_counter()
    payload = build_payload(path, inputs())
    seconds = time.perf_counter() - started

    lists, _ = build_lists(league, inputs())
    assert payload["split_info"]["n_train_lists"] == len(payload["all_batches"]) > 3100
    assert payload["split_info"]["n_test_lists"] == len(lists) - len(payload["all_batches"])
    short = sum(payload["split_info"]["short"].values())
    assert short == sum(len(one["team_ids"]) < 15 for one in lists) < 120
    assert seconds < 60  # 5 on a quiet core


def test_a_few_real_lists_equal_the_slow_reference(path, league):
    logs = read_logs(path)
    lists, _ = build_lists(league, inputs())
    picked = [lists[number] for number in (30, len(lists) // 2, len(lists) - 1)]
    metas, batches = build_batches(league, picked, inputs())

    for one, meta, batch in zip(picked, metas, batches, strict=True):
        slow = SlowBatch(logs, one, inputs())
        assert meta["player_ids_per_team"] == slow.player_ids()
        for name, values in slow.tensors().items():
            torch.testing.assert_close(
                batch[name][0], torch.from_numpy(values).to(batch[name].dtype), rtol=1e-5, atol=1e-5
            )
