"""The league's own site -> answers on the disk -> the five frames of raw logs.

Rules of this room: `fetch` asks politely, one question at a time, and keeps each answer as it came,
so that a run that was cut short goes on where it stopped; `frames` makes frames of the answers and
asks nobody. The client is PyPI's `nba_api`, imported only where something is to be asked. Teams go
by their id: what an answer calls them is of its time, and decides nothing.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from league import facts
from league.checks import is_season
from league.layout import COUNTS, PLAYOFFS, REGULAR, BadLeague

FOLDER = "league_game_log"  # in the directory of the raw logs
PROVENANCE = "league_game_log"
TIMEOUT_SECONDS = 60
BACKOFF = (4, 16, 64)  # pauses before the second, third and fourth try
# The league's cup has ids of its own and counts in neither; all others of a kind begin like this.
_GAME_ID = {REGULAR: "002", PLAYOFFS: "004"}
_FILE = {REGULAR: "regular", PLAYOFFS: "playoffs", "T": "teams", "P": "players"}

Answer = dict[str, Any]  # {"headers": [name, ...], "data": [[value, ...], ...]}


class NoAnswer(Exception):
    """The site does not answer, or nothing of use; what it answered before is kept."""


class Question(NamedTuple):
    """One request: a whole season's logs of one type, of teams (T) or players (P)."""

    season: str
    season_type: str
    of: str

    @property
    def file(self) -> str:
        """The name under which its answer is kept."""
        return f"{self.season}-{_FILE[self.season_type]}-{_FILE[self.of]}.json.gz"

    def __str__(self) -> str:
        return f"{self.season} {self.season_type}, {_FILE[self.of]}"


Ask = Callable[[Question], Answer]


def client() -> Ask:
    """What asks the league's site.

    Raises:
        BadLeague: nba_api is not installed.
    """
    try:
        from nba_api.stats.endpoints.leaguegamelog import LeagueGameLog  # few want it
    except ImportError as error:
        raise BadLeague(f"--download needs nba_api: {error}: pip install nba_api") from None

    def ask(question: Question) -> Answer:
        log = LeagueGameLog(
            season=question.season,
            season_type_all_star=question.season_type,
            player_or_team_abbreviation=question.of,
            timeout=TIMEOUT_SECONDS,
        )
        answer: Answer = log.league_game_log.get_dict()
        return answer

    return ask


def questions(seasons: Iterable[str]) -> list[Question]:
    """Four for each season.

    Raises:
        BadLeague: not the name of a season.
    """
    names = sorted(set(seasons))
    for name in names:
        if not is_season(name):
            raise BadLeague(f"--season {name!r} is not the name of a season: write it like 2014-15")
    return [Question(name, kind, of) for name in names for kind in _GAME_ID for of in "TP"]


def unanswered(seasons: Iterable[str], folder: Path) -> list[Question]:
    """The questions whose answers are not in `folder`."""
    return [question for question in questions(seasons) if not (folder / question.file).exists()]


def fetch(
    asked: Iterable[Question],
    folder: Path,
    ask: Ask,
    *,
    pause: float,
    wait: Callable[[float], None],
    step: Callable[[str], None] = lambda _: None,
) -> None:
    """Keep the answer to each question in `folder`, `pause` seconds between two requests.

    Playoffs that are yet to come have no rows; such an answer is not kept, so that it is asked for
    again. `step` is told each question before it is asked.

    Raises:
        NoAnswer: the site has failed all tries of one question.
        BadLeague: it has no games of a season that must have some.
    """
    for number, question in enumerate(asked):
        step(str(question))
        if number:
            wait(pause)
        answer = _answer(question, folder, ask, pause, wait)
        if answer["data"]:
            _keep(answer, folder / question.file)
        elif question.season_type == REGULAR or question.season in facts.SEASONS:
            raise BadLeague(f"the site has no rows of {question}: choose seasons with --season")


def _answer(
    question: Question, folder: Path, ask: Ask, pause: float, wait: Callable[[float], None]
) -> Answer:
    said = ""
    for backoff in (*BACKOFF, 0):
        try:
            answer = ask(question)
            return {"headers": list(answer["headers"]), "data": list(answer["data"])}
        except Exception as error:  # noqa: BLE001  # requests' own, a page for JSON, plain ones
            said = f"{type(error).__name__}: {error}"
            if len(said) > 200:  # what it was stands in front, why behind
                said = f"{said[:80]} ... {said[-100:]}"
        wait(backoff * pause)
    raise NoAnswer(
        f"{question}: the league's site has not answered in {len(BACKOFF) + 1} tries: {said}: "
        f"run it again later, what was fetched is kept in {folder}"
    )


