"""Out-of-fold scores -> how well they rank.

Rules of this room: numpy only, every ranker measured on the same lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def out_of_fold_metrics(lists: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean per-list Spearman of the scores and of the win rate to date, in all and by season.

    Each list has `season`, `oof_a`, `win_rates` and `y`, one value a team. A list whose order a
    ranker leaves open (all equal) counts as 0.
    """
    by_season = {
        season: _means([one for one in lists if one["season"] == season])
        for season in sorted({one["season"] for one in lists})
    }
    return {"n_lists": len(lists), "spearman": _means(lists), "spearman_by_season": by_season}


def spearman(first: list[float], second: list[float]) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 where either is constant."""
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def _means(lists: list[dict[str, Any]]) -> dict[str, float]:
    return {
        ranker: float(np.mean([spearman(one[ranker], one["y"]) for one in lists]))
        for ranker in ("oof_a", "win_rates")
    }


def _ranks(values: list[float]) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[inverse]
