"""Lists -> how rankers that learn next to nothing score them.

Rules of this room: numpy only, and only what a list holds of the time before its date. A ranker
that cannot tell teams apart (there is no season before) gives them equal scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from model_a.metrics import spearman

# The rankers, by the name of their scores in a list, and what people call them.
BASELINES = {
    "win_rates": "win rate to date",
    "prior_win_rates": "last season's win rate",
    "margins": "margin to date",
    "shrunk_win_rates": "shrunk win rate",
}
PRIOR_GAMES = (0, 1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128)


def shrunk_win_rates(one: Mapping[str, Any], prior_games: float) -> list[float]:
    """Each team's win rate to date, with last season's put in as `prior_games` games more.

    (games x rate + prior_games x prior rate) / (games + prior_games): the mean of a binomial rate
    under a beta prior, as in Efron and Morris 1975, "Data analysis using Stein's estimator".
    """
    games, rates = np.array(one["games_played"]), np.array(one["win_rates"])
    prior = np.array(one["prior_win_rates"] or [0.5] * len(rates))
    return ((games * rates + prior_games * prior) / (games + prior_games)).tolist()


def fit_prior_games(lists: Iterable[Mapping[str, Any]]) -> float:
    """Of `PRIOR_GAMES`, that with the best mean Spearman on lists that train; `y` is the target.

    In a list all teams have played about as many games, so that how far the prior itself is drawn
    to the middle would change next to nothing: this is the one weight that ranks.
    """
    lists = list(lists)
    means = [
        np.mean([spearman(shrunk_win_rates(one, games), one["y"]) for one in lists])
        for games in PRIOR_GAMES
    ]
    return PRIOR_GAMES[int(np.argmax(means))]


def with_baselines(
    lists: Iterable[Mapping[str, Any]], prior_games: float
) -> Sequence[dict[str, Any]]:
    """The lists, with the scores of each of `BASELINES`."""
    return [
        {
            **one,
            "prior_win_rates": one["prior_win_rates"] or [0.5] * len(one["win_rates"]),
            "shrunk_win_rates": shrunk_win_rates(one, prior_games),
        }
        for one in lists
    ]
