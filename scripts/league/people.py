"""The players of a made-up league: who plays where, how good they are, who is fit.

Rules of this room: no games and no calendar, only what happens to players in a summer, at a
trade date and from day to day. Strengths return slowly to the mean, so that a good team is
likely, not certain, to be good again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from league.boxes import Skills
from league.counts import Ints

TEAMS = 30
_PLACES = 17  # on a roster, of which 15 to 17 are taken
_GONE = -1
_KEPT = 0.93  # of a strength, from one summer to the next
_SUMMER_CHANGE, _DRIFT = 1.2, 0.4  # points
_MOVERS = 0.15  # share of players who change teams between two seasons
_TRADES = 8  # swaps of two players, at each trade date
_HURT, _HEALED = 0.012, 0.09  # chances, of a day


class People:
    """Everybody who ever played; each array has one place for each of them."""

    def __init__(self) -> None:
        """Nobody yet: the first `summer` fills the rosters."""
        self.team: Ints = np.empty(0, np.int64)
        self.age: Ints = np.empty(0, np.int64)
        self.skills = Skills(np.empty(0), np.empty(0), np.empty(0))
        self.fit: NDArray[np.bool_] = np.empty(0, bool)

    def rosters(self) -> Ints:
        """Players by team (30, 17), -1 where a place is free."""
        rosters = np.full((TEAMS, _PLACES), -1)
        for team in range(TEAMS):
            players = np.flatnonzero(self.team == team)
            rosters[team, : len(players)] = players
        return rosters

    def summer(self, rng: np.random.Generator) -> None:
        """A year older: some leave, some change teams, and every team fills its roster."""
        strength = self.skills.strength
        self.age += 1
        strength *= _KEPT
        strength += np.clip((27 - self.age) * 0.2, -1.2, 1.0)
        strength += rng.normal(0, _SUMMER_CHANGE, len(strength))
        worn = 1 / (1 + np.exp(0.5 * strength + 0.45 * (34 - self.age)))
        self.team[rng.random(len(worn)) < worn + 0.03] = _GONE
        movers = np.flatnonzero((self.team != _GONE) & (rng.random(len(worn)) < _MOVERS))
        self.team[movers] = self.team[rng.permutation(movers)]
        self._fill(rng)
        playing = self.team != _GONE
        self.skills.strength[playing] -= self.skills.strength[playing].mean()
        self.fit = np.ones(len(self.team), bool)

    def _fill(self, rng: np.random.Generator) -> None:
        """Cut the weakest where there are too many; newcomers, the best of them to the weakest."""
        sizes = rng.integers(15, _PLACES + 1, TEAMS)
        weakness = np.zeros(TEAMS)
        empty: list[int] = []
        for team, size in enumerate(sizes):
            players = np.flatnonzero(self.team == team)
            order = players[np.argsort(-self.skills.strength[players])]
            self.team[order[size:]] = _GONE
            weakness[team] = -self.skills.strength[order[:8]].sum()
            empty += [team] * max(0, size - len(players))
        teams = np.array(empty, np.int64)
        # The draft: team by team from the weakest, then all again.
        turn = np.array([np.sum(teams[:place] == team) for place, team in enumerate(teams)])
        teams = teams[np.lexsort((-weakness[teams], turn))]
        new = len(teams)
        first_ever = not len(self.team)
        strength = np.sort(rng.normal(-1.5, 3.3, new))[::-1]
        self.team = np.concatenate([self.team, rng.permutation(teams) if first_ever else teams])
        ages = rng.integers(19, 36 if first_ever else 24, new)
        self.age = np.concatenate([self.age, ages])
        traits = Skills(strength, rng.beta(1.2, 1.2, new), rng.normal(0, 0.2, new))
        self.skills = Skills(
            *(np.concatenate(pair) for pair in zip(self.skills, traits, strict=True))
        )

    def trade(self, rng: np.random.Generator) -> None:
        """Swap some players, one for one, and let all strengths drift."""
        playing = np.flatnonzero(self.team != _GONE)
        pairs = rng.choice(playing, (_TRADES, 2), replace=False)
        self.team[pairs] = self.team[pairs[:, ::-1]]
        self.skills.strength[playing] += rng.normal(0, _DRIFT, len(playing))

    def days(self, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Who is fit on each of the next `count` days: (count, players)."""
        fit = np.empty((count, len(self.fit)), bool)
        for day in range(count):
            luck = rng.random(len(self.fit))
            self.fit = np.where(self.fit, luck >= _HURT, luck < _HEALED)
            fit[day] = self.fit
        return fit
