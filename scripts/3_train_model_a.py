"""Train Model A: rank the teams of a conference from rosters and recent form.

    python scripts/3_train_model_a.py [--config FILE]... [--set key.path=value]...
        [--strict-keys] [--explain]

Lists and batches come from the cache, or are built into it. Fold by fold a model is trained on
earlier seasons and scores later ones; a final model is trained on all of them. With --explain it
only says whether the batches are there, and if not, why. Exit 0, or with one line 2 if the config,
the league or the cache cannot be used, 3 if a disk is full or read-only, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

try:  # these take a moment, in which somebody may think better of it
    from disk import BadDisk
    from model_a.config import Config, batch_inputs, load_config
    from model_a.errors import BadInput, NothingToFold

    import tensorcache
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)

if TYPE_CHECKING:
    import torch

NAMESPACE = "model_a.batches"
DEFAULT_CACHE = "data/processed/batch_cache"
# The module that builds; what it imports from here counts too. Config, folds, model, training and
# metrics are none of that: to edit those is no reason to build again.
BUILDER = ["model_a.batches"]


def main() -> int:
    """0 when trained, else with one line: 2 wrong use, 3 a bad disk, 130 interrupted."""
    options = _options()
    # Why it builds, and for whom it waits, while it does.
    logging.basicConfig(format="cache: %(message)s", stream=sys.stdout)
    logging.getLogger("tensorcache").setLevel(logging.INFO)
    try:
        config = load_config(options.config, options.set)
        if options.explain:
            explain(config)
        else:
            run(config, strict_keys=options.strict_keys)
    except (BadInput, BadDisk, tensorcache.TensorCacheError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 3 if isinstance(error, BadDisk | tensorcache.CacheFull) else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run(config: Config, *, strict_keys: bool = False) -> None:
    """Everything, in order.

    Raises:
        BadInput: the config or the league cannot be used.
        BadDisk: the outputs' disk is full or read-only.
    """
    import torch  # seconds, which an explanation never spends
    from model_a import outputs
    from model_a.metrics import out_of_fold_metrics
    from model_a.train import columns_of, fit, pick_device

    # 1. What is asked for, and what the batches depend on
    inputs = batch_inputs(config)
    check_db(config.paths.db)
    torch.set_num_threads(config.repro.threads)
    device = pick_device(config.repro.device)
    if device.type != "cpu":  # there all that is used is deterministic, and to ask takes a second
        torch.use_deterministic_algorithms(True, warn_only=True)

    # 2. Lists and batches, from the cache or into it
    payload, report = get_payload(config, inputs, strict_keys=strict_keys)
    split_info = payload["split_info"]
    label = split_info["label"]
    print(f"league: {label}, {split_info['n_train_lists']} train lists")
    directory = config.paths.outputs
    outputs.clear(directory)
    outputs.write_json(directory, "split_info.json", split_info)

    # 3. Fold by fold: earlier seasons train, a later block of seasons is scored
    started = time.perf_counter()
    if "oof_batches" in payload:
        scored = score_folds(config, payload, device)
        metrics = {"label": label, **out_of_fold_metrics(scored)}
        outputs.write_parquet(directory, "oof_model_a.parquet", team_rows(scored), label)
        outputs.write_json(directory, "metrics.json", metrics)
        means = metrics["spearman"]
        print(f"out of fold: Spearman {means['oof_a']:.3f}, win rate {means['win_rates']:.3f}")

    # 4. The final model, on all train lists; those of the latest seasons only end it in time
    seasons = [one["season"] for one in payload["all_lists"]]
    batches = columns_of(payload["all_batches"], device)
    everything = list(range(len(seasons)))
    model, losses = fit(batches, everything, seasons, config.model_a, config.repro.seed)

    # 5. What is left behind
    outputs.write_safetensors(directory, "model_a.safetensors", model.state_dict(), label)
    description = {"label": label, "config": config.model_dump(mode="json"), "losses": losses}
    outputs.write_json(directory, "model_a.json", description)
    report |= {"label": label, "train_seconds": time.perf_counter() - started}
    outputs.write_json(directory, "run.json", report)
    print(f"trained in {report['train_seconds']:.1f} s, outputs in {directory}")


def explain(config: Config) -> None:
    """Say whether a run would find its batches, and if not, why; nothing is built or begun.

    Raises:
        BadInput: the config or the league cannot be used.
    """
    inputs = batch_inputs(config)
    check_db(config.paths.db)
    directory = config.paths.batch_cache or DEFAULT_CACHE
    if config.training.n_folds < 2:
        print(f"training.n_folds is {config.training.n_folds}: final model only, no cache")
    elif config.paths.batch_cache is False or os.environ.get("TENSORCACHE_MODE") == "off":
        print("cache: off: it would build")
    elif not os.path.isdir(directory) or not os.listdir(directory):
        print(f"cache: no cache at {directory!r} yet: it would build")
    else:
        with open_cache(config, create=False) as cache:
            print(f"cache: {would_be(cache, config, inputs)}")


def would_be(cache: tensorcache.Cache, config: Config, inputs: dict[str, Any]) -> str:
    """What a run would find in the cache, in one line."""
    try:
        key = cache.key(inputs, **dependencies(config))
    except tensorcache.UnkeyableValue as error:  # somebody writes into the league just now
        return f"it would build, and publish nothing: {error}"
    if cache.mode == "refresh":
        return f"it would build: {NAMESPACE} {key.short}: TENSORCACHE_MODE is 'refresh'"
    if key in cache:
        return f"it would be a hit: {NAMESPACE} {key.short}"
    return f"it would be a miss: {NAMESPACE} {key.short}: {cache.explain(key)}"


def dependencies(config: Config) -> dict[str, Any]:
    """What the batches depend on besides their inputs, and what they are."""
    return {
        "version": tensorcache.code_version(*BUILDER),
        "sources": {"db": tensorcache.database(config.paths.db)},
        "namespace": NAMESPACE,
    }


def check_db(path: str) -> None:
    """Refuse what cannot be the league database, before anything is made of it.

    Raises:
        BadInput: no file, one that cannot be read, or none of SQLite.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "a directory" if os.path.isdir(path) else "no plain file"
        raise BadInput(f"paths.db: {path!r} is {kind}: name the file of scripts/2_build_db.py")
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise BadInput(f"paths.db: {path!r} is not there: run scripts/2_build_db.py") from None
    except OSError as error:
        raise BadInput(
            f"paths.db: {path!r} cannot be read: {error.strerror}: correct that, or name another"
        ) from None
    if start != b"SQLite format 3\0":
        raise BadInput(
            f"paths.db: {path!r} is not a SQLite database: build one with scripts/2_build_db.py"
        )


