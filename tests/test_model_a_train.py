"""Folds, the loss, and the training loop."""

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from model_a.batches import build_payload
from model_a.columns import (
    FACTS,
    WIN_RATE_UNIT,
    columns_of,
    gather,
    mini_batches,
    team_facts,
)
from model_a.config import DEFAULTS, batch_inputs, load_config
from model_a.folds import season_folds
from model_a.losses import listmle, spearman_surrogate
from model_a.metrics import spearman
from model_a.progress import epochs
from model_a.scoring import fit_seeds, scored_by
from model_a.train import FIELDS, fit, predict

CPU = torch.device("cpu")
CONFIG = load_config([DEFAULTS.with_name("tiny.yaml")], ["training.n_folds=2"])


@pytest.fixture(scope="module")
def payload(league_db):
    torch.set_num_threads(1)
    return build_payload(str(league_db), batch_inputs(CONFIG))


def oof_columns(payload, batches=None):
    return columns_of(batches or payload["oof_batches"], payload["oof_lists"], CPU)


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

    as_it_was = scores_of_folds(payload, oof_columns(payload, batches))
    with_other_ranks = scores_of_folds(payload, oof_columns(payload, permuted))

    assert {seasons(payload)[position] for position in as_it_was} == {scored_season}
    assert as_it_was == with_other_ranks


MOVED = """
import sys
import torch

def moved(optimizer_of):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 1))
    first, last = list(model[0].parameters()), list(model[2].parameters())
    optimizer = optimizer_of(first, last)
    for _ in range(30):
        optimizer.zero_grad()
        model(torch.randn(9, 5)).square().mean().backward()
        optimizer.step()
    return [*first, *last]

from model_a.adamw import AdamW
ours = moved(lambda first, last: AdamW([(first, 0.1), (last, 0.0)], lr=0.01))
print(*sorted({"sympy", "torch._dynamo"} & sys.modules.keys()))
theirs = moved(lambda first, last: torch.optim.AdamW(
    [{"params": first, "weight_decay": 0.1}, {"params": last, "weight_decay": 0.0}], lr=0.01))
print(all(map(torch.equal, ours, theirs)))
"""


@pytest.mark.slow
def test_the_optimizer_is_torchs_to_the_bit_and_imports_no_compiler():
    scripts = str(Path(__file__).parents[1] / "scripts")
    command = [sys.executable, "-c", MOVED]
    environment = {**os.environ, "PYTHONPATH": scripts}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["", "True"]


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
    batches = oof_columns(payload)
    lists = list(range(len(payload["oof_batches"])))
    groups = list(mini_batches(batches, lists, 5, shuffle=True))

    assert sorted(itertools.chain.from_iterable(groups)) == lists
    assert all(len(group) <= 5 for group in groups)
    assert all(len({batches.teams[i] for i in group}) == 1 for group in groups)


def test_what_the_cache_gives_trains_as_what_was_built(payload, cache):
    """Rows that sections share lie in the earlier section's column: both ways give the same."""
    mixed = {"first": payload["oof_batches"][::2], "all": payload["oof_batches"]}
    entry = cache.get_or_build({"a": 1}, lambda: mixed, version="1", namespace="model_a.batches")
    lists = payload["oof_lists"]
    opened, built = columns_of(entry["all"], lists, CPU), columns_of(mixed["all"], lists, CPU)

    for field in built.columns:
        for group in mini_batches(built, list(range(len(mixed["all"]))), 7, shuffle=False):
            assert torch.equal(gather(opened, field, group), gather(built, field, group))
    assert scores_of_folds(payload, opened) == scores_of_folds(payload, built)


def test_the_seed_alone_decides(payload):
    batches = oof_columns(payload)
    everything, named = list(range(len(batches.teams))), seasons(payload)

    torch.rand(17)  # what was drawn before says nothing
    first, _ = fit(batches, everything, named, CONFIG.model_a, 42)
    second, _ = fit(batches, everything, named, CONFIG.model_a, 42)
    other, _ = fit(batches, everything, named, CONFIG.model_a, 43)

    assert predict(first, batches, everything) == predict(second, batches, everything)
    assert predict(first, batches, everything) != predict(other, batches, everything)


