"""Tensors against a slow reference, and against the future."""

import contextlib
import datetime as dt
import sqlite3

import numpy as np
import pytest
import torch
from model_a.batches import build_batches, build_payload, embedding_index
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.errors import BadInput, NothingToFold
from model_a.features import stat_names
from model_a.league import read_league
from model_a.lists import build_lists, relevance
from model_a.rosters import exact_totals, sums

TINY = DEFAULTS.with_name("tiny.yaml")
WINDOW = ("pts", "reb", "ast", "stl", "blk", "tov")


def inputs(*settings):
    return batch_inputs(load_config([TINY], ["training.max_list_dates=12", *settings]))


@pytest.fixture(scope="module")
def league(league_db):
    return read_league(str(league_db), inputs())


@pytest.fixture(scope="module")
def logs(league_db):
    """Every player log as a dict, by player and date."""
    with contextlib.closing(sqlite3.connect(league_db)) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "SELECT p.*, g.game_date, g.season, t.min AS team_min, t.plus_minus AS team_plus_minus "
            "FROM player_game_logs p JOIN games g USING (game_id) JOIN team_game_logs t "
            "ON t.game_id = p.game_id AND t.team_id = p.team_id ORDER BY p.player_id, g.game_date"
        )
        return [dict(row) for row in rows]


class Reference:
    """What a team's players are on a date, the slow way: from the rows before it, one by one."""

    def __init__(self, logs, one, wanted):
        self.wanted = wanted
        self.start = wanted["seasons"][one["season"]]["start"]
        self.before = {}
        for row in logs:
            if row["game_date"] < one["as_of_date"]:
                self.before.setdefault(row["player_id"], []).append(row)

    def roster(self, team):
        minutes = {
            player: sum(r["min"] for r in rows if r["team_id"] == team and self.now(r))
            for player, rows in self.before.items()
            if rows[-1]["team_id"] == team and self.now(rows[-1])
        }
        by_minutes = sorted(minutes, key=lambda player: (-minutes[player], player))
        return {player: minutes[player] for player in by_minutes[: self.wanted["roster_size"]]}

    def now(self, row):
        return row["game_date"] >= self.start

    def stats(self, team, roster, player, rank):
        stats = []
        for window in self.wanted["rolling_windows"]:
            stats += self.means(self.before[player][-window:])
        if not any(stats) and self.wanted["use_prior_season_baseline"]:
            lookback = dt.timedelta(self.wanted["prior_season_lookback_days"])
            since = str(dt.date.fromisoformat(self.start) - lookback)
            prior = [r for r in self.before[player] if since <= r["game_date"] < self.start]
            stats = self.means(prior) * len(self.wanted["rolling_windows"])
        share = roster[player] / sum(roster.values())
        place = 1 - rank / (self.wanted["roster_size"] - 1)
        return [*stats, self.continuity(team), share, float(rank < 5), place]

    def means(self, rows):
        if not rows:
            return [0.0] * 10
        sums = {name: sum(r[name] for r in rows) for name in (*WINDOW, "fga", "fta")}
        shots = sums["fga"] + 0.44 * sums["fta"]
        on_court = [r["min"] / r["team_min"] * r["team_plus_minus"] for r in rows]
        return [
            *(sums[name] / len(rows) for name in WINDOW),
            sum(r["min"] > 0 for r in rows) / len(rows),
            sums["pts"] / (2 * shots) if shots else 0.0,
            (shots + sums["tov"]) / len(rows),
            sum(on_court) / len(rows),
        ]

    def continuity(self, team):
        since = str(dt.date.fromisoformat(self.start) - dt.timedelta(400))
        played, returning = 0, 0
        for rows in self.before.values():
            of_team = [r for r in rows if r["team_id"] == team]
            minutes = sum(r["min"] for r in of_team if self.now(r))
            played += minutes
            if any(since <= r["game_date"] < self.start for r in of_team):
                returning += minutes
        return returning / played


