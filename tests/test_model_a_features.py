"""Tensors against a slow reference, and against the future."""

import contextlib
import hashlib
import itertools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from model_a.batches import build_batches, build_payload, embedding_index
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.errors import BadInput, NothingToFold
from model_a.features import OTHER_STATS, stat_names
from model_a.league import read_league
from model_a.lists import build_lists, relevance
from model_a.rosters import exact_totals, sums
from slow_features import SlowBatch, read_logs

TINY = DEFAULTS.with_name("tiny.yaml")
COUNTED = "min pts reb oreb dreb ast stl blk tov fgm fga fg3m fg3a ftm fta".split()
# A third of the logs count nothing: windows of nothing but zeros, players without a minute.
HOLES = (
    f"UPDATE player_game_logs SET {', '.join(f'{name} = 0' for name in COUNTED)} "
    "WHERE (player_id * 7 + CAST(substr(game_id, 4) AS INTEGER)) % 3 = 0"
)
AT_MOST = dict.fromkeys(("availability", *OTHER_STATS), 1) | {"true_shooting": 1.5}  # all threes
# Prints a digest of all that a build makes, as a process with another salt makes it.
DIGEST = """
import sys
sys.path[:0] = sys.argv[1:3]
from model_a.batches import build_payload
from test_model_a_features import digest, inputs
print(digest(build_payload(sys.argv[3], inputs())))
"""


def inputs(*settings):
    return batch_inputs(load_config([TINY], ["training.max_list_dates=12", *settings]))


def digest(payload):
    told = hashlib.sha256(
        repr([payload[name] for name in payload if not name.endswith("batches")]).encode()
    )
    for batch in payload["oof_batches"] + payload["all_batches"]:
        for name, value in batch.items():
            told.update(name.encode() + value.numpy().tobytes())
    return told.hexdigest()


@pytest.fixture(scope="module")
def league(league_db):
    return read_league(str(league_db), inputs())


@pytest.fixture(scope="module")
def holed_db(league_db, tmp_path_factory):
    path = tmp_path_factory.mktemp("holed") / "league.sqlite"
    with contextlib.closing(sqlite3.connect(league_db)) as db:
        db.execute("VACUUM INTO ?", (str(path),))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(HOLES)
    return path


@pytest.fixture(scope="module")
def logs(league_db):
    return read_logs(league_db)


@pytest.fixture(scope="module")
def holed_logs(holed_db):
    return read_logs(holed_db)