def test_stats_are_standardised_by_the_lists_that_are_learned_from(payload):
    batches = oof_columns(payload)
    settings = CONFIG.model_a.model_copy(update={"early_stopping_patience": 0, "epochs": 1})
    model, _ = fit(batches, [3, 4], seasons(payload), settings, 42)
    learned = [payload["oof_batches"][i] for i in (3, 4)]
    stats = torch.cat([b["player_stats"][~b["key_padding_mask"]] for b in learned])

    torch.testing.assert_close(model.stat_mean, stats.mean(0))


def test_padding_changes_no_score(payload):
    batch = payload["oof_batches"][-1]
    last = payload["oof_lists"][-1:]
    batches = columns_of([batch], last, CPU)
    model, _ = fit(oof_columns(payload), [0, 1], ["a", "a"], CONFIG.model_a, 42)
    wider = {
        name: torch.nn.functional.pad(
            value, (0, 0, 0, 1) if name == "player_stats" else (0, 1), value=1
        )
        for name, value in batch.items()
        if name != "rel"
    } | {"rel": batch["rel"]}

    assert predict(model, columns_of([wider], last, CPU), [0])[0] == pytest.approx(
        predict(model, batches, [0])[0], rel=1e-4, abs=1e-5
    )


def test_early_stopping_watches_later_seasons_and_keeps_the_best(payload):
    batches = oof_columns(payload)
    settings = CONFIG.model_a.model_copy(
        update={"early_stopping_patience": 2, "epochs": 60, "learning_rate": 0.05}
    )
    _, losses = fit(batches, list(range(len(batches.teams))), seasons(payload), settings, 42)
    watched = [epoch["watch_loss"] for epoch in losses]

    assert len(losses) < 60
    assert watched.index(min(watched)) == len(losses) - 3
    assert any(epoch["watch_loss"] != epoch["train_loss"] for epoch in losses)


def test_training_learns(payload):
    batches = oof_columns(payload)
    settings = CONFIG.model_a.model_copy(
        update={"early_stopping_patience": 0, "epochs": 30, "learning_rate": 0.01}
    )
    _, losses = fit(batches, list(range(len(batches.teams))), seasons(payload), settings, 42)

    assert losses[-1]["train_loss"] < 0.9 * losses[0]["train_loss"]


@pytest.mark.parametrize("loss", ["listmle", "spearman_surrogate"])
def test_a_model_of_rosters_alone_learns_by_either_loss(payload, loss):
    batches = oof_columns(payload)
    everything, named = list(range(len(batches.teams))), seasons(payload)
    settings = CONFIG.model_a.model_copy(
        update={
            "use_standings": False,
            "loss": loss,
            "loss_warmup_epochs": 3,
            "early_stopping_patience": 0,
            "epochs": 30,
            "learning_rate": 0.01,
        }
    )
    model, epochs = fit(batches, everything, named, settings, 42)
    scores = predict(model, batches, everything)
    ranked = [
        spearman(one, meta["rel_values"])
        for one, meta in zip(scores, payload["list_metas"], strict=True)
    ]

    assert len(epochs) == 30
    assert np.mean(ranked) > 0.5


def test_an_untrained_model_ranks_by_the_record_as_far_as_the_season_is_decided(payload):
    batches = oof_columns(payload)
    settings = CONFIG.model_a.model_copy(update={"learning_rate": 1e-12, "epochs": 1})
    model, _ = fit(batches, list(range(len(batches.teams))), seasons(payload), settings, 42)
    scores = predict(model, batches, list(range(len(batches.teams))))
    for one, ours in zip(payload["oof_lists"], scores, strict=True):
        games = np.array(one["games_played"])
        is_open = (1 - games / 82) * 20 / (games + 20)
        prior = np.array(one["prior_win_rates"]) - 0.5
        record = np.array(one["win_rates"]) - 0.5
        known = (record * (1 - is_open) + prior * is_open) / WIN_RATE_UNIT

        assert ours == pytest.approx(known * np.exp(2 * (1 - is_open).mean()), rel=1e-3, abs=1e-4)