def get_payload(
    config: Config, inputs: dict[str, Any], *, strict_keys: bool
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The sections to train on, and a report of how they were come by.

    What the build reads of the config, and its key is not made from, is said; with `strict_keys`
    it is an error.
    """
    if config.training.n_folds < 2:
        print(f"training.n_folds is {config.training.n_folds}: final model only, no cache")
        return _final_payload(config, inputs)
    started = time.perf_counter()
    audited = tensorcache.audited(config)
    with tensorcache.keying(audited) as audit:
        keyed = tensorcache.audited(batch_inputs(audited))
        depends_on = dependencies(audited)
    try:
        with open_cache(config) as cache:
            entry = cache.get_or_build(
                keyed,
                lambda: _build(audited, keyed),
                **depends_on,
                audit=audit,
                strict_keys=strict_keys,
            )
    except NothingToFold as nothing:
        print(f"{nothing}: final model only, no cache")
        return _final_payload(config, inputs)
    seconds = time.perf_counter() - started
    report = {
        "cache": _state(config, entry),
        "key": entry.key.digest if entry.key else None,
        "published": entry.published,
        "why": entry.why,
        "get_or_build_seconds": seconds,
        "build_seconds": entry.build_seconds,
    }
    _tell(config, report)
    return entry, report


def open_cache(config: Config, *, create: bool = True) -> tensorcache.Cache:
    """The cache that `paths.batch_cache` means, begun if it is to be and is not there.

    Raises:
        BadInput: the environment asks of the cache what there is not.
    """
    if config.paths.batch_cache is False:
        return tensorcache.open(DEFAULT_CACHE, mode="off")
    try:
        return tensorcache.open(config.paths.batch_cache or DEFAULT_CACHE, create=create)
    except tensorcache.TensorCacheError:
        raise  # some are ValueErrors too
    except ValueError as error:
        raise BadInput(str(error)) from None


def score_folds(
    config: Config, payload: Mapping[str, Any], device: torch.device
) -> list[dict[str, Any]]:
    """Each list of a later fold: its meta, with the scores of a model of earlier seasons."""
    from model_a.folds import season_folds
    from model_a.train import columns_of, fit, predict  # torch, which `run` has met

    metas = list(payload["list_metas"])
    batches = columns_of(payload["oof_batches"], device)
    seasons = [meta["season"] for meta in metas]
    scored = []
    for fold in season_folds(seasons, config.training.n_folds):
        model, losses = fit(batches, fold.train, seasons, config.model_a, config.repro.seed)
        print(
            f"fold {fold.number}: {len(fold.train)} lists train, {len(fold.scored)} are scored, "
            f"{len(losses)} epochs, loss {losses[-1]['watch_loss']:.3f}"
        )
        for position, scores in zip(fold.scored, predict(model, batches, fold.scored), strict=True):
            meta = metas[position]
            scored.append({**meta, "oof_a": scores, "y": meta["rel_values"], "fold": fold.number})
    return scored


def team_rows(scored: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Scored lists as columns, one row a team and list."""
    rows = [
        (team, one["as_of_date"], one["conference"], score, y, one["season"], one["fold"])
        for one in scored
        for team, score, y in zip(one["team_ids"], one["oof_a"], one["y"], strict=True)
    ]
    names = ("team_id", "as_of_date", "conference", "oof_a", "y", "season", "fold")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _build(config: Config, inputs: dict[str, Any]) -> dict[str, Any]:
    from model_a.batches import build_payload  # a hit imports nothing that builds

    return build_payload(config.paths.db, inputs)


def _final_payload(config: Config, inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from model_a.batches import build_final  # a hit imports nothing that builds

    return build_final(config.paths.db, inputs), {"cache": "not opened", "key": None}


def _state(config: Config, entry: tensorcache.Entry) -> str:
    if config.paths.batch_cache is False and not entry.published:
        return "off"
    if not entry.hit:
        return "miss"
    return "wait" if entry.why else "hit"


def _tell(config: Config, report: Mapping[str, Any]) -> None:
    """How the batches were come by, and what to ask tensorcache about them."""
    state, key = report["cache"], (report["key"] or "no key")[:16]
    spent = "saved" if state in ("hit", "wait") else "spent"
    print(
        f"cache: {state} {key} in {report['get_or_build_seconds']:.3f} s, "
        f"{report['build_seconds']:.1f} s of building {spent}"
    )
    if report["why"] and state != "miss":  # a miss has said so while it built
        print(f"  {report['why']}")
    if report["published"]:
        directory = config.paths.batch_cache or DEFAULT_CACHE
        print(f"  tensorcache show {key} --cache {shlex.quote(directory)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="merged over the defaults"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="over the files"
    )
    parser.add_argument(
        "--explain", action="store_true", help="only say whether it would build, and why"
    )
    parser.add_argument(
        "--strict-keys",
        action="store_true",
        help="refuse a build that reads what is not in its key",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
