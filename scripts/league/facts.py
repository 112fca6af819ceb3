"""What is known of the real league: its 30 teams, and the calendar of eleven seasons.

Facts only, of public knowledge, none of it copied from a box score. `checks` holds every league
to the teams, `simulate` plays on the calendar.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pandas as pd

_TEAMS = """
1610612737 ATL E Atlanta Hawks
1610612738 BOS E Boston Celtics
1610612739 CLE E Cleveland Cavaliers
1610612740 NOP W New Orleans Pelicans
1610612741 CHI E Chicago Bulls
1610612742 DAL W Dallas Mavericks
1610612743 DEN W Denver Nuggets
1610612744 GSW W Golden State Warriors
1610612745 HOU W Houston Rockets
1610612746 LAC W LA Clippers
1610612747 LAL W Los Angeles Lakers
1610612748 MIA E Miami Heat
1610612749 MIL E Milwaukee Bucks
1610612750 MIN W Minnesota Timberwolves
1610612751 BKN E Brooklyn Nets
1610612752 NYK E New York Knicks
1610612753 ORL E Orlando Magic
1610612754 IND E Indiana Pacers
1610612755 PHI E Philadelphia 76ers
1610612756 PHX W Phoenix Suns
1610612757 POR W Portland Trail Blazers
1610612758 SAC W Sacramento Kings
1610612759 SAS W San Antonio Spurs
1610612760 OKC W Oklahoma City Thunder
1610612761 TOR E Toronto Raptors
1610612762 UTA W Utah Jazz
1610612763 MEM W Memphis Grizzlies
1610612764 WAS E Washington Wizards
1610612765 DET E Detroit Pistons
1610612766 CHA E Charlotte Hornets
"""


class Season(NamedTuple):
    """The calendar of one season; `games` counts the regular ones.

    `games_a_team` is how many were planned, which is not how many were played in 2019-20:
    `halt` is the last day before an interruption, `resumed` the first after it, and
    `games_before` how many games had been played by then.
    """

    name: str
    first: dt.date
    last: dt.date
    games: int
    playoffs_first: dt.date
    playoffs_last: dt.date
    games_a_team: int = 82
    halt: dt.date | None = None
    resumed: dt.date | None = None
    games_before: int = 0


_CALENDAR = """
2014-15 2014-10-28 2015-04-15 1230 2015-04-18 2015-06-16
2015-16 2015-10-27 2016-04-13 1230 2016-04-16 2016-06-19
2016-17 2016-10-25 2017-04-12 1230 2017-04-15 2017-06-12
2017-18 2017-10-17 2018-04-11 1230 2018-04-14 2018-06-08
2018-19 2018-10-16 2019-04-10 1230 2019-04-13 2019-06-13
2019-20 2019-10-22 2020-08-14 1059 2020-08-17 2020-10-11
2020-21 2020-12-22 2021-05-16 1080 2021-05-22 2021-07-20
2021-22 2021-10-19 2022-04-10 1230 2022-04-16 2022-06-16
2022-23 2022-10-18 2023-04-09 1230 2023-04-15 2023-06-12
2023-24 2023-10-24 2024-04-14 1230 2024-04-20 2024-06-17
2024-25 2024-10-22 2025-04-13 1230 2025-04-19 2025-06-22
"""


def _season(line: str) -> Season:
    name, first, last, games, playoffs_first, playoffs_last = line.split()
    day = dt.date.fromisoformat
    season = Season(
        name, day(first), day(last), int(games), day(playoffs_first), day(playoffs_last)
    )
    if name == "2020-21":
        return season._replace(games_a_team=72)
    if name == "2019-20":  # 22 teams came back for eight games each
        return season._replace(halt=day("2020-03-11"), resumed=day("2020-07-30"), games_before=971)
    return season


SEASONS = {season.name: season for season in map(_season, _CALENDAR.strip().splitlines())}


def teams() -> pd.DataFrame:
    """The 30 teams: team_id, abbreviation, name, conference (E or W), ordered by team_id."""
    rows = [line.split(maxsplit=3) for line in _TEAMS.strip().splitlines()]
    return pd.DataFrame(
        [(int(team_id), short, name, conference) for team_id, short, conference, name in rows],
        columns=["team_id", "abbreviation", "name", "conference"],
    )
