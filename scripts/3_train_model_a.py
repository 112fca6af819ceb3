"""Train Model A: rank the teams of a conference from rosters and recent form.

    python scripts/3_train_model_a.py [--config FILE]... [--set key.path=value]...
        [--strict-keys] [--shadow [P]] [--progress FILE [--objective NAME]]
        [--explain | --build-only | --plan [--json] CONFIG...]

Lists and batches come from the cache, or are built into it. Fold by fold a model is trained on
earlier seasons and scores later ones; a final model is trained on all of them. With --explain it
only says whether the batches are there, and if not, why; with --plan, of many configs, which would
build and which find them; with --build-only it sees to it that they are there. Exit 0, or with one
line 2 if the config, the league or the cache cannot be used, 3 if a disk is full or read-only, 130
if interrupted, 143 if a sweep ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import shlex
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

STARTED = time.perf_counter()
try:  # these take a moment, in which somebody may think better of it
    from disk import BadDisk
    from model_a.cached import DEFAULT_CACHE, check_db, dependencies, open_cache
    from model_a.config import Config, batch_inputs, load_config
    from model_a.dry import explain, say_plan
    from model_a.errors import BadInput, NothingToFold
    from model_a.trace import OBJECTIVES, Trace
    from options import Options

    import tensorcache
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)

if TYPE_CHECKING:
    import torch


def main() -> int:
    """0 when trained, else with one line: 2 wrong use, 3 a bad disk, 130 interrupted."""
    options = _options()
    trace = Trace(options.progress, STARTED)
    # Why it builds, and for whom it waits, while it does.
    told = logging.StreamHandler(sys.stderr if options.json else sys.stdout)
    told.setFormatter(logging.Formatter("cache: %(message)s"))
    log = logging.getLogger("tensorcache")
    log.addHandler(told)  # with one of ours, TENSORCACHE_LOG adds none
    log.setLevel(logging.INFO)
    try:
        trace.begin()
        if options.plan:
            say_plan(options.configs, options.config, options.set, as_json=options.json)
            return 0
        config = load_config(options.config, options.set)
        how = {"strict_keys": options.strict_keys, "shadow": options.shadow}
        if options.explain:
            explain(config)
        elif options.build_only:
            check_db(config.paths.db)
            get_payload(config, batch_inputs(config), **how)
        else:
            run(config, trace, options.objective, **how)
    except (BadInput, BadDisk, tensorcache.TensorCacheError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 3 if isinstance(error, BadDisk | tensorcache.CacheFull) else 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except SystemExit:  # a sweep has seen enough
        trace.say("pruned")
        raise
    finally:
        log.removeHandler(told)
    return 0


def run(
    config: Config, trace: Trace, objective: str | None, *, strict_keys: bool, shadow: float
) -> None:
    """Everything, in order; each epoch of a fold says the `objective` of what it will score.

    Raises:
        BadInput: the config or the league cannot be used.
        BadDisk: the outputs' disk is full or read-only.
    """
    # 1. What is asked for, and what the batches depend on
    inputs = batch_inputs(config)
    check_db(config.paths.db)
    check_figures(config)

    device = _device(config)  # torch: seconds, which neither an explanation nor a refusal spends
    from model_a import outputs, results, scoring
    from model_a.columns import columns_of
    from model_a.progress import epochs

    # 2. Lists and batches, from the cache or into it
    trace.imported()
    payload, report = get_payload(config, inputs, strict_keys=strict_keys, shadow=shadow)
    trace.got(report)
    split_info = payload["split_info"]
    label = split_info["label"]
    print(f"league: {label}, {split_info['n_train_lists']} train lists")
    directory = config.paths.outputs
    outputs.clear(directory)
    outputs.write_json(directory, "split_info.json", split_info)

    # 3. Fold by fold: earlier seasons train, a later block of seasons is scored
    started = time.perf_counter()
    scored, fits = [], []
    with epochs(scoring.fits_of(config, payload), config.model_a.epochs, trace.epoch) as told:
        if "oof_batches" in payload:
            scored, fits = scoring.score_folds(config, payload, device, told, objective)
            rows = scoring.team_rows(scored)
            outputs.write_parquet(directory, "oof_model_a.parquet", rows, label)

        # 4. The final model, on all train lists; those of the latest seasons only end it in time
        lists = list(payload["all_lists"])
        batches = columns_of(payload["all_batches"], lists, device)
        seasons = [one["season"] for one in lists]
        final = scoring.fit_seeds("final", batches, [*range(len(lists))], seasons, config, told)
        fits.append(final)
    seconds = time.perf_counter() - started
    report |= {"label": label, "train_seconds": seconds, **results.per_epoch(fits, seconds)}

    # 5. The test seasons, once; and what is left behind
    tested = scoring.score_test(config, payload, final, device)
    results.leave(config, scored, tested, fits, label)
    outputs.write_json(directory, "run.json", report)
    trace.say("done", train_seconds=seconds)
    print(f"trained in {report['train_seconds']:.1f} s, outputs in {directory}")


def _device(config: Config) -> torch.device:
    """What to train on, and torch told to give the same figures each time."""
    import torch  # seconds
    from model_a.columns import pick_device

    torch.set_num_threads(config.repro.threads)
    device = pick_device(config.repro.device)
    if device.type != "cpu":  # there all that is used is deterministic, and to ask takes a second
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device


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
    worth = f"{report['build_seconds']:.1f} s of building {spent}"
    if report["shadow"]:
        worth = "built again to compare"
    print(f"cache: {state} {key} in {report['get_or_build_seconds']:.3f} s, {worth}")
    if report["why"] and state != "miss":  # a miss has said so while it built
        print(f"  {report['why']}")
    if report["published"]:
        directory = config.paths.batch_cache or DEFAULT_CACHE
        print(f"  tensorcache show {key} --cache {shlex.quote(directory)}")


def _options() -> argparse.Namespace:
    parser = Options(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="merged over the defaults"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="over the files"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--explain", action="store_true", help="only say whether it would build, and why"
    )
    instead.add_argument("--build-only", action="store_true", help="only build what is not there")
    instead.add_argument("--plan", action="store_true", help="only say which CONFIGs would build")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")
    parser.add_argument(
        "configs", nargs="*", metavar="CONFIG", help="with --plan: of each run, over --config"
    )
    parser.add_argument("--progress", metavar="FILE", help="append what happens, as JSON lines")
    parser.add_argument("--objective", choices=OBJECTIVES, help="said of each epoch in --progress")
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
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no share: write a number from 0 to 1")


if __name__ == "__main__":
    sys.exit(main())
