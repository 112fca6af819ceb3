"""What is wrong with a league or with what is asked of it, through the scripts: exit 2, one line.

Each line says what, where, and the remedy; nothing is built, published or left behind, and never is
a league silently smaller.
"""

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
from league import layout
from league.layout import PLAYOFFS
from league.simulate import simulate

ROOT = Path(__file__).parents[1]
TINY = ROOT / "config" / "tiny.yaml"
OF_ATLANTA = "1610612737 IN (home_team_id, away_team_id)"


def without_atlanta(season):
    games = f"SELECT game_id FROM games WHERE season = '{season}' AND {OF_ATLANTA}"
    return (
        f"CREATE TEMP TABLE gone AS {games};"
        "DELETE FROM games WHERE game_id IN gone;"
        "DELETE FROM team_game_logs WHERE game_id IN gone;"
        "DELETE FROM player_game_logs WHERE game_id IN gone;"
    )


def unguarded(table, change):
    """The table without its key and its NOT NULLs, as a database of another maker may have it."""
    return (
        f"CREATE TABLE other AS SELECT * FROM {table}; DROP TABLE {table};"
        f"ALTER TABLE other RENAME TO {table}; {change}"
    )


ONE_LOG = "(SELECT rowid FROM player_game_logs LIMIT 1)"
# What is wrong with the database; settings; what is said; the remedy.
WRONG = {
    "no playoffs": (
        "DELETE FROM playoff_team_game_logs; DELETE FROM playoff_games",
        ["training.listmle_target=playoff_outcome"],
        "season '2015-16' has 0 playoff teams, listmle_target 'playoff_outcome' needs 16",
        "load its playoffs, or use 'final_rank'",
    ),
    "no playoff tables": (
        "DROP TABLE playoff_team_game_logs",
        ["training.listmle_target=playoff_outcome"],
        "no such table: playoff_team_game_logs",
        "build it with scripts/2_build_db.py",
    ),
    "29 teams in a season": (
        without_atlanta("2016-17"),
        [],
        "season '2016-17' has games of 29 of 30 teams (none of 1610612737)",
        "load the rest",
    ),
    "29 teams in a season that is only the past": (
        without_atlanta("2014-15"),
        [],
        "season '2014-15' has games of 29 of 30 teams (none of 1610612737)",
        "load the rest",
    ),
    "a conference is NULL": (
        unguarded("teams", "UPDATE teams SET conference = NULL WHERE team_id = 1610612740"),
        [],
        "team 1610612740 has the conference None",
        "make it 'E' or 'W'",
    ),
    "a team of another age": (
        "INSERT INTO teams VALUES (1610610000, 'SEA', 'Seattle SuperSonics', 'W')",
        [],
        "table teams has 31 teams, a league has 30",
        "take out those that are none of them",
    ),
    "a player's log twice": (
        unguarded(
            "player_game_logs",
            f"INSERT INTO player_game_logs SELECT * FROM player_game_logs WHERE rowid = {ONE_LOG}",
        ),
        [],
        "has two logs on 2014-",
        "drop the duplicate",
    ),
    "a team's log twice": (
        unguarded("team_game_logs", "INSERT INTO team_game_logs SELECT * FROM team_game_logs"),
        [],
        "has not exactly two team logs",
        "correct the database",
    ),
    "minutes that are NaN": (  # SQLite keeps NaN as NULL
        "UPDATE player_game_logs SET min = 9e999 - 9e999 WHERE pts = 20",
        [],
        "has no minutes, negative ones, or a missing count in game",
        "correct the database",
    ),
    "minutes without end": (
        "UPDATE player_game_logs SET min = 9e999 WHERE pts = 20",
        [],
        "a log has null for a number, or infinity",
        "correct the database",
    ),
    "a season without days": (
        "",
        ["seasons.2016-17={start: 2017-04-12, end: 2016-10-25}"],
        "seasons.2016-17: is empty: it starts on 2017-04-12 and ends on 2016-10-25",
        "give its first and last day",
    ),
    "a season without games": (
        "",
        ["training.test_seasons=[2018-19]"],
        "season '2018-19' has no games in the database",
        "take it out, or load it",
    ),
    "a season that trains and tests": (
        "",
        ["training.test_seasons=[2016-17, 2017-18]"],
        "['2016-17'] both trains and tests",
        "take it out of one list",
    ),
    "no windows": (
        "",
        ["training.rolling_windows=[]"],
        "training.rolling_windows: [] is empty",
        "name one at least",
    ),
    "more folds than seasons": (
        "",
        ["training.n_folds=3"],
        "training.n_folds: 3 folds of whole seasons need as many train_seasons, there are 2",
        "lower it, or add seasons",
    ),
    "a stat that nobody has": (
        "UPDATE player_game_logs SET stl = 0",
        [],
        "the stat 'stl_L10' is 0 for every player of every list",
        "correct its logs",
    ),
}