def test_facts_of_teams_are_0_where_there_is_no_team_and_no_season_before(payload):
    one = payload["oof_lists"][-1]
    alone = one | {"prior_win_rates": None, "prior_margins": None}
    fewer = {name: value[:5] if isinstance(value, list) else value for name, value in alone.items()}
    facts = team_facts([one, fewer])
    prior = [name.startswith("prior") for name in FACTS]

    assert facts.shape == (2, len(one["team_ids"]), len(FACTS))
    assert facts[0][:, prior].any(0).all()
    assert not facts[1][:, prior].any()
    assert not facts[1, 5:].any()
    assert torch.equal(facts[1, :5, :2], facts[0, :5, :2])


def test_the_surrogate_tends_to_one_less_spearman_as_its_ranks_harden():
    rel = torch.tensor([[3.0, 1.0, 2.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.9], [0.1, 0.2, 0.4, 0.3]])
    right = 1 - np.mean(
        [spearman(*pair) for pair in zip(scores.tolist(), rel.tolist(), strict=True)]
    )

    assert spearman_surrogate(scores, rel, 1e-4).item() == pytest.approx(right, abs=1e-5)
    assert spearman_surrogate(rel, rel, 1e-4).item() == pytest.approx(0, abs=1e-5)
    assert spearman_surrogate(-rel, rel, 1e-4).item() == pytest.approx(2, abs=1e-5)


def test_the_surrogate_has_a_gradient_that_mends_a_wrong_order():
    rel = torch.tensor([[1.0, 2.0, 3.0]])
    scores = torch.tensor([[0.5, 0.1, 0.2]], requires_grad=True)

    spearman_surrogate(scores, rel, 1.0).backward()

    assert scores.grad[0, 0] > 0 > scores.grad[0, 2]
    equal = torch.ones_like(rel)
    assert spearman_surrogate(scores, equal, 1.0).item() == pytest.approx(1)


def test_several_seeds_score_by_their_mean(payload):
    batches = oof_columns(payload)
    some, named = list(range(len(batches.teams))), seasons(payload)
    config = CONFIG.model_copy(update={"model_a": CONFIG.model_a.model_copy(update={"n_seeds": 2})})
    seen = []
    fitted = fit_seeds("one", batches, some, named, config, lambda *told: seen.append(told))
    (first, *_) = scored_by(fitted, batches, payload["oof_lists"], some, "oof_a")
    alone = [
        predict(fit(batches, some, named, CONFIG.model_a, seed)[0], batches, some)[0]
        for seed in (42, 43)
    ]

    assert first["by_seed"] == alone
    assert first["oof_a"] == np.mean(alone, axis=0).tolist()
    assert [(name, epoch["epoch"]) for name, epoch in seen] == [
        (f"one, seed {seed}", epoch) for seed in (42, 43) for epoch in (0, 1)
    ]
    assert {name.partition(".")[0] for name in fitted.state()} == {"seed_42", "seed_43"}


def test_a_roster_counts_by_what_the_season_leaves_open_and_ranks_by_itself(payload):
    batches = oof_columns(payload)
    everything, named = list(range(len(batches.teams))), seasons(payload)
    settings = CONFIG.model_a.model_copy(update={"epochs": 30, "learning_rate": 0.01})
    model, _ = fit(batches, everything, named, settings, 42)
    fields = [gather(batches, field, [0]) for field in FIELDS]
    roster, facts = model.of_roster(*fields), batches.facts[[0], : fields[0].shape[1]]
    decided = facts.clone()
    decided[..., 0] = 1
    rel = gather(batches, "rel", [0])

    assert torch.equal(model(*fields, facts), model.with_facts(roster, facts))
    assert torch.equal(model.with_facts(roster, decided), model.with_facts(0 * roster, decided))
    assert not torch.equal(model.with_facts(roster, facts), model.with_facts(0 * roster, facts))
    assert spearman(roster[0].tolist(), rel[0].tolist()) > 0.5


def test_each_epoch_is_a_line_where_there_is_no_terminal(capsys):
    with epochs(2, 3) as told:
        told("fold 1, seed 42", {"epoch": 0, "train_loss": 0.5, "watch_loss": 0.5})
        watched = {"epoch": 2, "train_loss": 0.25, "watch_loss": 0.125, "watch_spearman": 0.75}
        told("final, seed 42", watched)

    assert capsys.readouterr().out.splitlines() == [
        "fold 1, seed 42: epoch 1/3, loss 0.5",
        "final, seed 42: epoch 3/3, loss 0.25, watched 0.125, Spearman 0.750",
    ]
