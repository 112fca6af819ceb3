"""Folds, the loss, and the training loop."""

import itertools
import math

import numpy as np
import pytest
import torch
from model_a.batches import build_payload
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.folds import season_folds
from model_a.metrics import out_of_fold_metrics, spearman
from model_a.model import listmle
from model_a.train import columns_of, fit, gather, mini_batches, predict

CPU = torch.device("cpu")
CONFIG = load_config([DEFAULTS.with_name("tiny.yaml")], ["training.n_folds=2"])


@pytest.fixture(scope="module")
def payload(league_db):
    torch.set_num_threads(1)
    return build_payload(str(league_db), batch_inputs(CONFIG))


def seasons(payload):
    return [meta["season"] for meta in payload["list_metas"]]


def scores_of_folds(payload, batches):
    named = seasons(payload)
    return {
        position: scores
        for fold in season_folds(named, 2)
        for position, scores in zip(
            fold.scored,
            predict(fit(batches, fold.train, named, CONFIG.model_a, 42)[0], batches, fold.scored),
            strict=True,
        )
    }


@pytest.mark.parametrize("n_folds", [2, 3, 5, 8])
def test_folds_are_whole_seasons_and_train_on_earlier_ones_only(n_folds):
    named = [f"20{15 + i // 3}-{16 + i // 3}" for i in range(24)]
    folds = season_folds(named, n_folds)

    assert [fold.number for fold in folds] == list(range(1, n_folds))
    for fold in folds:
        assert max(named[i] for i in fold.train) < min(named[i] for i in fold.scored)
    scored = list(itertools.chain.from_iterable(fold.scored for fold in folds))
    assert sorted(scored + folds[0].train) == list(range(24))


def test_more_folds_than_seasons_are_refused():
    with pytest.raises(ValueError, match="3 folds of 2 seasons"):
        season_folds(["2015-16", "2016-17"], 3)


def test_a_seasons_final_ranks_change_no_prediction_for_it(payload):
    """A season's lists share its final ranks, which would leak from one to another."""
    batches = payload["oof_batches"]
    scored_season = "2016-17"
    generator = torch.Generator().manual_seed(1)
    permuted = [
        batch | {"rel": batch["rel"][:, torch.randperm(batch["rel"].shape[1], generator=generator)]}
        if season == scored_season
        else batch
        for batch, season in zip(batches, seasons(payload), strict=True)
    ]

    as_it_was = scores_of_folds(payload, columns_of(batches, CPU))
    with_other_ranks = scores_of_folds(payload, columns_of(permuted, CPU))

    assert {seasons(payload)[position] for position in as_it_was} == {scored_season}
    assert as_it_was == with_other_ranks


def test_listmle_is_the_plackett_luce_likelihood_of_the_order():
    scores = torch.tensor([[0.3, -1.2, 2.0], [1.0, 1.0, -0.5]])
    rel = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 9.0]])
    expected = []
    for row, order in zip(scores.tolist(), [[1, 2, 0], [2, 0, 1]], strict=True):
        weights = [math.exp(row[i]) for i in order]
        chances = [weight / sum(weights[i:]) for i, weight in enumerate(weights)]
        expected.append(-math.log(math.prod(chances)))

    assert listmle(scores, rel).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_listmle_stands_large_scores():
    assert math.isfinite(
        listmle(torch.tensor([[900.0, -900.0]]), torch.tensor([[0.0, 1.0]])).item()
    )


def test_a_mini_batch_holds_lists_of_one_size_and_each_list_comes_once(payload):
    batches = columns_of(payload["oof_batches"], CPU)
    lists = list(range(len(payload["oof_batches"])))
    groups = list(mini_batches(batches, lists, 5, shuffle=True))

    assert sorted(itertools.chain.from_iterable(groups)) == lists
    assert all(len(group) <= 5 for group in groups)
    assert all(len({batches.teams[i] for i in group}) == 1 for group in groups)


