import pandas as pd
import pytest
from league import checks
from league.facts import SEASONS
from league.layout import PLAYOFFS, REGULAR, BadLeague
from league.simulate import simulate


@pytest.fixture(scope="module")
def league():
    return simulate(11, ["2019-20", "2020-21"])


@pytest.fixture
def frames(league):
    """The league, to be spoilt."""
    return {name: frame.copy() for name, frame in league.items()}


def refusal(frames, ranges=None):
    with pytest.raises(BadLeague) as caught:
        checks.check(frames, ranges)
    assert "\n" not in str(caught.value)
    return caught.value


def where(frame, season_type=REGULAR):
    """The first row of a kind."""
    return frame.index[frame["season_type"] == season_type][0]


def test_a_good_league_passes(league):
    checks.check(league)


def drop(name, rows):
    return lambda frames: frames.update({name: frames[name].drop(index=frames[name].index[rows])})


def put(name, column, value, season_type=REGULAR):
    def spoil(frames):
        frame = frames[name]
        row = where(frame, season_type) if "season_type" in frame else frame.index[0]
        if isinstance(value, float):
            frame[column] = frame[column].astype(float)
        frame.loc[row, column] = value(frame.loc[row, column]) if callable(value) else value

    return spoil


def twice(name):
    return lambda frames: frames.update({name: pd.concat([frames[name], frames[name].iloc[:1]])})


@pytest.mark.parametrize(
    ("spoil", "said", "rows"),
    [
        (drop("teams", [4]), "teams.parquet lacks teams", 1),
        (put("teams", "abbreviation", "SEA"), "none of the 30", 1),
        (put("teams", "conference", None), "none of the 30", 1),
        (put("teams", "team_id", 77), "none of the 30", 1),
        (twice("teams"), "teams: more than one row for the same team_id", 2),
        (twice("players"), "players: more than one row for the same player_id", 2),
        (twice("games"), "games: more than one row for the same game_id", 2),
        (twice("team_game_logs"), "more than one row for the same game_id, team_id", 2),
        (twice("player_game_logs"), "more than one row for the same game_id, player_id", 2),
        (drop("games", [3]), "a game_id that nothing else knows", 2),
        (put("games", "home_team_id", 77), "a home_team_id that nothing else knows", 1),
        (put("player_game_logs", "player_id", 77), "a player_id that nothing else knows", 1),
        (put("team_game_logs", "game_date", pd.Timestamp(2019, 1, 1)), "another game_date than", 1),
        (put("player_game_logs", "season", "2020-21"), "another season than the game's", 1),
        (drop("team_game_logs", [0]), "without exactly two team rows", 1),
        (put("team_game_logs", "is_home", lambda side: 1 - side), "is_home does not agree", 1),
        (put("team_game_logs", "wl", lambda wl: "LW"[wl == "L"]), "wl does not agree", 1),
        (put("team_game_logs", "plus_minus", lambda n: -n), "plus_minus is not own points", 1),
        (put("player_game_logs", "min", -1), "minutes missing or negative", 1),
        (put("player_game_logs", "min", float("nan")), "minutes missing or negative", 1),
        (put("team_game_logs", "reb", float("nan")), "reb missing or negative", 1),
        (put("player_game_logs", "ast", -2), "ast missing or negative", 1),
        (put("player_game_logs", "pts", lambda n: n + 1), "pts of the players does not add up", 1),
        (put("player_game_logs", "blk", 9, PLAYOFFS), "blk of the players does not add up", 1),
        (put("games", "season_type", "Preseason"), "another season_type than the game's", 2),
    ],
)  # fmt: skip
def test_a_bad_league_is_refused_with_the_rows_that_are_wrong(frames, spoil, said, rows):
    spoil(frames)

    error = refusal(frames)

    assert said in str(error)
    assert len(error.rows) == rows
    assert f": {rows} row" in str(error)


def test_players_may_be_one_off_in_the_playoffs_and_unknown_there(frames):
    logs = frames["player_game_logs"]
    logs["stl"] = logs["stl"].astype(float)
    row = where(logs, PLAYOFFS)
    logs.loc[row, "fga"] += 1
    logs.loc[row, "stl"] = float("nan")

    checks.check(frames)

    logs.loc[row, "fga"] += 1
    assert "fga of the players" in str(refusal(frames))


def test_a_null_cannot_hide_a_hole_in_the_regular_season(frames):
    logs = frames["player_game_logs"]
    logs["dreb"] = logs["dreb"].astype(float)
    logs.loc[logs.index[(logs["dreb"] > 0) & (logs["season_type"] == REGULAR)][0], "dreb"] = None

    assert "dreb of the players" in str(refusal(frames))


def of_season(frames, season, edit):
    for name in ("games", "team_game_logs", "player_game_logs"):
        frame = frames[name]
        frames[name] = edit(frame, frame["season"] == season)


def test_a_season_without_all_teams_is_refused(frames):
    gone = frames["teams"]["team_id"].iloc[0]
    games = frames["games"]
    sides = games[["home_team_id", "away_team_id"]]
    those = games.loc[(sides == gone).any(axis=1) & (games["season"] == "2020-21"), "game_id"]
    for name in ("games", "team_game_logs", "player_game_logs"):
        frames[name] = frames[name][~frames[name]["game_id"].isin(those)]

    error = refusal(frames)

    assert "not all 30 teams" in str(error)
    assert error.rows.to_dict("records") == [{"season": "2020-21", "teams": 29}]


def test_a_league_without_games_is_refused(frames):
    for name in ("games", "team_game_logs", "player_game_logs"):
        frames[name] = frames[name].iloc[:0]

    assert "no regular game" in str(refusal(frames))


def test_the_name_of_a_season_is_its_two_years(frames):
    of_season(
        frames,
        "2020-21",
        lambda frame, those: frame.assign(season=frame["season"].where(~those, "2020-22")),
    )

    assert "not the name of a season" in str(refusal(frames))


def test_games_are_held_to_the_dates_that_are_stated(frames):
    season = SEASONS["2019-20"]
    april = pd.Timestamp(2020, 4, 15).date()  # what a usual season would have ended by

    checks.check(frames, {"2019-20": (season.first, season.last), "2030-31": (april, april)})

    error = refusal(frames, {"2019-20": (season.first, april)})
    assert "regular games of 2019-20 outside 2019-10-22 to 2020-04-15: 88 rows" in str(error)
    assert "widen seasons.2019-20" in str(error)


def test_playoffs_come_after_the_season_and_seasons_after_each_other(frames):
    spoilt = {name: frame.copy() for name, frame in frames.items()}
    early = pd.Timedelta(days=120)
    for name in ("games", "team_game_logs", "player_game_logs"):
        frame = spoilt[name]
        frame.loc[frame["season_type"] == PLAYOFFS, "game_date"] -= early
        frame = frames[name]
        frame.loc[frame["season"] == "2020-21", "game_date"] -= early

    assert "playoff games before the end" in str(refusal(spoilt))
    assert "seasons that begin before" in str(refusal(frames))
