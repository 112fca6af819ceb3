"""scripts/1_get_data.py --download, against a stand-in for the client that answers from files."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from league import download, facts, layout
from league.checks import check
from league.download import FOLDER, NoAnswer, Question
from league.layout import COUNTS, FILES, PLAYOFFS, REGULAR, BadLeague
from league.simulate import simulate

ROOT = Path(__file__).parents[1]
SEASON = "2020-21"
# As LeagueGameLog names its columns, of teams and of players.
ABOUT_A_GAME = "TEAM_ABBREVIATION TEAM_NAME GAME_ID GAME_DATE MATCHUP WL MIN".split()
BOX = """FGM FGA FG_PCT FG3M FG3A FG3_PCT FTM FTA FT_PCT OREB DREB REB AST STL BLK TOV PF PTS
PLUS_MINUS""".split()
HEADERS = {
    "T": ["SEASON_ID", "TEAM_ID", *ABOUT_A_GAME, *BOX, "VIDEO_AVAILABLE"],
    "P": ["SEASON_ID", "PLAYER_ID", "PLAYER_NAME", "TEAM_ID", *ABOUT_A_GAME, *BOX],
}
HEADERS["P"] += ["FANTASY_PTS", "VIDEO_AVAILABLE"]
# What nba_api is to the script: one class, which notes what it is asked and answers from files.
CLIENT = """
import json, os
answers = os.environ["ANSWERS"]
class LeagueGameLog:
    def __init__(self, *, season, season_type_all_star, player_or_team_abbreviation, timeout):
        name = f"{season} {season_type_all_star} {player_or_team_abbreviation}"
        with open(os.path.join(answers, "asked"), "a") as asked:
            asked.write(name + "\\n")
        try:
            with open(os.path.join(answers, name)) as file:
                self.answer = json.load(file)
        except FileNotFoundError:
            raise ConnectionError("HTTPSConnectionPool(host='stats'):\\nread timed out") from None
    @property
    def league_game_log(self):
        return self
    def get_dict(self):
        return self.answer
