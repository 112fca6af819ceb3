"""Seasons of lists -> folds.

Rules of this room: pure, standard library. A fold is a block of whole seasons, for a season's lists
share its final ranks; blocks grow with time, so no list is scored by a model that saw its future.
"""

from __future__ import annotations

from typing import NamedTuple


class Fold(NamedTuple):
    """Positions of the lists that train a model, and of those that it scores."""

    number: int
    train: list[int]
    scored: list[int]


def season_folds(seasons: list[str], n_folds: int) -> list[Fold]:
    """Folds 1 to `n_folds - 1` over lists of these seasons; block 0 is trained on, never scored.

    Seasons are cut in order into `n_folds` blocks, as even as they go, earlier ones larger.

    Raises:
        ValueError: there are fewer seasons than folds.
    """
    in_order = sorted(set(seasons))
    if not 0 < n_folds <= len(in_order):
        raise ValueError(f"{n_folds} folds of {len(in_order)} seasons")
    size, larger = divmod(len(in_order), n_folds)
    block_of = {}
    for block in range(n_folds):
        start = block * size + min(block, larger)
        for season in in_order[start : start + size + (block < larger)]:
            block_of[season] = block
    blocks = [block_of[season] for season in seasons]
    return [
        Fold(
            number,
            [position for position, block in enumerate(blocks) if block < number],
            [position for position, block in enumerate(blocks) if block == number],
        )
        for number in range(1, n_folds)
    ]
