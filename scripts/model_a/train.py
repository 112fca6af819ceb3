"""Batches -> a trained model -> scores.

Rules of this room: the loop, and how it meets the cache. Nothing here asks whether batches come
from a file: what is trained on is columns (distinct rows of one shape) and which row each list is,
so that a mini-batch is one `index_select` a field. The seed alone decides every draw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from model_a.errors import BadInput
from model_a.model import DeepSet, listmle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_a.config import ModelA
    from tensorcache import Batches

_FIELDS = ("embedding_indices", "player_stats", "minutes", "key_padding_mask")


class Columns(NamedTuple):
    """Batches as a training loop wants them.

    `columns` are the distinct rows of a field, some tensors for each trailing shape; `at` (n, 3)
    says for each list: place in that tuple, first row, rows (always 1 here).
    """

    columns: dict[str, tuple[Tensor, ...]]
    at: dict[str, Tensor]

    @property
    def teams(self) -> list[int]:
        """How many teams each list has."""
        sizes = [column.shape[1] for column in self.columns["rel"]]
        return [sizes[place] for place in self.at["rel"][:, 0].tolist()]


def columns_of(batches: Batches | list[dict[str, Tensor]], device: torch.device) -> Columns:
    """The columns of `batches` on `device`: those of the cache, or of a list that no cache saw."""
    if isinstance(batches, list):
        columns, at = _laid_out(batches)
        moved = {name: tuple(c.to(device) for c in alike) for name, alike in columns.items()}
        return Columns(moved, at)
    if device.type != "cpu":
        batches = batches.to(device)
    return Columns(batches.columns, batches.at)


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is cuda where there is one.

    Raises:
        BadInput: this machine has no such device.
    """
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise BadInput(f"repro.device: {name!r} is not on this machine: use auto, or cpu")
    return torch.device(name)


def fit(
    batches: Columns, train: list[int], seasons: list[str], settings: ModelA, seed: int
) -> tuple[DeepSet, list[dict[str, Any]]]:
    """A model of the lists at `train`, and the losses of each epoch.

    `seasons` names the season of every list. The latest training seasons are watched for early
    stopping and do not train; with one season alone, its own loss is watched. What the watch finds
    best is what is returned.
    """
    torch.manual_seed(seed)
    learned, watched = _split_for_watch(train, seasons, settings)
    model = _new_model(batches, learned, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    losses: list[dict[str, Any]] = []
    best, best_epoch, best_state = math.inf, 0, model.state_dict()
    for epoch in range(settings.epochs):
        model.train()
        train_loss = 0.0
        for lists in mini_batches(batches, learned, settings.lists_per_step, shuffle=True):
            loss = _loss(model, batches, lists)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip_max_norm)
            optimizer.step()
            train_loss += loss.item() * len(lists) / len(learned)
        watch_loss = evaluate(model, batches, watched) if watched else train_loss
        losses.append({"epoch": epoch, "train_loss": train_loss, "watch_loss": watch_loss})
        if not settings.early_stopping_patience:
            continue
        if watch_loss < best - settings.early_stopping_min_delta:
            best, best_epoch = watch_loss, epoch
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch - best_epoch >= settings.early_stopping_patience:
            break
    if settings.early_stopping_patience:
        model.load_state_dict(best_state)
    return model.eval(), losses


@torch.no_grad()
def predict(model: DeepSet, batches: Columns, lists: list[int]) -> list[list[float]]:
    """The scores of the teams of each list, in the order of `lists`."""
    model.eval()
    scores: dict[int, list[float]] = {}
    for alike in mini_batches(batches, lists, 256, shuffle=False):
        scores.update(zip(alike, _scores(model, batches, alike).tolist(), strict=True))
    return [scores[position] for position in lists]


@torch.no_grad()
def evaluate(model: DeepSet, batches: Columns, lists: list[int]) -> float:
    """The mean loss of `lists`."""
    model.eval()
    groups = mini_batches(batches, lists, 256, shuffle=False)
    return sum(_loss(model, batches, alike).item() * len(alike) for alike in groups) / len(lists)


