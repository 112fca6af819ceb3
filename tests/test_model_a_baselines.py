"""What is known of a list's teams before its date, and the rankers that are made from it."""

import contextlib
import json
import os
import sqlite3
import sys

import numpy as np
import pytest
from model_a.baselines import (
    BASELINES,
    PRIOR_GAMES,
    fit_prior_games,
    shrunk_win_rates,
    with_baselines,
)
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.league import read_league
from model_a.lists import build_lists
from test_script3 import arguments, as_it_was, main  # noqa: F401 - a fixture

TINY = DEFAULTS.with_name("tiny.yaml")
FROM = "FROM team_game_logs t JOIN games g USING (game_id) WHERE g.season = ?"


def lists_of(db, *settings):
    inputs = batch_inputs(load_config([TINY], ["training.max_list_dates=20", *settings]))
    return build_lists(read_league(str(db), inputs), inputs)[0]


def asked(db, sql, *values):
    with contextlib.closing(sqlite3.connect(db)) as connection:
        return {team: rest for team, *rest in connection.execute(sql, values)}


def test_what_lists_say_of_teams_is_of_games_before_the_date(league_db):
    for one in lists_of(league_db)[::7]:
        start = int(one["season"][:4])
        before = f"{start - 1}-{start % 100}"
        sql = f"SELECT t.team_id, count(*), avg(t.plus_minus), avg(t.wl = 'W') {FROM}"
        now = asked(
            league_db, f"{sql} AND game_date < ? GROUP BY 1", one["season"], one["as_of_date"]
        )
        then = asked(league_db, f"{sql} GROUP BY 1", before)
        for place, team in enumerate(one["team_ids"]):
            assert one["games_played"][place] == now[team][0]
            assert one["margins"][place] == pytest.approx(now[team][1])
            assert one["win_rates"][place] == pytest.approx(now[team][2])
            assert one["prior_margins"][place] == pytest.approx(then[team][1])
            assert one["prior_win_rates"][place] == pytest.approx(then[team][2])


def test_what_games_later_bring_changes_no_baseline(altered_db, league_db):
    """All later results of the season are turned round; ranks that are targets may change."""
    day = sorted({one["as_of_date"] for one in lists_of(league_db)})[6]
    turned = altered_db(
        "UPDATE team_game_logs SET wl = CASE wl WHEN 'W' THEN 'L' ELSE 'W' END, "
        "plus_minus = -3 * plus_minus WHERE game_id IN "
        f"(SELECT game_id FROM games WHERE game_date >= '{day}')"
    )
    known = ("games_played", "win_rates", "margins", "prior_win_rates", "prior_margins")
    pairs = [
        (one, other)
        for one, other in zip(lists_of(league_db), lists_of(turned), strict=True)
        if one["as_of_date"] <= day
    ]

    assert len(pairs) >= 12
    for one, other in pairs:
        assert one["team_ids"] == other["team_ids"]
        assert [one[name] for name in known] == [other[name] for name in known]


def test_the_first_season_of_all_has_none_before(league_db):
    every = ["training.train_seasons=[2014-15, 2015-16]", "training.test_seasons=[2017-18]"]
    lists = lists_of(league_db, *every)
    without_2016 = lists_of(league_db, *every, "seasons.2016-17=null")

    assert {one["season"]: one["prior_margins"] is None for one in lists} == {
        "2014-15": True,
        "2015-16": False,
        "2017-18": False,
    }
    assert without_2016[-1]["season"] == "2017-18"
    assert without_2016[-1]["prior_win_rates"] is None
    (filled, *_) = with_baselines(lists[:1], 8)
    assert set(filled["prior_win_rates"]) == {0.5}


def test_playoff_ranks_are_there_where_there_are_playoffs(league_db, altered_db):
    without = altered_db("DELETE FROM playoff_team_game_logs")
    for one, other in zip(lists_of(league_db), lists_of(without), strict=True):
        assert 1 <= min(one["playoff_ranks"]) < max(one["playoff_ranks"]) <= 30
        assert other["playoff_ranks"] is None


def test_shrinking_puts_last_season_in_as_so_many_games():
    one = {"win_rates": [1.0, 0.5], "games_played": [2, 8], "prior_win_rates": [0.25, 0.75]}

    assert shrunk_win_rates(one, 0) == [1.0, 0.5]
    assert shrunk_win_rates(one, 8) == pytest.approx([(2 + 2) / 10, (4 + 6) / 16])