"""


@pytest.fixture(scope="module")
def league():
    return simulate(5, [SEASON])


@pytest.fixture(scope="module")
def recorded(league):
    """The league as the site would tell of it, by question."""
    teams = league["teams"].set_index("team_id")
    games = league["games"].set_index("game_id")
    names = league["players"].set_index("player_id")["player_name"]
    said = {}
    for question in download.questions([SEASON]):
        logs = league["team_game_logs" if question.of == "T" else "player_game_logs"]
        logs = logs[logs["season_type"] == question.season_type]
        game = games.loc[logs["game_id"]].set_index(logs.index)
        short = teams["abbreviation"]
        home, away = (game[f"{side}_team_id"].map(short) for side in ("home", "away"))
        at_home = logs["team_id"] == game["home_team_id"]
        cells = {
            **{name.upper(): logs[name] for name in logs},
            "GAME_DATE": logs["game_date"].dt.strftime("%Y-%m-%d"),
            "TEAM_ABBREVIATION": home.where(at_home, away),
            "MATCHUP": (home + " vs. " + away).where(at_home, away + " @ " + home),
        }
        if question.of == "P":
            cells["PLAYER_NAME"] = logs["player_id"].map(names)
        frame = pd.DataFrame({name: cells.get(name) for name in HEADERS[question.of]})
        rows = json.loads(frame.to_json(orient="values"))
        said[question] = {"headers": HEADERS[question.of], "data": rows}
    return said


@pytest.fixture
def site(tmp_path, recorded, monkeypatch):
    """A directory whose answers the stand-in gives; none is there yet."""
    package = tmp_path / "client" / "nba_api" / "stats" / "endpoints"
    package.mkdir(parents=True)
    (package / "leaguegamelog.py").write_text(CLIENT)
    answers = tmp_path / "answers"
    answers.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "client"))
    monkeypatch.setenv("ANSWERS", str(answers))
    return answers


def run(to, *arguments):
    words = ["--download", "--season", SEASON, "--pause", "0", "--to", str(to), *arguments]
    return subprocess.run(
        [sys.executable, ROOT / "scripts/1_get_data.py", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def answer(site, recorded, *numbers):
    for number in numbers:
        question = list(recorded)[number]
        (site / " ".join(question)).write_text(json.dumps(recorded[question]))


def asked(site):
    return (site / "asked").read_text().splitlines()


def test_what_is_downloaded_is_the_league_that_was_recorded(site, recorded, league, tmp_path):
    answer(site, recorded, 0, 1, 2, 3)

    first, second = run(tmp_path / "raw"), run(tmp_path / "raw")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert f"  {SEASON} Playoffs, players\n" in first.stdout  # a plain line a step
    assert "left alone (REAL)" in second.stdout
    assert len(asked(site)) == 4
    frames, label = layout.read(tmp_path / "raw")
    check(frames)
    assert label == layout.REAL
    seen = league["players"]["player_id"].isin(league["player_game_logs"]["player_id"])
    league = {**league, "players": league["players"][seen]}  # the site tells of no other
    for name, file in FILES.items():
        one, other = (
            part[name].sort_values(file.key, ignore_index=True)[
                [column for column in file.columns if column != "provenance"]
            ]
            for part in (frames, league)
        )
        pd.testing.assert_frame_equal(one, other, check_dtype=False)


def test_a_download_that_was_cut_short_goes_on_where_it_stopped(site, recorded, tmp_path):
    answer(site, recorded, 0, 1)
    cut_short = run(tmp_path / "raw")
    kept = sorted((tmp_path / "raw" / FOLDER).iterdir())
    answer(site, recorded, 2, 3)
    before = len(asked(site))
    done = run(tmp_path / "raw")

    assert cut_short.returncode == 3
    assert cut_short.stderr.startswith(
        f"error: {SEASON} Playoffs, teams: the league's site has not"
    )
    assert cut_short.stderr.count("\n") == 1
    assert len(kept) == 2
    assert asked(site)[:before] == [f"{SEASON} {REGULAR} T", f"{SEASON} {REGULAR} P"] + [
        f"{SEASON} {PLAYOFFS} T"
    ] * (len(download.BACKOFF) + 1)
    assert done.returncode == 0, done.stderr
    assert asked(site)[before:] == [f"{SEASON} {PLAYOFFS} T", f"{SEASON} {PLAYOFFS} P"]
    assert "asking for 2 logs, 2 are there" in done.stdout


def test_without_the_client_it_is_one_line_with_the_remedy(site, tmp_path):
    for path in (tmp_path / "client").rglob("leaguegamelog.py"):
        path.write_text("raise ModuleNotFoundError(\"No module named 'nba_api'\")")

    done = run(tmp_path / "raw")

    assert done.returncode == 2
    assert done.stderr == (
        "error: --download needs nba_api: No module named 'nba_api': pip install nba_api\n"
    )
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--simulate"], "say one of --from DIR, --simulate and --download"),
        (["--season", "2020"], "--season '2020' is not the name of a season"),
    ],
)
def test_wrong_use_is_one_line(site, tmp_path, arguments, said):
    done = run(tmp_path / "raw", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(site) == []


def test_requests_are_apart_and_tries_further_and_further(tmp_path, recorded):
    waits, failing = [], iter([True, True, False, False])

    def ask(question):
        if next(failing):
            raise ValueError("Expecting value: line 1 column 1")  # a page for JSON
        return recorded[question]

    two = list(recorded)[:2]
    download.fetch(two, tmp_path, ask, pause=2.0, wait=waits.append)

    assert waits == [8.0, 32.0, 2.0]
    assert download.unanswered([SEASON], tmp_path) == list(recorded)[2:]


def test_playoffs_that_are_yet_to_come_are_asked_for_again(tmp_path):
    nothing = {"headers": HEADERS["T"], "data": []}
    to_come = Question("2098-99", PLAYOFFS, "T")

    def fetch(question):
        download.fetch([question], tmp_path, lambda _: nothing, pause=0, wait=lambda _: None)

    fetch(to_come)
    assert to_come in download.unanswered(["2098-99"], tmp_path)
    for must in (Question("2098-99", REGULAR, "T"), Question(SEASON, PLAYOFFS, "T")):
        with pytest.raises(BadLeague, match=f"no rows of {must.season}"):
            fetch(must)


def team_row(**cells):
    """A team's row of a made-up game as the site tells it."""
    usual = dict.fromkeys(HEADERS["T"], 1) | {
        "TEAM_ID": 1610612740,
        "TEAM_ABBREVIATION": "NOH",  # of its time
        "GAME_ID": "0022000001",
        "GAME_DATE": "2020-12-25",
        "MATCHUP": "NOH vs. MIA",
        "WL": "W",
        "FG_PCT": 0.451,
    }
    return list((usual | cells).values())