@pytest.mark.parametrize(
    ("db", "rows", "settings"),
    [
        ("league_db", "logs", []),
        ("league_db", "logs", ["rolling_windows=[3, 7, 50]", "roster_size=20"]),
        ("holed_db", "holed_logs", ["rolling_windows=[1]", "roster_size=1"]),
        ("holed_db", "holed_logs", ["rolling_windows=[2, 1]", "prior_season_lookback_days=150"]),
        ("holed_db", "holed_logs", ["rolling_windows=[1]", "use_prior_season_baseline=false"]),
    ],
)
def test_tensors_equal_a_slow_reference(request, db, rows, settings):
    wanted = inputs(*(f"training.{setting}" for setting in settings))
    league = read_league(str(request.getfixturevalue(db)), wanted)
    lists, _ = build_lists(league, wanted)
    picked = [*lists[:2], lists[7], lists[-2], lists[-1]]
    metas, batches = build_batches(league, picked, wanted)

    for one, meta, batch in zip(picked, metas, batches, strict=True):
        slow = SlowBatch(request.getfixturevalue(rows), one, wanted)
        tensors = slow.tensors()

        assert meta["player_ids_per_team"] == slow.player_ids()
        assert batch["rel"].tolist() == [pytest.approx(relevance(one))]
        assert set(batch) == {*tensors, "rel"}
        for name, values in tensors.items():
            made = batch[name].squeeze(0).numpy()
            assert batch[name].shape == (1, *values.shape)
            if made.dtype == np.float32:
                np.testing.assert_allclose(made, values, rtol=1e-5, atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(made, values, err_msg=name)
        assert made_of(batch) == {
            "embedding_indices": torch.int64,
            "player_stats": torch.float32,
            "minutes": torch.float32,
            "key_padding_mask": torch.bool,
            "rel": torch.float32,
        }


def made_of(batch):
    return {name: value.dtype for name, value in batch.items()}


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_no_game_on_or_after_the_date_reaches_a_tensor(altered_db, league, place):
    """Every value of every such game is changed, dates and fixtures are not."""
    dates = sorted({one["as_of_date"] for one in build_lists(league, inputs())[0]})
    date = dates[round(place * (len(dates) - 1))]
    other = read_league(str(altered_db(all_changed_since(date))), inputs())

    for target in ("null", "final_rank", "playoff_outcome"):
        wanted = inputs(f"training.listmle_target={target}")
        made, again = (lists_and_batches(one, date, wanted) for one in (league, other))

        assert made["lists"] == again["lists"]
        assert made["metas"] == again["metas"]
        for one, two in zip(made["batches"], again["batches"], strict=True):
            for name in set(one) - {"rel"}:
                assert torch.equal(one[name], two[name]), name
        # A target of the season's end does change, or this test has changed nothing.
        assert (made["rel"] == again["rel"]) == (target == "null")
        assert len(made["lists"]) >= 2


def lists_and_batches(league, date, wanted):
    """What is made of a league until a date, the targets apart."""
    lists = [one for one in build_lists(league, wanted)[0] if one["as_of_date"] <= date]
    metas, batches = build_batches(league, lists, wanted)
    return {
        "lists": [one | {"final_rank": 0, "playoff_ranks": 0} for one in lists],
        "metas": [meta | {"rel_values": 0, "playoff_ranks": 0} for meta in metas],
        "batches": batches,
        "rel": [batch["rel"].tolist() for batch in batches],
    }


def all_changed_since(date):
    """SQL that gives every game on or after a date other figures, another winner, other players."""
    later = f"game_id IN (SELECT game_id FROM games WHERE game_date >= '{date}')"
    in_playoffs = f"game_id IN (SELECT game_id FROM playoff_games WHERE game_date >= '{date}')"
    changed = ", ".join(f"{name} = {name} * 3 + player_id % 7" for name in COUNTED[1:])
    lost = "wl = CASE wl WHEN 'W' THEN 'L' ELSE 'W' END"
    return (
        f"UPDATE player_game_logs SET min = 1 + player_id % 40, {changed} WHERE {later};"
        f"UPDATE team_game_logs SET plus_minus = plus_minus * -9 + 1, min = 265, pts = pts + 50, "
        f"{lost} WHERE {later};"
        f"UPDATE playoff_team_game_logs SET {lost} WHERE {in_playoffs};"
        "UPDATE player_game_logs SET team_id = (SELECT home_team_id + away_team_id FROM games g "
        "WHERE g.game_id = player_game_logs.game_id) - team_id "
        f"WHERE player_id % 3 = 0 AND {later};"
    )


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


@pytest.mark.parametrize("windows", [[10], [15, 30], [30, 10], [4, 9, 25, 82]])
def test_no_window_leaves_a_column_of_zeros(league, windows):
    """Domain trap: columns of a window that the code did not know by name were all 0."""
    wanted = inputs(f"training.rolling_windows={windows}")
    _, batches = build_batches(league, build_lists(league, wanted)[0][-2:], wanted)
    stats = torch.cat([batch["player_stats"].flatten(0, 2) for batch in batches])

    assert stats.shape[1] == len(stat_names(windows)) == wanted["stat_dim"]
    assert stats.any(0).all()
    for first, second in itertools.combinations(range(len(windows)), 2):  # each of its own games
        assert not torch.equal(stats[:, 10 * first], stats[:, 10 * second])


def test_a_stat_that_is_0_everywhere_is_refused(altered_db):
    path = altered_db("UPDATE player_game_logs SET blk = 0")

    with pytest.raises(BadInput, match="'blk_L10' is 0 for every player"):
        build_payload(str(path), inputs())


def test_embedding_indices_are_the_same_in_every_process():
    """Domain trap: Python's own hash of a str is salted."""
    assert [embedding_index(player, 500) for player in (2544, 201939)] == [221, 486]


def test_a_build_is_the_same_bytes_whatever_salts_the_hashes(league_db):
    """Domain trap: indices by a salted hash differed from process to process."""
    paths = [str(Path(__file__).parent), str(DEFAULTS.parents[1] / "scripts"), str(league_db)]
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, *paths],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }

    assert digests == {f"{digest(build_payload(str(league_db), inputs()))}\n"}


def test_stats_are_of_possible_size(league):
    """Domain trap: shooting of 4 to 7, where 0.5 is usual, was cached and served."""
    wanted = inputs()
    _, batches = build_batches(league, build_lists(league, wanted)[0], wanted)
    stats = torch.cat([batch["player_stats"][~batch["key_padding_mask"]] for batch in batches])

    for name, values in zip(stat_names(wanted["rolling_windows"]), stats.T, strict=True):
        most = AT_MOST.get(name.partition("_L")[0], np.inf)
        assert values.max() <= most, name
        assert values.min() >= (-np.inf if name.startswith("on_court") else 0), name
        assert values.isfinite().all(), name


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


def test_lists_of_less_than_a_conference_are_counted_with_the_reason(league_db, league):
    """Domain trap: lists of 19 of 30 teams looked like any other."""
    wanted = inputs("training.max_list_dates=null", "training.max_lists_oof=4")
    lists, _ = build_lists(league, wanted)
    payload = build_payload(str(league_db), wanted)

    short = sum(len(one["team_ids"]) < 15 for one in lists)
    assert payload["split_info"]["short"] == {"a team has not played yet": short}
    assert 0 < short < 0.1 * len(lists)


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