def _keep(answer: Answer, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(gzip.compress(json.dumps(answer).encode(), mtime=0))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def frames(folder: Path, seasons: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The five frames of raw logs from the answers in `folder`.

    Raises:
        BadLeague: an answer cannot be read or lacks a column, holds what is no number or day, or
            a game has not two teams.
    """
    logs: dict[str, list[pd.DataFrame]] = {"T": [], "P": []}
    for question in questions(seasons):
        path = folder / question.file
        if path.exists():  # else playoffs that are yet to come
            logs[question.of].append(_rows(question, path))
    teams, players = (pd.concat(logs[of], ignore_index=True) for of in "TP")
    teams = _with_home_side(teams)
    names = players.sort_values("game_date", kind="stable").drop_duplicates(
        "player_id", keep="last"
    )
    return {
        "teams": facts.teams(),
        "players": names[["player_id", "player_name"]].sort_values("player_id"),
        "games": _games(teams),
        "team_game_logs": teams,
        "player_game_logs": players.assign(provenance=PROVENANCE),
    }


def _rows(question: Question, path: Path) -> pd.DataFrame:
    """One answer under our names, with season and type, numbers and days."""
    remedy = "take the file away and run it again"
    try:
        answer = json.loads(gzip.decompress(path.read_bytes()))
        rows = pd.DataFrame(answer["data"], columns=answer["headers"])
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise BadLeague(f"{path} cannot be read: {error}: {remedy}") from error
    rows.columns = rows.columns.str.lower()
    own = ["wl", "pf", "matchup"] if question.of == "T" else ["player_id", "player_name"]
    kept = ["game_id", "game_date", "team_id", *own, *COUNTS]
    if lacking := [name.upper() for name in kept if name not in rows]:
        raise BadLeague(f"{path} has no column {lacking[0]!r}: {remedy}, with a newer nba_api")
    start = _GAME_ID[question.season_type]
    rows = rows.loc[rows["game_id"].astype(str).str.startswith(start), kept].copy()
    if rows.empty:
        raise BadLeague(f"{path} has no GAME_ID that begins with {start!r}: {remedy}")
    days = pd.to_datetime(rows["game_date"], format="%Y-%m-%d", errors="coerce")
    _refuse(rows, days.isna(), path, "game_date", remedy)
    for name in [name for name in kept if name in ("team_id", "player_id", "pf", *COUNTS)]:
        numbers = pd.to_numeric(rows[name], errors="coerce")
        missing = rows[name].isna() & (name in COUNTS)  # which checks judge, row by row
        _refuse(rows, (numbers % 1 != 0) & ~missing, path, name, remedy)
        rows[name] = numbers
    return rows.assign(
        game_date=days, season=question.season, season_type=question.season_type
    ).reset_index(drop=True)


def _with_home_side(teams: pd.DataFrame) -> pd.DataFrame:
    """Add `is_home` and `neutral_site`: "GSW vs. LAL" is the row of the home side, "LAL @ GSW" not.

    On neutral ground both rows may say the same; then the lower team id is put down as home.
    """
    rows = teams.sort_values(["game_id", "team_id"], ignore_index=True)
    alone = rows.groupby("game_id")["team_id"].transform("nunique") != 2
    alone |= rows.groupby("game_id")["team_id"].transform("size") != 2
    strange = ~rows["matchup"].astype(str).str.contains(r" vs\. | @ ")
    for wrong, what in ((alone, "games without exactly two teams"), (strange, "no such MATCHUP")):
        if wrong.any():
            raise BadLeague(
                f"{what}: {wrong.sum()} rows; take away the answers of their seasons and run it "
                "again",
                rows.loc[wrong, ["season", "game_id", "team_id", "matchup"]],
            )
    says_home = rows["matchup"].str.contains(" vs. ", regex=False)
    neutral = says_home.groupby(rows["game_id"]).transform("sum") != 1
    home = says_home.where(~neutral, ~rows["game_id"].duplicated())
    return rows.assign(is_home=home.astype("int8"), neutral_site=neutral)


def _games(teams: pd.DataFrame) -> pd.DataFrame:
    home = teams["is_home"] == 1
    away = teams.loc[~home, ["game_id", "team_id"]].rename(columns={"team_id": "away_team_id"})
    return teams[home].rename(columns={"team_id": "home_team_id"}).merge(away, on="game_id")


def _refuse(rows: pd.DataFrame, wrong: pd.Series, path: Path, name: str, remedy: str) -> None:
    if wrong.any():
        value = rows.loc[wrong, name].tolist()[0]
        kind = "no ISO day" if name == "game_date" else "no whole number"
        raise BadLeague(f"{path}: {name.upper()} is {value!r}, {kind}: {remedy}")
