"""Choices -> trials: each has a checked config, a folder of its own, and in the end a row.

Rules of this room: the config is checked by script 3's own rules, and before anything runs. A
folder holds all of its trial: `config.yaml`, `trial.json` (what was chosen, and the row, once there
is one), what script 3 leaves and says, and its `progress.jsonl`. What has no row is run anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from disk import writing
from model_a.config import DEFAULTS, Config, batch_inputs, check_config, merge, nested, read_yaml
from model_a.errors import BadInput

from sweep import space
from sweep.space import Sweep
from sweep.watch import Seen

KEPT = ("ok", "pruned")  # how a trial ends that is not run again


class Trial(NamedTuple):
    """What was chosen, by dotted key, and the folder that holds all of the trial."""

    number: int
    chosen: dict[str, Any]
    folder: Path


def base_of(sweep: Sweep, files: Iterable[str]) -> dict[str, Any]:
    """The config that all trials share: defaults, the sweep's files, `files`, what is fixed.

    Raises:
        BadInput: a file cannot be read, or something is no config.
    """
    base = read_yaml(DEFAULTS)
    for file in [*sweep.config, *files]:
        base = merge(base, read_yaml(file))
    for dotted, value in sweep.fixed.items():
        base = merge(base, _nested("fixed", dotted, value))
    check_config(base)
    return base


def config_of(chosen: Mapping[str, Any], base: dict[str, Any], folder: Path) -> Config:
    """The whole config of a trial.

    Raises:
        BadInput: script 3 would refuse it, or it leaves nothing to compare.
    """
    values = base
    for dotted, value in chosen.items():
        values = merge(values, _nested("space", dotted, value))
    config = check_config(merge(values, {"paths": {"outputs": str(folder)}}))
    if config.training.n_folds < 2:
        raise BadInput(
            f"training.n_folds: {config.training.n_folds} leaves no out-of-fold scores to compare "
            "trials by: write 2 or more"
        )
    return config


def planned(sweep: Sweep) -> list[dict[str, Any]] | None:
    """The choices of all trials, in order; None where each is chosen by what came before."""
    if sweep.sampler == "grid":
        return space.grid(sweep.dimensions)
    if sweep.sampler == "random":
        return space.draws(sweep.dimensions, sweep.trials or 0, sweep.seed)
    return None


def check(sweep: Sweep, base: dict[str, Any], folder: Path) -> None:
    """Check the config of every trial, or where nobody knows them, of every pair of values.

    Raises:
        BadInput: script 3 would refuse one.
    """
    choices = planned(sweep) or space.probes(sweep.dimensions)
    for number, chosen in enumerate(choices, 1):
        try:
            config_of(chosen, base, folder)
        except BadInput as error:
            raise BadInput(f"trial {number} {chosen!r}: {error}") from None


def shape_of(config: Config) -> str:
    """What is the same for trials that share their batches: a text."""
    return json.dumps([batch_inputs(config), config.paths.db, config.paths.batch_cache])


def trial_of(number: int, chosen: dict[str, Any], folder: Path) -> Trial:
    """The trial of that number in a sweep's folder."""
    return Trial(number, chosen, folder / f"combo_{number:04d}")


def begin(trial: Trial, config: Config) -> None:
    """Make the trial's folder, with its config; what an unfinished run left there goes.

    Raises:
        BadInput: nothing can be written there.
        BadDisk: the disk is full or read-only.
    """
    with writing(f"outputs: {str(trial.folder)!r}", BadInput):
        shutil.rmtree(trial.folder, ignore_errors=True)
        trial.folder.mkdir(parents=True)
        text = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
        (trial.folder / "config.yaml").write_text(text, encoding="utf-8")
    keep(trial, {"trial": trial.number, "status": "begun"})


def keep(trial: Trial, row: Mapping[str, Any]) -> None:
    """Write down how the trial ended, or that it has begun.

    Raises:
        BadInput: nothing can be written there.
        BadDisk: the disk is full or read-only.
    """
    write_json(trial.folder / "trial.json", {"chosen": trial.chosen, "row": row})


def count_of(sweep: Sweep) -> int:
    """How many trials it has."""
    choices = planned(sweep)
    return len(choices) if choices is not None else sweep.trials or 0


def kept(number: int, folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What was chosen for a trial, and its row if it is not to be run again; None for neither."""
    there = read_json(trial_of(number, {}, folder).folder / "trial.json")
    row = there.get("row", {})
    return there.get("chosen"), row if row.get("status") in KEPT else None


def kept_count(sweep: Sweep, folder: Path) -> int:
    """How many of its trials have run before, and are not to be run again."""
    return sum(kept(n, folder)[1] is not None for n in range(1, count_of(sweep) + 1))


def row_of(
    trial: Trial, status: str, objective: str, seen: Seen, seconds: float, error: str | None
) -> dict[str, Any]:
    """The trial's line of the results: what was chosen, how it ended, what it measured and took."""
    ran = read_json(trial.folder / "run.json") if status == "ok" else {}
    measured = read_json(trial.folder / "metrics.json") if status == "ok" else {}
    of = measured.get(objective, {})
    facts = seen.facts
    got, build = facts.get("get_or_build_seconds"), facts.get("build_seconds")
    shared = facts.get("cache") in ("hit", "wait")
    return {
        "trial": trial.number,
        **{name: _plain(value) for name, value in trial.chosen.items()},
        "status": status,
        "objective": of.get("oof_a"),
        "last_objective": seen.mean(),
        "objective_win_rate": of.get("win_rates"),
        "cache": facts.get("cache"),
        "key": facts.get("key"),
        "import_seconds": facts.get("import_seconds"),
        "get_or_build_seconds": got,
        "build_seconds": build,
        "saved_seconds": max(0.0, (build or 0.0) - (got or 0.0)) if shared else 0.0,
        "train_seconds": facts.get("train_seconds"),
        "seconds": seconds,
        "label": ran.get("label"),
        "error": error,
    }


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write aside, then rename.

    Raises:
        BadInput: nothing can be written there.
        BadDisk: the disk is full or read-only.
    """
    with writing(f"outputs: {str(path)!r}", BadInput):
        aside = path.with_name(f"{path.name}.part")
        aside.write_text(json.dumps(values, indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(aside, path)


def read_json(path: Path) -> dict[str, Any]:
    """What a file holds, {} if it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def last_line(path: Path) -> str:
    """The last line of a file that says anything."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")


def _nested(where: str, dotted: str, value: Any) -> dict[str, Any]:
    over = nested(dotted, value)
    if "outputs" in (over.get("paths") or {}):
        raise BadInput(
            f"{where}.{dotted}: paths.outputs is each trial's own folder: take it out, and say "
            "where the folders go with --outputs"
        )
    return over


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else json.dumps(value, default=str)
