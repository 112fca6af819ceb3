import shutil
import sqlite3

import numpy as np
import pytest
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.errors import BadInput
from model_a.league import check_league, read_league

TINY = DEFAULTS.with_name("tiny.yaml")

LOGS = "(SELECT game_id FROM games WHERE season = '2016-17')"
ONE_TEAM = "(game_id, team_id) = (SELECT game_id, team_id FROM team_game_logs LIMIT 1)"
ONE_PLAYER = "(game_id, player_id) = (SELECT game_id, player_id FROM player_game_logs LIMIT 1)"
# What is wrong with a league, as SQL, and what is said of it.
REFUSED = [
    ("UPDATE teams SET conference = 'Z' WHERE team_id = 1610612737", "has the conference 'Z'"),
    ("UPDATE teams SET conference = 'W'", "0 teams are in conference 'E'"),
    ("DELETE FROM teams WHERE team_id = 1610612737", "has 29 teams, a league has 30"),
    (
        # A game of a team takes the other team's row with it: all of its games go.
        (
            "CREATE TEMP TABLE gone AS SELECT game_id FROM games WHERE season = '2016-17' "
            "AND 1610612737 IN (home_team_id, away_team_id);"
            "DELETE FROM games WHERE game_id IN gone;"
            "DELETE FROM team_game_logs WHERE game_id IN gone;"
            "DELETE FROM player_game_logs WHERE game_id IN gone;"
        ),
        "season '2016-17' has games of 29 of 30 teams (none of 1610612737)",
    ),
    (
        (
            f"DELETE FROM team_game_logs WHERE game_id IN {LOGS};"
            f"DELETE FROM player_game_logs WHERE game_id IN {LOGS};"
            "DELETE FROM games WHERE season = '2016-17'"
        ),
        "season '2016-17' has no games",
    ),
    (
        f"UPDATE games SET game_date = '2016-08-01' WHERE game_id = {LOGS[:-1]} LIMIT 1)",
        "of season '2016-17' is dated 2016-08-01, outside that season's dates",
    ),
    (f"UPDATE games SET season = '1996-97' WHERE game_id = {LOGS[:-1]} LIMIT 1)", "'1996-97'"),
    ("UPDATE games SET game_date = 'autumn' WHERE season = '2016-17'", "no ISO day"),
    (f"UPDATE team_game_logs SET wl = 'D' WHERE {ONE_TEAM}", "neither 'W' nor 'L'"),
    (f"DELETE FROM team_game_logs WHERE {ONE_TEAM}", "has not exactly two team logs"),
    (f"UPDATE player_game_logs SET min = NULL WHERE {ONE_PLAYER}", "has no minutes"),
    (f"UPDATE player_game_logs SET min = -1 WHERE {ONE_PLAYER}", "negative ones"),
    (f"UPDATE player_game_logs SET pts = NULL WHERE {ONE_PLAYER}", "a missing count"),
    (f"UPDATE team_game_logs SET plus_minus = 'x' WHERE {ONE_TEAM}", "a log is no number"),
    (f"UPDATE team_game_logs SET plus_minus = NULL WHERE {ONE_TEAM}", "has null for a number"),
    (f"UPDATE player_game_logs SET team_id = 1 WHERE {ONE_PLAYER}", "1 of"),
    ("DROP TABLE playoff_games", "no such table: playoff_games"),
    ("DELETE FROM league", "no 'label'"),
]


def inputs(*settings):
    return batch_inputs(load_config([TINY], settings))


@pytest.mark.parametrize(("sql", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_a_league_that_is_not_whole_is_refused_in_one_line(altered_db, sql, message):
    with pytest.raises(BadInput) as refused:
        check_league(read_league(str(altered_db(sql)), inputs()), inputs())

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_player_with_two_logs_on_a_day_is_refused(altered_db):
    path = altered_db(
        "UPDATE games SET game_date = (SELECT game_date FROM games WHERE game_id = "
        "(SELECT min(game_id) FROM games)) WHERE season = '2014-15'"
    )

    with pytest.raises(BadInput, match="has two logs on"):
        read_league(str(path), inputs())


def test_historical_abbreviations_and_names_change_nothing(league_db, altered_db):
    """Domain trap: an abbreviation fallback once dropped 11 of 30 teams without a word."""
    path = altered_db("UPDATE teams SET abbreviation = 'SEA', name = 'Nobody'")

    as_it_was, renamed = (read_league(str(p), inputs()) for p in (league_db, path))

    assert len(renamed.team_ids) == 30
    assert np.array_equal(as_it_was.team_games.team, renamed.team_games.team)


def test_playoff_outcome_is_refused_for_a_season_without_playoffs(altered_db):
    path = altered_db(
        "DELETE FROM playoff_team_game_logs WHERE game_id IN "
        "(SELECT game_id FROM playoff_games WHERE season = '2016-17')"
    )
    wanted = inputs("training.listmle_target=playoff_outcome")

    check_league(read_league(str(path), inputs()), inputs())
    with pytest.raises(BadInput, match="'2016-17' has 0 playoff teams"):
        check_league(read_league(str(path), wanted), wanted)


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be one"])
def test_what_is_no_league_database_is_refused(tmp_path, content):
    path = tmp_path / "no#league?.sqlite"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadInput, match=r"build it with scripts/2_build_db\.py"):
        read_league(str(path), inputs())

    assert path.exists() == (content is not None)


def test_commits_that_are_not_checkpointed_are_read(league_db, tmp_path):
    path = tmp_path / "wal.sqlite"
    shutil.copyfile(league_db, path)
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE league SET value = 'ALTERED' WHERE name = 'label'")
    writer.commit()

    assert read_league(str(path), inputs()).label == "ALTERED"
    writer.close()