def mini_batches(
    batches: Columns, lists: list[int], size: int, *, shuffle: bool
) -> Iterator[list[int]]:
    """`lists` in groups of at most `size`, all of one group with equally many teams."""
    order = torch.randperm(len(lists)).tolist() if shuffle else range(len(lists))
    teams = batches.teams
    alike: dict[int, list[int]] = {}
    for position in order:
        alike.setdefault(teams[lists[position]], []).append(lists[position])
    groups = [
        of_shape[start : start + size]
        for of_shape in alike.values()
        for start in range(0, len(of_shape), size)
    ]
    turns = torch.randperm(len(groups)).tolist() if shuffle else range(len(groups))
    return (groups[turn] for turn in turns)


def gather(batches: Columns, field: str, lists: list[int]) -> Tensor:
    """The field of lists of equal shape as one tensor, a list's row for each along the first axis.

    Rows that an earlier section has too lie in that section's column, so one field of a mini-batch
    may come from several.
    """
    place, row, _ = batches.at[field][lists].T
    places = place.unique().tolist()
    columns = [batches.columns[field][number] for number in places]
    if len(places) == 1:
        return columns[0].index_select(0, row.to(columns[0].device))
    whole = columns[0].new_empty(len(lists), *columns[0].shape[1:])
    for number, column in zip(places, columns, strict=True):
        here = (place == number).nonzero().squeeze(1)
        whole[here.to(column.device)] = column.index_select(0, row[here].to(column.device))
    return whole


def _laid_out(
    batches: list[dict[str, Tensor]],
) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor]]:
    columns: dict[str, tuple[Tensor, ...]] = {}
    at: dict[str, Tensor] = {}
    for name in batches[0]:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        rows = []
        for batch in batches:
            alike = by_shape.setdefault(batch[name].shape, [])
            rows.append((list(by_shape).index(batch[name].shape), len(alike), 1))
            alike.append(batch[name])
        columns[name] = tuple(torch.cat(alike) for alike in by_shape.values())
        at[name] = torch.tensor(rows)
    return columns, at


def _scores(model: DeepSet, batches: Columns, lists: list[int]) -> Tensor:
    return model(*(gather(batches, field, lists) for field in _FIELDS))


def _loss(model: DeepSet, batches: Columns, lists: list[int]) -> Tensor:
    return listmle(_scores(model, batches, lists), gather(batches, "rel", lists))


def _split_for_watch(
    train: list[int], seasons: list[str], settings: ModelA
) -> tuple[list[int], list[int]]:
    """Lists that are learned from, and those of the latest seasons, watched for early stopping."""
    in_order = sorted({seasons[position] for position in train})
    n_watched = min(math.ceil(settings.early_stopping_val_frac * len(in_order)), len(in_order) - 1)
    if not settings.early_stopping_patience or n_watched < 1:
        return train, []
    latest = in_order[-n_watched:]
    return (
        [position for position in train if seasons[position] not in latest],
        [position for position in train if seasons[position] in latest],
    )


def _new_model(batches: Columns, learned: list[int], settings: ModelA) -> DeepSet:
    """An untrained model that standardises by the lists it will learn from, and by no others."""
    players = torch.cat(
        [
            gather(batches, "player_stats", alike)[~gather(batches, "key_padding_mask", alike)]
            for alike in mini_batches(batches, learned, 256, shuffle=False)
        ]
    ).double()
    std = players.std(0, correction=0)
    return DeepSet(
        num_embeddings=settings.num_embeddings,
        embedding_dim=settings.embedding_dim,
        encoder_hidden=settings.encoder_hidden,
        attention_heads=settings.attention_heads,
        minutes_bias_weight=settings.minutes_bias_weight,
        dropout=settings.dropout,
        stat_mean=players.mean(0).float(),
        stat_std=torch.where(std > 0, std, 1.0).float(),
    ).to(players.device)
