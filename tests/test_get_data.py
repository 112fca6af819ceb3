import datetime as dt
import errno
import itertools
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from league import facts, layout
from league.boxes import Skills, play
from league.checks import check
from league.counts import whole
from league.layout import COUNTS, FILES, PLAYOFFS, REGULAR, BadLeague
from league.simulate import FIRST_PLAYER_ID, simulate

ROOT = Path(__file__).parents[1]
ADDING_UP = [name for name in COUNTS if name not in {"tov", "plus_minus"}]


@pytest.fixture(scope="module")
def league():
    """An interrupted season, a short one and a usual one."""
    return simulate(7, ["2019-20", "2020-21", "2021-22"])


@pytest.fixture(scope="module")
def files(league, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    layout.write(league, folder, label=layout.SIMULATED)
    return folder


def run(*arguments):
    command = [sys.executable, ROOT / "scripts/1_get_data.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stats(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


def part(league, name, season_type):
    frame = league[name]
    return frame[frame["season_type"] == season_type]


def by_season(values):
    return values.unstack("season")  # noqa: PD010 - a Series has no pivot_table


# A made-up league


def test_a_simulated_league_is_a_good_one(league):
    ranges = {name: (season.first, season.last) for name, season in facts.SEASONS.items()}

    check(league, ranges)


def test_the_calendar_is_the_real_one(league):
    games = part(league, "games", REGULAR).groupby("season")["game_date"]

    for name, dates in games:
        season = facts.SEASONS[name]
        assert (dates.min().date(), dates.max().date()) == (season.first, season.last)
        assert len(dates) == season.games
    halted = games.get_group("2019-20")
    pause = (halted > pd.Timestamp(2020, 3, 11)) & (halted < pd.Timestamp(2020, 7, 30))
    assert not pause.any()


def test_the_facts_are_eleven_seasons_in_order():
    seasons = list(facts.SEASONS.values())

    assert [season.games for season in seasons] == [1230] * 5 + [1059, 1080] + [1230] * 4
    assert facts.SEASONS["2019-20"].last == dt.date(2020, 8, 14)
    assert all(season.last < season.playoffs_first < season.playoffs_last for season in seasons)
    assert all(before.playoffs_last < after.first for before, after in itertools.pairwise(seasons))


def test_a_team_plays_once_a_day_and_half_its_games_at_home(league):
    logs = league["team_game_logs"]
    games = part(league, "team_game_logs", REGULAR).groupby(["season", "team_id"])["is_home"]

    assert not logs.duplicated(["team_id", "game_date"]).any()
    assert set(games.size()["2020-21"]) == {72}
    assert set(games.size()["2021-22"]) == {82}
    assert set(games.sum()["2021-22"]) == {41}
    assert games.size()["2019-20"].between(63, 75).all()


def test_players_add_up_to_their_team(league):
    teams = league["team_game_logs"].set_index(["game_id", "team_id"]).sort_index()
    players = league["player_game_logs"].groupby(["game_id", "team_id"])

    sums = players[COUNTS].sum()
    pd.testing.assert_frame_equal(sums[ADDING_UP], teams[ADDING_UP], check_dtype=False)
    assert (sums["plus_minus"] == 5 * teams["plus_minus"]).all()
    assert (sums["tov"] <= teams["tov"]).all()  # a team has turnovers of its own
    assert set((sums["min"] - 240) % 25) == {0}
    assert players.size().between(5, 15).all()


def test_a_box_score_is_possible(league):
    for logs in (league["team_game_logs"], league["player_game_logs"]):
        assert (logs["pts"] == 2 * logs["fgm"] + logs["fg3m"] + logs["ftm"]).all()
        assert (logs["reb"] == logs["oreb"] + logs["dreb"]).all()
        assert (logs["fgm"] <= logs["fga"]).all()
        assert (logs["fg3m"] <= logs["fg3a"]).all()
        assert (logs["ftm"] <= logs["fta"]).all()
        assert (logs["fg3a"] <= logs["fga"]).all()
    players = league["player_game_logs"].merge(league["team_game_logs"], on=["game_id", "team_id"])
    assert (players["min_x"] <= players["min_y"] / 5).all()


def test_the_playoffs_end_with_a_champion_of_16_wins(league):
    logs = part(league, "team_game_logs", PLAYOFFS)
    conference = league["teams"].set_index("team_id")["conference"]

    for name, season in logs.groupby("season"):
        wins = (season["wl"] == "W").groupby(season["team_id"]).sum().sort_values()
        assert len(wins) == 16
        assert conference[wins.index].value_counts().to_dict() == {"E": 8, "W": 8}
        assert wins.iloc[-1] == 16
        assert 79 <= season["game_id"].nunique() <= 87
        assert season["game_date"].max().date() == facts.SEASONS[name].playoffs_last


def test_the_eight_best_of_each_conference_are_in_the_playoffs(league):
    regular = part(league, "team_game_logs", REGULAR)
    rate = (regular["wl"] == "W").groupby([regular["season"], regular["team_id"]]).mean()
    inside = part(league, "team_game_logs", PLAYOFFS).groupby("season")["team_id"].unique()
    conference = league["teams"].set_index("team_id")["conference"]

    for season, teams in inside.items():
        for side in "EW":
            rates = rate[season][conference[rate[season].index].to_numpy() == side]
            assert rates[rates.index.isin(teams)].min() >= rates[~rates.index.isin(teams)].max()


def test_strength_lasts_and_shows_in_the_box_scores():
    """Without that a ranker would have nothing to learn."""
    league = simulate(3, list(facts.SEASONS)[:4])
    logs = part(league, "team_game_logs", REGULAR)
    rates = by_season((logs["wl"] == "W").groupby([logs["season"], logs["team_id"]]).mean())
    players = part(league, "player_game_logs", REGULAR).groupby(["season", "player_id"])
    scoring = by_season((players["pts"].sum() / players["min"].sum())[players.size() > 40])

    assert rates.std().mean() > 0.1
    assert np.mean(np.diag(rates.corr(), 1)) > 0.3
    assert np.mean(np.diag(scoring.corr(), 1)) > 0.5


def test_players_change_teams_within_seasons_and_between_them(league):
    logs = part(league, "player_game_logs", REGULAR)
    teams = logs.groupby(["season", "player_id"])["team_id"].agg(["nunique", "first"])
    both = by_season(teams["first"]).dropna()

    assert (teams["nunique"] > 1).any()
    assert 0.05 < (both["2020-21"] != both["2021-22"]).mean() < 0.5


def test_same_seed_same_bytes_another_seed_other_bytes(tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        layout.write(simulate(seed, ["2020-21"]), tmp_path / folder, label=layout.SIMULATED)

    a, b, c = (
        {name: (tmp_path / folder / f"{name}.parquet").read_bytes() for name in FILES}
        for folder in "abc"
    )
    assert a == b
    assert a["player_game_logs"] != c["player_game_logs"]


def test_every_file_says_that_it_is_simulated(files):
    for name in FILES:
        assert pq.read_schema(files / f"{name}.parquet").metadata[b"label"] == b"SIMULATED"
    frames, label = layout.read(files)
    assert label == "SIMULATED"
    assert set(frames["player_game_logs"]["provenance"]) == {"SIMULATED"}
    assert frames["players"]["player_id"].min() == FIRST_PLAYER_ID
    assert frames["players"]["player_name"].str.fullmatch(r"Player \d{4}").all()


def test_games_are_played_by_whoever_is_left_when_all_are_hurt():
    skills = Skills(np.zeros(20), np.full(20, 0.5), np.zeros(20))
    rosters = np.arange(20).reshape(1, 2, 10)

    box = play(skills, rosters, np.zeros((1, 2, 10), bool), 0.5, np.random.default_rng(0))

    assert (box["min"].sum(-1) >= 240).all()


def test_whole_numbers_keep_their_sum():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(13), 500) * 240

    counts = whole(shares, rng)

    assert (counts.sum(-1) == 240).all()
    assert (np.abs(counts - shares) < 1).all()


# The form of the files


def test_what_is_written_is_what_is_read(league, files):
    frames, _ = layout.read(files)

    for name in FILES:
        pd.testing.assert_frame_equal(frames[name], league[name], check_dtype=False)


def cast(name, kind):
    return lambda t: t.set_column(
        t.schema.get_field_index(name), t.schema.field(name).with_type(kind), t[name].cast(kind)
    )


def filled(name, values):
    def edit(table):
        column = pa.array(list(itertools.islice(values, len(table))), table.schema.field(name).type)
        return table.set_column(table.schema.get_field_index(name), name, column)

    return edit


def change(files, folder, name, edit):
    """A copy of `files` in which `edit` has been at one table."""
    if folder != files:
        layout.copy(files, folder)
    path = folder / f"{name}.parquet"
    pq.write_table(edit(pq.read_table(path)), path)


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("teams", lambda t: t.drop_columns("conference"), "has no column 'conference'"),
        (
            "games",
            cast("game_date", pa.timestamp("ms")),
            "column 'game_date' is timestamp[ms], wanted date32[day]",
        ),
        ("games", cast("game_id", pa.int64()), "column 'game_id' is int64, wanted string"),
        ("player_game_logs", cast("min", pa.float64()), "column 'min' is double, wanted int16"),
        (
            "players",
            filled("player_id", itertools.chain([1, None], itertools.count(2))),
            "the key column 'player_id' is null in 1 rows, first in row 1",
        ),
        (
            "teams",
            lambda t: t.replace_schema_metadata({}),
            "teams.parquet is labelled REAL, player_game_logs.parquet SIMULATED",
        ),
        (
            "player_game_logs",
            filled("provenance", itertools.chain(["copied"], itertools.repeat("SIMULATED"))),
            "mixes SIMULATED rows with others",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_column(files, tmp_path, name, edit, said):
    change(files, tmp_path, name, edit)

    with pytest.raises(BadLeague) as refusal:
        layout.read(tmp_path)

    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert f"{name}.parquet" in str(refusal.value)


def test_other_widths_and_more_columns_are_no_fault(files, tmp_path):
    change(files, tmp_path, "team_game_logs", cast("pts", pa.int64()))
    change(tmp_path, tmp_path, "team_game_logs", lambda t: t.append_column("x", t["pts"]))

    frames, label = layout.read(tmp_path)

    assert label == "SIMULATED"
    assert list(frames["team_game_logs"]) == list(FILES["team_game_logs"].columns)


def test_an_interrupted_copy_leaves_an_incomplete_set_never_a_mixed_one(
    files, tmp_path, monkeypatch
):
    layout.write(simulate(8, ["2020-21"]), tmp_path, label=layout.SIMULATED)
    real = os.replace
    done = []

    def stopping(source, target):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(real(source, target))

    monkeypatch.setattr(os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        layout.copy(files, tmp_path)

    with pytest.raises(BadLeague, match=r"player_game_logs\.parquet is missing"):
        layout.read(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(FILES) - 1


# The script


def test_the_script_simulates_once_and_then_leaves_the_files_alone(tmp_path):
    first = run("--simulate", "--seed", 5, "--to", tmp_path / "raw")
    before = stats(tmp_path / "raw")
    second = run("--simulate", "--seed", 5, "--to", tmp_path / "raw")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "SIMULATED" in first.stdout
    assert "written" in first.stdout
    assert "the same already, left alone (SIMULATED)" in second.stdout
    assert stats(tmp_path / "raw") == before
    assert sorted(before) == sorted(f"{name}.parquet" for name in FILES)
    frames, _ = layout.read(tmp_path / "raw")
    assert sorted(frames["games"]["season"].unique()) == list(facts.SEASONS)


def test_the_script_copies_byte_for_byte_and_then_leaves_the_files_alone(files, tmp_path):
    first = run("--from", files, "--to", tmp_path / "raw")
    before = stats(tmp_path / "raw")
    second = run("--from", files, "--to", tmp_path / "raw")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    for name in FILES:
        file = f"{name}.parquet"
        assert (files / file).read_bytes() == (tmp_path / "raw" / file).read_bytes()
    assert stats(tmp_path / "raw") == before
    assert "left alone (SIMULATED)" in second.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say one of --from DIR, --simulate and --download"),
        (["--from", "nowhere"], "no directory 'nowhere'"),
        (["--from", "."], "teams.parquet is missing: name a directory of all five with --from"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)

    done = run(*arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_key_that_is_there_twice_is_refused_before_anything_is_overwritten(files, tmp_path):
    raw, bad = tmp_path / "raw", tmp_path / "bad"
    layout.copy(files, raw)
    before = stats(raw)
    bad.mkdir()
    change(files, bad, "games", lambda t: pa.concat_tables([t, t.slice(0, 1)]))

    done = run("--from", bad, "--to", raw)

    assert done.returncode == 2
    assert done.stderr.startswith("error: games: more than one row for the same game_id: 2 rows")
    assert stats(raw) == before


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, 3, "the disk is full"),
        (errno.EEXIST, 2, "cannot be written: not a directory"),
    ],
)
def test_a_place_that_takes_no_files_is_one_line_with_its_path(
    files, tmp_path, monkeypatch, capsys, number, code, said
):
    def refusing(*_, **__):
        raise OSError(number, os.strerror(number))

    app = runpy.run_path(str(ROOT / "scripts/1_get_data.py"))["app"]
    monkeypatch.setattr("shutil.copyfile", refusing)

    with pytest.raises(SystemExit) as left:
        app(["--from", str(files), "--to", str(tmp_path)])
    error = capsys.readouterr().err

    assert left.value.code == code
    assert error.startswith(f"error: --to {tmp_path}")
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