def test_the_weight_of_last_season_is_what_ranks_best_in_training():
    draw = np.random.default_rng(3)
    for right in (0, 8, 128):
        lists = []
        for _ in range(40):
            rates, prior = draw.random((2, 15))
            one = {"win_rates": rates, "games_played": [10] * 15, "prior_win_rates": [*prior]}
            lists.append(one | {"y": shrunk_win_rates(one, right)})

        assert fit_prior_games(lists) == right
        assert right in PRIOR_GAMES


def test_a_run_measures_model_and_baselines_on_the_same_lists_and_draws_them(
    league_db, tmp_path, monkeypatch, capsys
):
    settings = [f"paths.outputs={tmp_path / 'out'}", "outputs.figures=true", "model_a.n_seeds=2"]

    code = main(monkeypatch, *arguments(league_db, tmp_path, *settings))
    said = capsys.readouterr().out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    test = metrics.pop("test")

    assert code == 0, said
    assert metrics["label"] == "SIMULATED"
    assert metrics["target"] == "final_rank"
    assert set(metrics["spearman"]) == {"oof_a", *BASELINES}
    assert set(test["spearman"]) == {"model_a", *BASELINES}
    assert set(metrics["by_season"]) == {"2016-17"}
    assert set(test["by_season"]) == {"2017-18"}
    for of in (metrics, metrics["whole_lists"], test, test["whole_lists"]):
        assert set(of["seeds"]["spearman"]) == {"42", "43"}
    assert metrics["spearman"]["shrunk_win_rates"] > metrics["spearman"]["prior_win_rates"]
    for text in (
        "fold 1, seed 43: epoch 2/2, loss ",
        "final, seed 42: epoch 1/2, loss ",
        "\ntest: ",
    ):
        assert text in said
    for name in ("predicted_ranks.png", "losses.png", "spearman_by_day.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_the_test_seasons_may_be_left_unseen(league_db, tmp_path, monkeypatch):
    settings = [f"paths.outputs={tmp_path / 'out'}", "outputs.score_test=false"]

    assert main(monkeypatch, *arguments(league_db, tmp_path, *settings)) == 0

    assert "test" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


@pytest.mark.skipif("NBA_DATA_DIR" not in os.environ, reason="needs the real logs: NBA_DATA_DIR")
def test_on_the_real_league_early_win_rates_rank_as_well_as_they_are_known_to(tmp_path):
    """By an account of its own: win rate to date 0.587 in lists of 15 of the first 40 days."""
    import datetime as dt
    from pathlib import Path

    from league import database, layout
    from model_a.lists import relevance
    from model_a.metrics import spearman

    frames, label = layout.read(Path(os.environ["NBA_DATA_DIR"]))
    database.build(database.tables(frames, label), tmp_path / "league.sqlite")
    config = load_config([], ["training.max_list_dates=null"])
    inputs = batch_inputs(config)
    lists, _ = build_lists(read_league(str(tmp_path / "league.sqlite"), inputs), inputs)
    early = [
        one | {"y": relevance(one)}
        for one in lists
        if len(one["team_ids"]) == 15
        and (dt.date.fromisoformat(one["as_of_date"]) - config.seasons[one["season"]].start).days
        < 40
    ]
    means = {
        name: np.mean([spearman(one[name], one["y"]) for one in with_baselines(early, 16)])
        for name in BASELINES
    }

    assert means["win_rates"] == pytest.approx(0.587, abs=0.01)
    assert means["shrunk_win_rates"] == pytest.approx(0.70, abs=0.02)


def test_figures_that_cannot_be_drawn_are_refused_before_anything_is_trained(
    league_db, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    settings = [f"paths.outputs={tmp_path / 'out'}", "outputs.figures=true"]

    code = main(monkeypatch, *arguments(league_db, tmp_path, *settings))

    assert code == 2
    assert capsys.readouterr().err == (
        "error: outputs.figures: True needs matplotlib, which is not installed: install "
        "'tensorcache[scripts]', or set outputs.figures=false\n"
    )
    assert not (tmp_path / "out").exists()
