"""Train Model A: rank the teams of a conference from rosters and recent form.

    python scripts/3_train_model_a.py [--config FILE]... [--set key.path=value]...
        [--strict-keys] [--shadow [P]] [--explain | --plan [--json] CONFIG...]

Lists and batches come from the cache, or are built into it. Fold by fold a model is trained on
earlier seasons and scores later ones; a final model is trained on all of them. With --explain it
only says whether the batches are there, and if not, why; with --plan, of many configs, which would
build and which find them. Exit 0, or with one line 2 if the config, the league or the cache cannot
be used, 3 if a disk is full or read-only, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import logging
import shlex
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

try:  # these take a moment, in which somebody may think better of it
    from disk import BadDisk
    from model_a.cached import DEFAULT_CACHE, check_db, dependencies, open_cache
    from model_a.config import Config, batch_inputs, load_config
    from model_a.dry import explain, say_plan
    from model_a.errors import BadInput, NothingToFold

    import tensorcache
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)

if TYPE_CHECKING:
    from model_a.scoring import Fitted


def main() -> int:
    """0 when trained, else with one line: 2 wrong use, 3 a bad disk, 130 interrupted."""
    options = _options()
    # Why it builds, and for whom it waits, while it does.
    stream = sys.stderr if options.json else sys.stdout
    logging.basicConfig(format="cache: %(message)s", stream=stream)
    logging.getLogger("tensorcache").setLevel(logging.INFO)
    try:
        if options.plan:
            say_plan(options.configs, options.config, options.set, as_json=options.json)
            return 0
        config = load_config(options.config, options.set)
        if options.explain:
            explain(config)
        else:
            run(config, strict_keys=options.strict_keys, shadow=options.shadow)
    except (BadInput, BadDisk, tensorcache.TensorCacheError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 3 if isinstance(error, BadDisk | tensorcache.CacheFull) else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run(config: Config, *, strict_keys: bool = False, shadow: float = 0.0) -> None:
    """Everything, in order.

    Raises:
        BadInput: the config or the league cannot be used.
        BadDisk: the outputs' disk is full or read-only.
    """
    import torch  # seconds, which an explanation never spends
    from model_a import outputs, scoring
    from model_a.columns import columns_of, pick_device
    from model_a.progress import epochs

    # 1. What is asked for, and what the batches depend on
    inputs = batch_inputs(config)
    check_db(config.paths.db)
    check_figures(config)
    torch.set_num_threads(config.repro.threads)
    device = pick_device(config.repro.device)
    if device.type != "cpu":  # there all that is used is deterministic, and to ask takes a second
        torch.use_deterministic_algorithms(True, warn_only=True)

    # 2. Lists and batches, from the cache or into it
    payload, report = get_payload(config, inputs, strict_keys=strict_keys, shadow=shadow)
    split_info = payload["split_info"]
    label = split_info["label"]
    print(f"league: {label}, {split_info['n_train_lists']} train lists")
    directory = config.paths.outputs
    outputs.clear(directory)
    outputs.write_json(directory, "split_info.json", split_info)

    # 3. Fold by fold: earlier seasons train, a later block of seasons is scored
    started = time.perf_counter()
    scored, fits = [], []
    with epochs(scoring.fits_of(config, payload), config.model_a.epochs) as told:
        if "oof_batches" in payload:
            scored, fits = scoring.score_folds(config, payload, device, told)
            rows = scoring.team_rows(scored)
            outputs.write_parquet(directory, "oof_model_a.parquet", rows, label)

        # 4. The final model, on all train lists; those of the latest seasons only end it in time
        lists = list(payload["all_lists"])
        batches = columns_of(payload["all_batches"], lists, device)
        seasons = [one["season"] for one in lists]
        final = scoring.fit_seeds("final", batches, [*range(len(lists))], seasons, config, told)
        fits.append(final)
    seconds = time.perf_counter() - started
    report |= {"label": label, "train_seconds": seconds, **per_epoch(fits, seconds)}

    # 5. The test seasons, once; and what is left behind
    leave_model(config, fits, label)
    tested = scoring.score_test(config, payload, final, device)
    leave_metrics(config, scored, tested, label)
    if config.outputs.figures:
        leave_figures(config, scored, tested, fits, label)
    outputs.write_json(directory, "run.json", report)
    print(f"trained in {report['train_seconds']:.1f} s, outputs in {directory}")


def leave_model(config: Config, fits: list[Fitted], label: str) -> None:
    """The weights of the last fit, and how each came about."""
    from model_a import outputs

    directory = config.paths.outputs
    outputs.write_safetensors(directory, "model_a.safetensors", fits[-1].state(), label)
    losses = {fitted.name: dict(zip(fitted.seeds, fitted.epochs, strict=True)) for fitted in fits}
    description = {"label": label, "config": config.model_dump(mode="json"), "losses": losses}
    outputs.write_json(directory, "model_a.json", description)


def leave_metrics(
    config: Config, scored: list[dict[str, Any]], tested: list[dict[str, Any]], label: str
) -> None:
    """metrics.json, where there are out-of-fold scores, and its first figures in a line each."""
    from model_a import metrics, outputs
    from model_a.baselines import BASELINES
    from model_a.scoring import seeds_of

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
    from model_a import figures, outputs  # matplotlib, which not every run needs

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


def check_figures(config: Config) -> None:
    """Refuse figures that could not be drawn, before anything is trained.

    Raises:
        BadInput: matplotlib is not installed.
    """
    if config.outputs.figures and importlib.util.find_spec("matplotlib") is None:
        raise BadInput(
            "outputs.figures: True needs matplotlib, which is not installed: install "
            "'tensorcache[scripts]', or set outputs.figures=false"
        )


def get_payload(
    config: Config, inputs: dict[str, Any], *, strict_keys: bool, shadow: float
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The sections to train on, and a report of how they were come by.

    What the build reads of the config, and its key is not made from, is said; with `strict_keys`
    it is an error. Of hits a share, `shadow`, is built again, and what differs then is said too.
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
                shadow=shadow,
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
        "shadow": shadow_report(entry),
    }
    _tell(config, report)
    return entry, report


def shadow_report(entry: tensorcache.Entry) -> dict[str, Any] | None:
    """What building a hit again found; what differs has been said by then."""
    shadow = entry.shadow
    if shadow is None:
        return None
    if shadow.is_same:
        print(f"shadow: {shadow}")
    return {**shadow._asdict(), "differences": [one._asdict() for one in shadow.differences]}


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
    dry = parser.add_mutually_exclusive_group()
    dry.add_argument(
        "--explain", action="store_true", help="only say whether it would build, and why"
    )
    dry.add_argument("--plan", action="store_true", help="only say which CONFIGs would build")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")
    parser.add_argument(
        "configs", nargs="*", metavar="CONFIG", help="with --plan: of each run, over --config"
    )
    parser.add_argument(
        "--strict-keys",
        action="store_true",
        help="refuse a build that reads what is not in its key",
    )
    parser.add_argument(
        "--shadow",
        nargs="?",
        type=_share,
        const=1.0,
        default=0.0,
        metavar="P",
        help="build this share of hits again (each: 1), and say what differs from what is stored",
    )
    options = parser.parse_intermixed_args()
    if bool(options.configs) != options.plan or (options.json and not options.plan):
        parser.error("--plan takes one CONFIG or more; nothing else takes CONFIG or --json")
    return options


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


if __name__ == "__main__":
    sys.exit(main())
