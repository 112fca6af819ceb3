"""Box scores of made-up games: from players' strengths to counts that add up.

Rules of this room: arrays only, one axis each for games (G), sides (2: home, away) and places
on the roster (R); a place without a player is -1 and counts nothing. Teams are the sums of their
players. Strength tells twice: a team shoots better by the difference of the strengths on court,
and a strong player shoots more often and better than a weak one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from league.counts import Floats, Ints, luck, whole

Box = dict[str, Ints]

HOME_EDGE = 2.6  # points
_FIELD_GOAL_POINTS = 90.0  # a team's points from the field in 240 minutes
_ROTATION = np.array([35, 34, 32, 30, 28, 23, 19, 15, 11, 8, 6, 4], float)  # minutes by rank
_LEAST_PLAYERS, _MOST_PLAYERS = 9, 12
_REGULATION = 240  # player-minutes of a team
_OVERTIME = 25
_LONGEST = 46.0  # minutes of a player in regulation, before rounding


class Skills(NamedTuple):
    """What players are, one value each, all players ever seen.

    `strength` is points a team gains in 48 minutes over an average player; `size` goes from 0,
    a guard, to 1, a centre; `ball` is the logarithm of how much more of the ball one wants.
    """

    strength: Floats
    size: Floats
    ball: Floats


def play(
    skills: Skills, rosters: Ints, fit: NDArray[np.bool_], era: float, rng: np.random.Generator
) -> Box:
    """Counts (G, 2, R) by name of the games between `rosters` (G, 2, R); none is drawn.

    Only who has `min` above 0 took part. `team_tov` and `pf` (G, 2) are the teams' own; `era`
    (0 to 1) is how far three-point shooting has come.
    """
    own = Skills(*(np.where(rosters >= 0, trait[rosters], 0.0) for trait in skills))
    minutes = _minutes(own.strength, (rosters >= 0) & fit, rosters >= 0, rng)
    on_court = (minutes * own.strength).sum(-1) / 48
    edge = (on_court[:, :1] - on_court[:, 1:] + HOME_EDGE) * np.array([1.0, -1.0]) / 2
    touch = np.clip(1 + edge / _FIELD_GOAL_POINTS, 0.75, 1.25)
    box = _stretch(own, minutes, touch, era, rng)
    while (drawn := np.flatnonzero(np.ptp(points(box).sum(-1), axis=-1) == 0)).size:
        extra = whole(minutes[drawn] * _OVERTIME / _REGULATION, rng)
        traits = Skills(*(trait[drawn] for trait in own))
        for name, count in _stretch(traits, extra, touch[drawn], era, rng).items():
            box[name][drawn] += count
    box["fgm"] = box.pop("fg2m") + box["fg3m"]
    box["fga"] = box.pop("fg2a") + box["fg3a"]
    box["reb"] = box["oreb"] + box["dreb"]
    box["pts"] = 2 * box["fgm"] + box["fg3m"] + box["ftm"]
    box["plus_minus"] = _plus_minus(box["pts"].sum(-1), box["min"], rng)
    box["team_tov"] = box["tov"].sum(-1) + rng.poisson(0.6, box["tov"].shape[:2])
    box["pf"] = 6 + rng.poisson(14 * box["min"].sum(-1) / _REGULATION)
    return box


def points(box: Box) -> Ints:
    """Points from a box that has not been summed up yet."""
    return 2 * box["fg2m"] + 3 * box["fg3m"] + box["ftm"]


def _minutes(
    strength: Floats, fit: NDArray[np.bool_], there: NDArray[np.bool_], rng: np.random.Generator
) -> Ints:
    """Regulation minutes (G, 2, R), 240 a side: the strongest who are fit play most.

    Where too few are fit, others play nevertheless.
    """
    standing = strength + rng.normal(0, 0.5, strength.shape) + 100.0 * fit + 1000.0 * there
    rank = np.argsort(np.argsort(-standing, axis=-1), axis=-1)
    fit_players = fit.sum(-1, keepdims=True)
    wanted = rng.integers(_LEAST_PLAYERS, _MOST_PLAYERS + 1, fit_players.shape)
    playing = rank < np.maximum(np.minimum(wanted, fit_players), _LEAST_PLAYERS)
    share = _ROTATION[np.minimum(rank, _MOST_PLAYERS - 1)] * playing
    share *= rng.lognormal(0, 0.1, share.shape)
    for _ in range(3):  # what is cut from one goes to all
        share = np.minimum(share * (_REGULATION / share.sum(-1, keepdims=True)), _LONGEST)
    return whole(share * (_REGULATION / share.sum(-1, keepdims=True)), rng)


def _stretch(
    own: Skills, minutes: Ints, touch: Floats, era: float, rng: np.random.Generator
) -> Box:
    """The counts of a stretch of play, be it an overtime, in which players play `minutes`."""
    sides = minutes.shape[:2]
    length = minutes.sum(-1) / _REGULATION

    def shared(team: Floats, weight: Floats) -> Ints:
        # A team's expected count, shared by minutes, weight and the day's luck.
        part = minutes * weight * luck(0.35, minutes.shape, rng)
        return whole(team[..., None] * part / part.sum(-1, keepdims=True), rng)

    def made(tries: Ints, chance: Floats, spread: float) -> Ints:
        return whole(np.minimum(tries * chance * luck(spread, tries.shape, rng), tries), rng)

    good, size = own.strength, own.size
    ball = np.exp(0.06 * good + own.ball)
    pace = np.repeat(rng.normal(1.0, 0.04, (sides[0], 1)), 2, axis=1) * length
    tries = shared(87 * pace, ball)
    threes = made(tries, (0.27 + 0.13 * era) * (1.6 - 1.2 * size), 0.4)
    box = {"min": minutes.copy(), "fg3a": threes, "fg2a": tries - threes}
    factor = touch[..., None]
    box["fg3m"] = made(threes, (0.36 + 0.002 * good) * factor, 0.4)
    box["fg2m"] = made(tries - threes, (0.49 + 0.06 * size + 0.004 * good) * factor, 0.24)
    box["fta"] = shared(rng.normal(22, 3.5, sides).clip(6) * length, ball * (0.7 + 0.6 * size))
    box["ftm"] = made(box["fta"], 0.84 - 0.14 * size + 0.002 * good, 0.15)
    makes = (box["fg2m"] + box["fg3m"]).sum(-1)
    misses = tries.sum(-1) - makes
    box["oreb"] = shared(0.22 * misses, 0.1 + 0.9 * size**2)
    box["dreb"] = shared(0.72 * misses[:, ::-1], 0.4 + 0.6 * size)
    box["ast"] = shared(0.6 * makes, (1.3 - size) ** 2 * ball)
    box["stl"] = shared(rng.normal(7.7, 1.8, sides).clip(1) * length, 1.2 - 0.4 * size)
    box["blk"] = shared(rng.normal(4.9, 1.4, sides).clip(0.5) * length, 0.05 + size**2)
    box["tov"] = shared(rng.normal(13.4, 2.5, sides).clip(3) * length, ball)
    return box


def _plus_minus(scores: Ints, minutes: Ints, rng: np.random.Generator) -> Ints:
    """Score difference on court (G, 2, R): five times the margin in sum."""
    margin = (scores - scores[:, ::-1])[..., None]
    part = minutes / minutes.sum(-1, keepdims=True)
    noise = rng.normal(0, 1.6, minutes.shape) * np.sqrt(minutes)
    noise -= part * noise.sum(-1, keepdims=True)
    return whole(5 * margin * part + noise, rng)
