"""What a batch must hold, the slow and obvious way: row by row, from the rows before its date.

Nothing of scripts/ is used here: where the two agree, two people have read the definitions alike.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import sqlite3

import numpy as np

MEANS = ("pts", "reb", "ast", "stl", "blk", "tov")
STATS_OF_A_WINDOW = 10
STARTERS = 5


def read_logs(path):
    """Every regular player log as a dict, by player and date, with its team's totals."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "SELECT p.*, g.game_date, g.season, t.min AS team_min, t.plus_minus AS team_plus_minus "
            "FROM player_game_logs p JOIN games g USING (game_id) JOIN team_game_logs t "
            "ON t.game_id = p.game_id AND t.team_id = p.team_id ORDER BY p.player_id, g.game_date"
        )
        return [dict(row) for row in rows]


class SlowBatch:
    """The tensors of one list, but `rel`, as numpy arrays without the leading axis."""

    def __init__(self, logs, one, wanted):
        self.wanted = wanted
        self.size = wanted["roster_size"]
        self.start = wanted["seasons"][one["season"]]["start"]
        self.before = {}
        for row in logs:
            if row["game_date"] < one["as_of_date"]:
                self.before.setdefault(row["player_id"], []).append(row)
        self.rosters = [self.roster(team) for team in one["team_ids"]]
        self.team_ids = one["team_ids"]

    def roster(self, team):
        """Minutes of the season for this team by player, most first, of those it has now."""
        minutes = {
            player: sum(row["min"] for row in rows if row["team_id"] == team and self.now(row))
            for player, rows in self.before.items()
            if rows[-1]["team_id"] == team and self.now(rows[-1])
        }
        most_first = sorted(minutes, key=lambda player: (-minutes[player], player))
        return {player: minutes[player] for player in most_first[: self.size]}

    def tensors(self):
        teams, width = len(self.rosters), STATS_OF_A_WINDOW * len(self.windows()) + 4
        made = {
            "embedding_indices": np.full((teams, self.size), self.wanted["num_embeddings"]),
            "player_stats": np.zeros((teams, self.size, width)),
            "minutes": np.zeros((teams, self.size)),
            "key_padding_mask": np.ones((teams, self.size), dtype=bool),
        }
        for place, (team, roster) in enumerate(zip(self.team_ids, self.rosters, strict=True)):
            continuity = self.continuity(team)
            for rank, player in enumerate(roster):
                digest = hashlib.blake2b(str(player).encode(), digest_size=8).digest()
                index = int.from_bytes(digest, "big") % self.wanted["num_embeddings"]
                made["embedding_indices"][place, rank] = index
                made["player_stats"][place, rank] = [
                    *self.rolling(player),
                    continuity,
                    roster[player] / (sum(roster.values()) or 1),
                    float(rank < STARTERS),
                    1 - rank / max(self.size - 1, 1),
                ]
                made["minutes"][place, rank] = roster[player] / (max(roster.values()) or 1)
                made["key_padding_mask"][place, rank] = False
        return made

    def player_ids(self):
        return [[*roster, *[None] * (self.size - len(roster))] for roster in self.rosters]

    def rolling(self, player):
        rows = self.before[player]
        stats = [value for window in self.windows() for value in self.means(rows[-window:])]
        if any(stats) or not self.wanted["use_prior_season_baseline"]:
            return stats
        since = self.days_before_season(self.wanted["prior_season_lookback_days"])
        prior = [row for row in rows if since <= row["game_date"] < self.start]
        return self.means(prior) * len(self.windows())

    def means(self, rows):
        if not rows:
            return [0.0] * STATS_OF_A_WINDOW
        total = {name: sum(row[name] for row in rows) for name in (*MEANS, "fga", "fta")}
        shots = total["fga"] + 0.44 * total["fta"]
        on_court = [row["min"] / row["team_min"] * row["team_plus_minus"] for row in rows]
        return [
            *(total[name] / len(rows) for name in MEANS),
            sum(row["min"] > 0 for row in rows) / len(rows),
            total["pts"] / (2 * shots) if shots else 0.0,
            (shots + total["tov"]) / len(rows),
            sum(on_court) / len(rows),
        ]

    def continuity(self, team):
        """Of the team's minutes this season, the share of who played for it 400 days before it."""
        since = self.days_before_season(400)
        played, returning = 0, 0
        for rows in self.before.values():
            of_team = [row for row in rows if row["team_id"] == team]
            minutes = sum(row["min"] for row in of_team if self.now(row))
            played += minutes
            if any(since <= row["game_date"] < self.start for row in of_team):
                returning += minutes
        return returning / played if played else 0.0

    def windows(self):
        return self.wanted["rolling_windows"]

    def now(self, row):
        return row["game_date"] >= self.start

    def days_before_season(self, days):
        return str(dt.date.fromisoformat(self.start) - dt.timedelta(days))