@pytest.mark.parametrize("windows", [[10, 30], [1], [3, 7, 50]])
def test_tensors_equal_a_slow_reference(league, logs, windows):
    wanted = inputs(f"training.rolling_windows={windows}")
    lists, _ = build_lists(league, wanted)
    picked = [lists[0], lists[7], lists[-1]]
    metas, batches = build_batches(league, picked, wanted)

    for one, meta, batch in zip(picked, metas, batches, strict=True):
        reference = Reference(logs, one, wanted)
        teams, size, width = len(one["team_ids"]), wanted["roster_size"], wanted["stat_dim"]
        assert {name: tuple(value.shape) for name, value in batch.items()} == {
            "embedding_indices": (1, teams, size),
            "player_stats": (1, teams, size, width),
            "minutes": (1, teams, size),
            "key_padding_mask": (1, teams, size),
            "rel": (1, teams),
        }
        assert batch["rel"].tolist() == [pytest.approx(relevance(one))]
        for place, team in enumerate(one["team_ids"][:4]):
            roster = reference.roster(team)
            n = len(roster)
            stats = [reference.stats(team, roster, p, r) for r, p in enumerate(roster)]
            indices = [embedding_index(player, wanted["num_embeddings"]) for player in roster]
            most = max(roster.values())

            assert meta["player_ids_per_team"][place] == [*roster, *[None] * (size - n)]
            np.testing.assert_allclose(
                batch["player_stats"][0, place, :n], stats, rtol=1e-5, atol=1e-5
            )
            assert not batch["player_stats"][0, place, n:].any()
            assert batch["embedding_indices"][0, place].tolist() == [
                *indices,
                *[wanted["num_embeddings"]] * (size - n),
            ]
            assert batch["minutes"][0, place, :n].tolist() == pytest.approx(
                [minutes / most for minutes in roster.values()]
            )
            assert batch["key_padding_mask"][0, place].tolist() == [False] * n + [True] * (size - n)


