"""Lists -> what trains, what tests, and an account of both.

Rules of this room: pure. Three modes: `seasons` where both are named, else `cutoff` (the last day
that trains), else `fallback` (the first `train_frac` of the dates).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_a.lists import List


def compute_split(
    lists: list[List], inputs: Mapping[str, Any]
) -> tuple[list[List], list[List], dict[str, Any]]:
    """Train lists, test lists, and split_info; lists in neither are left out."""
    if inputs["train_seasons"] is not None:
        mode = "seasons"
        train = [one for one in lists if one["season"] in inputs["train_seasons"]]
        test = [one for one in lists if one["season"] in inputs["test_seasons"]]
    else:
        cutoff = inputs["train_test_cutoff"]
        mode = "fallback" if cutoff is None else "cutoff"
        if cutoff is None:
            dates = _dates(lists)
            n_train = math.floor(inputs["train_frac"] * len(dates))
            cutoff = dates[n_train - 1] if n_train else ""
        train = [one for one in lists if one["as_of_date"] <= cutoff]
        test = [one for one in lists if one["as_of_date"] > cutoff]
    split_info = {
        "split_mode": mode,
        "train_dates": _dates(train),
        "test_dates": _dates(test),
        "train_frac": inputs["train_frac"],
        "n_train_lists": len(train),
        "n_test_lists": len(test),
        "n_train_dates": len(_dates(train)),
        "n_test_dates": len(_dates(test)),
        "train_seasons": _seasons(train),
        "test_seasons": _seasons(test),
    }
    return train, test, split_info


def _dates(lists: list[List]) -> list[str]:
    return sorted({one["as_of_date"] for one in lists})


def _seasons(lists: list[List]) -> list[str]:
    return sorted({one["season"] for one in lists})
