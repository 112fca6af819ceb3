"""Scored lists -> how well they are ranked.

Rules of this room: numpy only, every ranker measured on the same lists, a mean of lists and never
of teams. A list is a mapping with `season`, `conference`, `as_of_date`, `y` (the target, higher is
better), `playoff_ranks` (or None), and the scores of each ranker under its name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

PART_DAYS = 40
NDCG_AT = (4, 8, 16)
Range = tuple[dt.date, dt.date]  # a season's first and last day


def measure(
    lists: Sequence[Mapping[str, Any]], rankers: Sequence[str], ranges: Mapping[str, Range]
) -> dict[str, Any]:
    """Means over the lists of each metric and ranker, in all and by what lists differ in.

    `playoff_spearman` is a mean of the lists whose season has playoffs, None where none has. The
    parts of a season are its first 40 days, its last 40, and what lies between. `whole_lists` is
    the same of the lists that have as many teams as any: in a list of two a ranker is right or
    wrong, +1 or -1, and a few of those outweigh much.
    """
    values = {name: _values(lists, rankers, metric) for name, metric in METRICS.items()}
    kinds = {
        "by_season": np.array([one["season"] for one in lists]),
        "by_conference": np.array([one["conference"] for one in lists]),
        "by_part": np.array(
            [season_part(one["as_of_date"], ranges[one["season"]]) for one in lists]
        ),
    }
    teams = np.array([len(one["y"]) for one in lists])
    return {
        **_broken_down(values, rankers, kinds, teams > 0),
        "whole_lists": _broken_down(values, rankers, kinds, teams == teams.max()),
    }


def by_seed(lists: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """The mean Spearman of each seed's own scores (`by_seed` of a list), and how they differ.

    `std` is of the seeds, with one degree of freedom less than there are; None for one alone.
    """
    each = [
        float(np.mean([spearman(one["by_seed"][row], one["y"]) for one in lists]))
        for row in range(len(seeds))
    ]
    spread = float(np.std(each, ddof=1)) if len(each) > 1 else None
    means = dict(zip(map(str, seeds), each, strict=True))
    return {"spearman": means, "mean": float(np.mean(each)), "std": spread}


def whole_lists(lists: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the lists that have as many teams as any."""
    most = max(len(one["y"]) for one in lists)
    return [one for one in lists if len(one["y"]) == most]


def season_part(as_of_date: str, season: Range) -> str:
    """`first_40_days`, `last_40_days` or `middle`, by the days from the season's start and end."""
    date = dt.date.fromisoformat(as_of_date)
    if (date - season[0]).days < PART_DAYS:
        return f"first_{PART_DAYS}_days"
    return f"last_{PART_DAYS}_days" if (season[1] - date).days < PART_DAYS else "middle"


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 where either is constant.

    Spearman 1904, "The proof and measurement of association between two things": Pearson's
    correlation of the ranks.
    """
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b; 0 where either is constant.

    Kendall 1945, "The treatment of ties in ranking problems": pairs in the same order less pairs in
    opposite order, by the geometric mean of the pairs that are no tie in the one and in the other.
    """
    a, b = (np.sign(np.subtract.outer(values, values)) for values in (first, second))
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0


def ndcg(scores: Sequence[float], rel: Sequence[float], at: int) -> float:
    """Normalised discounted cumulated gain of the first `at`; 0 where no team has any gain.

    Jarvelin and Kekalainen 2002, "Cumulated gain-based evaluation of IR techniques", with `rel` as
    the gain and the discount 1 / log2(position + 1). Teams of equal score share what their places
    are worth: the mean over all their orders (McSherry and Najork 2008, "Computing information
    retrieval performance measures efficiently in the presence of tied scores").
    """
    gains = np.asarray(rel, dtype=np.float64)
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    discounts[at:] = 0
    ideal = np.sort(gains)[::-1] @ discounts
    _, group, size = np.unique(-np.asarray(scores), return_inverse=True, return_counts=True)
    ends = size.cumsum()
    total = np.append(0, discounts.cumsum())
    mean_gain = np.bincount(group, gains) / size
    return float(mean_gain @ (total[ends] - total[ends - size]) / ideal) if ideal > 0 else 0.0


def _of_playoffs(one: Mapping[str, Any], scores: Sequence[float]) -> float:
    if one["playoff_ranks"] is None:
        return np.nan
    return spearman(scores, [-rank for rank in one["playoff_ranks"]])


Metric = Callable[[Mapping[str, Any], Sequence[float]], float]
METRICS: dict[str, Metric] = {
    "spearman": lambda one, scores: spearman(scores, one["y"]),
    "kendall": lambda one, scores: kendall(scores, one["y"]),
    **{f"ndcg@{k}": lambda one, scores, k=k: ndcg(scores, one["y"], k) for k in NDCG_AT},
    "playoff_spearman": _of_playoffs,
}


def mean_of(
    name: str, lists: Sequence[Mapping[str, Any]], scores: Sequence[Sequence[float]]
) -> float | None:
    """The mean of a metric of the lists that have it, of their `scores`; None where none has it."""
    each = np.array([METRICS[name](*pair) for pair in zip(lists, scores, strict=True)])
    there = each[~np.isnan(each)]
    return float(there.mean()) if len(there) else None


def _values(
    lists: Sequence[Mapping[str, Any]], rankers: Sequence[str], metric: Metric
) -> np.ndarray:
    """The metric of each list and ranker, (n, rankers); NaN where a list does not have it."""
    return np.array([[metric(one, one[ranker]) for ranker in rankers] for one in lists])


def _broken_down(
    values: Mapping[str, np.ndarray],
    rankers: Sequence[str],
    kinds: Mapping[str, np.ndarray],
    chosen: np.ndarray,
) -> dict[str, Any]:
    """The means of the chosen lists, and of those of each kind among them."""
    measured = _means(values, rankers, chosen)
    for name, of_lists in kinds.items():
        measured[name] = {
            kind: _means(values, rankers, chosen & (of_lists == kind))
            for kind in sorted({*of_lists[chosen].tolist()})
        }
    return measured


def _means(
    values: Mapping[str, np.ndarray], rankers: Sequence[str], chosen: np.ndarray
) -> dict[str, Any]:
    means: dict[str, Any] = {"n_lists": int(chosen.sum())}
    for name, of_lists in values.items():
        there = of_lists[chosen & ~np.isnan(of_lists).any(1)]
        mean = there.mean(0).tolist() if len(there) else [None] * len(rankers)
        means[name] = dict(zip(rankers, mean, strict=True))
    return means


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[inverse]