def test_what_the_cache_gives_trains_as_what_was_built(payload, cache):
    """Rows that sections share lie in the earlier section's column: both ways give the same."""
    mixed = {"first": payload["oof_batches"][::2], "all": payload["oof_batches"]}
    entry = cache.get_or_build({"a": 1}, lambda: mixed, version="1", namespace="model_a.batches")
    opened, built = columns_of(entry["all"], CPU), columns_of(mixed["all"], CPU)

    for field in built.columns:
        for group in mini_batches(built, list(range(len(mixed["all"]))), 7, shuffle=False):
            assert torch.equal(gather(opened, field, group), gather(built, field, group))
    assert scores_of_folds(payload, opened) == scores_of_folds(payload, built)


def test_the_seed_alone_decides(payload):
    batches = columns_of(payload["oof_batches"], CPU)
    everything, named = list(range(len(batches.teams))), seasons(payload)

    torch.rand(17)  # what was drawn before says nothing
    first, _ = fit(batches, everything, named, CONFIG.model_a, 42)
    second, _ = fit(batches, everything, named, CONFIG.model_a, 42)
    other, _ = fit(batches, everything, named, CONFIG.model_a, 43)

    assert predict(first, batches, everything) == predict(second, batches, everything)
    assert predict(first, batches, everything) != predict(other, batches, everything)


def test_stats_are_standardised_by_the_lists_that_are_learned_from(payload):
    batches = columns_of(payload["oof_batches"], CPU)
    settings = CONFIG.model_a.model_copy(update={"early_stopping_patience": 0, "epochs": 1})
    model, _ = fit(batches, [3, 4], seasons(payload), settings, 42)
    learned = [payload["oof_batches"][i] for i in (3, 4)]
    stats = torch.cat([b["player_stats"][~b["key_padding_mask"]] for b in learned])

    torch.testing.assert_close(model.stat_mean, stats.mean(0))


def test_padding_changes_no_score(payload):
    batch = payload["oof_batches"][-1]
    batches = columns_of([batch], CPU)
    model, _ = fit(columns_of(payload["oof_batches"], CPU), [0, 1], ["a", "a"], CONFIG.model_a, 42)
    wider = {
        name: torch.nn.functional.pad(
            value, (0, 0, 0, 1) if name == "player_stats" else (0, 1), value=1
        )
        for name, value in batch.items()
        if name != "rel"
    } | {"rel": batch["rel"]}

    assert predict(model, columns_of([wider], CPU), [0])[0] == pytest.approx(
        predict(model, batches, [0])[0], rel=1e-4, abs=1e-5
    )


def test_early_stopping_watches_later_seasons_and_keeps_the_best(payload):
    batches = columns_of(payload["oof_batches"], CPU)
    settings = CONFIG.model_a.model_copy(
        update={"early_stopping_patience": 2, "epochs": 60, "learning_rate": 0.05}
    )
    _, losses = fit(batches, list(range(len(batches.teams))), seasons(payload), settings, 42)
    watched = [epoch["watch_loss"] for epoch in losses]

    assert len(losses) < 60
    assert watched.index(min(watched)) == len(losses) - 3
    assert any(epoch["watch_loss"] != epoch["train_loss"] for epoch in losses)


def test_training_learns(payload):
    batches = columns_of(payload["oof_batches"], CPU)
    settings = CONFIG.model_a.model_copy(
        update={"early_stopping_patience": 0, "epochs": 30, "learning_rate": 0.01}
    )
    _, losses = fit(batches, list(range(len(batches.teams))), seasons(payload), settings, 42)

    assert losses[-1]["train_loss"] < 0.9 * losses[0]["train_loss"]


def test_spearman_gives_ties_their_mean_rank():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(math.sqrt(3) / 2)
    assert spearman([5, 5, 5], [1, 2, 3]) == 0


def test_every_ranker_is_measured_on_the_same_lists():
    lists = [
        {"season": "a", "oof_a": [3.0, 2.0], "win_rates": [0.1, 0.2], "y": [30.0, 1.0]},
        {"season": "b", "oof_a": [1.0, 2.0], "win_rates": [0.3, 0.2], "y": [30.0, 1.0]},
    ]

    assert out_of_fold_metrics(lists) == {
        "n_lists": 2,
        "spearman": {"oof_a": 0.0, "win_rates": 0.0},
        "spearman_by_season": {
            "a": {"oof_a": pytest.approx(1), "win_rates": pytest.approx(-1)},
            "b": {"oof_a": pytest.approx(-1), "win_rates": pytest.approx(1)},
        },
    }