def refused(monkeypatch, capsys, script, *words):
    """The one line that a script leaves with exit 2."""
    script = ROOT / "scripts" / script
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
    names = runpy.run_path(str(script))
    try:
        code = names["main"]() if "app" not in names else names["app"]()
    except SystemExit as left:
        code = left.code
    error = capsys.readouterr().err.splitlines()
    assert code == 2, error
    assert error[0].startswith("error: ")
    return error


@pytest.mark.parametrize(("sql", "settings", "said", "remedy"), WRONG.values(), ids=WRONG)
def test_script_3_refuses_it_in_one_line_with_the_remedy(
    altered_db, tmp_path, monkeypatch, capsys, sql, settings, said, remedy
):
    made = {"db": altered_db(sql), "outputs": tmp_path / "out", "batch_cache": tmp_path / "cache"}
    settings = [*(f"paths.{name}={path}" for name, path in made.items()), *settings]

    (line,) = refused(
        monkeypatch,
        capsys,
        "3_train_model_a.py",
        *("--config", TINY),
        *(word for setting in settings for word in ("--set", setting)),
    )

    assert said in line
    assert line.endswith(remedy)
    assert not made["outputs"].exists()
    assert not list(tmp_path.glob("cache/entries/*/*"))


def test_script_3_refuses_a_database_that_is_not_there(tmp_path, monkeypatch, capsys):
    words = ["--set", f"paths.db={tmp_path / 'none.sqlite'}"]

    (line,) = refused(monkeypatch, capsys, "3_train_model_a.py", *words)

    assert line == (
        f"error: paths.db: '{tmp_path / 'none.sqlite'}' is not there: run scripts/2_build_db.py"
    )


@pytest.fixture(scope="module")
def simulated():
    return simulate(2, ["2020-21"])


def twice(frames, name):
    frames[name] = pd.concat([frames[name], frames[name].iloc[:1]], ignore_index=True)


def put(frames, name, column, value):
    values = frames[name][column].astype(object)
    values.iloc[0] = value
    frames[name][column] = values


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: put(f, "teams", "abbreviation", "SEA"), "another abbreviation or conference"),
        (lambda f: put(f, "teams", "conference", None), "another abbreviation or conference"),
        (lambda f: twice(f, "player_game_logs"), "more than one row for the same game_id, player"),
        (lambda f: twice(f, "team_game_logs"), "more than one row for the same game_id, team_id"),
        (lambda f: put(f, "player_game_logs", "min", None), "minutes missing or negative"),
    ],
)
def test_script_2_refuses_it_with_the_rows_that_are_wrong(
    simulated, tmp_path, monkeypatch, capsys, spoil, said
):
    frames = {name: frame.copy() for name, frame in simulated.items()}
    spoil(frames)
    layout.write(frames, tmp_path / "raw", label=layout.SIMULATED)

    error = refused(
        monkeypatch, capsys, "2_build_db.py", "--raw", tmp_path / "raw", "--db", tmp_path / "db"
    )

    assert said in error[0]
    assert len(error) > 1  # the rows
    assert not (tmp_path / "db").exists()


def test_a_league_without_playoffs_is_built_and_ranks_by_standings(simulated, tmp_path):
    """It is whole for every target but `playoff_outcome`, which script 3 refuses."""
    from league import checks, database

    frames = dict(simulated)
    for name in ("games", "team_game_logs", "player_game_logs"):
        frames[name] = frames[name][frames[name]["season_type"] != PLAYOFFS]

    checks.check(frames)

    parts = database.tables(frames, layout.SIMULATED)
    assert parts["seasons"]["playoff_games"].tolist() == [0]
