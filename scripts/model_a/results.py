"""Fits and scored lists -> what a run says of itself, in files and in lines.

Rules of this room: what is measured, drawn and described, and under which name; how it is written
is outputs.py's.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from model_a import metrics, outputs
from model_a.baselines import BASELINES
from model_a.scoring import seeds_of

if TYPE_CHECKING:
    from model_a.config import Config
    from model_a.scoring import Fitted


def leave(
    config: Config,
    scored: list[dict[str, Any]],
    tested: list[dict[str, Any]],
    fits: list[Fitted],
    label: str,
) -> None:
    """Everything: the model, its metrics, and the pictures where they are asked for."""
    leave_model(config, fits, label)
    leave_metrics(config, scored, tested, label)
    if config.outputs.figures:
        leave_figures(config, scored, tested, fits, label)


def leave_model(config: Config, fits: list[Fitted], label: str) -> None:
    """The weights of the last fit, and how each came about."""
    directory = config.paths.outputs
    outputs.write_safetensors(directory, "model_a.safetensors", fits[-1].state(), label)
    losses = {fitted.name: dict(zip(fitted.seeds, fitted.epochs, strict=True)) for fitted in fits}
    description = {"label": label, "config": config.model_dump(mode="json"), "losses": losses}
    outputs.write_json(directory, "model_a.json", description)


def leave_metrics(
    config: Config, scored: list[dict[str, Any]], tested: list[dict[str, Any]], label: str
) -> None:
    """metrics.json, where there are out-of-fold scores, and its first figures in a line each."""
    if not scored:
        return
    target = config.training.listmle_target or "win_rate"
    measured: dict[str, Any] = {"label": label, "target": target}
    for name, lists, ranker in (("out of fold", scored, "oof_a"), ("test", tested, "model_a")):
        if not lists:
            continue
        of = metrics.measure(lists, [ranker, *BASELINES], ranges(config))
        for part, alike in ((of, lists), (of["whole_lists"], metrics.whole_lists(lists))):
            part["seeds"] = metrics.by_seed(alike, seeds_of(config))
        measured |= of if lists is scored else {"test": of}
        means = of["spearman"]
        others = [f"{said} {means[column]:.3f}" for column, said in BASELINES.items()]
        print(f"{name}: Spearman {means[ranker]:.3f}, {', '.join(others)}")
    outputs.write_json(config.paths.outputs, "metrics.json", measured)


def leave_figures(
    config: Config,
    scored: list[dict[str, Any]],
    tested: list[dict[str, Any]],
    fits: list[Fitted],
    label: str,
) -> None:
    """The pictures of the run; without out-of-fold scores that of the losses alone."""
    from model_a import figures  # matplotlib, which not every run needs

    directory = config.paths.outputs
    drawn = figures.losses(fits, config.model_a.loss, label)
    outputs.write_bytes(directory, "losses.png", drawn)
    groups = {"out of fold": (scored, "oof_a"), "test seasons": (tested, "model_a")}
    groups = {name: group for name, group in groups.items() if group[0]}
    if groups:
        outputs.write_bytes(directory, "predicted_ranks.png", figures.ranks(groups, label))
        by_day = figures.by_day(groups, ranges(config), label)
        outputs.write_bytes(directory, "spearman_by_day.png", by_day)


def ranges(config: Config) -> dict[str, tuple[dt.date, dt.date]]:
    """First and last day of each season."""
    return {name: (season.start, season.end) for name, season in config.seasons.items()}


def per_epoch(fits: list[Fitted], seconds: float) -> dict[str, Any]:
    """How many epochs were trained in all, and what one took."""
    count = sum(len(epochs) for fitted in fits for epochs in fitted.epochs)
    return {"epochs": count, "seconds_per_epoch": seconds / count}
