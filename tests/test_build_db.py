import contextlib
import hashlib
import os
import re
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from league import checks, database, layout, report
from league.facts import SEASONS
from league.layout import COUNTS, FILES, PLAYOFFS, REGULAR, BadLeague
from league.simulate import simulate

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts/2_build_db.py"
COLUMNS = {
    "teams": "team_id abbreviation name conference".split(),
    "players": "player_id player_name".split(),
    "games": "game_id game_date season home_team_id away_team_id".split(),
    "team_game_logs": ["game_id", "team_id", "is_home", "wl", *COUNTS],
    "player_game_logs": ["game_id", "player_id", "team_id", *COUNTS],
    "seasons": "season first_date last_date regular_games playoff_games".split(),
    "league": "name value".split(),
}
COLUMNS |= {
    f"playoff_{name}": COLUMNS[name] for name in ("games", "team_game_logs", "player_game_logs")
}


@pytest.fixture(scope="module")
def league():
    return simulate(11, ["2019-20", "2020-21"])


@pytest.fixture
def frames(league):
    """The league, to be spoilt."""
    return {name: frame.copy() for name, frame in league.items()}


@pytest.fixture(scope="module")
def raw(league, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    layout.write(league, folder, label=layout.SIMULATED)
    return folder


@pytest.fixture(scope="module")
def built(league, tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "league.sqlite"
    database.build(database.tables(league, layout.SIMULATED), path)
    return path


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def query(path, text):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(text).fetchall()


# The tables


def test_the_tables_are_those_that_script_3_reads(built):
    names = [name for (name,) in query(built, "SELECT name FROM sqlite_master")]

    assert sorted(names) == sorted(COLUMNS)
    for name, columns in COLUMNS.items():
        assert [row[1] for row in query(built, f"PRAGMA table_info({name})")] == columns
    keys = {
        name: [row[1] for row in query(built, f"PRAGMA table_info({name})") if row[5]]
        for name in COLUMNS
    }
    assert keys["player_game_logs"] == keys["playoff_player_game_logs"] == ["game_id", "player_id"]
    assert keys["team_game_logs"] == keys["playoff_team_game_logs"] == ["game_id", "team_id"]


def test_every_row_of_the_logs_is_in_the_database(league, built):
    for name in ("games", "team_game_logs", "player_game_logs"):
        for table, kind in ((name, REGULAR), (f"playoff_{name}", PLAYOFFS)):
            logs = league[name][league[name]["season_type"] == kind]
            columns = COLUMNS[table]
            wanted = logs.assign(game_date=logs["game_date"].dt.strftime("%Y-%m-%d"))[columns]
            assert sorted(query(built, f"SELECT * FROM {table}")) == sorted(
                wanted.itertuples(index=False, name=None)
            )
    assert query(built, "PRAGMA integrity_check") == [("ok",)]
    assert query(built, "PRAGMA foreign_key_check") == []


def test_seasons_and_label_come_from_the_data(league, built):
    seasons = query(built, "SELECT * FROM seasons ORDER BY season")
    facts = dict(query(built, "SELECT name, value FROM league"))

    for name, first, last, regular, playoffs in seasons:
        season = SEASONS[name]
        assert (first, last, regular) == (str(season.first), str(season.last), season.games)
        assert playoffs in range(79, 88)
    assert [row[0] for row in seasons] == ["2019-20", "2020-21"]
    assert facts["label"] == "SIMULATED"
    regular = (league["player_game_logs"]["season_type"] == REGULAR).sum()
    assert facts["rows of player_game_logs"] == str(regular)


def test_what_is_unknown_is_null_and_the_rest_whole_numbers(frames, tmp_path):
    logs = frames["player_game_logs"]
    row = logs.index[logs["season_type"] == PLAYOFFS][0]
    logs["oreb"] = logs["oreb"].astype(float)
    logs.loc[row, "oreb"] = float("nan")

    database.build(database.tables(frames, "REAL"), tmp_path / "a.sqlite")

    counted = query(
        tmp_path / "a.sqlite",
        "SELECT typeof(oreb), count(*) FROM playoff_player_game_logs GROUP BY 1",
    )
    assert dict(counted)["null"] == 1
    assert set(dict(counted)) == {"null", "integer"}


# The same bytes


def test_same_logs_same_bytes_in_whatever_order_they_come(league, built, tmp_path):
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in league.items()}

    database.build(database.tables(shuffled, layout.SIMULATED), tmp_path / "b.sqlite")

    assert (tmp_path / "b.sqlite").read_bytes() == built.read_bytes()


def test_an_equal_database_is_left_alone_another_replaced(league, built, tmp_path):
    path = tmp_path / "league.sqlite"
    shutil.copy(built, path)
    os.utime(path, (1, 1))
    parts = database.tables(league, layout.SIMULATED)

    assert database.build(parts, path) is False
    assert path.stat().st_mtime == 1

    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM players WHERE player_id % 2")
    assert database.build(parts, path) is True
    assert path.read_bytes() == built.read_bytes()
    assert os.listdir(tmp_path) == ["league.sqlite"]


def test_a_link_is_followed_not_replaced(league, tmp_path):
    target, link = tmp_path / "target.sqlite", tmp_path / "link.sqlite"
    link.symlink_to(target)

    database.build(database.tables(league, layout.SIMULATED), link)

    assert link.is_symlink()
    assert target.is_file()


def test_a_database_that_somebody_writes_is_not_replaced(league, built, tmp_path):
    path = tmp_path / "league.sqlite"
    shutil.copy(built, path)
    parts = database.tables(league, layout.SIMULATED)

    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM league")
        writer.commit()
        with pytest.raises(BadLeague, match=r"league\.sqlite-wal belongs to a process"):
            database.build(parts, path)
        assert query(path, "SELECT * FROM league") == []  # neither file was touched

    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("PRAGMA cache_spill = 1")
        writer.execute("DELETE FROM seasons")  # open: the journal is hot
        with pytest.raises(BadLeague, match=r"league\.sqlite-journal belongs to a process"):
            database.build(parts, path)


def test_what_is_no_database_is_not_overwritten(league, tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("four years of work")

    with pytest.raises(BadLeague, match="is not a SQLite database"):
        database.build(database.tables(league, layout.SIMULATED), path)
    with pytest.raises(BadLeague, match="is not a file"):
        database.build(database.tables(league, layout.SIMULATED), tmp_path)

    assert path.read_text() == "four years of work"


# The script


def test_the_script_builds_once_and_then_leaves_the_file_alone(raw, built, tmp_path):
    db = tmp_path / "deep" / "league.sqlite"

    first = run("--raw", raw, "--db", db)
    before = db.stat()
    second = run("--raw", raw, "--db", db, "--config", ROOT / "config/defaults.yaml")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "SIMULATED league" in first.stdout
    assert "2019-20 2019-10-22 2020-08-14           1059" in first.stdout
    assert "left alone (SIMULATED)" in second.stdout
    assert (db.stat().st_mtime_ns, db.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert os.listdir(db.parent) == ["league.sqlite"]
    assert db.read_bytes() == built.read_bytes()


def test_a_refused_league_shows_its_rows_and_writes_nothing(raw, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "seasons:\n  2019-20: {start: 2019-10-22, end: '2020-04-15'}\n  2020-21: null\n"
    )

    done = run("--raw", raw, "--db", tmp_path / "x" / "league.sqlite", "--config", config)

    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert lines[0].startswith("error: regular games of 2019-20 outside 2019-10-22 to 2020-04-15")
    assert "game_id" in lines[1]
    assert len(lines) == 2 + report.SHOWN_ROWS + 1
    assert lines[-1] == "... and 83 more rows"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seasons: [1]", "seasons is [1], wanted a map"),
        ("seasons: {2019-20: {start: 2019-10-22}}", "seasons.2019-20 is {'start'"),
        ("seasons: {2019-20: {start: 2020-10-22, end: 2019-10-22}}", "before it starts"),
        ("seasons: {", "not readable as YAML: expected the node content"),
        ("saesons: {2019-20: null}", "saesons: no such key: did you mean seasons?"),
        ("- seasons", "not keys with values"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(tmp_path, text, said):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    season_ranges = runpy.run_path(str(SCRIPT))["season_ranges"]

    with pytest.raises(BadLeague, match=re.escape(said)):
        season_ranges(config)


def test_a_missing_config_is_one_line_and_writes_nothing(raw, tmp_path):
    done = run("--raw", raw, "--db", tmp_path / "league.sqlite", "--config", tmp_path / "none")

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: config '{tmp_path / 'none'}' cannot be read: No such")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_config_without_seasons_says_where_dates_come_from(raw, tmp_path):
    done = run("--raw", raw, "--db", tmp_path / "x.sqlite", "--config", ROOT / "config/tiny.yaml")

    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("tiny.yaml: states no seasons, so their dates come from the data\n") == 1
    )


def test_a_place_that_cannot_be_is_told_as_the_option_says_it(raw):
    done = run("--raw", raw, "--db", "/proc/x.sqlite")

    assert done.returncode == 2
    assert done.stderr.startswith("error: --db /proc/x.sqlite cannot be written: ")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_exit_3(raw, tmp_path, monkeypatch, capsys):
    """SQLite says that the disk is full where a file may have no more pages."""
    real = sqlite3.connect

    def small(path):
        connection = real(path)
        connection.execute("PRAGMA max_page_count = 5")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    app = runpy.run_path(str(SCRIPT))["app"]
    db = tmp_path / "league.sqlite"

    with pytest.raises(SystemExit) as left:
        app(["--raw", str(raw), "--db", str(db)])

    assert left.value.code == 3
    assert capsys.readouterr().err == (
        f"error: --db {db}: the disk is full: make room, or name another\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing_half(raw, tmp_path):
    command = [sys.executable, SCRIPT, "--raw", raw]
    process = subprocess.Popen(
        [*command, "--db", tmp_path / "league.sqlite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(tmp_path.iterdir()):  # until it builds, aside
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()

    assert process.returncode != 0
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


# The real logs, where they are


@pytest.mark.skipif(
    not Path(os.environ.get("NBA_DATA_DIR", "/nonexistent"), "games.parquet").is_file(),
    reason="NBA_DATA_DIR does not name a directory of the real logs",
)
def test_the_real_logs_are_a_good_league(tmp_path):
    frames, label = layout.read(Path(os.environ["NBA_DATA_DIR"]))
    ranges = {name: (season.first, season.last) for name, season in SEASONS.items()}

    checks.check(frames, ranges)
    database.build(database.tables(frames, label), tmp_path / "league.sqlite")

    assert label == "REAL"
    for name, first, last, games, _ in query(tmp_path / "league.sqlite", "SELECT * FROM seasons"):
        season = SEASONS[name]
        assert (first, last, games) == (str(season.first), str(season.last), season.games)
    digest = hashlib.sha256((tmp_path / "league.sqlite").read_bytes()).hexdigest()
    database.build(database.tables(frames, label), tmp_path / "again.sqlite")
    assert hashlib.sha256((tmp_path / "again.sqlite").read_bytes()).hexdigest() == digest
    assert set(frames) == set(FILES)
