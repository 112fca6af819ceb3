"""Columns -> a trained model -> scores.

Rules of this room: the loop. The seed alone decides every draw. Who wants to see an epoch end, or
to end training by it, gives `told`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from model_a.adamw import AdamW
from model_a.columns import FACTS, gather, mini_batches
from model_a.losses import listmle, spearman_surrogate
from model_a.metrics import spearman
from model_a.model import DeepSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_a.columns import Columns
    from model_a.config import ModelA

FIELDS = ("embedding_indices", "player_stats", "minutes", "key_padding_mask")
Epoch = dict[str, Any]


def fit(
    batches: Columns,
    train: list[int],
    seasons: list[str],
    settings: ModelA,
    seed: int,
    told: Callable[[Epoch], Any] = lambda _: None,
    judge: Callable[[DeepSet], Epoch] = lambda _: {},
) -> tuple[DeepSet, list[Epoch]]:
    """A model of the lists at `train`, and what each epoch came to: its number and losses.

    `seasons` names the season of every list. The latest training seasons are watched for early
    stopping and do not train; with one season alone, its own loss is watched. What the watch finds
    best is what is returned. An epoch's `train_loss` is of what was made small in it, listmle in
    the `loss_warmup_epochs`, without the roster's own; `watch_loss` always of `loss`, and
    `watch_spearman` of what is watched where that does not train. What `judge` says of the model
    is added to its epoch, and changes nothing else.
    """
    torch.manual_seed(seed)
    learned, watched = _split_for_watch(train, seasons, settings)
    model = _new_model(batches, learned, settings)
    optimizer = _optimizer(model, settings)
    epochs: list[Epoch] = []
    best, best_epoch, best_state = math.inf, 0, model.state_dict()
    for number in range(settings.epochs):
        warming_up = number < settings.loss_warmup_epochs
        train_loss = _learn(model, optimizer, batches, learned, settings, warming_up=warming_up)
        epoch = {"epoch": number, "train_loss": train_loss, "watch_loss": train_loss}
        if watched:
            epoch |= _watch(model, batches, watched, settings)
        epoch |= judge(model)
        epochs.append(epoch)
        told(epoch)
        if not settings.early_stopping_patience or (warming_up and not watched):
            continue
        if epoch["watch_loss"] < best - settings.early_stopping_min_delta:
            best, best_epoch = epoch["watch_loss"], number
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
        elif number - best_epoch >= settings.early_stopping_patience:
            break
    if settings.early_stopping_patience:
        model.load_state_dict(best_state)
    return model.eval(), epochs


@torch.no_grad()
def predict(model: DeepSet, batches: Columns, lists: list[int]) -> list[list[float]]:
    """The scores of the teams of each list, in the order of `lists`."""
    model.eval()
    scores: dict[int, list[float]] = {}
    for alike in mini_batches(batches, lists, 256, shuffle=False):
        scores.update(zip(alike, _scores(model, batches, alike).tolist(), strict=True))
    return [scores[position] for position in lists]


def _learn(
    model: DeepSet,
    optimizer: AdamW,
    batches: Columns,
    lists: list[int],
    settings: ModelA,
    *,
    warming_up: bool,
) -> float:
    """One epoch over `lists`, and the mean loss of a list in it.

    Beside the score, that of the roster alone is made to rank by listmle: what a good roster is can
    be learned from late lists too, where the score hardly depends on it.
    """
    model.train()
    total = 0.0
    for alike in mini_batches(batches, lists, settings.lists_per_step, shuffle=True):
        fields = [gather(batches, field, alike) for field in FIELDS]
        rel = gather(batches, "rel", alike)
        roster = model.of_roster(*fields)
        scores = model.with_facts(roster, batches.facts[alike, : rel.shape[1]])
        loss = _loss(scores, rel, settings, warming_up=warming_up)
        total += loss.item() * len(alike)
        if settings.use_standings:  # else the roster's order is all there is
            loss = loss + settings.roster_loss_weight * listmle(roster, rel)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip_max_norm)
        optimizer.step()
    return total / len(lists)


@torch.no_grad()
def _watch(model: DeepSet, batches: Columns, lists: list[int], settings: ModelA) -> Epoch:
    """The mean loss and Spearman of `lists`."""
    model.eval()
    loss, ranked = 0.0, []
    for alike in mini_batches(batches, lists, 256, shuffle=False):
        scores, rel = _scores(model, batches, alike), gather(batches, "rel", alike)
        loss += _loss(scores, rel, settings).item() * len(alike) / len(lists)
        ranked += [spearman(*pair) for pair in zip(scores.tolist(), rel.tolist(), strict=True)]
    return {"watch_loss": loss, "watch_spearman": float(np.mean(ranked))}


def _scores(model: DeepSet, batches: Columns, lists: list[int]) -> Tensor:
    fields = [gather(batches, field, lists) for field in FIELDS]
    return model(*fields, batches.facts[lists, : fields[0].shape[1]])


def _loss(scores: Tensor, rel: Tensor, settings: ModelA, *, warming_up: bool = False) -> Tensor:
    if settings.loss == "listmle" or warming_up:
        return listmle(scores, rel)
    return spearman_surrogate(scores, rel, settings.loss_tau)


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


def _optimizer(model: DeepSet, settings: ModelA) -> AdamW:
    """AdamW whose decay leaves the scales of the scores alone."""
    named = dict(model.named_parameters())
    scales = [named.pop(name) for name in ("sharpness", "mix") if name in named]
    groups = [(list(named.values()), settings.weight_decay), (scales, 0.0)]
    return AdamW([group for group in groups if group[0]], lr=settings.learning_rate)


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
        facts_start=torch.tensor(list(FACTS.values())) if settings.use_standings else None,
    ).to(players.device)
