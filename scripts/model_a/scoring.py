"""Columns and folds -> scored lists, the scores of several seeds averaged.

Rules of this room: who trains on what, and what is scored by whom; how, is train.py's. A fold is
scored by models, and beside them by baselines, of earlier seasons only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model_a.baselines import fit_prior_games, with_baselines
from model_a.columns import Columns, columns_of
from model_a.folds import season_folds
from model_a.metrics import mean_of
from model_a.train import Epoch, fit, predict

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from model_a.config import Config
    from model_a.model import DeepSet
    from model_a.progress import Told


class Fitted(NamedTuple):
    """The same lists trained on from each of `seeds`: a model each, and its epochs."""

    name: str
    seeds: list[int]
    models: list[DeepSet]
    epochs: list[list[Epoch]]

    def state(self) -> dict[str, Tensor]:
        """The weights of the model; of several, each after its `seed_N.`."""
        if len(self.models) == 1:
            return self.models[0].state_dict()
        return {
            f"seed_{seed}.{name}": value
            for seed, model in zip(self.seeds, self.models, strict=True)
            for name, value in model.state_dict().items()
        }


def seeds_of(config: Config) -> list[int]:
    """As many seeds as are asked for, from `repro.seed` on."""
    return [config.repro.seed + more for more in range(config.model_a.n_seeds)]


def fits_of(config: Config, payload: Mapping[str, Any]) -> int:
    """How many models a run trains."""
    folds = config.training.n_folds - 1 if "oof_batches" in payload else 0
    return (folds + 1) * config.model_a.n_seeds


def fit_seeds(
    name: str,
    batches: Columns,
    train: list[int],
    seasons: list[str],
    config: Config,
    told: Told,
    judge: Callable[[DeepSet], Epoch] = lambda _: {},
) -> Fitted:
    """A model for each seed, all of the lists at `train`; `judge` is asked after each epoch."""
    seeds = seeds_of(config)
    fitted = [
        fit(
            batches,
            train,
            seasons,
            config.model_a,
            seed,
            _named(told, f"{name}, seed {seed}"),
            judge,
        )
        for seed in seeds
    ]
    return Fitted(name, seeds, [model for model, _ in fitted], [epochs for _, epochs in fitted])


def scored_by(
    fitted: Fitted, batches: Columns, lists: Sequence[Mapping[str, Any]], at: list[int], name: str
) -> list[dict[str, Any]]:
    """The lists at some positions, with the mean score of the models under `name`.

    The scores of each model are there too, `by_seed` (seeds, K).
    """
    each = [predict(model, batches, at) for model in fitted.models]
    return [
        {**lists[position], "by_seed": list(scores), name: np.mean(scores, axis=0).tolist()}
        for position, scores in zip(at, zip(*each, strict=True), strict=True)
    ]


def score_folds(
    config: Config,
    payload: Mapping[str, Any],
    device: torch.device,
    told: Told,
    objective: str | None = None,
) -> tuple[list[dict[str, Any]], list[Fitted]]:
    """Each list of a later fold, scored by models of earlier seasons, and those models.

    With an `objective` each epoch says what that is of the fold's lists, and how many they are.
    """
    targets = (meta["rel_values"] for meta in payload["list_metas"])
    lists = with_target(payload["oof_lists"], targets)
    batches = columns_of(payload["oof_batches"], lists, device)
    seasons = [one["season"] for one in lists]
    scored, all_fitted = [], []
    for fold in season_folds(seasons, config.training.n_folds):
        name = f"fold {fold.number}"
        judge = _judge(objective, batches, lists, fold.scored)
        fitted = fit_seeds(name, batches, fold.train, seasons, config, told, judge)
        prior_games = fit_prior_games(lists[position] for position in fold.train)
        of_fold = scored_by(fitted, batches, lists, fold.scored, "oof_a")
        scored += [{**one, "fold": fold.number} for one in with_baselines(of_fold, prior_games)]
        all_fitted.append(fitted)
        print(
            f"fold {fold.number}: {len(fold.train)} lists train, {len(fold.scored)} are scored, "
            f"last season's win rate counts for {prior_games} games"
        )
    return scored, all_fitted


def score_test(
    config: Config, payload: Mapping[str, Any], fitted: Fitted, device: torch.device
) -> list[dict[str, Any]]:
    """The test lists, scored by the final model as `model_a`; none where none are to be."""
    lists = list(payload.get("test_lists", [])) if config.outputs.score_test else []
    if not lists:
        return []
    batches = columns_of(payload["test_batches"], lists, device)
    trained = with_target(payload["all_lists"], _rel(payload["all_batches"]))
    prior_games = fit_prior_games(trained)
    lists = with_target(lists, _rel(payload["test_batches"]))
    everything = list(range(len(lists)))
    return list(
        with_baselines(scored_by(fitted, batches, lists, everything, "model_a"), prior_games)
    )


def team_rows(scored: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Scored lists as columns, one row a team and list."""
    rows = [
        (team, one["as_of_date"], one["conference"], score, y, one["season"], one["fold"])
        for one in scored
        for team, score, y in zip(one["team_ids"], one["oof_a"], one["y"], strict=True)
    ]
    names = ("team_id", "as_of_date", "conference", "oof_a", "y", "season", "fold")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def with_target(
    lists: Sequence[Mapping[str, Any]], targets: Iterable[list[float]]
) -> list[dict[str, Any]]:
    """The lists, each with its target as `y`."""
    return [{**one, "y": y} for one, y in zip(lists, targets, strict=True)]


def _rel(batches: Iterable[Mapping[str, Tensor]]) -> Iterator[list[float]]:
    return (batch["rel"][0].tolist() for batch in batches)


def _named(told: Told, name: str) -> Callable[[Epoch], None]:
    return lambda epoch: told(name, epoch)


def _judge(
    objective: str | None, batches: Columns, lists: Sequence[Mapping[str, Any]], at: list[int]
) -> Callable[[DeepSet], Epoch]:
    """Says of a model its `objective` on the lists at some positions, or nothing without one."""
    if objective is None:
        return lambda _: {}
    judged = [lists[position] for position in at]
    return lambda model: {
        "objective": mean_of(objective, judged, predict(model, batches, at)),
        "n_lists": len(at),
    }