@pytest.mark.parametrize("target", ["null", "final_rank"])
def test_no_game_on_or_after_the_date_reaches_a_tensor(altered_db, league, target):
    """Every value of every such game is changed, dates and fixtures are not."""
    wanted = inputs(f"training.listmle_target={target}")
    lists, _ = build_lists(league, wanted)
    dates = sorted({one["as_of_date"] for one in lists})
    date = dates[len(dates) // 2]
    later = f"game_id IN (SELECT game_id FROM games WHERE game_date >= '{date}')"
    counts = "reb oreb dreb ast stl blk tov fgm fga fg3m fg3a ftm fta pts".split()
    changed = ", ".join(f"{name} = {name} * 3 + player_id % 7" for name in counts)
    path = altered_db(
        f"UPDATE player_game_logs SET min = 1 + player_id % 40, {changed} WHERE {later};"
        f"UPDATE team_game_logs SET plus_minus = plus_minus * -9 + 1, min = 265, "
        f"wl = CASE wl WHEN 'W' THEN 'L' ELSE 'W' END WHERE {later};"
    )
    other = read_league(str(path), wanted)
    others, _ = build_lists(other, wanted)

    for made, again in zip(lists, others, strict=True):
        if made["as_of_date"] <= date:
            known = set(made) - {"final_rank", "playoff_ranks"}  # what is to be learned
            assert {name: made[name] for name in known} == {name: again[name] for name in known}
    until = [[o for o in every if o["as_of_date"] <= date] for every in (lists, others)]
    _, before = build_batches(league, until[0], wanted)
    _, after = build_batches(other, until[1], wanted)
    for one, two in zip(before, after, strict=True):
        for name in one:
            if name != "rel" or target == "null":
                assert torch.equal(one[name], two[name]), name
    assert sum(len(every) for every in until) > 20


def test_the_newest_game_before_the_date_counts(league, logs):
    """Domain trap: a shift by one game left it out, and emptied players of one game."""
    wanted = inputs("training.rolling_windows=[1]")
    lists, _ = build_lists(league, wanted)
    one = lists[-1]
    (meta,), (batch,) = build_batches(league, [one], wanted)
    player = meta["player_ids_per_team"][0][0]
    newest = [r for r in logs if r["player_id"] == player and r["game_date"] < one["as_of_date"]][
        -1
    ]

    assert batch["player_stats"][0, 0, 0, 0] == newest["pts"]
    assert batch["player_stats"][0, 0, 0, 1] == newest["reb"]


def test_a_player_whose_windows_are_all_0_gets_last_seasons_means(altered_db, league):
    one = build_lists(league, inputs())[0][6]
    (meta,), _ = build_batches(league, [one], inputs())
    player = meta["player_ids_per_team"][0][0]
    zeros = ", ".join(f"{name} = 0" for name in "min pts reb ast stl blk tov fga fta".split())
    path = altered_db(
        f"UPDATE player_game_logs SET {zeros} WHERE player_id = {player} AND game_id = "
        "(SELECT game_id FROM player_game_logs JOIN games USING (game_id) WHERE "
        f"player_id = {player} AND game_date < '{one['as_of_date']}' "
        "ORDER BY game_date DESC LIMIT 1)"
    )

    stats = {}
    for use in ("true", "false"):
        wanted = inputs("training.rolling_windows=[1]", f"training.use_prior_season_baseline={use}")
        (meta,), (batch,) = build_batches(read_league(str(path), wanted), [one], wanted)
        place = meta["player_ids_per_team"][0].index(player)
        stats[use] = batch["player_stats"][0, 0, place, :10]

    assert not stats["false"].any()
    assert stats["true"].any()


def test_stat_names_follow_the_windows():
    """Domain trap: names were L10 and L30 whatever the windows, and nine columns all 0."""
    names = stat_names([15, 40])

    assert names[:2] == ["pts_L15", "reb_L15"]
    assert names[10] == "pts_L40"
    assert names[20:] == ["continuity", "minutes_share", "starter", "minutes_rank"]


def test_a_stat_that_is_0_everywhere_is_refused(altered_db):
    path = altered_db("UPDATE player_game_logs SET blk = 0")

    with pytest.raises(BadInput, match="'blk_L10' is 0 for every player"):
        build_payload(str(path), inputs())


def test_embedding_indices_are_the_same_in_every_process():
    """Domain trap: Python's own hash of a str is salted."""
    assert [embedding_index(player, 500) for player in (2544, 201939)] == [221, 486]


def test_running_totals_are_exact_whatever_follows():
    values = np.array([0.1, 1e9 / 3, 0.1])
    other = np.array([0.7, 2e9 / 3, 0.1])

    for array in (values, other):
        assert sums(exact_totals(array), 2, 3) == sums(exact_totals(values[2:]), 0, 1)


def test_the_sections_go_by_the_same_numbers(league_db):
    """Domain trap: folds indexed fresh lists while cached batches could be fewer."""
    payload = build_payload(str(league_db), inputs())

    assert list(payload) == [
        "split_info",
        "oof_lists",
        "all_lists",
        "list_metas",
        "oof_batches",
        "all_batches",
        "test_lists",
        "test_batches",
    ]
    assert len(payload["all_lists"]) == len(payload["all_batches"])
    for one, meta, batch in zip(
        payload["oof_lists"], payload["list_metas"], payload["oof_batches"], strict=True
    ):
        assert meta["team_ids"] == one["team_ids"]
        assert batch["rel"].tolist() == [pytest.approx(meta["rel_values"])]
    assert payload["split_info"]["label"] == "SIMULATED"
    assert payload["split_info"]["n_teams"] == 30


def test_test_seasons_train_nothing(league_db):
    payload = build_payload(str(league_db), inputs())

    assert {one["season"] for one in payload["all_lists"]} == {"2015-16", "2016-17"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.max_lists_oof=0"], "no out-of-fold batches"),
        (
            [
                "training.train_seasons=null",
                "training.test_seasons=null",
                "training.train_test_cutoff=2014-01-01",
                *(f"seasons.20{y}-{y + 1}=null" for y in range(18, 25)),
            ],
            "no train lists",
        ),
    ],
)
def test_nothing_to_fold_is_told_from_what_is_wrong(league_db, settings, message):
    with pytest.raises(NothingToFold, match=message):
        build_payload(str(league_db), inputs(*settings))


def test_folds_without_a_season_each_are_refused(league_db):
    with pytest.raises(BadInput, match=r"2 folds of whole seasons, but .* lists are of 1"):
        build_payload(str(league_db), inputs("training.max_lists_oof=2"))