def miami(**cells):
    return team_row(
        **({"TEAM_ID": 1610612748, "TEAM_ABBREVIATION": "MIA", "MATCHUP": "MIA @ NOH"} | cells)
    )


def player_row(**cells):
    usual = dict(zip(HEADERS["T"], team_row(), strict=True)) | {"PLAYER_ID": 7, "PLAYER_NAME": "A"}
    return [(usual | {"FANTASY_PTS": 0.5} | cells)[name] for name in HEADERS["P"]]


def frames(folder, teams, players=None, headers=HEADERS["T"]):
    players = [player_row()] if players is None else players
    for of, names, rows in (("T", headers, teams), ("P", HEADERS["P"], players)):
        data = json.dumps({"headers": names, "data": rows}).encode()
        (folder / Question(SEASON, REGULAR, of).file).write_bytes(gzip.compress(data))
    return download.frames(folder, [SEASON])


def test_a_team_is_its_id_whatever_it_was_called(tmp_path):
    """Domain trap: historical abbreviations once lost 11 of 30 teams without a word."""
    made = frames(tmp_path, [team_row(), miami()])

    pd.testing.assert_frame_equal(made["teams"], facts.teams())
    assert made["games"][["home_team_id", "away_team_id"]].to_numpy().tolist() == [
        [1610612740, 1610612748]
    ]
    assert not made["games"]["neutral_site"].any()


def test_on_neutral_ground_both_may_be_guests(tmp_path):
    made = frames(tmp_path, [miami(), team_row(MATCHUP="NOH @ MIA")])

    assert made["games"][["home_team_id", "neutral_site"]].to_numpy().tolist() == [
        [1610612740, True]
    ]
    assert made["team_game_logs"]["is_home"].tolist() == [1, 0]


def test_a_cup_final_counts_in_neither(tmp_path):
    final = {"GAME_ID": "0062000001"}
    rows = [team_row(), miami(), team_row(**final), miami(**final)]

    made = frames(tmp_path, rows, [player_row(), player_row(**final)])

    assert made["games"]["game_id"].tolist() == ["0022000001"]
    assert len(made["player_game_logs"]) == 1


def test_minutes_that_are_missing_stay_missing_for_the_checks_to_refuse(tmp_path):
    made = frames(
        tmp_path, [team_row(), miami()], [player_row(), player_row(PLAYER_ID=8, MIN=None)]
    )
    layout.write(made, tmp_path / "raw", label=layout.REAL)

    read, _ = layout.read(tmp_path / "raw")

    assert read["player_game_logs"]["min"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([team_row(MIN="12:30"), miami()], "MIN is '12:30', no whole number: take the file away"),
        ([team_row(PTS=99.5), miami()], "PTS is 99.5, no whole number"),
        ([team_row(TEAM_ID=None), miami()], "TEAM_ID is nan, no whole number"),
        ([team_row(GAME_DATE="DEC 25, 2020"), miami()], "GAME_DATE is 'DEC 25, 2020', no ISO day"),
        ([team_row(MATCHUP="NOH MIA"), miami()], "no such MATCHUP: 1 rows; take away"),
        ([team_row()], "games without exactly two teams: 1 rows"),
        ([team_row(), team_row()], "games without exactly two teams: 2 rows"),
        ([team_row(GAME_ID="9"), miami(GAME_ID="9")], "has no GAME_ID that begins with '002'"),
    ],
)
def test_an_answer_of_another_shape_is_refused_in_one_line(tmp_path, rows, said):
    with pytest.raises(BadLeague) as refused:
        frames(tmp_path, rows)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_column_that_is_gone_and_a_torn_file_are_named(tmp_path):
    renamed = ["GONE" if name == COUNTS[0].upper() else name for name in HEADERS["T"]]
    with pytest.raises(BadLeague, match=r"teams\.json\.gz has no column 'MIN'"):
        frames(tmp_path, [team_row(), miami()], headers=renamed)

    (tmp_path / Question(SEASON, REGULAR, "T").file).write_bytes(b"torn")
    with pytest.raises(BadLeague, match=r"cannot be read: .* take the file away"):
        download.frames(tmp_path, [SEASON])


def test_a_site_that_never_answers_is_told_with_what_it_said(tmp_path):
    def ask(_):
        raise TimeoutError("read timed out")

    with pytest.raises(NoAnswer, match="4 tries: TimeoutError: read timed out: run it again later"):
        download.fetch(
            [Question(SEASON, REGULAR, "T")], tmp_path, ask, pause=0, wait=lambda _: None
        )
